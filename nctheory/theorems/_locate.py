"""Locating a threshold: the parameter is divided ever finer at values with certified end states."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._batching import in_few_lengths, map_in_blocks
from nctheory._programs import light_jit
from nctheory._types import Array
from nctheory.certificates import certify_many
from nctheory.flow import solve_many
from nctheory.problems import Family, Problem, as_family
from nctheory.theorems._evidence import Bracket
from nctheory.theorems._run import Run
from nctheory.theorems.claims import WIDTH, Threshold

POINTS = 15
"""Values of the parameter tried at a time, so that a round divides a bracket by 16 (conventional)."""
SEEDS = 8
"""Starts at each (conventional): one that is certified decides."""
MAX_ROUNDS = 9
POLISH_BUDGET = 50_000
"""Gradient evaluations per start: next to a continuous transition some do not get there, and are not waited for."""


@partial(light_jit, static_argnames="order")
def _orders(family: Family, points: tuple[Array, Any], order: Any) -> Array:
    return map_in_blocks(lambda item: jnp.asarray(order(family.at(item[0]), item[1])), points)


def locate_threshold(claim: Threshold, problem: Problem, run: Run) -> Bracket:
    """The bracket in which the order parameter of the certified minimiser changes, no wider than `WIDTH` where that can be.

    In the parameter's logarithm. A value at which no end state is certified, or certified ones lie on both sides, decides
    nothing, and the bracket stays around it.
    """
    solves = 0

    def phases(values: np.ndarray) -> np.ndarray:
        """1 beyond the level, 0 not, NaN undecided."""
        nonlocal solves
        solves += values.size * SEEDS
        members = [claim.at(problem, float(x)) for x in np.exp(values)]
        found = solve_many(
            members, SEEDS, run.key, method="polish", scale=run.scale, budget=POLISH_BUDGET, light=True,
            chunk=POINTS * SEEDS + SEEDS, workers=1,
        )  # fmt: skip
        bound = certify_many(members, found.params)
        certified = found.converged & bound.closed(found.value)
        family, contexts = as_family(members)
        flat = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *np.shape(x)[2:]), found.params)
        items = (np.repeat(contexts, SEEDS, axis=0), flat)
        order = in_few_lengths(lambda some: _orders(family, some, claim.order), items).reshape(certified.shape)
        beyond, short = (certified & (order > claim.level)).any(1), (certified & ~(order > claim.level)).any(1)
        return np.where(beyond == short, np.nan, beyond.astype(float))

    low, high = (float(np.log(x)) for x in claim.between(problem))
    ends = np.concatenate([[low, high], np.linspace(low, high, POINTS + 2)[1:-1]])[: POINTS + 1]
    at = phases(ends)
    if not np.isfinite(at[:2]).all() or at[0] == at[1]:
        told = "undecided" if not np.isfinite(at[:2]).all() else "on one side of it"
        return Bracket(
            np.exp(low), np.inf, solves, f"both ends of the range ({np.exp(low):g}, {np.exp(high):g}) are {told}"
        )
    side = at[0]
    low, high = _narrowed(ends, at, side, low, high)
    stuck = 0
    for round_ in range(MAX_ROUNDS):
        if high - low <= WIDTH or stuck > 2:
            break
        # From the second failure on at other places: one of them may lie on the threshold itself.
        places = low + (high - low) * (np.arange(1, POINTS + 2) - 0.37 * (stuck > 0) * (round_ % 2)) / (POINTS + 2)
        narrowed = _narrowed(places, phases(places), side, low, high)
        stuck = stuck + 1 if narrowed == (low, high) else 0
        low, high = narrowed
    reason = None if high - low <= WIDTH else "no end state between the ends of the bracket is certified"
    return Bracket(float(np.exp(low)), float(np.exp(high)), solves, reason)


def _narrowed(places: np.ndarray, at: np.ndarray, side: float, low: float, high: float) -> tuple[float, float]:
    """The bracket from the last decided place on the low side before the first on the other."""
    order = np.argsort(places)
    for place, phase in zip(places[order], at[order], strict=True):
        if not low < place < high or np.isnan(phase):
            continue
        if phase == side:
            low = float(place)
        else:
            high = float(place)
            break
    return low, high


__all__ = ["locate_threshold"]
