"""What claims about paths have in common: which seeds they can speak of, and what is known of each."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import Array
from nctheory.problems import Params, rounding
from nctheory.theorems._evidence import Trajectories
from nctheory.theorems._thresholds import SAFETY
from nctheory.theorems.claims._base import Check, Claim, Prediction


@dataclasses.dataclass(frozen=True)
class PathClaim(Claim):
    """A claim about `observe(problem, params, start)` along paths (base of several kinds).

    `predicted(prediction)` is what the theorem says of each path. `logarithmic` says that a figure of the curve wants a
    logarithmic axis.
    """

    observe: Callable[..., Array]
    predicted: Callable[[Prediction], Any]
    terms: Callable[[Any, Params], Array] | None = dataclasses.field(default=None, kw_only=True)
    logarithmic: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def about(self) -> str:
        return "paths"


class Followed(NamedTuple):
    """The part of the evidence of which a claim can speak; leading axis seeds."""

    mask: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    size: np.ndarray
    """Norms of what was observed, seeds x times."""
    terms: np.ndarray
    error: np.ndarray


def followed(claim: PathClaim, evidence: Trajectories, predicted: np.ndarray) -> Followed:
    """Sound paths whose comparison run, by which their error is estimated, was not lost."""
    # A comparison run that was lost leaves an error that is NaN where the observation itself is a number.
    lost = np.any(np.isnan(evidence.errors[claim]) & ~np.isnan(sizes(evidence.observed[claim])), axis=1)
    mask = evidence.sound & ~lost
    observed = evidence.observed[claim][mask]
    told = np.broadcast_to(predicted, (mask.size, *predicted.shape[1:]))[mask] if predicted.ndim else predicted
    terms = evidence.terms.get(claim, np.zeros((mask.size, 1)))[mask]
    return Followed(mask, observed, told, sizes(observed), terms, evidence.errors[claim][mask])


def sizes(x: np.ndarray) -> np.ndarray:
    """Norms of what was observed, seeds x times."""
    return np.linalg.norm(x.reshape(*x.shape[:2], int(np.prod(x.shape[2:]))), axis=2)


def noise_of(evidence: Trajectories, path: Followed) -> np.ndarray:
    """Error of single observations: twice that of the process, and rounding."""
    return SAFETY * path.error + rounding(evidence.problem, path.size + path.terms)


def of_paths(
    evidence: Trajectories, path: Followed, residual: np.ndarray, tolerance: np.ndarray, scale: float
) -> tuple[Check, np.ndarray]:
    """The check at the worst time of each path, and the largest tolerance of each; NaN refutes and supports nothing."""
    # What is not a number becomes a residual of zero under an infinite tolerance, which neither refutes nor supports.
    unknown = np.isnan(residual) | np.isnan(tolerance)
    finite = ~np.any(unknown, axis=1)
    residual, tolerance = np.where(unknown, 0.0, residual), np.where(unknown, np.inf, tolerance)
    # The worst time of a path is that of the largest residual over tolerance.
    worst = np.argmax(residual / np.maximum(tolerance, np.finfo(float).tiny), axis=1)[:, None]
    pick = lambda table: np.take_along_axis(table, worst, axis=1)[:, 0]  # noqa: E731
    # An error of this size at all times is caught, whatever its direction.
    resolution = np.max(residual + tolerance, axis=1, initial=0.0)
    found = Check(
        evidence.seeds[path.mask], pick(residual), pick(tolerance), np.zeros(finite.size), scale, resolution,
        reason="paths from starts that were not drawn are not excluded",
    )  # fmt: skip
    return found, np.where(finite, np.max(tolerance, axis=1, initial=0.0), np.inf)


def restricted_to(check: Check, known: np.ndarray, evidence: Trajectories) -> Check:
    """The check on the seeds of which something is known; all others support nothing."""
    return check._replace(
        unknown=np.setdiff1d(evidence.seeds, check.seeds[known]),
        seeds=check.seeds[known],
        residual=check.residual[known],
        tolerance=check.tolerance[known],
        noise=check.noise[known],
        resolution=check.resolution[known],
    )


__all__ = ["Followed", "PathClaim", "followed", "noise_of", "of_paths", "restricted_to", "sizes"]
