"""A step of the search near a critical point: damped Gauss-Newton on the gradient, with the dense Hessian."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array
from nctheory.flow import Status, flat_objective
from nctheory.problems import Problem, ravel, unravel

DAMPING_DECREASE, DAMPING_INCREASE = 0.2, 4.0
"""The factors on the damping after a step that lowers the gradient norm, and after one that does not."""
MIN_DAMPING = 1e-3
"""The damping never falls below this fraction of the orbit's curvature."""
MAX_FLAT_SLOPE = 1e-5
"""A point is gradient-flat where |A g| is at most this fraction of |A||g|."""
NEGLIGIBLE_GRADIENT = 1e-10
"""A gradient norm below this fraction of the tolerance is as good as zero."""
NO_PROGRESS_RATIO = 0.97
"""A step gains next to nothing if the ratio of the gradient norms after and before is above this."""
DEGENERATE_STEP_RATIO = 0.1
"""A step may be one to a degenerate point, which halves the distance, if the ratio of the gradient norms is above this (by
halving it is 1/4 and more)."""
MIN_STEP = 1e-11
"""A step of at most this length, relative to the point, is no progress."""


class SearchState(NamedTuple):
    """The state of one seed of the search."""

    point: Array
    value: Array
    grad_norm: Array
    damping: Array
    steps: Array
    peak: Array
    status: Array
    length: Array
    """The problem's unit of parameters."""


RUNNING, NEAR_CRITICAL = -1, -2
"""The codes of seeds that have not ended, besides those of `Status`: under way; and near enough to a critical point for steps
with the dense Hessian."""


class Trial(NamedTuple):
    """What a step came to; point and norm are the old ones where it was not `better`."""

    point: Array
    value: Array
    gradient: Array
    norm: Array
    better: Array
    doubled: Array
    """Whether twice the step led further down."""


def flat_canonical(problem: Problem, vector: Array) -> Array:
    """`Problem.canonical` of a flat point."""
    if type(problem).canonical is Problem.canonical:
        return vector
    return ravel(problem.canonical(unravel(problem, vector)))


def attempt(problem: Problem, r: SearchState, norm: Array, step: Array) -> Trial:
    """Try the step and twice the step, and take the one with the smaller gradient norm, if that falls.

    At a degenerate critical point, where the gradient is quadratic, Newton's step leads half the way.
    """
    value_and_grad = flat_objective(problem)
    once, twice = (flat_canonical(problem, r.point + times * step) for times in (1.0, 2.0))
    (value, ahead), (value_twice, ahead_twice) = value_and_grad(once), value_and_grad(twice)
    reached, reached_twice = jnp.linalg.norm(ahead), jnp.linalg.norm(ahead_twice)
    doubled = reached_twice < reached
    point, reached = jnp.where(doubled, twice, once), jnp.where(doubled, reached_twice, reached)
    better = jnp.all(jnp.isfinite(point)) & (reached < norm)
    value, ahead = jnp.where(doubled, value_twice, value), jnp.where(doubled, ahead_twice, ahead)
    return Trial(jnp.where(better, point, r.point), value, ahead, jnp.where(better, reached, norm), better, doubled)


def orbit_curvature(point: Array, norm: Array, length: Array) -> Array:
    """About the curvature that the symmetry orbit shows where the gradient has this norm: |g|/|y|.

    Next to zero the problem's unit of `length` stands for |y|.
    """
    return norm / jnp.maximum(jnp.linalg.norm(point), length)


def at_rounding(tried: Trial, norm: Array, size: Array) -> Bool[Array, ""]:
    """Whether the gradient is at its rounding error, which is eps times `size`, |A||y|.

    A step that was doubled, or gained little, may lead to a degenerate point: the search goes on from there while that lasts,
    to tell flat directions from curved ones.
    """
    # After a regular step the norm must be at eps |A||y|; where nothing is gained any more, at eight times that.
    regular = tried.better & ~tried.doubled & (tried.norm <= DEGENERATE_STEP_RATIO * norm)
    still = ~tried.better | no_progress(tried, norm)
    return (regular & (tried.norm <= EPS * size)) | (still & (tried.norm <= 8.0 * EPS * size))


def no_progress(tried: Trial, norm: Array) -> Bool[Array, ""]:
    """Whether a step gained next to nothing."""
    return tried.better & ~(tried.norm < NO_PROGRESS_RATIO * norm)


def newton_step(problem: Problem, r: SearchState, tolerance: Array, budget: Array) -> SearchState:
    """One damped Gauss-Newton step for |g|^2/2, (A^2 + mu^2) p = -A g by the Cholesky factor, taken if the norm falls."""
    # A = Hessian, g = gradient: A g is the gradient of |g|^2/2, whose Gauss-Newton matrix is A^2.
    value_and_grad, size = flat_objective(problem), r.point.size
    (value, gradient), hessian = value_and_grad(r.point), problem.hessian(unravel(problem, r.point))
    norm, extent = jnp.linalg.norm(gradient), jnp.linalg.norm(r.point)
    hessian = 0.5 * (hessian + hessian.T)
    spread = jnp.linalg.norm(hessian)
    slope = hessian @ gradient
    # The damping mu starts at a tenth of |A|_F, and is at least a thousandth of the orbit's curvature |g|/|y|.
    damping = jnp.maximum(
        jnp.where(r.damping > 0, r.damping, 0.1 * spread), MIN_DAMPING * orbit_curvature(r.point, norm, r.length)
    )
    # Levenberg's equation (A^2 + mu^2) p = -A g; mu^2 is at least 1e-30 |A|^2, so that it is never zero.
    matrix = hessian @ hessian + (damping**2 + 1e-30 * spread**2) * jnp.eye(size)
    step = -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), slope)
    tried = attempt(problem, r, norm, step)
    now, better, steps = tried.norm, tried.better, r.steps + 2 * size + 1
    # A seed is stuck where its step is too short, where no damping makes the norm fall, and at a gradient-flat point, where
    # g is not zero but A g is.
    flat = jnp.linalg.norm(slope) <= MAX_FLAT_SLOPE * spread * norm
    short = jnp.linalg.norm(step) <= MIN_STEP * extent
    solved = jnp.all(jnp.isfinite(step))  # where the factor broke down, more damping is tried
    stuck = short | (damping > 1e8 * spread) | (flat & solved & (now > 0.99 * norm))
    status = jnp.where(stuck & ~(now <= tolerance), int(Status.STALLED), RUNNING)
    status = jnp.where(steps >= budget, int(Status.BUDGET_SPENT), status)
    # Below the tolerance a seed goes on until nothing is gained.
    at_rest = (
        (now <= NEGLIGIBLE_GRADIENT * tolerance)
        | no_progress(tried, norm)
        | at_rounding(tried, norm, spread * extent)
        | stuck
    )
    status = jnp.where((now <= tolerance) & at_rest, int(Status.CONVERGED), status)
    return SearchState(
        point=tried.point,
        value=jnp.where(better, tried.value, value),
        grad_norm=now,
        damping=damping * jnp.where(better, DAMPING_DECREASE, DAMPING_INCREASE),
        steps=steps,
        peak=jnp.maximum(r.peak, norm),
        status=jnp.where(jnp.isfinite(norm), status, int(Status.DIVERGED)),
        length=r.length,
    )
