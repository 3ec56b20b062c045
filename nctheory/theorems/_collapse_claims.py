"""The claims that every theorem about a collapsed minimiser of W H + b makes: value, scale, geometry, norms, bias."""

import jax.numpy as jnp
import numpy as np

from nctheory._types import Array
from nctheory.closed_form import Minimum
from nctheory.problems import ChainParams, DeepLinear
from nctheory.theorems._theorem import Claim, minimum_value


def _centred_logits(problem: DeepLinear, params: ChainParams) -> Array:
    logits = problem.logits(params)
    return logits - jnp.mean(logits, axis=0, keepdims=True) if _free_constant(problem) else logits


def _free_constant(problem: DeepLinear) -> bool:
    """Whether the loss ignores constants, so that a free bias leaves the mean logit undetermined."""
    return problem.loss.shift_invariant


def _bias(problem: DeepLinear, params: ChainParams) -> Array:
    if params.bias is None or problem.bias_decay is None:
        return jnp.zeros(problem.classes)
    free = jnp.asarray(problem.bias_decay) == 0.0
    mean = jnp.mean(params.bias)
    return params.bias - (jnp.where(free, mean, 0.0) if _free_constant(problem) else 0.0)


def _predicted_bias(minimum: Minimum) -> Array:
    return jnp.zeros(minimum.gram_weights.shape[0]) if minimum.bias is None else minimum.bias


def _duality(problem: DeepLinear, params: ChainParams) -> Array:
    """W^T minus the scaled class means: zero at self-duality (NC3)."""
    decay = jnp.asarray(problem.weight_decay)
    sizes = problem.counts or ()
    member = jnp.asarray(np.eye(problem.classes)[np.repeat(np.arange(problem.classes), sizes)])
    counts = jnp.asarray(sizes, dtype=jnp.float64)[None, :]
    means = problem.lowest(params) @ member / counts
    return params.weights[0].T - jnp.sqrt(decay[1] * counts / decay[0]) * means


def collapse_claims(*, bias: bool = True) -> tuple[Claim, ...]:
    """Claims about a two-factor chain on full samples whose prediction is a `Minimum`.

    Value, logits (up to a constant per column where the loss ignores it), W W^T, H^T H over all samples (within-class
    collapse included), both squared norms, self-duality w_k = sqrt(lambda_H n / lambda_W) mean(h_k), and with `bias` the
    bias. A theorem about models without one leaves it out: there the claim could not fail.
    """
    claims = (
        minimum_value(lambda m: m.value),
        Claim("logits", r"WH+b1^\top", _centred_logits, lambda m: m.logits),
        Claim("gram_weights", r"WW^\top", lambda p, x: x.weights[0] @ x.weights[0].T, lambda m: m.gram_weights),
        Claim("gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda m: m.gram_features),
        Claim("weight_norm", r"|W|_F^2", lambda p, x: jnp.sum(x.weights[0] ** 2), lambda m: m.weight_norm),
        Claim("feature_norm", r"|H|_F^2", lambda p, x: jnp.sum(x.features**2), lambda m: m.feature_norm),
        Claim("self_duality", r"W^\top-\sqrt{\lambda_Hn/\lambda_W}\,\bar H", _duality, lambda m: jnp.zeros(())),
    )
    return (*claims, Claim("bias", r"b", _bias, _predicted_bias)) if bias else claims
