"""From balanced factors the product moves by itself: by fractional powers of its own Gram matrices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ARORA_2018
from proofs_numeric.conserved.instances import chain, instance
from proofs_numeric.conserved.vector_field import (
    coefficients,
    decays,
    descent,
    imbalances,
    largest_norm,
    measured,
    power_error,
    product,
    rounding_unit,
)

ID = "arora-end-to-end"
# (widths, loss, free features): N = 2, 3, 4 factors, rectangular and square; every rank is the least width
SHAPES = (
    ((4, 3, 3), "cross_entropy", False),
    ((4, 3, 4, 3), "mse", False),
    ((3, 3, 3, 3, 3), "mse", False),
)
STRETCH = 2.0
"""W_1 is multiplied and W_2 divided by it: the same product, from factors that are not balanced."""


class Motion(NamedTuple):
    """Coefficients of dW/dt."""

    powers: jax.Array
    """Of the N terms with the right exponents, of W, and of the sum with too large a left exponent."""
    stretched: jax.Array
    """Of the N terms and of W after the stretch."""


def draw_instances(key):
    """For each shape four decays, from 0.001 to 0.03, equal in all factors."""
    rng = nct.generator(key)
    drawn = []
    for shape in SHAPES:
        number = len(shape[0]) - 1
        for decay in 10.0 ** rng.uniform([-3.0, -2.5, -2.0, -2.0], [-2.5, -2.0, -1.5, -1.5]):
            drawn.append(instance(rng, shape, (float(decay),) * number, equal=True, build=balanced, scale=1.0))
    return drawn


def balanced(*arguments):
    """A chain with balanced starts."""
    return nct.balanced_chain(chain(*arguments))


def predict_with(first=1.0, share=lambda n: 1.0, factors=lambda n: n, off=0.0, stretched=True):
    """The law with other coefficients: the terms' `share`, of the `first` one, of W, of the wrong exponents."""

    def predict(problem):
        number, lam = problem.factors, decays(problem)[0]
        terms = -jnp.full(number, share(number)).at[0].multiply(first)
        of_product = jnp.full(1, -factors(number) * lam)
        gains = jnp.ones(number)
        if stretched:
            gains = gains.at[0].set(STRETCH**-2).at[1].set(STRETCH**2)
        return Motion(
            powers=jnp.concatenate([terms, of_product, jnp.full(1, off)]),
            stretched=jnp.concatenate([-gains, of_product]),
        )

    return predict


def velocity(problem, params):
    """dW/dt along -grad f, by forward differentiation through the factors."""
    return jax.jvp(product, (params,), (descent(problem, params),))[1]


def slope(problem, params):
    """The gradient of the fit in W."""
    outer = problem.loss.gradient(problem.logits(params), problem.targets) * problem.column_weight[None, :]
    return outer @ jnp.asarray(problem.inputs).T


def decomposition(problem, params):
    """Singular vectors and values of W, as many as its rank."""
    left, singular, right = jnp.linalg.svd(product(params), full_matrices=False)
    rank = problem.rank
    return left[:, :rank], singular[:rank], right[:rank]


def term(parts, gradient, number, left_power, right_power):
    """(W W^T)^{a/N} G (W^T W)^{b/N}; the zeroth power is the identity."""
    left, singular, right = parts
    out = gradient
    if left_power:
        out = (left * singular[None, :] ** (2 * left_power / number)) @ (left.T @ out)
    if right_power:
        out = (out @ right.T) @ (singular[:, None] ** (2 * right_power / number) * right)
    return out


def right_terms(problem, params):
    """The N terms of the statement."""
    number, gradient, parts = problem.factors, slope(problem, params), decomposition(problem, params)
    return [term(parts, gradient, number, number - j, j - 1) for j in range(1, number + 1)]


def wrong_sum(problem, params):
    """The sum with exponents (N-j+1)/N on the left."""
    number, gradient, parts = problem.factors, slope(problem, params), decomposition(problem, params)
    return sum(term(parts, gradient, number, number - j + 1, j - 1) for j in range(1, number + 1))


def bases(problem, params):
    """The matrices whose coefficients are measured."""
    return [*right_terms(problem, params), product(params), wrong_sum(problem, params)]


def powers(problem, params):
    """Measured coefficients at a balanced point."""
    found, _ = coefficients(velocity(problem, params), bases(problem, params))
    return measured(found, powers_error(problem, params), params)


def law(problem, params):
    """dW/dt less what the statement says it is."""
    number, lam = problem.factors, decays(problem)[0]
    return velocity(problem, params) + sum(right_terms(problem, params)) + number * lam * product(params)


