"""Claims that an observable is equal to a prediction."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, final

import numpy as np

from nctheory.theorems._evidence import Checkpoints, Points
from nctheory.theorems.claims._base import Check, Prediction, direction_of, moved_both_ways
from nctheory.theorems.claims._points import PointClaim, norm_of


@final
@dataclasses.dataclass(frozen=True)
class Equality(PointClaim):
    r"""The observable is the prediction: the Frobenius norm of the difference is the residual.

    The tolerance of an observable with Jacobian J at an end state with gradient g and Hessian A is
    $2\,|JA^+|_2\,(|g|+\epsilon_g)+\epsilon_f$, the pseudo-inverse off the gauge, the $\epsilon$ bounding rounding; at any
    point whatever it is rounding alone. Raises ValueError for a prediction of another shape than the observable.

    >>> import jax.numpy as jnp
    >>> Equality("norm", r"|W|_F^2", lambda problem, params: jnp.sum(params.weights[0] ** 2), lambda m: m.weight_norm).about
    'minimisers'
    """

    kind: ClassVar[str] = "equality"
    rounds: ClassVar[bool] = True

    def check(self, evidence: Points | Checkpoints, predicted: np.ndarray) -> Check:
        observed = evidence.observed[self]
        if predicted.shape != observed.shape[1:] and predicted.shape != ():
            raise ValueError(
                f"predicted: claim {self.name!r} observes shape {observed.shape[1:]}, predicted has {predicted.shape}"
            )
        rows = observed.reshape(observed.shape[0], -1)
        # The residual is |observed - predicted|_F, and its rounding is of the size of the two.
        residual = np.linalg.norm((observed - predicted).reshape(rows.shape), axis=1)
        norm = float(np.linalg.norm(predicted))
        return self.at_points(
            evidence, residual, np.linalg.norm(rows, axis=1) + norm, self.scale_of(evidence, predicted)
        )

    def wrong(self, evidence: Points | Checkpoints, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        # The wrong prediction is off by `resolution` times the scale in norm, spread evenly over its entries.
        step = self.resolution * scale * direction_of(np.broadcast_to(predicted, evidence.observed[self].shape[1:]))
        return moved_both_ways(predicted, step)

    def recheck(self, evidence: Points | Checkpoints, seed: int, predict: Callable[..., Prediction]) -> float | None:
        if self.scope == "any point":
            return None
        assert isinstance(evidence, Points)
        observed, predicted = self.recheck_points(evidence, seed, predict)
        return norm_of(observed - predicted)
