r"""Points at which a convex loss has a wanted gradient: the maximisers of $\langle u,z\rangle-\ell(z,y)$, column by column."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import Loss

MAX_STEPS = 60
"""The largest number of steps; at a point near a minimiser two or three suffice (conventional)."""
GRADIENT_TOLERANCE = 4 * EPS
"""A search ends at this distance from the wanted gradient, relative to its terms."""
DAMPING_INCREASE, DAMPING_DECREASE, MAX_DAMPING, MIN_DAMPING = 8.0, 0.1, 1e12, 1e-15
"""The factors on the damping after a refused and after an accepted step, and its range, relative to the curvature."""
PROBES, SIZES = 12, (0.1, 1.0, 10.0)
"""The number of random points at which the span of the gradients is found, and their sizes in units of the logits."""

Stack = Float[Array, "K M"]
Columns = Float[Array, " M"]


class LossPoint(NamedTuple):
    """Logits, with the loss and its derivatives at them."""

    logits: Stack
    value: Columns
    gradient: Stack
    hessian: Float[Array, "M K K"]
    size: Stack
    r"""The terms that the rounding of the gradient is relative to: $|\nabla\ell(0)|+|\nabla\ell(z)|+|\nabla^2\ell(z)||z|$."""


def loss_at(loss: Loss, targets: Stack, logits: Stack) -> LossPoint:
    """The loss and its derivatives at these logits."""
    # The Hessians by products with the unit vectors, symmetrised; what is not finite counts as no curvature.
    gradient, push = jax.linearize(lambda z: loss.gradient(z, targets), logits)
    directions = jnp.broadcast_to(jnp.eye(logits.shape[0])[:, :, None], (logits.shape[0], *logits.shape))
    hessian = jnp.transpose(jax.vmap(push)(directions), (2, 1, 0))
    hessian = 0.5 * (hessian + jnp.swapaxes(hessian, 1, 2))
    hessian = jnp.where(jnp.isfinite(hessian), hessian, 0.0)
    origin = jnp.abs(loss.gradient(jnp.zeros_like(logits), targets))
    size = jnp.where(jnp.isfinite(origin), origin, 0.0) + jnp.abs(gradient)
    size = size + jnp.einsum("mkl,lm->km", jnp.abs(hessian), jnp.abs(logits))
    return LossPoint(logits, loss.value(logits, targets), gradient, hessian, size)


def gradient_span(loss: Loss, targets: Stack, here: LossPoint) -> Float[Array, "M K K"]:
    """The projections, column by column, on the span of the differences between the loss's gradients.

    Along all else the loss is linear, as along a shift that it ignores, and its gradient is what it is at one point. A
    direction along which gradients differ by less than about 1e-7 of their largest difference is among these.
    """
    # S = sum of d d^T over differences d of gradients, and of the Hessian's square; its range is the span.
    unit = _unit(targets, here.logits)
    rng = np.random.default_rng(7)
    apart = unit * rng.normal(size=(PROBES, *targets.shape)) * np.resize(SIZES, PROBES)[:, None, None]
    slopes = jax.vmap(lambda z: loss.gradient(z, targets))(jnp.concatenate([jnp.zeros((1, *targets.shape)), apart]))
    change = jnp.where(jnp.isfinite(slopes), slopes - here.gradient[None], 0.0)
    bent = unit * here.hessian
    spread = jnp.einsum("pkm,plm->mkl", change, change) + bent @ jnp.swapaxes(bent, 1, 2)
    values, vectors = jnp.linalg.eigh(spread)
    kept = vectors * (values > 64 * EPS * values[:, -1:]).astype(vectors.dtype)[:, None, :]
    return kept @ jnp.swapaxes(kept, 1, 2)


def _unit(targets: Stack, start: Stack) -> Scalar:
    """The size of the logits: that of the start and the targets."""
    unit = jnp.maximum(jnp.max(jnp.abs(start)), jnp.max(jnp.abs(targets)))
    return jnp.where(unit > 0, unit, 1.0)


def solve_for_gradient(
    loss: Loss, targets: Stack, here: LossPoint, span: Float[Array, "M K K"], wanted: Stack
) -> LossPoint:
    r"""The logits at which the gradient is nearly `wanted`, as far as there are such, sought from those of `here` on.

    Levenberg's steps $p=(\nabla^2\ell+\mu I)^{-1}(u-\nabla\ell)$ on the convex $\ell(z)-\langle u,z\rangle$, every column
    with a damping of its own, within the `span` of the gradients (`gradient_span`). Where the curvature vanishes they are
    those of the gradient; none is longer than the logits are. Nothing that is made of the result rests on how near it came.
    """
    unit, one = _unit(targets, here.logits), jnp.eye(targets.shape[0])[None]

    def rest(point: LossPoint) -> Stack:
        return jnp.einsum("mkl,lm->km", span, wanted - point.gradient)

    def open_columns(point: LossPoint) -> Array:
        return jnp.any(
            jnp.abs(rest(point)) > GRADIENT_TOLERANCE * (point.size + jnp.abs(wanted) + jnp.abs(here.gradient)), axis=0
        )

    def goes_on(state: tuple[Array, Array, LossPoint]) -> Array:
        step, damping, point = state
        return (step < MAX_STEPS) & jnp.any(open_columns(point) & (damping < MAX_DAMPING))

    def move(state: tuple[Array, Array, LossPoint]) -> tuple[Array, Array, LossPoint]:
        step, damping, point = state
        # The equation (H + mu I) p = u - grad l, column by column; mu is relative to the stiffness.
        left = rest(point)
        curvature = jnp.max(jnp.diagonal(point.hessian, axis1=1, axis2=2), axis=1)
        stiffness = jnp.maximum(curvature, 0.0) + jnp.max(jnp.abs(left), axis=0) / unit
        stiffness = jnp.where(stiffness > 0, stiffness, 1.0)
        # What lies across the span is as stiff as the stiffest, and gets nothing of the step.
        across = stiffness[:, None, None] * (one - span)
        matrix = span @ point.hessian @ span + across + (damping * stiffness)[:, None, None] * one
        moved = jnp.linalg.solve(matrix, left.T[:, :, None])[:, :, 0].T
        # No step is longer than the logits are.
        longest = jnp.maximum(unit, jnp.max(jnp.abs(point.logits), axis=0)) / jnp.max(jnp.abs(moved), axis=0)
        part = jnp.where(longest < 1.0, longest, 1.0)
        moved = moved * part[None, :]
        new = loss_at(loss, targets, point.logits + moved)
        # A step is good if l(z) - <u, z> falls by more than rounding, or does not rise and the gradient comes nearer.
        gain = (point.value - new.value) + jnp.sum(wanted * moved, axis=0)
        terms = jnp.abs(point.value) + jnp.abs(new.value) + jnp.sum(jnp.abs(wanted * new.logits), axis=0)
        nearer = jnp.sum(rest(new) ** 2, axis=0) < jnp.sum(left**2, axis=0)
        good = (gain > 8 * EPS * terms) | ((gain >= -8 * EPS * terms) & nearer)
        good = good & jnp.isfinite(new.value) & jnp.all(jnp.isfinite(new.gradient), axis=0) & open_columns(point)
        damping = jnp.where(
            good, jnp.maximum(DAMPING_DECREASE * damping, MIN_DAMPING), DAMPING_INCREASE * damping / part
        )
        return step + 1, damping, select(good, new, point)

    start = jnp.zeros((), int), jnp.full(targets.shape[1], 1e-3), here
    return jax.lax.while_loop(goes_on, move, start)[2]


def select(mask: Bool[Array, " M"], first: LossPoint, second: LossPoint) -> LossPoint:
    """The points that are, column by column, the first where the mask holds, else the second."""

    def one(x: Array, y: Array, axis: int) -> Array:
        shape = [1] * x.ndim
        shape[axis] = -1
        return jnp.where(jnp.reshape(mask, shape), x, y)

    return LossPoint(*(one(x, y, axis) for x, y, axis in zip(first, second, (1, 0, 1, 0, 1), strict=True)))


__all__ = ["LossPoint", "gradient_span", "loss_at", "solve_for_gradient"]
