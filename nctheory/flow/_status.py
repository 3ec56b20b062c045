"""How the run of one seed ended, and the result of many seeds."""

import enum
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import shown
from nctheory.problems import Params


class MessageEnum(enum.IntEnum):
    """An enumeration whose members carry a message besides their code."""

    message: str
    """What this end means, and what can be done about it."""

    def __new__(cls, code: int, message: str = "") -> Any:
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member


class Status(MessageEnum):
    """The outcome of one seed; only CONVERGED may support a claim. The member's `message` says what can be done about it."""

    CONVERGED = 0, "converged to a critical point"
    """The gradient norm reached the tolerance."""
    STALLED = 1, "no step made progress above rounding: a larger tolerance, or a hand-over that never became safe"
    """No step made progress, or the hand-over from flow to polish never became safe."""
    BUDGET_SPENT = 2, "the gradient evaluations ran out: a larger budget goes on"
    """The budget of gradient evaluations ran out first."""
    DIVERGED = 3, "the objective is not bounded below along the flow, or not finite"
    """The point or its value stopped being finite, or ran away with a growing gradient."""
    SADDLE = 4, "the flow led to a saddle, as it does from a symmetric start: another scale or init leaves it"
    """The gradient norm reached the tolerance at a saddle, to which the flow itself led, as from a symmetric start."""
    RECEDING = 5, "the value falls all the way to infinity and has no minimiser there: a weight decay gives it one"
    """The gradient norm reached the tolerance on the way to infinity, where the value goes on falling."""
    KINK = (
        6,
        "the objective is not differentiable where the search stopped (ReLU, hinge, absolute values), and the point is not "
        "stationary in Clarke's sense to the tolerance; a larger budget goes on, unless kinks lie within a loop, which are "
        "not rounded off: smooth these, or take nctheory.gradient_descent, which needs none",
    )
    """The search stopped among points at which the objective is not differentiable, short of a stationary one."""


@shown()
class Ensemble(NamedTuple):
    """The end states of many seeds; every array has a leading axis `seeds`."""

    seeds: np.ndarray
    """The numbers of the seeds."""
    value: np.ndarray
    """The objective at the end state."""
    grad_norm: np.ndarray
    """The Euclidean norm of the gradient at the end state."""
    status: np.ndarray
    """The codes of `Status`."""
    params: Params
    """The end states, a pytree."""
    steps: np.ndarray
    """The gradient evaluations spent; a product with the Hessian counts as two."""
    flow_time: np.ndarray
    """The time for which the gradient flow was followed before the polish."""
    handovers: np.ndarray
    """The attempts to hand over from flow to polish; more than one means that an attempt was rejected."""
    peak_grad_norm: np.ndarray
    """The largest gradient norm seen, which is the size of the terms that cancel in the gradient at a critical point."""
    tolerance: float
    """The gradient norm asked for (that of `solve` times the problem's unit of gradients); of several problems the largest."""

    @property
    def converged(self) -> np.ndarray:
        """The mask of the seeds that may support a claim."""
        return self.status == Status.CONVERGED

    @property
    def critical(self) -> np.ndarray:
        """The mask of the seeds at a critical point: converged, or at a saddle that their flow led to."""
        return self.converged | (self.status == Status.SADDLE)

    def counts(self) -> dict[str, int]:
        """The number of seeds by the name of their status."""
        return {status.name.lower(): int(np.sum(self.status == status)) for status in Status}

    @property
    def caveat(self) -> str | None:
        """How many seeds did not converge, why, and what to do; None where all did.

        >>> import numpy as np
        >>> one = np.zeros(2)
        >>> ends = Ensemble(np.arange(2), one, one, np.array([0, 2]), {}, one, one, one, one, 1e-10)
        >>> ends.caveat
        '1 of 2 seeds budget_spent: the gradient evaluations ran out: a larger budget goes on'
        """
        told = [
            f"{number} of {np.size(self.status)} seeds {name}: {Status[name.upper()].message}"
            for name, number in self.counts().items()
            if number and name != "converged"
        ]
        return "; ".join(told) or None
