"""Newton's equation at a point: conjugate gradients on the Hessian with its gauge fixed."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array
from nctheory.flow._vectors import Point, ValueAndGrad, dot, like, norm, numbers, plus

GaugePenalty = Callable[[Point, Point, Array], Point]
"""`Problem.gauge_penalty` as a function of a point, a direction and a context."""


class _CG(NamedTuple):
    """The iterate x of conjugate gradients, with r = b - A x."""

    solution: Point
    residual: Point
    direction: Point
    squared: Array
    iteration: Array
    negative: Array


def conjugate_gradients(
    product: Callable[[Point], Point],
    rhs: Point,
    residual: float | Array,
    iterations: int | Array,
    longest: float | Array = jnp.inf,
) -> tuple[Point, Array, Array, Array]:
    """Conjugate gradients for `product(x) = rhs`: the solution, its relative residual, the number of iterations, and whether
    they met a direction of curvature <= 0 (they meet one exactly when the operator is not positive definite on the Krylov
    space built so far).

    The iterates only grow in norm, so that the method gives up, its residual unmet, as soon as one is longer than `longest`.
    """
    target = residual**2 * dot(rhs, rhs)

    def going(s: _CG) -> Array:
        short = dot(s.solution, s.solution) <= longest**2
        return (s.squared > target) & (s.iteration < iterations) & ~s.negative & short

    def step(s: _CG) -> _CG:
        # Along the direction d: a = |r|^2 / d.A d, x + a d, r - a A d; where d.A d <= 0 the step a is zero, and the loop ends.
        image = product(s.direction)
        curvature = dot(s.direction, image)
        negative = ~(curvature > 0.0)
        length = jnp.where(negative, 0.0, s.squared / jnp.where(negative, 1.0, curvature))
        left = jax.tree.map(lambda x, y: x - length * y, s.residual, image)
        # The next direction is conjugate to all before it: r' + |r'|^2/|r|^2 d.
        squared = dot(left, left)
        direction = plus(left, squared / s.squared, s.direction)
        return _CG(plus(s.solution, length, s.direction), left, direction, squared, s.iteration + 1, negative)

    start = _CG(jax.tree.map(jnp.zeros_like, rhs), rhs, rhs, dot(rhs, rhs), jnp.asarray(0), jnp.asarray(False))
    end = jax.lax.while_loop(going, step, start)
    return end.solution, jnp.sqrt(end.squared / dot(rhs, rhs)), end.iteration, end.negative


def random_direction(point: Point) -> Point:
    """A random direction at a point; it is a constant of the program."""
    return jax.tree.map(jnp.asarray, like(point, np.random.default_rng(7).normal(size=numbers(point))))


def gauge_fixed(
    value_and_grad: ValueAndGrad, gauge_penalty: GaugePenalty, point: Point, context: Array
) -> tuple[Point, Callable[[Point], Point], Array]:
    """The gradient, the product with the Hessian plus a multiple of the gauge penalty, and the Hessian's size (a root
    mean square).

    The multiple makes the curvature along the symmetry orbit as large as elsewhere, both as a random direction shows them.
    """
    gradient, curvature = jax.linearize(lambda y: value_and_grad(y, context)[1], point)
    # For a random v: |A v|/|v| estimates the size of A, and |A v|/|P v| is the multiple of the penalty P.
    probe = random_direction(point)
    along = norm(gauge_penalty(point, probe, context))
    steep = norm(curvature(probe))
    fixing = steep / jnp.where(along > 0, along, 1.0)
    return gradient, lambda v: plus(curvature(v), fixing, gauge_penalty(point, v, context)), steep / norm(probe)


__all__ = ["GaugePenalty", "conjugate_gradients", "gauge_fixed", "random_direction"]
