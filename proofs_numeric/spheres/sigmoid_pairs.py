"""The closed form of the sigmoid loss of pairs: one scalar problem, its two thresholds in the bias, and wrong versions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct

HALVINGS = 100
"""Halvings of the interval from -1 to 1, after which its ends agree to rounding."""


class Pairs(NamedTuple):
    """What the theorem says of the minimisers."""

    value: jax.Array
    matched: jax.Array
    """alpha, the product of a matching pair."""
    gram: jax.Array
    """The inner products of all vectors, the u before the v."""
    simplex_up_to: jax.Array
    """e^b up to which matching pairs coincide."""
    antipodal_from: jax.Array
    """e^b from which on all u coincide, and all v are their opposite."""


def slope_at(matched: jax.Array, pairs: int, scale: jax.Array, bias: jax.Array) -> jax.Array:
    r"""Return $\frac{N-2}2\sigma(t\beta+b)-\sigma(-t\alpha-b)$, the derivative over t of the loss along the family."""
    other = unmatched(matched, pairs)
    return (pairs - 2) / 2 * jax.nn.sigmoid(scale * other + bias) - jax.nn.sigmoid(-scale * matched - bias)


def unmatched(matched: jax.Array, pairs: int) -> jax.Array:
    r"""Return $\beta=\frac{(N-2)\alpha-N}{2(N-1)}$, the least product of other pairs that alpha allows."""
    return ((pairs - 2) * matched - pairs) / (2 * (pairs - 1))


def loss_at(matched: jax.Array, other: jax.Array, pairs: int, scale: jax.Array, bias: jax.Array) -> jax.Array:
    r"""Return $\log(1+e^{-t\alpha-b})+(N-1)\log(1+e^{t\beta+b})$."""
    return jax.nn.softplus(-scale * matched - bias) + (pairs - 1) * jax.nn.softplus(scale * other + bias)


def best_match(pairs: int, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Return the alpha from -1 to 1 at which the loss along the family, which is convex, is least."""

    def falls(matched):
        return -slope_at(matched, pairs, scale, bias)

    one = jnp.ones(())
    inside = nct.engine.bisect(falls, -one, one, HALVINGS)
    return jnp.where(falls(one) >= 0, 1.0, jnp.where(falls(-one) <= 0, -1.0, inside))


def gram_of(matched: jax.Array, pairs: int) -> jax.Array:
    """Return all inner products: 1, and 1 - alpha + beta among the u and among the v, alpha and beta between them."""
    other, eye = unmatched(matched, pairs), jnp.eye(pairs)
    among = 1.0 - matched + other
    within, across = among + (1.0 - among) * eye, other + (matched - other) * eye
    return jnp.block([[within, across], [across, within]])


def simplex_limit(pairs: int, scale: jax.Array | float) -> jax.Array:
    r"""Return the $y=e^b$ at which the slope vanishes at alpha = 1: $c\,e^ty^2+(c-1)y=e^{t/(N-1)}$, $c=\frac{N-2}2$."""
    half = (pairs - 2) / 2
    root = jnp.sqrt((1 - half) ** 2 + 4 * half * jnp.exp(scale * pairs / (pairs - 1)))
    return ((1 - half) + root) / (2 * half * jnp.exp(scale))


def antipodal_limit(pairs: int, scale: jax.Array | float) -> jax.Array:
    r"""Return the $e^b$ at which the slope vanishes at alpha = -1, $\frac2{N-2}e^t$."""
    return 2.0 / (pairs - 2) * jnp.exp(scale)
