r"""The imbalance of neighbouring factors.

How the imbalance W_{l+1}^T W_{l+1} - W_l W_l^T moves: along the flow, in one gradient step, and where it ends.

Theorem:
    For a chain of free factors $W_l$ with decays $\frac{\lambda_l}2|W_l|_F^2$ and any differentiable loss of
    their product let $A=W_{l+1}^\top W_{l+1}$, $B=W_lW_l^\top$, and let $G_l$ be the gradient of the fit alone in $W_l$. Along
    the gradient flow $\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB$: conserved without decay, dying out as $e^{-2\lambda t}$
    with equal decays, not conserved with unequal ones. One gradient step of size $\eta$ takes $A-B$ to
    $(1-\eta\lambda_{l+1})^2A-(1-\eta\lambda_l)^2B+\eta^2(\lambda_{l+1}-\lambda_l)S+\eta^2C$ with
    $S=W_{l+1}^\top G_{l+1}+G_{l+1}^\top W_{l+1}$ and $C=G_{l+1}^\top G_{l+1}-G_lG_l^\top$; with equal decays
    $(1-\eta\lambda)^2(A-B)+\eta^2C$. At a critical point $\lambda_{l+1}A=\lambda_lB$.
Hypotheses:
    - a chain of at least two free factors without a bias, with free features or given inputs
    - decays >= 0
    - any differentiable loss of the logits
Notation:
    Arora et al. and Du et al.: no decay; H is the lowest factor where the features are free.
"""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ARORA_2018, DU_2018
from proofs_numeric.conserved.instances import (
    ANY_DECAYS,
    ANY_LOSS,
    FREE_CHAIN,
    decayed,
    factors_of,
    instance,
    mixed_sizes,
    unequal,
)
from proofs_numeric.conserved.vector_field import (
    STEP,
    decays,
    descent,
    grams,
    norm,
    one,
    relative,
    sizes,
    spaces,
    stepped,
)
from proofs_numeric.pool import log_uniform

ID = "conservation"
# (widths, loss, free features): 2, 2, 3 and 4 factors; a key picks one of each row, of different numbers of classes
SHAPES = (
    (((2, 2), "cross_entropy", True), ((3, 3), "cross_entropy", True), ((6, 5), "cross_entropy", True)),
    (((3, 4, 2), "mse", False), ((4, 5, 3), "mse", False), ((5, 3, 4), "mse", False)),
    (((2, 3, 2), "cross_entropy", True), ((3, 4, 3), "mse", True), ((4, 5, 4), "mse", True)),
    (((2, 3, 2, 3, 2), "mse", False), ((3, 3, 3, 3, 3), "mse", False), ((4, 3, 4, 3, 4), "mse", False)),
)


def draw_instances(key):
    """For each shape equal decays and unequal ones, of ratio up to 100 and within 3 % of each other; none at all."""
    rng = nct.theorems.numpy_rng(key)
    drawn, shapes = [], mixed_sizes(rng, SHAPES)
    for shape in shapes:
        number, level = factors_of(shape), 10.0 ** rng.uniform(-2.3, -1.7)
        close = 1 + rng.permutation(np.linspace(0.0, log_uniform(rng, 1e-4, 3e-2), number))
        decades = rng.uniform(0.3, 1.0)
        far = 10.0 ** rng.permutation(np.linspace(-decades, decades, number))
        for pattern in (np.ones(number), close, far):
            drawn.append(instance(rng, shape, tuple((level * pattern).tolist())))
    drawn.append(instance(rng, shapes[1], (0.0,) * 2))
    return drawn


def balance_of(off):
    """lambda_{l+1} A - lambda_l B in every inner space, the upper decay times 1 + `off`."""

    def balance(problem, params):
        rates = decays(problem)
        rows = zip(spaces(problem, params), rates[1:], rates[:-1], strict=True)
        return jnp.concatenate([jnp.ravel((1 + off) * up * a - low * b) for (a, b, _, _), up, low in rows])

    return balance


def balance_size(problem, params):
    """Norm of the terms of the balance."""
    rates = decays(problem)
    rows = zip(spaces(problem, params), rates[1:], rates[:-1], strict=True)
    return norm(*(x for (a, b, _, _), up, low in rows for x in (up * a, low * b)))


def rates_of_grams(problem, params):
    """d/dt A and d/dt B along -grad f, by forward differentiation, in every inner space."""

    return jax.jvp(grams, (params,), (descent(problem, params),))[1]


