"""The lowest Hessian eigenvalues of a problem too large for a dense Hessian, by a block method with residual bounds."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import EPS, Array, float64, shown, untraced, whole_number
from nctheory.problems import Params, Problem, ravel, read_point, scales_of, size, unravel

POWER_STEPS = 60
"""The number of products for the estimate of the Hessian's norm."""
MAX_ITERATIONS = 400
"""The largest number of iterations of the block method."""
GUARDS = 4
"""The least number of columns that are carried along and dropped."""
BLOCK_GROWTH = 2
"""The factor on the block while every eigenvalue in it is negative."""
LIFT = 100.0
"""The penalty on the rotations is this many times as large as the Hessian."""


@shown()
class LowestCurvature(NamedTuple):
    """The lowest end of a Hessian's spectrum, off the rotations."""

    eigenvalues: np.ndarray
    """The computed eigenvalues, ascending; each is within its error of an eigenvalue."""
    errors: np.ndarray
    """The norms of the residuals $|Av-\\theta v|$, which bound the distance to an eigenvalue."""
    eigenvectors: np.ndarray
    """The unit eigenvectors, as columns in the flat parameter space."""
    norm: float
    """An estimate of the Hessian's spectral norm."""
    index: int
    """The number of eigenvalues below minus the resolution, of those computed."""
    nullity: int
    """The number of eigenvalues within the resolution of zero, of those computed; the gauge's stretches, if any, are among
    them."""
    complete: bool
    """Whether some computed eigenvalue is positive, so that no negative one is left out."""
    resolution: float
    """An eigenvalue closer to zero is not told from zero."""


@partial(jax.jit, static_argnames="penalised")
def _products(problem: Problem, point: Array, block: Array, shift: Array, penalised: bool) -> Array:
    """The products of the Hessian with the columns of `block`, with the penalty on the rotations."""

    def gradient(vector: Array) -> Array:
        return ravel(problem.value_and_grad(unravel(problem, vector))[1])

    _, product = jax.linearize(gradient, point)

    def one(vector: Array) -> Array:
        if not penalised:
            return product(vector)
        penalty = problem.gauge_penalty(unravel(problem, point), unravel(problem, vector))
        return product(vector) + shift * ravel(penalty)

    return jax.lax.map(one, block.T).T


