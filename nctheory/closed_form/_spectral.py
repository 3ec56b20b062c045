"""Squared error with two factors: the singular values of the targets, soft-thresholded, are those of the product."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._decays import root_of_product, root_of_ratio
from nctheory.closed_form._minimum import Minimum, NoClosedForm
from nctheory.closed_form._require import require
from nctheory.closed_form._thresholds import TIE
from nctheory.engine import Array, Scalar
from nctheory.problems import DeepLinear


def needs_two_free_factors(problem: DeepLinear) -> None:
    """Refuse what soft-thresholding does not cover; NoClosedForm names the hypothesis that fails."""
    require(problem, loss="mse", inputs="free", depth=1, samples=True, bias="none or free", decay="positive")


def soft_threshold_minimum(
    problem: DeepLinear,
    left: Float[Array, "K r"],
    sigma: Float[Array, "r"],
    right: Float[Array, "r M"],
    offset: Float[Array, "K"] | None,
    theorem: str,
) -> Minimum:
    r"""The minimum of product $U\,\mathrm{diag}((\sigma-N\lambda)_+)V^\top$ for targets $U\,\mathrm{diag}(\sigma)V^\top$.

    The two factors cost at least $\lambda|Z|_*$, $\lambda=\sqrt{\lambda_W\lambda_H}$ (lemma `red-nuclear`), and von
    Neumann's trace inequality splits $\frac1{2N}|Z-Y|_F^2+\lambda|Z|_*$ into scalar problems over the min(d, r) largest
    $\sigma_i$. So d may be less than the rank of the targets, if no tie of values above $N\lambda$ lies at the cut. `right`
    counts columns with their multiplicity: $V^\top\mathrm{diag}(m)V=I$. `sigma` descends; `offset` is the bias.
    """
    decay, rank = jnp.asarray(problem.weight_decay), problem.widths[0]
    samples = jnp.sum(jnp.asarray(problem.multiplicity))
    if rank < sigma.shape[0]:
        refuse_tie(sigma, samples * root_of_product(decay), rank)
    arrays = _arrays(left, sigma, right, offset, decay, samples, rank)
    return Minimum(theorem=theorem, bias=offset, **arrays)


@partial(jax.jit, static_argnames="rank")
def _arrays(
    left: Float[Array, "K r"],
    sigma: Float[Array, "r"],
    right: Float[Array, "r M"],
    offset: Float[Array, "K"] | None,
    decay: Float[Array, "2"],
    samples: Scalar,
    rank: int,
) -> dict[str, Array]:
    """The arrays of a `Minimum`, built in the basis of the targets: no decomposition of the product is differentiated."""
    strength = root_of_product(decay)
    # Of each direction min over s >= 0 of (s - sigma)^2 / 2N + lambda s: s = (sigma - N lambda)_+, over the rank largest ones.
    threshold = samples * strength
    on = (sigma > threshold) & (jnp.arange(sigma.shape[0]) < rank)
    singular = jnp.where(on, sigma - threshold, 0.0)
    share = jnp.where(on, 0.5 * threshold * strength + strength * singular, 0.5 * sigma**2 / samples)
    # The factors share s: s_i(W)^2 = sqrt(lambda_H/lambda_W) s_i and s_i(H)^2 = sqrt(lambda_W/lambda_H) s_i.
    ratio = root_of_ratio(decay)
    product = (left * singular[None, :]) @ right
    padded = jnp.zeros(left.shape[0]).at[: sigma.shape[0]].set(singular)
    root = jnp.sqrt(jnp.where(padded > 0, padded, 1.0))
    layers = jnp.where(
        padded[None, :] > 0, jnp.stack([jnp.sqrt(ratio), 1.0 / jnp.sqrt(ratio)])[:, None] * root[None, :], 0.0
    )
    return {
        "value": jnp.sum(share),
        "logits": product if offset is None else product + offset[:, None],
        "product": product,
        "singular_values": padded,
        "gram_weights": ratio * (left * singular[None, :]) @ left.T,
        "gram_features": (right.T * singular[None, :]) @ right / ratio,
        "weight_norm": ratio * jnp.sum(singular),
        "feature_norm": jnp.sum(singular) / ratio,
        "layer_singular_values": layers,
    }


def refuse_tie(sigma: Array, threshold: Scalar, rank: int) -> None:
    """NoClosedForm where only some of several equal singular values above the threshold fit under the rank cut."""
    try:
        above, below, least = float(sigma[rank - 1]), float(sigma[rank]), float(threshold)
    except TypeError:  # a tracer: the hypothesis is the caller's
        return
    if above > least and above - below <= TIE * above:
        raise NoClosedForm(
            f"the rank cut at width {rank} falls between equal singular values {above:.6g} of the targets: the minimisers' "
            "product is not unique (only its value and spectrum are)"
        )


def class_target_spectrum(
    counts: tuple[int, ...], reduced: bool
) -> tuple[Float[np.ndarray, "K r"], Float[np.ndarray, "r"], Float[np.ndarray, "r M"]]:
    r"""Singular value decomposition of the centred targets of classes, $(I-n1^\top/N)\,$ on the columns, r = K-1.

    Columns weighted by $\sqrt{n_k}$ have the Gram matrix $D-nn^\top/N$, whose null vector is 1.

    >>> left, sigma, right = class_target_spectrum((3, 1), reduced=True)
    >>> left.shape, round(float(sigma[0]) ** 2, 12)  # 3 1/4 + 1 3/4
    ((2, 1), 1.5)
    """
    # The last singular value, of the null vector 1, is dropped, and the weight is taken off the right vectors again.
    n = np.asarray(counts, dtype=np.float64)
    weighted = (np.eye(n.size) - n[:, None] / n.sum()) * np.sqrt(n)[None, :]
    left, sigma, right = np.linalg.svd(weighted)
    rank = n.size - 1
    columns = right[:rank] / np.sqrt(n)[None, :]
    return left[:, :rank], sigma[:rank], columns if reduced else np.repeat(columns, counts, axis=1)
