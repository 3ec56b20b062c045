"""Whether a conjugate that a user wrote is large enough: where it is too small a bound would lie above the minimum."""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import EPS, Array, fast_compile
from nctheory.problems import Loss

ROUNDING = 256 * EPS
ROWS = 24
"""All pairs of this many sets of logits are tried (conventional)."""


@fast_compile
def _shortfalls(loss: Loss, logits: Array, targets: Array) -> tuple[Array, Array, Array]:
    r"""$\langle u_i,z_j\rangle-\ell(z_j)-\ell^*(u_i)$ for all pairs, its rounding, and the conjugates.

    u are the gradients at the logits and the middles between these and the first.
    """
    slope = jax.vmap(lambda z: loss.gradient(z, targets))(logits)
    dual = jnp.concatenate([slope, 0.5 * (slope + slope[:1])])
    value, inside = (jax.vmap(lambda z, f=f: f(z, targets))(logits) for f in (loss.value, loss.value_terms))
    conjugate, terms = (jax.vmap(lambda u, f=f: f(u, targets))(dual) for f in (loss.conjugate, loss.conjugate_terms))
    product, size = (jnp.einsum("ikm,jkm->ijm", u, z) for u, z in ((dual, logits), (jnp.abs(dual), jnp.abs(logits))))
    short = product - value[None] - conjugate[:, None]
    return short, ROUNDING * (size + inside[None] + terms[:, None]), conjugate


def wrong_conjugate(loss: Loss, logits: np.ndarray, targets: np.ndarray) -> str | None:
    r"""Where Fenchel and Young's inequality $\ell^*(u)\ge\langle u,z\rangle-\ell(z)$ fails by more than rounding, or None.

    It holds for every u and z by the definition of a conjugate, whether or not the loss is convex.
    """
    short, rounding, conjugate = (np.asarray(x) for x in _shortfalls(loss, logits[:ROWS], targets))
    excess = np.where(np.isfinite(short), short - rounding, -np.inf)
    i, j, column = np.unravel_index(int(np.argmax(excess)), excess.shape)
    if not excess[i, j, column] > 0:
        return None
    reached = short[i, j, column] + conjugate[i, column]
    return (
        f"the conjugate of {loss.name} is too small, and a bound made of it would lie above the minimum: it is "
        f"{conjugate[i, column]:.6g} at a u where <u, z> - l(z) is {reached:.6g} for one z, "
        "and it is the largest of these over all z; without a conjugate the bound is made of tangents"
    )


__all__ = ["wrong_conjugate"]
