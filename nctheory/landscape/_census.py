"""The census: critical points of every index, one row for each orbit type, with counts modulo symmetry."""

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from threadpoolctl import threadpool_limits

from nctheory.certificates import HessianReport, hessian_report
from nctheory.engine import Array, float64, in_few_lengths, is_finite, shown, untraced
from nctheory.flow import Ensemble, as_key, as_seeds
from nctheory.landscape._kinked_ends import clarke_ends
from nctheory.landscape._orbit_types import grouped, of_each, product_unit, type_invariants
from nctheory.landscape._search import search
from nctheory.problems import (
    DeepLinear,
    Params,
    Problem,
    ravel,
    rounding,
    scales_of,
    unravel,
)

VANISHING = 1e-7
"""Singular values below this fraction of the largest, or of the problem's unit, count as zero."""
CURVATURE_STEPS = tuple(10.0 ** np.arange(-4.0, 0.5, 0.5))
"""The lengths of the moves along a negative direction, relative to the point, at which the objective is looked at."""

Kind = Literal["minimum", "strict saddle", "degenerate"]


@shown()
@dataclasses.dataclass(frozen=True)
class CriticalType:
    """One orbit type: everything that a symmetry leaves alone, and one representative."""

    value: float
    kind: Kind
    """"minimum": all curvature off the gauge positive; "strict saddle": some negative; "degenerate": none negative,
    some zero within the resolution, so that second order does not decide (a family of minimisers is of this kind). At kinks
    the curvature is that along their manifold; where the value falls off one at first order a point is a "strict saddle", and
    where neither decides off them it is "degenerate", each with a caveat."""
    rank: int
    """The rank of the product of the factors; -1 for a problem that is not a chain."""
    index: int
    """The number of negative eigenvalues of the Hessian off the gauge."""
    nullity: int
    """The number of zero eigenvalues off the gauge."""
    gauge_dimension: int
    """The dimension of the symmetry orbit through the point."""
    smallest: float
    """The smallest eigenvalue off the gauge."""
    resolution: float
    """An eigenvalue closer to zero is not told from zero."""
    value_error: float
    """The critical value may be this far from `value`: |g|^2 over the softest curvature, and rounding."""
    descent: float
    """The largest decrease of the objective found along the `direction`, both ways, or one way off a kink; 0 where none is."""
    count: int
    """The number of starts that ended here."""
    grad_norm: float
    invariants: np.ndarray
    """The singular values of every factor, one after the other; for a chain with undecayed neighbours those of the product and
    `segment_ranks`; for other problems `Problem.invariants`."""
    eigenvalues: np.ndarray
    """The eigenvalues of the Hessian off the gauge, ascending."""
    params: Params
    """The end state with the smallest gradient."""
    direction: np.ndarray
    """The unit eigenvector of the smallest eigenvalue, or the way off a kink in which the value falls at first order; flat."""
    caveat: str | None = None
    """What the gauge leaves unexplained (`HessianReport.caveat`): flat directions off it, or tangents of no symmetry."""
    kinks: int = 0
    """The kinks that the point meets, those off which the second order is not looked at among them."""


