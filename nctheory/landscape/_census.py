"""The census: critical points of every index, one row for each orbit type, with counts modulo symmetry."""

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from threadpoolctl import threadpool_limits

from nctheory.certificates import HessianReport, hessian_report
from nctheory.engine import Array, fast_compile, float64, in_few_lengths, shown, untraced
from nctheory.flow import Ensemble, as_key, as_seeds, start_vectors
from nctheory.landscape._search import search
from nctheory.problems import (
    DeepLinear,
    Params,
    Problem,
    internal_spaces,
    nearest_scale,
    ravel,
    rounding,
    scales_of,
    segment_ranks,
    undecayed,
    unravel,
)

SAME, NEGLIGIBLE = 1e-6, 1e-12
"""Relative distance of values up to which two points may be of one orbit type, and the distance in the problem's unit."""
SAME_INVARIANTS = 1e-4
"""Distance of invariants up to which they are, relative to the invariants or their units."""
VANISHING = 1e-7
"""Singular values below this fraction of the largest, or of the problem's unit, count as zero."""
CURVATURE_STEPS = tuple(10.0 ** np.arange(-4.0, 0.5, 0.5))

Kind = Literal["minimum", "strict saddle", "degenerate"]


@shown()
@dataclasses.dataclass(frozen=True)
class CriticalType:
    """One orbit type: everything that a symmetry leaves alone, and one representative."""

    value: float
    kind: Kind
    """"minimum": all curvature off the gauge positive; "strict saddle": some negative; "degenerate": none negative,
    some zero within the resolution, so that second order does not decide (a family of minimisers is of this kind)."""
    rank: int
    """Of the product of the factors; -1 for a problem that is not a chain."""
    index: int
    """Negative eigenvalues of the Hessian off the gauge."""
    nullity: int
    """Zero curvature off the gauge."""
    gauge_dimension: int
    """Dimension of the symmetry orbit through the point."""
    smallest: float
    """Smallest eigenvalue off the gauge."""
    resolution: float
    """Eigenvalues closer to zero are not told from zero."""
    slack: float
    """How far the critical value may be from `value`: |g|^2 over the softest curvature, and rounding."""
    descent: float
    """Largest decrease of the objective found along the most negative direction, both ways; 0 where there is none."""
    count: int
    """Starts that ended here."""
    grad_norm: float
    invariants: np.ndarray
    """Singular values of every factor, one after the other; of a chain with undecayed neighbours those of the product, and
    `segment_ranks`; for other problems `Problem.invariants`."""
    eigenvalues: np.ndarray
    """Of the Hessian off the gauge, ascending."""
    params: Params
    """The end state with the smallest gradient."""
    direction: np.ndarray
    """Unit vector of the smallest eigenvalue, flat."""
    caveat: str | None = None
    """What the gauge leaves unexplained (`HessianReport.caveat`): flat directions off it, or tangents of no symmetry."""


@shown()
class CensusResult(NamedTuple):
    """What a search found: one row for each orbit type, by value."""

    rows: tuple[CriticalType, ...]
    """One row for each orbit type, by value."""
    starts: int
    """Starts of the search."""
    critical: int
    """Starts that ended at a critical point."""
    flat: int
    """Starts that ended where the gradient is not zero but its norm does not fall; not critical, not counted."""
    unfinished: int
    """Starts whose budget of steps was spent."""
    tolerance: float
    """The gradient's norm up to which a point counts as critical."""

    @property
    def value(self) -> np.ndarray:
        """Objective, row by row."""
        return np.array([row.value for row in self.rows])

    @property
    def index(self) -> np.ndarray:
        """Number of negative eigenvalues, row by row."""
        return np.array([row.index for row in self.rows])

    @property
    def nullity(self) -> np.ndarray:
        """Number of zero eigenvalues off the gauge, row by row."""
        return np.array([row.nullity for row in self.rows])

    @property
    def rank(self) -> np.ndarray:
        """Rank of the product, row by row."""
        return np.array([row.rank for row in self.rows])

    @property
    def count(self) -> np.ndarray:
        """Starts that ended there, row by row."""
        return np.array([row.count for row in self.rows])

    @property
    def unseen(self) -> float:
        r"""Estimate of the number of orbit types not found, $f_1(f_1-1)/(2(f_2+1))$ from those found once and twice.

        A lower bound in expectation when starts end independently (Chao 1984, bias-corrected form, number unchecked).
        """
        once, twice = int(np.sum(self.count == 1)), int(np.sum(self.count == 2))
        return once * (once - 1) / (2 * (twice + 1))


