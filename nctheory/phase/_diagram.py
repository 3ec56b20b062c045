"""What a phase diagram is to the engine: a model over two parameters, order parameters, and predicted boundaries."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Registry, TheoremFileError, check_identifier, check_name, is_finite, shown
from nctheory.flow import Method
from nctheory.problems import Params, Problem
from nctheory.sweeps import Measure
from nctheory.theorems import BOUNDARY_MOVED, BOUNDARY_WIDTHS, JUMP_LEVEL, ORDER_LEVEL, Source

Of = Literal["minimum", "any", "fraction", "lowest"]


@dataclasses.dataclass(frozen=True)
class Axis:
    """One of the two parameters: its range, and whether it is spread evenly in its logarithm."""

    name: str
    label: str
    """The name as it stands on a figure; TeX between dollar signs."""
    low: float
    """Least value."""
    high: float
    """Largest value."""
    log: bool = False
    """Whether values are spread evenly in their logarithm."""
    step: float | None = None
    """Distance between neighbours, of an axis that has only the values low, low + step, …; None for a continuous one."""

    def __post_init__(self) -> None:
        if not (is_finite(self.low) and is_finite(self.high) and self.low < self.high):
            raise ValueError(f"axis {self.name!r}: expected low < high, got {self.low}, {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"axis {self.name!r}: a logarithmic axis needs low > 0, got {self.low}")
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise ValueError(f"axis {self.name!r}: expected 0 < step <= high - low on an even axis, got {self.step}")

    def forth(self, value: np.ndarray | float) -> np.ndarray:
        """The coordinate in which the axis is even."""
        return np.asarray(np.log(value) if self.log else value, float)

    def back(self, coordinate: np.ndarray | float) -> np.ndarray:
        """Inverse of `forth`."""
        return np.asarray(np.exp(coordinate) if self.log else coordinate, float)

    def points(self, number: int) -> np.ndarray:
        """Evenly spread values, ends included; of an axis with a step all its values, or that many of them."""
        if self.step is not None:
            # Half a step beyond the end keeps the last value in spite of rounding; of too many values evenly spread ones are
            # taken.
            values = np.arange(self.low, self.high + 0.5 * self.step, self.step)
            chosen = values[np.unique(np.linspace(0, values.size - 1, min(number, values.size)).round().astype(int))]
            return chosen.astype(np.int64) if np.all(chosen == np.round(chosen)) else chosen
        return self.back(np.linspace(self.forth(self.low), self.forth(self.high), number))


@dataclasses.dataclass(frozen=True)
class Boundary:
    """A line that the theory draws: where an order parameter leaves zero (or crosses `level`).

    A cell is ordered when the `order` of its seed of least value ("minimum"), or of any of its converged seeds ("any"),
    or the share of its converged seeds certified at the global minimum ("fraction"; `order` is then only a name), or at the
    least value that any of them found, where no certificate is known ("lowest"; `order` is then only a name too), exceeds
    `level`; the theory says that it is below the line (`ordered`), or above. `predicted` maps values of the axis `along` to
    the boundary's place on the axis `across`, and `level` may be such a function too: the transition jumps at least as high
    as a level whose boundary is that of the onset. Without `predicted` it is located and drawn, and nothing is judged: its
    outcome is "observed". A boundary "any" is refuted only by ordered cells beyond it: that no seed
    reached an ordered state is no proof that there is none.
    """

    name: str
    order: str
    predicted: Callable[[np.ndarray], np.ndarray] | None = None
    level: float | Callable[[np.ndarray], np.ndarray] = ORDER_LEVEL
    of: Of = "minimum"
    ordered: Literal["below", "above"] = "below"
    within: float | None = None
    """Relative distance, on the axis `across`, within which the located boundary must lie; None for 1e-4, or 1e-2 for the
    others, which depend on the starts."""

    def __post_init__(self) -> None:
        check_name("boundary", self.name)
        if self.of not in BOUNDARY_WIDTHS:
            raise ValueError(
                f"of: expected one of {', '.join(BOUNDARY_WIDTHS)} in boundary {self.name!r}, got {self.of!r}"
            )
        # The wrong version is off by `BOUNDARY_MOVED` tolerances, which must be less than the whole: else it would reach
        # zero.
        if self.within is not None and not 0 < self.within < 1 / BOUNDARY_MOVED[self.of]:
            raise ValueError(
                f"within: expected a positive number below {1 / BOUNDARY_MOVED[self.of]:.3g} in boundary {self.name!r}, got "
                f"{self.within}"
            )

    @property
    def tolerance(self) -> float:
        """`within`, or what stands for it."""
        return BOUNDARY_WIDTHS[self.of] if self.within is None else self.within

    @property
    def moved(self) -> float:
        """Part of itself by which the wrong version of it is off: ten tolerances, or three where seeds are counted."""
        return BOUNDARY_MOVED[self.of] * self.tolerance

    def predicted_at(self, along: np.ndarray) -> np.ndarray:
        """The prediction at values of the axis `along`; NaN where there is none."""
        if self.predicted is None:
            return np.full(np.shape(along), np.nan)
        return np.broadcast_to(np.asarray(self.predicted(np.asarray(along, float)), float), np.shape(along))

    def level_at(self, along: np.ndarray) -> np.ndarray:
        """The level at values of the axis `along`."""
        level = self.level(np.asarray(along, float)) if callable(self.level) else self.level
        return np.broadcast_to(np.asarray(level, float), np.shape(along))


@dataclasses.dataclass(frozen=True)
class Loop:
    """Hysteresis: the state is followed as the parameter `across` goes up and down again in steps, at one value of `along`.

    Each step begins where the last one ended; on the way up a state whose `order` is at most `level` is replaced by
    `nucleus(problem, key)` first. The theory says where the state jumps up (`up`) and down (`down`).
    """

    at: float
    order: str
    nucleus: Callable[[Problem, PRNGKeyArray], Params]
    up: float
    down: float
    level: float = JUMP_LEVEL


@shown()
@dataclasses.dataclass(frozen=True)
class Diagram:
    """A phase diagram with its predictions; `model(**{along.name: x, across.name: y})` is the problem of a cell.

    Boundaries of which nothing is predicted are located and drawn; without any boundary the measures are drawn, at the seed of
    least value. Where nothing is predicted at all the outcome is "observed".
    """

    id: str
    title: str
    statement: str
    """What is predicted, in LaTeX."""
    along: Axis
    across: Axis
    model: Callable[..., Problem]
    measures: Mapping[str, Measure]
    boundaries: tuple[Boundary, ...]
    """The boundaries that the theory draws, or that are only located; there may be none."""
    hypotheses: tuple[str, ...]
    sources: tuple[Source, ...]
    certified: bool = True
    """Whether a cell counts only if its least value is certified to be the global minimum."""
    scale: float = 1.0
    """Scale of the starts."""
    method: Method = "polish"
    """How seeds are solved. Where the certificate says which of them are at the global minimum, it matters to no boundary
    "minimum" which basins the flow would have chosen; for boundaries "any" it does."""
    loop: Loop | None = None
    """A path along which the state is followed up and down again; None for none."""
    seeds: int = 16
    """Seeds in every cell, unless asked otherwise."""

    def __post_init__(self) -> None:
        check_identifier("diagram", self.id)
        for boundary in self.boundaries:
            if boundary.of not in ("fraction", "lowest") and boundary.order not in self.measures:
                raise ValueError(f"boundary {boundary.name!r}: {boundary.order!r} is no measure of diagram {self.id!r}")
        if self.method == "polish" and any(boundary.of != "minimum" for boundary in self.boundaries):
            raise ValueError(
                f"method: diagram {self.id!r} asks which minima seeds reach; expected a method with the flow"
            )
        if not self.certified and any(boundary.of == "fraction" for boundary in self.boundaries):
            raise ValueError(
                f"certified: diagram {self.id!r} counts seeds at the minimum, which only a certificate tells"
            )
        if not self.boundaries and not self.measures:
            raise ValueError(f"measures: expected at least one in diagram {self.id!r}, which has no boundary")
        if self.loop is not None and self.loop.order not in self.measures:
            raise ValueError(f"loop: {self.loop.order!r} is no measure of diagram {self.id!r}")


_DIAGRAMS = Registry("diagram", Diagram, "nctheory.phase.register_diagram(Diagram(...))")


def register_diagram(diagram: Diagram) -> Diagram:
    """Add a diagram to the list, and return it; ValueError when its identifier is taken by another.

    >>> import dataclasses
    >>> mine = dataclasses.replace(diagrams()["mse-collapse"], id="mse-collapse-again")
    >>> register_diagram(mine) is find_diagram("mse-collapse-again")
    True
    """
    return _DIAGRAMS.add(diagram)


def diagrams() -> dict[str, Diagram]:
    """All diagrams of the package `proofs_numeric`, and those registered by hand, by identifier.

    >>> "minority-collapse" in diagrams()
    True
    """
    return _DIAGRAMS.all()


def find_diagram(identifier: str) -> Diagram:
    """The diagram of that identifier; or the one that a file `….py` registers, or of several `….py:ID`.

    Raises ValueError, with the known ones, for an identifier that no diagram has, and TheoremFileError for a file that does
    not import or registers none. A file that fails after it has registered the diagram asked for is warned of.

    >>> find_diagram("minority-collapse").along.name
    'ratio'
    """
    # Of `FILE.py:ID` only what stands behind the last colon is an identifier; any other colon belongs to the path.
    file, colon, chosen = identifier.rpartition(":")
    if not (colon and file.endswith(".py")):
        file, chosen = identifier, ""
    if not file.endswith(".py"):
        return _DIAGRAMS.find(identifier)
    # A file may fail after it has registered what was asked for: that is warned of, and else the cause of the error.
    new, failed = _DIAGRAMS.load_some(file)
    found = [one for one in new if one.id == chosen or not chosen]
    names = ", ".join(one.id for one in new)
    if len(found) != 1:
        told = f"no {chosen!r}" if chosen else f"{len(new)} diagrams; choose one by {file}:ID"
        raise TheoremFileError(f"diagram file: {file} registers {told} ({names})") from failed
    if failed is not None:
        warnings.warn(f"{failed}; left out is what stands after {names}", UserWarning, stacklevel=2)
    return found[0]