def drift_law(of_upper, of_lower):
    """d/dt (A - B) less the statement's, here `of_upper` A - `of_lower` B; relative to the terms, with their rounding."""

    def terms(problem, params):
        rates = decays(problem)
        rows = zip(rates_of_grams(problem, params), spaces(problem, params), rates[1:], rates[:-1], strict=True)
        error = sizes(problem, params)
        for (above, below), (a, b, _, _), up, low in rows:
            size = norm(above, below, 2 * up * a, 2 * low * b)
            off = above - below - of_upper(up, low) * a + of_lower(up, low) * b
            yield relative(off, size, error, params), relative(error, size, error, params)

    def law(problem, params):
        return jnp.concatenate([jnp.ravel(off) for off, _ in terms(problem, params)])

    def rounded(problem, params):
        return norm(*(error for _, error in terms(problem, params)))

    return law, rounded


def step_law(kept, cross=1.0, second=1.0):
    """A - B after a step less the statement's: `kept` of A and B, `cross` of S, `second` of C; relative to the terms."""

    def terms(problem, params):
        rates = decays(problem)
        rows = zip(stepped(problem, params), spaces(problem, params), rates[1:], rates[:-1], strict=True)
        error = sizes(problem, params)
        for after, (a, b, s, c), up, low in rows:
            law = kept(up) * a - kept(low) * b + cross * (up - low) * s + second * c
            size = norm(a, b, (up - low) * s, c)
            yield relative(after - law, size, error, params), relative(error, size, error, params)

    def law(problem, params):
        return jnp.concatenate([jnp.ravel(off) for off, _ in terms(problem, params)])

    def rounded(problem, params):
        return norm(*(error for _, error in terms(problem, params)))

    return law, rounded


def zero(prediction):
    """Nothing is left."""
    return jnp.zeros(())


def drift_claim(of_upper=lambda up, low: -2 * up, of_lower=lambda up, low: -2 * low):
    """The claim about the flow, or with other coefficients of A and B a wrong version of it."""
    law, rounded = drift_law(of_upper, of_lower)
    statement = r"\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB"
    return nct.Equality("drift", statement, law, zero, scope="any point", terms=rounded, size=one)


def step_claim(kept=lambda rate: (1 - STEP * rate) ** 2, **wrong):
    """The claim about a gradient step, or a wrong version of it."""
    law, rounded = step_law(kept, **wrong)
    statement = r"(1-\eta\lambda_{l+1})^2A-(1-\eta\lambda_l)^2B+\eta^2(\lambda_{l+1}-\lambda_l)S+\eta^2C"
    return nct.Equality("step", statement, law, zero, scope="any point", terms=rounded, size=one)


def balance_claim(off=0.0):
    """The claim about critical points, or with one decay `off` a wrong version of it."""
    return nct.Equality(
        "balance",
        r"\lambda_{l+1}A=\lambda_lB",
        balance_of(off),
        zero,
        scope="critical points",
        size=balance_size,
        applies=decayed,
    )


def wrong_drift(name, wrong, of_upper, of_lower, applies):
    """A control of the claim about the flow."""
    return nct.Control(name, wrong, versions=(drift_claim(of_upper, of_lower),), applies=applies)


def flow_for_step(rate):
    """e^{-2 eta lambda}."""
    return jnp.exp(-2 * STEP * rate)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(FREE_CHAIN, ANY_DECAYS, ANY_LOSS),
        sources=(
            ARORA_2018.remark("Conservation along the flow."),
            DU_2018.remark(
                "Conservation along the flow. The laws with decay and for a finite step are in our own form."
            ),
        ),
        instances=draw_instances,
        predict=lambda problem: None,
        claims=(drift_claim(), step_claim(), balance_claim()),
        controls=(
            wrong_drift(
                "conserved with decay",
                "the imbalance does not move along the flow, whatever the decays",
                lambda up, low: 0.0,
                lambda up, low: 0.0,
                decayed,
            ),
            wrong_drift(
                "one rate for unequal decays",
                "the imbalance decays at twice the mean of the two decays",
                lambda up, low: -(up + low),
                lambda up, low: -(up + low),
                unequal,
            ),
            wrong_drift(
                "sign", "the drift with the opposite sign", lambda up, low: 2 * up, lambda up, low: 2 * low, decayed
            ),
            wrong_drift("half the rate", "lambda for 2 lambda", lambda up, low: -up, lambda up, low: -low, decayed),
            wrong_drift(
                "decay 1e-6 off",
                "the upper decay larger by a relative 1e-6",
                lambda up, low: -2 * (1 + 1e-6) * up,
                lambda up, low: -2 * low,
                decayed,
            ),
            nct.Control(
                "first order only",
                "a finite step moves the imbalance by the decays alone",
                versions=(step_claim(second=0.0),),
            ),
            nct.Control("no cross term", "S left out", versions=(step_claim(cross=0.0),), applies=unequal),
            nct.Control(
                "the flow for a step",
                "e^{-2 eta lambda} in the place of (1 - eta lambda)^2",
                versions=(step_claim(flow_for_step),),
                applies=decayed,
            ),
            nct.Control(
                "balance 1e-6 off",
                "the upper decay larger by a relative 1e-6",
                versions=(balance_claim(1e-6),),
                applies=decayed,
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
