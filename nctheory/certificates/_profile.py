"""Losses that are not convex: a bound class by class, from the margin that each sample pays for."""

import jax
import jax.numpy as jnp

from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import DeepLinear, Loss

BISECTIONS = 200
BELOW = 1.0 - 1e-12
"""The part of the far slope up to which the multiplier of a bias may go: at the far slope itself the infimum may lie at
minus infinity."""


def rounded_profile_bound(problem: DeepLinear) -> tuple[Scalar, Scalar]:
    r"""A lower bound on the global minimum that does not depend on any point, for a loss with a profile $\varphi$; and its
    rounding error, subtracted from it.

    Let $m_i$ be the label's logit of column i of WH minus the mean of the others, so that
    $\langle z_i,v\rangle=\tfrac{K-1}Km_i$ for $v=e_{y_i}-1/K$, and $\lambda=\sqrt{\lambda_W\lambda_H}$. The matrix V with
    columns $\mathrm{sign}(m_i)\,v/\sqrt{n_{y_i}}$ is $(I-11^\top/K)$ times a matrix whose rows have disjoint supports and
    length 1, so $|V|_2\le1$ and the decay is at least $\lambda|WH|_*\ge\lambda\langle WH,V\rangle$. With
    $\ell\ge\varphi(m)$ and no bias

    $$ \min f\ge\sum_k\tfrac{n_k}N\min_m\big[\varphi(m)+s_k|m|\big],\qquad s_k=\frac{N\lambda(K-1)}{K\sqrt{n_k}}. $$

    A bias adds $\beta_{y_i}$ to the margins, and $\sum_k\beta_k=0$. Over balanced classes therefore
    $\tfrac1N\sum_i[\varphi(x_i)+s|x_i-\beta_{y_i}|]\ge\min_x[\varphi(x)+ux]$ for every $0\le u\le s$, whatever the bias and
    its decay. The right-hand side is concave in u with the minimising x as its slope, and finite below the far slope.

    In the reduced form the columns count with their multiplicity, and the sums are the same. (Our own; for cross-entropy
    the nuclear norm is bounded like this by Zhu et al. 2021, number unchecked.)
    """
    # The price s_k of every class's margin.
    loss, classes = problem.loss, problem.classes
    decay, multiplicity = jnp.asarray(problem.weight_decay), jnp.asarray(problem.multiplicity)
    sizes = jnp.asarray(problem.targets) @ multiplicity
    samples = jnp.sum(multiplicity)
    present = jnp.where(sizes > 0, sizes, 1.0)
    price = jnp.sqrt(decay[0] * decay[1]) * samples * (classes - 1) / (classes * jnp.sqrt(present))
    if problem.bias_decay is not None:
        # With a bias any u in [0, s] below the far slope gives a bound; of a convex profile the best is -phi'(0), where x = 0.
        origin = jnp.zeros(())
        limit = jnp.asarray(BELOW * loss.profile_far_slope)
        here = -loss.profile_slope(origin, classes)
        convex = loss.profile_inflection(classes) <= 0.0
        price = jnp.minimum(price, jnp.where(convex, jnp.minimum(here, limit), limit))
    minima, errors = jax.vmap(lambda s: _rounded_scalar_bound(loss, s, classes))(price)
    summed = 8 * classes * EPS * jnp.sum(sizes / samples * jnp.abs(minima))
    return jnp.sum(sizes / samples * minima) - summed, summed + jnp.sum(sizes / samples * errors)


def scalar_bound(loss: Loss, price: Scalar, classes: int) -> Scalar:
    """The bound of `_rounded_scalar_bound`, without its rounding."""
    return _rounded_scalar_bound(loss, price, classes)[0]


def _rounded_scalar_bound(loss: Loss, price: Scalar, classes: int) -> tuple[Scalar, Scalar]:
    r"""A number no larger than $\min_{m\in\mathbb R}[\varphi(m)+s|m|]$, s = `price`, and equal to it up to rounding.

    No search can miss the minimum. It is not at m < 0, because $\varphi$ does not increase. On [0, inflection] the function
    is concave, so that its minimum there is at an end. From the inflection on it is convex, and its slope vanishes at most
    once, not beyond the point where $-\varphi'\le\varphi(low)/(m-low)\le s$; bisection on the slope finds it. What is left
    of the bracket times the slope there, and the rounding of the values, are subtracted; the latter is returned, too. An
    argument m of the profile is rounded relative to m + log K, and moves the value by its slope times that.
    """
    origin = jnp.zeros(())
    at_zero = loss.profile(origin, classes)
    usable = price > 1e-200
    s = jnp.where(usable, price, 1.0)
    low = jnp.maximum(loss.profile_inflection(classes), origin)

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        a, b = bracket
        middle = 0.5 * (a + b)
        falling = loss.profile_slope(middle, classes) + s < 0.0
        return jnp.where(falling, middle, a), jnp.where(falling, b, middle)

    a, b = jax.lax.fori_loop(0, BISECTIONS, halve, (low, low + loss.profile(low, classes) / s))
    slope = jnp.abs(loss.profile_slope(a, classes) + s)
    found = loss.profile(a, classes) + s * a - slope * (b - a)
    least = jnp.minimum(at_zero, found)
    where = jnp.where(at_zero <= found, origin, a)
    steep = s + jnp.abs(loss.profile_slope(where, classes))
    rounding = 32 * EPS * (jnp.abs(least) + steep * (where + jnp.log(1.0 * classes)))
    return jnp.where(usable, least - rounding, 0.0), jnp.where(usable, rounding, 0.0)


def missing_profile_bound(problem: DeepLinear) -> str | None:
    """Why the bound by a profile does not cover this kind of chain, or None."""
    name = problem.loss.name
    if problem.classes < 2:
        return f"the bound for {name}, which is not convex, needs at least two classes"
    if problem.inputs is not None:
        return f"given inputs with {name}, which is not convex: neither duality nor the bound by a profile applies"
    if problem.depth > 1:
        return (
            f"{problem.factors} factors with {name}: the product's penalty is a Schatten quasi-norm, which is not convex, "
            "and neither is the loss"
        )
    if problem.bias_decay is not None and len(set(problem.counts or (0, 1))) != 1:
        classes = f"counts {problem.counts}" if problem.counts is not None else "targets without class counts"
        return f"{name}, which is not convex, with a bias needs balanced classes, got {classes}"
    return None


def profile_caveat(problem: DeepLinear) -> str | None:
    """Why a gap may persist at a minimiser of a chain that the bound covers, or None where theory closes it."""
    if problem.bias_decay is None:
        if problem.counts is not None and len(set(problem.counts)) == 1:
            return None
        return "the classes are not balanced: the bound lets each choose its margin by itself, and may not be reached"
    try:
        steep = float(-problem.loss.profile_slope(jnp.zeros(()), problem.classes))
        decay = [float(x) for x in problem.weight_decay]
    except TypeError:  # a tracer
        return None
    counts = problem.counts or (1,)
    price = (problem.classes - 1) * (counts[0] * decay[0] * decay[1]) ** 0.5
    far = BELOW * problem.loss.profile_far_slope
    if min(price, steep) <= far:
        return None
    return (
        f"with a bias the bound may not be reached where (K-1) kappa = {price:.6g} and the steepness {steep:.6g} of the loss "
        f"at zero both exceed {problem.loss.profile_far_slope:g}"
    )
