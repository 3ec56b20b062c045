"""The units of a problem: sizes of its parameters and of its gradient, for what is to be small against them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nctheory._concrete import is_traced
from nctheory._types import Array, Scalar

BASE_BITS = 4
"""Scales are whole powers of 2^4: exact factors, within 4 of the sizes they stand for, and 1 in ordinary units."""


class Scales(NamedTuple):
    """Characteristic scales of a problem: $f(x)=s\\,g(x/r)$ has those of g, with `length` times r and `gradient` times s/r."""

    length: Scalar
    """Of an entry of the parameters."""
    gradient: Scalar
    """Of an entry of the gradient there."""

    @property
    def value(self) -> Scalar:
        """Of a difference of the objective."""
        return self.gradient * self.length


def power_of_16(size: Array | float) -> Scalar:
    """The whole power of 16 nearest to a size, by ratio; 1 where that is not positive and finite.

    >>> [float(power_of_16(x)) for x in (0.3, 3.9, 5.0, 16.0, 1e-8, 0.0)]
    [1.0, 1.0, 16.0, 16.0, 1.4901161193847656e-08, 1.0]
    """
    xp: Any = jnp if is_traced(size) else np
    size = xp.asarray(size, np.float64)
    known = xp.isfinite(size) & (size > 0)
    exponent = BASE_BITS * xp.round(xp.log2(xp.where(known, size, 1.0)) / BASE_BITS).astype(np.int32)
    return xp.ldexp(xp.ones_like(size), exponent)
