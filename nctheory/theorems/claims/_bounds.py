"""Claims that an observable is nowhere above, or nowhere below, a prediction."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, final

import numpy as np

from nctheory.theorems._evidence import Checkpoints, Points
from nctheory.theorems.claims._base import Check, Prediction
from nctheory.theorems.claims._points import PointClaim


@dataclasses.dataclass(frozen=True)
class _Bound(PointClaim):
    """An inequality, entry by entry; `resolution` is how far its bound may be tightened before it is refuted somewhere."""

    inequality: ClassVar[bool] = True
    sign: ClassVar[float]

    def check(self, evidence: Points | Checkpoints, predicted: np.ndarray) -> Check:
        observed = evidence.observed[self]
        if predicted.shape != observed.shape[1:] and predicted.shape != ():
            raise ValueError(
                f"predicted: claim {self.name!r} observes shape {observed.shape[1:]}, predicted has {predicted.shape}"
            )
        rows = observed.reshape(observed.shape[0], -1)
        # The residual is the largest excess of an entry over its bound, negative where all entries keep it.
        residual = np.max(self.sign * (observed - predicted).reshape(rows.shape), axis=1)
        norm = float(np.linalg.norm(predicted))
        return self.at_points(
            evidence, residual, np.linalg.norm(rows, axis=1) + norm, self.scale_of(evidence, predicted)
        )

    def wrong(self, evidence: Points | Checkpoints, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        # The bound is tightened: an upper one is lowered, a lower one raised.
        return [np.asarray(predicted - self.sign * self.resolution * scale)]

    def recheck(self, evidence: Points | Checkpoints, seed: int, predict: Callable[..., Prediction]) -> float | None:
        if self.scope == "any point":
            return None
        assert isinstance(evidence, Points)
        observed, predicted = self.recheck_points(evidence, seed, predict)
        return float(np.max(np.ravel((observed - predicted) * self.sign)))

    @property
    def wrong_version(self) -> str:
        return f"the bound tightened by a relative {self.resolution:g}"


@final
@dataclasses.dataclass(frozen=True)
class UpperBound(_Bound):
    """The observable is at most the prediction, entry by entry."""

    kind: ClassVar[str] = "upper bound"
    sign: ClassVar[float] = 1.0


@final
@dataclasses.dataclass(frozen=True)
class LowerBound(_Bound):
    """The observable is at least the prediction, entry by entry."""

    kind: ClassVar[str] = "lower bound"
    sign: ClassVar[float] = -1.0
