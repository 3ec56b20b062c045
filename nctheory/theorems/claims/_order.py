"""Claims about the power by which a size vanishes."""

import dataclasses
from typing import ClassVar, final

import numpy as np

from nctheory.theorems._evidence import Trajectories
from nctheory.theorems._thresholds import MAX_PATH_TOLERANCE, ORDER_CONFIDENCE
from nctheory.theorems.claims._base import Check, moved_both_ways
from nctheory.theorems.claims._paths import PathClaim, followed, noise_of, of_paths, restricted_to


@final
@dataclasses.dataclass(frozen=True)
class Order(PathClaim):
    """A size at the last time vanishes as a power of the initial scale: the predicted one.

    The tolerance is the confidence interval of the regression of logarithms, and what the errors of the single observations
    make of it. Seeds whose order is not known to a tenth support nothing.
    """

    kind: ClassVar[str] = "order"

    def check(self, evidence: Trajectories, predicted: np.ndarray) -> Check:
        path = followed(self, evidence, predicted)
        found, spread = self._slope(evidence, path.observed, noise_of(evidence, path))
        if path.predicted.shape not in (found.shape, ()):
            raise ValueError(
                f"predicted: claim {self.name!r} expects one number a path, predicted has {path.predicted.shape[1:]}"
            )
        scale = float(np.max(np.abs(path.predicted), initial=0.0)) or 1.0
        check, coarsest = of_paths(
            evidence, path, np.abs(found - path.predicted)[:, None], spread[:, None], scale
        )  # fmt: skip
        return restricted_to(check, coarsest <= MAX_PATH_TOLERANCE * scale, evidence)

    def _slope(self, evidence: Trajectories, seen: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope of log size over log scale, and half its confidence interval, per seed."""
        from scipy.special import stdtrit

        # With logarithms centred, the slope of least squares is the sum of x y over that of x^2.
        x = np.log(np.asarray(evidence.spec.initial_scales))
        x = x - x.mean()
        with np.errstate(divide="ignore", invalid="ignore"):
            # To first order the error of log size is the relative error of the size.
            y, error = np.log(seen), noise / seen
        # The slope of least squares. Its interval is Student's, of n - 2 degrees of freedom, and what the errors of the single
        # observations make of the slope.
        weights = x / np.sum(x**2)
        slope = y @ weights
        rest = y - y.mean(axis=1, keepdims=True) - slope[:, None] * x
        deviation = np.sqrt(np.sum(rest**2, axis=1) / (x.size - 2) / np.sum(x**2))
        half = float(stdtrit(x.size - 2, 0.5 * (1.0 + ORDER_CONFIDENCE))) * deviation + error @ np.abs(weights)
        return slope, half

    def wrong(self, evidence: Trajectories, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        return moved_both_ways(predicted, self.resolution * scale)
