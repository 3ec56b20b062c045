"""What tells candidates for kinks from kinks: the program with other slopes at some of them, or with some of them met."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from nctheory.engine._kinks import exact_kink, replace_kinks, sloped_kink
from nctheory.engine._types import Array


def with_even_slopes(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The function itself, whose derivative takes the mean slope of both sides at one kink, wherever its argument is.

    Where that leaves the derivative what it was the place is no kink, as that of the largest logit is none which is taken out
    of a sum of exponentials and put back.

    >>> import jax
    >>> f = lambda x: jnp.max(x) + jnp.log(jnp.sum(jnp.exp(x - jnp.max(x)))) + jnp.sum(jnp.abs(x))
    >>> x = jnp.array([0.3, 1.0])
    >>> slopes = [jax.grad(with_even_slopes(f, i))(x) for i in range(3)]
    >>> [bool(jnp.max(jnp.abs(slope - jax.grad(f)(x))) > 1e-6) for slope in slopes[2:]]
    [True]
    """

    def even(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
        if index != which:
            return exact_kink(kind, a, b, how)
        if kind == "reduce_max":
            return sloped_kink(
                kind, a, b, how, jnp.full(jnp.shape(a), jnp.size(exact_kink(kind, a, b, how)) / jnp.size(a))
            )
        return sloped_kink(kind, a, b, how, jnp.asarray(0.5))

    return replace_kinks(function, even)


def on_sides(function: Callable[..., Any], sides: Mapping[int, int]) -> Callable[..., Any]:
    r"""The function with some of its kinks met, whatever their arguments are, and the slopes of one side of each, 1 or -1.

    Kinks of one argument may make a function that has none: $\log(1+e^x)$ is computed as $\max(x,0)+\log(1+e^{-|x|})$, whose
    two kinks are at the same place and cancel.

    >>> f = lambda x: jnp.sum(jax.nn.softplus(x))
    >>> [float(jax.grad(on_sides(f, {0: side, 1: side}))(jnp.array([0.3]))[0]) for side in (1, -1)]
    [0.5, 0.5]
    """

    def met(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
        if index not in sides or kind == "reduce_max":
            return exact_kink(kind, a, b, how)
        # The argument is replaced by zero, and keeps its derivative.
        still, right = jax.lax.stop_gradient, 0.5 * (1.0 + sides[index])
        if b is None:
            return (2.0 * right - 1.0) * (a - still(a))
        return still(b) + right * (a - still(a)) + (1.0 - right) * (b - still(b))

    return replace_kinks(function, met)
