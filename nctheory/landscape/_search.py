"""The search: a Levenberg-Marquardt method on the gradient, which stops at critical points of every index."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._batching import map_in_blocks, rounded_up
from nctheory._precision import EPS
from nctheory._programs import light_jit, one_at_a_time
from nctheory._types import Array
from nctheory.flow import Ensemble, Status
from nctheory.flow._lanes import run_lanes
from nctheory.flow._program import flat_objective
from nctheory.landscape._starts import search_start
from nctheory.problems import Problem, size, unravel

MOST_PARAMETERS = 1200
"""The search solves with the dense Hessian of every start."""
BLOCK = 512
"""Seeds of one call of the compiled program."""
MATRIX_NUMBERS = 2**18
"""Entries of all Hessians that are worked on at a time."""
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


class _Seed(NamedTuple):
    point: Array
    value: Array
    grad_norm: Array
    damping: Array
    steps: Array
    peak: Array
    status: Array


RUNNING = -1


def _newton(problem: Problem, lanes_seed: _Seed, tolerance: Array, budget: Array) -> _Seed:
    """One damped Gauss-Newton step for |g|^2/2, (A^2 + mu^2) p = -A g, taken if the gradient norm falls."""
    value_and_grad = flat_objective(problem)
    r = lanes_seed
    gradient, product = jax.linearize(lambda y: value_and_grad(y)[1], r.point)
    norm = jnp.linalg.norm(gradient)
    hessian = jax.vmap(product)(jnp.eye(r.point.size))
    hessian = 0.5 * (hessian + hessian.T)
    spread = jnp.linalg.norm(hessian)
    extent = jnp.linalg.norm(r.point)
    floor = LEAST_DAMPING * norm / jnp.maximum(extent, 1.0)
    damping = jnp.maximum(jnp.where(r.damping > 0, r.damping, 0.1 * spread), floor)
    slope = hessian @ gradient
    matrix = hessian @ hessian + (damping**2 + 1e-30 * spread**2) * jnp.eye(r.point.size)
    step = -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), slope)
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
    flat = jnp.linalg.norm(slope) <= FLATNESS * spread * norm
    stuck = (jnp.linalg.norm(step) <= SHORTEST * extent) | (damping > 1e8 * spread) | (flat & (reached > 0.99 * norm))
    status = jnp.where(stuck & ~(now <= tolerance), int(Status.STALLED), RUNNING)
    steps = r.steps + 2 * r.point.size + 1
    status = jnp.where(steps >= budget, int(Status.BUDGET_SPENT), status)
    # Go on below the tolerance while it lasts (at degenerate points it halves), to tell flat directions from curved ones.
    noise = 8.0 * EPS * spread * extent
    settled = (now <= SETTLED * tolerance) | (better & ~(now < SLOWEST * norm)) | (~better & (now <= noise)) | stuck
    status = jnp.where((now <= tolerance) & settled, int(Status.CONVERGED), status)
    status = jnp.where(jnp.isfinite(norm), status, int(Status.DIVERGED))
    return _Seed(
        point=point,
        value=jnp.where(better, value, value_and_grad(r.point)[0]),
        grad_norm=now,
        damping=damping * jnp.where(better, EASE, HARDEN),
        steps=steps,
        peak=jnp.maximum(r.peak, norm),
        status=status,
    )


@one_at_a_time
@partial(light_jit, static_argnames="lanes")
def _search_block(
    problem: Problem, key: PRNGKeyArray, seeds: Array, live: Array, tolerance: Array, budget: Array, lanes: int
) -> _Seed:
    points = map_in_blocks(lambda seed: search_start(problem, key, seed), seeds)
    zero = jnp.zeros(seeds.shape[0])
    records = _Seed(points, zero, zero, zero, zero.astype(int), zero, jnp.full(seeds.shape, RUNNING))
    return run_lanes(
        records,
        live,
        load=lambda r: r,
        advance=lambda r: jax.tree.map(
            lambda a, b: jnp.where(r.status == RUNNING, a, b), _newton(problem, r, tolerance, budget), r
        ),
        finished=lambda r: r.status != RUNNING,
        unload=lambda r: r,
        lanes=lanes,
    )


def search(
    problem: Problem,
    seeds: np.ndarray,
    key: PRNGKeyArray,
    tolerance: float = 1e-10,
    iterations: int = 300,
    progress: Callable[[int], None] | None = None,
    light: bool = False,
) -> Ensemble:
    """Critical points from many starts, as an `Ensemble`: a seed that is `converged` ended at one.

    `stalled` seeds ended where the gradient is not zero but its norm has no descent direction (A g = 0): such gradient-flat
    points are told by three signs, the gradient norm, the length of the step and |A g|, and are never counted. `light` is
    that of `solve`. Raises ValueError for more parameters than the dense Hessian of every start allows.
    """
    parameters = size(problem)
    if parameters > MOST_PARAMETERS:
        raise ValueError(
            f"problem: the search solves with dense Hessians, for at most {MOST_PARAMETERS} parameters, got {parameters}; "
            "take fewer samples a class, or the reduced form (nct.reduce_to_class_means)"
        )
    lanes = int(np.clip(MATRIX_NUMBERS // parameters**2, 1, 32))
    budget = jnp.asarray(iterations * (2 * parameters + 1))
    width, parts = min(BLOCK, rounded_up(len(seeds))), []
    for begin in range(0, len(seeds), width):
        block = np.asarray(seeds[begin : begin + width])
        padded, live = jnp.asarray(np.resize(block, width)), jnp.arange(width) < len(block)
        found = _search_block(problem, key, padded, live, jnp.asarray(tolerance), budget, lanes, light=light)
        parts.append(jax.tree.map(lambda x, n=len(block): np.asarray(x)[:n], found))
        if progress is not None:
            progress(len(block))
    ends = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    zero = np.zeros(len(seeds))
    return Ensemble(
        seeds=np.asarray(seeds),
        value=ends.value,
        grad_norm=ends.grad_norm,
        status=ends.status.astype(np.int8),
        params=unravel(problem, ends.point),
        steps=ends.steps,
        flow_time=zero,
        handovers=zero.astype(int),
        peak_grad_norm=ends.peak,
        tolerance=tolerance,
    )
