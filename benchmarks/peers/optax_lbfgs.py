"""Optax: vmap of its L-BFGS with the zoom line search, in a while loop."""

# pyright: reportMissingImports=false

from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.jobs import TOLERANCE, Job
from benchmarks.peers import Peer, Prepared
from benchmarks.peers.jax_batches import batched_run
from nctheory import Problem
from nctheory.problems import unravel

LIMIT = 3000


def solve(problem: Problem, start: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One seed, by the recipe of Optax's documentation; line-search trials counted as evaluations."""

    def objective(point: jax.Array) -> jax.Array:
        return jnp.asarray(problem.objective(unravel(problem, point)))

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)

    def unfinished(carry: tuple[jax.Array, Any, jax.Array, jax.Array]) -> jax.Array:
        _, _, norm, count = carry
        return (norm > TOLERANCE) & (count < LIMIT)

    def step(carry: tuple[jax.Array, Any, jax.Array, jax.Array]) -> tuple[jax.Array, Any, jax.Array, jax.Array]:
        point, state, _, count = carry
        value, slope = value_and_grad(point, state=state)
        update, state = solver.update(slope, state, point, value=value, grad=slope, value_fn=objective)
        trials = optax.tree.get(state, "num_linesearch_steps")
        norm = jnp.linalg.norm(optax.tree.get(state, "grad"))
        return jnp.asarray(optax.apply_updates(point, update)), state, norm, count + trials

    begin = (start, solver.init(start), jnp.asarray(jnp.inf), jnp.asarray(1))
    end, _, _, count = jax.lax.while_loop(unfinished, step, begin)
    return end, count


def prepare(job: Job) -> Prepared:
    """Batches of seeds in lockstep."""
    return Prepared(batched_run(job, solve))


PEERS = [Peer("optax vmap(L-BFGS)", prepare, lambda job: job.lanes, compiles=True)]
