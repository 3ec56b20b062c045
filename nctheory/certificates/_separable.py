"""Squared error: a bound by scalar problems, for bias-free and free-bias chains of any depth and any width."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Scalar, bisect, only_in_float64
from nctheory.problems import DeepLinear

BISECTIONS = 100


@only_in_float64
def separable_bound(problem: DeepLinear) -> Scalar:
    """The bound of `rounded_separable_bound`, without its rounding; traced in single precision it raises ValueError."""
    return rounded_separable_bound(problem)[0]


def rounded_separable_bound(problem: DeepLinear) -> tuple[Scalar, Scalar]:
    r"""A lower bound on the global minimum that does not depend on any point, and its rounding error, subtracted from it.

    F factors with product Z cost at least $\tfrac F2\Lambda^{1/F}\sum_i s_i(Z)^{2/F}$ with $\Lambda=\prod\lambda$
    (arithmetic-geometric mean and Horn's inequality), and von Neumann's trace inequality gives
    $|Z-Y|_F^2\ge\sum_i(s_i(Z)-s_i(Y))^2$. So the minimum is at least

    $$\sum_i\min_{s\ge0}\Big[\tfrac1{2N}(s-\sigma_i)^2+\tfrac F2\Lambda^{1/F}s^{2/F}\Big]$$

    over the min(width) largest singular values of the targets, plus $\sigma_i^2/2N$ for the others, which the rank cannot
    reach. A bias is no decay's business here: leaving its penalty out and removing the mean of the targets
    can only lower the value, so the bound is valid for every bias and tight for a free one. Given inputs must be white
    ($XX^\top\propto I$), unless no layer is decayed: then an orthonormal basis of their rows stands for them, and the bound
    is that of Eckart and Young. It is -inf where neither holds, and where columns weigh otherwise in the fit than in the decay
    (as those of a minibatch do).

    A rounding of $\sigma_i$, which is relative to $\sigma_1$, moves a summand by its slope $(\sigma_i-s)/N$ times as much.
    """
    # Every column's weight is its multiplicity over N, so that the targets are those of N samples: Y~ = Y diag(m)^(1/2).
    gains = jnp.asarray(problem.column_weight) / jnp.asarray(problem.multiplicity)
    gain, root = gains[0], jnp.sqrt(jnp.asarray(problem.multiplicity))
    targets = jnp.asarray(problem.targets) * root[None, :]
    constant = scale = crooked = noise = jnp.asarray(0.0)  # what no product reaches, and what it is a difference of
    valid: Bool[Array, ""] = jnp.all(jnp.abs(gains - gain) <= 8 * EPS * gain)
    if problem.inputs is not None:
        # Inputs with X X^T = c I: |Z X - Y|^2 = c |Z - Y X^T/c|^2 + |Y|^2 - |Y X^T|^2/c. Without decay only the span of the
        # rows counts, and an orthonormal basis of it takes the place of X.
        x = jnp.asarray(problem.inputs)
        gram = x @ x.T
        white = jnp.trace(gram) / gram.shape[0]
        uneven = jnp.max(jnp.abs(gram - white * jnp.eye(gram.shape[0])))
        even, is_white = valid, (uneven <= 1e-12 * white) & (white > 0)
        undecayed = jnp.all(jnp.asarray(problem.weight_decay) == 0.0)
        _, singular, rows = jnp.linalg.svd(x, full_matrices=False)
        rows = jnp.where(singular[:, None] > max(x.shape) * EPS * singular[0], rows, 0.0)
        white = jnp.where(is_white & ~undecayed, white, 1.0)
        # There may be fewer rows in the basis than in X, which then is not white.
        basis = jnp.zeros_like(x).at[: rows.shape[0]].set(rows)
        projected = jnp.where(undecayed, targets @ basis.T, targets @ x.T / white)
        valid = even & (is_white | undecayed) & (problem.bias_decay is None)
        constant = 0.5 * gain * (jnp.sum(targets**2) - white * jnp.sum(projected**2))
        scale = gain * jnp.sum(targets**2)
        # What is left of XX^T moves the fit by at most this part of the targets' size.
        crooked = jnp.where(~undecayed, gram.shape[0] * uneven / white, 0.0) * scale
        targets, gain = projected, gain * white
    elif problem.bias_decay is not None:
        # A free bias removes the mean: Y~ (I - u u^T) with the unit vector u of the columns' weights.
        unit = root * jnp.sqrt(gain) * (1.0 if problem.bias_row is None else problem.bias_row)
        # Each entry of what is left is rounded relative to what was there.
        noise = (targets.shape[1] ** 0.5) * EPS * jnp.sqrt(jnp.sum(targets**2))
        targets = targets - jnp.outer(targets @ unit, unit)
    # One scalar problem for each singular value of the targets, with the price (F/2) Lambda^(1/F) of s^(2/F).
    sigma = jnp.linalg.svd(targets, compute_uv=False)
    factors = problem.factors
    decay = jnp.asarray(problem.weight_decay)
    price = 0.5 * factors * jnp.exp(jnp.mean(jnp.log(jnp.where(decay > 0, decay, 1.0))))
    price = jnp.where(jnp.all(decay > 0), price, 0.0)
    rank = min(problem.widths)
    reached = jax.vmap(lambda one: _scalar_minimiser(one, gain, price, factors))(sigma)
    reached = jnp.where(jnp.arange(sigma.shape[0]) < rank, reached, 0.0)
    values = _scalar_value(reached, sigma, gain, price, factors)
    total = jnp.sum(values) + constant
    moved = jnp.sum(values + gain * jnp.abs(sigma - reached) * sigma[0])
    # An error of sigma moves the value by its slope and by its square.
    off = jnp.sum(gain * noise * (jnp.abs(sigma - reached) + noise))
    rounding = 16 * (sigma.shape[0] + targets.shape[1] ** 0.5) * EPS * (moved + scale) + crooked + off
    return jnp.where(valid, total - rounding, -jnp.inf), jnp.where(valid, rounding, 0.0)


@only_in_float64
def scalar_minimum(sigma: Scalar, gain: Scalar, price: Scalar, factors: int) -> Scalar:
    r"""$\min_{s\ge0}\tfrac g2(s-\sigma)^2+c\,s^{2/F}$ with g = `gain`, c = `price`, by bisection on the derivative.

    For F > 2 the derivative $g(s-\sigma)+\tfrac{2c}F s^{2/F-1}$ is convex in s with its least value at s_0; a minimum off
    zero is its root in (s_0, sigma], if there is one. Raises ValueError where it is traced in single precision.
    """
    return _scalar_value(_scalar_minimiser(sigma, gain, price, factors), sigma, gain, price, factors)


def _scalar_value(s: Array | Scalar, sigma: Array | Scalar, gain: Scalar, price: Scalar, factors: int) -> Array:
    return jnp.asarray(0.5 * gain * (s - sigma) ** 2 + price * s ** (2.0 / factors))


def _scalar_minimiser(sigma: Scalar, gain: Scalar, price: Scalar, factors: int) -> Scalar:
    """The s at which `scalar_minimum` is attained."""
    power = 2.0 / factors
    if factors == 1:
        return gain * sigma / (gain + 2 * price)
    if factors == 2:
        return jnp.maximum(sigma - price / gain, 0.0)

    def slope(s: Array) -> Array:
        return gain * (s - sigma) + power * price * s ** (power - 1.0)

    # The slope is least at s_0 = (2/F c (1 - 2/F)/g)^(1/(2 - 2/F)); its root beyond, if any, is bracketed by s_0 and sigma.
    low = jnp.minimum((power * price * (1.0 - power) / gain) ** (1.0 / (2.0 - power)), sigma)
    low = jnp.where(price > 0, low, sigma)
    low = jnp.maximum(low, jnp.finfo(jnp.float64).tiny)

    s = bisect(lambda s: -slope(s), low, jnp.maximum(sigma, low), BISECTIONS)
    off_zero = _scalar_value(s, sigma, gain, price, factors)
    return jnp.where(off_zero < 0.5 * gain * sigma**2, s, 0.0)
