"""Index against loss of chains and spin glasses: as a table, as data and as one picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.closed_form import spin_glass_edge, spin_glass_index_share, spin_glass_layer
from nctheory.engine import json_value
from nctheory.landscape import IndexLoss
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import save_figure
from nctheory.report._sheet import sheet
from nctheory.report._style import BLUE, DASHES, FAINT, INK, VERMILLION, house_style

LAYERS = 4
"""How many of the exact layers of energy the table names (conventional)."""
HIGHEST = 1.1
"""Heights that are drawn: up to the point of reference, and a little beyond (conventional)."""


def index_loss_table(chains: Sequence[IndexLoss], glass: IndexLoss, degree: int) -> RenderableType:
    """One row a landscape, and the exact layers of the glass.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> one = nct.landscape.IndexLoss("a chain", *np.array([[0, 0.2], [0, 1], [0, 4], [0.1, 0.5], [7, 3]]), 10, 2, 0, 0)
    >>> console = Console(width=110)
    >>> with console.capture() as capture:
    ...     console.print(index_loss_table([one], one._replace(name="a glass", listed=None), 3))
    >>> "2/2" in capture.get(), "E_0 = 1.656998" in capture.get()
    (True, True)
    """
    columns = [Column("landscape", number=False, narrowest=16), Column("starts", 3), Column("types found")]
    columns += [Column("of the list", 1), Column("minima"), Column("highest minimum"), Column("order")]
    columns += [Column("largest share", 2)]
    rows = []
    for one in (*chains, glass):
        held = "-" if one.listed is None else f"{one.listed - (one.missing or 0)}/{one.listed}"
        rows.append(
            [
                one.name, str(one.starts), str(len(one.value)), held, str(int(np.sum(one.index == 0))),
                f"{one.highest_minimum:.3f}", f"{one.order:.3f}", f"{np.max(one.share, initial=0.0):.3f}",
            ]
        )  # fmt: skip
    layers = ", ".join(f"E_{k} = {spin_glass_layer(degree, k):.6f}" for k in range(LAYERS))
    lines = [
        "heights: 0 at the global minimum of a chain (of a large glass: at -E_0), 1 at zero (at energy 0)",
        "order: of the pairs that differ in height and share of the index, those that rise together less the others",
        f"exact, p = {degree}: {layers}, E_inf = {spin_glass_edge(degree):.6f}",
    ]
    lines += [f"{one.name}: {one.extra} types are not on the complete list" for one in chains if one.extra]
    return Group(FittedTable(columns, rows), *map(Text, lines))


def index_loss_json(chains: Sequence[IndexLoss], glass: IndexLoss, degree: int) -> str:
    """All landscapes with their critical points, and the exact layers, as JSON; what is not finite becomes None."""
    names = ("name", "share", "height", "index", "value", "count", "starts", "listed", "missing", "extra")

    def told(one: IndexLoss) -> dict[str, Any]:
        data = {name: json_value(getattr(one, name)) for name in names}
        return data | {"order": json_value(one.order), "highest_minimum": json_value(one.highest_minimum)}

    data = {
        "schema": "nctheory index-loss 1",
        "chains": [told(one) for one in chains],
        "glass": told(glass),
        "degree": degree,
        "layers": [spin_glass_layer(degree, k) for k in range(LAYERS)],
        "edge": spin_glass_edge(degree),
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def index_loss_figure(chains: Sequence[IndexLoss], glass: IndexLoss, degree: int, path: str | Path) -> Path:
    """A panel for each chain, with the glass behind it: the share of downward directions against the height.

    The line is the exact share of large glasses, and the horizontal lines are their layers $-E_0$ and $-E_\\infty$. Written
    atomically; the same bytes for the same numbers.
    """
    with house_style():
        return save_figure(_draw(chains, glass, degree), Path(path))


def _draw(chains: Sequence[IndexLoss], glass: IndexLoss, degree: int) -> Any:
    from nctheory.report._ticks import even_axis

    page = sheet(len(chains), 2.8)
    ground, edge = spin_glass_layer(degree), spin_glass_edge(degree)
    energies = np.linspace(-edge, (HIGHEST - 1.0) * ground, 200)
    shares = [spin_glass_index_share(float(u), degree) for u in energies]
    low = min([0.0, *(float(np.min(one.height)) for one in (*chains, glass) if one.height.size)])
    for panel, one in zip(page.panels, chains, strict=True):
        for k, level in enumerate((ground, edge)):
            name = r"$-E_0$" if k == 0 else r"$-E_\infty$"
            panel.axhline(1.0 - level / ground, color=INK, lw=0.6, ls=DASHES[k + 1], label=f"{name}, exact")
        panel.plot(shares, 1.0 + energies / ground, color=FAINT, label="large glasses, exact")
        panel.plot(glass.share, glass.height, ls="", marker=".", color=VERMILLION, alpha=0.6, label=literal(glass.name))
        panel.plot(one.share, one.height, ls="", marker="D", color=BLUE, label=literal(one.name))
        panel.set_xlim(-0.02, 0.62)
        panel.set_ylim(low - 0.03, HIGHEST)
        even_axis(panel.xaxis)
        even_axis(panel.yaxis)
        panel.set_xlabel("index over directions")
        panel.set_ylabel("normalised loss")
        page.name(panel)
    return page.finish()
