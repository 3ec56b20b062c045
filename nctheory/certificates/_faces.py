r"""The largest response $\max_{|w|\le1}|\sum_ig_i\sigma(\langle w,x_i\rangle)|$ of a neuron to a dual point, for inputs of any
dimension, found face by face of the arrangement of the inputs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int8

from nctheory.certificates._arrangement import MOST_FACES, MOST_RANK, faces_of, most_faces, number_of_faces
from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import ACTIVATIONS


def faces_kept(dim: int, samples: int) -> tuple[int, int]:
    """How many faces, of how many dimensions, the inputs of this shape are given room for."""
    rank = min(dim, samples)
    return (MOST_FACES, MOST_RANK) if rank > MOST_RANK else (min(number_of_faces(samples, rank), MOST_FACES), rank)


def _padded(bits: Array, dtype: np.dtype, count: int, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The faces filled up by the last one and by coordinates of zero, and whether they are all there."""
    inputs = np.array(bits).view(dtype)[:, :, 0]
    samples = inputs.shape[1]
    signs, places = np.zeros((count, samples), np.int8), np.zeros((count, samples, rank, 1), dtype)
    known = bool(np.all(np.isfinite(inputs))) and most_faces(inputs) <= count
    found = faces_of(inputs) if known else None
    if found is not None and len(found.signs) > 0:
        which = np.minimum(np.arange(count), len(found.signs) - 1)
        signs, places[:, :, : found.inputs.shape[2], 0] = found.signs[which], found.inputs[which]
    return signs, places.view(np.uint32), np.array(known)


def arranged(
    inputs: Float[Array, "d N"],
) -> tuple[Int8[Array, "F N"], Float[Array, "F N r"], Bool[Array, ""]]:
    """The signs and the coordinates of the faces (see `Faces`), and whether they are all there; in a compiled program too.

    They are found on the host, in whole numbers.
    """
    dim, samples = inputs.shape
    count, rank = faces_kept(dim, samples)
    # All numbers travel as their bits: the thread that calls back would take them in single precision.
    dtype = np.dtype(inputs.dtype)
    words = dtype.itemsize // 4
    shapes = (
        jax.ShapeDtypeStruct((count, samples), jnp.int8),
        jax.ShapeDtypeStruct((count, samples, rank, words), jnp.uint32),
        jax.ShapeDtypeStruct((), jnp.bool_),
    )
    bits = jnp.reshape(jax.lax.bitcast_convert_type(inputs, jnp.uint32), (dim, samples, words))
    signs, places, known = jax.pure_callback(
        lambda x: _padded(x, dtype, count, rank), shapes, bits, vmap_method="sequential"
    )
    places = jax.lax.bitcast_convert_type(places if words > 1 else places[..., 0], dtype)
    return signs, places, known


class Peaks(NamedTuple):
    """On each face the unit vector w with the largest response to a dual point within what the face spans; all zero where w
    does not lie on the face."""

    reached: Float[Array, " F"]
    r"""The length $|\sum_ig_i\sigma(\langle w,x_i\rangle)|$ of the response."""
    heads: Float[Array, "F K"]
    """Its direction."""
    features: Float[Array, "F N"]
    r"""$\sigma(\langle w,x_i\rangle)$."""


class Arrangement(NamedTuple):
    """What `arranged` finds, and the slopes of the activation on every face."""

    signs: Float[Array, "F N"]
    """The signs of <w, x_i> on each face."""
    places: Float[Array, "F N r"]
    """The inputs in coordinates of each face."""
    slopes: Float[Array, "F N"]
    r"""$\sigma(\langle w,x_i\rangle)=s_i\langle w,x_i\rangle$ on the face."""
    known: Bool[Array, ""]
    """Whether all faces are there."""


def arrangement(inputs: Float[Array, "d N"], activation: str) -> Arrangement:
    """The faces of given inputs, for a positively homogeneous activation."""
    signs, places, known = arranged(inputs)
    function = ACTIVATIONS[activation]
    up, down = function(jnp.ones(())), 0.0 - function(-jnp.ones(()))
    # The slope is arbitrary where <w, x_i> = 0 on the face.
    return Arrangement(signs.astype(places.dtype), places, jnp.where(signs > 0, up, down), known)


