"""Steps of the search far from critical points: damped Gauss-Newton by products with the Hessian, many seeds at a time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array
from nctheory.flow import Status, flat_objective
from nctheory.landscape._levenberg import (
    EASE,
    HARDEN,
    NEAR,
    RUNNING,
    SETTLED,
    Seeker,
    attempt,
    orbit_curvature,
    rounded,
    unmoved,
)
from nctheory.landscape._shifted import Shifted, shifted_start, shifted_steps, shifted_unfinished
from nctheory.problems import Problem

LEAST_INEXACT, INEXACT = 1e-2, 0.1
"""A step's equation is solved to the relative residual sqrt(|g| / largest |g|), within these bounds."""
MOST_PRODUCTS, PRODUCTS_PER_BLOCK = 300, 8
"""The most products with the Hessian for one step, in whole blocks, and how many are taken between two looks at the seeds."""
SLOW, DAMPED, CHEAP = 0.95, 10.0, 4
"""The dense Hessian takes over where the equation is not solved and the norm does not fall by `SLOW`, where the damping
exceeds `DAMPED` times all curvature, below the tolerance where a step gains next to nothing, or when one part in `CHEAP` of
the budget is spent."""


class Walk(NamedTuple):
    """One seed while its steps are found with products of the Hessian."""

    seeker: Seeker
    gradient: Array
    spread: Array
    """Estimate of |A|: |A z| with z normal where the walk began, from Lanczos vectors after a step."""
    equation: Shifted
    """Of the step under way."""


def begin_walk(problem: Problem, r: Seeker) -> Walk:
    """A seed at its start."""
    value_and_grad = flat_objective(problem)
    value, _ = value_and_grad(r.point)
    gradient, product = jax.linearize(lambda y: value_and_grad(y)[1], r.point)
    norm = jnp.linalg.norm(gradient)
    spread = jnp.linalg.norm(product(jnp.asarray(np.random.default_rng(5).normal(size=gradient.size))))
    begun = r._replace(
        value=value,
        grad_norm=norm,
        peak=norm,
        damping=jnp.maximum(0.1 * spread, orbit_curvature(r.point, norm, r.length)),
        steps=r.steps + 3,
    )
    return Walk(begun, gradient, spread, shifted_start(-gradient))


def walk(problem: Problem, w: Walk, tolerance: Array, budget: Array) -> Walk:
    r"""Some products more for the step $-(A^2+\mu^2)^{-1}Ag=-\mathrm{Re}\,(A+i\mu)^{-1}g$; it is taken if the norm falls."""
    r, value_and_grad = w.seeker, flat_objective(problem)
    _, product = jax.linearize(lambda y: value_and_grad(y)[1], r.point)
    equation = shifted_steps(product, r.damping, w.equation, PRODUCTS_PER_BLOCK)
    wanted = jnp.clip(jnp.sqrt(r.grad_norm / r.peak), LEAST_INEXACT, INEXACT)
    norm, steps = r.grad_norm, r.steps + 2 * (equation.iteration - w.equation.iteration) + 3
    over = ~shifted_unfinished(equation, wanted, MOST_PRODUCTS) | (CHEAP * steps >= budget)
    tried = attempt(value_and_grad, r, norm, equation.solution)
    solved = jnp.abs(equation.left) <= wanted * equation.initial
    slow = ~solved & (tried.norm > SLOW * norm)
    critical = tried.norm <= tolerance
    near = slow | (r.damping > DAMPED * w.spread) | (CHEAP * steps >= budget) | (critical & unmoved(tried, norm))
    status = jnp.where(near, NEAR, RUNNING)
    rests = rounded(tried, norm, equation.spread * jnp.linalg.norm(tried.point)) | (tried.norm <= SETTLED * tolerance)
    status = jnp.where(critical & rests, int(Status.CONVERGED), status)
    least = orbit_curvature(tried.point, tried.norm, r.length)
    damping = jnp.maximum(r.damping * jnp.where(tried.better, EASE, HARDEN), least)
    gradient = jnp.where(tried.better, tried.gradient, w.gradient)
    moved = r._replace(
        point=tried.point,
        value=jnp.where(tried.better, tried.value, r.value),
        grad_norm=tried.norm,
        damping=damping,
        peak=jnp.maximum(r.peak, tried.norm),
        status=jnp.where(jnp.isfinite(norm), status, int(Status.DIVERGED)),
    )
    after = Walk(moved, gradient, jnp.where(equation.spread > 0, equation.spread, w.spread), shifted_start(-gradient))
    now = Walk(r, w.gradient, w.spread, equation)
    chosen = jax.tree.map(lambda a, b: jnp.where(over, a, b), after, now)
    return chosen._replace(seeker=chosen.seeker._replace(steps=steps))
