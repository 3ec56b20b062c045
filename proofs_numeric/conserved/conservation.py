r"""The imbalance of neighbouring factors.

Gradient flow on a linear network without decay conserves, between any two neighbouring layers, the difference of their
Gram matrices: layers that start balanced stay balanced, whatever the loss. This file says what becomes of that law with
decay, of different strength in different layers, what a gradient step of finite size adds to it, and what is left of it
where training ends. For K classes or for real outputs, it is the reason that layers align in deep collapse.

Problem:
    $f=L(W_N\cdots W_1)+\sum_l\frac{\lambda_l}2|W_l|_F^2$ for any differentiable loss L of the product, all factors
    free; the lowest one may be the features H. The factors follow the gradient flow $\dot W_l=-\nabla_{W_l}f$, or one
    step $W_l-\eta\nabla_{W_l}f$ of gradient descent.
Theorem (Arora et al. 2018, Du et al. 2018, number unchecked; the laws with decay and for a step are in our own form):
    For a chain of free factors $W_l$ with decays $\frac{\lambda_l}2|W_l|_F^2$ and any differentiable loss of their
    product let $A=W_{l+1}^\top W_{l+1}$, $B=W_lW_l^\top$, and let $G_l$ be the gradient of the fit alone in $W_l$.
    Along the gradient flow $\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB$: conserved without decay, dying out as
    $e^{-2\lambda t}$ with equal decays, not conserved with unequal ones. One gradient step of size $\eta$ takes $A-B$
    to $(1-\eta\lambda_{l+1})^2A-(1-\eta\lambda_l)^2B+\eta^2(\lambda_{l+1}-\lambda_l)S+\eta^2C$ with
    $S=W_{l+1}^\top G_{l+1}+G_{l+1}^\top W_{l+1}$ and $C=G_{l+1}^\top G_{l+1}-G_lG_l^\top$; with equal decays
    $(1-\eta\lambda)^2(A-B)+\eta^2C$. At a critical point $\lambda_{l+1}A=\lambda_lB$.
Hypotheses:
    - a chain of at least two free factors without a bias, with free features or given inputs
    - decays >= 0
    - any differentiable loss of the logits
Notation:
    Arora et al. and Du et al.: no decay; H is the lowest factor where the features are free.
Why:
    The fit depends on the product alone. Multiplying $W_l$ from the left by $e^{tX}$ and $W_{l+1}$ from the right by
    $e^{-tX}$ leaves it alone, for every X, and so $W_{l+1}^\top G_{l+1}=G_lW_l^\top$. Along the flow
    $\dot W_l=-G_l-\lambda_lW_l$. In the derivatives of A and B the terms with G are therefore the same, $-S$, and
    cancel in the difference; the decays are left. In a step $W_l$ becomes $(1-\eta\lambda_l)W_l-\eta G_l$. In A the
    terms of first order in G are $-\eta(1-\eta\lambda_{l+1})S$, in B they are $-\eta(1-\eta\lambda_l)S$, and their
    difference is $\eta^2(\lambda_{l+1}-\lambda_l)S$, those of second order give $\eta^2C$. At a critical point
    $G_l=-\lambda_lW_l$, and the first identity becomes $\lambda_{l+1}A=\lambda_lB$.
Checked:
    At random starts, and where the flow from them ends, the derivatives of A and B along the gradient are computed by
    forward differentiation through the factors, and a step of size 0.25 is taken; both are held against the laws, to
    the rounding of their terms. The balance is compared at all converged ends, of whatever value, to what their
    gradients leave open. All this is sampled: laws about every point are not certified by points.
Refuted by:
    One point at which a law fails by more than rounding, or one converged end out of balance. The same check must
    refute conservation whatever the decays, one mean rate for unequal decays, the opposite sign, half the rate, a step
    that knows the decays alone or leaves the mixed term out, the rate of the flow for a step, and a decay off by 1e-6.
Example:
    Two factors of unequal decays: the rate of the imbalance by the law, and as the difference of two points of a fresh
    flow.

    >>> problem = instance(np.random.default_rng(0), ((2, 2), "cross_entropy", True), (0.01, 0.04)).problem
    >>> def observe(problem, params):
    ...     (low, up), ((a, b),) = decays(problem), grams(params)
    ...     return jnp.stack([a - b, 2 * low * b - 2 * up * a])
    >>> times = [0.999, 1.0, 1.001]
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, seeds=1), times, observe=observe, light=True)
    >>> (before, _), (_, law), (after, _) = paths.values[0]
    >>> law.round(4).tolist(), ((after - before) / 0.002).round(4).tolist()
    ([[-0.0241, 0.0298], [0.0298, 0.0741]], [[-0.0241, 0.0298], [0.0298, 0.0741]])
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
    zero,
)
from proofs_numeric.pool import log_uniform

ID = "conservation"
# A shape is (widths, loss, free features). The rows have 2, 2, 3 and 4 factors; a key picks one of each, of different
# numbers of classes.
SHAPES = (
    (((2, 2), "cross_entropy", True), ((3, 3), "cross_entropy", True), ((6, 5), "cross_entropy", True)),
    (((3, 4, 2), "mse", False), ((4, 5, 3), "mse", False), ((5, 3, 4), "mse", False)),
    (((2, 3, 2), "cross_entropy", True), ((3, 4, 3), "mse", True), ((4, 5, 4), "mse", True)),
    (((2, 3, 2, 3, 2), "mse", False), ((3, 3, 3, 3, 3), "mse", False), ((4, 3, 4, 3, 4), "mse", False)),
)


def draw_instances(key):
    """Draw for each shape equal and unequal decays, of ratio up to 100 and within 3 % of each other; once none."""
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
    """Observe lambda_{l+1} A - lambda_l B in every inner space, the upper decay times 1 + `off`."""

    def balance(problem, params):
        rates = decays(problem)
        rows = zip(spaces(problem, params), rates[1:], rates[:-1], strict=True)
        return jnp.concatenate([jnp.ravel((1 + off) * up * a - low * b) for (a, b, _, _), up, low in rows])

    return balance


def balance_size(problem, params):
    """Return the norm of the terms of the balance."""
    rates = decays(problem)
    rows = zip(spaces(problem, params), rates[1:], rates[:-1], strict=True)
    return norm(*(x for (a, b, _, _), up, low in rows for x in (up * a, low * b)))


def rates_of_grams(problem, params):
    """Compute d/dt A and d/dt B along -grad f, by forward differentiation, in every inner space."""
    return jax.jvp(grams, (params,), (descent(problem, params),))[1]


def drift_law(of_upper, of_lower):
    """Observe d/dt (A - B) less `of_upper` A - `of_lower` B, relative to the terms, with their rounding."""

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
    """Observe A - B after a step less `kept` of A and B, `cross` of S and `second` of C, relative to the terms."""

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


def drift_claim(of_upper=lambda up, low: -2 * up, of_lower=lambda up, low: -2 * low):
    """State the claim about the flow or, with other coefficients of A and B, a wrong version of it."""
    law, rounded = drift_law(of_upper, of_lower)
    statement = r"\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB"
    return nct.Equality("drift", statement, law, zero, scope="any point", terms=rounded, size=one)


def step_claim(kept=lambda rate: (1 - STEP * rate) ** 2, **wrong):
    """State the claim about a gradient step, or a wrong version of it."""
    law, rounded = step_law(kept, **wrong)
    statement = r"(1-\eta\lambda_{l+1})^2A-(1-\eta\lambda_l)^2B+\eta^2(\lambda_{l+1}-\lambda_l)S+\eta^2C"
    return nct.Equality("step", statement, law, zero, scope="any point", terms=rounded, size=one)


def balance_claim(off=0.0):
    """State the claim about critical points or, with one decay `off`, a wrong version of it."""
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
    """Make a control of the claim about the flow."""
    return nct.Control(name, wrong, versions=(drift_claim(of_upper, of_lower),), applies=applies)


def flow_for_step(rate):
    """Return e^{-2 eta lambda}."""
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
