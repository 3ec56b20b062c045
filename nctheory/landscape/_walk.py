"""Steps of the search far from critical points: damped Gauss-Newton by products with the Hessian, many seeds at a time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array
from nctheory.flow import Status, flat_objective
from nctheory.landscape._levenberg import (
    DAMPING_DECREASE,
    DAMPING_INCREASE,
    NEAR_CRITICAL,
    NEGLIGIBLE_GRADIENT,
    RUNNING,
    SearchState,
    at_rounding,
    attempt,
    no_progress,
    orbit_curvature,
)
from nctheory.landscape._shifted import Shifted, shifted_start, shifted_steps, shifted_unfinished
from nctheory.problems import Problem

MIN_FORCING, MAX_FORCING = 1e-2, 0.1
"""The forcing term of the inexact Newton steps: an equation is solved to the relative residual sqrt(|g| / largest |g|), within
these bounds."""
MAX_PRODUCTS, PRODUCTS_PER_BLOCK = 300, 8
"""The largest number of products with the Hessian for one step, in whole blocks, and the number between two looks at the
seeds."""
MAX_NORM_RATIO, MAX_DAMPING_RATIO, PRODUCT_BUDGET_PARTS = 0.95, 10.0, 4
"""The dense Hessian takes over where the equation is not solved and the norm stays above `MAX_NORM_RATIO` of what it was, or
the damping exceeds `MAX_DAMPING_RATIO` times all curvature; below the tolerance where a step gains next to nothing; and when
one part in `PRODUCT_BUDGET_PARTS` of the budget is spent."""


class ProductState(NamedTuple):
    """The state of one seed while its steps are found by products with the Hessian."""

    state: SearchState
    gradient: Array
    spread: Array
    """An estimate of |A|: |A z| with a normal z at the start, and after a step the largest |A v| of its Lanczos vectors."""
    equation: Shifted
    """The equation of the step under way."""


def begin_products(problem: Problem, r: SearchState) -> ProductState:
    """The state of a seed at its start."""
    value_and_grad = flat_objective(problem)
    value, _ = value_and_grad(r.point)
    gradient, product = jax.linearize(lambda y: value_and_grad(y)[1], r.point)
    norm = jnp.linalg.norm(gradient)
    spread = jnp.linalg.norm(product(jnp.asarray(np.random.default_rng(5).normal(size=gradient.size))))
    begin = r._replace(
        value=value,
        grad_norm=norm,
        peak=norm,
        damping=jnp.maximum(0.1 * spread, orbit_curvature(r.point, norm, r.length)),
        steps=r.steps + 3,
    )
    return ProductState(begin, gradient, spread, shifted_start(-gradient))


def product_step(problem: Problem, w: ProductState, tolerance: Array, budget: Array) -> ProductState:
    r"""Take some more products for $p=-(A^2+\mu^2)^{-1}Ag=-\mathrm{Re}\,(A+i\mu)^{-1}g$, a step that is taken if |g| falls."""
    r, value_and_grad = w.state, flat_objective(problem)
    _, product = jax.linearize(lambda y: value_and_grad(y)[1], r.point)
    # A block of iterations of minimal residuals for (A + i mu) x = -g; the real part of x is the damped step.
    equation = shifted_steps(product, r.damping, w.equation, PRODUCTS_PER_BLOCK)
    wanted = jnp.clip(jnp.sqrt(r.grad_norm / r.peak), MIN_FORCING, MAX_FORCING)
    norm, steps = r.grad_norm, r.steps + 2 * (equation.iteration - w.equation.iteration) + 3
    # The equation is done with when it is solved as well as the forcing term asks, or its products are spent.
    over = ~shifted_unfinished(equation, wanted, MAX_PRODUCTS) | (PRODUCT_BUDGET_PARTS * steps >= budget)
    tried = attempt(problem, r, norm, equation.solution)
    solved = jnp.abs(equation.left) <= wanted * equation.initial
    slow = ~solved & (tried.norm > MAX_NORM_RATIO * norm)
    critical = tried.norm <= tolerance
    near = (
        slow
        | (r.damping > MAX_DAMPING_RATIO * w.spread)
        | (PRODUCT_BUDGET_PARTS * steps >= budget)
        | (critical & no_progress(tried, norm))
    )
    status = jnp.where(near, NEAR_CRITICAL, RUNNING)
    at_rest = at_rounding(tried, norm, equation.spread * jnp.linalg.norm(tried.point)) | (
        tried.norm <= NEGLIGIBLE_GRADIENT * tolerance
    )
    status = jnp.where(critical & at_rest, int(Status.CONVERGED), status)
    # Levenberg's rule: less damping after a step that lowers |g|, more after one that does not, at least |g|/|y|.
    least = orbit_curvature(tried.point, tried.norm, r.length)
    damping = jnp.maximum(r.damping * jnp.where(tried.better, DAMPING_DECREASE, DAMPING_INCREASE), least)
    gradient = jnp.where(tried.better, tried.gradient, w.gradient)
    moved = r._replace(
        point=tried.point,
        value=jnp.where(tried.better, tried.value, r.value),
        grad_norm=tried.norm,
        damping=damping,
        peak=jnp.maximum(r.peak, tried.norm),
        status=jnp.where(jnp.isfinite(norm), status, int(Status.DIVERGED)),
    )
    after = ProductState(
        moved, gradient, jnp.where(equation.spread > 0, equation.spread, w.spread), shifted_start(-gradient)
    )
    # While the equation is not done with, the point stays where it is and only the equation has moved on.
    now = ProductState(r, w.gradient, w.spread, equation)
    chosen = jax.tree.map(lambda a, b: jnp.where(over, a, b), after, now)
    return chosen._replace(state=chosen.state._replace(steps=steps))
