"""What a trial is asked for and what it leaves behind."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from nctheory.falsification._places import Place

WIDTH = 32
"""Starts of one call of the compiled solve; random and structured ones fill a call each (conventional)."""


class Effort(NamedTuple):
    """How hard one trial works."""

    seeds: int = WIDTH
    """Random starts."""
    structured: int = WIDTH
    """Structured starts, of problems that are solved."""


class Violation(NamedTuple):
    """A claim that the judge found to fail."""

    claim: str
    seed: int
    """The number of the start: random ones come first."""
    residual: float
    tolerance: float
    note: str
    """What the evaluation in extended precision said."""
    value: float
    """The objective there; NaN of a path."""
    point: np.ndarray | None
    """The end, as a vector; None of a path."""


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """What a finished trial leaves behind, as plain values."""

    number: int
    round: int
    place: Place
    parameters: dict[str, Any]
    shape: str
    """The shapes of the leaves of the parameters, as text."""
    starts: dict[str, int]
    """The number of starts by family; random ones are "random"."""
    optimisers: dict[str, int]
    """The number of starts by the optimiser that brought them down."""
    statuses: dict[str, int]
    ratios: dict[str, float]
    """The largest residual over tolerance of each claim that was decided."""
    violated: tuple[str, ...]
    """The claims that fail."""
    lowest: list[float] | None
    """The lowest end, as a vector."""
    lowest_value: float | None
    note: str = ""
    """Why nothing was judged, where nothing was."""


class Tried(NamedTuple):
    """A record with the violations, which have points."""

    record: TrialRecord
    violations: tuple[Violation, ...]


__all__ = ["WIDTH", "Effort", "TrialRecord", "Tried", "Violation"]
