"""Protocols against restarts: tables, shares against gradients as a picture, and which protocol wins where."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.protocols import NONE, PROTOCOLS, ProtocolComparison, ProtocolMap
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import PALETTE, SMALL, UNDECIDED, house_style, stroke

COLUMNS = (
    Column("protocol", number=False, narrowest=16),
    Column("at the minimum"),
    Column("share"),
    Column("band at 95 %", 1),
    Column("gradients", 2),
    Column("polish", 4),
    Column("expected cost", 1),
    Column("time to solution", 5),
    Column("against restarts", number=False),
    Column("p better", 3),
    Column("p worse", 3),
)
LIGHT = 0.6
"""How opaque the colours of a map are, so that numbers on them can be read."""
COLOURS = {"better than restarts": "green", "worse than restarts": "red", "not told apart": "yellow"}


def protocols_table(found: ProtocolComparison) -> RenderableType:
    """One row a protocol, at the end of the budget, and in words what counts as the minimum and how all was decided.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> model = nct.deep_linear(widths=(2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1))
    >>> told = nct.compare_protocols(model, ["annealing"], budget=60, seeds=8, checkpoints=2, search=4)
    >>> console = Console(width=120)
    >>> with console.capture() as capture:
    ...     console.print(protocols_table(told))
    >>> "not told apart" in capture.get(), "the certified minimum" in capture.get()
    (True, True)
    """
    verdicts = {one.protocol: one for one in found.verdicts}
    last = [row for row in found.rows() if row["gradients"] == int(found.gradients[-1])]
    rows = []
    for row in last:
        told = verdicts.get(row["protocol"])
        outcome = Text("") if told is None else Text(told.outcome.split(" than")[0], style=COLOURS[told.outcome])
        tests = ("", "") if told is None else (f"{told.p_better:.2g}", f"{told.p_worse:.2g}")
        share = (f"{row['found']}/{row['seeds']}", f"{row['share']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}")
        costs = (str(row["spent"]), *(_cost(row[name]) for name in ("polish", "expected_cost", "time_to_solution")))
        rows.append([row["protocol"], *share, *costs, outcome, *tests])
    return Group(FittedTable(COLUMNS, rows), *map(Text, protocols_lines(found)))


def protocols_lines(found: ProtocolComparison) -> list[str]:
    """What counts as the minimum, what was polished, and how all was decided, one line a fact."""
    reference = found.reference
    lines = [
        f"the {reference.evidence} minimum is {reference.value:.10g}, the lowest of {reference.searched} ends"
        + (f" ({reference.reason})" if reference.reason else ""),
        f"budget {int(found.gradients[-1])} gradients a seed; one answer of each was polished, all alike; with its polish it "
        "costs so many until the first success ('expected cost'), and until one is 99 % sure ('time to solution')",
        "better: than restarts of every length, paired seeds, McNemar's exact test, Holm's correction over all at 5 %",
        f"winner: {found.winner}",
    ]
    lost = int(np.sum(~found.converged))
    if lost:
        lines.append(f"{lost} of {found.converged.size} polishes did not converge, and are not counted at the minimum")
    return lines


def _cost(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "-"


def protocols_figure(found: ProtocolComparison, path: str | Path, title: str = "") -> Path:
    """The share of seeds at the minimum against gradients, with exact bands: restarts, and every protocol beside them.

    Written atomically; the same bytes for the same numbers.
    """
    with house_style():
        return save_figure(_draw(found, title), Path(path))


def _draw(found: ProtocolComparison, title: str) -> Any:
    from nctheory.report._ticks import even_axis, log_axis

    number = len(found.protocols) - found.restarts
    page = sheet(max(1, number), height=2.0)
    share, band = found.share, found.band
    for place, panel in enumerate(page.panels):
        for i in (*range(found.restarts), *((found.restarts + place,) if number else ())):
            mine = i >= found.restarts
            colour, dashes = stroke(0) if mine else stroke(1 + i)
            panel.fill_between(
                found.gradients, band[i, :, 0], band[i, :, 1], color=colour, alpha=0.25 if mine else 0.1, lw=0
            )
            label = literal(found.protocols[i].replace("_", " "))
            panel.plot(
                found.gradients, share[i], color=colour, ls=dashes, lw=1.6 if mine else 0.9, marker="o", label=label
            )
        log_axis(panel.xaxis)
        panel.set_ylim(0.0, 1.0)
        even_axis(panel.yaxis)
        panel.set_xlabel("gradients of a seed")
        fit_label(panel, "y", f"share at the {found.reference.evidence} minimum")
        page.name(panel)
    words = f"{title}: {found.winner}" if title else f"winner: {found.winner}"
    return page.finish(literal(f"{words}; {found.seeds} seeds, bands at 95 %"))


def protocol_map_table(found: ProtocolMap) -> RenderableType:
    """One row a depth, one column a strength: the winner, its share, and the largest share of the restarts.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> told = nct.protocols.protocol_map((1,), (0.5,), ["annealing", "restarts"], budget=50, seeds=4)
    >>> console = Console(width=120)
    >>> with console.capture() as capture:
    ...     console.print(protocol_map_table(told))
    >>> "none told apart" in capture.get()
    True
    """
    columns = [
        Column("layers", number=False),
        *(Column(f"b = {one:g}", number=False, wraps=True) for one in found.strengths),
    ]
    rows = []
    for i, depth in enumerate(found.depths):
        cells = []
        for j, one in enumerate(found.comparisons[i]):
            rest = one.share[: one.restarts, -1].max()
            cells.append(
                f"{found.winners[i, j]} {found.share[i, j].max():.2f} (restarts {rest:.2f}, {one.reference.evidence})"
            )
        rows.append([str(int(depth)), *cells])
    note = "b: strength of the decay in onsets; the largest share of any protocol, and in brackets that of the restarts"
    return Group(FittedTable(columns, rows), Text(note))


def protocol_map_figure(found: ProtocolMap, path: str | Path) -> Path:
    """The winner of each cell by colour, grey where none is told apart, with the largest share and that of the restarts.

    Written atomically; the same bytes for the same numbers.
    """
    with house_style():
        return save_figure(_draw_map(found), Path(path))


def _draw_map(found: ProtocolMap) -> Any:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    page = sheet(1, height=0.9 + 0.45 * len(found.depths))
    panel = page.panels[0]
    # A protocol has its colour whatever else is on the map; restarts the last one.
    known = [
        *(name for name in PROTOCOLS if name != "restarts"),
        *sorted(set(found.winners.ravel().tolist()) - set(PROTOCOLS)),
    ]
    hue = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(known)} | {"restarts": "white", NONE: UNDECIDED}
    names = sorted(set(found.winners.ravel().tolist()), key=lambda name: (name == NONE, name))
    order, strengths = np.argsort(found.depths), np.argsort(found.strengths)
    winners = found.winners[np.ix_(order, strengths)]
    cells = np.array([[names.index(name) for name in row] for row in winners])
    # Cells of one size, whatever the distances between strengths.
    borders = np.arange(len(strengths) + 1) - 0.5, np.arange(len(order) + 1) - 0.5
    colours = ListedColormap([hue[name] for name in names])
    panel.pcolormesh(
        *borders, cells, cmap=colours, vmin=-0.5, vmax=len(names) - 0.5, edgecolors="white", linewidth=1.0, alpha=LIGHT
    )
    for i, row in enumerate(order):
        for j, column in enumerate(strengths):
            one = found.comparisons[row][column]
            told = f"{found.share[row, column].max():.2f}\n{one.share[: one.restarts, -1].max():.2f}"
            panel.text(j, i, told, ha="center", va="center", fontsize=SMALL)
    panel.set_yticks(range(len(order)), [str(int(one)) for one in found.depths[order]])
    panel.set_xticks(range(len(strengths)), [f"{one:g}" for one in found.strengths[strengths]])
    panel.set_xlabel("strength of the decay, in onsets")
    panel.set_ylabel("layers")
    page.name(
        panel,
        more=[
            Patch(facecolor=hue[name], edgecolor="0.5", alpha=LIGHT, label=literal(name.replace("_", " ")))
            for name in names
        ],
    )
    first = found.comparisons[0][0]
    return page.finish(
        literal(
            f"{found.kind} chains, {int(first.gradients[-1])} gradients, {first.seeds} seeds: best share, and that of restarts"
        )
    )
