"""Bisection of a bracket, within a compiled program and for NumPy arrays."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine._types import Array


def bisect(beyond: Callable[[Array], Array], first: Array, second: Array, halvings: int) -> Array:
    """The middle of the bracket that is left of `first` and `second` after a fixed number of halvings; can be traced.

    `beyond(x)` says, entry by entry, whether the root lies between x and `second`; then x takes the place of `first`, else
    that of `second`. Either end may be the larger one. A derivative through the halvings says nothing of the root: stop it,
    and let a Newton step from the middle carry the derivative.

    >>> import jax, jax.numpy as jnp
    >>> with jax.enable_x64(True):
    ...     root = bisect(lambda x: x**2 < 2.0, jnp.asarray(0.0), jnp.asarray(2.0), 60)
    >>> round(float(root), 12)
    1.414213562373
    """

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        first, second = bracket
        middle = 0.5 * (first + second)
        further = beyond(middle)
        return jnp.where(further, middle, first), jnp.where(further, second, middle)

    first, second = jax.lax.fori_loop(0, halvings, halve, (first, second))
    return 0.5 * (first + second)


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
        further = beyond(middle)
        first, second = np.where(further, middle, first), np.where(further, second, middle)
    return first, second
