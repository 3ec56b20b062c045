"""Claims that a whole curve is a predicted one."""

import dataclasses
from typing import ClassVar, final

import numpy as np

from nctheory.problems import rounding
from nctheory.theorems._evidence import Trajectories
from nctheory.theorems._thresholds import MAX_PATH_TOLERANCE, SAFETY
from nctheory.theorems.claims._base import Check, moved_both_ways
from nctheory.theorems.claims._paths import PathClaim, followed, of_paths, restricted_to, sizes


@final
@dataclasses.dataclass(frozen=True)
class Trajectory(PathClaim):
    """The observable at all observed times is the predicted curve, times x ….

    The tolerance is, time by time, twice the error that the process was found to make there, and rounding. Seeds whose curve
    is not known to a tenth of its largest size are left out, and support nothing; a curve that is off by more than even that
    is a violation. Raises ValueError for a prediction of another shape.
    """

    kind: ClassVar[str] = "trajectory"
    rounds: ClassVar[bool] = True

    def check(self, evidence: Trajectories, predicted: np.ndarray) -> Check:
        path = followed(self, evidence, predicted)
        if path.predicted.shape not in (path.observed.shape, ()):
            raise ValueError(
                f"predicted: claim {self.name!r} observes shape {path.observed.shape[1:]} of a path, predicted has "
                f"{path.predicted.shape[1:]}"
            )
        residual = sizes(path.observed - path.predicted)
        height = sizes(np.broadcast_to(path.predicted, path.observed.shape))
        tolerance = SAFETY * path.error + rounding(evidence.problem, path.size + height + path.terms)
        # Where the prediction vanishes, errors are relative to what was observed and to its terms.
        scale = float(np.max(height, initial=0.0)) or float(np.max(path.size + path.terms, initial=0.0))
        found, coarsest = of_paths(evidence, path, residual, tolerance, scale)
        largest = np.max(path.size + path.terms, axis=1, initial=0.0)
        return restricted_to(found, (coarsest <= MAX_PATH_TOLERANCE * largest) | found.violated, evidence)

    def wrong(self, evidence: Trajectories, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        # The step has the norm `resolution` times the scale at every time.
        entries = int(np.prod(evidence.observed[self].shape[2:]))
        step = self.resolution * scale / np.sqrt(max(entries, 1))
        return moved_both_ways(predicted, step)
