"""A phase diagram as a picture, as a table, and as data."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.phase import Hysteresis, LocatedBoundary, PhaseDiagram, order_of
from nctheory.report._cells import NARROW
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import Drawing, Spot, save_figure
from nctheory.report._sheet import draw_map, fit_label, sheet
from nctheory.report._style import BLACK, BLUE, DASHES, PREDICTED, PURPLE, VERMILLION, house_style
from nctheory.theorems import CONTROL_SHIFT

LINES = (VERMILLION, BLACK, BLUE, PURPLE)
SCHEMA_VERSION = 3


def phase_data(found: PhaseDiagram) -> dict[str, Any]:
    """Outcome, cells of the picture and located boundaries as plain values; None for what is undecided or not finite."""
    diagram, grid = found.diagram, found.sweep.grid
    values = dict(zip(grid.names, grid.values, strict=True))

    def axis(which: Any) -> dict[str, Any]:
        return {
            "name": which.name,
            "label": which.label,
            "log": which.log,
            "step": which.step,
            "low": which.low,
            "high": which.high,
            "values": _numbers(np.asarray(values[which.name], float)),
        }

    def located(one: LocatedBoundary) -> dict[str, Any]:
        return {
            "name": one.boundary.name,
            "order": one.boundary.order,
            "of": one.boundary.of,
            "level": _numbers(one.boundary.level_at(one.along)),
            "outcome": one.judge(),
            "control_refuted": one.control_refuted,
            "tolerance": one.tolerance,
            "moved": one.boundary.moved,
            "distance": _numbers(one.distance),
            "along": _numbers(one.along),
            "low": _numbers(one.low),
            "high": _numbers(one.high),
            "predicted": _numbers(one.predicted),
            "state": [str(state) for state in one.state],
        }

    def loop(one: Hysteresis) -> dict[str, Any]:
        return {
            "at": one.loop.at,
            "order": one.loop.order,
            "outcome": one.judge(),
            "control_refuted": one.control_refuted,
            "values": _numbers(one.values),
            "up": [_numbers(row) for row in one.up],
            "down": [_numbers(row) for row in one.down],
            "predicted_up": one.loop.up,
            "predicted_down": one.loop.down,
        }

    return {
        "schema_version": SCHEMA_VERSION,
        "diagram": diagram.id,
        "title": diagram.title,
        "outcome": found.outcome,
        "along": axis(diagram.along),
        "across": axis(diagram.across),
        "pictures": [
            {
                "order": one.order,
                "of": one.of,
                "cells": [_numbers(row) for row in order_of(found.sweep.arrays, one, found.diagram.certified)],
            }
            for one in found.pictured
        ],
        "solves": found.solves,
        "uniform": found.uniform,
        "seeds": int(found.sweep.arrays["value"].shape[-1]),
        "boundaries": [located(one) for one in found.located],
        "loop": None if found.loop is None else loop(found.loop),
    }


def phase_json(found: PhaseDiagram) -> str:
    """`phase_data` as JSON."""
    return json.dumps(phase_data(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def phase_figure(found: PhaseDiagram, path: str | Path) -> Path:
    """The order parameters over the grid, with the predicted boundaries as lines and the located ones as points.

    One panel for each order parameter that a boundary is about. Undecided cells are grey. Written atomically; the same
    bytes for the same diagram.
    """
    with house_style():
        return save_figure(draw_phase(phase_data(found)).figure, Path(path))


def draw_phase(data: Mapping[str, Any]) -> Drawing:
    """The figure of `phase_data`, and what each of its cells says; under `house_style`."""
    along, across = data["along"], data["across"]
    x, y = _array(along["values"]), _array(across["values"])
    page = sheet(len(data["pictures"]) + (data["loop"] is not None))
    spots: list[Spot] = []
    for panel, picture in zip(page.panels, data["pictures"], strict=False):
        order, of = picture["order"], picture["of"]
        cells = np.array([_array(row) for row in picture["cells"]])
        words = literal(order) + (" (largest of any seed)" if of == "any" else "")
        axes = [(values, one["log"], _range(one)) for values, one in ((x, along), (y, across))]
        more = draw_map(page, panel, axes, cells, words, least=0.0)  # order parameters begin at 0
        mine = [one for one in data["boundaries"] if (one["order"], one["of"]) == (order, of)]
        for number, one in enumerate(mine):
            _draw_boundary(panel, one, number, across)
        for axis, which in ((along, "x"), (across, "y")):
            _set_axis(panel, which, axis)
        page.name(panel, more=more)
        spots += [
            Spot(panel, float(a), float(b), f"{along['name']} = {a:.4g}, {across['name']} = {b:.4g}: {order} "
                 + ("undecided" if np.isnan(cells[i, j]) else f"{cells[i, j]:.4g}"))
            for i, a in enumerate(x) for j, b in enumerate(y)
        ]  # fmt: skip
    if data["loop"] is not None:
        _draw_loop(page.panels[-1], data["loop"], data)
        page.name(page.panels[-1], f"{data['along']['label']} = {data['loop']['at']:g}")
    return Drawing(page.finish(literal(f"{data['diagram']}: {data['outcome']}")), tuple(spots))


def _draw_boundary(panel: Any, one: Mapping[str, Any], number: int, across: Mapping[str, Any]) -> None:
    """The prediction as a line, if there is one, and what was located as points with their brackets."""
    from matplotlib.patheffects import withStroke

    colour, dashes = LINES[number % len(LINES)], DASHES[number // len(LINES) % len(DASHES)]
    cased = [withStroke(linewidth=2.6, foreground="white")]  # to be seen on any colour
    along, low, high = (_array(one[name]) for name in ("along", "low", "high"))
    middle, name = 0.5 * (low + high), literal(one["name"])
    if one["outcome"] != "observed":
        panel.plot(
            along, _array(one["predicted"]), color=colour, ls=dashes, lw=1.2, path_effects=cased,
            label=f"{name}, predicted",
        )  # fmt: skip
    if not np.isfinite(middle).any():
        panel.plot([], [], "o", color=colour, mfc="white", label=f"{name}, located on no row")
        return
    # Nothing else leads the eye from row to row; on an axis with steps there may be islands, which no line joins.
    if one["outcome"] == "observed" and across["step"] is None:
        panel.plot(along, middle, color=colour, ls=dashes, lw=0.8, path_effects=cased, label=f"{name}, between rows")
    inside = bool(np.nanmin(low) >= across["low"] and np.nanmax(high) <= across["high"])
    panel.errorbar(
        along, middle, 0.5 * (high - low), fmt="o", lw=0.8, color=colour, mfc="white", label=f"{name}, located",
        zorder=4, clip_on=not inside,  # points on the border are shown whole
    )  # fmt: skip


def _range(axis: Mapping[str, Any]) -> tuple[float, float]:
    """Where an axis begins and ends: with half a step more, where it has steps."""
    half = 0.0 if axis["step"] is None else 0.5 * axis["step"]
    return axis["low"] - half, axis["high"] + half


def _set_axis(panel: Any, which: str, axis: Mapping[str, Any]) -> None:
    """Scale, range, ticks and label of an axis."""
    from nctheory.report._ticks import even_axis, log_axis

    drawn = getattr(panel, f"{which}axis")
    getattr(panel, f"set_{which}lim")(_range(axis))
    if axis["log"]:
        log_axis(drawn)
    else:
        even_axis(drawn, None if axis["step"] is None else _array(axis["values"]))
    fit_label(panel, which, axis["label"])


def _draw_loop(panel: Any, loop: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """The order parameter on the way up and down again, of every seed, between the predicted jumps."""
    from nctheory.report._ticks import even_axis, log_axis

    values = _array(loop["values"])
    for name, marker, colour in (("up", "^", LINES[0]), ("down", "v", LINES[2])):
        rows = np.array([_array(row) for row in loop[name]])
        panel.axvline(loop[f"predicted_{name}"], color=colour, lw=1.0, ls=PREDICTED, label=f"{name}: predicted jump")
        panel.plot(
            np.repeat(values, rows.shape[1]), rows.ravel(), marker, color=colour, mfc="none", mew=0.7,
            label=f"{name}, {rows.shape[1]} seeds",
        )  # fmt: skip
    (log_axis if data["across"]["log"] else even_axis)(panel.xaxis)
    even_axis(panel.yaxis)
    fit_label(panel, "x", data["across"]["label"])
    fit_label(panel, "y", literal(loop["order"]))


def percent(distances: Iterable[float | None]) -> str:
    """The largest of some distances, None and NaN left out.

    >>> percent([0.001, None]), percent([])
    ('0.1%', '-')
    """
    known = [x for x in distances if x is not None and np.isfinite(x)]
    return f"{100 * max(known):.2g}%" if known else "-"


def phase_table(found: PhaseDiagram) -> FittedTable:
    """One row for each boundary: on how many rows it was located, how far from the prediction, and the verdict."""
    columns = [Column("boundary", number=False, narrowest=NARROW), Column("rows", 6), Column("located", 3)]
    columns += [Column("largest distance", 1), Column("band", 5), Column("tolerance", 4), Column("moved", 1)]
    columns.append(Column("outcome", number=False))
    rows = [
        (
            one.boundary.name,
            str(one.along.size),
            str(int(np.sum(one.state == "found"))),
            percent(one.distance),
            percent(one.band),
            percent([one.tolerance]) if one.judged else "-",
            f"{'refuted' if one.control_refuted else 'NOT REFUTED'} ({_by(one)})" if one.judged else "-",
            one.judge(),
        )
        for one in found.located
    ]
    for one in found.loops:
        for name, branch, predicted in (("up", one.up, one.loop.up), ("down", one.down, one.loop.down)):
            low, high = one.jumps(branch)
            away = np.maximum(np.maximum(low - predicted, predicted - high), 0.0) / abs(predicted)
            rows.append((
                f"loop: jump {name}", "1", str(int(np.sum(np.isfinite(low) & np.isfinite(high)) > 0)), percent(away),
                percent(0.5 * (high - low) / abs(predicted)), "one step",
                f"{'refuted' if one.control_refuted else 'NOT REFUTED'} ({CONTROL_SHIFT} steps)", one.judge(),
            ))  # fmt: skip
    return FittedTable(columns, rows)


def _by(one: LocatedBoundary) -> str:
    """How far the wrong version of a boundary is off."""
    return "a step" if one.step is not None else f"{one.boundary.moved:.1%}"


def phase_lines(found: PhaseDiagram) -> list[str]:
    """What it took, and what was damaged."""
    cells = found.sweep.arrays["value"]
    lines = [
        f"picture: {cells.size // cells.shape[-1]} cells of {cells.shape[-1]} seeds, {int(found.sweep.converged.sum())} of "
        f"{cells.size} solves converged, {int(found.sweep.certified.sum())} certified",
    ]
    if found.uniform:
        lines.append(
            f"boundaries: {found.solves} solves; a uniform grid as fine would take {found.uniform} "
            f"({found.uniform / found.solves:.1f} times as many)"
        )
    return lines + [f"damaged: {one}" for one in found.sweep.damaged]


def _numbers(column: np.ndarray) -> list[float | None]:
    return [float(x) if np.isfinite(x) else None for x in column]


def _array(numbers: list[float | None]) -> np.ndarray:
    return np.array([np.nan if x is None else x for x in numbers], float)
