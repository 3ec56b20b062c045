"""How a run of one seed ended, and the result of many."""

import enum
from typing import NamedTuple

import numpy as np

from nctheory._shown import shown
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
    """The point or its value stopped being finite."""


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
    """Gradient norm asked for."""

    @property
    def converged(self) -> np.ndarray:
        """Mask of the seeds that may support a claim."""
        return self.status == Status.CONVERGED

    def counts(self) -> dict[str, int]:
        """Number of seeds by status name."""
        return {status.name.lower(): int(np.sum(self.status == status)) for status in Status}
