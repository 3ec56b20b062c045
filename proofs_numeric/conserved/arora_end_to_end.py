r"""The end-to-end dynamics of balanced linear chains.

A deep linear network computes no more than one matrix, but gradient flow moves this matrix differently for every depth.
Where neighbouring factors are balanced, the product moves by an equation of its own, in which the factors no longer
occur: its gradient is multiplied from both sides by fractional powers of the product's own Gram matrices. Depth is thus
a preconditioner that speeds up the directions which are large already. From factors that are not balanced the same
product moves otherwise.

Problem:
    $f(W_1,\dots,W_N)=L(W_N\cdots W_1)+\frac\lambda2\sum_j|W_j|_F^2$ for a differentiable loss L of the product of the N
    factors, here of its outputs on given inputs. All factors are free and follow the gradient flow
    $\dot W_j=-\nabla_{W_j}f$ from a balanced start.
Theorem (Arora et al. 2018, Theorem 1; the unbalanced case is our own addition):
    For $W=W_N\cdots W_1$ and $f=L(W)+\frac\lambda2\sum_j|W_j|_F^2$, at every point with
    $W_{j+1}^\top W_{j+1}=W_jW_j^\top$ the gradient flow of the factors moves the product by
    $\dot W=-\sum_{j=1}^N(WW^\top)^{(N-j)/N}\,\nabla L(W)\,(W^\top W)^{(j-1)/N}-N\lambda W$. The factors
    $(tW_1,W_2/t,\dots)$ have the same product and are not balanced: there the first term counts $t^{-2}$ times, the
    second $t^2$ times, the others once.
Hypotheses:
    - a chain of at least two free factors without a bias, with free features or given inputs
    - given inputs
    - one decay >= 0 for all free factors
    - any differentiable loss of the logits
    - balanced factors at the start
Notation:
    Arora et al.: their N is the number of factors, their learning rate is 1 here. The order of the two powers does not
    matter: j to N+1-j exchanges them in the sum.
Why:
    With $P_j=W_N\cdots W_{j+1}$ and $Q_j=W_{j-1}\cdots W_1$ the flow of a factor is
    $\dot W_j=-P_j^\top\nabla L(W)\,Q_j^\top-\lambda W_j$. By the product rule
    $\dot W=\sum_jP_j\dot W_jQ_j=-\sum_jP_jP_j^\top\,\nabla L(W)\,Q_j^\top Q_j-N\lambda W$ at every point. At a balanced
    one, replacing the innermost $W_{j+1}W_{j+1}^\top$ by $W_{j+2}^\top W_{j+2}$ again and again gives
    $P_jP_j^\top=(W_NW_N^\top)^{N-j}$ and $WW^\top=(W_NW_N^\top)^N$, and powers of positive semidefinite matrices are
    unique: $P_jP_j^\top=(WW^\top)^{(N-j)/N}$. In the same way $Q_j^\top Q_j=(W^\top W)^{(j-1)/N}$. Of $P_jP_j^\top$ and
    $Q_j^\top Q_j$ the stretch changes only $P_1P_1^\top$, by $t^{-2}$, and $Q_2^\top Q_2$, by $t^2$; with two factors
    as with more.
Checked:
    At random balanced starts, and where the flow from them ends, the velocity of the product along the gradient of the
    factors is computed by forward differentiation, and held against the law to the rounding of its terms; and again
    after the first factor is doubled and the second halved. At converged ends neighbouring factors must be balanced.
    All this is sampled: a law about every balanced point is not certified by points.
Refuted by:
    One point at which the velocity differs from the law by more than rounding. The same check must refute powers one
    step too high, a missing first term, a decay that is counted once, the mean of the terms in the place of their sum,
    the balanced law for stretched factors, and a term or a Gram matrix off by 1e-6.
Example:
    Three factors: the velocity of the product by the law, and as the difference of two points of a fresh gradient flow.

    >>> rng, shape = nct.theorems.numpy_rng(jax.random.key(0)), ((2, 3, 3, 2), "mse", False)
    >>> problem = instance(rng, shape, (0.01,) * 3, build=balanced, scale=1.0).problem
    >>> def observe(problem, params):
    ...     law = -sum(right_terms(problem, params)) - problem.factors * decays(problem)[0] * product(params)
    ...     return jnp.stack([product(params), law])
    >>> times = [0.999, 1.0, 1.001]
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, seeds=1), times, observe=observe, light=True)
    >>> (before, _), (_, law), (after, _) = paths.values[0]
    >>> law.round(4).tolist(), ((after - before) / 0.002).round(4).tolist()
    ([[0.0507, 0.0692], [-0.0576, 0.113]], [[0.0507, 0.0692], [-0.0576, 0.113]])
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
# A shape is (widths, loss, free features). The rows have N = 2, 3, 4 factors, rectangular and square; every rank is the
# least width. A key picks one of each row, of two, three and four classes.
SHAPES = (
    (((3, 2, 2), "cross_entropy", False), ((4, 3, 3), "cross_entropy", False), ((4, 5, 4), "cross_entropy", False)),
    (((2, 3, 3, 2), "mse", False), ((4, 3, 4, 3), "mse", False), ((4, 4, 5, 4), "mse", False)),
    (((2, 2, 2, 2, 2), "mse", False), ((3, 3, 3, 3, 3), "mse", False), ((4, 4, 4, 4, 4), "mse", False)),
)
STRETCH = 2.0
"""W_1 is multiplied and W_2 divided by it, which leaves the product and not the balance."""


def draw_instances(key):
    """Draw for each shape four decays, from 0.0003 to 0.03, equal in all factors."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in mixed_sizes(rng, SHAPES):
        number = len(shape[0]) - 1
        for decay in 10.0 ** rng.uniform([-3.5, -2.5, -2.0, -2.0], [-2.5, -2.0, -1.5, -1.5]):
            drawn.append(instance(rng, shape, (float(decay),) * number, build=balanced, scale=1.0))
    return drawn


