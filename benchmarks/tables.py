"""Rows as one Markdown table, aligned so that it reads well in a terminal too."""

from collections.abc import Sequence
from statistics import median

from benchmarks.growth import Point
from benchmarks.measure import Row

HEADINGS = (
    "job", "peer", "seeds", "certified", "ms/seed", "(min-max)", "ratio", "certified/s", "evals/seed", "evals/s", "of peak",
    "cpu ms/seed", "compile s", "MiB", "note",
)  # fmt: skip
LEFT = {"job", "theorem", "peer", "note", "method"}
GROWTH_HEADINGS = ("method", "seeds", "certified", "ms/seed", "(min-max)", "seconds", "MiB")


def digits(value: float | None, places: int = 2) -> str:
    """A number to a few significant digits, without an exponent where it stays short; a dash for none.

    >>> digits(0.01234), digits(1234.5), digits(2.5e6), digits(None)
    ('0.012', '1200', '2.5e6', '-')
    """
    if value is None or value != value:
        return "-"
    rounded = float(f"{value:.{places}g}")
    if rounded == 0.0:
        return "0"
    if not 1e-3 <= abs(rounded) < 1e5:
        return f"{rounded:.{places - 1}e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{rounded:.10f}".rstrip("0").rstrip(".")


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned table."""
    widths = [max(len(heading), *(len(row[i]) for row in rows), 3) for i, heading in enumerate(headings)]

    def line(cells: Sequence[str]) -> str:
        shown = [
            cell.ljust(width) if heading in LEFT else cell.rjust(width)
            for heading, cell, width in zip(headings, cells, widths, strict=True)
        ]
        return "| " + " | ".join(shown) + " |"

    rule = [
        "-" * width if heading in LEFT else "-" * (width - 1) + ":"
        for heading, width in zip(headings, widths, strict=True)
    ]
    return "\n".join([line(headings), "| " + " | ".join(rule) + " |", *map(line, rows)])


def cells(row: Row, peak: float) -> list[str]:
    """One line of the table."""
    if not row.timed:
        return [row.job, row.peer, *["-"] * (len(HEADINGS) - 3), row.note]
    times = row.per_seed(row.seconds)
    share = row.share_of(peak)
    ratio = digits(median(row.ratios)) if row.ratios else "-"
    return [
        row.job,
        row.peer,
        str(row.seeds),
        f"{100 * row.certified / row.seeds:.4g}%",
        digits(median(times)),
        f"{digits(times[0])}-{digits(times[-1])}",
        ratio + ("*" if row.certified < row.seeds and row.ratios else ""),
        digits(row.certified_per_second),
        digits(row.evaluations, 3),
        digits(row.evaluations_per_second),
        "-" if share is None else f"{digits(100 * share)}%",
        digits(median(row.per_seed(row.cpu_seconds))),
        digits(row.compile_seconds),
        digits(row.memory_mib),
        row.note,
    ]


def results_table(rows: Sequence[Row], peak: float) -> str:
    """All peers on all jobs."""
    return markdown(HEADINGS, [cells(row, peak) for row in rows])


def growth_table(points: Sequence[Point]) -> str:
    """Time per seed against the number of seeds."""
    return markdown(GROWTH_HEADINGS, [growth_cells(point) for point in points])


def growth_cells(point: Point) -> list[str]:
    """One line of the second table."""
    times = sorted(1e3 * s / point.seeds for s in point.seconds)
    return [
        point.method,
        str(point.seeds),
        f"{100 * point.certified / point.seeds:.4g}%",
        digits(median(times)),
        f"{digits(times[0])}-{digits(times[-1])}",
        digits(median(point.seconds)),
        digits(point.memory_mib),
    ]
