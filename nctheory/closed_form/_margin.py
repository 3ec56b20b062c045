"""Hard margins with free features: the SELI geometry and its versions with scaled logits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._decays import root_of_product
from nctheory.closed_form._minimum import Minimum, NoClosedForm, closed_form
from nctheory.closed_form._product import minimum_from_product
from nctheory.closed_form._require import require
from nctheory.closed_form._thresholds import SAME_MULTIPLIERS
from nctheory.engine import Array, float64
from nctheory.problems import DeepLinear, MarginPenalty


@jax.jit
def _logits(class_scale: Float[Array, "K"], label_scale: Float[Array, "K"]) -> Float[Array, "K K"]:
    # P projects off 1/delta; its columns are divided by gamma_k delta_k, which makes every margin 1.
    null = 1.0 / class_scale
    projector = jnp.eye(null.size) - null[:, None] * null[None, :] / (null @ null)
    return projector / (class_scale * label_scale)[None, :]


@jax.jit
def _multipliers(
    counts: Float[Array, "K"], class_scale: Float[Array, "K"], label_scale: Float[Array, "K"]
) -> Float[Array, "K K"]:
    # The nuclear norm of Z D^{1/2} is differentiated: -U V^T over the roots of the counts, and over gamma_k delta_c, the
    # slopes of the margins.
    root = jnp.sqrt(counts)[None, :]
    left, _, right = jnp.linalg.svd(_logits(class_scale, label_scale) * root)
    # The polar factor on the range, which has rank K - 1: the last singular value is zero.
    polar = left[:, :-1] @ right[:-1]
    slopes = -polar / (root * class_scale[:, None] * label_scale[None, :])
    return jnp.where(jnp.eye(counts.size) > 0, 0.0, slopes)


def _as_scale(scale: Array | None, classes: int) -> Array:
    return jnp.ones(classes) if scale is None else jnp.asarray(scale, dtype=jnp.float64)


@float64
def hard_margin_logits(
    classes: int, class_scale: Array | None = None, label_scale: Array | None = None
) -> Float[Array, "K K"]:
    r"""Class-mean logits $\hat Z=P\,\mathrm{diag}(\gamma_k\delta_k)^{-1}$, $P=I-\delta^{-1}\delta^{-\top}/|\delta^{-1}|^2$,
    whose margins $\gamma_k(\delta_k\hat z_{kk}-\delta_c\hat z_{ck})$ are all 1 and for which $\delta^{-\top}\hat Z=0$.

    With unit scales it is $S=I-11^\top/K$ (SELI). For label_scale = 1 this is the table of Behnia et al. 2023 (number
    unchecked) for CDT, for class_scale = 1 that for LDT; the form as a projection is our own.

    >>> hard_margin_logits(2).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    return _logits(_as_scale(class_scale, classes), _as_scale(label_scale, classes))


@float64
def hard_margin_multipliers(
    counts: Array, class_scale: Array | None = None, label_scale: Array | None = None
) -> Float[Array, "K K"]:
    r"""Multipliers a of one sample of each class at `hard_margin_logits`, for $\lambda_W\lambda_H=1$; diagonal zero.

    From the polar factor $VU^\top$ of $\hat ZD^{1/2}$, the only subgradient of its nuclear norm that $\delta^{-1}$ does
    not see: $a_{ck}=-(VU^\top)_{ck}/(\sqrt{n_k}\,\gamma_k\delta_c)$. With $w=1/\delta$ and $\nu_k=n_k/(\gamma_k\delta_k)^2$

    $$a_{ck}=\frac{w_c^2w_k^2}{\gamma_k^2\,\pi}\int_0^\infty\frac{t^{-1/2}\,dt}
      {(t+\nu_c)(t+\nu_k)\sum_jw_j^2/(t+\nu_j)}>0,$$

    so that SELI holds for any counts and scales. (Our own proof: $P\,\mathrm{diag}(\nu)^{1/2}$ has the Gram matrix
    $\mathrm{diag}(\nu)$ minus a rank-one matrix; write its inverse root as an integral of resolvents, and each of these by
    the formula of Sherman and Morrison.) Counts may be any positive numbers.

    >>> import numpy as np
    >>> np.round(hard_margin_multipliers(np.array([4.0, 4.0])), 12).tolist()
    [[0.0, 0.25], [0.25, 0.0]]
    """
    sizes = jnp.asarray(counts, dtype=jnp.float64)
    return _multipliers(sizes, _as_scale(class_scale, sizes.size), _as_scale(label_scale, sizes.size))


@float64
def class_counts(problem: DeepLinear) -> Float[Array, "K"]:
    """n_k of a problem with one-hot targets, on full samples or in the reduced form.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> class_counts(model).tolist()
    [3.0, 1.0]
    """
    return jnp.asarray(problem.targets) @ jnp.asarray(problem.multiplicity)


def _known(*arrays: Array) -> bool:
    """Whether all numbers are at hand, so that hypotheses on them can be checked; under a trace they are the caller's."""
    try:
        for array in arrays:
            np.asarray(array)
    except jax.errors.TracerArrayConversionError:
        return False
    return True


