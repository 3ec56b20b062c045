"""Means of classes, their distances from the boundaries of a classifier, and its errors under isotropic noise.

Both kinds of problems are read alike: features with a linear classifier, and unit vectors, which are means and classifiers.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr

import nctheory as nct
from proofs_numeric.generalisation.populations import labels_of

NOISES = (0.25, 0.6, 1.5)
"""The noises at which the error is taken, relative to r (conventional)."""
NODES, REACH = 32, 9.0
"""Gauss-Legendre nodes for each variable, and where normal variables are cut off (measured: at these noises 24 nodes are off
by 3e-11 at most, 32 and 48 by less than 1e-14; e^-40.5 is left out)."""
ACCURACY = 1e-12
"""The accuracy of the errors (measured: see the nodes; a hundred times what was seen)."""


def is_vectors(problem):
    """Tell whether these are unit vectors."""
    return isinstance(problem, nct.problems.UnitVectors)


def number_of(problem):
    """Return K."""
    return problem.vectors if is_vectors(problem) else problem.classes


def means_of(problem, params):
    """Return the class means, K x d."""
    if is_vectors(problem):
        return problem.directions(params)
    member = np.eye(problem.classes)[:, labels_of(problem)]
    return jnp.asarray(member / member.sum(axis=1, keepdims=True)) @ params.features.T


def length(means):
    """Return r."""
    return jnp.sqrt(jnp.mean(jnp.sum(means**2, axis=1)))


def others(matrix):
    """Return the entries off the diagonal, K x (K-1) x …."""
    number = matrix.shape[0]
    kept = np.array([[j for j in range(number) if j != k] for k in range(number)])
    return matrix[np.arange(number)[:, None], kept]


def normals(problem, params):
    """Return w_k - w_j over its length for all j != k, K x (K-1) x d; unit vectors are their own classifiers."""
    rows = problem.directions(params) if is_vectors(problem) else params.weights[0]
    steps = others(rows[:, None] - rows[None, :])
    return steps / jnp.linalg.norm(steps, axis=2, keepdims=True)


def boundaries(problem, params):
    """Return the distances of the means from their boundaries, over r, K x (K-1).

    The boundary of two unit vectors passes through the origin, as those of a classifier without bias do.
    """
    means = means_of(problem, params)
    return jnp.einsum("kjd,kd->kj", normals(problem, params), means) / length(means)


def margins(problem, params):
    """Return the least of the distances of each class."""
    return jnp.min(boundaries(problem, params), axis=1)


def apart(problem, params):
    """Return half the least distance of two means, over r."""
    means = means_of(problem, params)
    steps = others(means[:, None] - means[None, :])
    return 0.5 * jnp.sqrt(jnp.min(jnp.sum(steps**2, axis=2))) / length(means)


def orthant(limits, correlation):
    r"""Return $P(z_i\ge-a_i\ \forall i)$ for centred normal variables of variance 1, at most three, with these limits a.

    With the Cholesky factor L the variables are $z=Lx$, and the i-th condition is one on $x_i$ given those before it. The last
    integral is the distribution function; the others are Gauss-Legendre sums over what is within `REACH`.
    """
    factor = jnp.linalg.cholesky(correlation)
    at, weight = (jnp.asarray(some) for some in np.polynomial.legendre.leggauss(NODES))

    def beyond(i, before):
        low = -(limits[i] + jnp.dot(factor[i, :i], before)) / factor[i, i]
        if i == len(limits) - 1:
            return ndtr(-low)
        low = jnp.clip(low, -REACH, REACH)
        half = 0.5 * (REACH - low)
        x = low + half * (1.0 + at)
        inner = jax.vmap(lambda one: beyond(i + 1, jnp.append(before, one)))(x)
        return half * jnp.sum(weight * jnp.exp(-0.5 * x**2) * inner) / math.sqrt(2.0 * math.pi)

    return beyond(0, jnp.zeros(0))


def noise_errors(problem, params):
    """Return the error of each class at each noise, K x 3: 1 less the probability that no other logit is larger.

    Of unit vectors, which are too many to integrate for one by one, zeros are returned.
    """
    if is_vectors(problem):
        return jnp.zeros((problem.vectors, len(NOISES)))
    unit, reach = normals(problem, params), boundaries(problem, params)
    correlation = jnp.einsum("kid,kjd->kij", unit, unit)
    right = jax.vmap(lambda a, c: jnp.stack([orthant(a / s, c) for s in NOISES]))(reach, correlation)
    return 1.0 - right