@untraced()
@float64
def census(
    problem: Problem,
    starts: int = 2000,
    key: int | PRNGKeyArray = 0,
    *,
    tolerance: float = 1e-10,
    iterations: int = 300,
    progress: Callable[[int], None] | None = None,
) -> CensusResult:
    r"""Search for critical points of every index, and say of each orbit type what it is.

    From every start (random points of many scales, of low rank, of unbalanced factors, and points along descents) a
    Levenberg-Marquardt method lowers the gradient norm to `tolerance` times the problem's unit of gradients
    (`Problem.characteristic_scales`: 1 for class labels, and s/r times as large for $s\,f(x/r)$ as for f), for at most the
    cost of `iterations` steps with the dense Hessian (2P + 1 gradients each, P the number of parameters). Points are of one
    type when the objective and the singular values of every factor agree: that identifies the orbits of the gauge, of
    permutations of classes of one size and of samples, and the members of a continuous family. For each type the Hessian is
    taken at the best representative with the gauge projected out; a strict saddle comes with a direction along which the
    objective was seen to fall.

    Raises ValueError for starts below 1, a tolerance that is not positive, or more parameters than dense Hessians allow.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> found = nct.census(model, starts=40)
    >>> [(row.kind, row.rank, row.index) for row in found.rows]
    [('minimum', 2, 0), ('strict saddle', 1, 1), ('strict saddle', 0, 4)]
    """
    numbers, root = as_seeds(starts), as_key(key)
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a finite positive number, got {tolerance}")
    if iterations < 1:
        raise ValueError(f"iterations: expected at least 1, got {iterations}")
    return take_census(problem, search(problem, numbers, root, tolerance, iterations, progress))


def take_census(problem: Problem, ends: Ensemble) -> CensusResult:
    """The census of end states that are there already."""
    invariants = type_invariants(problem, ends.params)
    row = float64(partial(_row, problem, ends, invariants))
    # The dense eigenproblems of different types run beside each other, each on one core.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rows = list(pool.map(row, _grouped(problem, ends, invariants)))
    counts = ends.counts()
    return CensusResult(
        rows=tuple(sorted(rows, key=lambda row: (row.value, row.index))),
        starts=len(ends.seeds),
        critical=int(np.sum(ends.converged)),
        flat=counts["stalled"],
        unfinished=counts["budget_spent"] + counts["diverged"],
        tolerance=ends.tolerance,
    )


@partial(fast_compile, static_argnames="function")
def _of_each(problem: Problem, points: Any, function: Callable[[Any, Any], Array]) -> Array:
    return jax.vmap(lambda point: function(problem, point))(points)


def _invariants(problem: Problem, point: Params) -> Array:
    return jnp.asarray(problem.invariants(point))


def _product(problem: DeepLinear, point: Params) -> Array:
    return problem.product(point)


def _objective(problem: Problem, vector: Array) -> Array:
    return jnp.asarray(problem.objective(unravel(problem, vector)))


def type_invariants(problem: Problem, params: Params) -> np.ndarray:
    """What tells two orbit types apart besides the value; leading axis seeds."""
    if not isinstance(problem, DeepLinear):
        found = in_few_lengths(lambda some: _of_each(problem, some, _invariants), params)
        return found.reshape(len(found), -1)
    root = np.sqrt(np.asarray(problem.multiplicity))
    factors = [np.asarray(w) for w in params.weights]
    if any(bool(undecayed(problem, space)) for space in internal_spaces(problem)):
        # Stretching by GL(d) changes the factors' singular values, but neither the product nor the rank of any segment.
        products = in_few_lengths(lambda some: _of_each(problem, some, _product), params) * root
        ranks = in_few_lengths(lambda some: _of_each(problem, some, segment_ranks), params)
        return np.concatenate([np.linalg.svd(products, compute_uv=False), np.nan_to_num(ranks, nan=-1.0)], axis=1)
    if params.features is not None:
        factors.append(np.asarray(params.features) * root)
    return np.concatenate([np.linalg.svd(f, compute_uv=False) for f in factors], axis=1)


def orbit_types(problem: Problem, ends: Ensemble) -> list[np.ndarray]:
    """Positions of the converged end states grouped by orbit type: neighbours in value first, then by the invariants."""
    return _grouped(problem, ends, type_invariants(problem, ends.params))


