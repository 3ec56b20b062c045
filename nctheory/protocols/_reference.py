"""What counts as the global minimum: a value with its certificate, or the best one known."""

import contextlib
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.certificates import certify, gap_closed
from nctheory.closed_form import NoClosedForm, global_minimum, minimiser
from nctheory.engine import Failure, shown
from nctheory.flow import Ensemble, Status, solve_from, start_vectors
from nctheory.problems import DeepLinear, Params, Problem, template, unravel, value_rounding

POLISH_CHUNK = 64
"""The points that are polished at a time, by one program whatever their number (conventional)."""
Evidence = Literal["certified", "best known"]


@shown()
class Reference(NamedTuple):
    """The value that counts as the global minimum, and why."""

    value: float
    """The lowest value that any converged end had."""
    lower_bound: float
    """The largest proved lower bound; -inf where there is none."""
    evidence: Evidence
    """"certified" where value and bound meet, to 1e-9 of the value and rounding; else "best known"."""
    rounding: float
    """The rounding error of the bound."""
    searched: int
    """The ends among which the value is the lowest."""
    reason: str | None
    """Why nothing is certified, or what the bound rests on; None where all is proved."""

    def reached(self, value: np.ndarray, rounding: np.ndarray | float) -> np.ndarray:
        """Which values are that of the minimum, to 1e-9 of them and rounding."""
        base = self.lower_bound if self.evidence == "certified" else self.value
        gap = np.where(np.isfinite(value), value - base, np.inf)
        return gap_closed(gap, np.where(np.isfinite(value), value, 0.0), rounding + self.rounding)


class Polished(NamedTuple):
    """The ends of a polish, flat; a point that was not finite has diverged."""

    value: np.ndarray
    converged: np.ndarray
    steps: np.ndarray
    points: Float[np.ndarray, "n P"]
    rounding: np.ndarray


def polished(problem: Problem, points: Float[np.ndarray, "n P"], budget: int) -> Polished:
    """Follow the gradient flow from each point to its end, by `nctheory.solve_from`."""
    fine = np.all(np.isfinite(points), axis=1)
    if not fine.any():
        nothing = np.full(len(points), np.inf)
        return Polished(nothing, fine, np.zeros(len(points), int), points, np.zeros(len(points)))
    # In the place of a point that is not finite stands another one, whose end does not count.
    filled = points[np.where(fine, np.arange(len(points)), np.argmax(fine))]
    ends = solve_from(problem, unravel(problem, filled), budget=budget, chunk=POLISH_CHUNK, light=True)
    value = np.where(fine, ends.value, np.inf)
    found = flat(problem, ends.params)
    return Polished(value, ends.converged & fine, ends.steps, found, _rounding(problem, ends, fine))


def _rounding(problem: Problem, ends: Ensemble, fine: np.ndarray) -> np.ndarray:
    good = fine & np.isfinite(ends.value) & (ends.status != Status.DIVERGED)
    if not good.any():
        return np.zeros(len(good))
    index = np.where(good, np.arange(len(good)), np.argmax(good))
    return value_rounding(problem, jax.tree.map(lambda x: np.asarray(x)[index], ends.params))


def flat(problem: Problem, params: Params) -> Float[np.ndarray, "n P"]:
    """Points, a pytree with a leading axis, as rows."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    count = leaves[0].shape[0] if leaves else 0
    own = jax.tree.leaves(template(problem))
    rows = [leaf.reshape(count, like.size) for leaf, like in zip(leaves, own, strict=True)]
    return np.concatenate(rows, axis=1)


def searched(problem: Problem, number: int, key: PRNGKeyArray, scale: float, budget: int) -> Polished:
    """The ends of `number` random starts."""
    starts = start_vectors(problem, key, np.arange(number), jnp.asarray(scale, jnp.float64))
    return polished(problem, np.asarray(starts), budget)


def by_formula(problem: Problem) -> np.ndarray | None:
    """A global minimiser by a theorem's formula, flat; None where no theorem covers the problem."""
    if not isinstance(problem, DeepLinear):
        return None
    with contextlib.suppress(NoClosedForm):
        point = minimiser(problem, global_minimum(problem), 0)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(point)])
    return None


def reference(problem: Problem, values: np.ndarray, points: Float[np.ndarray, "n P"]) -> Reference:
    """The lowest of the values at converged ends, held against the lower bound there.

    Where they do not meet, and a theorem has a formula for a minimiser, this is held against the bound as well. Raises
    ValueError where no end converged, and Failure where the bound contradicts the value.
    """
    if len(values) == 0:
        raise ValueError("problem: no descent converged, so that nothing is known of its minimum")
    best = int(np.argmin(values))
    found = _held(problem, float(values[best]), points[best], len(values))
    if found.evidence == "certified" or (point := by_formula(problem)) is None:
        return found
    value = float(problem.objective(unravel(problem, point)))
    told = _held(problem, value, point, len(values))
    return told if told.evidence == "certified" or value < found.value else found


def _held(problem: Problem, value: float, point: np.ndarray, number: int) -> Reference:
    """The value at a point against the lower bound there."""
    bound = certify(problem, unravel(problem, point[None]))
    lower = float(bound.lower_bound[0]) if bound.valid[0] else -np.inf
    at = np.asarray([value])
    if bound.contradicts(at)[0]:
        raise Failure(f"problem: its lower bound {lower} lies above the value {value} of a point")
    closed = bool(bound.closed(at)[0])
    evidence: Evidence = "certified" if closed else "best known"
    reason = bound.assumes if closed else bound.reason
    return Reference(value, lower, evidence, float(bound.gap_rounding[0]) if closed else 0.0, number, reason)