@untraced()
@float64
def lowest_curvature(problem: Problem, params: Params, count: int = 8, key: int = 0) -> LowestCurvature:
    r"""The `count` lowest eigenvalues of the Hessian at one point (no seeds axis), with the rotations lifted out of the way.

    For problems beyond the dense limit of `hessian_report`. A multiple $\sigma$ of `problem.gauge_penalty`, a semidefinite
    form on the rotations' tangents, moves their zero eigenvalues up; a locally optimal block preconditioned conjugate
    gradient method (SciPy's `lobpcg`) then finds the lowest others, a whole block at a time, so that multiple eigenvalues
    come with their multiplicity. While all of the block are negative it is doubled, up to a fifth of the parameters. The
    errors are residual norms, and the resolution is the largest of them, rounding, and sqrt(|g||A|/|y|) as in
    `hessian_report`.

    Raises ValueError for what is not one finite point of this problem, for `count` below 1 or above a fifth of the parameters,
    and for fewer than 5 parameters.

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3, 3), dim=4, loss="mse", weight_decay=(0.05, 0.05))
    >>> ends = nct.solve(model, seeds=1).params
    >>> low = lowest_curvature(model, jax.tree.map(lambda x: x[0], ends), count=3)
    >>> low.index, low.complete, bool(low.eigenvalues[0] > 0.01)
    (0, True, True)
    """
    from scipy.sparse.linalg import LinearOperator  # imported here, so that nothing else waits for SciPy

    params, first = read_point(problem, params), whole_number("key", key, least=0)
    parameters = size(problem)
    most = parameters // 5
    if most < 1:
        raise ValueError(
            f"problem: expected at least 5 parameters, got {parameters}; hessian_report has the whole spectrum"
        )
    if not 1 <= count <= most:
        raise ValueError(f"count: expected 1 to {most}, a fifth of the parameters, got {count}")
    point = jnp.asarray(ravel(jax.tree.map(jnp.asarray, params)))
    gradient = ravel(problem.value_and_grad(unravel(problem, point))[1])
    slope, extent = float(jnp.linalg.norm(gradient)), float(jnp.linalg.norm(point))
    rng = np.random.default_rng(first)
    norm, shift = _norm_and_shift(problem, point, rng)

    def apply(block: np.ndarray) -> np.ndarray:
        columns = jnp.asarray(block.reshape(parameters, -1))
        return np.asarray(_products(problem, point, columns, shift, True)).reshape(block.shape)

    shape: Any = (parameters, parameters)
    operator: Any = LinearOperator(dtype=np.float64, shape=shape, matvec=apply, matmat=apply)  # pyright: ignore
    rounding = 4.0 * parameters * EPS * norm
    gradient_resolution = float(np.sqrt(slope * norm / max(extent, float(scales_of(problem).length))))
    while True:
        values, vectors = _lowest_block(operator, count, most, max(rounding, 1e-8 * norm), rng)
        order = np.argsort(values)[:count]
        values, vectors = values[order], vectors[:, order]
        errors = np.linalg.norm(apply(vectors) - vectors * values[None, :], axis=0)
        resolution = max(rounding, gradient_resolution, float(np.max(errors)))
        index = int(np.sum(values < -resolution))
        complete = bool(np.any(values > resolution))
        if complete or count * BLOCK_GROWTH > most or index < count:
            break
        count *= BLOCK_GROWTH
    return LowestCurvature(
        eigenvalues=values,
        errors=errors,
        eigenvectors=vectors,
        norm=norm,
        index=index,
        nullity=int(np.sum(np.abs(values) <= resolution)),
        complete=complete,
        resolution=resolution,
    )


def _norm_and_shift(problem: Problem, point: Array, rng: np.random.Generator) -> tuple[float, Array]:
    """The Hessian's norm, and the multiple of the penalty that lifts the rotations out of the way."""
    parameters = point.size
    plain = partial(_products, problem, point, shift=jnp.zeros(()), penalised=False)
    lifted_by = partial(_products, problem, point, shift=jnp.ones(()), penalised=True)
    norm = _norm(lambda v: np.asarray(plain(jnp.asarray(v))), parameters, rng)
    lift = _norm(lambda v: np.asarray(lifted_by(jnp.asarray(v)) - plain(jnp.asarray(v))), parameters, rng)
    # The softest rotation should be lifted above the lowest curvatures: the penalty's own spread is not known, so
    # that it is scaled to the Hessian's norm many times over.
    shift = jnp.asarray(LIFT * norm / lift if lift > EPS * norm else 0.0)
    return norm, shift


def _lowest_block(
    operator: Any, count: int, most: int, tolerance: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The Ritz values and vectors of a block of `count` columns and some guards, by SciPy's `lobpcg` from a random start."""
    from scipy.sparse.linalg import lobpcg

    # The last columns of a block converge slowest: some more are carried along and dropped.
    guards = min(max(GUARDS, count // 2), most - count)
    begin = rng.normal(size=(operator.shape[0], count + guards))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unreached tolerance shows in the residuals
        return lobpcg(operator, begin, tol=tolerance, maxiter=MAX_ITERATIONS, largest=False)


def _norm(apply: Callable[[np.ndarray], np.ndarray], parameters: int, rng: np.random.Generator) -> float:
    """An estimate from below of the spectral norm, by the power method."""
    vector = rng.normal(size=(parameters, 1))
    vector /= np.linalg.norm(vector)
    found = 0.0
    for _ in range(POWER_STEPS):
        image = apply(vector)
        found = float(np.linalg.norm(image))
        if found == 0.0:
            return 0.0
        vector = image / found
    return found