def invariant_units(problem: Problem) -> np.ndarray:
    """What each of the invariants is measured in; a chain's have the units of its factors, or of its products and of ranks."""
    if not isinstance(problem, DeepLinear):
        return _at_starts(problem)
    if not any(bool(undecayed(problem, space)) for space in internal_spaces(problem)):
        return np.asarray(scales_of(problem).length)
    products = min(problem.classes, problem.targets.shape[1])
    ranks = problem.factors * (problem.factors + 1) // 2
    return np.concatenate([np.full(products, _product_unit(problem)), np.ones(ranks)])


def _product_unit(problem: DeepLinear) -> float:
    """Of the product of all factors, and the inputs: the size of squared error's targets."""
    return float(nearest_scale(float(scales_of(problem).value) ** 0.5))


def _at_starts(problem: Problem) -> np.ndarray:
    """Median sizes of a problem's invariants at some starts of scale 1; where they are zero there, 1."""
    points = unravel(problem, np.asarray(start_vectors(problem, jax.random.key(0), np.arange(8), jnp.asarray(1.0))))
    found = np.abs(_of_each(problem, points, _invariants)).reshape(8, -1)
    return np.asarray([float(nearest_scale(size)) for size in np.median(found, axis=0)])


def _grouped(problem: Problem, ends: Ensemble, invariants: np.ndarray) -> list[np.ndarray]:
    good = np.flatnonzero(ends.converged)
    if good.size == 0:
        return []
    order = good[np.argsort(ends.value[good], kind="stable")]
    value = ends.value[order]
    negligible = NEGLIGIBLE * float(scales_of(problem).value)
    cuts = np.flatnonzero(np.diff(value) > SAME * np.abs(value[1:]) + negligible) + 1
    invariants = invariants / invariant_units(problem)
    groups = []
    for part in np.split(order, cuts):
        left = part
        while left.size:
            scale = max(float(np.linalg.norm(invariants[left[0]])), 1.0)
            near = np.linalg.norm(invariants[left] - invariants[left[0]], axis=1) <= SAME_INVARIANTS * scale
            groups.append(left[near])
            left = left[~near]
    return groups


def _row(problem: Problem, ends: Ensemble, invariants: np.ndarray, members: np.ndarray) -> CriticalType:
    best = int(members[np.argmin(ends.grad_norm[members])])
    point = jax.tree.map(lambda x: np.asarray(x[best]), ends.params)
    report = hessian_report(problem, point)
    direction = report.eigenvectors[:, 0] if report.eigenvalues.size else np.zeros(0)
    descent = _descent(problem, point, direction) if report.index else 0.0
    kind: Kind = "minimum" if report.index + report.nullity == 0 else "strict saddle" if report.index else "degenerate"
    return CriticalType(
        value=float(ends.value[best]),
        kind=kind,
        rank=_rank(problem, point),
        index=report.index,
        nullity=report.nullity,
        gauge_dimension=report.gauge_dimension,
        smallest=report.smallest,
        resolution=report.resolution,
        slack=_slack(problem, ends, best, point, report),
        descent=descent,
        count=int(members.size),
        grad_norm=float(ends.grad_norm[best]),
        invariants=invariants[best],
        eigenvalues=report.eigenvalues,
        params=point,
        direction=direction,
        caveat=report.caveat,
    )


def _slack(problem: Problem, ends: Ensemble, best: int, point: Params, report: HessianReport) -> float:
    """|g|^2 over the softest curvature, |g||y| where second order says nothing, and rounding of terms that may cancel."""
    steepest, top = float(ends.grad_norm[best]), np.max(np.abs(ends.value[ends.converged]))
    far = float(np.linalg.norm(np.asarray(ravel(point)))) if report.nullity else 0.0
    return steepest**2 / report.softest + steepest * far + float(rounding(problem, top))


def _rank(problem: Problem, point: Params) -> int:
    if not isinstance(problem, DeepLinear):
        return -1
    product = np.asarray(problem.product(point))
    singular = np.linalg.svd(product, compute_uv=False)
    return int(np.sum(singular > VANISHING * max(float(singular[0]), _product_unit(problem))))


def _descent(problem: Problem, point: Params, direction: np.ndarray) -> float:
    """How far the mean of the objective at the two points y + tv and y - tv falls below that at y, for the best t."""
    flat = np.asarray(ravel(point))
    extent = max(float(np.linalg.norm(flat)), float(scales_of(problem).length))
    moves = np.concatenate([[0.0], extent * np.array(CURVATURE_STEPS)])
    both = np.stack([flat + sign * move * direction for move in moves for sign in (1.0, -1.0)])
    values = in_few_lengths(lambda some: _of_each(problem, some, _objective), both)
    means = values.reshape(-1, 2).mean(axis=1)
    return float(max(np.max(means[0] - means[1:]), 0.0))
