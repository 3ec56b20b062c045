"""Tables that fit a terminal: where it is narrow the least important columns are left out, and named below."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

BETWEEN, EDGES = 2, 2
"""Characters between two columns, and at both sides of a table together."""


class Column(NamedTuple):
    """A column of a table, on a terminal, on the page and in LaTeX."""

    heading: str
    priority: int = 0
    """Columns of priority 0 are always shown; of the others those of the largest number are left out first. For those of
    priority 1 names are broken over lines before they are left out."""
    means: str = ""
    number: bool = True
    """Whether it stands to the right, as numbers do."""
    wraps: bool = False
    """Whether its cells may be broken over lines, between words."""
    narrowest: int | None = None
    """The characters to which a column of names may be narrowed, by breaking them anywhere, because names may be long."""


class FittedTable:
    """A table of as many of its columns as the console has room for.

    Nothing is ever cut: where even the columns of priority 0 are too wide, their cells are broken over lines.

    >>> table = FittedTable([Column("name"), Column("more", 1)], [("a", "b" * 30)])
    >>> console = Console(width=20)
    >>> with console.capture() as capture:
    ...     console.print(table)
    >>> "not shown at this width: more" in " ".join(capture.get().split())
    True
    """

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
        """Cells are plain text or text with a style; nothing in them is read as markup."""
        self._columns = tuple(columns)
        self._rows = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """The table, and below it the columns that are left out."""
        whole = [self._least_width(i) for i in range(len(self._columns))]
        narrow = [
            width if one.narrowest is None else min(width, one.narrowest)
            for width, one in zip(whole, self._columns, strict=True)
        ]
        shown = list(range(len(self._columns)))
        while True:
            least = max(shown, key=lambda i: self._columns[i].priority)
            priority = self._columns[least].priority
            if priority == 0 or self._total(narrow if priority == 1 else whole, shown) <= options.max_width:
                break
            shown.remove(least)
        broken = self._total(whole, shown) > options.max_width
        yield self._table(shown, broken, fits=self._total(narrow, shown) <= options.max_width)
        lost = [column.heading for i, column in enumerate(self._columns) if i not in shown]
        if lost:
            yield Text(f"not shown at this width: {', '.join(lost)}", style="dim")

    def _least_width(self, number: int) -> int:
        """What a column needs: its longest line or, where it may be broken, its longest word."""
        column = self._columns[number]
        texts = [column.heading, *(row[number].plain for row in self._rows)]
        parts = [part for text in texts for part in (text.split() if column.wraps else text.splitlines())]
        return max(map(cell_len, parts), default=0)

    def _total(self, widths: Sequence[int], shown: Sequence[int]) -> int:
        return sum(widths[i] for i in shown) + BETWEEN * (len(shown) - 1) + EDGES

    def _table(self, shown: Sequence[int], broken: bool, fits: bool) -> Table:
        """With the columns `shown`; whether names are `broken`, and whether everything else `fits` then."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, BETWEEN - 1, 0, 0))  # and one of the box
        for i in shown:
            column = self._columns[i]
            justify = "right" if column.number else "left"
            whole = fits and not column.wraps and not (broken and column.narrowest is not None)
            table.add_column(column.heading, justify=justify, no_wrap=whole, overflow="fold")
        for row in self._rows:
            table.add_row(*(row[i] for i in shown))
        return table
