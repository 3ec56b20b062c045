"""Claims about where, in a parameter, the minimiser changes: located, and held against the located bracket."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np

from nctheory.engine import Array
from nctheory.problems import Params, Problem
from nctheory.theorems._evidence import EndStates
from nctheory.theorems._thresholds import MOVED_WIDTHS, ORDER_LEVEL, THRESHOLD_ROUNDING, THRESHOLD_WIDTH
from nctheory.theorems.claims._base import Check, Claim, Prediction, moved_both_ways, nothing_checked


@final
@dataclasses.dataclass(frozen=True)
class Threshold(Claim):
    """An order parameter of the certified minimiser leaves zero, or crosses `level`, exactly at a predicted parameter.

    `at(problem, x)` is the problem at a value x > 0 of the parameter, with all else as in the instance and of the same shape.
    Between `between(problem)`, two values on either side, the parameter is divided, ever finer, at values at which some end
    state is certified to be the global minimum, to a relative width of 1e-4; `order(problem, params)` at those
    end states says on which side of the threshold each value lies. The prediction must lie in the last bracket; moved by ten
    widths it must not. A threshold is located once for each shape.

    `predicted(prediction)` is the predicted threshold of the instance.
    """

    kind: ClassVar[str] = "threshold"

    at: Callable[[Any, float], Problem]
    order: Callable[[Any, Params], Array]
    predicted: Callable[[Prediction], Any]
    between: Callable[[Any], tuple[float, float]]
    level: float = dataclasses.field(default=ORDER_LEVEL, kw_only=True)
    resolution: float = dataclasses.field(default=MOVED_WIDTHS * THRESHOLD_WIDTH, kw_only=True)
    because: str = dataclasses.field(default="located to a relative width", kw_only=True)

    @property
    def about(self) -> str:
        return "certified end states"

    @property
    def location(self) -> tuple[Any, ...]:
        """What two threshold claims must share to be about one located threshold."""
        return (self.at, self.order, self.between, self.level)

    def check(self, evidence: EndStates, predicted: np.ndarray) -> Check:
        bracket = evidence.brackets.get(self.location)
        if bracket is None:
            return nothing_checked("not sought at this instance")
        # The residual is the distance of the prediction from the bracket, the tolerance the rounding of the prediction.
        told = float(predicted)
        outside = max(bracket.low - told, told - bracket.high, 0.0) if np.isfinite(told) else np.inf
        rounded = THRESHOLD_ROUNDING * abs(told) if np.isfinite(told) else 0.0
        wide = np.array([bracket.high - bracket.low])
        if not np.isfinite(bracket.width):
            return nothing_checked(bracket.reason or "not located")
        # One check speaks for the whole instance, at its first seed; its resolution is the width of the bracket.
        return Check(
            evidence.seeds[:1], np.array([outside]), np.array([rounded]), np.array([rounded]),
            0.5 * (bracket.low + bracket.high), wide, "certified" if evidence.bound.assumes is None else "sampled",
            bracket.reason or evidence.bound.assumes,
        )  # fmt: skip

    def wrong(self, evidence: EndStates, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        # Ten widths of what was asked for, not of what was reached: a bracket that stayed wide refutes nothing.
        return moved_both_ways(predicted, self.resolution * scale)

    @property
    def wrong_version(self) -> str:
        return f"the threshold moved by {MOVED_WIDTHS:g} widths of its bracket"


__all__ = ["Threshold"]
