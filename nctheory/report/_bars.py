"""What every progress on a terminal shares: bars on standard error, which show nothing where that is not a terminal."""

from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, ProgressColumn

Entered = TypeVar("Entered", bound="Bars")


class Bars:
    """Bars of the given columns on standard error while it is entered, gone when it is left.

    >>> from rich.progress import TextColumn
    >>> with Bars(TextColumn("steps")) as bars:
    ...     isinstance(bars.shown, bool)
    True
    """

    def __init__(self, *columns: ProgressColumn) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            *columns,
            console=self._console,
            disable=not self._console.is_terminal,
            redirect_stdout=False,
            transient=True,
        )

    @property
    def shown(self) -> bool:
        """Whether anything is shown at all."""
        return not self._bars.disable

    def __enter__(self: Entered) -> Entered:
        if self.shown:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown:
            self._bars.stop()


__all__ = ["Bars"]
