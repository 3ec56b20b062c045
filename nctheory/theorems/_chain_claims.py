"""The claims that a closed form for a whole chain of matrices makes: value, product, every layer's spectrum, balance."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import Array
from nctheory.problems import ChainParams, DeepLinear
from nctheory.theorems._theorem import Control
from nctheory.theorems.claims import Claim, Equality, GlobalValue

MOMENTS = (1, 2, 3)
"""Powers p of tr (W W^T)^p that stand for a layer's singular values, which are not differentiable where they tie."""


def _product_gram(problem: DeepLinear, params: ChainParams) -> Float[Array, "K K"]:
    product = params.weights[0]
    for weight in params.weights[1:]:
        product = weight @ product
    return product @ product.T


def _factors(problem: DeepLinear, params: ChainParams) -> list[Array]:
    # The features count with their multiplicity, so that every factor enters the objective with |.|_F^2 alike.
    return [*params.weights, problem.lowest(params) * jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]]


def _moments(problem: DeepLinear, params: ChainParams) -> Float[Array, "F 3"]:
    rows = []
    for factor in _factors(problem, params):
        # The smaller of the two Gram matrices has the same traces tr (W W^T)^p.
        gram = factor @ factor.T if factor.shape[0] <= factor.shape[1] else factor.T @ factor
        powers = [jnp.linalg.matrix_power(gram, p) for p in MOMENTS]
        rows.append(jnp.stack([jnp.trace(power) for power in powers]))
    return jnp.stack(rows)


def _predicted_moments(minimum: Any) -> Float[Array, "F 3"]:
    """The same moments of a `Minimum`, or of whatever a theorem predicts of its layers instead."""
    # tr (W W^T)^p is the sum of the 2p-th powers of the singular values.
    squares = jnp.asarray(minimum.layer_singular_values) ** 2
    return jnp.stack([jnp.sum(squares**p, axis=1) for p in MOMENTS], axis=1)


def _grams(problem: DeepLinear, params: ChainParams) -> list[tuple[Array, Array, Array, Array]]:
    """W_{l+1}^T W_{l+1}, W_l W_l^T, and the decays of the upper and the lower factor, in every internal space."""
    factors = _factors(problem, params)
    # From the bottom these are H, W_1, …, W_L, with their decays; each neighbouring pair meets in one internal space.
    ordered, decay = [factors[-1], *factors[:-1]], jnp.asarray(problem.weight_decay)
    rates = [decay[-1], *decay[:-1]]
    pairs = zip(ordered[:-1], ordered[1:], rates[:-1], rates[1:], strict=True)
    return [(upper.T @ upper, lower @ lower.T, b, a) for lower, upper, a, b in pairs]


def _balance(problem: DeepLinear, params: ChainParams) -> Array:
    """lambda_{l+1} W_{l+1}^T W_{l+1} - lambda_l W_l W_l^T in every internal space, as one vector."""
    return jnp.concatenate([jnp.ravel(b * above - a * below) for above, below, b, a in _grams(problem, params)])


def _scaled_balance(problem: DeepLinear, params: ChainParams) -> Array:
    """The same with the upper decay larger by a relative 1e-6."""
    off = 1.0 + 1e-6
    return jnp.concatenate([jnp.ravel(off * b * above - a * below) for above, below, b, a in _grams(problem, params)])


def _balance_size(problem: DeepLinear, params: ChainParams) -> Array:
    """Norm of the terms of the difference."""
    return jnp.sqrt(
        sum((jnp.sum((b * above) ** 2) + jnp.sum((a * below) ** 2) for above, below, b, a in _grams(problem, params)),
            jnp.zeros(()))
    )  # fmt: skip


def _moment_control(minimum: Any) -> Any:
    """A prediction whose layers have singular values larger by a relative 1e-6."""
    return minimum._replace(layer_singular_values=(1 + 1e-6) * jnp.asarray(minimum.layer_singular_values))


def balance_claim() -> Equality:
    r"""The claim that at every critical point $\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top$, relative to the two
    terms.

    >>> balance_claim().name, balance_claim().kind
    ('balance', 'equality')
    """
    return Equality(
        "balance",
        r"\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top",
        _balance,
        lambda m: jnp.zeros(()),
        scope="critical points",
        size=_balance_size,
    )


def balance_control() -> Control:
    """The wrong version of `balance_claim`: one decay of each pair off by a relative 1e-6.

    >>> balance_control().claims
    ('balance',)
    """
    version = Equality(
        "balance",
        r"(1+10^{-6})\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top",
        _scaled_balance,
        lambda m: jnp.zeros(()),
        scope="critical points",
        size=_balance_size,
    )
    return Control("decays 1e-6 off", "the upper decay larger by a relative 1e-6 in the balance", versions=(version,))


def chain_claims() -> tuple[Claim, ...]:
    """Claims about a chain of any depth with free features whose prediction is a `Minimum`.

    Value, logits, the Gram matrices of W_L … W_1 and of H, the singular values of every factor (by their first three
    even moments), and at every critical point the balance lambda_{l+1} W_{l+1}^T W_{l+1} = lambda_l W_l W_l^T.

    >>> [claim.name for claim in chain_claims()]
    ['value', 'logits', 'gram_weights', 'gram_features', 'layer_spectra', 'balance']
    """
    return (
        GlobalValue("value", r"\min f", lambda m: m.value),
        Equality("logits", r"W_L\cdots W_1H+b1^\top", lambda p, x: p.logits(x), lambda m: m.logits),
        Equality("gram_weights", r"(W_L\cdots W_1)(W_L\cdots W_1)^\top", _product_gram, lambda m: m.gram_weights),
        Equality("gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda m: m.gram_features),
        Equality("layer_spectra", r"\mathrm{tr}(W_lW_l^\top)^p", _moments, _predicted_moments),
        balance_claim(),
    )


def chain_controls(predict: Callable[..., Any]) -> tuple[Control, ...]:
    """Wrong versions of the claims of `chain_claims` that no wrong formula of a theorem need touch.

    `predict` is the theorem's own formula. H^T H, the layers' singular values and
    the balance are off by a relative 1e-6.

    >>> import nctheory as nct
    >>> [control.name for control in chain_controls(nct.closed_form.deep_mse_minimum)]
    ['features 1e-6 off', 'spectra 1e-6 off', 'decays 1e-6 off']
    """

    def heavier(problem: DeepLinear) -> Any:
        minimum = predict(problem)
        return minimum._replace(gram_features=(1 + 1e-6) * jnp.asarray(minimum.gram_features))

    return (
        Control("features 1e-6 off", "H^T H larger by a relative 1e-6", heavier, claims=("gram_features",)),
        Control(
            "spectra 1e-6 off",
            "singular values of every factor larger by a relative 1e-6",
            lambda problem: _moment_control(predict(problem)),
            claims=("layer_spectra",),
        ),
        balance_control(),
    )
