"""NC1-NC4 and the margin on any features, batched over leading axes, defined at collapse and at zero.

Features are (…, d, N), classifiers (…, K, d), logits (…, K, N), labels whole numbers (N,). Everything is computed in
float64 and handed back in NumPy's arrays, whatever the settings of JAX; under `jax.grad`, `jit` or `vmap` the dtype of the
input is kept (features of N x d, as frameworks export them, go to `nc_metrics`). Every measure but NC4 is differentiable
where it is smooth, and has a finite gradient at exact collapse.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form import simplex_etf
from nctheory.engine import Array
from nctheory.measures._measured import measured
from nctheory.measures._units import traced_normalised

Labels = np.ndarray | Array


def _membership(labels: Labels, classes: int, dtype: jnp.dtype) -> Array:
    """One-hot matrix, shape (N, K)."""
    return jax.nn.one_hot(jnp.asarray(labels), classes, dtype=dtype)


@measured
def class_means(features: Float[Array, "*batch d N"], labels: Labels, classes: int) -> Float[Array, "*batch d K"]:
    """Mean feature of each class.

    >>> import jax.numpy as jnp
    >>> class_means(jnp.array([[1.0, 3.0, 5.0]]), jnp.array([0, 0, 1]), 2).tolist()
    [[2.0, 5.0]]
    """
    member = _membership(labels, classes, features.dtype)
    # A column of the membership matrix over the size of its class averages the samples of that class.
    return features @ (member / jnp.maximum(jnp.sum(member, axis=0, keepdims=True), 1))


class _Geometry(NamedTuple):
    """Means and deviations of features in units of their own size, about their mean."""

    centred: Array
    """The class means less their mean, d x K; zero where nothing is left of them but rounding."""
    deviations: Array
    """Of each sample from the mean of its class, d x N."""
    rounding: Array
    """How far the means are known, with two axes of length one."""


def _geometry(features: Array, labels: Labels, classes: int) -> _Geometry:
    """What is left of features, for measures that neither a scale nor an offset of all of them changes."""
    near = traced_normalised(features)
    # An offset is taken off before anything is summed, so that sums round at the size of what is left.
    offset = jax.lax.stop_gradient(jnp.mean(near, axis=-1, keepdims=True))
    moved = near - offset
    means = class_means(moved, labels, classes)
    centred = means - jnp.mean(means, axis=-1, keepdims=True)
    # The features that come in are rounded at their own size, and so is each mean: sqrt(K) times that, all together.
    lengths = jnp.linalg.norm(jax.lax.stop_gradient(means + offset), axis=-2, keepdims=True)
    rounding = 4 * jnp.finfo(features.dtype).eps * classes**0.5 * jnp.max(lengths, axis=-1, keepdims=True)
    size = jnp.linalg.norm(jax.lax.stop_gradient(centred), axis=(-2, -1), keepdims=True)
    return _Geometry(jnp.where(size > rounding, centred, 0.0), moved - means[..., jnp.asarray(labels)], rounding)


@measured
def within_class_variability(
    features: Float[Array, "*batch d N"], labels: Labels, classes: int
) -> Float[Array, "*batch"]:
    r"""NC1: $\mathrm{tr}(\Sigma_W\Sigma_B^\dagger)/K$ with $\Sigma_W$ the mean over samples of
    $(h_i-\mu_{y_i})(h_i-\mu_{y_i})^\top$ and $\Sigma_B$ the mean over classes of $(\mu_k-\bar\mu)(\mu_k-\bar\mu)^\top$.

    It is 0 at exact collapse, and at zero features (the pseudo-inverse of 0 is 0). Papyan, Han, Donoho, PNAS 2020.

    >>> import jax.numpy as jnp
    >>> features = jnp.array([[1.0, 1.0, -1.0, -1.0]])
    >>> float(within_class_variability(features, jnp.array([0, 0, 1, 1]), 2))
    0.0
    """
    centred, deviations, rounding = _geometry(features, labels, classes)
    # tr(D D^T (M M^T)^+) = |M^+ D|_F^2.
    spread = _pseudo_inverse(centred, rounding) @ deviations
    # Sigma_W = D D^T/N and Sigma_B^+ = K (M M^T)^+, so that of 1/N, K and the 1/K of the measure 1/N is left.
    return jnp.sum(spread**2, axis=(-2, -1)) / features.shape[-1]


@jax.custom_jvp
def _pseudo_inverse(matrix: Array, rounding: Array) -> Array:
    """The pseudo-inverse, without singular values that may be nothing but the matrix's `rounding` (two axes of length one)."""
    left, singular, right = jnp.linalg.svd(matrix, full_matrices=False)
    # Beside it singular values are known to rounding of the largest.
    own = jnp.finfo(matrix.dtype).eps * max(matrix.shape[-2:]) * jnp.max(singular, axis=-1, keepdims=True)
    kept = singular > rounding[..., 0] + own
    inverse = jnp.where(kept, 1.0 / jnp.where(kept, singular, 1.0), 0.0)
    return jnp.swapaxes(right, -1, -2) @ (inverse[..., :, None] * jnp.swapaxes(left, -1, -2))


@_pseudo_inverse.defjvp
def _pseudo_inverse_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # Golub, Pereyra 1973, at constant rank: dP = -P dM P + P P^T dM^T (I - M P) + (I - P M) dM^T P^T P, without gaps of
    # singular values.
    matrix, change = primals[0], tangents[0]
    inverse = _pseudo_inverse(*primals)
    turned, back = jnp.swapaxes(change, -1, -2), jnp.swapaxes(inverse, -1, -2)
    beside = inverse @ back @ (turned - turned @ matrix @ inverse)
    above = (turned - inverse @ matrix @ turned) @ back @ inverse
    return inverse, beside + above - inverse @ change @ inverse


