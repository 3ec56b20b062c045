"""How a path ended, and the result of following many paths."""

from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import shown
from nctheory.flow._status import MessageEnum


class PathStatus(MessageEnum):
    """How the path of one seed ended; only FOLLOWED and EVENT may support a claim."""

    FOLLOWED = 0, "followed to the last of the times"
    """The path was followed to the last of the times."""
    EVENT = 1, "followed to the event; what comes later is NaN"
    """The path was followed to the event; what comes later is NaN."""
    STEPS_SPENT = 2, "the steps ran out: a larger max_steps, a shorter time, or the implicit method"
    """The number of steps was not enough."""
    LOST = 3, "something stopped being finite, or an implicit step could not be solved"
    """Something stopped being finite, or an implicit step could not be solved."""


@shown()
class Paths(NamedTuple):
    """The paths of many seeds, observed at given times; every array has a leading axis `seeds`."""

    times: np.ndarray
    """The times (of gradient descent: the numbers of steps taken), without a seeds axis."""
    values: Any
    """What was observed, a pytree of arrays seeds x times x …; NaN where the path had ended."""
    error: Any
    """How far, in norm, the observation moved at most up to then, when the path was computed again less well; it has the same
    structure as `values`, with arrays seeds x times. A flow is computed again with thirty times the tolerance, which moves it
    by more than the integrator's error; the error is at least the number of steps times the tolerance, relatively. A descent
    is computed again from a start that is moved by what rounding in every step may add up to. It is NaN where the comparison
    was not asked for."""
    status: np.ndarray
    """The codes of `PathStatus`."""
    steps: np.ndarray
    """The accepted steps of the integrator, or the steps of descent."""
    drift: np.ndarray
    """The largest relative distance, over the times, of what the flow conserves from its law (`Problem.conservation_defect`);
    NaN where nothing is known to be conserved."""
    dissipation: np.ndarray
    """The largest relative error, over the times, of f(0) - f(t) = -int <grad f, velocity>; NaN of a descent. It checks the
    integrator and not the velocity, for the identity holds along any velocity."""
    event_time: np.ndarray
    """The time of the event; NaN where it did not come."""

    @property
    def followed(self) -> np.ndarray:
        """The mask of the seeds that may support a claim."""
        return self.status <= PathStatus.EVENT

    def counts(self) -> dict[str, int]:
        """The number of seeds by the name of their status."""
        return {status.name.lower(): int(np.sum(self.status == status)) for status in PathStatus}
