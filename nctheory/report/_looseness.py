"""Bounds held against exact errors: as a table, as data, and as a diagram over dimension, shots, classes and noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.engine import json_value
from nctheory.generalisation import LoosenessMap
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import save_figure
from nctheory.report._sheet import draw_map, sheet
from nctheory.report._style import BLACK, BLUE, DASHES, INK, PURPLE, UNDECIDED, VERMILLION, house_style

LINES = (VERMILLION, BLACK, PURPLE, BLUE)
"""The colours of boundaries, by the number of shots."""
MOST = 1e8
"""A larger looseness has the colour of this one (conventional): otherwise far tails would take all colours."""
HEIGHT = 2.7
"""The height of a panel in inches."""


def looseness_table(found: LoosenessMap) -> RenderableType:
    """One row a bound, number of classes and of shots: how loose it is where it says something, and where it is vacuous.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> console = Console(width=100)
    >>> with console.capture() as capture:
    ...     console.print(looseness_table(nct.generalisation.looseness_map((10,), (5,), (2,), (0.2, 0.5))))
    >>> "13.6" in capture.get(), "0.372" in capture.get(), "never" in capture.get()
    (True, True, True)
    """
    columns = [
        Column("bound", number=False, narrowest=16),
        Column("classes"),
        Column("shots"),
        Column("vacuous", 1),
        Column("looseness"),
    ]
    # Of many dimensions the first and the last stay longest where a terminal is narrow.
    ends = (0, len(found.dims) - 1)
    columns += [Column(f"p = {p}", 2 if i in ends else 3 + i) for i, p in enumerate(found.dims)]
    looseness, vacuous, rows = found.looseness, found.vacuous, []
    for b, name in enumerate(found.bounds):
        for k, number in enumerate(found.classes):
            for j in range(len(found.shots)):
                told, mine = vacuous[b, :, j, k], looseness[b, :, j, k]
                says = mine[~told]
                spread = "-" if not says.size else f"{_number(says[:, 0].min())} to {_number(says[:, 1].max())}"
                cells = [_noise(one) for one in found.vacuous_from[b, :, j, k]]
                share = f"{int(told.sum())}/{told.size}"
                rows.append([name.replace("_", " "), str(number), _shots(found.shots[j]), share, spread, *cells])
    return Group(FittedTable(columns, rows), *map(Text, looseness_lines(found)))


def looseness_lines(found: LoosenessMap) -> list[str]:
    """What the columns are, which bound is the sharpest, and whether one was below the error."""
    ends = f"{found.noises.min():.3g} to {found.noises.max():.3g}"
    lines = [
        f"looseness: bound over error where the bound says something, at {len(found.noises)} noises s/D from {ends}",
        "p = …: the noise from which on the bound is vacuous, at least that of guessing, 1 - 1/K (located by bisection)",
    ]
    if (found.error[..., 0] < found.error[..., 1]).any():
        lines.append(
            f"of more than two classes the error is an interval of {found.trials} trials a cell, and so is looseness"
        )
    if len(found.bounds) > 1:
        shares = (
            f"{name.replace('_', ' ')} in {np.mean(found.sharpest == b):.0%}" for b, name in enumerate(found.bounds)
        )
        lines.append(f"the sharpest of these: {', '.join(shares)} of {found.sharpest.size} cells")
    for b, name in enumerate(found.bounds):
        number = int(found.violated[b].sum())
        if number:
            lines.append(f"{name} lies below the error in {number} cells: it is no bound there")
    return lines


def _number(value: float) -> str:
    return "inf" if np.isinf(value) else f"{value:.3g}"


def _noise(value: float) -> str:
    return "never" if np.isinf(value) else "always" if value == 0 else f"{value:.3g}"


def _shots(value: float) -> str:
    return "known" if np.isinf(value) else f"{value:.0f}"


def _named(value: float) -> str:
    return "known means" if np.isinf(value) else f"{value:.0f} shot{'' if value == 1 else 's'}"


def looseness_json(found: LoosenessMap) -> str:
    """The axes, bounds, ends of the error and of looseness, and located noises as JSON; what is not finite becomes None."""
    names = ("bounds", "dims", "shots", "classes", "noises", "value", "error", "vacuous_from", "one_from")
    data: dict[str, Any] = {"schema": "nctheory looseness 1", "trials": found.trials, "key": found.key}
    data |= {name: json_value(np.asarray(getattr(found, name))) for name in names}
    data |= {name: json_value(getattr(found, name)) for name in ("looseness", "vacuous", "violated", "share_vacuous")}
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def looseness_figure(found: LoosenessMap, path: str | Path) -> Path:
    """A panel for each bound and number of classes: looseness over noise and dimension, and where the bound is vacuous.

    Colours are those of the middle one of the shots, grey where it is vacuous; lines are the located noises from which on
    the bound is vacuous, one for each number of shots. Written atomically; the same bytes for the same numbers.
    """
    with house_style():
        return save_figure(_draw(found), Path(path))


def _draw(found: LoosenessMap) -> Any:
    from matplotlib.patches import Patch

    from nctheory.report._ticks import log_axis

    page = sheet(len(found.bounds) * len(found.classes), HEIGHT)
    middle = (len(found.shots) - 1) // 2
    least = np.where(found.vacuous, np.nan, found.looseness[..., 0])[:, :, middle]
    places = [(b, k) for b in range(len(found.bounds)) for k in range(len(found.classes))]
    order = np.argsort(found.dims)
    for panel, (b, k) in zip(page.panels, places, strict=True):
        cells = least[b, :, k]
        logs = np.log10(np.where(np.isnan(cells), np.nan, np.minimum(cells, MOST))).T
        axes = [(found.noises, True, None), (found.dims, True, None)]
        grey = draw_map(page, panel, axes, logs, "log10 of looseness (8: or more)", least=0.0)
        for j, shots in enumerate(found.shots):
            told = found.vacuous_from[b, order, j, k]
            seen = np.isfinite(told) & (told > 0)
            if seen.any():
                panel.plot(
                    told[seen],
                    found.dims[order][seen],
                    color=LINES[j % len(LINES)],
                    ls=DASHES[j % len(DASHES)],
                    marker="o",
                    label=_named(shots),
                )
        log_axis(panel.xaxis)
        log_axis(panel.yaxis)
        panel.set_xlabel("noise s/D")
        panel.set_ylabel("dimension p")
        more = [Patch(facecolor=UNDECIDED, edgecolor=INK, lw=0.0, label="vacuous")] if grey else []
        page.name(panel, literal(f"{found.bounds[b].replace('_', ' ')}, {found.classes[k]} classes"), more=more)
    shots = _named(found.shots[middle])
    words = f"colours: looseness with {shots}; lines: vacuous from here to the right"
    return page.finish(literal(words))
