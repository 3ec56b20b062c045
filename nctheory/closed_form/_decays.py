r"""Roots of products and ratios of two decays, over all of float64's range.

Of decays of 1e-300 the product is zero in float64, and of 1e300 infinite, while $\sqrt{\lambda_W\lambda_H}$ is neither.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from nctheory.engine import Array, Scalar


@jax.jit
def root_of_product(decay: Float[Array, "2"], times: Scalar | float = 1.0) -> Scalar:
    r"""$\sqrt{n\lambda_W\lambda_H}$, with `times` n.

    >>> with jax.enable_x64(True):
    ...     [f"{root_of_product(jnp.array([x, x]), 4.0):.6g}" for x in (1e-300, 0.5, 1e300)]
    ['2e-300', '1', '2e+300']
    """
    product = times * decay[0] * decay[1]
    usual = _is_usual(product)
    return jnp.where(usual, jnp.sqrt(jnp.where(usual, product, 1.0)), jnp.sqrt(times) * _apart(decay, usual).prod())


@jax.jit
def root_of_ratio(decay: Float[Array, "2"]) -> Scalar:
    r"""$\sqrt{\lambda_H/\lambda_W}$.

    >>> with jax.enable_x64(True):
    ...     [f"{root_of_ratio(jnp.array(pair)):.6g}" for pair in ((1e-300, 1e300), (4.0, 1.0))]
    ['1e+300', '0.5']
    """
    ratio = decay[1] / decay[0]
    usual = _is_usual(ratio)
    apart = _apart(decay, usual)
    return jnp.where(usual, jnp.sqrt(jnp.where(usual, ratio, 1.0)), apart[1] / apart[0])


def _is_usual(number: Array) -> Bool[Array, ""]:
    """Whether it has all its digits; a decay that is zero makes a zero that is right."""
    return (number >= np.finfo(np.float64).tiny) & jnp.isfinite(number)


def _apart(decay: Float[Array, "2"], usual: Bool[Array, ""]) -> Float[Array, "2"]:
    """The root of each decay where it is needed; elsewhere 1, for the root of zero has no derivative."""
    return jnp.sqrt(jnp.where(usual, 1.0, decay))
