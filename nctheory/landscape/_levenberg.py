"""One step of the search: damped Gauss-Newton on the gradient, with the dense Hessian."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Scalar
from nctheory.flow import Status, flat_objective
from nctheory.problems import Problem, unravel

EASE, HARDEN = 0.2, 4.0
"""Factors on the damping after a step that lowers the gradient norm and after one that does not."""
LEAST_DAMPING = 1e-3
"""Fraction of the orbit's curvature below which damping never falls."""
FLATNESS = 1e-5
"""A point is gradient-flat where |A g| is at most this fraction of |A||g|."""
SETTLED = 1e-10
"""Fraction of the tolerance below which nothing is gained."""
SLOWEST = 0.97
"""Ratio of gradient norms above which a point below the tolerance is left alone."""
LEAP = 0.1
"""Ratio of gradient norms above which a step may be one to a degenerate point (halving the distance: 1/4 and more)."""
SHORTEST = 1e-11
"""Relative length of a step that is no progress."""


class Seeker(NamedTuple):
    """One seed on its way."""

    point: Array
    value: Array
    grad_norm: Array
    damping: Array
    steps: Array
    peak: Array
    status: Array
    length: Array
    """The problem's unit of parameters."""


RUNNING, NEAR = -1, -2
"""Status codes besides those of `Status`: on the way; and near enough for steps with the dense Hessian."""


class Trial(NamedTuple):
    """What a step came to."""

    point: Array
    value: Array
    gradient: Array
    norm: Array
    better: Array
    doubled: Array
    """Whether twice the step led further down."""


def attempt(value_and_grad: Callable[[Array], tuple[Scalar, Array]], r: Seeker, norm: Array, step: Array) -> Trial:
    """The step, or twice it: at a degenerate critical point, where the gradient is quadratic, Newton's leads half the way."""
    once, twice = (r.point + times * step for times in (1.0, 2.0))
    (value, ahead), (value_twice, ahead_twice) = value_and_grad(once), value_and_grad(twice)
    reached, reached_twice = jnp.linalg.norm(ahead), jnp.linalg.norm(ahead_twice)
    doubled = reached_twice < reached
    point, reached = jnp.where(doubled, twice, once), jnp.where(doubled, reached_twice, reached)
    better = jnp.all(jnp.isfinite(point)) & (reached < norm)
    value, ahead = jnp.where(doubled, value_twice, value), jnp.where(doubled, ahead_twice, ahead)
    return Trial(jnp.where(better, point, r.point), value, ahead, jnp.where(better, reached, norm), better, doubled)


def orbit_curvature(point: Array, norm: Array, length: Array) -> Array:
    """About the curvature that the symmetry orbit shows where the gradient has this norm, |g|/|y|: the least to damp with.

    Next to zero the problem's unit of `length` stands for |y|.
    """
    return norm / jnp.maximum(jnp.linalg.norm(point), length)


def rounded(tried: Trial, norm: Array, size: Array) -> Bool[Array, ""]:
    """Whether the gradient is at its rounding; `size` is |A||y|, by which it is rounded.

    A step that was doubled, or gained little, may lead to a degenerate point: it goes on from there while that lasts, to tell
    flat directions from curved ones.
    """
    leapt = tried.better & ~tried.doubled & (tried.norm <= LEAP * norm)
    still = ~tried.better | unmoved(tried, norm)
    return (leapt & (tried.norm <= EPS * size)) | (still & (tried.norm <= 8.0 * EPS * size))


def unmoved(tried: Trial, norm: Array) -> Bool[Array, ""]:
    """Whether a step gained next to nothing."""
    return tried.better & ~(tried.norm < SLOWEST * norm)


def newton_step(problem: Problem, r: Seeker, tolerance: Array, budget: Array) -> Seeker:
    """One damped Gauss-Newton step for |g|^2/2, (A^2 + mu^2) p = -A g by the Cholesky factor, taken if the norm falls."""
    value_and_grad, size = flat_objective(problem), r.point.size
    (value, gradient), hessian = value_and_grad(r.point), problem.hessian(unravel(problem, r.point))
    norm, extent = jnp.linalg.norm(gradient), jnp.linalg.norm(r.point)
    hessian = 0.5 * (hessian + hessian.T)
    spread = jnp.linalg.norm(hessian)
    slope = hessian @ gradient
    damping = jnp.maximum(
        jnp.where(r.damping > 0, r.damping, 0.1 * spread), LEAST_DAMPING * orbit_curvature(r.point, norm, r.length)
    )
    matrix = hessian @ hessian + (damping**2 + 1e-30 * spread**2) * jnp.eye(size)
    step = -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), slope)
    tried = attempt(value_and_grad, r, norm, step)
    now, better, steps = tried.norm, tried.better, r.steps + 2 * size + 1
    flat = jnp.linalg.norm(slope) <= FLATNESS * spread * norm
    short = jnp.linalg.norm(step) <= SHORTEST * extent
    solved = jnp.all(jnp.isfinite(step))  # where the factor broke down, more damping is tried
    stuck = short | (damping > 1e8 * spread) | (flat & solved & (now > 0.99 * norm))
    status = jnp.where(stuck & ~(now <= tolerance), int(Status.STALLED), RUNNING)
    status = jnp.where(steps >= budget, int(Status.BUDGET_SPENT), status)
    at_rest = (now <= SETTLED * tolerance) | unmoved(tried, norm) | rounded(tried, norm, spread * extent) | stuck
    status = jnp.where((now <= tolerance) & at_rest, int(Status.CONVERGED), status)
    return Seeker(
        point=tried.point,
        value=jnp.where(better, tried.value, value),
        grad_norm=now,
        damping=damping * jnp.where(better, EASE, HARDEN),
        steps=steps,
        peak=jnp.maximum(r.peak, norm),
        status=jnp.where(jnp.isfinite(norm), status, int(Status.DIVERGED)),
        length=r.length,
    )
