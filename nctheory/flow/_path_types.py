"""What following many paths gives."""

import enum
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import shown


class PathStatus(enum.IntEnum):
    """How the path of one seed ended; only FOLLOWED and EVENT may support a claim."""

    FOLLOWED = 0
    """To the last of the times."""
    EVENT = 1
    """To the event; what comes later is NaN."""
    STEPS_SPENT = 2
    """The number of steps was not enough."""
    LOST = 3
    """Something stopped being finite, or an implicit step could not be solved."""


@shown()
class Paths(NamedTuple):
    """Paths of many seeds, observed at given times; every array has a leading axis `seeds`."""

    times: np.ndarray
    """The times (of gradient descent: the numbers of steps taken), without a seeds axis."""
    values: Any
    """What was observed, a pytree of arrays seeds x times x …; NaN where the path had ended."""
    error: Any
    """Of the same structure, seeds x times: how far, in norm, the observation moved, at most up to then, when the path was
    computed again less well. Of a flow: with thirty times the tolerance, more than the integrator's error, or the number of
    steps times the tolerance, relatively, where that is more; of a descent: from a start moved by what rounding in every
    step may add up to. NaN where the comparison was not asked for."""
    status: np.ndarray
    """`PathStatus` codes."""
    steps: np.ndarray
    """Accepted steps of the integrator, or steps of descent."""
    drift: np.ndarray
    """Largest relative distance of what the flow conserves from its law (see `Problem.conservation_defect`), over the times;
    NaN where nothing is known to be conserved."""
    dissipation: np.ndarray
    """Largest relative error of f(0) - f(t) = -int <grad f, velocity>, over the times; NaN of a descent. It checks the
    integrator, not the velocity, along any of which it is zero."""
    event_time: np.ndarray
    """When the event came; NaN where it did not."""

    @property
    def followed(self) -> np.ndarray:
        """Mask of the seeds that may support a claim."""
        return self.status <= PathStatus.EVENT

    def counts(self) -> dict[str, int]:
        """Number of seeds by status name."""
        return {status.name.lower(): int(np.sum(self.status == status)) for status in PathStatus}
