r"""Lower bounds for unit vectors: what is convex in their Gram matrix is at least its tangent, that at least an eigenvalue.

With $C$ the symmetric gradient of F at the Gram matrix $G=UU^\top$ of m vectors of given lengths $r_i$, every other X has
$F(XX^\top)\ge F(G)+\langle C,XX^\top-G\rangle$, and for any multipliers $\mu$

$$\langle C,XX^\top\rangle=\langle C+\mathrm{diag}\,\mu,XX^\top\rangle-\sum_i\mu_ir_i^2
  \ge-\sum_i\mu_ir_i^2-\delta\sum_ir_i^2,\qquad \delta=\max(0,-\lambda_{\min}(C+\mathrm{diag}\,\mu)).$$

The multipliers $\mu_i=-\langle u_i,(CU)_i\rangle/r_i^2$ are those at which the gap of a critical point is
$\delta\sum r_i^2$. It is the optimality condition of the semidefinite program over Gram matrices of any rank, and closes at
minimisers where the dimension holds the rank that this program needs. (Own form; the relaxation of Goemans and Williamson.)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.engine import EPS, Array, Scalar, fast_compile, is_traced
from nctheory.problems import ChainParams, Energy, NoCertificate, Problem, SphericalFeatures, UnitVectors

SEGMENTS = 256
"""The number of segments between Gram matrices on which the convexity of a user's energy is tested (conventional)."""
APART = 1e-6
"""An inner product of non-negative unit vectors below this counts as zero when a multiplier is chosen; any choice is valid."""


def quadratic_bound(matrix: Float[Array, "m m"], multipliers: Float[Array, " m"]) -> tuple[Scalar, Scalar]:
    r"""A lower bound on $\langle C,XX^\top\rangle$ over all X with unit rows, in any dimension, and its rounding error.

    It holds for any multipliers, of rows that may be shorter than 1 for any that are not negative.

    >>> import jax.numpy as jnp
    >>> pair, opposite = jnp.array([[0.0, 0.5], [0.5, 0.0]]), jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> lower, error = quadratic_bound(pair, multipliers_at(pair, opposite))
    >>> round(float(lower), 5), bool(error < 1e-4)
    (-1.0, True)
    """
    size, shifted = len(matrix), matrix + jnp.diag(multipliers)
    # The eigenvalues are those of a matrix within a few eps |S| of S, which is taken off the least.
    error = 8 * size * EPS * jnp.linalg.norm(shifted)
    short = jnp.maximum(error - jnp.linalg.eigvalsh(shifted)[0], 0.0)
    rounding = size * error + 4 * size * EPS * jnp.sum(jnp.abs(multipliers))
    return -jnp.sum(multipliers) - size * short - 4 * size * EPS * jnp.sum(jnp.abs(multipliers)), rounding


def multipliers_at(matrix: Float[Array, "m m"], vectors: Float[Array, "m d"]) -> Float[Array, " m"]:
    r"""$-\langle u_i,(CU)_i\rangle/|u_i|^2$, at which $C+\mathrm{diag}\,\mu$ has critical points in its kernel."""
    squares = jnp.sum(vectors**2, axis=1)
    return -jnp.sum(vectors * (matrix @ vectors), axis=1) / jnp.where(squares > 0, squares, 1.0)


def unit_vectors_bound(problem: UnitVectors, params: Array) -> tuple[Scalar, Scalar]:
    r"""A lower bound on the minimum of a convex energy of unit vectors, at any point, and its rounding error.

    Vectors in the positive orthant have inner products of at least 0, so that a non-negative matrix may be taken from C: its
    positive entries, those of pairs that are orthogonal, or none; the best of the three counts. Raises NoCertificate for an
    energy that does not say that it is convex.
    """
    missing = missing_energy_bound(problem)
    if missing is not None:
        raise NoCertificate(missing)
    units = problem.directions(params)
    gram = units @ units.T
    value, matrix = problem.energy.value_and_gradient(gram)
    # F(G) - <C, G>, and what is lost of it by rounding.
    begin = value - jnp.sum(matrix * gram)
    lost = 8 * EPS * (problem.energy.terms(gram) + jnp.sum(jnp.abs(matrix)) + jnp.sum(jnp.abs(matrix * gram)))
    matrices = [matrix]
    if problem.nonnegative:
        off = jnp.maximum(matrix, 0.0) * (1.0 - jnp.eye(len(gram)))
        matrices += [matrix - jnp.where(gram < APART, off, 0.0), matrix - off]
    found = [quadratic_bound(one, multipliers_at(one, units)) for one in matrices]
    lowers, errors = (jnp.stack(column) for column in zip(*found, strict=True))
    best = jnp.argmax(lowers)
    return begin + lowers[best] - lost, errors[best] + lost


