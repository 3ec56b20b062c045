"""Directions without decay: what an exact zero of the gradient along them would cost, where it is zero to rounding."""

import jax
import jax.numpy as jnp

from nctheory.certificates._loss_points import LossPoint, loss_at
from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import DeepLinear

NEWTON = 4
"""The number of Newton steps in the product; where it is a minimiser's one or two reach rounding (conventional)."""


def constrained(problem: DeepLinear, dual: Array) -> Array:
    """The matrix whose norm the decay bounds."""
    weighted = dual * jnp.asarray(problem.column_weight)[None, :]
    if problem.inputs is None:
        return weighted / jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]
    return weighted @ jnp.asarray(problem.inputs).T


def constrained_size(problem: DeepLinear, size: Array) -> Array:
    """The terms of that matrix, from the terms of the dual."""
    if problem.inputs is None:
        return constrained(problem, size)
    return (size * jnp.asarray(problem.column_weight)[None, :]) @ jnp.abs(jnp.asarray(problem.inputs)).T


def tangent_terms(problem: DeepLinear, point: LossPoint) -> Array:
    """The size of the terms of the tangent's height at the origin, column by column."""
    value = problem.loss.value_terms(point.logits, jnp.asarray(problem.targets))
    return value + jnp.sum(point.size * jnp.abs(point.logits), axis=0)


def in_the_product(problem: DeepLinear) -> bool:
    """Whether without decay the objective is a convex function of a free product W with W X given."""
    return problem.factors == 2 and problem.inputs is not None


def stiffness(problem: DeepLinear, point: LossPoint) -> Array:
    """The curvature of the fit in the product, (K D) x (K D)."""
    q, x = jnp.asarray(problem.column_weight), jnp.asarray(problem.inputs)
    side = point.gradient.shape[0] * x.shape[0]
    return jnp.einsum("m,mkl,im,jm->kilj", q, point.hessian, x, x).reshape(side, side)


def newton_refined(problem: DeepLinear, here: LossPoint) -> LossPoint:
    """The point after Newton steps of the fit in the product; at a minimiser without decay the rest G X^T is rounding."""
    shape = here.gradient.shape[0], jnp.asarray(problem.inputs).shape[0]

    def move(_: Array, point: LossPoint) -> LossPoint:
        # vec(dW) = B^{-1} vec(G X^T) with the curvature B of the fit; the step is kept if the rest gets smaller.
        rest = jnp.ravel(constrained(problem, point.gradient))
        step = jnp.linalg.solve(_floored(stiffness(problem, point)), rest[:, None])[:, 0]
        new = loss_at(
            problem.loss, jnp.asarray(problem.targets), point.logits - step.reshape(shape) @ jnp.asarray(problem.inputs)
        )
        lower = jnp.linalg.norm(constrained(problem, new.gradient)) < jnp.linalg.norm(rest)
        return jax.tree.map(lambda x, y: jnp.where(lower & jnp.all(jnp.isfinite(x)), x, y), new, point)

    return jax.lax.fori_loop(0, NEWTON, move, here)


def product_size(problem: DeepLinear, point: LossPoint) -> Array:
    """The sizes of the entries of the product that gives these logits, by least squares."""
    return jnp.abs(jnp.ravel(point.logits @ jnp.linalg.pinv(jnp.asarray(problem.inputs))))


def _floored(stiff: Array) -> Array:
    """A curvature with its rounding added to the diagonal, so that nothing is singular."""
    size = jnp.max(jnp.abs(stiff)) + jnp.where(jnp.any(stiff != 0), 0.0, 1.0)
    return stiff + 8 * stiff.shape[0] * EPS * size * jnp.eye(stiff.shape[0])


def as_zero(rest: Array, stiff: Array, logits: Array) -> Scalar:
    """What it may cost to take a gradient `rest` for zero: see `rounded_tangent_bound`."""
    # Twice Newton's decrement r^T B^{-1} r, and |<r, z>| entry by entry.
    inverse = jnp.linalg.solve(_floored(stiff), rest[:, None])[:, 0]
    return 2.0 * jnp.abs(rest @ inverse) + jnp.sum(jnp.abs(rest) * logits)


__all__ = [
    "as_zero",
    "constrained",
    "constrained_size",
    "in_the_product",
    "newton_refined",
    "product_size",
    "stiffness",
    "tangent_terms",
]