def stretch(params):
    """Factors of the same product that are not balanced."""
    first, second, *others = params.weights
    return params._replace(weights=(STRETCH * first, second / STRETCH, *others))


def stretched(problem, params):
    """Measured coefficients of the velocity after the stretch, in the terms before it."""
    found, _ = coefficients(velocity(problem, stretch(params)), bases(problem, params)[:-1])
    return measured(found, stretched_error(problem, params), params)


def law_error(problem, params):
    """Rounding of the velocity, and what the imbalance of the point does to the powers."""
    number, outer = problem.factors, slope(problem, params)
    w = jnp.maximum(largest_norm(params), 1.0)
    reach = w ** (number - 1)
    # The slope of the fit is known to rounding of the logits.
    logits = jnp.max(problem.column_weight) * (w**number * jnp.sum(problem.inputs**2) + jnp.sum(problem.targets**2))
    rounded = number * reach * (reach * (jnp.linalg.norm(outer) + logits) + decays(problem)[0] * w) * problem.rank
    error = power_error(problem, params)
    return rounded + 2 * number * error * (reach**2 + error) * jnp.linalg.norm(outer) / rounding_unit(params)


def powers_error(problem, params):
    """The same, multiplied by what the coefficients make of it."""
    gain = coefficients(product(params), bases(problem, params))[1]
    return law_error(problem, params) * gain


def stretched_error(problem, params):
    """The same after the stretch, which multiplies a velocity by at most the square of it."""
    gain = coefficients(product(params), bases(problem, params)[:-1])[1]
    return STRETCH**2 * law_error(problem, params) * gain


def balance(problem, params):
    """W_{l+1}^T W_{l+1} - W_l W_l^T."""
    return jnp.concatenate([jnp.ravel(x) for x in imbalances(params)])


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="The end-to-end dynamics of balanced linear chains",
        statement=r"""For $W=W_N\cdots W_1$ and $f=L(W)+\frac\lambda2\sum_j|W_j|_F^2$, at every point with
$W_{j+1}^\top W_{j+1}=W_jW_j^\top$ the gradient flow of the factors moves the product by
$\dot W=-\sum_{j=1}^N(WW^\top)^{(N-j)/N}\,\nabla L(W)\,(W^\top W)^{(j-1)/N}-N\lambda W$. The factors $(tW_1,W_2/t,\dots)$ have
the same product and are not balanced: there the first term counts $t^{-2}$ times, the second $t^2$ times, the others
once.""",
        hypotheses=("balanced factors", "equal decays >= 0", "differentiable loss of the product"),
        notation="Arora et al.: no decay; their N is the number of factors. The order of the two powers does not matter: j to "
        "N+1-j exchanges them in the sum.",
        sources=(
            ARORA_2018.remark("The formula without decay; the decay and the unbalanced case are our own addition."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Claim(
                "law",
                r"\dot W+\sum_j(WW^\top)^{(N-j)/N}\nabla L(W^\top W)^{(j-1)/N}+N\lambda W=0",
                law,
                lambda m: jnp.zeros(()),
                scope="any point",
                terms=law_error,
            ),
            nct.Claim(
                "powers",
                r"coefficients of \dot W in the N terms, in W, and in the sum with (N-j+1)/N",
                powers,
                lambda m: m.powers,
                scope="any point",
                terms=powers_error,
            ),
            nct.Claim(
                "stretched",
                r"coefficients of \dot W in the N terms and in W at (2W_1, W_2/2, ...)",
                stretched,
                lambda m: m.stretched,
                scope="any point",
                terms=stretched_error,
            ),
            nct.Claim(
                "balance",
                r"W_{j+1}^\top W_{j+1}=W_jW_j^\top",
                balance,
                lambda m: jnp.zeros(()),
                scope="critical points",
            ),
        ),
        controls=(
            nct.Control(
                "wrong exponents",
                "(N-j+1)/N in the place of (N-j)/N",
                predict_with(share=lambda n: 0.0, off=-1.0),
                claims=("powers",),
            ),
            nct.Control("a term missing", "the sum from j = 2", predict_with(first=0.0), claims=("powers",)),
            nct.Control(
                "decay counted once",
                "-lambda W in the place of -N lambda W",
                predict_with(factors=lambda n: 1),
                claims=("powers",),
            ),
            nct.Control(
                "any factors",
                "the formula holds for every factorisation of the product",
                predict_with(stretched=False),
                claims=("stretched",),
            ),
            nct.Control(
                "mean",
                "the mean of the N terms in the place of their sum",
                predict_with(share=lambda n: 1 / n),
                claims=("powers",),
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
