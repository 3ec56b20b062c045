"""Numbers in units of their own size, so that the squares of tiny and of huge ones are neither zero nor infinite.

A unit is a power of two, by which numbers are divided without rounding: what no scale changes keeps every digit.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array

ORDINARY = 100
"""Numbers whose largest lies between 2^-100 and 2^100 need no unit: their fourth powers, which are the highest that any
measure takes, stay far from the ends of double precision (conventional)."""
MOST = 1000
"""Units are 2^-1000 to 2^1000, so that their inverses, and derivatives of measures in them, are ordinary numbers."""


def scale_of(largest: float) -> float:
    """The power of two that brings numbers up to `largest` near 1; 1 for ordinary numbers, infinity for zero.

    >>> scale_of(3.0), scale_of(3 * 2.0**200) == 2.0**-202, scale_of(0.0)
    (1.0, True, inf)
    """
    if largest == 0:
        return np.inf
    exponent = int(np.frexp(largest)[1])
    return 1.0 if abs(exponent) <= ORDINARY else float(np.ldexp(1.0, -min(max(exponent, -MOST), MOST)))


def normalised(x: np.ndarray) -> np.ndarray:
    """The numbers times `scale_of` their largest; ordinary ones, and zeros, as they are.

    >>> normalised(np.array([2.0**-300, 0.0])).tolist(), normalised(np.zeros(2)).tolist()
    ([0.5, 0.0], [0.0, 0.0])
    """
    scale = scale_of(float(np.max(np.abs(x), initial=0.0)))
    return x if scale in (1.0, np.inf) else x * scale


def traced_normalised(x: Array) -> Array:
    """The same over the last two axes of what may be traced, whatever the size; for functions that no scale changes.

    The scale counts as constant, which it may in the derivatives of such a function: $f(x)=f(sx)$ for every constant s.

    >>> traced_normalised(jnp.array([[0.0, 5.0], [1.0, 0.5]])).tolist()
    [[0.0, 1.25], [0.25, 0.125]]
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True, initial=0.0))
    bits = jnp.finfo(x.dtype)
    # As many powers of two are left out at the ends as MOST leaves of those of double precision.
    least = 2.0 ** (int(bits.minexp) * MOST // 1024)
    near = jnp.clip(jnp.where(largest > 0, largest, 1.0), least, 1.0 / least)
    # Without bits of the mantissa a number is rounded to a power of two.
    return x * (1.0 / jax.lax.reduce_precision(near, exponent_bits=bits.nexp, mantissa_bits=0))
