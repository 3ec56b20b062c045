"""The claim that the global minimum has a predicted value, held between a certificate and an attained value."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np

from nctheory.certificates import GAP_LEVEL, lower_bound, problem_bound
from nctheory.engine import Array, Scalar
from nctheory.problems import Params, Problem, rounding
from nctheory.theorems._evidence import EndStates, Points
from nctheory.theorems.claims._base import Check, Claim, Prediction, moved_both_ways


@final
@dataclasses.dataclass(frozen=True)
class GlobalValue(Claim):
    r"""$\min f$ is the predicted number.

    The value at any point is above the minimum and a certificate below it, so that every seed has a say. The residual is
    the distance of the prediction from the seed's interval [lower bound, value], the tolerance is rounding of the terms of
    both. Without any certificate the best values found stand for the minimum, to a relative 1e-9, and what no seed found may
    yet be there. `terms(problem, params)` is the size of the terms whose difference the prediction is, where it is one.

    >>> GlobalValue("value", r"\min f", lambda minimum: minimum.value).about
    'the minimum'
    """

    kind: ClassVar[str] = "global value"

    predicted: Callable[[Prediction], Any]
    terms: Callable[[Any, Params], Array] | None = dataclasses.field(default=None, kw_only=True)

    @property
    def about(self) -> str:
        return "the minimum"

    def observe(self, problem: Problem, params: Params) -> Scalar:
        """The objective."""
        return problem.objective(params)

    def check(self, evidence: Points, predicted: np.ndarray) -> Check:
        if predicted.shape != ():
            raise ValueError(f"predicted: claim {self.name!r} expects one number, got shape {predicted.shape}")
        told, ensemble, bound = float(predicted), evidence.ensemble, evidence.bound
        value, lower = ensemble.value, bound.lower_bound
        bounded = bool(np.any(bound.valid))
        # The minimum lies between a lower bound and any value. Without a bound the best values stand for it, to a relative
        # gap.
        if not bounded:
            lower = value - GAP_LEVEL * np.abs(value)
        noise = evidence.value_rounding + rounding(
            evidence.problem, np.abs(told) + np.abs(value) + evidence.terms.get(self, 0.0)
        )
        above, below = told - value, lower - told
        outside = np.maximum(np.maximum(above, below), 0.0)
        # A seed without a certificate can refute (a value below the predicted minimum), but it cannot support.
        refutes = np.isfinite(value) & (outside > noise) & (bounded | (above > 0))
        speaks = evidence.certified | refutes
        # An error of the prediction that exceeds the interval and the rounding leaves it, in whatever direction.
        interval = np.where(evidence.certified, np.maximum(value - lower, 0.0), np.inf) + noise
        best_found = isinstance(evidence, EndStates) and evidence.best_found
        return Check(
            ensemble.seeds[speaks], outside[speaks], noise[speaks], noise[speaks], abs(told), interval[speaks],
            "certified" if bounded and bound.assumes is None else "sampled",
            bound.assumes if bounded else "the best value found stands for the minimum",
            conditional=(best_found & (below > 0))[speaks],
        )  # fmt: skip

    def wrong(self, evidence: Points, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        return moved_both_ways(predicted, self.resolution * scale)

    def told(self, evidence: Points, seed: int, predict: Callable[..., Prediction]) -> str:
        at = int(np.flatnonzero(evidence.ensemble.seeds == seed)[0])
        predicted = float(self.prediction(evidence.problem, predict(evidence.problem)))
        value, why = float(evidence.ensemble.value[at]), ""
        # A value above the prediction is no counterexample without what excludes the prediction.
        if predicted < value:
            lower = float(evidence.bound.lower_bound[at])
            why = (
                f"below the lower bound {lower:.12g}, " if evidence.bound.valid[at] else "below the least value found, "
            )
        return f"value {value:.12g}, predicted {predicted:.12g}, {why}"

    def recheck(self, evidence: Points, seed: int, predict: Callable[..., Prediction]) -> float | None:
        import jax

        from nctheory.engine import NotExtended, extended

        at = int(np.flatnonzero(evidence.ensemble.seeds == seed)[0])
        point = jax.tree.map(lambda x: np.asarray(x[at]), evidence.ensemble.params)
        # The value is evaluated anew, and the bound only where the prediction lies below it.
        value = extended(lambda problem, params: problem.objective(params), evidence.problem, point)[()]
        try:
            told = extended(lambda problem: self.predicted(predict(problem)), evidence.problem)[()]
        except NotExtended:
            told = float(self.prediction(evidence.problem, predict(evidence.problem)))
        lower = -np.inf
        if evidence.bound.valid[at] and told < evidence.bound.lower_bound[at]:
            lower = extended(lower_bound, evidence.problem, point)[()]
            # What the problem has whatever the point is proved in float64, with its rounding taken off.
            own = problem_bound(evidence.problem)
            lower = lower if own is None else max(lower, own.lower_bound)
        elif not np.any(evidence.bound.valid):
            lower = value - GAP_LEVEL * abs(value)
        return float(max(told - value, lower - told, 0.0))
