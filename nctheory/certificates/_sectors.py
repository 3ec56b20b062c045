r"""The largest response $\max_{|w|\le1}|\sum_ig_i\sigma(\langle w,x_i\rangle)|$ of a neuron to a dual point, for inputs in the
plane, where it is known sector by sector."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import ACTIVATIONS


class Sectors(NamedTuple):
    """The 2N sectors of the circle between the directions orthogonal to an input, and the neuron's slopes in each.

    Within a sector no input changes the side of the neuron's kink on which it lies.
    """

    middle: Float[Array, "S"]
    """The angle of the middle."""
    half: Float[Array, "S"]
    """Half the opening, at most pi/2."""
    slopes: Float[Array, "S N"]
    """The slope of the activation at each input: sigma(<w, x_i>) = slope_i <w, x_i> for w in the sector."""


def in_the_plane(inputs: Float[Array, "d N"]) -> Float[Array, "2 N"]:
    """Inputs of one or two dimensions as vectors in the plane: a second coordinate of zero changes no largest response."""
    return jnp.pad(jnp.asarray(inputs), ((0, 2 - inputs.shape[0]), (0, 0)))


def sectors_of(inputs: Float[Array, "2 N"], activation: str) -> Sectors:
    """The sectors of a positively homogeneous activation.

    Sectors of parallel inputs have no opening; a wrong slope there, or anywhere within rounding of a sector's end, belongs to
    a response that is itself rounding.

    >>> found = sectors_of(jnp.array([[1.0, 0.0], [0.0, 1.0]]), "relu")
    >>> [round(x, 4) for x in jnp.degrees(found.half).tolist()], found.slopes.tolist()
    ([45.0, 45.0, 45.0, 45.0], [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    """
    # The directions orthogonal to x are +-(-x_2, x_1); their angles are sorted on half the circle and repeated on the other.
    angles = jnp.sort(jnp.mod(jnp.arctan2(inputs[0], -inputs[1]), jnp.pi))
    start = jnp.concatenate([angles, angles + jnp.pi])
    end = jnp.concatenate([start[1:], start[:1] + 2.0 * jnp.pi])
    middle, half = 0.5 * (start + end), 0.5 * (end - start)
    function = ACTIVATIONS[activation]
    up, down = function(jnp.ones(())), 0.0 - function(-jnp.ones(()))
    return Sectors(middle, half, jnp.where(directions(middle) @ inputs > 0, up, down))


def directions(angles: Float[Array, "S"]) -> Float[Array, "S 2"]:
    """The unit vectors at these angles."""
    return jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)


def responses(dual: Float[Array, "K N"], inputs: Float[Array, "2 N"], sectors: Sectors) -> Float[Array, "S K 2"]:
    r"""$M_s=\sum_i\sigma'_{si}g_ix_i^\top$: within sector s a neuron w responds to the dual point by $M_sw$."""
    return jnp.einsum("kn,sn,dn->skd", dual, sectors.slopes, inputs)


def best_angles(matrices: Float[Array, "S K 2"], sectors: Sectors) -> Float[Array, "S"]:
    r"""The angles in each sector at which $|M_sw|$ is largest.

    With $A=M^\top M$ and $w=(\cos\theta,\sin\theta)$, $|Mw|^2=\frac12\mathrm{tr}A+c\cos2\theta+s\sin2\theta$ for
    $c=\frac12(A_{11}-A_{22})$ and $s=A_{12}$: a cosine of $2\theta$, which on an interval no longer than its period is
    largest at its peak, or else at the end that is nearer to it.
    """
    square = jnp.einsum("skd,ske->sde", matrices, matrices)
    cosine, sine = 0.5 * (square[:, 0, 0] - square[:, 1, 1]), square[:, 0, 1]
    # The angles are counted from the middle of the sector, and doubled.
    turn_cos, turn_sin = jnp.cos(2.0 * sectors.middle), jnp.sin(2.0 * sectors.middle)
    ahead, across = turn_cos * cosine + turn_sin * sine, turn_cos * sine - turn_sin * cosine
    level = (ahead == 0) & (across == 0)  # where every direction is as good
    peak = jnp.arctan2(jnp.where(level, 0.0, across), jnp.where(level, 1.0, ahead))
    return sectors.middle + 0.5 * jnp.clip(peak, -2.0 * sectors.half, 2.0 * sectors.half)


def largest_squares(dual: Float[Array, "K N"], inputs: Float[Array, "2 N"], sectors: Sectors) -> Float[Array, "S"]:
    r"""$\max_w|M_sw|^2$ over the unit vectors of each sector, a convex function of the dual point."""
    matrices = responses(dual, inputs, sectors)
    reached = jnp.einsum("skd,sd->sk", matrices, directions(best_angles(matrices, sectors)))
    return jnp.sum(reached**2, axis=1)


def largest_response(dual: Float[Array, "K N"], inputs: Float[Array, "d N"], activation: str) -> Scalar:
    r"""An upper bound on $\max_{|w|\le1}|\sum_ig_i\sigma(\langle w,x_i\rangle)|_2$, for inputs of one or two dimensions.

    It exceeds the maximum by rounding only: at most some $\varepsilon\sum_i|g_i||x_i|$ from the sums and from the ends of the
    sectors, and a relative $\varepsilon$ from a peak next to an end, which is missed where the response hardly varies.

    >>> x, g = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[3.0, 4.0]])
    >>> bool(abs(largest_response(g, x, "relu") - 5.0) < 1e-5)
    True
    """
    plane = in_the_plane(inputs)
    # Both are scaled against overflow.
    sizes = [jnp.max(jnp.abs(x)) for x in (dual, plane)]
    unit, points = (x / jnp.where(size > 0, size, 1.0) for x, size in zip((dual, plane), sizes, strict=True))
    sectors = sectors_of(points, activation)
    matrices = responses(unit, points, sectors)
    # The peak or the end nearer to it, and for certainty both ends.
    angles = jnp.stack(
        [best_angles(matrices, sectors), sectors.middle - sectors.half, sectors.middle + sectors.half], axis=1
    )
    rays = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=2)
    reached = jnp.max(jnp.sqrt(jnp.sum(jnp.einsum("skd,sad->sak", matrices, rays) ** 2, axis=2)))
    steepest = jnp.max(jnp.abs(ACTIVATIONS[activation](jnp.array([-1.0, 1.0]))))
    terms = steepest * jnp.sum(jnp.sqrt(jnp.sum(unit**2, axis=0) * jnp.sum(points**2, axis=0)))
    rows, columns = dual.shape
    return sizes[0] * sizes[1] * (reached * (1.0 + 64 * (rows + 2) * EPS) + 8 * (columns + 16) * EPS * terms)


__all__ = ["Sectors", "in_the_plane", "largest_response", "largest_squares", "sectors_of"]
