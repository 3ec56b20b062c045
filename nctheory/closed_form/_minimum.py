"""`global_minimum`: what a theorem predicts for a problem, or why none applies."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float

from nctheory._precision import float64
from nctheory._types import Array, Scalar
from nctheory.problems import DeepLinear, Problem


class NoClosedForm(ValueError):
    """No theorem here covers the problem; the message names the hypothesis that fails."""


class Minimum(NamedTuple):
    """A global minimiser up to the gauge, in quantities that do not see the gauge."""

    value: Scalar
    """The least value of the objective."""
    logits: Float[Array, "K M"]
    """W H + b 1^T, one column per column of the problem (samples, or class means in the reduced form)."""
    product: Float[Array, "K M"]
    """W H without the bias."""
    singular_values: Float[Array, "K"]
    """Of W H with its columns repeated by their multiplicity, descending."""
    gram_weights: Float[Array, "K K"]
    """W W^T."""
    gram_features: Float[Array, "M M"]
    """H^T H."""
    weight_norm: Scalar
    """|W|_F^2."""
    feature_norm: Scalar
    """|H|_F^2, columns counted with their multiplicity."""
    bias: Float[Array, "K"] | None
    """b; where it is free and the loss ignores constants, the representative of mean zero."""
    theorem: str
    """Identifier of the theorem."""


ClosedForm = Callable[[DeepLinear], Minimum]
_CLOSED_FORMS: dict[str, ClosedForm] = {}


def closed_form(identifier: str) -> Callable[[ClosedForm], ClosedForm]:
    """Register the function that predicts the minimum under one theorem; it raises NoClosedForm outside."""

    def add(function: ClosedForm) -> ClosedForm:
        _CLOSED_FORMS[identifier] = function
        return function

    return add


@float64
def global_minimum(problem: Problem) -> Minimum:
    """The global minimum in closed form, from the theorem whose hypotheses the problem meets.

    Works under `jax.vmap` and `jax.grad` over the hyperparameters. Raises NoClosedForm, naming for each theorem the
    hypothesis that fails.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(4, 4), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> minimum = global_minimum(model)
    >>> minimum.theorem, round(float(minimum.value), 6)
    ('ufm-mse-nobias', 0.32)
    """
    if not isinstance(problem, DeepLinear):
        raise NoClosedForm(f"problem: closed forms cover linear chains, got {type(problem).__name__}")
    reasons = []
    for identifier, predict in _CLOSED_FORMS.items():
        try:
            return predict(problem)
        except NoClosedForm as failed:
            reasons.append(f"{identifier}: {failed}")
    raise NoClosedForm("no theorem covers this problem.\n  " + "\n  ".join(reasons))
