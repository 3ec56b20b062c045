"""A phase diagram as a picture, as a table, and as data."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nctheory.phase import LocatedBoundary, PhaseDiagram, order_of
from nctheory.report._save import house_style, save_figure

LINES = ("#c8553d", "#000000", "#1b6ca8", "#6a3d9a")


def phase_figure(found: PhaseDiagram, path: str | Path) -> Path:
    """The order parameters over the grid, with the predicted boundaries as lines and the located ones as points.

    One panel for each order parameter that a boundary is about. Undecided cells are grey. Written atomically; the same
    bytes for the same diagram.
    """
    from matplotlib.figure import Figure

    diagram, grid = found.diagram, found.sweep.grid
    x, y = dict(zip(grid.names, grid.values, strict=True)), diagram.across.name
    orders = list(dict.fromkeys((one.boundary.order, one.boundary.of) for one in found.located))
    with house_style():
        figure = Figure(figsize=(0.6 + 4.1 * len(orders), 3.9), layout="constrained")
        panels = figure.subplots(1, len(orders), squeeze=False)[0]
        for panel, (order, of) in zip(panels, orders, strict=True):
            mine = [one for one in found.located if (one.boundary.order, one.boundary.of) == (order, of)]
            cells = order_of(found.sweep.arrays, mine[0].boundary, diagram.certified)
            colours = panel.pcolormesh(x[diagram.along.name], x[y], cells.T, cmap="Blues", shading="nearest", vmin=0.0)
            panel.set_facecolor("0.85")  # what is undecided
            figure.colorbar(colours, ax=panel, label=order + (" (largest of any seed)" if of == "any" else ""))
            for one, colour in zip(mine, itertools.cycle(LINES), strict=False):
                middle, half = 0.5 * (one.low + one.high), 0.5 * (one.high - one.low)
                panel.plot(one.along, one.predicted, color=colour, lw=1.2, label=f"{one.boundary.name}, predicted")
                panel.errorbar(
                    one.along, middle, half, fmt="o", ms=2.6, lw=0.8, color=colour, mfc="white", label="located"
                )
            panel.set_xscale("log" if diagram.along.log else "linear")
            panel.set_yscale("log" if diagram.across.log else "linear")
            panel.set_xlim(diagram.along.low, diagram.along.high)
            panel.set_ylim(diagram.across.low, diagram.across.high)
            panel.set_xlabel(diagram.along.label)
            panel.set_ylabel(diagram.across.label)
            panel.legend(fontsize=7, loc="best", frameon=True, framealpha=0.8)
        figure.suptitle(f"{diagram.id}: {found.outcome}", fontsize=9, x=0.01, ha="left")
        return save_figure(figure, Path(path))


def phase_table(found: PhaseDiagram) -> Table:
    """One row for each boundary: on how many rows it was located, how far from the prediction, and the verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("boundary")
    for heading in ("rows", "located", "largest distance", "band", "tolerance", "moved 3 %"):
        table.add_column(heading, justify="right")
    table.add_column("outcome")
    for one in found.located:
        located = one.state == "found"
        table.add_row(
            one.boundary.name,
            str(one.along.size),
            str(int(np.sum(located))),
            f"{np.nanmax(one.distance):.2%}" if located.any() else "-",
            f"{np.nanmax(one.band):.2%}" if located.any() else "-",
            f"{one.tolerance:.2%}",
            "refuted" if one.control_refuted else "NOT REFUTED",
            one.judge(),
        )
    return table


def phase_lines(found: PhaseDiagram) -> list[str]:
    """What it took, and what was damaged."""
    cells = found.sweep.arrays["value"]
    lines = [
        f"picture: {cells.size // cells.shape[-1]} cells of {cells.shape[-1]} seeds, {int(found.sweep.converged.sum())} of "
        f"{cells.size} solves converged, {int(found.sweep.certified.sum())} certified",
        f"boundaries: {found.solves} solves; a uniform grid as fine would take {found.uniform} "
        f"({found.uniform / max(found.solves, 1):.1f} times as many)",
    ]
    return lines + [f"damaged: {one}" for one in found.sweep.damaged]


def phase_json(found: PhaseDiagram) -> str:
    """Outcome and located boundaries as JSON; the cells are the sweep's."""

    def numbers(column: np.ndarray) -> list[float | None]:
        return [float(x) if np.isfinite(x) else None for x in column]

    def one(located: LocatedBoundary) -> Mapping[str, Any]:
        return {
            "name": located.boundary.name,
            "order": located.boundary.order,
            "level": located.boundary.level,
            "outcome": located.judge(),
            "control_refuted": located.control_refuted,
            "tolerance": located.tolerance,
            "along": numbers(located.along),
            "low": numbers(located.low),
            "high": numbers(located.high),
            "predicted": numbers(located.predicted),
            "state": [str(state) for state in located.state],
        }

    body = {
        "schema_version": 1,
        "diagram": found.diagram.id,
        "outcome": found.outcome,
        "along": found.diagram.along.name,
        "across": found.diagram.across.name,
        "solves": found.solves,
        "uniform": found.uniform,
        "boundaries": [one(located) for located in found.located],
    }
    return json.dumps(body, indent=1) + "\n"
