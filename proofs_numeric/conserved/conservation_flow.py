r"""The imbalance of neighbouring factors, equal decays.

With one decay for all factors the imbalance dies out as e^{-2 lambda t} along the flow, whatever the loss.

Theorem:
    For a chain of free factors with one decay $\frac\lambda2|W_l|_F^2$ for all, along the gradient flow
    $(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(t)=e^{-2\lambda t}(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(0)$. One gradient step of size
    $\eta$ multiplies the imbalance by $(1-\eta\lambda)^2$ and adds $\eta^2(G_{l+1}^\top G_{l+1}-G_lG_l^\top)$, $G_l$ the
    gradient of the fit alone.
Hypotheses:
    - a chain of at least two free factors without a bias, with free features or given inputs
    - one decay >= 0 for all free factors
    - any differentiable loss of the logits
Notation:
    Arora et al. and Du et al.: no decay; H is the lowest factor where the features are free.
"""

import threading

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ARORA_2018, DU_2018
from proofs_numeric.conserved.conservation import SHAPES as ALL_SHAPES
from proofs_numeric.conserved.conservation import balance_of, balance_size, flow_for_step, step_claim, zero
from proofs_numeric.conserved.instances import (
    ANY_LOSS,
    EQUAL_DECAYS,
    FREE_CHAIN,
    decayed,
    factors_of,
    instance,
    mixed_sizes,
)
from proofs_numeric.conserved.vector_field import STEP, decays, grams, norm, one, relative, rounding_unit, sizes

ID = "conservation-flow"
HORIZON = 3.0
TOLERANCE = 1e-13
SHAPES = (ALL_SHAPES[0], ALL_SHAPES[1], ALL_SHAPES[3])


def draw_instances(key):
    """For each shape four decays, up to 0.2 for two factors and 0.05 for four; none where the minimum exists without."""
    rng = nct.theorems.numpy_rng(key)
    drawn, shapes = [], mixed_sizes(rng, SHAPES)
    for shape in shapes:
        number = factors_of(shape)
        largest = 10.0 ** (-0.3 * (number - 2))  # more would leave zero as the only critical point of a longer chain
        for decay in largest * 10.0 ** rng.uniform([-2.5, -2.0, -1.5, -1.0], [-2.0, -1.5, -1.0, -0.7]):
            drawn.append(instance(rng, shape, (float(decay),) * number, scale=1.1 if number == 2 else None))
    drawn.append(instance(rng, shapes[1], (0.0,) * 2))
    return drawn


_LATEST = threading.local()


def flow_end(problem, params):
    """Where the flow is at the horizon. The claim and its wrong versions ask for it at one point after another: the first of
    them integrates, and the others find what it left, known by the very objects that they are given."""
    latest = getattr(_LATEST, "end", None)
    if latest is None or latest[0] is not problem or latest[1] is not params:
        latest = _LATEST.end = (problem, params, nct.flow.follow_flow(problem, params, HORIZON, TOLERANCE))
    return latest[2]


def flow_error(problem, params):
    """Error of an imbalance at the horizon, in rounding units of the imbalance at the start.

    The imbalance of a nearby trajectory obeys the same law, so that local errors add up and are not amplified; a change of the
    parameters by e changes an imbalance by at most 4 R e, with R the largest norm on the way.
    """
    end = flow_end(problem, params)
    return 4 * end.largest * end.error / rounding_unit(params) + sizes(problem, params)


def flow_rounding(problem, params):
    """Its size, relative to the terms at the start."""
    error = flow_error(problem, params)
    return norm(*(relative(error, norm(a, b), error, params) for a, b in grams(params)))


def flow_law(rate):
    r"""(A-B)(T) less e^{-`rate` \lambda T} (A-B)(0), relative to the terms at the start, with their error."""

    def law(problem, params):
        later, error = grams(flow_end(problem, params).params), flow_error(problem, params)
        kept = jnp.exp(-rate * decays(problem)[:-1] * HORIZON)
        rows = [
            relative((later_a - later_b) - share * (a - b), norm(a, b), error, params)
            for (a, b), (later_a, later_b), share in zip(grams(params), later, kept, strict=True)
        ]
        return jnp.concatenate([jnp.ravel(row) for row in rows])

    return law


def flow_claim(rate=2.0):
    """The claim about the flow, or with another `rate` a wrong version of it."""
    statement = r"(A-B)(3)=e^{-6\lambda}(A-B)(0)"
    return nct.Equality("remainder", statement, flow_law(rate), zero, scope="any point", terms=flow_rounding, size=one)


def balance_claim(off=0.0):
    """At every critical point the imbalance is zero; with one decay `off` a wrong version of that."""
    return nct.Equality(
        "balance",
        r"\lambda(A-B)=0",
        balance_of(off),
        zero,
        scope="critical points",
        size=balance_size,
        applies=decayed,
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(FREE_CHAIN, EQUAL_DECAYS, ANY_LOSS),
        sources=(
            ARORA_2018.remark("Conservation along the flow."),
            DU_2018.remark(
                "Conservation along the flow. The laws with decay and for a finite step are in our own form."
            ),
        ),
        instances=draw_instances,
        predict=lambda problem: None,
        claims=(flow_claim(), step_claim(), balance_claim()),
        controls=(
            nct.Control("conserved", "no decay of the imbalance", versions=(flow_claim(0.0),), applies=decayed),
            nct.Control(
                "half the rate",
                "e^{-lambda t} in the place of e^{-2 lambda t}",
                versions=(flow_claim(1.0),),
                applies=decayed,
            ),
            nct.Control(
                "1e-5 fast",
                "a rate larger by a relative 1e-5",
                versions=(flow_claim(2.0 * (1 + 1e-5)),),
                applies=decayed,
            ),
            nct.Control(
                "conserved by a step",
                "no second-order term in a finite step",
                versions=(step_claim(second=0.0),),
            ),
            nct.Control(
                "one factor of 1 - eta lambda",
                "1 - eta lambda in the place of its square",
                versions=(step_claim(lambda rate: 1 - STEP * rate),),
                applies=decayed,
            ),
            nct.Control(
                "the flow for a step",
                "e^{-2 eta lambda} in the place of (1 - eta lambda)^2",
                versions=(step_claim(flow_for_step),),
                applies=decayed,
            ),
            nct.Control(
                "balance 1e-6 off", "A larger by a relative 1e-6", versions=(balance_claim(1e-6),), applies=decayed
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
