r"""Whether certified unit vectors, or classifiers on features of fixed length, are the only ones up to rotations.

Let U, m vectors in $\mathbb R^d$ stacked as rows, minimise $F(XX^\top)$ over Gram matrices X of any rank with the lengths that
the problem prescribes, for a convex F with the gradient C at $G=UU^\top$. With the multipliers $\mu$ of the lengths
$S=C+\mathrm{diag}\,\mu\succeq0$ and $SU=0$. Every other minimiser X has $\langle C,X-G\rangle=0$: not negative, because G
is a minimiser, and not positive, because F is convex. So $\langle S,X\rangle=0$, and $SX=0$: its range lies in the kernel of
S, of dimension q. Suppose that

1. q <= d, and
2. the Hessian of the problem in $\mathbb R^d$ is positive definite off lengths and rotations.

Were there a second minimiser X in $\mathbb R^d$, the segment from G to it would consist of minimisers of rank at most q, which
all are Gram matrices of vectors in $\mathbb R^d$ by 1; the vectors of one near G are, rotated, near U. But by 2 the orbit of U
is isolated among critical points. So all global minimisers are rotations of U. (Own form; that solutions of semidefinite
programs are unique by the kernel of the dual matrix is Alizadeh, Haeberly and Overton 1997, number unchecked.)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates._convexity import doubtful_convexity
from nctheory.certificates._elliptope import doubtful_energy, missing_energy_bound, multipliers_at
from nctheory.certificates._hessian import HessianReport, sensitivity
from nctheory.engine import Array, fast_compile, map_in_blocks
from nctheory.problems import (
    Params,
    Problem,
    SphericalFeatures,
    UnitVectors,
    ravel,
    rounding,
    scales_of,
    size,
    unravel,
)

SAFETY = 2.0
"""The factor on the first-order change of an observable between a point and the critical point nearby (conventional)."""
MOST_NUMBERS = 2**25
"""The largest number of entries of the Jacobian of the dual matrix, m^2 for each parameter: 256 MiB (conventional)."""


class GramVerdict(NamedTuple):
    """What the dual matrix says."""

    reason: str | None
    """Why it cannot be said that the minimiser is the only one, or None."""
    kernel: int
    """q, which bounds the rank of the Gram matrix of every minimiser; -1 where it was not looked at."""
    margin: float
    """The least eigenvalue of S after its kernel, in units of the largest; infinite where there is none."""


class Linearised(NamedTuple):
    """S at a point with its Jacobian, what its entries are rounded by, and the gradient of the objective."""

    matrix: Array
    jacobian: Array
    terms: Array
    gradient: Array


def gram_uniqueness(problem: UnitVectors | SphericalFeatures, params: Params, report: HessianReport) -> GramVerdict:
    """Whether a certified minimiser is the only one up to rotations; `report` is its Hessian."""
    missing = _not_covered(problem, report)
    if missing is not None:
        return GramVerdict(missing, -1, np.nan)
    at = Linearised(*(np.asarray(x) for x in _linearised(problem, jax.tree.map(jnp.asarray, params))))
    norm = float(np.linalg.norm(ravel(jax.tree.map(np.asarray, params))))
    slope = residual_slope(problem, report, np.asarray(at.gradient), norm)
    resolution = first_order(problem, report, np.asarray(at.jacobian), float(at.terms), slope, norm)
    values = np.linalg.eigvalsh(at.matrix)
    kernel = int(np.sum(values <= resolution))
    margin = float(values[kernel] / values[-1]) if kernel < len(values) else np.inf
    return GramVerdict(_judged(problem, values, kernel, resolution), kernel, margin)


def residual_slope(problem: Problem, report: HessianReport, gradient: np.ndarray, norm: float) -> float:
    """The norm of a gradient with its rounding, which is relative to the terms that cancel in it."""
    return float(np.linalg.norm(gradient)) + float(rounding(problem, report.largest * norm))


def first_order(
    problem: Problem, report: HessianReport, jacobian: np.ndarray, terms: float, slope: float, norm: float
) -> float:
    """How far what has the Jacobian may be from its value at the critical point nearby, with the rounding of its terms."""
    moved = SAFETY * sensitivity(report, jacobian, float(scales_of(problem).gradient)) * slope
    return moved + float(rounding(problem, terms + float(np.linalg.norm(jacobian)) * norm))


def _not_covered(problem: UnitVectors | SphericalFeatures, report: HessianReport) -> str | None:
    """Why the argument does not apply to this problem or point, or None."""
    kind = UnitVectors if isinstance(problem, UnitVectors) else SphericalFeatures
    if type(problem).objective is not kind.objective:
        return f"{type(problem).__name__} has an objective of its own"
    if report.kinks:
        return "the point meets kinks, where the gradient of the energy in the Gram matrix is not one matrix"
    if isinstance(problem, UnitVectors):
        if problem.nonnegative:
            return "vectors without negative entries: their Gram matrices are no face of the positive semidefinite ones"
        doubt, stacked = missing_energy_bound(problem) or doubtful_energy(problem), problem.vectors
    else:
        doubt, stacked = doubtful_convexity(problem), problem.classes + sum(problem.counts)
    if doubt is not None:
        return doubt
    if stacked**2 * size(problem) > MOST_NUMBERS:
        return f"the Jacobian of the dual matrix of {stacked} vectors has more than {MOST_NUMBERS} entries"
    return None


def _judged(problem: UnitVectors | SphericalFeatures, values: np.ndarray, kernel: int, resolution: float) -> str | None:
    """Why eigenvalues of S, ascending, do not make the minimiser the only one, or None."""
    told = f"(resolution {resolution:.1e}, largest {values[-1]:.6g})"
    if not np.isfinite(resolution):
        return "the resolution of the dual matrix is not finite: the Hessian does not bound how far the point is off"
    if values[0] < -resolution:
        return (
            f"the dual matrix has the eigenvalue {values[0]:.6g} {told}: the point is not a minimiser of the program over "
            "Gram matrices of any rank"
        )
    # A given classifier ties every feature to one direction, and leaves no rotation: no feature may be free.
    room = 0 if _is_given(problem) else problem.dim
    if kernel > room:
        return (
            f"the dual matrix has a kernel of dimension {kernel}, above {room} {told}: minimisers of a higher rank may lie "
            "between this one and another"
        )
    return None


def _is_given(problem: UnitVectors | SphericalFeatures) -> bool:
    return isinstance(problem, SphericalFeatures) and problem.classifier == "fixed"


def dual_matrix(problem: UnitVectors | SphericalFeatures, params: Params) -> Array:
    r"""S at a point: $C+\mathrm{diag}\,\mu$ with $\mu_i=-\langle u_i,(CU)_i\rangle$, of which critical U are in the kernel.

    The rows of W, over their length where that is given, come before the features over theirs. One multiplier serves all
    rows of a W of given norm, and $\lambda/2$ stands for it where W is decayed. For a given W, S is the diagonal matrix of the
    multipliers of the features alone.
    """
    if isinstance(problem, UnitVectors):
        units = problem.directions(params)
        slope = problem.energy.gradient(units @ units.T)
        return slope + jnp.diag(multipliers_at(slope, units))
    weights, features = problem.factor_pair(params)
    slope = problem.loss.gradient(weights @ features, problem.targets) * problem.radius / features.shape[1]
    units = features.T / problem.radius
    if _is_given(problem):
        return jnp.diag(-jnp.sum(units * (slope.T @ weights), axis=1))
    length = 1.0 if problem.classifier == "decay" else problem.size
    classes, samples = slope.shape
    block = 0.5 * length * slope
    stacked = jnp.concatenate([weights / length, units])
    matrix = jnp.block([[jnp.zeros((classes, classes)), block], [block.T, jnp.zeros((samples, samples))]])
    multipliers = jnp.asarray(multipliers_at(matrix, stacked))
    if problem.classifier == "decay":
        multipliers = multipliers.at[:classes].set(0.5 * problem.size)
    elif problem.classifier == "norm":
        # |W| is one length: its multiplier is the sum of those of its rows, each times its square.
        multipliers = multipliers.at[:classes].set(-jnp.sum((stacked * (matrix @ stacked))[:classes]))
    return matrix + jnp.diag(multipliers)


def _terms(problem: UnitVectors | SphericalFeatures, params: Params, matrix: Array) -> Array:
    """The size of what S is computed from: itself, and differences of probabilities and targets, or the energy's terms."""
    if isinstance(problem, UnitVectors):
        return jnp.linalg.norm(matrix) + problem.energy.terms(problem.gram(params))
    weights, _ = problem.factor_pair(params)
    reach = problem.radius * jnp.linalg.norm(weights) / problem.targets.shape[1]
    return jnp.linalg.norm(matrix) + reach * jnp.linalg.norm(problem.targets)


@fast_compile
def _linearised(problem: UnitVectors | SphericalFeatures, params: Params) -> Linearised:
    # The Jacobian column by column, by products with the unit vectors.
    vector = ravel(params)
    matrix, push = jax.linearize(lambda x: dual_matrix(problem, unravel(problem, x)), vector)
    pushed = map_in_blocks(push, jnp.eye(vector.size))
    jacobian = pushed.reshape(vector.size, -1).T
    return Linearised(matrix, jacobian, _terms(problem, params, matrix), ravel(problem.value_and_grad(params)[1]))
