"""How a run of one seed ended, and the result of many."""

import enum
from typing import NamedTuple

import numpy as np

from nctheory.engine import shown
from nctheory.problems import Params


class Status(enum.IntEnum):
    """Outcome of one seed; only CONVERGED may support a claim."""

    CONVERGED = 0
    """The gradient norm reached the tolerance."""
    STALLED = 1
    """No step made progress, or the hand-over from flow to polish never became safe."""
    BUDGET_SPENT = 2
    """The budget of gradient evaluations ran out first."""
    DIVERGED = 3
    """The point or its value stopped being finite, or ran away with a growing gradient."""
    SADDLE = 4
    """The gradient norm reached the tolerance at a saddle, to which the flow itself led, as from a symmetric start."""
    RECEDING = 5
    """The gradient norm reached the tolerance on the way to infinity, where the value goes on falling."""
    KINK = 6
    """The flow slides along points at which the objective is not differentiable."""

    @property
    def advice(self) -> str:
        """What this end means, and what can be done about it."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "converged to a critical point",
    Status.STALLED: "no step made progress above rounding: a larger tolerance, or a hand-over that never became safe",
    Status.BUDGET_SPENT: "the gradient evaluations ran out: a larger budget goes on",
    Status.DIVERGED: "the objective is not bounded below along the flow, or not finite",
    Status.SADDLE: "the flow led to a saddle, as it does from a symmetric start: another scale or init leaves it",
    Status.RECEDING: "the value falls all the way to infinity and has no minimiser there: a weight decay gives it one",
    Status.KINK: (
        "the objective is not differentiable where the flow stopped (ReLU, hinge, absolute values): its critical points are "
        "not found by this method; smooth the kink, or take nctheory.gradient_descent, which needs none"
    ),
}


@shown()
class Ensemble(NamedTuple):
    """End states of many seeds; every array has a leading axis `seeds`."""

    seeds: np.ndarray
    """The seeds themselves."""
    value: np.ndarray
    """Objective at the end state."""
    grad_norm: np.ndarray
    """Euclidean norm of the gradient at the end state."""
    status: np.ndarray
    """`Status` codes."""
    params: Params
    """End states, a pytree."""
    steps: np.ndarray
    """Gradient evaluations spent, Hessian products counted as two."""
    flow_time: np.ndarray
    """Time for which the gradient flow was followed before the polish."""
    handovers: np.ndarray
    """Attempts to hand over from flow to polish; more than one means that an attempt was rejected."""
    peak_grad_norm: np.ndarray
    """Largest gradient norm seen: the size of the terms that cancel in the gradient at a critical point."""
    tolerance: float
    """Gradient norm asked for, or the largest of several problems' (that of `solve` times the problem's unit of gradients)."""

    @property
    def converged(self) -> np.ndarray:
        """Mask of the seeds that may support a claim."""
        return self.status == Status.CONVERGED

    @property
    def critical(self) -> np.ndarray:
        """Mask of the seeds at a critical point: converged, or at a saddle that their flow led to."""
        return self.converged | (self.status == Status.SADDLE)

    def counts(self) -> dict[str, int]:
        """Number of seeds by status name."""
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
            f"{number} of {np.size(self.status)} seeds {name}: {Status[name.upper()].advice}"
            for name, number in self.counts().items()
            if number and name != "converged"
        ]
        return "; ".join(told) or None