def peaks(dual: Float[Array, "K N"], faces: Arrangement) -> Peaks:
    """The peaks of the response on all faces, to rounding."""
    # On the face the response is A u for w = B u, A = sum_i slope_i g_i x_i^T B.
    linear = jnp.einsum("kn,fnr->fkr", dual, faces.slopes[:, :, None] * faces.places)
    leading = _leading(linear)
    response = jnp.einsum("fkr,fr->fk", linear, leading)
    reached = jnp.sqrt(jnp.sum(response**2, axis=1))
    # On the face to rounding: the signs of <w, x_i> are those of the face, or its opposite's.
    products = jnp.einsum("fnr,fr->fn", faces.places, leading)
    sides = products * faces.signs
    lengths = jnp.max(jnp.sqrt(jnp.sum(faces.places**2, axis=2)), axis=0)[None, :]
    within = 16 * (faces.places.shape[2] + 4) * EPS * lengths
    ahead, behind = jnp.all(sides >= -within, axis=1), jnp.all(sides <= within, axis=1)
    turn = jnp.where(ahead, 1.0, jnp.where(behind, -1.0, 0.0))[:, None]
    unit = response / jnp.where(reached > 0, reached, 1.0)[:, None]
    return Peaks(jnp.where(ahead | behind, reached, 0.0), turn * unit, turn * faces.slopes * products)


def response_by_faces(dual: Float[Array, "K N"], inputs: Float[Array, "d N"], faces: Arrangement) -> Scalar:
    r"""An upper bound on $\max_{|w|\le1}|\sum_ig_i\sigma(\langle w,x_i\rangle)|_2$, which exceeds it by rounding only;
    infinite where there are more faces than are kept.

    On a face, with an orthonormal basis B of its span, the response is linear, $Au$ for $w=Bu$. A largest response lies
    within some face, where w is then a local and so a global maximiser of $|Au|$ over the sphere: a leading singular vector.
    Let $\hat u$ be the one that is computed, with $|A\hat u|$ within rounding of $|A|_2$. If neither it nor its opposite lies
    on the face, the arc to it from the maximiser leaves the face; along the arc $|Au|^2$ is a cosine that falls from its
    peak, so that where the arc crosses the boundary, on a face of lower dimension, the response is no lower than $|A\hat
    u|$. So only vectors on their face need to count, and every dimension costs rounding once: some
    $\varepsilon\sum_i|g_i||x_i|$.

    >>> x, g = jnp.eye(3), jnp.array([[2.0, 3.0, 6.0]])
    >>> bool(abs(response_by_faces(g, x, arrangement(x, "relu")) - 7.0) < 1e-4)
    True
    """
    # Both are scaled against overflow.
    sizes = [jnp.max(jnp.abs(x)) for x in (dual, inputs)]
    scales = [jnp.where(size > 0, size, 1.0) for size in sizes]
    unit, points = dual / scales[0], inputs / scales[1]
    largest = jnp.max(peaks(unit, faces._replace(places=faces.places / scales[1])).reached)
    steepest = jnp.max(jnp.abs(faces.slopes))
    terms = steepest * jnp.sum(jnp.sqrt(jnp.sum(unit**2, axis=0) * jnp.sum(points**2, axis=0)))
    (rows, columns), levels = dual.shape, faces.places.shape[2]
    relative, absolute = 64 * levels * (rows + levels) * EPS, 8 * levels * (columns + len(inputs) + 16) * EPS
    response = sizes[0] * sizes[1] * (largest * (1.0 + relative) + absolute * terms)
    return jnp.where(faces.known, response, jnp.inf)


def _leading(matrices: Float[Array, "F K r"]) -> Float[Array, "F r"]:
    """A unit vector u for each matrix A at which |A u| is largest, by the eigenvectors of the smaller Gram matrix."""
    rows, columns = matrices.shape[1:]
    if columns <= rows:
        return jnp.linalg.eigh(jnp.einsum("fkr,fks->frs", matrices, matrices))[1][:, :, -1]
    if rows == 1:
        found = matrices[:, 0]
    else:
        left = jnp.linalg.eigh(jnp.einsum("fkr,flr->fkl", matrices, matrices))[1][:, :, -1]
        found = jnp.einsum("fkr,fk->fr", matrices, left)
    length = jnp.sqrt(jnp.sum(found**2, axis=1, keepdims=True))
    return found / jnp.where(length > 0, length, 1.0)


__all__ = ["Arrangement", "Peaks", "arranged", "arrangement", "faces_kept", "peaks", "response_by_faces"]
