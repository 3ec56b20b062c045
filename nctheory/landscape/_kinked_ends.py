"""A census where the objective has kinks: starts that stop at one are brought down to points stationary in Clarke's sense.

The search lowers the norm of the gradient of one smooth piece at a time. Where pieces meet, a point may be stationary although
no piece has a vanishing gradient there: some mixture of their gradients vanishes, that is, zero lies in Clarke's
subdifferential. Such a start counts as flat, and its end is where the polish at kinks begins.
"""

from typing import Any

import jax
import numpy as np

from nctheory.engine import UnsupportedKinks
from nctheory.flow import Ensemble, Status, solve_from
from nctheory.problems import Problem, kink_places

UNSEEN = (
    "the objective has kinks that cannot be told apart (within a loop or a choice, or of a largest entry): points that are "
    "stationary at these alone are not found, and a Hessian there is that of one side"
)
"""What is said where the kinks of an objective cannot be found or told apart."""


def clarke_ends(problem: Problem, ends: Ensemble) -> tuple[Ensemble, str | None]:
    """The ends of a search with those that stopped at a kink brought down, and what is left open; None of a smooth problem.

    A seed that the search has left as stalled, where the gradient does not vanish and its norm does not fall, is polished from
    there. Where the polish converges, the end is stationary in Clarke's sense and counts as critical, and the norm of its
    gradient is that of an element of the subdifferential; of other seeds nothing changes.
    """
    try:
        if not kink_places(problem):
            return ends, None
    except UnsupportedKinks:
        return ends, UNSEEN
    stopped = np.flatnonzero(ends.status == Status.STALLED)
    brought = np.zeros(0, int)
    if stopped.size:
        points = jax.tree.map(lambda x: np.asarray(x)[stopped], ends.params)
        found = solve_from(problem, points, method="polish", light=True)
        brought, after = stopped[found.converged], jax.tree.map(lambda x: np.asarray(x)[found.converged], found.params)
        changed = {
            name: _with_rows(getattr(ends, name), brought, np.asarray(getattr(found, name))[found.converged])
            for name in ("value", "grad_norm", "status")
        }
        params = jax.tree.map(lambda x, y: _with_rows(x, brought, y), ends.params, after)
        ends = ends._replace(params=params, **changed)
    return ends, (
        f"the objective has kinks: of {stopped.size} starts that stopped at one, {brought.size} were brought down to a point "
        "that is stationary in Clarke's sense; minima are found so, and saddles at kinks may be missing"
    )


def _with_rows(array: Any, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The array with some rows replaced."""
    changed = np.array(array)
    changed[rows] = values
    return changed


__all__ = ["clarke_ends"]
