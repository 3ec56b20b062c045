"""Claims about which critical points have negative curvature."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np

from nctheory.engine import Array
from nctheory.theorems._evidence import Points
from nctheory.theorems._thresholds import MIN_RELATIVE_CURVATURE, SUSPECT_CURVATURE, UNCLEAR
from nctheory.theorems.claims._base import Check, Claim, Prediction


@final
@dataclasses.dataclass(frozen=True)
class Index(Claim):
    """Critical points at which the observable is on the predicted list have no negative curvature off the gauge, all others
    some.

    The observable is a scalar, or a vector that is one row of the list; of points where it is not finite the claim says
    nothing.
    """

    kind: ClassVar[str] = "index"

    observe: Callable[..., Array]
    predicted: Callable[[Prediction], Any]

    @property
    def about(self) -> str:
        return "critical points"

    def check(self, evidence: Points, predicted: np.ndarray) -> Check:
        """Sign of the smallest curvature, type by type; every converged seed speaks for its type.

        Where it ought to be negative the residual is the resolution and the tolerance its size, and the reverse where it is
        positive; where it ought not to be negative the residual is its negative part and the tolerance the resolution. A point
        that ought to be a strict saddle and shows no negative curvature counts against the claim where the resolution is at
        most `MIN_RELATIVE_CURVATURE` of the largest curvature, and stays undecided where it is coarser. Of a type whose
        curvature is negative by `SUSPECT_CURVATURE` to `UNCLEAR` of the resolution, so that its sign is in doubt, the claim
        does not speak.
        """
        ensemble = evidence.ensemble
        observed = evidence.observed[self].reshape(len(ensemble.seeds), -1)
        listed = predicted.reshape(-1, observed.shape[1])
        seeds, residual, tolerance = [np.zeros(0, int)], [np.zeros(0)], [np.zeros(0)]
        for one in evidence.types:
            smallest, resolution = one.smallest_curvature, one.resolution
            place = observed[one.at]  # the type may be a continuum, so both are of one point
            on_list = np.any(np.all(np.abs(listed - place) <= one.value_error, axis=1))
            pair: tuple[float, float] | None
            if one.at >= 0 and not np.all(np.isfinite(place)):
                pair = None  # the claim says nothing of such points
            elif one.fall > 0:
                pair = (one.fall, one.fall_told) if on_list else (one.fall_told, one.fall)
            elif not np.isfinite(smallest):
                pair = (0.0, np.inf)  # no Hessian was taken at this type, or nothing is smooth there: undecided
            elif on_list:
                # On the list, so without negative curvature; one just beyond the resolution may be a neighbour's.
                pair = None if resolution < -smallest <= UNCLEAR * resolution else (max(-smallest, 0.0), resolution)
            elif smallest < -resolution:  # off the list, and a strict saddle as it ought to be
                pair = (resolution, -smallest)
            elif smallest > resolution:  # off the list, and a minimum: refuted
                pair = (smallest, resolution)
            elif smallest < -SUSPECT_CURVATURE * resolution:
                pair = None  # negative, but within the resolution: the sign is in doubt
            elif resolution <= MIN_RELATIVE_CURVATURE * one.largest_curvature:
                # Off the list a curvature of zero counts against the claim, because its resolution is fine enough to show a
                # strict saddle.
                pair = (max(resolution, np.finfo(np.float64).tiny), max(-smallest, 0.0))
            else:
                pair = (0.0, np.inf)
            if pair is None:
                continue
            seeds.append(ensemble.seeds[one.members])
            residual.append(np.full(one.members.size, pair[0]))
            tolerance.append(np.full(one.members.size, pair[1]))
        who, off, allowed = (np.concatenate(column) for column in (seeds, residual, tolerance))
        return Check(
            who, off, allowed, np.zeros(who.size), 0.0, off + allowed,
            reason="critical points that no start reached are not excluded",
        )  # fmt: skip

    def wrong(self, evidence: Points, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        """An empty list: minima ought to be saddles."""
        return [np.full((1, *predicted.shape[1:]), np.nan)]

    @property
    def wrong_version(self) -> str:
        return "no critical point is without negative curvature"
