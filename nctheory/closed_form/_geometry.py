"""The geometries that collapse ends in, as Gram matrices."""

import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import Array, Scalar, float64


@float64
def simplex_etf(classes: int) -> Float[Array, "K K"]:
    r"""$S = I - 11^\top/K$, the Gram matrix of a simplex equiangular tight frame up to scale; rank K-1.

    >>> simplex_etf(2).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    return jnp.eye(classes) - jnp.full((classes, classes), 1.0 / classes)


@float64
def tilted_frame(simplex: Scalar, mean: Scalar, classes: int) -> Float[Array, "K K"]:
    r"""$\alpha S + \beta\,11^\top/K$: a simplex ETF for beta = 0, an orthogonal frame for alpha = beta.

    >>> tilted_frame(1.0, 1.0, 2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return simplex * simplex_etf(classes) + mean * jnp.full((classes, classes), 1.0 / classes)
