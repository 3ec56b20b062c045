r"""The end-to-end dynamics of balanced linear chains.

From balanced factors the product moves by itself: by fractional powers of its own Gram matrices.

Theorem:
    For $W=W_N\cdots W_1$ and $f=L(W)+\frac\lambda2\sum_j|W_j|_F^2$, at every point with
    $W_{j+1}^\top W_{j+1}=W_jW_j^\top$ the gradient flow of the factors moves the product by
    $\dot W=-\sum_{j=1}^N(WW^\top)^{(N-j)/N}\,\nabla L(W)\,(W^\top W)^{(j-1)/N}-N\lambda W$. The factors
    $(tW_1,W_2/t,\dots)$ have the same product and are not balanced: there the first term counts $t^{-2}$ times, the second
    $t^2$ times, the others once.
Hypotheses:
    - a chain of at least two free factors without a bias, with free features or given inputs
    - given inputs
    - one decay >= 0 for all free factors
    - any differentiable loss of the logits
    - balanced factors at the start
Notation:
    Arora et al.: no decay; their N is the number of factors. The order of the two powers does not matter: j to N+1-j
    exchanges them in the sum.
"""

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ARORA_2018
from proofs_numeric.conserved.instances import ANY_LOSS, EQUAL_DECAYS, FREE_CHAIN, chain, instance, mixed_sizes
from proofs_numeric.conserved.vector_field import (
    decays,
    descent,
    grams,
    imbalances,
    largest_norm,
    norm,
    one,
    power_error,
    product,
    relative,
    rounding_unit,
)
from proofs_numeric.thresholds import ROUNDED

ID = "arora-end-to-end"
# (widths, loss, free features): N = 2, 3, 4 factors, rectangular and square; every rank is the least width. A key picks one
# of each row, of two, three and four classes
SHAPES = (
    (((3, 2, 2), "cross_entropy", False), ((4, 3, 3), "cross_entropy", False), ((4, 5, 4), "cross_entropy", False)),
    (((2, 3, 3, 2), "mse", False), ((4, 3, 4, 3), "mse", False), ((4, 4, 5, 4), "mse", False)),
    (((2, 2, 2, 2, 2), "mse", False), ((3, 3, 3, 3, 3), "mse", False), ((4, 4, 4, 4, 4), "mse", False)),
)
STRETCH = 2.0
"""W_1 is multiplied and W_2 divided by it: the same product, from factors that are not balanced."""


def draw_instances(key):
    """For each shape four decays, from 0.0003 to 0.03, equal in all factors."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in mixed_sizes(rng, SHAPES):
        number = len(shape[0]) - 1
        for decay in 10.0 ** rng.uniform([-3.5, -2.5, -2.0, -2.0], [-2.5, -2.0, -1.5, -1.5]):
            drawn.append(instance(rng, shape, (float(decay),) * number, build=balanced, scale=1.0))
    return drawn


def balanced(*arguments):
    """A chain with balanced starts."""
    return nct.problems.balanced_chain(chain(*arguments))


def starts_balanced(instance):
    """Whether neighbouring factors of a start have the same Gram matrix."""
    start = instance.start()
    return float(norm(*imbalances(start))) < ROUNDED * float(norm(*start.weights)) ** 2


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
    rank = problem.largest_rank
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


def right_terms(problem, params, off=0):
    """The N terms of the statement; with `off` added to every left exponent's numerator, wrong ones."""
    number, gradient, parts = problem.factors, slope(problem, params), decomposition(problem, params)
    return [term(parts, gradient, number, number - j + off, j - 1) for j in range(1, number + 1)]


def stretch(params):
    """Factors of the same product that are not balanced."""
    first, second, *others = params.weights
    return params._replace(weights=(STRETCH * first, second / STRETCH, *others))


def law_error(problem, params):
    """Rounding of the velocity, and what the imbalance of the point does to the powers."""
    number, outer = problem.factors, slope(problem, params)
    w = jnp.maximum(largest_norm(params), 1.0)
    size_below = w ** (number - 1)
    # The slope of the fit is known to rounding of the logits.
    logits = jnp.max(problem.column_weight) * (w**number * jnp.sum(problem.inputs**2) + jnp.sum(problem.targets**2))
    rounded = (
        number
        * size_below
        * (size_below * (jnp.linalg.norm(outer) + logits) + decays(problem)[0] * w)
        * problem.largest_rank
    )
    error = power_error(problem, params)
    return rounded + 2 * number * error * (size_below**2 + error) * jnp.linalg.norm(outer) / rounding_unit(params)


