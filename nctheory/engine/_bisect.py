"""Bisection of a bracket, within a compiled program and for NumPy arrays."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine._types import Array


def bisect(residual: Callable[[Array], Array], first: Array, second: Array, halvings: int) -> Array:
    r"""The root of `residual`, entry by entry, in the bracket from `first` to `second`; can be traced and differentiated.

    `residual(x)` has one sign change in the bracket, and is positive on the side of `first`, the larger or the smaller
    end. The root is the middle of what is left after a fixed number of halvings. Its derivative is that of the root,
    $\mathrm dx=-\partial_\theta r/\partial_xr$ (`jax.lax.custom_root`), which the halvings themselves would not give; it is
    zero where the residual's slope is zero, and has no meaning where the root is an end because there is no sign change.

    >>> import jax, jax.numpy as jnp
    >>> with jax.enable_x64(True):
    ...     root, slope = jax.value_and_grad(lambda c: bisect(lambda x: c - x**2, 0.0 * c, 2.0 + 0.0 * c, 60))(2.0)
    >>> round(float(root), 12), round(float(slope), 12)
    (1.414213562373, 0.353553390593)
    """
    # The ends of the bracket have no derivative: that of the root comes from the residual alone.
    first, second = jax.lax.stop_gradient((first, second))

    def solve(function: Callable[[Array], Array], _: Array) -> Array:
        def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
            first, second = bracket
            middle = 0.5 * (first + second)
            # Where the residual is positive at the middle, the root lies between the middle and `second`.
            further = function(middle) > 0
            return jnp.where(further, middle, first), jnp.where(further, second, middle)

        first_left, second_left = jax.lax.fori_loop(0, halvings, halve, (first, second))
        return 0.5 * (first_left + second_left)

    def divide(product: Callable[[Array], Array], right: Array) -> Array:
        # The residual acts entry by entry, so that its derivative is a diagonal.
        slope = product(jnp.ones_like(right))
        return jnp.where(slope != 0, right / jnp.where(slope != 0, slope, 1.0), 0.0)

    # `custom_root` linearises r(x(theta), theta) = 0 at the root, and `divide` solves the linear equation for dx.
    return jax.lax.custom_root(residual, 0.5 * (first + second), solve, divide)


def bisect_numpy(
    beyond: Callable[[np.ndarray], np.ndarray], first: np.ndarray, second: np.ndarray, halvings: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same for NumPy arrays and a function that cannot be traced: both ends of the bracket that is left.

    >>> first, second = bisect_numpy(lambda x: x**2 < 2.0, np.zeros(1), np.full(1, 2.0), 60)
    >>> first.round(12).tolist()
    [1.414213562373]
    """
    for _ in range(halvings):
        middle = 0.5 * (first + second)
        # Where `beyond` holds at the middle, the root lies between the middle and `second`.
        further = beyond(middle)
        first, second = np.where(further, middle, first), np.where(further, second, middle)
    return first, second
