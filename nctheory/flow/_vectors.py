"""Arithmetic on points: of one vector, or of several arrays that together are one.

On a CPU a point is one flat vector; elsewhere it is the tuple of its parameter arrays, because packing them into a vector and
back in every step would move more through memory than the step does. Every function here does to a vector exactly what its
one operation would.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, Scalar

Point = Any
"""A point: one vector, or a tuple of arrays."""
ValueAndGrad = Callable[[Point, Array], tuple[Scalar, Point]]
"""A function of a point and a context that gives objective and gradient."""


def dot(a: Point, b: Point) -> Array:
    """The inner product of two points.

    >>> import jax.numpy as jnp
    >>> vector, apart = jnp.ones(6), (jnp.ones(2), jnp.ones((2, 2)))
    >>> float(dot(vector, vector)), float(dot(apart, apart))
    (6.0, 6.0)
    """
    if not isinstance(a, tuple):
        return a @ b
    return sum((jnp.sum(x * y) for x, y in zip(a, b, strict=True)), jnp.zeros(()))


def norm(a: Point) -> Array:
    """The Euclidean norm of a point."""
    return jnp.sqrt(dot(a, a)) if isinstance(a, tuple) else jnp.linalg.norm(a)


def rms(a: Point) -> Array:
    """The root mean square of a point's numbers, which is the norm of step-size controllers."""
    if not isinstance(a, tuple):
        return jnp.sqrt(jnp.mean(a**2))
    return jnp.sqrt(dot(a, a) / numbers(a))


def numbers(a: Point) -> int:
    """The number of numbers that a point is made of."""
    return sum(x.size for x in jax.tree.leaves(a))


def plus(a: Point, factor: Any, b: Point) -> Point:
    """The point a + factor b."""
    return jax.tree.map(lambda x, y: x + factor * y, a, b)


def minus(a: Point, b: Point) -> Point:
    """The point a - b."""
    return jax.tree.map(lambda x, y: x - y, a, b)


def times(factor: Any, a: Point) -> Point:
    """The point factor a."""
    return jax.tree.map(lambda x: factor * x, a)


def pick(condition: Any, a: Any, b: Any) -> Any:
    """The point a where the condition holds, else b, array by array."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def like(a: Point, vector: np.ndarray) -> Point:
    """A constant vector in the form of a point."""
    if not isinstance(a, tuple):
        return vector
    cuts = np.cumsum([x.size for x in a])[:-1].tolist()
    return tuple(jnp.asarray(part.reshape(x.shape), x.dtype) for part, x in zip(np.split(vector, cuts), a, strict=True))
