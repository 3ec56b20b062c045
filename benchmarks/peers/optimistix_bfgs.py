"""Optimistix: vmap of its BFGS, which keeps a dense P x P matrix for each seed."""

import jax
import jax.numpy as jnp
import optimistix

from benchmarks.jobs import TOLERANCE, Job
from benchmarks.peers import Peer, Prepared
from benchmarks.peers.jax_batches import batched_run
from nctheory import Problem
from nctheory.problems import unravel

MAX_STEPS = 1000
MAX_PARAMETERS = 2000


def solve(problem: Problem, start: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One seed; it stops when steps in point and value are both below its tolerances, not at a gradient norm."""

    def objective(point: jax.Array, problem: Problem) -> jax.Array:
        return jnp.asarray(problem.objective(unravel(problem, point)))

    solver = optimistix.BFGS(rtol=TOLERANCE, atol=TOLERANCE)
    solution = optimistix.minimise(objective, solver, start, args=problem, throw=False, max_steps=MAX_STEPS)
    return solution.value, solution.stats["num_steps"]


def prepare(job: Job) -> Prepared:
    """Batches of seeds in lockstep."""
    return Prepared(batched_run(job, solve, batch(job)))


def batch(job: Job) -> int:
    """Few seeds where each takes long."""
    return job.lanes if job.parameters <= 500 else 2


def unfit(job: Job) -> str | None:
    """Matrices of more than 32 MB a seed are left out."""
    return f"a {job.parameters} x {job.parameters} matrix a seed" if job.parameters > MAX_PARAMETERS else None


PEERS = [Peer("optimistix vmap(BFGS)", prepare, batch, unfit=unfit, compiles=True)]
