"""Powers of the two Gram matrices of a product, with derivatives that see no single singular vector."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.closed_form._thresholds import SINGULAR_ROUNDING
from nctheory.engine import Array


class GramPowers(NamedTuple):
    """What the layers of a balanced factorisation are made of, for a product Z with singular values s_i."""

    singular: Float[Array, "r"]
    """The s_i, descending; those that are rounding are set to zero."""
    left: Float[Array, "K K"]
    r"""$(ZZ^\top)^{1-1/F}$."""
    right: Float[Array, "M M"]
    r"""$(Z^\top Z)^{1/F}$."""


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def gram_powers(product: Float[Array, "K M"], factors: int) -> GramPowers:
    r"""$s$, $(ZZ^\top)^{1-1/F}$ and $(Z^\top Z)^{1/F}$ on the range of Z, F = `factors`.

    The derivatives are those along changes that keep the rank: between two directions that are both zero they are 0. Equal
    singular values do no harm (Daleckii and Krein: only divided differences of the power occur).
    """
    return _powers(_directions(product), factors)


Directions = tuple[Array, Array, Array]


def _directions(product: Array) -> Directions:
    left, singular, right = jnp.linalg.svd(product, full_matrices=False)
    return left, without_rounding(singular), right


def without_rounding(singular: Float[Array, "r"]) -> Float[Array, "r"]:
    """Descending singular values with those that are rounding set to zero."""
    return jnp.where(singular > SINGULAR_ROUNDING * singular[0], singular, 0.0)


def _powers(directions: Directions, factors: int) -> GramPowers:
    left, singular, right = directions
    # ZZ^T to the power 1 - 1/F has the eigenvalues s^(2 - 2/F), and Z^T Z to the power 1/F has s^(2/F).
    above, below = _power(singular, 2.0 - 2.0 / factors), _power(singular, 2.0 / factors)
    return GramPowers(singular, (left * above[None, :]) @ left.T, (right.T * below[None, :]) @ right)


def _power(singular: Array, exponent: float) -> Array:
    """A power of what is not zero; zero stays zero whatever the exponent."""
    alive = singular > 0
    return jnp.where(alive, jnp.where(alive, singular, 1.0) ** exponent, 0.0)


@gram_powers.defjvp
def _gram_powers_jvp(factors: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[GramPowers, GramPowers]:
    left, singular, right = directions = _directions(primals[0])
    # ds_i = u_i^T dZ v_i, where s_i is not zero.
    change = tangents[0]
    moved = jnp.where(singular > 0, jnp.diag(left.T @ change @ right.T), 0.0)
    # The halves are dZ v_i s_i and dZ^T u_i s_i: what d(ZZ^T) u_i and d(Z^T Z) v_i are but for a part in the range.
    return _powers(directions, factors), GramPowers(
        moved,
        _gram_tangent(left, singular, (change @ right.T) * singular[None, :], 1.0 - 1.0 / factors),
        _gram_tangent(right.T, singular, (change.T @ left) * singular[None, :], 1.0 / factors),
    )


def _gram_tangent(vectors: Array, singular: Array, half: Array, power: float) -> Array:
    r"""The change of $A^p$, where $A=\sum s_i^2u_iu_i^\top$ and $dA\,u_i$ is `half` $e_i$ plus what lies in the range."""
    inner = vectors.T @ half
    # Within the range dA has the entries inner + inner^T, and dA^p those times the divided differences (Daleckii and Krein).
    within = vectors @ (_divided_differences(singular, power) * (inner + inner.T)) @ vectors.T
    # Between the range and what is orthogonal to all vectors the divided difference is s^(2p) / s^2.
    across = ((half - vectors @ inner) * _power(singular, 2.0 * power - 2.0)[None, :]) @ vectors.T
    return within + across + across.T


def _divided_differences(singular: Array, power: float) -> Array:
    r"""$(s_i^{2p}-s_j^{2p})/(s_i^2-s_j^2)$; $ps_i^{2p-2}$ on ties, and 0 where both are zero."""
    alive = singular > 0
    # With l = log s^2 the quotient is e^((p-1) l_j) (e^(p d) - 1)/(e^d - 1), d = l_i - l_j, which does not cancel.
    logs = 2.0 * jnp.log(jnp.where(alive, singular, 1.0))
    apart = logs[:, None] - logs[None, :]
    tied = jnp.abs(apart) < 1e-8  # the next term of the series is below rounding of the sum
    ratio = jnp.where(tied, power, jnp.expm1(power * apart) / jnp.expm1(jnp.where(tied, 1.0, apart)))
    both = jnp.exp((power - 1.0) * logs)[None, :] * ratio
    # Against a zero the quotient is s^(2p-2).
    one = _power(singular, 2.0 * power - 2.0)
    return jnp.where(alive[:, None] & alive[None, :], both, one[:, None] + one[None, :])
