"""One step of the search: damped Gauss-Newton on the gradient, with the dense Hessian or with products of it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._precision import EPS
from nctheory._types import Array
from nctheory.flow import Status
from nctheory.flow._handover import conjugate_gradients
from nctheory.flow._program import flat_objective
from nctheory.problems import Problem, ravel, unravel

EASE, HARDEN = 0.2, 4.0
"""Factors on the damping after a step that lowers the gradient norm and after one that does not."""
LEAST_DAMPING = 1e-3
"""Damping never falls below this many |g|/max(|y|, 1), about the curvature that the symmetry orbit shows at a gradient g."""
FLATNESS = 1e-5
"""A point is gradient-flat where |A g| is at most this fraction of |A||g|."""
SETTLED = 1e-10
"""Fraction of the tolerance below which nothing is gained."""
SLOWEST = 0.97
"""Ratio of gradient norms above which a point below the tolerance is left alone."""
SHORTEST = 1e-11
"""Relative length of a step that is no progress."""
INEXACT, MOST_PRODUCTS = 0.03, 300
"""Relative residual to which the step's equation is solved far from a critical point, and the most Hessian products for it."""
CLOSE, SLOW, CHEAP = 1e-7, 0.95, 0.25
"""The dense Hessian takes over when the gradient norm is below `CLOSE` of its largest, or where the equation is not solved
and the norm does not fall by `SLOW`, or when the part `CHEAP` of the budget is spent."""


class Seeker(NamedTuple):
    """One seed on its way."""

    point: Array
    value: Array
    grad_norm: Array
    damping: Array
    steps: Array
    peak: Array
    status: Array


RUNNING, NEAR = -1, -2
"""Status codes besides those of `Status`: on the way; and near enough for steps with the dense Hessian."""
Step = tuple[Array, Array, Array, Array, Array]
"""A step, A g, an estimate of |A|_F, gradients spent, and whether the step's equation was solved."""


def _dense_step(problem: Problem, point: Array, damping_of: Callable[[Array], Array]) -> Step:
    """The solution of (A^2 + mu^2) p = -A g by the Cholesky factor, mu a function of |A|_F."""
    params, size = unravel(problem, point), point.size
    gradient, hessian = ravel(problem.value_and_grad(params)[1]), problem.hessian(params)
    hessian = 0.5 * (hessian + hessian.T)
    spread = jnp.linalg.norm(hessian)
    slope = hessian @ gradient
    matrix = hessian @ hessian + (damping_of(spread) ** 2 + 1e-30 * spread**2) * jnp.eye(size)
    step = -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), slope)
    return step, slope, spread, jnp.asarray(2 * size + 1), jnp.asarray(True)


def _krylov_step(problem: Problem, point: Array, damping_of: Callable[[Array], Array]) -> Step:
    """The same, inexactly, by conjugate gradients; |A|_F is estimated by |A z| with z normal."""
    value_and_grad = flat_objective(problem)
    gradient, product = jax.linearize(lambda y: value_and_grad(y)[1], point)
    probe = jnp.asarray(np.random.default_rng(5).normal(size=gradient.size))  # a constant of the program
    spread, slope = jnp.linalg.norm(product(probe)), product(gradient)
    squared = damping_of(spread) ** 2
    step, residual, iterations, _ = conjugate_gradients(
        lambda v: product(product(v)) + squared * v, -slope, INEXACT, MOST_PRODUCTS // 2
    )
    return step, slope, spread, 4 * iterations + 5, residual <= INEXACT


def newton_step(problem: Problem, r: Seeker, tolerance: Array, budget: Array, dense: bool) -> Seeker:
    """One damped Gauss-Newton step for |g|^2/2, (A^2 + mu^2) p = -A g, taken if the gradient norm falls."""
    value_and_grad = flat_objective(problem)
    norm, extent = jnp.linalg.norm(value_and_grad(r.point)[1]), jnp.linalg.norm(r.point)
    floor = LEAST_DAMPING * norm / jnp.maximum(extent, 1.0)

    def damping_of(spread: Array) -> Array:
        return jnp.maximum(jnp.where(r.damping > 0, r.damping, 0.1 * spread), floor)

    step, slope, spread, spent, solved = (_dense_step if dense else _krylov_step)(problem, r.point, damping_of)
    damping = damping_of(spread)
    # At a degenerate critical point, where the gradient is quadratic, Newton's step leads half the way: twice it is tried too.
    once, twice = (r.point + times * step for times in (1.0, 2.0))
    (value, ahead), (value_twice, ahead_twice) = value_and_grad(once), value_and_grad(twice)
    reached, reached_twice = jnp.linalg.norm(ahead), jnp.linalg.norm(ahead_twice)
    doubled = reached_twice < reached
    target, value = jnp.where(doubled, twice, once), jnp.where(doubled, value_twice, value)
    reached = jnp.where(doubled, reached_twice, reached)
    better = jnp.all(jnp.isfinite(target)) & (reached < norm)
    point = jnp.where(better, target, r.point)
    now = jnp.where(better, reached, norm)
    steps, peak = r.steps + spent, jnp.maximum(r.peak, norm)
    if dense:
        flat = jnp.linalg.norm(slope) <= FLATNESS * spread * norm
        short = jnp.linalg.norm(step) <= SHORTEST * extent
        stuck = short | (damping > 1e8 * spread) | (flat & (reached > 0.99 * norm))
        status = jnp.where(stuck & ~(now <= tolerance), int(Status.STALLED), RUNNING)
        status = jnp.where(steps >= budget, int(Status.BUDGET_SPENT), status)
        # Go on below the tolerance while it lasts (at degenerate points it halves), to tell flat directions from curved ones.
        noise = 8.0 * EPS * spread * extent
        settled = (now <= SETTLED * tolerance) | (better & ~(now < SLOWEST * norm)) | (~better & (now <= noise)) | stuck
        status = jnp.where((now <= tolerance) & settled, int(Status.CONVERGED), status)
    else:
        slow = ~solved & (now > SLOW * norm)
        near = (now <= CLOSE * peak) | slow | (damping > spread) | (steps >= CHEAP * budget)
        status = jnp.where(near, NEAR, RUNNING)
    return Seeker(
        point=point,
        value=jnp.where(better, value, value_and_grad(r.point)[0]),
        grad_norm=now,
        damping=damping * jnp.where(better, EASE, HARDEN),
        steps=steps,
        peak=peak,
        status=jnp.where(jnp.isfinite(norm), status, int(Status.DIVERGED)),
    )
