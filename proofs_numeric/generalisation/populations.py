"""Populations as points of problems: the features of an unconstrained-feature model, each class uniform on its own.

What holds for every distribution holds for these at any point; some starts are arranged to attain a bound.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.conserved.vector_field import TINY, rounding_unit

MARGIN = 1e-8
"""How far, relatively, what is arranged to lie on a boundary lies beyond it: much more than rounding moves it."""
SEEDS = 64


class Population(nct.problems.DeepLinear):
    """An unconstrained-feature model of whose features `shots` are drawn in every class; None stands for all of them."""

    shots: int | None = eqx.field(static=True, kw_only=True, default=None)


class Arranged(nct.problems.Starts):
    """Given points, d x N, with noise of a `spread` added, turned and shifted at random; the weights are normal."""

    points: jax.Array
    spread: jax.Array

    def __call__(self, problem, key, scale):
        """Draw a start."""
        start = problem.normal_start(key, scale)
        dim = self.points.shape[0]
        turn = jnp.linalg.qr(jax.random.normal(jax.random.fold_in(key, 1), (dim, dim), jnp.float64))[0]
        shift = jax.random.normal(jax.random.fold_in(key, 2), (dim, 1), jnp.float64)
        noise = jax.random.normal(jax.random.fold_in(key, 3), self.points.shape, jnp.float64)
        return start._replace(features=scale * (turn @ (self.points + self.spread * noise) + shift))


def population(rng, counts, dim, name, points=None, shots=None, loss="mse", kind=Population, **more):
    """Build a named instance whose starts are these points, or normal: instances of one shape share a program."""
    decay = tuple((10.0 ** rng.uniform(-3, -1, size=2)).tolist())
    model = nct.unconstrained_features(counts=counts, dim=dim, loss=loss, weight_decay=decay, bias=None)
    where = np.zeros((dim, sum(counts))) if points is None else points
    law = Arranged(jnp.asarray(where), jnp.asarray(1.0 if points is None else 0.0))
    problem = kind.of(model, shots=shots, **more).with_starts(law)
    shown = {"counts": "-".join(map(str, counts)), "d": dim, "starts": name, "loss": loss}
    if shots is not None:
        shown["shots"] = shots
    return nct.Instance(problem, shown)


def labels_of(problem):
    """Return the class of every feature."""
    return np.repeat(np.arange(problem.classes), problem.counts)


def started(*names):
    """Tell the instances whose starts are arranged so."""
    return lambda instance: instance.parameters["starts"] in names


def two_point(size, dim, reach=MARGIN, others=1):
    """Place a class on two points of an axis, one of `size` beyond the boundary by `reach`, at distance 1 from another."""
    points = np.zeros((dim, size + others))
    points[0, :size] = 0.5 + (0.5 + reach) / (size - 1)
    points[0, 0], points[0, size:] = -reach, -0.5
    return points


def facing(size, dim):
    """Place two classes opposite each other, each on two points of which one is beyond the boundary."""
    one = two_point(size, dim)[:, :size]
    return np.concatenate([one, np.diag([-1.0] + [1.0] * (dim - 1)) @ one], axis=1)


def star(size, dim, others, reach=MARGIN):
    """Place a class so that one point lies beyond the boundary to each of `others` classes, in orthogonal directions."""
    points = np.zeros((dim, size + others))
    for axis in range(others):
        points[axis, :size] = -(0.5 + reach) / (size - 1)
        points[axis, axis], points[axis, size + axis] = 0.5 + reach, 1.0
    return points


def triangle(dim, times=1):
    """Place a class on two corners of an equilateral triangle, each `times`, and another on the third.

    With one shot the score is 0 or the squared side: the sides between the corners are longer by the margin.
    """
    points = np.zeros((dim, 2 * times + 1))
    points[0, :times], points[0, times : 2 * times] = 0.5 + MARGIN, -0.5 - MARGIN
    points[1, -1] = np.sqrt(0.75)
    return points


def outlier(size, dim, length=1.0):
    """Place a class on one point but for an outlier across the axis, whose length beats the distance 1 to the other class."""
    points = np.zeros((dim, size + 1))
    points[1, 0], points[0, -1] = length * (1.0 + MARGIN), 1.0
    return points


def extent(features):
    """Return the largest norm and the largest distance of features, d x N."""
    steps = features[:, :, None] - features[:, None, :]
    return jnp.sqrt(jnp.max(jnp.sum(features**2, axis=0))), jnp.sqrt(jnp.max(jnp.sum(steps**2, axis=0)))


def share(left, right, error):
    """Observe what is bounded over its bound, entry by entry, and the rounding of that.

    The error is added to the bound, so that where what is bounded lies within it the ratio is at most 1 whatever the bound.
    """

    def observed(problem, params):
        return left(problem, params) / (right(problem, params) + error(problem, params) + TINY)

    def rounded(problem, params):
        wrong = error(problem, params)
        ratio = wrong / (right(problem, params) + wrong + TINY)
        return jnp.max(jnp.where(left(problem, params) > wrong, ratio, 0.0)) / rounding_unit(params)

    return observed, rounded


def off_diagonal(matrix):
    """Set the diagonal to zero."""
    return jnp.where(jnp.eye(matrix.shape[0], dtype=bool), 0.0, matrix)
