"""What claims about points have in common: an observable, its scope, its tolerance at an end state."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from nctheory.engine import Array, NotExtended, extended
from nctheory.problems import Params, ravel, rounding
from nctheory.theorems._evidence import Checkpoints, EndStates, Points
from nctheory.theorems._thresholds import SAFETY
from nctheory.theorems.claims._base import SCOPES, Check, Claim, Level, Prediction, Scope


@dataclasses.dataclass(frozen=True)
class PointClaim(Claim):
    """A claim about an observable of points (base of several kinds).

    `observe(problem, params)` is what is measured at one point and `predicted(prediction)` what the theorem says of it.
    `terms(problem, params)` is the size of the terms whose difference the observable is, relative to which it is rounded.
    `size(problem, params)` is what errors are relative to where the prediction is zero. Of an observable that is the objective
    (`of_value`) the error at an end state is of second order in the gradient. `moves_like(problem, params)` is for one
    without a derivative, as the smallest of several numbers: it changes by no more, in norm, than what is named here.
    """

    observe: Callable[..., Array]
    predicted: Callable[[Prediction], Any]
    scope: Scope = "minimisers"
    terms: Callable[[Any, Params], Array] | None = dataclasses.field(default=None, kw_only=True)
    size: Callable[[Any, Params], Array] | None = dataclasses.field(default=None, kw_only=True)
    of_value: bool = dataclasses.field(default=False, kw_only=True)
    moves_like: Callable[..., Array] | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scope not in SCOPES:
            raise ValueError(f"scope: expected one of {SCOPES}, got {self.scope!r} in claim {self.name!r}")
        if self.of_value and self.scope == "any point":
            raise ValueError(
                f"of_value: claim {self.name!r} must compare the objective at critical points or minimisers"
            )

    @property
    def about(self) -> str:
        return self.scope

    @property
    def anywhere(self) -> bool:
        return self.scope == "any point"

    @property
    def moves(self) -> bool:
        return self.scope != "any point" and not self.of_value

    def scale_of(self, evidence: Points | Checkpoints, predicted: np.ndarray) -> float:
        """Size of the prediction, or where that is zero what `size` names, or the observable's size where seeds start.

        A prediction is zero also where it is no more than the rounding of the terms that the observable is a difference of.
        """
        norm = float(np.linalg.norm(predicted)) if predicted.size else 0.0
        terms = np.asarray(evidence.terms.get(self, 0.0))
        nothing = float(np.max(rounding(evidence.problem, terms[np.isfinite(terms)]), initial=0.0))
        return norm if norm > nothing else max(norm, evidence.sizes.get(self, 0.0))

    def at_points(self, evidence: Points | Checkpoints, residual: np.ndarray, size: np.ndarray, scale: float) -> Check:
        """The check from residuals at all points: noise, tolerances, and the seeds of the scope."""
        noise = rounding(evidence.problem, size + evidence.terms.get(self, 0.0))
        # What is not finite, or known to no accuracy, can neither support nor refute.
        finite = np.isfinite(residual) & np.isfinite(noise)
        # At any point rounding alone is the tolerance, and every seed speaks at its start and its end, or at each checkpoint.
        if self.scope == "any point":
            speaking = np.tile(evidence.seeds, len(residual) // len(evidence.seeds))
            residual, noise = residual[finite], noise[finite]
            return Check(
                speaking[finite], residual, noise, noise, scale, np.abs(residual) + noise,
                reason="points that were not drawn are not excluded", unknown=np.unique(speaking[~finite]),
            )  # fmt: skip
        assert isinstance(evidence, Points)
        ensemble = evidence.ensemble
        within = evidence.certified if self.scope == "minimisers" else ensemble.converged
        mask = finite & within
        if self.of_value:
            # The objective at a point with gradient g is off by second order in g: that, with the spread of the type's seeds
            # and their rounding, is the type's `value_error`.
            tolerance = np.full(residual.shape, np.inf)
            for one in evidence.types:
                tolerance[one.members] = one.value_error + noise[one.members]
        else:
            # To first order the observable is off by |J A^+| |g|: `sensitivity` is the norm of J A^+ off the gauge, and
            # `gradient_bound` that of g with its rounding. The noise is the rounding of the observable itself.
            tolerance = SAFETY * evidence.sensitivity[self] * evidence.gradient_bound() + noise
        residual, tolerance, noise = residual[mask], tolerance[mask], noise[mask]
        # An error of the prediction is caught for certain once it exceeds residual and tolerance together.
        level, reason = self.level_of(evidence)
        return Check(
            ensemble.seeds[mask], residual, tolerance, noise, scale, np.abs(residual) + tolerance, level, reason,
            conditional=self.scope == "minimisers" and isinstance(evidence, EndStates) and evidence.best_found,
            unknown=ensemble.seeds[within & ~finite],
        )  # fmt: skip

    def level_of(self, evidence: Points) -> tuple[Level, str | None]:
        """Certified where each end state is certified to be the only minimiser, up to the gauge; else sampled."""
        if self.scope != "minimisers" or not isinstance(evidence, EndStates):
            return "sampled", "points of this kind that no seed reached are not excluded"
        if evidence.best_found:
            return "sampled", "the best point found stands for the minimum"
        if evidence.uniqueness is None or not evidence.uniqueness.unique:
            why = evidence.uniqueness.reason if evidence.uniqueness is not None else "not examined"
            return "sampled", f"minimisers of other orbits are not excluded ({why})"
        if evidence.bound.assumes is not None:
            return "sampled", evidence.bound.assumes
        return "certified", None

    def recheck_tolerance(self, evidence: Points | Checkpoints, seed: int, tolerance: float) -> float:
        """With the gradient that the point has in truth: one that cancels in float64 may be zero there, and say nothing."""
        if self.scope == "any point" or self.of_value:
            return tolerance
        assert isinstance(evidence, Points)
        at, point = _end_of(evidence, seed)
        problem = evidence.problem
        try:
            true = norm_of(extended(lambda problem, x: ravel(problem.value_and_grad(x)[1]), problem, point))
        except NotExtended:
            return tolerance
        return tolerance + SAFETY * float(evidence.sensitivity[self][at]) * max(
            true - float(evidence.ensemble.grad_norm[at]), 0.0
        )

    def recheck_points(
        self, evidence: Points, seed: int, predict: Callable[..., Prediction]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Observed and predicted at one end state, in extended precision where that can be."""
        # The end state itself stays that of float64; what is evaluated anew are the observable and the formula.
        _, point = _end_of(evidence, seed)
        observed = np.asarray(extended(self.observe, evidence.problem, point))
        try:
            # A formula that cannot be evaluated with many digits is taken as it is in float64.
            told = extended(lambda problem: self.predicted(predict(problem)), evidence.problem)
        except NotExtended:
            told = self.prediction(evidence.problem, predict(evidence.problem))
        return observed, np.asarray(told)


def _end_of(evidence: Points, seed: int) -> tuple[int, Any]:
    """The place of a seed, and where it ended."""
    at = int(np.flatnonzero(evidence.ensemble.seeds == seed)[0])
    return at, jax.tree.map(lambda x: np.asarray(x[at]), evidence.ensemble.params)


def norm_of(values: Any) -> float:
    """Frobenius norm of an array of numbers of any kind, or of one number."""
    return float(sum((x * x for x in np.ravel(np.asarray(values))), 0)) ** 0.5


__all__ = ["PointClaim", "norm_of"]
