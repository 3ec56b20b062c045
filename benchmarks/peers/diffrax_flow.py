"""Diffrax: vmap of diffeqsolve along the gradient flow, Tsit5, until a steady state."""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import optimistix

from benchmarks.descent import best_step
from benchmarks.jobs import TOLERANCE, Job
from benchmarks.peers import Peer, Prepared
from benchmarks.peers.jax_batches import batched_run
from nctheory import Problem
from nctheory.problems import ravel, unravel

STABLE = 2.8
"""Tsit5 is stable for steps up to about 3 over the largest curvature."""
MAX_STEPS = 20_000


def solve(longest: float, problem: Problem, start: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One seed; at most `longest` for a step, without which error control never lets the flow come to rest."""

    def velocity(t: Any, point: Any, problem: Any) -> jax.Array:
        return -jnp.asarray(ravel(problem.value_and_grad(unravel(problem, point))[1]))

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Tsit5(),
        t0=0.0,
        t1=jnp.inf,
        dt0=0.1 * longest,
        y0=start,
        args=problem,
        stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-6, dtmax=longest),
        event=diffrax.Event(diffrax.steady_state_event(rtol=0.0, atol=TOLERANCE, norm=optimistix.two_norm)),
        max_steps=MAX_STEPS,
        throw=False,
    )
    # Six evaluations a step, and one for the event.
    return jnp.asarray(solution.ys)[-1], 7 * solution.stats["num_steps"]


def prepare(job: Job) -> Prepared:
    """Batches of seeds in lockstep; the longest step is tuned to the curvature at the minimum."""
    longest = STABLE / best_step(job).curvature
    return Prepared(batched_run(job, functools.partial(solve, longest)))


PEERS = [Peer("diffrax vmap(Tsit5)", prepare, lambda job: job.lanes, compiles=True)]
