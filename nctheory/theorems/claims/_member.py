"""Claims that an observable is one of a predicted list, all of which occur."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np

from nctheory.problems import Params
from nctheory.theorems._evidence import Points
from nctheory.theorems.claims._base import Check, Prediction, moved_both_ways
from nctheory.theorems.claims._points import PointClaim


@final
@dataclasses.dataclass(frozen=True)
class MemberOf(PointClaim):
    """A scalar observable is on a predicted list, and every entry of the list occurs.

    An entry occurs where a seed ended at it or, of an entry that no seed need reach, where `witness(problem)` (critical points
    with a leading axis, entries in the order of the list; NaN for none) has it at a point at which the gradient vanishes.
    With `complete` False the list may have entries that do not occur, for the reason `because` (which is then required). A NaN
    on the list stands for nothing.
    """

    kind: ClassVar[str] = "member"

    complete: bool = dataclasses.field(default=True, kw_only=True)
    witness: Callable[[Any], Params] | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.complete and not self.because.strip():
            raise ValueError(
                f"complete: claim {self.name!r} holds a list with entries that need not occur, which needs a reason "
                "(because=...)"
            )

    def check(self, evidence: Points, predicted: np.ndarray) -> Check:
        observed, listed = evidence.observed[self], np.atleast_1d(predicted)
        listed = listed[np.isfinite(listed)]
        if listed.size == 0:
            raise ValueError(f"predicted: claim {self.name!r} expects a list with at least one finite value, got none")
        if observed.ndim != 1 or listed.ndim != 1:
            raise ValueError(
                f"predicted: claim {self.name!r} holds one number a seed against a list, got {observed.shape[1:]} and "
                f"{predicted.shape}"
            )
        # The residual is the distance from the nearest entry of the list.
        nearest = listed[np.argmin(np.abs(observed[:, None] - listed[None, :]), axis=1)]
        size = np.abs(observed) + np.max(np.abs(listed))
        return self.at_points(evidence, np.abs(observed - nearest), size, float(np.max(np.abs(listed))))

    def missing(self, evidence: Points, predicted: np.ndarray) -> int:
        """Entries of the list that neither a seed nor a witness has."""
        if not self.complete:
            return 0
        listed = np.atleast_1d(predicted)
        # An entry occurs where some type of end states has its value, to the error with which that is known.
        lost = np.array([np.isfinite(v) and not any(one.holds(v) for one in evidence.types) for v in listed])
        if self.witness is not None and np.any(lost):
            lost &= ~_witnessed(self, evidence, listed)
        return int(np.sum(lost))

    def wrong(self, evidence: Points, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        return moved_both_ways(predicted, self.resolution * scale)

    def recheck(self, evidence: Points, seed: int, predict: Callable[..., Prediction]) -> float | None:
        observed, listed = self.recheck_points(evidence, seed, predict)
        return float(min(abs(observed[()] - entry) for entry in np.ravel(listed) if entry == entry))


def _witnessed(claim: MemberOf, evidence: Points, listed: np.ndarray) -> np.ndarray:
    """Entries at whose witness the gradient is zero and the objective is the entry, both to rounding."""
    import jax

    from nctheory.problems import ravel, rounding, value_rounding

    assert claim.witness is not None
    points = jax.tree.map(lambda x: np.asarray(x, np.float64), claim.witness(evidence.problem))
    found = np.zeros(listed.size, bool)
    # A witness is checked as a seed is: its gradient must vanish, and its value be the entry, both to rounding.
    for i, entry in enumerate(listed[: len(jax.tree.leaves(points)[0])]):
        point = jax.tree.map(lambda x, i=i: x[i], points)
        value, slope = evidence.problem.value_and_grad(point)
        norm = float(np.linalg.norm(np.asarray(ravel(point))))
        noise = float(value_rounding(evidence.problem, jax.tree.map(lambda x: x[None], point))[0])
        steep = float(np.linalg.norm(np.asarray(ravel(slope))))
        # The gradient's terms are of the size |A||y|, as in `Points.gradient_bound`.
        top = max((report.largest for report in evidence.reports), default=1.0)
        flat = steep <= rounding(evidence.problem, top * norm + float(np.max(evidence.ensemble.peak_grad_norm)))
        found[i] = flat and abs(float(value) - entry) <= noise + rounding(evidence.problem, abs(entry))
    return found