@shown()
class CensusResult(NamedTuple):
    """The result of a search: one row for each orbit type, by value."""

    rows: tuple[CriticalType, ...]
    """One row for each orbit type, by value."""
    starts: int
    """The number of starts of the search."""
    critical: int
    """The number of starts that ended at a critical point."""
    flat: int
    """The number of starts that ended where the gradient is not zero but its norm does not fall; these are not critical points
    and not counted."""
    unfinished: int
    """The number of starts whose budget of steps was spent."""
    tolerance: float
    """The gradient's norm up to which a point counts as critical."""
    caveat: str | None = None
    """What is left open where the objective has kinks; None where it is smooth."""

    @property
    def value(self) -> np.ndarray:
        """The objective, row by row."""
        return np.array([row.value for row in self.rows])

    @property
    def index(self) -> np.ndarray:
        """The number of negative eigenvalues, row by row."""
        return np.array([row.index for row in self.rows])

    @property
    def nullity(self) -> np.ndarray:
        """The number of zero eigenvalues off the gauge, row by row."""
        return np.array([row.nullity for row in self.rows])

    @property
    def rank(self) -> np.ndarray:
        """The rank of the product, row by row."""
        return np.array([row.rank for row in self.rows])

    @property
    def count(self) -> np.ndarray:
        """The number of starts that ended there, row by row."""
        return np.array([row.count for row in self.rows])

    @property
    def unseen(self) -> float:
        r"""An estimate of the number of orbit types not found, $f_1(f_1-1)/(2(f_2+1))$ from those found once and twice.

        It is a lower bound in expectation when starts end independently (Chao 1984, bias-corrected form, number unchecked).
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
    objective was seen to fall. Where the objective has kinks, starts that stop at one are polished to a point that is
    stationary in Clarke's sense, and `caveat` says what may be missing.

    Raises ValueError for starts below 1, a tolerance that is not positive, or more parameters than dense Hessians allow.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> found = nct.census(model, starts=40)
    >>> [(row.kind, row.rank, row.index) for row in found.rows]
    [('minimum', 2, 0), ('strict saddle', 1, 1), ('strict saddle', 0, 4)]
    """
    numbers, root = as_seeds(starts), as_key(key)
    if not (is_finite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a finite positive number, got {tolerance}")
    if iterations < 1:
        raise ValueError(f"iterations: expected at least 1, got {iterations}")
    ends, caveat = clarke_ends(problem, search(problem, numbers, root, tolerance, iterations, progress))
    return take_census(problem, ends)._replace(caveat=caveat)


def take_census(problem: Problem, ends: Ensemble) -> CensusResult:
    """The census of end states that have been found already."""
    invariants = type_invariants(problem, ends.params)
    row = float64(partial(_row, problem, ends, invariants))
    # The dense eigenproblems of different types run beside each other, each on one core.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rows = list(pool.map(row, grouped(problem, ends, invariants)))
    counts = ends.counts()
    return CensusResult(
        rows=tuple(sorted(rows, key=lambda row: (row.value, row.index))),
        starts=len(ends.seeds),
        critical=int(np.sum(ends.converged)),
        flat=counts["stalled"],
        unfinished=counts["budget_spent"] + counts["diverged"],
        tolerance=ends.tolerance,
    )


def _objective(problem: Problem, vector: Array) -> Array:
    return jnp.asarray(problem.objective(unravel(problem, vector)))


def _row(problem: Problem, ends: Ensemble, invariants: np.ndarray, members: np.ndarray) -> CriticalType:
    # The representative of a type is the end state with the smallest gradient.
    best = int(members[np.argmin(ends.grad_norm[members])])
    point = jax.tree.map(lambda x: np.asarray(x[best]), ends.params)
    report = hessian_report(problem, point)
    direction = report.eigenvectors[:, 0] if report.eigenvalues.size else np.zeros(0)
    undecided = report.nullity + report.loose
    kind: Kind = "strict saddle" if report.saddle else "degenerate" if undecided else "minimum"
    if report.falling:
        direction = report.fall
    descent = _descent(problem, point, direction, both=not report.falling) if report.saddle else 0.0
    return CriticalType(
        value=float(ends.value[best]),
        kind=kind,
        rank=_rank(problem, point),
        index=report.index,
        nullity=report.nullity,
        gauge_dimension=report.gauge_dimension,
        smallest=report.smallest,
        resolution=report.resolution,
        value_error=_value_error(problem, ends, best, point, report),
        descent=descent,
        count=int(members.size),
        grad_norm=float(ends.grad_norm[best]),
        invariants=invariants[best],
        eigenvalues=report.eigenvalues,
        params=point,
        direction=direction,
        caveat=report.caveat,
        kinks=report.met,
    )


def _value_error(problem: Problem, ends: Ensemble, best: int, point: Params, report: HessianReport) -> float:
    """How far the critical value may be: |g|^2 over the softest curvature, |g||y| where second order says nothing, and the
    rounding of terms that may cancel."""
    steepest, top = float(ends.grad_norm[best]), np.max(np.abs(ends.value[ends.converged]))
    far = float(np.linalg.norm(np.asarray(ravel(point)))) if report.nullity else 0.0
    return steepest**2 / report.softest + steepest * far + float(rounding(problem, top))


def _rank(problem: Problem, point: Params) -> int:
    if not isinstance(problem, DeepLinear):
        return -1
    product = np.asarray(problem.product(point))
    singular = np.linalg.svd(product, compute_uv=False)
    return int(np.sum(singular > VANISHING * max(float(singular[0]), product_unit(problem))))


def _descent(problem: Problem, point: Params, direction: np.ndarray, both: bool = True) -> float:
    """How far the mean of the objective at y + tv and y - tv falls below the objective at y, for the best t.

    By taking the mean the slope at y drops out, and what falls is the curvature's doing. Off a kink there is one way, y + tv.
    """
    flat = np.asarray(ravel(point))
    extent = max(float(np.linalg.norm(flat)), float(scales_of(problem).length))
    moves = np.concatenate([[0.0], extent * np.array(CURVATURE_STEPS)])
    reached = np.stack([flat + sign * move * direction for move in moves for sign in ((1.0, -1.0) if both else (1.0,))])
    values = in_few_lengths(lambda some: of_each(problem, some, _objective), reached)
    means = values.reshape(len(moves), -1).mean(axis=1)
    return float(max(np.max(means[0] - means[1:]), 0.0))
