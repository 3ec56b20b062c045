"""Balanced unconstrained features: cross-entropy, and squared error without and with a bias."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._decays import root_of_product, root_of_ratio
from nctheory.closed_form._geometry import tilted_frame
from nctheory.closed_form._minimum import Minimum, closed_form
from nctheory.closed_form._require import require
from nctheory.engine import Array, Scalar, float64, not_positive
from nctheory.problems import DeepLinear


def balanced_count(problem: DeepLinear) -> int:
    """The number n of samples of each class, after checking the hypotheses that all theorems about balanced classes share."""
    require(problem, inputs="free", depth=1, labels=True, balanced=True, classes=2, decay="positive")
    assert problem.counts is not None
    return problem.counts[0]


@float64
def collapse_strength(problem: DeepLinear) -> Scalar:
    r"""$c = K\sqrt{n\lambda_W\lambda_H}$: collapse for c < 1, the zero solution from c = 1 on.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> round(float(collapse_strength(model)), 6)
    0.173205
    """
    decay = jnp.asarray(problem.weight_decay)
    return problem.classes * root_of_product(decay, float(balanced_count(problem)))


@float64
def frame_minimum(
    problem: DeepLinear,
    simplex: Scalar,
    mean: Scalar,
    value: Scalar,
    bias: Scalar | None,
    theorem: str,
) -> Minimum:
    r"""The minimum whose class-mean logits are $\alpha S+\beta 11^\top/K$ (plus b 1), from lemma `red-nuclear`.

    $WW^\top=\sqrt{\lambda_H/\lambda_W}\,\sqrt n\,\bar Z$ and $\bar H^\top\bar H=\sqrt{\lambda_W/\lambda_H}\,\bar Z/\sqrt n$,
    because $\bar Z$ is symmetric and positive semidefinite.

    >>> import numpy as np
    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> minimum = frame_minimum(model, 0.7, 0.7, 0.2, None, "an orthogonal frame of height 0.7")
    >>> np.asarray(minimum.logits[:, ::3]).round(3).tolist()
    [[0.7, 0.0], [0.0, 0.7]]
    """
    classes, n = problem.classes, balanced_count(problem)
    decay = jnp.asarray(problem.weight_decay)
    offset = jnp.zeros(()) if bias is None else bias
    arrays = _frame_arrays(simplex, mean, offset, decay, classes, n, problem.reduced_form)
    minimum = Minimum(value=value, theorem=theorem, **arrays)
    if problem.bias_decay is None:
        return minimum._replace(bias=None, logits=minimum.product)
    return minimum


@partial(jax.jit, static_argnames=("classes", "n", "reduced"))
def _frame_arrays(
    simplex: Scalar,
    mean: Scalar,
    offset: Scalar,
    decay: Float[Array, "2"],
    classes: int,
    n: int,
    reduced: bool,
) -> dict[str, Array]:
    """The arrays of a `Minimum`; one compiled program, because dozens of small ones cost seconds."""
    # The class means are alpha S + beta 11^T/K, repeated for every sample, with the singular values sqrt(n) alpha (K-1
    # times) and sqrt(n) beta.
    ratio, root = root_of_ratio(decay), jnp.sqrt(1.0 * n)
    means = tilted_frame(simplex, mean, classes)
    labels = np.arange(classes) if reduced else np.repeat(np.arange(classes), n)
    product = means[:, labels]
    spectrum = -jnp.sort(-root * jnp.append(jnp.full((classes - 1,), simplex), mean))
    roots = jnp.where(
        spectrum > 0, jnp.sqrt(jnp.where(spectrum > 0, spectrum, 1.0)), 0.0
    )  # zero stays zero: no derivative
    # Both squared norms follow from the trace of the class means.
    trace = simplex * (classes - 1) + mean
    return {
        "logits": product + offset,
        "product": product,
        "singular_values": spectrum,
        "gram_weights": ratio * root * means,
        "gram_features": means[labels][:, labels] / (ratio * root),
        "weight_norm": ratio * root * trace,
        "feature_norm": root * trace / ratio,
        "bias": jnp.full((classes,), offset),
        "layer_singular_values": roots[None, :] * jnp.sqrt(jnp.stack([ratio, 1.0 / ratio]))[:, None],
    }


@float64
@closed_form("ufm-ce-balanced")
def cross_entropy_minimum(problem: DeepLinear) -> Minimum:
    r"""Cross-entropy: $Z=a^*S\otimes1_n^\top$ with $a^*=\log(1/\kappa-K+1)$, $\kappa=\sqrt{n\lambda_W\lambda_H}$, zero for
    $K\kappa\ge1$; value $\log(1+(K-1)e^{-a^*})+\kappa(K-1)a^*$. The width must be d >= K-1; any bias is covered (it
    stays constant).

    Zhu, Ding, Zhou, Li, You, Sulam, Qu, NeurIPS 2021 (number unchecked); the explicit form is our own.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="cross_entropy", weight_decay=(0.05, 0.05))
    >>> [round(float(value), 6) for value in (cross_entropy_minimum(model).value, nct.solve(model, 8, light=True).value.min())]
    [0.294606, 0.294606]
    """
    require(problem, loss="cross_entropy")
    balanced_count(problem)
    require(problem, width=(problem.classes - 1, "K-1"))
    classes = problem.classes
    # On aS the objective is stationary where (K-1)kappa = 1 - p, that is, at a = log(1/kappa - K + 1), which is positive
    # while K kappa < 1.
    strength = collapse_strength(problem)
    kappa = strength / classes
    inside = jnp.where(strength < 1.0, 1.0 / jnp.where(strength < 1.0, kappa, 1.0) - classes + 1.0, 1.0)
    scale = jnp.log(inside)
    pull = jnp.where(strength < 1.0, kappa, 0.0)  # of an infinite one nothing times zero can be had
    value = jnp.log1p((classes - 1) * jnp.exp(-scale)) + pull * (classes - 1) * scale
    return frame_minimum(problem, scale, jnp.zeros(()), value, None, "ufm-ce-balanced")


@float64
@closed_form("ufm-mse-nobias")
def squared_error_minimum(problem: DeepLinear) -> Minimum:
    r"""Squared error without a bias: $WH=(1-c)_+Y$, an orthogonal frame; value $c-c^2/2$, or 1/2 from c = 1 on.
    The width must be d >= K.

    Zhou, Li, Ding, You, Qu, Zhu, ICML 2022; Tirer and Bruna, ICML 2022 (numbers unchecked).

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> [round(float(value), 6) for value in (squared_error_minimum(model).value, nct.solve(model, 8, light=True).value.min())]
    [0.158205, 0.158205]
    """
    require(problem, loss="mse")
    balanced_count(problem)
    require(problem, bias="none", width=(problem.classes, "K"))
    # Along each direction of the frame the minimum of (s - 1)^2/2 + c s is at s = (1 - c)_+, of value phi(c).
    strength = collapse_strength(problem)
    scale = jnp.maximum(1.0 - strength, 0.0)
    return frame_minimum(problem, scale, scale, soft_value(strength), None, "ufm-mse-nobias")


@float64
@closed_form("ufm-mse-bias")
def squared_error_bias_minimum(problem: DeepLinear) -> Minimum:
    r"""Squared error with a bias of decay $\lambda_b\ge0$, $w=\lambda_b/(1+\lambda_b)$:
    $\bar Z=(1-c)_+S+m\,11^\top/K$ with $m=(1-c/w)_+$, $b=(1-m)/(K(1+\lambda_b))1$,
    value $\tfrac{K-1}K\phi(c)+\tfrac wK\phi(c/w)$, $\phi(c)=c-c^2/2$ up to 1 and 1/2 beyond.
    For c < 1 it is an exact simplex ETF iff $w\le c$, tends to an orthogonal frame as $\lambda_b\to\infty$, and is a tilted
    frame between. The width must be d >= K (K-1 where the bias is free).

    Zhou et al., ICML 2022, and Tirer and Bruna, ICML 2022 (numbers unchecked); the closed form is our own.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05), bias=0.5)
    >>> found = nct.solve(model, 8, light=True).value.min()
    >>> [round(float(value), 6) for value in (squared_error_bias_minimum(model).value, found)]
    [0.143205, 0.143205]
    """
    require(problem, loss="mse")
    balanced_count(problem)
    require(problem, bias="any")
    assert problem.bias_decay is not None
    decay = jnp.asarray(problem.bias_decay)
    free = not_positive(problem.bias_decay)
    require(problem, width=(problem.classes - free, "K-1" if free else "K"))
    classes = problem.classes
    strength = collapse_strength(problem)
    # Eliminating b = (1 - m)/(K(1 + lambda_b)) leaves w/2 (m - 1)^2 + c m on the mean: the same scalar problem with c/w for
    # c.
    weight = decay / (1.0 + decay)
    tilted = weight > strength
    relative = strength / jnp.where(tilted, weight, 1.0)
    mean = jnp.where(tilted, 1.0 - relative, 0.0)
    along = jnp.where(tilted, weight * soft_value(relative), 0.5 * weight)
    value = (classes - 1) / classes * soft_value(strength) + along / classes
    bias = (1.0 - mean) / (classes * (1.0 + decay))
    return frame_minimum(problem, jnp.maximum(1.0 - strength, 0.0), mean, value, bias, "ufm-mse-bias")


@float64
def soft_value(strength: Array | Scalar) -> Array:
    r"""$\phi(c)=\min_s\tfrac12(s-1)^2+cs$ over s >= 0: $c-c^2/2$ up to c = 1, then 1/2.

    >>> float(soft_value(0.5)), float(soft_value(2.0))
    (0.375, 0.5)
    """
    clipped = jnp.minimum(strength, 1.0)
    return clipped - 0.5 * clipped**2