def balanced(*arguments):
    """Build a chain with balanced starts."""
    return nct.problems.balanced_chain(chain(*arguments))


def starts_balanced(instance):
    """Tell whether neighbouring factors of a start have the same Gram matrix."""
    start = instance.start()
    return float(norm(*imbalances(start))) < ROUNDED * float(norm(*start.weights)) ** 2


def velocity(problem, params):
    """Compute dW/dt along -grad f, by forward differentiation through the factors."""
    return jax.jvp(product, (params,), (descent(problem, params),))[1]


def slope(problem, params):
    """Compute the gradient of the fit in W."""
    outer = problem.loss.gradient(problem.logits(params), problem.targets) * problem.column_weight[None, :]
    return outer @ jnp.asarray(problem.inputs).T


def decomposition(problem, params):
    """Return singular vectors and values of W, as many as its rank."""
    left, singular, right = jnp.linalg.svd(product(params), full_matrices=False)
    rank = problem.largest_rank
    return left[:, :rank], singular[:rank], right[:rank]


def term(parts, gradient, number, left_power, right_power):
    """Compute (W W^T)^{a/N} G (W^T W)^{b/N}; the zeroth power is the identity."""
    left, singular, right = parts
    out = gradient
    if left_power:
        out = (left * singular[None, :] ** (2 * left_power / number)) @ (left.T @ out)
    if right_power:
        out = (out @ right.T) @ (singular[:, None] ** (2 * right_power / number) * right)
    return out


def right_terms(problem, params, off=0):
    """Compute the N terms of the statement or, with `off` added to every left exponent's numerator, wrong ones."""
    number, gradient, parts = problem.factors, slope(problem, params), decomposition(problem, params)
    return [term(parts, gradient, number, number - j + off, j - 1) for j in range(1, number + 1)]


def stretch(params):
    """Return factors of the same product that are not balanced."""
    first, second, *others = params.weights
    return params._replace(weights=(STRETCH * first, second / STRETCH, *others))


def law_error(problem, params):
    """Bound the rounding of the velocity, and what the imbalance of the point does to the powers."""
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
    """Claim that dW/dt is minus the sum of the terms times `gains`, and of lambda W as often as `of_product` says.

    The claim is about the point itself, or about its factors moved by `at`, which multiplies a velocity by at most
    `STRETCH` squared. What is observed is relative to the size of the terms.
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
    """Return how often each term counts after the stretch."""
    return jnp.ones(number).at[0].set(STRETCH**-2).at[1].set(STRETCH**2)


def balance_claim(off=0.0):
    """Claim W_{j+1}^T W_{j+1} = W_j W_j^T at critical points or, with the first Gram matrix `off`, a wrong version."""

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
            ARORA_2018.remark(
                "Their formula has the decay too; the unbalanced case is our own addition. The number is as public reading "
                "notes cite it.",
                number="Theorem 1",
            ),
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
