"""A boundary as computed, held against its prediction."""

from typing import Literal, NamedTuple

import numpy as np

from nctheory.engine import shown
from nctheory.phase._diagram import Boundary
from nctheory.theorems import Outcome

PhaseOutcome = Outcome | Literal["observed"]
"""The outcome of a boundary or a diagram; "observed" where nothing was predicted, so that nothing is held against anything."""


@shown()
class LocatedBoundary(NamedTuple):
    """One boundary of a diagram as computed, row by row, against its prediction."""

    boundary: Boundary
    along: np.ndarray
    """Values of the diagram's axis `along`."""
    low: np.ndarray
    """Brackets on the axis `across`; NaN where no boundary was found."""
    high: np.ndarray
    """Upper ends of the brackets."""
    state: np.ndarray
    """How the search ended on each row."""
    phase: np.ndarray
    """The phase on the low side of the bracket, or of the whole range: 1 ordered, 0 not."""
    predicted: np.ndarray
    """NaN where nothing is predicted."""
    cells: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Cells of the picture: their values on both axes, and their phases."""
    step: float | None = None
    """The step of an axis `across` that has one: the boundary lies between two of its values, and every cell is judged."""

    @property
    def judged(self) -> bool:
        """Whether there is a prediction."""
        return self.boundary.predicted is not None

    @property
    def tolerance(self) -> float:
        """Relative distance within which the boundary must lie."""
        return self.boundary.tolerance

    @property
    def distance(self) -> np.ndarray:
        """Relative distance of the bracket's middle from the prediction; 0 within the bracket, on an axis with a step."""
        # On a lattice the boundary is only known to its bracket, so that within it there is no distance.
        away = np.abs(0.5 * (self.low + self.high) - self.predicted)
        if self.step is not None:
            away = np.maximum(away - 0.5 * (self.high - self.low), 0.0)
        return away / np.abs(self.predicted)

    @property
    def band(self) -> np.ndarray:
        """Half the bracket, relative to the prediction (or to its middle): the boundary is known to distance +/- this."""
        place = self.predicted if self.judged else 0.5 * (self.low + self.high)
        return 0.5 * (self.high - self.low) / np.abs(place)

    def misplaced(self, factor: float = 1.0) -> int:
        """Cells of the picture on the wrong side of `factor` times the prediction by more than the tolerance."""
        # A cell is on the wrong side only if it is off the line by more than the tolerance.
        along, across, phase = self.cells
        line = self.boundary.predicted_at(along.ravel()).reshape(along.shape)
        tolerance = self.tolerance
        if self.step is None:
            line = factor * line
        else:  # a step where a continuous axis moves by `moved`
            line, tolerance = line + (factor - 1) / self.boundary.moved * self.step, 0.0
        below = self.boundary.ordered == "below"
        inside = across < line * (1 - tolerance) if below else across > line * (1 + tolerance)
        outside = across > line * (1 + tolerance) if below else across < line * (1 - tolerance)
        wrong = (phase == 1) & outside
        # Of a boundary "any" disorder on the ordered side is no contradiction: the seeds may have missed the order.
        if self.boundary.of != "any":
            wrong |= (phase == 0) & inside
        return int(np.sum(wrong))

    def judge(self, factor: float = 1.0) -> PhaseOutcome:
        """Is the boundary within the tolerance of `factor` times the prediction on every row, ordered on the right side?

        The outcome is "refuted" if it is certainly not on one row, or a cell of the picture is misplaced, "inconclusive" if a
        row is undecided, and "observed" if nothing is predicted. On an axis with a step every cell must be on its side.
        """
        if not self.judged:
            return "observed"
        # On a lattice the cells are all that is known: each must lie on its side of the line.
        if self.step is not None:
            if self.misplaced(factor):
                return "refuted"
            return "inconclusive" if bool(np.any(np.isnan(self.cells[2]))) else "holds"
        below, any_ = self.boundary.ordered == "below", self.boundary.of == "any"
        predicted, found = factor * self.predicted, self.state == "found"
        # The boundary is somewhere in its bracket: it is certainly too far off where even the nearer end is, and certainly
        # near enough where even the farther end is.
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        apart, band = np.abs(middle - predicted) / np.abs(predicted), half / np.abs(predicted)
        far = found & (apart - band > self.tolerance)
        turned = found & (self.phase != (1.0 if below else 0.0))
        absent = self.state == "absent"
        if any_:  # what no seed reached may yet be there
            far &= middle > predicted if below else middle < predicted
            absent &= self.phase == 1
        if np.any(far | turned | absent) or self.misplaced(factor):
            return "refuted"
        return "holds" if bool(np.all(found & (apart + band <= self.tolerance))) else "inconclusive"

    @property
    def control_refuted(self) -> bool:
        """Whether the same check refutes the boundary `moved` (by a step, where the axis has one).

        It is moved to both sides, or for "any" into the ordered phase. Where there is nothing to move this is False.
        """
        moved = self.boundary.moved
        # Only order beyond the line refutes a boundary "any", so that only a line moved into the ordered phase can be
        # refuted.
        inward = 1 - moved if self.boundary.ordered == "below" else 1 + moved
        factors = (inward,) if self.boundary.of == "any" else (1 - moved, 1 + moved)
        return all(self.judge(factor) == "refuted" for factor in factors)
