"""`global_minimum`: what a theorem predicts for a problem, or why none applies."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nctheory.engine import Array, Scalar, float64, is_traced, shown
from nctheory.problems import DeepLinear, Problem, keeps_objective, weighted_as_decayed


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
    for failure in not_covered(problem):
        raise NoClosedForm(f"problem: {failure}")
    # The first theorem, from the most special on, whose hypotheses hold is taken; the others' failures are kept for the
    # message.
    reasons = []
    for identifier, (_, predict) in closed_forms():
        try:
            return _of_numbers(predict(problem))
        except NoClosedForm as failed:
            reasons.append(f"{identifier}: {failed}")
    raise NoClosedForm("no theorem covers this problem.\n  " + "\n  ".join(reasons))


def not_covered(problem: DeepLinear) -> Iterator[str]:
    """Why no closed form holds for a chain, whatever its numbers: it says what is wrong with the problem as a whole."""
    if not keeps_objective(problem, DeepLinear):
        yield f"{type(problem).__name__} has an objective of its own, which no theorem here is about"
    if not weighted_as_decayed(problem):
        yield "columns weigh otherwise in the fit than in the decay (as in a minibatch), which no theorem here is about"


def _of_numbers(minimum: Minimum) -> Minimum:
    """The minimum itself; NoClosedForm where float64 cannot hold one of its quantities, as of decays far apart."""
    for name, value in minimum._replace(stationary_values=None)._asdict().items():
        if name == "theorem" or value is None or is_traced(value):
            continue
        if not np.all(np.isfinite(np.asarray(value))):
            raise NoClosedForm(f"its {name} leaves the range of float64 at these hyperparameters")
    return minimum
