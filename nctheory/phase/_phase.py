"""`phase_diagram`: order parameters over two hyperparameters, the boundary located, and its distance from the prediction."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nctheory.certificates import gap_closed
from nctheory.engine import float64, is_finite, shown, untraced
from nctheory.flow import Status, as_seeds
from nctheory.phase._diagram import Boundary, Diagram, find_diagram
from nctheory.phase._hysteresis import Hysteresis, follow_loop
from nctheory.phase._judge import LocatedBoundary, PhaseOutcome
from nctheory.phase._locate import Located, between_cells, locate
from nctheory.sweeps import TILE, CellRun, Grid, SweepResult, as_grid, over_grid

CHUNK = 256
"""Seeds of a compiled call: rounds of a refinement are of many sizes, and each size would be a compilation."""

SAME_VALUE = 1e-6
"""The relative distance within which seeds count as at the least value (conventional: far above the rounding of converged
values, and far below the distances of the local minima that were seen)."""


@shown("outcome")
class PhaseDiagram(NamedTuple):
    """A computed diagram: cells of the picture, located boundaries, and what they say."""

    diagram: Diagram
    sweep: SweepResult
    """The cells of the picture."""
    located: tuple[LocatedBoundary, ...]
    """Where each boundary was found, row by row."""
    solves: int
    """Solves that locating the boundaries took."""
    uniform: int
    """Solves of a uniform grid of the same rows that is as fine."""
    loop: Hysteresis | None = None
    """The state followed up and down again, if the diagram asks for it."""

    @property
    def control_refuted(self) -> bool:
        """Whether the same check refutes every boundary moved (see `Boundary.moved`), and every loop, by two steps.

        It is False where nothing is predicted, so that there is nothing to move.
        """
        return bool(self.judged) and all(one.control_refuted for one in self.judged)

    @property
    def judged(self) -> tuple[LocatedBoundary | Hysteresis, ...]:
        """The boundaries of which something is predicted, and the loops."""
        return (*(one for one in self.located if one.judged), *self.loops)

    @property
    def pictured(self) -> tuple[Boundary, ...]:
        """What is drawn over the grid: a boundary for each order parameter, or without boundaries every measure."""
        if not self.diagram.boundaries:
            return tuple(Boundary(name, name) for name in self.diagram.measures)
        # Of several boundaries of one order parameter the first one stands for the picture.
        return tuple({(one.order, one.of): one for one in reversed(self.diagram.boundaries)}.values())[::-1]

    @property
    def loops(self) -> tuple[Hysteresis, ...]:
        """The hysteresis loop, if there is one."""
        return () if self.loop is None else (self.loop,)

    @property
    def outcome(self) -> PhaseOutcome:
        """ "holds" when every predicted boundary lies within its tolerance and the control is refuted.

        It is "observed" when nothing is predicted.
        """
        judged = [one.judge() for one in self.judged]
        if not judged:
            return "observed"
        if "refuted" in judged:
            return "refuted"
        return "holds" if all(one == "holds" for one in judged) and self.control_refuted else "inconclusive"


def order_of(cells: Mapping[str, np.ndarray], boundary: Boundary, certified: bool) -> np.ndarray:
    """The order parameter of every cell from arrays … x seeds; NaN where a cell is undecided."""
    # The gap of a seed is its value minus the lower bound of the minimum, whose rounding `gap_rounding` bounds.
    converged = cells["status"] == int(Status.CONVERGED)
    gaps = cells["value"] - cells["lower_bound"]
    if boundary.of == "fraction":
        # The share of converged seeds whose gap is closed is the order itself.
        at_minimum = converged & gap_closed(gaps, cells["value"], cells["gap_rounding"])
        counted = converged.sum(axis=-1)
        return np.where(counted > 0, at_minimum.sum(axis=-1) / np.maximum(counted, 1), np.nan)
    if boundary.of == "lowest":
        # The least converged value stands for the minimum; a share of none is undecided.
        value = np.where(converged, cells["value"], np.inf)
        least = np.min(value, axis=-1, keepdims=True)
        lowest = value <= least + SAME_VALUE * np.abs(least)
        counted = converged.sum(axis=-1)
        return np.where(counted > 0, (converged & lowest).sum(axis=-1) / np.maximum(counted, 1), np.nan)
    measured = np.where(converged, cells[boundary.order], np.nan)
    if boundary.of == "any":
        largest = np.max(cells[boundary.order], axis=-1, where=converged, initial=-np.inf)
        return np.where(converged.any(axis=-1), largest, np.nan)  # a state that was not reached refutes nothing
    # The order parameter of the seed of least value, which where it is asked for must be certified to be the minimum.
    value = np.where(converged, cells["value"], np.inf)
    best = np.argmin(value, axis=-1)[..., None]
    found = np.take_along_axis(measured, best, axis=-1)[..., 0]
    if certified:
        gap, rounding = (np.take_along_axis(one, best, axis=-1)[..., 0] for one in (gaps, cells["gap_rounding"]))
        # Next to a continuous transition a saddle may be within the gap of a certificate (see `locate_threshold`).
        least = np.min(np.where(np.isfinite(cells["value"]), cells["value"], np.inf), axis=-1)
        reached = np.min(value, axis=-1)
        found = np.where(gap_closed(gap, reached, rounding) & (reached <= least + rounding), found, np.nan)
    return found


@untraced()
@float64
def phase_diagram(
    diagram: str | Diagram,
    *,
    grid: Mapping[str, Sequence[float] | Sequence[int] | np.ndarray] | int = 16,
    rows: int = 33,
    seeds: int | None = None,
    key: int = 0,
    fineness: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    client: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> PhaseDiagram:
    """Compute a phase diagram: a grid of cells for the picture, and the boundaries located on `rows` rows.

    `diagram` is an identifier (see `nct.phase.diagrams()`), a file that registers one (`FILE.py`, of several `FILE.py:ID`),
    or a `Diagram` of your own. `grid` gives values of both axes, or one
    number for each, and `seeds` the starts of every cell (by default as many as the diagram says). On each row, a value of
    the axis `along`, every boundary is bracketed to the relative width `fineness` (by default half of the boundary's
    tolerance) on the axis `across`, by halving cells across which the phase changes; rows between located ones begin at
    their neighbours' boundary. On an axis `across` with a step the boundary lies between two cells of the picture. `folder`,
    `client` and `progress` are those of `sweep`, and so is resuming.

    Raises ValueError, naming the argument, for bad input.

    >>> import nctheory as nct
    >>> found = nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2)
    >>> found.outcome, found.control_refuted
    ('holds', True)
    """
    chosen = find_diagram(diagram) if isinstance(diagram, str) else diagram
    along, across = chosen.along, chosen.across
    if not isinstance(grid, Mapping):
        if isinstance(grid, bool) or not isinstance(grid, int | np.integer) or grid < 2:
            raise ValueError(f"grid: expected at least 2 values on each axis, or their values by name, got {grid!r}")
        grid = {along.name: along.points(grid), across.name: across.points(grid)}
    if set(grid) != {along.name, across.name}:
        raise ValueError(f"grid: expected the axes {along.name!r} and {across.name!r}, got {sorted(grid)}")
    if not isinstance(rows, int | np.integer) or rows < 2:
        raise ValueError(f"rows: expected a whole number of at least 2, got {rows!r}")
    number = chosen.seeds if seeds is None else seeds
    least = min((boundary.tolerance for boundary in chosen.boundaries), default=1.0)
    if fineness is not None and not (is_finite(fineness) and 0 < fineness < least):
        raise ValueError(f"fineness: expected a positive number below the least tolerance {least}, got {fineness}")
    # Predictions are evaluated and checked before anything is computed.
    values = along.points(rows)
    lines = [_predicted(boundary, values, chosen) for boundary in chosen.boundaries]
    options = {"scale": chosen.scale, "method": chosen.method, "chunk": CHUNK}
    cells = as_grid({along.name: grid[along.name], across.name: grid[across.name]})
    with CellRun(chosen.model, as_seeds(number), chosen.measures, key, folder, TILE, client, options) as run:
        return _computed(chosen, run, cells, values, lines, fineness, progress)


def _computed(
    chosen: Diagram,
    run: CellRun,
    cells: Grid,
    values: np.ndarray,
    lines: Sequence[np.ndarray],
    fineness: float | None,
    progress: Callable[[int, int], None] | None,
) -> PhaseDiagram:
    """The picture, then every boundary on the rows `values`, with the folder held throughout."""
    across = chosen.across
    # The cells of the picture are computed first, and serve every boundary.
    picture = over_grid(run, cells, progress)
    located, solves, uniform = [], 0, 0
    axes = [np.asarray(picture.grid.values[i], float) for i in (0, 1)]
    here, there = np.meshgrid(*axes, indexing="ij")
    range_ = (float(across.forth(across.low)), float(across.forth(across.high)))
    for boundary, predicted in zip(chosen.boundaries, lines, strict=True):
        phases = _phases(order_of(picture.arrays, boundary, chosen.certified), boundary, here)
        cells_seen = (here, there, phases)
        if across.step is not None:  # a lattice
            ends = between_cells(axes[1], phases)
            line = boundary.predicted_at(axes[0])
            located.append(LocatedBoundary(boundary, axes[0], *ends, line, cells_seen, across.step))
            continue
        fine = boundary.tolerance / 2 if fineness is None else fineness
        # A width in the coordinate that is `fine` of the prediction where the axis is even in its logarithm.
        # Of no prediction it is that part of the whole axis.
        size = float(np.min(np.abs(predicted))) if boundary.predicted is not None else across.high - across.low
        width = float(np.log1p(fine)) if across.log else fine * size
        ends, asked = _follow(run, chosen, boundary, values, range_, width, progress)
        solves += asked * len(run.numbers)
        # A uniform grid as fine needs ceil(range/width) + 1 cells on each row.
        as_fine = values.size * int(np.ceil((range_[1] - range_[0]) / width) + 1)
        uniform = max(uniform, as_fine * len(run.numbers))  # one grid serves all boundaries
        # The search was in the coordinate in which the axis is even, and its brackets are taken back to values.
        low, high = across.back(ends.low), across.back(ends.high)
        located.append(LocatedBoundary(boundary, values, low, high, ends.state, ends.phase, predicted, cells_seen))
    loop = None
    if chosen.loop is not None:
        loop = follow_loop(chosen, chosen.loop, run.numbers, run.key)
    return PhaseDiagram(chosen, picture, tuple(located), solves, uniform, loop)


def _follow(
    run: CellRun,
    diagram: Diagram,
    boundary: Boundary,
    values: np.ndarray,
    range_: tuple[float, float],
    width: float,
    progress: Callable[[int, int], None] | None,
) -> tuple[Located, int]:
    """One boundary's brackets, and how many cells that took."""
    asked = 0

    # A phase is that of one cell, solved from all seeds; all places of a round are computed together.
    def ordered(rows: np.ndarray, where: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += rows.size
        cells = [
            {diagram.along.name: float(values[row]), diagram.across.name: float(place)}
            for row, place in zip(rows, diagram.across.back(where), strict=True)
        ]
        return _phases(order_of(run(cells, progress).arrays, boundary, diagram.certified), boundary, values[rows])

    return locate(ordered, len(values), range_, width), asked


def _phases(order: np.ndarray, boundary: Boundary, along: np.ndarray) -> np.ndarray:
    """1 ordered, 0 not, NaN undecided."""
    return np.where(np.isnan(order), np.nan, (order > boundary.level_at(along)).astype(float))


def _predicted(boundary: Boundary, values: np.ndarray, diagram: Diagram) -> np.ndarray:
    """The prediction on the rows, after checking that it is a line within the axis (unless that has a step)."""
    found = boundary.predicted_at(values)
    if boundary.predicted is None:
        return found
    if diagram.across.step is not None and not np.any(np.isnan(found)):
        return found
    low, high = diagram.across.low, diagram.across.high
    if not np.all(np.isfinite(found) & (found > low) & (found < high) & (found != 0)):
        raise ValueError(
            f"predicted: boundary {boundary.name!r} of diagram {diagram.id!r} must lie within {low:g} and {high:g} on "
            f"{diagram.across.name!r}, and off 0, got {found}"
        )
    return found
