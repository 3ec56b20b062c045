"""`search`: a Levenberg-Marquardt method on the gradient's norm, which stops at critical points of every index."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, fast_compile, float64, rounded_up, run_lanes
from nctheory.flow import Ensemble
from nctheory.landscape._levenberg import NEAR_CRITICAL, RUNNING, SearchState, newton_step
from nctheory.landscape._starts import search_starts
from nctheory.landscape._walk import begin_products, product_step
from nctheory.problems import Problem, expect_problem, scales_of, size, unravel

MAX_PARAMETERS = 1200
"""The search ends with the dense Hessian where products with it do not lead to a critical point."""
BLOCK = 1024
"""The largest number of seeds of one call of the compiled program."""
MATRIX_NUMBERS = 2**18
"""The number of entries of all Hessians that are worked on at a time."""

_starts = partial(fast_compile, static_argnames="lanes")(search_starts)


@partial(fast_compile, static_argnames="lanes")
def _walk(
    problem: Problem, states: SearchState, live: Array, tolerance: Array, budget: Array, lanes: int
) -> SearchState:
    return run_lanes(
        states,
        live,
        load=lambda r: begin_products(problem, r),
        advance=lambda w: product_step(problem, w, tolerance, budget),
        finished=lambda w: w.state.status != RUNNING,
        unload=lambda w: w.state,
        lanes=lanes,
    )


@partial(fast_compile, static_argnames="lanes")
def _seek(
    problem: Problem, states: SearchState, live: Array, tolerance: Array, budget: Array, lanes: int
) -> SearchState:
    return run_lanes(
        states,
        live & (states.status == RUNNING),
        load=lambda r: r,
        advance=lambda r: newton_step(problem, r, tolerance, budget),
        finished=lambda r: r.status != RUNNING,
        unload=lambda r: r,
        lanes=lanes,
    )


def _lanes(parameters: int) -> int:
    """The number of seeds worked on at a time, which depends on the problem alone.

    Sums are rounded differently in one lane than in many, and a start between two basins would end in the other. (48, 200 and
    1,000 parameters: 32, 32 and 8, measured to be the fastest within a tenth.)
    """
    return 1 << int(np.clip(2**13 // parameters, 8, 32)).bit_length() - 1


def search(
    problem: Problem,
    seeds: np.ndarray,
    key: PRNGKeyArray,
    tolerance: float = 1e-10,
    iterations: int = 300,
    progress: Callable[[int], None] | None = None,
    light: bool = False,
) -> Ensemble:
    """Search for critical points from many starts; a seed of the `Ensemble` that is `converged` ended at one.

    `stalled` seeds ended where the gradient is not zero but its norm has no descent direction (A g = 0): such gradient-flat
    points are told by three signs, the gradient norm, the length of the step and |A g|, and are never counted. A seed ends at
    the same point, to the last bit (of one compiler), whatever is searched beside it. `tolerance` is in the problem's unit of
    gradients (`Problem.characteristic_scales`); `light` is that of `solve`.
    Raises ValueError for more parameters than the dense Hessian of every start allows.
    """
    expect_problem(problem)
    parameters = size(problem)
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            f"problem: the search solves with dense Hessians, for at most {MAX_PARAMETERS} parameters, got {parameters}; "
            "take fewer samples a class, or the reduced form (nct.problems.reduce_to_class_means)"
        )
    lanes = _lanes(parameters)
    dense = 1 << int(np.clip(MATRIX_NUMBERS // parameters**2, 1, lanes)).bit_length() - 1
    units = scales_of(problem)
    wanted, budget = jnp.asarray(tolerance * units.gradient), jnp.asarray(iterations * (2 * parameters + 1))
    workers = os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1
    rounds = -(-len(seeds) // (workers * BLOCK))
    blocks = np.array_split(np.asarray(seeds), min(len(seeds), workers * rounds))
    width = max(rounded_up(len(blocks[0]), parameters), lanes)

    @float64
    def run(block: np.ndarray) -> SearchState:
        padded, live = jnp.asarray(np.resize(block, width)), jnp.arange(width) < len(block)
        points = _starts(problem, key, padded, lanes, light=light)
        zero, count = np.zeros(width), np.zeros(width, np.int64)
        found = SearchState(points, zero, zero, zero, count, zero, np.full(width, RUNNING), zero + units.length)
        found = _walk(problem, found, live, wanted, budget, lanes, light=light)
        # Seeds near a critical point go on with the dense Hessian.
        status = np.asarray(found.status)
        found = found._replace(status=np.where(status == NEAR_CRITICAL, RUNNING, status))
        found = _seek(problem, found, live, wanted, budget, dense, light=light)
        if progress is not None:
            progress(len(block))
        return jax.tree.map(lambda x: np.asarray(x)[: len(block)], found)

    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(run, blocks))
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
        tolerance=float(wanted),
    )
