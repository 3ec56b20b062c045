"""The claims that a closed form for a whole chain of matrices makes: value, product, every layer's spectrum, balance."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from nctheory._types import Array
from nctheory.problems import ChainParams, DeepLinear
from nctheory.theorems._theorem import Claim, minimum_value

MOMENTS = (1, 2, 3)
"""Powers p of tr (W W^T)^p that stand for a layer's singular values, which are not differentiable where they tie."""


def _product_gram(problem: DeepLinear, params: ChainParams) -> Float[Array, "K K"]:
    product = params.weights[0]
    for weight in params.weights[1:]:
        product = weight @ product
    return product @ product.T


def _factors(problem: DeepLinear, params: ChainParams) -> list[Array]:
    return [*params.weights, problem.lowest(params) * jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]]


def _moments(problem: DeepLinear, params: ChainParams) -> Float[Array, "F 3"]:
    rows = []
    for factor in _factors(problem, params):
        gram = factor @ factor.T if factor.shape[0] <= factor.shape[1] else factor.T @ factor
        powers = [jnp.linalg.matrix_power(gram, p) for p in MOMENTS]
        rows.append(jnp.stack([jnp.trace(power) for power in powers]))
    return jnp.stack(rows)


def _predicted_moments(minimum: Any) -> Float[Array, "F 3"]:
    """Of a `Minimum`, or of whatever a theorem predicts of its layers instead."""
    squares = jnp.asarray(minimum.layer_singular_values) ** 2
    return jnp.stack([jnp.sum(squares**p, axis=1) for p in MOMENTS], axis=1)


def _balance(problem: DeepLinear, params: ChainParams) -> Array:
    """lambda_{l+1} W_{l+1}^T W_{l+1} - lambda_l W_l W_l^T in every internal space, as one vector."""
    factors = _factors(problem, params)
    ordered, decay = [factors[-1], *factors[:-1]], jnp.asarray(problem.weight_decay)
    rates = [decay[-1], *decay[:-1]]
    pairs = zip(ordered[:-1], ordered[1:], rates[:-1], rates[1:], strict=True)
    return jnp.concatenate([jnp.ravel(b * upper.T @ upper - a * lower @ lower.T) for lower, upper, a, b in pairs])


def chain_claims() -> tuple[Claim, ...]:
    """Claims about a chain of any depth with free features whose prediction is a `Minimum`.

    Value, logits, the Gram matrices of W_L … W_1 and of H, the singular values of every factor (by their first three
    even moments), and at every critical point the balance lambda_{l+1} W_{l+1}^T W_{l+1} = lambda_l W_l W_l^T.
    """
    return (
        minimum_value(lambda m: m.value),
        Claim("logits", r"W_L\cdots W_1H+b1^\top", lambda p, x: p.logits(x), lambda m: m.logits),
        Claim("gram_weights", r"(W_L\cdots W_1)(W_L\cdots W_1)^\top", _product_gram, lambda m: m.gram_weights),
        Claim("gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda m: m.gram_features),
        Claim("layer_spectra", r"\mathrm{tr}(W_lW_l^\top)^p", _moments, _predicted_moments),
        Claim(
            "balance",
            r"\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top",
            _balance,
            lambda m: jnp.zeros(()),
            scope="critical points",
        ),
    )
