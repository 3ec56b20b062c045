"""What every kind of claim has in common: a name, a statement, the error it must be able to see, and a check."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from nctheory.engine import check_name, is_finite
from nctheory.theorems._thresholds import DEFAULT_RESOLUTION

Scope = Literal["minimisers", "critical points", "any point"]
SCOPES: tuple[Scope, ...] = ("minimisers", "critical points", "any point")
Level = Literal["sampled", "certified", "proved"]
LEVELS: tuple[Level, ...] = ("sampled", "certified", "proved")
"""The levels of evidence, from the weakest to the strongest."""
Prediction = Any


class Check(NamedTuple):
    """A claim held against one prediction on one instance; arrays over the seeds of which it speaks."""

    seeds: np.ndarray
    residual: np.ndarray
    tolerance: np.ndarray
    noise: np.ndarray
    """The part of the tolerance that stands for rounding in float64."""
    scale: float
    """The size that errors are relative to: of the prediction or, where that is zero, the one that the claim names."""
    resolution: np.ndarray
    """Error in the prediction that each seed would have caught, in whatever direction; infinite where undecided."""
    level: Level = "sampled"
    reason: str | None = None
    """Why the level is no higher, or why nothing could be said."""
    conditional: np.ndarray | bool = False
    """Violations that count only after a search that was long enough, because the best point found stood for the minimum."""
    unknown: np.ndarray = np.zeros(0, int)
    """Seeds of which nothing is known, because what was observed there is not finite: they support nothing."""

    @property
    def violated(self) -> np.ndarray:
        """Mask of the seeds at which the prediction fails."""
        return self.residual > self.tolerance

    @property
    def decided(self) -> bool:
        """Whether there is a seed to speak of, each with a finite tolerance."""
        return self.seeds.size > 0 and bool(np.all(np.isfinite(self.tolerance)))

    @property
    def tolerance_ratio(self) -> float:
        """Largest residual over tolerance: up to 1 supports, above 1 refutes; 0 for no seeds."""
        if self.seeds.size == 0:
            return 0.0
        # A tolerance of zero is replaced by the least positive number, so that the ratio of any residual above it is huge.
        return float(np.max(np.maximum(self.residual, 0.0) / np.maximum(self.tolerance, np.finfo(np.float64).tiny)))

    @property
    def relative_resolution(self) -> float:
        """Least relative error in the prediction that some seed would have caught; NaN where errors have no size."""
        if self.scale <= 0 or self.resolution.size == 0:
            return np.nan
        # The seed with the finest resolution decides what error in the prediction the check would have caught.
        return float(np.min(self.resolution) / self.scale)

    def without(self, cleared: np.ndarray) -> "Check":
        """The check with some of its violations withdrawn: those seeds neither support nor refute."""
        keep = ~np.isin(self.seeds, cleared)
        conditional = self.conditional if isinstance(self.conditional, bool) else self.conditional[keep]
        return self._replace(
            seeds=self.seeds[keep],
            residual=self.residual[keep],
            tolerance=self.tolerance[keep],
            noise=self.noise[keep],
            resolution=self.resolution[keep],
            conditional=conditional,
        )


def nothing_checked(reason: str) -> Check:
    """A check that found no seed to speak of."""
    none = np.zeros(0)
    return Check(none.astype(int), none, none, none, 0.0, none, reason=reason)


@dataclasses.dataclass(frozen=True)
class Claim(abc.ABC):
    """One checkable sentence of a theorem.

    `resolution` is the relative error in its prediction that a run must be able to see, or the verdict is inconclusive; one
    coarser than 1e-6 needs a reason, `because`. Its wrong version is the prediction moved by exactly that much, and the same
    check must refute it. Each kind of claim is a final class of its own.
    """

    kind: ClassVar[str]
    inequality: ClassVar[bool] = False
    """Whether errors to one side only refute it: then its slack is reported, and its bound must be reached somewhere."""
    rounds: ClassVar[bool] = False
    """Whether its residuals are rounded numbers, which do not all vanish to the last bit unless nothing is measured."""

    name: str
    statement: str
    """The claim in LaTeX, without dollars."""
    resolution: float = dataclasses.field(default=DEFAULT_RESOLUTION, kw_only=True)
    because: str = dataclasses.field(default="", kw_only=True)
    applies: Callable[[Any], bool] = dataclasses.field(default=lambda instance: True, kw_only=True)
    """The instances of which the claim speaks."""

    def __post_init__(self) -> None:
        check_name("claim", self.name)
        if not (is_finite(self.resolution) and self.resolution > 0):
            raise ValueError(
                f"resolution: expected a positive relative error in claim {self.name!r}, got {self.resolution}"
            )
        if self.resolution > DEFAULT_RESOLUTION and not self.because.strip():
            raise ValueError(
                f"resolution: claim {self.name!r} asks to see {self.resolution:g} only; a resolution coarser than "
                f"{DEFAULT_RESOLUTION:g} needs a reason (because=...)"
            )

    @property
    def predicts(self) -> Callable[[Prediction], Any]:
        """What the theorem's prediction says of the observable: the field `predicted`, which every kind has."""
        return getattr(self, "predicted")  # noqa: B009 - a field of each kind, in its own place among the arguments

    @abc.abstractmethod
    def check(self, evidence: Any, predicted: np.ndarray) -> Check:
        """Hold the claim against a prediction."""

    @abc.abstractmethod
    def wrong(self, evidence: Any, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        """The wrong versions of the claim's own kind: predictions moved by `resolution` relative to `scale`."""

    def prediction(self, problem: Any, found: Prediction) -> np.ndarray:
        """What the theorem's prediction says of this claim's observable.

        Raises ValueError where that is no number and no array.
        """
        told = self.predicts(found)
        try:
            return np.asarray(told, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"predicted: claim {self.name!r} expects a number or an array of what `predict` returns, got "
                f"{type(told).__name__} ({str(error).splitlines()[0]})"
            ) from error

    def recheck(self, evidence: Any, seed: int, predict: Callable[..., Prediction]) -> float | None:
        """The residual at one seed in extended precision; None where this kind has no such evaluation.

        Raises `NotExtended` where a function cannot be evaluated so.
        """
        return None

    def recheck_tolerance(self, evidence: Any, seed: int, tolerance: float) -> float:
        """The tolerance at one seed where what it is made of has an evaluation in extended precision too."""
        return tolerance

    def told(self, evidence: Any, seed: int, predict: Callable[..., Prediction]) -> str:
        """What was found at a seed and what was predicted, in words that end with a comma; "" where they are not told."""
        return ""

    @property
    def about(self) -> str:
        """The points of which the claim speaks, in words."""
        return "points"

    # What evidence has to be gathered for a claim: the fields `observe`, `terms` and `size`, of the kinds that have them.

    @property
    def observer(self) -> Callable[..., Any] | None:
        """What is observed at a point, as a function of problem and point."""
        return getattr(self, "observe", None)

    @property
    def changes_with(self) -> Callable[..., Any] | None:
        """What is differentiated to tell how far the observable changes near an end state: it changes by no more than this."""
        return getattr(self, "moves_like", None) or self.observer

    @property
    def terms_of(self) -> Callable[..., Any] | None:
        """Size of the terms whose difference that is."""
        return getattr(self, "terms", None)

    @property
    def size_of(self) -> Callable[..., Any] | None:
        """What errors are relative to where the prediction is zero."""
        return getattr(self, "size", None)

    @property
    def anywhere(self) -> bool:
        """Whether the claim speaks of any point, starts included."""
        return False

    @property
    def moves(self) -> bool:
        """Whether the tolerance depends on how the observable changes about an end state."""
        return False

    @property
    def location(self) -> tuple[Any, ...] | None:
        """What two claims must share to be about one located threshold; None of other claims."""
        return None

    def missing(self, evidence: Any, predicted: np.ndarray) -> int:
        """Entries of a predicted list that do not occur; 0 of other claims."""
        return 0

    @property
    def description(self) -> str:
        """The kind of the claim and what it speaks of, in words."""
        return f"{self.kind}, {self.about}"

    @property
    def wrong_version(self) -> str:
        """The wrong version of the claim's own kind, in words."""
        return f"the prediction moved by a relative {self.resolution:g}"


def moved_both_ways(predicted: np.ndarray, step: np.ndarray | float) -> list[np.ndarray]:
    """The prediction with a step added, and with it taken away."""
    return [np.asarray(predicted + step), np.asarray(predicted - step)]


def direction_of(predicted: np.ndarray) -> np.ndarray:
    """A unit vector of the prediction's shape."""
    # All entries are 1/sqrt(n): a wrong version is off in every entry.
    return np.asarray(np.ones_like(predicted) / np.sqrt(max(predicted.size, 1)))


__all__ = [
    "LEVELS",
    "SCOPES",
    "Check",
    "Claim",
    "Level",
    "Prediction",
    "Scope",
    "direction_of",
    "moved_both_ways",
    "nothing_checked",
]