def _unit(x: Array) -> Array:
    """x / |x|_F over the last two axes, and 0 with derivative 0 at 0 (the double `where` keeps NaN out of it)."""
    x = traced_normalised(x)
    squared = jnp.sum(x**2, axis=(-2, -1), keepdims=True)
    safe = jnp.where(squared > 0, squared, 1.0)
    return jnp.where(squared > 0, x / jnp.sqrt(safe), 0.0)


def _distance(x: Array, y: Array) -> Array:
    """|x - y|_F with derivative 0 where they coincide."""
    squared = jnp.sum((x - y) ** 2, axis=(-2, -1))
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)


@measured
def distance_to_frame(vectors: Float[Array, "*batch d K"], gram: Float[Array, "K K"]) -> Float[Array, "*batch"]:
    r"""NC2 against any frame: $\big|M^\top M/|M^\top M|_F-G/|G|_F\big|_F$ for columns M and a target Gram matrix G.

    It lies between 0 and $\sqrt2$, for Gram matrices make no obtuse angle, and is 1 at zero vectors.

    >>> import numpy as np
    >>> float(distance_to_frame(2.0 * np.eye(3), np.eye(3))), float(distance_to_frame(np.zeros((3, 3)), np.eye(3)))
    (0.0, 1.0)
    """
    # Both Gram matrices are compared at norm one, so that no scale counts.
    vectors = traced_normalised(vectors)
    observed = _unit(jnp.swapaxes(vectors, -1, -2) @ vectors)
    return _distance(observed, jnp.broadcast_to(_unit(gram.astype(vectors.dtype)), observed.shape))


@measured
def distance_to_simplex_etf(
    features: Float[Array, "*batch d N"], labels: Labels, classes: int
) -> Float[Array, "*batch"]:
    """NC2: distance of the globally centred class means' normalised Gram matrix from that of a simplex ETF.

    It is 0 exactly at a simplex ETF of any scale, and 1 at zero features. Papyan, Han, Donoho, PNAS 2020; this norm after
    Zhu et al., NeurIPS 2021.

    >>> import jax.numpy as jnp
    >>> round(float(distance_to_simplex_etf(jnp.array([[1.0, -1.0]]), jnp.array([0, 1]), 2)), 6)
    0.0
    """
    return distance_to_frame(_geometry(features, labels, classes).centred, simplex_etf(classes))


@measured
def self_duality_distance(
    classifier: Float[Array, "*#batch K d"], features: Float[Array, "*batch d N"], labels: Labels, classes: int
) -> Float[Array, "*batch"]:
    r"""NC3: $\big|W^\top/|W|_F-M/|M|_F\big|_F$ with M the globally centred class means.

    It is 1 where one of W and M vanishes, and 0 where both do. For an orthogonal frame the rows of W are not centred; centre
    them first to compare.

    >>> import jax.numpy as jnp
    >>> float(self_duality_distance(jnp.array([[2.0], [-2.0]]), jnp.array([[1.0, -1.0]]), jnp.array([0, 1]), 2))
    0.0
    """
    centred = _geometry(features, labels, classes).centred
    # W^T is d x K, as the centred means are, and is repeated over their leading axes.
    rows = jnp.broadcast_to(jnp.swapaxes(classifier, -1, -2), centred.shape)
    return _distance(_unit(rows), _unit(centred))


@measured
def nearest_centre_agreement(
    logits: Float[Array, "*batch K N"], features: Float[Array, "*batch d N"], labels: Labels, classes: int
) -> Float[Array, "*batch"]:
    """NC4: fraction of samples on which the classifier agrees with the nearest class mean. Piecewise constant.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0, -1.0]])
    >>> float(nearest_centre_agreement(jnp.array([[1.0, -1.0], [-1.0, 1.0]]), x, jnp.array([0, 1]), 2))
    1.0
    """
    # Distances are told apart whatever the scale and the offset of the features.
    near = traced_normalised(features)
    moved = near - jnp.mean(near, axis=-1, keepdims=True)
    means = class_means(moved, labels, classes)
    # The squared distances |h_i - mu_k|^2 are K x N.
    squared = jnp.sum((moved[..., :, None, :] - means[..., :, :, None]) ** 2, axis=-3)
    agree = jnp.argmax(logits, axis=-2) == jnp.argmin(squared, axis=-2)
    return jnp.mean(agree.astype(features.dtype), axis=-1)


@measured
def margin(logits: Float[Array, "*batch K N"], labels: Labels) -> Float[Array, "*batch"]:
    r"""$\min_i\,(z_{i,y_i}-\max_{j\ne y_i}z_{i,j})$: positive iff every sample is classified rightly.

    >>> import jax.numpy as jnp
    >>> float(margin(jnp.array([[2.0, 0.0], [0.0, 1.0]]), jnp.array([0, 1])))
    1.0
    """
    labels = jnp.asarray(labels)
    # The label's logit is one entry of its column, and the maximum is over all others.
    own = jnp.broadcast_to(jnp.arange(logits.shape[-2])[:, None] == labels[None, :], logits.shape)
    right = jnp.sum(jnp.where(own, logits, 0.0), axis=-2)
    wrong = jnp.max(jnp.where(own, -jnp.inf, logits), axis=-2)
    return jnp.min(right - wrong, axis=-1)