def law_claim(name="law", gains=lambda number: jnp.ones(number), of_product=lambda number: number, off=0, at=None):
    """The claim that dW/dt is minus the sum of the terms times `gains`, and of lambda W as often as `of_product` says.

    Of the point itself, or of its factors moved to `at`, which multiplies a velocity by at most `STRETCH` squared. What is
    observed is relative to the size of the terms.
    """
    larger = 1.0 if at is None else STRETCH**2

    def sizes(problem, params):
        moved = velocity(problem, params if at is None else at(params))
        share, kept = gains(problem.factors), decays(problem)[0] * product(params)
        parts = [gain * one for gain, one in zip(share, right_terms(problem, params, off), strict=True)]
        difference = moved + sum(parts) + of_product(problem.factors) * kept
        return difference, norm(moved, *parts, kept), larger * law_error(problem, params)

    def law(problem, params):
        difference, size, error = sizes(problem, params)
        return relative(difference, size, error, params)

    def rounded(problem, params):
        _, size, error = sizes(problem, params)
        return relative(error, size, error, params)

    statement = {
        "law": r"\dot W=-\sum_j(WW^\top)^{(N-j)/N}\nabla L(W^\top W)^{(j-1)/N}-N\lambda W",
        "stretched": r"\dot W at (2W_1, W_2/2, \dots), with 1/4 of the first term and 4 of the second",
    }
    return nct.Equality(name, statement[name], law, lambda m: jnp.zeros(()), scope="any point", terms=rounded, size=one)


def stretched_gains(number):
    """How often each term counts after the stretch."""
    return jnp.ones(number).at[0].set(STRETCH**-2).at[1].set(STRETCH**2)


def balance_claim(off=0.0):
    """W_{j+1}^T W_{j+1} = W_j W_j^T at critical points; with the first Gram matrix `off` a wrong version of that."""

    return nct.Equality(
        "balance",
        r"W_{j+1}^\top W_{j+1}=W_jW_j^\top",
        lambda problem, params: jnp.concatenate([jnp.ravel((1 + off) * a - b) for a, b in grams(params)]),
        lambda m: jnp.zeros(()),
        scope="critical points",
        size=lambda problem, params: norm(*(gram for pair in grams(params) for gram in pair)),
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            FREE_CHAIN,
            lambda i: i.problem.inputs is not None,
            EQUAL_DECAYS,
            ANY_LOSS,
            starts_balanced,
        ),
        sources=(
            ARORA_2018.remark("The formula without decay; the decay and the unbalanced case are our own addition."),
        ),
        instances=draw_instances,
        predict=lambda problem: None,
        claims=(law_claim(), law_claim("stretched", stretched_gains, at=stretch), balance_claim()),
        controls=(
            nct.Control("wrong exponents", "(N-j+1)/N in the place of (N-j)/N", versions=(law_claim(off=1),)),
            nct.Control(
                "a term missing",
                "the sum from j = 2",
                versions=(law_claim(gains=lambda number: jnp.ones(number).at[0].set(0.0)),),
            ),
            nct.Control(
                "decay counted once",
                "-lambda W in the place of -N lambda W",
                versions=(law_claim(of_product=lambda number: 1),),
            ),
            nct.Control(
                "mean",
                "the mean of the N terms in the place of their sum",
                versions=(law_claim(gains=lambda number: jnp.ones(number) / number),),
            ),
            nct.Control(
                "any factors",
                "the formula holds for every factorisation of the product",
                versions=(law_claim("stretched", at=stretch),),
            ),
            nct.Control(
                "1e-6 stretched",
                "the first term larger by a relative 1e-6 after the stretch",
                versions=(
                    law_claim("stretched", lambda number: stretched_gains(number).at[0].multiply(1 + 1e-6), at=stretch),
                ),
            ),
            nct.Control(
                "balance 1e-6 off", "the upper Gram matrix larger by a relative 1e-6", versions=(balance_claim(1e-6),)
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
