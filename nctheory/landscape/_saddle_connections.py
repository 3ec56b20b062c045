"""`saddle_connections`: the critical points to which the gradient flow leads off a saddle, on both sides of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import float64, shown, untraced
from nctheory.flow import solve_from
from nctheory.landscape._census import CensusResult
from nctheory.landscape._orbit_types import invariant_units, type_invariants
from nctheory.problems import Problem, Scales, ravel, scales_of, unravel

PUSH = 1e-3
"""The length of the first step off a saddle, relative to the point's norm (or the problem's unit)."""
SAME_VALUE, SAME_INVARIANTS = 1e-6, 1e-3
"""An end is a row of the census if value and invariants differ by at most this, relatively."""
MIN_VALUE = 1e-3
"""A value nearer to zero than this, in the problem's unit, is compared as if it were this large."""


@shown()
class SaddleConnection(NamedTuple):
    """One flow line out of a saddle."""

    origin: int
    """The row of the census that it leaves."""
    side: int
    """+1 or -1: which end of the negative direction."""
    end: int
    """The row at which it arrives; -1 where it did not converge, or to a point that the census lacks."""
    value: float
    """The objective where it arrives."""


@untraced()
@float64
def saddle_connections(problem: Problem, census: CensusResult) -> tuple[SaddleConnection, ...]:
    """Follow the gradient flow down both ends of the most negative direction of every strict saddle of a census.

    The flow starts a thousandth of the point's norm away. It may pass close to other saddles; what is recorded is where it
    comes to rest.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> census = nct.census(model, starts=40)
    >>> [(d.origin, d.side, d.end) for d in nct.landscape.saddle_connections(model, census) if d.origin == 1]
    [(1, 1, 0), (1, -1, 0)]
    """
    saddles = [i for i, row in enumerate(census.rows) if row.kind == "strict saddle"]
    if not saddles:
        return ()
    starts, origins, units = [], [], scales_of(problem)
    for i in saddles:
        row = census.rows[i]
        flat = np.asarray(ravel(jax.tree.map(jnp.asarray, row.params)))
        push = PUSH * max(float(np.linalg.norm(flat)), units.length)
        for side in (1, -1):
            starts.append(flat + side * push * row.direction)
            origins.append((i, side))
    ends = solve_from(problem, unravel(problem, np.stack(starts)))
    invariants, own = type_invariants(problem, ends.params), invariant_units(problem)
    found = []
    for k, (i, side) in enumerate(origins):
        at = _row(census, float(ends.value[k]), invariants[k], units, own) if ends.critical[k] else -1
        found.append(SaddleConnection(i, side, at, float(ends.value[k])))
    return tuple(found)


def _row(census: CensusResult, value: float, invariants: np.ndarray, units: Scales, own: np.ndarray) -> int:
    """The row with this value and, among several, with the nearest invariants (in units of their own); -1 for none."""
    extent = max(float(np.linalg.norm(invariants / own)), 1.0)
    near = [
        i
        for i, row in enumerate(census.rows)
        if abs(row.value - value) <= SAME_VALUE * max(abs(value), MIN_VALUE * float(units.value))
        and np.linalg.norm((row.invariants - invariants) / own) <= SAME_INVARIANTS * extent
    ]
    return min(near, key=lambda i: abs(census.rows[i].value - value), default=-1)
