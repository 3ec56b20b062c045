"""What the theorems on conserved quantities share: factors, gradients, imbalances, the rounding of laws about them."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

STEP = 0.25
"""The gradient step has this length eta."""
EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)


def descent(problem, params):
    """Return the velocity of the gradient flow, -grad f."""
    return jax.tree.map(jnp.negative, problem.value_and_grad(params)[1])


def factors(params):
    """List the matrices of the chain from the lowest upwards: H, where it is free, then W_1, ..., W_L."""
    return ([] if params.features is None else [params.features]) + list(params.weights)


def decays(problem):
    """Return the decays of the factors, in the same order."""
    decay = jnp.asarray(problem.weight_decay)
    return decay if problem.inputs is not None else jnp.concatenate([decay[-1:], decay[:-1]])


def fit_gradients(problem, params):
    """Return the gradients of the fit alone in the factors, in the same order."""
    gradient = factors(problem.value_and_grad(params)[1])
    return [g - lam * w for g, lam, w in zip(gradient, decays(problem), factors(params), strict=True)]


def grams(params):
    """Return W_{l+1}^T W_{l+1} and W_l W_l^T in every space between two free factors."""
    return [(upper.T @ upper, lower @ lower.T) for lower, upper in pairwise(factors(params))]


def imbalances(params):
    """Return the first Gram matrix less the second in every such space."""
    return [above - below for above, below in grams(params)]


def rounding_unit(params):
    """Return the engine's rounding error of a quantity of size 1.

    An error of another origin, divided by it, adds to the `terms` of a claim.
    """
    return 8 * EPS * float(np.sqrt(sum(leaf.size for leaf in jax.tree.leaves(params))))


def velocity_size(problem, params):
    """Return the size of the terms that cancel in W^T dW/dt: all norms times the slope of the fit, and the decays.

    The fit's slope is known to rounding of the logits, whose terms have the size of the product of all norms.
    """
    lowest = problem.lowest(params)
    chain = jnp.prod(jnp.stack([jnp.linalg.norm(w) for w in params.weights])) * jnp.linalg.norm(lowest)
    slope = problem.loss.gradient(problem.logits(params), problem.targets) * problem.column_weight[None, :]
    per_logit = jnp.max(problem.column_weight) * (chain + jnp.linalg.norm(problem.targets))
    kept = sum(lam * jnp.sum(w**2) for lam, w in zip(decays(problem), factors(params), strict=True))
    return chain * (jnp.linalg.norm(slope) + per_logit) + kept


def relative(difference, size, error, params):
    """Take a difference relative to the size of its terms, or to its own rounding where that is larger, as at zero."""
    return difference / (size + error * rounding_unit(params) + TINY)


def one(problem, params):
    """Return the size of what is relative already."""
    return jnp.ones(())


def zero(prediction):
    """Predict that nothing is left."""
    return jnp.zeros(())


def norm(*matrices):
    """Return the root of the sum of all squares."""
    return jnp.sqrt(sum(jnp.sum(matrix**2) for matrix in matrices))


def spaces(problem, params):
    """Yield A, B, S and C for every inner space, the last two times the square of the step."""
    chain, slopes = factors(params), fit_gradients(problem, params)
    for w, v, g, h in zip(chain[:-1], chain[1:], slopes[:-1], slopes[1:], strict=True):
        cross = v.T @ h
        yield v.T @ v, w @ w.T, STEP**2 * (cross + cross.T), STEP**2 * (h.T @ h - g @ g.T)


def stepped(problem, params):
    """Return A - B after one gradient step."""
    return imbalances(jax.tree.map(lambda x, v: x + STEP * v, params, descent(problem, params)))


def sizes(problem, params):
    """Return the size of the terms that cancel in the imbalance, its velocity and its change in a step."""
    squares = sum(jnp.sum(x**2) for x in factors(params))
    return squares + velocity_size(problem, params)


def product(params):
    """Return W_N ... W_1."""
    out = params.weights[0]
    for weight in params.weights[1:]:
        out = weight @ out
    return out


def largest_norm(params):
    """Bound the spectral norm of every factor by tr((W^T W)^4)^{1/8}, at most r^{1/8} times it for rank r."""
    grams = [w.T @ w for w in params.weights]
    return jnp.max(jnp.stack([jnp.sum((g @ g) ** 2) for g in grams])) ** (1 / 8)


def power_error(problem, params):
    r"""Bound the error of $P_a=W_N\cdots W_{N-a+1}(\cdot)^\top$ as the power a/N of $WW^\top$, for all a < N.

    With $S=W_NW_N^\top$, imbalances of norm d and factors of norm w, $|P_a-S^a|\le\frac{a(a-1)}2w^{2(a-1)}d$, and
    $WW^\top=P_N$. The function $x^{a/N}$ has the Lipschitz constant $\mu^{a/N-1}$ on $\{0\}\cup[\mu,\infty)$ (S has no
    more than r eigenvalues off zero), and $|X^p-Y^p|\le\sqrt r|X-Y|^p$ in any case. The powers of $W^\top W$ are alike.
    """
    number, w = problem.factors, largest_norm(params)
    d = jnp.max(jnp.stack([jnp.linalg.norm(x) for x in imbalances(params)])) + rounding_unit(params) * w**2
    whole = number * (number - 1) / 2 * w ** (2 * (number - 1)) * d
    floor = jnp.linalg.svd(product(params), compute_uv=False)[problem.largest_rank - 1] ** 2 - whole
    worst = jnp.zeros(())
    for a in range(1, number):
        lipschitz = jnp.where(floor > 0, jnp.where(floor > 0, floor, 1.0) ** (a / number - 1) * whole, jnp.inf)
        change = jnp.minimum(lipschitz, jnp.sqrt(1.0 * problem.largest_rank) * whole ** (a / number))
        worst = jnp.maximum(worst, change + a * (a - 1) / 2 * w ** (2 * (a - 1)) * d)
    return worst
