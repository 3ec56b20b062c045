"""Whether seeds end where a flow of much higher accuracy ends."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import fast_compile, in_few_lengths
from nctheory.flow import Ensemble, solve
from nctheory.problems import Params, Problem
from nctheory.theorems._run import Run
from nctheory.theorems._thresholds import SAME_END, SAME_VALUE

REFERENCE: dict[str, Any] = {"rtol": 1e-6, "switch": 1e-3}
"""The high-accuracy flow that the ordinary solve is compared with: a thousandth of the error, a later hand-over."""


@fast_compile
def _invariants(problem: Problem, points: Params) -> jax.Array:
    return jnp.asarray(jax.vmap(problem.invariants)(points))


def flow_fidelity(problem: Problem, ensemble: Ensemble, run: Run, count: int) -> tuple[int, int]:
    """(same, compared): how many of the first `count` converged seeds end where a high-accuracy flow ends.

    Ends are compared by `problem.invariants`. The reference has 10^-3 of the local error, and first
    tries to hand over at a thirtieth of the gradient; seeds on which it does not converge are not compared.
    """
    chosen = np.flatnonzero(ensemble.converged)[:count]
    if chosen.size == 0:
        return 0, 0
    # The same seeds are run again with the same key, so that both flows begin at the same points.
    reference = solve(
        problem,
        ensemble.seeds[chosen],
        run.key,
        scale=run.scale,
        budget=10 * run.options.budget,
        # As in the solve itself, whose compiled program is used again.
        chunk=run.width,
        workers=1,
        light=run.light,
        **REFERENCE,
    )
    ours, theirs = (
        np.asarray(in_few_lengths(lambda some: _invariants(problem, some), points))
        for points in (jax.tree.map(lambda x: x[chosen], ensemble.params), reference.params)
    )
    usable = reference.converged
    distance = np.linalg.norm((ours - theirs).reshape(chosen.size, -1), axis=1)
    # The root of the tolerance stands in for the size of invariants that are zero.
    extent = np.linalg.norm(theirs.reshape(chosen.size, -1), axis=1) + np.sqrt(ensemble.tolerance)
    value = ensemble.value[chosen]
    same = (distance <= SAME_END * extent) & (np.abs(value - reference.value) <= SAME_VALUE * np.abs(value))
    return int(np.sum(same & usable)), int(np.sum(usable))


__all__ = ["flow_fidelity"]
