"""With one decay for all factors the imbalance dies out as e^{-2 lambda t} along the flow, whatever the loss."""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ARORA_2018, DU_2018
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
    rng = nct.numpy_rng(key)
    drawn, shapes = [], mixed_sizes(rng, SHAPES)
    for shape in shapes:
        number = factors_of(shape)
        largest = 10.0 ** (-0.3 * (number - 2))  # more would leave zero as the only critical point of a longer chain
        for decay in largest * 10.0 ** rng.uniform([-2.5, -2.0, -1.5, -1.0], [-2.0, -1.5, -1.0, -0.7]):
            drawn.append(instance(rng, shape, (float(decay),) * number, scale=1.1 if number == 2 else None))
    drawn.append(instance(rng, shapes[1], (0.0,) * 2))
    return drawn


def flow_law(rate):
    r"""(A-B)(T) less e^{-`rate` \lambda T} (A-B)(0); relative to the terms at the start, with their error."""

    def terms(problem, params):
        end = nct.follow_flow(problem, params, HORIZON, TOLERANCE)
        kept = jnp.exp(-rate * decays(problem)[:-1] * HORIZON)
        # The imbalance of a nearby trajectory obeys the same law, so that local errors add up and are not amplified; a
        # change of the parameters by e changes an imbalance by at most 4 R e, with R the largest norm on the way.
        error = 4 * end.largest * end.error / rounding_unit(params) + sizes(problem, params)
        for (a, b), (later_a, later_b), share in zip(grams(params), grams(end.params), kept, strict=True):
            size = norm(a, b)
            off = (later_a - later_b) - share * (a - b)
            yield relative(off, size, error, params), relative(error, size, error, params)

    def law(problem, params):
        return jnp.concatenate([jnp.ravel(off) for off, _ in terms(problem, params)])

    def rounded(problem, params):
        return norm(*(error for _, error in terms(problem, params)))

    return law, rounded


def flow_claim(rate=2.0):
    """The claim about the flow, or with another `rate` a wrong version of it."""
    law, rounded = flow_law(rate)
    statement = r"(A-B)(3)=e^{-6\lambda}(A-B)(0)"
    return nct.Equality("remainder", statement, law, zero, scope="any point", terms=rounded, size=one)


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
        title="The imbalance of neighbouring factors, equal decays",
        statement=r"""For a chain of free factors with one decay $\frac\lambda2|W_l|_F^2$ for all, along the gradient flow
$(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(t)=e^{-2\lambda t}(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(0)$. One gradient step of size $\eta$
multiplies the imbalance by $(1-\eta\lambda)^2$ and adds $\eta^2(G_{l+1}^\top G_{l+1}-G_lG_l^\top)$, $G_l$ the gradient of the
fit alone.""",
        hypotheses=(FREE_CHAIN, EQUAL_DECAYS, ANY_LOSS),
        notation="Arora et al. and Du et al.: no decay; H is the lowest factor where the features are free.",
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
    print(nct.verify(THEOREM))
