"""The convex program of the supervised contrastive loss over the cosines of classes, solved by Newton's method."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.spheres.simplex import directions

ROUNDS = 120
"""Steps of Newton's method (measured: thirty do from a simplex)."""
LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.01)
"""The parts of a step that are tried, of which the best is taken."""


class Solved(NamedTuple):
    """The minimum of the program, a mean over anchors, and the cosines of the classes there."""

    value: jax.Array
    cosines: jax.Array


def class_loss(cosines: jax.Array, counts: tuple[int, ...], temperature: jax.Array, weighted=True) -> jax.Array:
    r"""Return $\frac1N\sum_kn_k\log(n_k-1+\sum_{c\ne k}n_ce^{(g_{kc}-1)/\tau})$.

    Not `weighted`, all classes have the same weight in the inner sum.
    """
    n = jnp.asarray(np.asarray(counts, float))
    others = (1.0 - jnp.eye(len(counts))) * jnp.exp((cosines - 1.0) / temperature)
    terms = jnp.log(n - 1.0 + others @ (n if weighted else jnp.full(len(counts), n.mean())))
    return jnp.sum(n * terms) / jnp.sum(n)


def solve_program(counts: tuple[int, ...], temperature: jax.Array, weighted=True) -> Solved:
    """Minimise the loss over all Gram matrices of unit vectors, written with K vectors in as many dimensions.

    The matrix of vectors is square, so that no rank is excluded and every local minimum is the minimum of the convex program.
    """
    classes = len(counts)

    def units(flat):
        vectors = flat.reshape(classes, classes)
        return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)

    def value(flat):
        rows = units(flat)
        return class_loss(rows @ rows.T, counts, temperature, weighted)

    slope, curvature = jax.grad(value), jax.hessian(value)

    def step(_, flat):
        # The step is Newton's with the sizes of the eigenvalues, those of the gauge left out.
        sizes, basis = jnp.linalg.eigh(curvature(flat))
        along = basis.T @ slope(flat)
        kept = jnp.abs(sizes) > 1e-9 * jnp.max(jnp.abs(sizes))
        move = -basis @ jnp.where(kept, along / jnp.where(kept, jnp.abs(sizes), 1.0), 0.0)
        move = move / jnp.maximum(1.0, jnp.linalg.norm(move) / 0.5)
        parts = jnp.asarray((0.0, *LENGTHS))
        tried = jax.vmap(lambda part: value(flat + part * move))(parts)
        # Next to the minimum values differ by rounding alone, and the whole step is taken.
        near = jnp.linalg.norm(move) < 1e-6
        moved = flat + jnp.where(near, 1.0, parts[jnp.argmin(tried)]) * move
        return units(moved).ravel()

    # The start is a simplex with vectors a little off it, in general position.
    left, sizes, _ = np.linalg.svd(directions(classes))
    begin = left * np.sqrt(sizes)[None, :] + 0.03 * np.cos(1.0 + np.arange(classes**2)).reshape(classes, classes)
    found = jax.lax.fori_loop(0, ROUNDS, step, units(jnp.asarray(begin.ravel())).ravel())
    rows = units(found)
    return Solved(value(found), rows @ rows.T)


@nct.engine.float64
def solved(counts: tuple[int, ...], temperature: float | jax.Array, weighted: bool = True) -> Solved:
    """Solve the program, compiled once for each tuple of counts.

    >>> found = solved((6, 3, 2), 0.5)
    >>> round(11 * float(found.value), 8), [round(float(found.cosines[i, j]), 5) for i, j in ((0, 1), (0, 2), (1, 2))]
    (13.28737777, [-0.56743, -0.55178, -0.37363])
    """
    return _program(counts, jnp.asarray(temperature), weighted)


_program = jax.jit(solve_program, static_argnames=("counts", "weighted"))