def missing_energy_bound(problem: UnitVectors) -> str | None:
    """Why an energy has no bound, or None."""
    if problem.energy.convex:
        return None
    name = type(problem.energy).__name__
    return f"the energy {name} does not say that it is convex in the Gram matrix (`convex = True`)"


def assumed_energy(problem: Problem) -> str | None:
    """What a certificate of a user's own energy rests on that is not proved, or None."""
    if not isinstance(problem, UnitVectors) or type(problem.energy).__module__.startswith("nctheory."):
        return None
    name = type(problem.energy).__name__
    return f"that the energy {name} is convex was tested on {SEGMENTS} segments between Gram matrices, not proved"


def doubtful_energy(problem: UnitVectors) -> str | None:
    r"""Why the bound must not be used with a user's energy that says that it is convex, or None.

    $F(A)+F(B)\ge2F(\tfrac{A+B}2)$ is tested between Gram matrices A, B of random unit vectors, from spread out to nearly equal
    ones; a violation beyond rounding disproves convexity, a sample cannot prove it.
    """
    if assumed_energy(problem) is None or any(map(is_traced, jax.tree.leaves(problem.energy))):
        return None
    rng, size = np.random.default_rng(6), problem.vectors
    # The second of two codes is a move of the first, by a step of any size; both are about a common direction or about none.
    first = rng.normal(size=(SEGMENTS, size, size)) + rng.choice([0.0, 1.0, 4.0], size=(SEGMENTS, 1, 1))
    second = first + 10.0 ** rng.uniform(-2.0, 1.0, size=(SEGMENTS, 1, 1)) * rng.normal(size=first.shape)
    grams = [
        x @ np.swapaxes(x, 1, 2) for x in (one / np.linalg.norm(one, axis=2, keepdims=True) for one in (first, second))
    ]
    bent, rounding = (np.asarray(x) for x in _bends(problem.energy, *grams))
    worst = int(np.argmin(np.where(np.isfinite(bent), bent + rounding, np.inf)))
    if not bent[worst] + rounding[worst] < 0.0:
        return None
    name = type(problem.energy).__name__
    return (
        f"the energy {name} says that it is convex and is not: F(A) + F(B) - 2 F((A+B)/2) is {bent[worst]:.3g} between two "
        "Gram matrices of unit vectors"
    )


@fast_compile
def _bends(energy: Energy, first: Float[Array, "s m m"], second: Float[Array, "s m m"]) -> tuple[Array, Array]:
    """F(A) + F(B) - 2 F((A+B)/2) for each segment, and a bound on its rounding."""

    def one(pair: tuple[Array, Array]) -> tuple[Scalar, Scalar]:
        points = (*pair, 0.5 * (pair[0] + pair[1]))
        bent = energy.value(points[0]) + energy.value(points[1]) - 2.0 * energy.value(points[2])
        return bent, 256 * EPS * sum((energy.terms(x) for x in points), jnp.zeros(()))

    return jax.lax.map(one, (first, second))


def rank_caveat(problem: Problem) -> str | None:
    """Why a gap may persist at a minimiser: the dimension is below the number of vectors of the convex program, or None."""
    if isinstance(problem, UnitVectors):
        needed = problem.vectors
    elif isinstance(problem, SphericalFeatures) and problem.classifier != "fixed":
        needed = 2 * problem.classes
    else:
        return None
    if problem.dim >= needed:
        return None
    return (
        f"some of these points are not shown to be global minimisers; dimension {problem.dim} is below {needed}, the number "
        "of vectors of the program over Gram matrices of any rank: its minimum is a lower bound all the same, but it may lie "
        "strictly below that in this dimension, so that a gap above zero decides nothing"
    )