def _penalty(problem: DeepLinear) -> MarginPenalty:
    """The loss, after checking all hypotheses of the hard-margin problem; NoClosedForm names the one that fails."""
    loss = problem.loss
    if not isinstance(loss, MarginPenalty):
        raise NoClosedForm(f"needs the penalty of a hard margin (support_vector_features), got loss {loss.label}")
    width = problem.classes - 1, "K-1"
    require(problem, inputs="free", depth=1, bias="none", classes=2, width=width, decay="positive")
    leaves = (problem.weight_decay, loss.multipliers, loss.class_scale, loss.label_scale, problem.targets)
    # Under a trace the numbers below cannot be looked at, and are the caller's.
    if not _known(*leaves, problem.multiplicity):
        return loss
    targets, decay = np.asarray(problem.targets), np.asarray(problem.weight_decay)
    if not (np.all((targets == 0) | (targets == 1)) and np.all(targets.sum(axis=0) == 1)):
        raise NoClosedForm("needs one-hot targets, got others")
    counts = np.asarray(class_counts(problem))
    if np.any(counts <= 0):
        raise NoClosedForm(f"needs samples of every class, got counts {counts.tolist()}")
    # The multipliers of the theorem are those for lambda_W lambda_H = 1, per sample; the loss is a mean over N.
    right = np.asarray(hard_margin_multipliers(counts, loss.class_scale, loss.label_scale))
    right = right * counts.sum() * float(root_of_product(jnp.asarray(decay)))
    distance = float(np.max(np.abs(np.asarray(loss.multipliers) - right)))
    if distance > SAME_MULTIPLIERS * np.max(right):
        raise NoClosedForm(
            f"needs the multipliers of the optimum (hard_margin_multipliers), got others: the largest difference is "
            f"{distance:.3g} of {np.max(right):.3g}"
        )
    return loss


@partial(jax.jit)
def _hard_margin(problem: DeepLinear) -> tuple[Array, Array]:
    """Logits and value."""
    loss = problem.loss
    assert isinstance(loss, MarginPenalty)
    # Each sample has the logits of its class; the value is lambda times the nuclear norm, as the penalty vanishes there.
    product = _logits(jnp.asarray(loss.class_scale), jnp.asarray(loss.label_scale)) @ jnp.asarray(problem.targets)
    root = jnp.sqrt(jnp.asarray(problem.multiplicity))
    decay = root_of_product(jnp.asarray(problem.weight_decay))
    return product, decay * jnp.sum(jnp.linalg.svd(product * root[None, :], compute_uv=False))


@float64
@closed_form("cdt-ldt-la", generality=1)
def scaled_margin_minimum(problem: DeepLinear) -> Minimum:
    r"""The hard-margin minimum with any scales: logits `hard_margin_logits`, value $\lambda|\hat ZD^{1/2}|_*$.

    Raises NoClosedForm unless the loss is the penalty of `support_vector_features` with the multipliers of the optimum,
    for dim >= K-1, positive decays and no bias. Source: Behnia et al. 2023 (number unchecked).

    >>> import numpy as np, nctheory as nct
    >>> scales, counts = np.sqrt([4.0, 1.0]), np.array([4.0, 1.0])
    >>> given = nct.closed_form.hard_margin_multipliers(counts, label_scale=scales)
    >>> model = nct.support_vector_features(counts=(4, 1), dim=2, multipliers=given, label_scale=scales)
    >>> np.round(scaled_margin_minimum(model).gram_weights, 12).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    _penalty(problem)
    product, value = _hard_margin(problem)
    return minimum_from_product(problem, product, value, None, "cdt-ldt-la")


@float64
@closed_form("seli")
def seli_minimum(problem: DeepLinear) -> Minimum:
    r"""The minimum of the unconstrained-feature support vector machine: $WH=S\otimes$ repeats, value
    $\lambda|SD^{1/2}|_*$, $WW^\top=\sqrt{\lambda_H/\lambda_W}(SDS)^{1/2}$.

    Raises NoClosedForm as `scaled_margin_minimum`, and for scales other than 1. Source: Thrampoulidis et al. 2022
    (number unchecked) for STEP imbalance; any counts are our own addition, see `hard_margin_multipliers`.

    >>> import numpy as np, nctheory as nct
    >>> counts = (8, 1, 1)
    >>> given = nct.closed_form.hard_margin_multipliers(np.array(counts))
    >>> model = nct.support_vector_features(counts=counts, dim=2, multipliers=given)
    >>> round(float(seli_minimum(model).value), 12)
    3.380476142848
    """
    loss = _penalty(problem)
    for name, scale in (("class_scale", loss.class_scale), ("label_scale", loss.label_scale)):
        if _known(scale) and np.any(np.asarray(scale) != 1.0):
            raise NoClosedForm(f"needs {name} 1 for every class, got {np.asarray(scale).tolist()}")
    product, value = _hard_margin(problem)
    return minimum_from_product(problem, product, value, None, "seli")
