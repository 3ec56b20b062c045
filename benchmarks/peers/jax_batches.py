"""What the JAX peers share: one compiled program for a batch of seeds, run as often as needed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.jobs import Job, problem_of, starts
from benchmarks.peers import Ends, Run
from nctheory import Problem

Solve = Callable[[Problem, jax.Array], tuple[jax.Array, jax.Array]]
"""(problem, start) to (end, gradient evaluations) of one seed."""


def batched_run(job: Job, solve: Solve, lanes: int | None = None) -> Run:
    """vmap over a batch, by default one that fits in the cache, under jit."""
    width = lanes or job.lanes
    program = jax.jit(jax.vmap(solve, in_axes=(None, 0)))
    problem = jax.tree.map(jnp.asarray, problem_of(job))

    def run(seeds: int) -> Ends:
        points, counts = [], []
        for begin in range(0, seeds, width):
            ends, evaluations = program(problem, jnp.asarray(starts(job, seeds)[begin : begin + width]))
            points.append(np.asarray(ends))
            counts.append(np.asarray(evaluations))
        return Ends(np.concatenate(points), float(np.concatenate(counts).mean()))

    return run