def spherical_features_bound(problem: SphericalFeatures, params: ChainParams) -> tuple[Scalar, Scalar]:
    r"""A lower bound on the minimum over features of fixed length, at any point, and its rounding error.

    The loss is convex in each sample, so that the features of a class may be replaced by their mean $\bar h_k$, of length at
    most $\rho$: K columns are left, whose fit is weighted by $n_k/N$. With $\Gamma$ its gradient in the logits Z, the fit is
    at least $F(Z)+\langle\Gamma,Z'-Z\rangle$, and $\langle\Gamma,WH\rangle$ is bounded

    - for a W on spheres, or of a given norm, as a quadratic form of the rows of W and the columns of H together;
    - for a decayed W with its decay, by $-\frac1{2\lambda}|\Gamma H^\top|_F^2$, a quadratic form of the columns of H;
    - for a given W by $-\rho\sum_k|(W^\top\Gamma)_k|$.
    """
    weights, features = problem.factor_pair(params)
    counts = np.asarray(problem.counts, float)
    # The mean feature of every class, and the fit that this leaves.
    share = problem.class_shares
    members = np.eye(problem.classes)[problem.labels] / counts[None, :]
    means = features @ jnp.asarray(members)
    logits, targets = weights @ means, problem.loss.encode(jnp.eye(problem.classes))
    slope = problem.loss.gradient(logits, targets) * share[None, :]
    pairing = jnp.abs(slope) * (jnp.abs(weights) @ jnp.abs(means))
    begin = share @ problem.loss.value(logits, targets) - jnp.sum(slope * logits)
    radius, classes = problem.radius, problem.classes
    # The slope, whose entries are differences of numbers up to the share, is rounded, which counts against logits of any W.
    reach = radius * (radius * jnp.linalg.norm(slope) / problem.size if problem.classifier == "decay" else problem.size)
    if problem.classifier == "fixed":
        reach = radius * jnp.max(jnp.linalg.norm(weights, axis=1))
    lost = 8 * EPS * (share @ problem.loss.value_terms(logits, targets) + classes * (jnp.sum(pairing) + reach))
    if problem.classifier == "fixed":
        lengths = jnp.linalg.norm(weights.T @ slope, axis=0)
        rounding = 8 * classes * EPS * radius * jnp.sum(jnp.abs(weights).T @ jnp.abs(slope))
        least = -radius * jnp.sum(lengths) - rounding
    elif problem.classifier == "decay":
        # Over W the least of <Gamma, WH> + lambda/2 |W|^2 is -|Gamma H^T|^2 / (2 lambda).
        matrix = -0.5 * radius**2 / problem.size * slope.T @ slope
        least, rounding = quadratic_bound(matrix, jnp.maximum(multipliers_at(matrix, means.T / radius), 0.0))
    else:
        least, rounding = _both(problem, weights, means, slope)
    return begin + least - lost, rounding + lost


def _both(
    problem: SphericalFeatures, weights: Float[Array, "K d"], means: Float[Array, "d K"], slope: Float[Array, "K K"]
) -> tuple[Scalar, Scalar]:
    """The bound on <Gamma, W H> over W and H, each with rows, or columns, of unit length on average."""
    classes = problem.classes
    length = problem.size if problem.classifier == "sphere" else problem.size / np.sqrt(classes)
    block = 0.5 * problem.radius * length * slope
    zero = jnp.zeros((classes, classes))
    matrix = jnp.block([[zero, block], [block.T, zero]])
    stacked = jnp.concatenate([weights / length, means.T / problem.radius])
    multipliers = multipliers_at(matrix, stacked)
    above, below = multipliers[:classes], jnp.maximum(multipliers[classes:], 0.0)
    if problem.classifier == "norm":  # only |W|^2 is given, and one multiplier serves all of its rows
        above = jnp.full(classes, -jnp.sum(stacked[:classes] * (block @ stacked[classes:])) / classes)
    return quadratic_bound(matrix, jnp.concatenate([above, below]))
