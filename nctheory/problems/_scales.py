"""The units of a problem: sizes of its parameters and of its gradient, for what is to be small against them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, Scalar, is_traced

COARSE = 4
"""Scales are mostly whole powers of 2^4: exact factors, within 4 of the sizes they stand for, and 1 in ordinary units."""


class Scales(NamedTuple):
    """Characteristic scales of a problem: $f(x)=s\\,g(x/r)$ has those of g, with `length` times r and `gradient` times s/r."""

    length: Scalar
    """The scale of an entry of the parameters."""
    gradient: Scalar
    """The scale of an entry of the gradient there."""

    @property
    def value(self) -> Scalar:
        """The scale of a difference of the objective."""
        return self.gradient * self.length


ORDINARY = Scales(np.float64(1.0), np.float64(1.0))
"""The scales of problems that are posed in ordinary numbers."""


def nearest_scale(size: Array | float, bits: int = COARSE) -> Scalar:
    """The whole power of 2^`bits` nearest to a size, by ratio; 1 where that is not positive and finite.

    >>> [float(nearest_scale(x)) for x in (0.3, 3.9, 5.0, 16.0, 1e-8, 0.0)]
    [1.0, 1.0, 16.0, 16.0, 3.725290298461914e-09, 1.0]
    >>> [float(nearest_scale(x, bits=1)) for x in (0.3, 1.3)]
    [0.25, 1.0]
    """
    xp: Any = jnp if is_traced(size) else np
    size = xp.asarray(size, np.float64)
    known = xp.isfinite(size) & (size > 0)
    # The exponent is the multiple of `bits` nearest to log2 of the size; the power itself is exact.
    exponent = bits * xp.round(xp.log2(xp.where(known, size, 1.0)) / bits).astype(np.int32)
    return xp.ldexp(xp.ones_like(size), exponent)


def product_scales(targets: Array, column_weight: Array, inputs: Array | None, factors: int) -> Scales:
    r"""The scales of squared error on a product of F free factors, from the data.

    The fit is of the size of $\sum_jq_j|y_j|^2$, and every free factor of the size of the F-th root of the targets' size over
    that of the inputs.
    """
    # F factors of size r on inputs of size x give logits as large as the targets if (r^F x)^2 = sum_j q_j |y_j|^2.
    squared = column_weight @ (targets**2).sum(0)
    seen = 1.0 if inputs is None else (inputs**2).mean()
    length = nearest_scale((squared / seen) ** (0.5 / factors), bits=1)
    # The fit is the unit of the value, and the unit of the gradient is a value over a length.
    return Scales(length, nearest_scale(squared) / length)
