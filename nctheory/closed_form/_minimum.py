"""`global_minimum`: what a theorem predicts for a problem, or why none applies."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float

from nctheory.engine import Array, Scalar, float64, shown
from nctheory.problems import DeepLinear, Problem


class NoClosedForm(ValueError):
    """No theorem here covers the problem; the message names the hypothesis that fails."""


@shown()
class Minimum(NamedTuple):
    """A global minimiser up to the gauge, in quantities that do not see the gauge."""

    value: Scalar
    """The least value of the objective."""
    logits: Float[Array, "K M"]
    """W H + b 1^T, one column per column of the problem (samples, or class means in the reduced form)."""
    product: Float[Array, "K M"]
    """W H without the bias."""
    singular_values: Float[Array, "K"]
    """The singular values of W H with its columns repeated by their multiplicity, descending."""
    gram_weights: Float[Array, "K K"]
    """W W^T, of the product W = W_L … W_1 in a deep chain."""
    gram_features: Float[Array, "M M"]
    """H^T H."""
    weight_norm: Scalar
    """|W|_F^2, summed over the layers of a deep chain."""
    feature_norm: Scalar
    """|H|_F^2, columns counted with their multiplicity."""
    bias: Float[Array, "K"] | None
    """b; where it is free and the loss ignores constants, the representative of mean zero."""
    layer_singular_values: Float[Array, "F K"]
    """The singular values of W_1, …, W_L and H, each descending."""
    theorem: str
    """Identifier of the theorem."""
    stationary_values: Float[Array, "S"] | None = None
    """Values of all local minimisers, where the theorem lists them; NaN in the place of one that does not exist."""


ClosedForm = Callable[[DeepLinear], Minimum]
_CLOSED_FORMS: dict[str, tuple[int, ClosedForm]] = {}


def closed_form(identifier: str, generality: int = 0) -> Callable[[ClosedForm], ClosedForm]:
    """Register the function that predicts the minimum under one theorem; it raises NoClosedForm outside.

    Where several theorems apply, `global_minimum` takes the one of least `generality`.
    """

    def add(function: ClosedForm) -> ClosedForm:
        _CLOSED_FORMS[identifier] = generality, function
        return function

    return add


def closed_forms() -> list[tuple[str, tuple[int, ClosedForm]]]:
    """All registered closed forms, the most special first."""
    return sorted(_CLOSED_FORMS.items(), key=lambda item: item[1][0])


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
    # The first theorem, from the most special on, whose hypotheses hold is taken; the others' failures are kept for the
    # message.
    reasons = []
    for identifier, (_, predict) in closed_forms():
        try:
            return predict(problem)
        except NoClosedForm as failed:
            reasons.append(f"{identifier}: {failed}")
    raise NoClosedForm("no theorem covers this problem.\n  " + "\n  ".join(reasons))
