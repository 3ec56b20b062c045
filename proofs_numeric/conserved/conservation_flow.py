r"""The imbalance of neighbouring factors, equal decays.

With one weight decay for all layers the imbalance between neighbouring layers dies out along the gradient flow at a
rate that nothing else has a say in: not the loss, not the data, not the depth. After a known time all layers are
balanced to any accuracy, wherever training started. So the theorems about balanced networks, with K classes or real
outputs, describe in the end every run with decay. Here this is checked on the whole way, not on the rate at one point.

Problem:
    $f=L(W_N\cdots W_1)+\frac\lambda2\sum_l|W_l|_F^2$ for any differentiable loss L of the product, all factors free;
    the lowest one may be the features H. The factors follow the gradient flow $\dot W_l=-\nabla_{W_l}f$ from any start,
    or one step of gradient descent.
Theorem (Arora et al. 2018, Du et al. 2018, number unchecked; the laws with decay and for a step are in our own form):
    For a chain of free factors with one decay $\frac\lambda2|W_l|_F^2$ for all, along the gradient flow
    $(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(t)=e^{-2\lambda t}(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(0)$. One gradient step of
    size $\eta$ multiplies the imbalance by $(1-\eta\lambda)^2$ and adds $\eta^2(G_{l+1}^\top G_{l+1}-G_lG_l^\top)$,
    $G_l$ the gradient of the fit alone.
Hypotheses:
    - a chain of at least two free factors without a bias, with free features or given inputs
    - one decay >= 0 for all free factors
    - any differentiable loss of the logits
Notation:
    Arora et al. and Du et al.: no decay; H is the lowest factor where the features are free.
Why:
    Let $D=W_{l+1}^\top W_{l+1}-W_lW_l^\top$. The fit depends on the product alone, and is left alone by $e^{tX}W_l$ and
    $W_{l+1}e^{-tX}$ for every X: so $W_{l+1}^\top G_{l+1}=G_lW_l^\top$. Along the flow $\dot W_l=-G_l-\lambda W_l$. The
    terms with G in the derivative of D cancel by that identity, and $\dot D=-2\lambda D$ is left. In a step $W_l$
    becomes $(1-\eta\lambda)W_l-\eta G_l$: the terms of first order in G have the factor $\eta(1-\eta\lambda)$ in both
    Gram matrices and cancel again, and those of second order are what is added.
Checked:
    The gradient flow is integrated from every start and every end for a time of 3, with a tolerance of 1e-13. The
    imbalance that is left is held against the law, to the rounding of its terms and the errors of all steps, which the
    flow does not amplify in this quantity. A step of size 0.25 is held against its law to rounding. At all converged
    ends the imbalance must vanish where there is decay. All this is sampled: laws about every point are not certified
    by points.
Refuted by:
    One point from which the imbalance develops otherwise, or one converged end out of balance. The same check must
    refute conservation in spite of decay, half the rate and one larger by 1e-5; a step without its term of second
    order, with one factor in the place of its square, or with the rate of the flow; and a Gram matrix off by 1e-6.
Example:
    Three factors: how much of every entry of the lowest imbalance is left at time 3, in a fresh flow and by the law.

    >>> import numpy as np
    >>> problem = instance(np.random.default_rng(0), ((2, 3, 2), "cross_entropy", True), (0.1,) * 3).problem
    >>> def observe(problem, params):
    ...     above, below = grams(params)[0]
    ...     return above - below
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, seeds=1), [0.0, 3.0], observe=observe, light=True)
    >>> begun, ended = paths.values[0]
    >>> (ended / begun).round(6).tolist(), round(float(np.exp(-0.6)), 6)
    ([[0.548812, 0.548812], [0.548812, 0.548812]], 0.548812)
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
from proofs_numeric.conserved.vector_field import (
    STEP,
    decays,
    grams,
    norm,
    one,
    relative,
    rounding_unit,
    sizes,
)

ID = "conservation-flow"
HORIZON = 3.0
TOLERANCE = 1e-13
SHAPES = (ALL_SHAPES[0], ALL_SHAPES[1], ALL_SHAPES[3])


def draw_instances(key):
    """Draw for each shape four decays, up to 0.2 for two factors and 0.05 for four; once none at all."""
    rng = nct.theorems.numpy_rng(key)
    drawn, shapes = [], mixed_sizes(rng, SHAPES)
    for shape in shapes:
        number = factors_of(shape)
        largest = 10.0 ** (-0.3 * (number - 2))  # More would leave zero as the only critical point of a longer chain.
        for decay in largest * 10.0 ** rng.uniform([-2.5, -2.0, -1.5, -1.0], [-2.0, -1.5, -1.0, -0.7]):
            drawn.append(instance(rng, shape, (float(decay),) * number, scale=1.1 if number == 2 else None))
    drawn.append(instance(rng, shapes[1], (0.0,) * 2))
    return drawn


_LATEST = threading.local()


def flow_end(problem, params):
    """Follow the flow to the horizon.

    The claim and its wrong versions ask for it at one point after another: the first of them integrates, and the others
    find what it left, known by the very objects that they are given.
    """
    latest = getattr(_LATEST, "end", None)
    if latest is None or latest[0] is not problem or latest[1] is not params:
        latest = _LATEST.end = (problem, params, nct.flow.follow_flow(problem, params, HORIZON, TOLERANCE))
    return latest[2]


def flow_error(problem, params):
    """Bound the error of an imbalance at the horizon, in rounding units of the imbalance at the start.

    The imbalance of a nearby trajectory obeys the same law, so that local errors add up and are not amplified; a change
    of the parameters by e changes an imbalance by at most 4 R e, with R the largest norm on the way.
    """
    end = flow_end(problem, params)
    return 4 * end.largest * end.error / rounding_unit(params) + sizes(problem, params)


def flow_rounding(problem, params):
    """Return the size of that error, relative to the terms at the start."""
    error = flow_error(problem, params)
    return norm(*(relative(error, norm(a, b), error, params) for a, b in grams(params)))


def flow_law(rate):
    """Observe (A-B)(T) less e^{-`rate` lambda T} (A-B)(0), relative to the terms at the start, with their error."""

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
    """State the claim about the flow or, with another `rate`, a wrong version of it."""
    statement = r"(A-B)(3)=e^{-6\lambda}(A-B)(0)"
    return nct.Equality("remainder", statement, flow_law(rate), zero, scope="any point", terms=flow_rounding, size=one)


def balance_claim(off=0.0):
    """Claim that the imbalance is zero at every critical point or, with one decay `off`, a wrong version of that."""
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
