"""The claims that every theorem about a collapsed minimiser of W H + b makes: value, scale, geometry, norms, bias."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from nctheory.closed_form import Minimum
from nctheory.engine import Array
from nctheory.problems import ChainParams, DeepLinear
from nctheory.theorems._theorem import Control
from nctheory.theorems.claims import Claim, Equality, GlobalValue


def _centred_logits(problem: DeepLinear, params: ChainParams) -> Array:
    logits = problem.logits(params)
    return logits - jnp.mean(logits, axis=0, keepdims=True) if _free_constant(problem) else logits


def _free_constant(problem: DeepLinear) -> bool:
    """Whether the loss ignores constants, so that a free bias leaves the mean logit undetermined."""
    return problem.loss.shift_invariant


def _has_bias(instance: Any) -> bool:
    return instance.problem.bias_decay is not None


def _bias(problem: DeepLinear, params: ChainParams) -> Array:
    if params.bias is None or problem.bias_decay is None:
        return jnp.zeros(problem.classes)
    # Only a free bias under a loss that ignores constants has an undetermined mean, which is taken off.
    free = jnp.asarray(problem.bias_decay) == 0.0
    mean = jnp.mean(params.bias)
    return params.bias - (jnp.where(free, mean, 0.0) if _free_constant(problem) else 0.0)


def _predicted_bias(minimum: Minimum) -> Array:
    return jnp.zeros(minimum.gram_weights.shape[0]) if minimum.bias is None else minimum.bias


def _dual_pair(problem: DeepLinear, params: ChainParams) -> tuple[Array, Array]:
    """W^T, and the class means scaled by sqrt(lambda_H n / lambda_W)."""
    # Samples stand class by class, so that the columns of `member` sum those of each class.
    decay = jnp.asarray(problem.weight_decay)
    sizes = problem.counts or ()
    member = jnp.asarray(np.eye(problem.classes)[np.repeat(np.arange(problem.classes), sizes)])
    counts = jnp.asarray(sizes, dtype=jnp.float64)[None, :]
    means = problem.lowest(params) @ member / counts
    return params.weights[0].T, jnp.sqrt(decay[1] * counts / decay[0]) * means


def _duality(problem: DeepLinear, params: ChainParams) -> Array:
    """W^T minus the scaled class means: zero at self-duality (NC3)."""
    above, below = _dual_pair(problem, params)
    return above - below


def _tilted_duality(problem: DeepLinear, params: ChainParams) -> Array:
    """The same with the scale larger by a relative 1e-6."""
    above, below = _dual_pair(problem, params)
    return above - (1.0 + 1e-6) * below


def _duality_size(problem: DeepLinear, params: ChainParams) -> Array:
    """|W|."""
    return jnp.sqrt(jnp.sum(params.weights[0] ** 2))


def _bias_size(problem: DeepLinear, params: ChainParams) -> Array:
    """|W||H|/sqrt(N), a typical column of the logits."""
    columns, lowest = problem.targets.shape[1], problem.lowest(params)
    return jnp.sqrt(jnp.sum(params.weights[0] ** 2) * jnp.sum(lowest**2) / columns)


def _self_duality(name: str, observe: Callable[..., Array], statement: str) -> Equality:
    return Equality(name, statement, observe, lambda m: jnp.zeros(()), size=_duality_size)


def collapse_claims(*, bias: bool = True) -> tuple[Claim, ...]:
    """Claims about a two-factor chain on full samples whose prediction is a `Minimum`.

    Value, logits (up to a constant per column where the loss ignores it), W W^T, H^T H over all samples (within-class
    collapse included), both squared norms, self-duality w_k = sqrt(lambda_H n / lambda_W) mean(h_k), and with `bias` the
    bias. A theorem about models without one leaves it out: there the claim could not fail.

    >>> [claim.name for claim in collapse_claims(bias=False)]
    ['value', 'logits', 'gram_weights', 'gram_features', 'weight_norm', 'feature_norm', 'self_duality']
    """
    claims = (
        GlobalValue("value", r"\min f", lambda m: m.value),
        Equality("logits", r"WH+b1^\top", _centred_logits, lambda m: m.logits),
        Equality("gram_weights", r"WW^\top", lambda p, x: x.weights[0] @ x.weights[0].T, lambda m: m.gram_weights),
        Equality("gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda m: m.gram_features),
        Equality("weight_norm", r"|W|_F^2", lambda p, x: jnp.sum(x.weights[0] ** 2), lambda m: m.weight_norm),
        Equality("feature_norm", r"|H|_F^2", lambda p, x: jnp.sum(x.features**2), lambda m: m.feature_norm),
        _self_duality("self_duality", _duality, r"W^\top-\sqrt{\lambda_Hn/\lambda_W}\,\bar H"),
    )
    return (
        (*claims, Equality("bias", r"b", _bias, _predicted_bias, size=_bias_size, applies=_has_bias))
        if bias
        else claims
    )


def collapse_controls(predict: Callable[..., Any], *, bias: bool = True) -> tuple[Control, ...]:
    """Wrong versions of the claims of `collapse_claims` that no wrong formula of a theorem need touch.

    `predict` is the theorem's own formula. Both norms and H^T H are off by a relative 1e-6, as if one decay were; so is the
    scale in self-duality; the bias favours the first class by 1e-6.

    >>> import nctheory as nct
    >>> [control.name for control in collapse_controls(nct.closed_form.squared_error_minimum)]
    ['a decay 1e-6 off', 'duality 1e-6 off', 'a favoured class']
    """

    # One decay off by a factor 1 + 1e-6 would move the norms of the two factors in opposite directions.
    def heavier(problem: DeepLinear) -> Any:
        minimum = predict(problem)
        return minimum._replace(
            gram_features=(1 + 1e-6) * jnp.asarray(minimum.gram_features),
            feature_norm=(1 + 1e-6) * minimum.feature_norm,
            weight_norm=(1 - 1e-6) * minimum.weight_norm,
        )

    def favoured(problem: DeepLinear) -> Any:
        minimum = predict(problem)
        first = jnp.arange(problem.classes) == 0
        return minimum._replace(bias=_predicted_bias(minimum) + jnp.where(first, 1e-6, 0.0))

    statement = r"W^\top-(1+10^{-6})\sqrt{\lambda_Hn/\lambda_W}\,\bar H"
    controls = (
        Control(
            "a decay 1e-6 off",
            "H^T H and |H|^2 larger, |W|^2 smaller by a relative 1e-6",
            heavier,
            claims=("gram_features", "feature_norm", "weight_norm"),
        ),
        Control(
            "duality 1e-6 off",
            "the scale of self-duality larger by a relative 1e-6",
            versions=(_self_duality("self_duality", _tilted_duality, statement),),
        ),
    )
    favour = Control("a favoured class", "b larger by 1e-6 for the first class", favoured, claims=("bias",))
    return (*controls, favour) if bias else controls
