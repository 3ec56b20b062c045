"""Orbit types: which end states are one critical point up to the symmetries, told by the value and by invariants."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, fast_compile, in_few_lengths
from nctheory.flow import Ensemble, start_vectors
from nctheory.problems import (
    DeepLinear,
    Params,
    Problem,
    internal_spaces,
    nearest_scale,
    scales_of,
    segment_ranks,
    undecayed,
    unravel,
)

SAME_VALUE, NEGLIGIBLE = 1e-6, 1e-12
"""Two points may be of one orbit type if their values differ by at most this, relatively, plus this in the problem's unit."""
SAME_INVARIANTS = 1e-4
"""They are of one type if their invariants differ by at most this, relative to the invariants or to their units."""


@partial(fast_compile, static_argnames="function")
def of_each(problem: Problem, points: Any, function: Callable[[Any, Any], Array]) -> Array:
    return jax.vmap(lambda point: function(problem, point))(points)


def _invariants(problem: Problem, point: Params) -> Array:
    return jnp.asarray(problem.orbit_invariants(point))


def _product(problem: DeepLinear, point: Params) -> Array:
    return problem.product(point)


def type_invariants(problem: Problem, params: Params) -> np.ndarray:
    """The quantities that tell two orbit types apart besides the value; the leading axis is that of the seeds."""
    if not isinstance(problem, DeepLinear):
        found = in_few_lengths(lambda some: of_each(problem, some, _invariants), params)
        return found.reshape(len(found), -1)
    root = np.sqrt(np.asarray(problem.multiplicity))
    factors = [np.asarray(w) for w in params.weights]
    if any(bool(undecayed(problem, space)) for space in internal_spaces(problem)):
        # Stretching by GL(d) changes the factors' singular values, but neither the product nor the rank of any segment.
        products = in_few_lengths(lambda some: of_each(problem, some, _product), params) * root
        ranks = in_few_lengths(lambda some: of_each(problem, some, segment_ranks), params)
        return np.concatenate([np.linalg.svd(products, compute_uv=False), np.nan_to_num(ranks, nan=-1.0)], axis=1)
    if params.features is not None:
        factors.append(np.asarray(params.features) * root)
    # The singular values of every factor do not change under O(d) between neighbours.
    return np.concatenate([np.linalg.svd(f, compute_uv=False) for f in factors], axis=1)


def orbit_types(problem: Problem, ends: Ensemble) -> list[np.ndarray]:
    """The positions of the converged end states, grouped by orbit type."""
    return grouped(problem, ends, type_invariants(problem, ends.params))


def invariant_units(problem: Problem) -> np.ndarray:
    """The unit of each invariant; a chain's invariants have the units of its factors, or of its products and of ranks."""
    if not isinstance(problem, DeepLinear):
        return _at_starts(problem)
    if not any(bool(undecayed(problem, space)) for space in internal_spaces(problem)):
        return np.asarray(scales_of(problem).length)
    products = min(problem.classes, problem.targets.shape[1])
    ranks = problem.factors * (problem.factors + 1) // 2
    return np.concatenate([np.full(products, product_unit(problem)), np.ones(ranks)])


def product_unit(problem: DeepLinear) -> float:
    """The unit of the product of all factors and the inputs, which is the size of squared error's targets."""
    return float(nearest_scale(float(scales_of(problem).value) ** 0.5))


def _at_starts(problem: Problem) -> np.ndarray:
    """The median sizes of a problem's invariants at some starts of scale 1; 1 where these are zero."""
    points = unravel(problem, np.asarray(start_vectors(problem, jax.random.key(0), np.arange(8), jnp.asarray(1.0))))
    found = np.abs(of_each(problem, points, _invariants)).reshape(8, -1)
    sizes = np.median(found, axis=0)
    # What is zero at the starts but for rounding has the unit of the others.
    sizes = np.where(sizes > NEGLIGIBLE * np.max(sizes), sizes, np.max(sizes))
    return np.asarray([float(nearest_scale(size)) for size in sizes])


def grouped(problem: Problem, ends: Ensemble, invariants: np.ndarray) -> list[np.ndarray]:
    """`orbit_types`, with the invariants given: neighbours in value first, and among these those of equal invariants."""
    good = np.flatnonzero(ends.converged)
    if good.size == 0:
        return []
    order = good[np.argsort(ends.value[good], kind="stable")]
    value = ends.value[order]
    negligible = NEGLIGIBLE * float(scales_of(problem).value)
    # The sorted values are cut wherever two neighbours differ by more than the tolerance.
    cuts = np.flatnonzero(np.diff(value) > SAME_VALUE * np.abs(value[1:]) + negligible) + 1
    invariants = invariants / invariant_units(problem)
    groups = []
    for part in np.split(order, cuts):
        # All that are near the first one left are one type, until none is left.
        left = part
        while left.size:
            scale = max(float(np.linalg.norm(invariants[left[0]])), 1.0)
            near = np.linalg.norm(invariants[left] - invariants[left[0]], axis=1) <= SAME_INVARIANTS * scale
            groups.append(left[near])
            left = left[~near]
    return groups
