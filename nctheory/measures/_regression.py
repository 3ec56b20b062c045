"""NRC1-NRC3, the measures of neural regression collapse, batched over leading axes, defined at collapse and at zero.

Features are (…, d, M), classifiers W (…, n, d) with n the dimension of the targets. Everything is computed in float64
unless it is traced.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import Array, Scalar
from nctheory.measures._collapse import _unit
from nctheory.measures._measured import measured
from nctheory.measures._units import traced_normalised


@measured
def principal_subspace_error(features: Float[Array, "*batch d M"], rank: int) -> Float[Array, "*batch"]:
    r"""NRC1: $\frac1M\sum_i|\tilde h_i-P\tilde h_i|^2$ with $\tilde h_i=(h_i-\bar h)/|h_i-\bar h|$ and P the projection onto
    the first n = `rank` principal components of the features.

    It lies between 0 and 1, and is 0 at collapse and at zero features (0/|0| is 0). Raises ValueError for a rank below 1.
    Andriopoulos et al., NeurIPS 2024.

    >>> import jax.numpy as jnp
    >>> float(principal_subspace_error(jnp.array([[1.0, -1.0], [2.0, -2.0]]), 1)) < 1e-6
    True
    """
    if rank < 1:
        raise ValueError(f"rank: expected the dimension of the targets, at least 1, got {rank}")
    # The first d components are all of space, and nothing is off it.
    if rank >= features.shape[-2]:
        return jnp.zeros(features.shape[:-2], features.dtype)
    centred, rounding = _centred(features)
    # Principal components are the leading eigenvectors of sum_i (h_i - mean h)(h_i - mean h)^T.
    projector = _leading_projector(centred @ jnp.swapaxes(centred, -1, -2), rank)
    return _mean_error(centred, projector, rounding)


@measured
def weight_subspace_error(
    classifier: Float[Array, "*#batch n d"], features: Float[Array, "*#batch d M"]
) -> Float[Array, "*#batch"]:
    r"""NRC2: $\frac1M\sum_i|\tilde h_i-P\tilde h_i|^2$ with $\tilde h_i=(h_i-\bar h)/|h_i-\bar h|$ and P the projection onto
    the span of the rows of W.

    It lies between 0 and 1, and is 0 at collapse and at zero features, and 1 at W = 0 where the features are not zero.
    Andriopoulos et al., NeurIPS 2024.

    >>> import jax.numpy as jnp
    >>> w, h = jnp.array([[1.0, 0.0]]), jnp.array([[1.0, -1.0], [0.0, 0.0]])
    >>> float(weight_subspace_error(w, h)), float(weight_subspace_error(w[:, ::-1], h))
    (0.0, 1.0)
    """
    centred, rounding = _centred(features)
    unit = _unit(classifier)
    # W^+ W projects onto the span of the rows of W, whatever the scale of W.
    projector = jnp.linalg.pinv(unit, rtol=100 * jnp.finfo(features.dtype).eps) @ unit
    batch = jnp.broadcast_shapes(classifier.shape[:-2], features.shape[:-2])
    centred, rounding = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (centred, rounding))
    return _mean_error(centred, projector, rounding)


@measured
def regression_gram_distance(
    classifier: Float[Array, "*batch n d"], covariance: Float[Array, "n n"], gamma: Scalar
) -> Float[Array, "*batch"]:
    r"""NRC3: $\big|WW^\top/|WW^\top|_F-A/|A|_F\big|_F^2$ with $A=(\Sigma^{1/2}-\gamma^{1/2}I)_+$, $\Sigma$ = `covariance`.

    It lies between 0 and 2 (A is positive semidefinite), and is 1 where W or A is zero. The paper takes gamma below the
    least eigenvalue of $\Sigma$, where the positive part changes nothing; in the unconstrained-feature model gamma is
    $c=\lambda_W\lambda_H$. It is differentiable in W and gamma, not in $\Sigma$, which is data.
    Andriopoulos et al., NeurIPS 2024.

    >>> import jax.numpy as jnp
    >>> covariance = jnp.diag(jnp.array([9.0, 4.0]))
    >>> float(regression_gram_distance(jnp.diag(jnp.sqrt(jnp.array([2.0, 1.0]))), covariance, 1.0)) < 1e-12
    True
    """
    eigenvalues, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(covariance.astype(classifier.dtype)))
    # A has the eigenvectors of Sigma, with the eigenvalues (l^(1/2) - gamma^(1/2))_+.
    kept = jnp.sqrt(jnp.maximum(eigenvalues, 0.0)) - jnp.sqrt(jnp.asarray(gamma, classifier.dtype))
    target = (vectors * jnp.maximum(kept, 0.0)[None, :]) @ vectors.T
    classifier = traced_normalised(classifier)
    observed = _unit(classifier @ jnp.swapaxes(classifier, -1, -2))
    return jnp.sum((observed - jnp.broadcast_to(_unit(target), observed.shape)) ** 2, axis=(-2, -1))


def _centred(features: Array) -> tuple[Array, Array]:
    """The features less their mean in units of their own size, and how far they are known (two axes of length one)."""
    near = traced_normalised(features)
    # The mean is taken off twice, for the first one is rounded at the size of an offset that all features have in common.
    moved = near - jax.lax.stop_gradient(jnp.mean(near, axis=-1, keepdims=True))
    lengths = jnp.linalg.norm(jax.lax.stop_gradient(near), axis=-2, keepdims=True)
    rounding = 4 * jnp.finfo(features.dtype).eps * jnp.max(lengths, axis=-1, keepdims=True)
    return moved - jnp.mean(moved, axis=-1, keepdims=True), rounding


def _mean_error(centred: Array, projector: Array, rounding: Array) -> Array:
    """Mean over the columns of the squared distance from a subspace, columns scaled to length one (zero ones left out)."""
    squared = jnp.sum(centred**2, axis=-2, keepdims=True)
    # A feature at the mean is zero but for rounding, which has a direction.
    least = (100 * jnp.finfo(centred.dtype).eps) ** 2 * jnp.max(squared, axis=-1, keepdims=True) + rounding**2
    alive = squared > least
    unit = jnp.where(alive, centred / jnp.sqrt(jnp.where(alive, squared, 1.0)), 0.0)
    return jnp.sum((unit - projector @ unit) ** 2, axis=(-2, -1)) / centred.shape[-1]


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _leading_projector(covariance: Array, rank: int) -> Array:
    """Projection onto the eigenvectors of the `rank` largest eigenvalues."""
    vectors = jnp.linalg.eigh(covariance)[1][..., -rank:]
    return vectors @ jnp.swapaxes(vectors, -1, -2)


@_leading_projector.defjvp
def _leading_projector_jvp(rank: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Only pairs of eigenvalues on either side of the cut count, so that ties elsewhere do no harm. A tie at the cut (fewer
    # directions than `rank` are in use) leaves the projection undetermined and its derivative 0.
    values, vectors = jnp.linalg.eigh(primals[0])
    top = vectors[..., -rank:]
    inside = jnp.arange(values.shape[-1]) >= values.shape[-1] - rank
    across = inside[:, None] != inside[None, :]
    gap = jnp.abs(values[..., :, None] - values[..., None, :])
    usable = across & (gap > 100 * jnp.finfo(values.dtype).eps * jnp.abs(values[..., -1:, None]))
    rate = jnp.where(usable, 1.0 / jnp.where(usable, gap, 1.0), 0.0)
    # (V^T dP V)_ij = (V^T dC V)_ij/|l_i - l_j| where the eigenvalues are on either side of the cut, and 0 elsewhere.
    turned = jnp.swapaxes(vectors, -1, -2) @ tangents[0] @ vectors
    return top @ jnp.swapaxes(top, -1, -2), vectors @ (rate * turned) @ jnp.swapaxes(vectors, -1, -2)
