"""Squared error with a linear chain of any depth: each singular direction of the targets is on or off by itself."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._minimum import Minimum, closed_form
from nctheory.closed_form._product import minimum_from_product
from nctheory.closed_form._require import require
from nctheory.closed_form._spectral import refuse_tie
from nctheory.closed_form._thresholds import EMPTY_DIRECTION
from nctheory.engine import Array, Scalar, bisect, float64
from nctheory.problems import DeepLinear

BISECTIONS = 64


class Directions(NamedTuple):
    """The singular directions of the (centred) targets, strongest first, and what the theorem says of each."""

    left: Float[Array, "K K"]
    sigma: Float[Array, "K"]
    """Singular values of the targets, columns counted with their multiplicity: sqrt(n_k) for classes without a bias."""
    right: Float[Array, "K M"]
    """Unit right singular vectors; zero rows where sigma is zero."""
    strength: Float[Array, "K"]
    """b, infinite where sigma is zero."""
    root: Float[Array, "K"]
    """x, the largest root; 0 where there is none."""
    cost: Float[Array, "K"]
    """g(x) at that root, relative to leaving the direction off; infinite where there is none."""
    share: Float[Array, "K"]
    """sigma^2/2N, the value of leaving the direction off."""
    offset: Float[Array, "K"] | None
    """b, the bias, where there is one."""


def onset(depth: int) -> float:
    r"""$(M-1)^{(M-1)/M}/M$: a direction is on at the global minimum iff its strength b is below.

    >>> onset(1), onset(2)
    (1.0, 0.5)
    """
    return float((depth - 1) ** ((depth - 1) / depth) / depth) if depth > 1 else 1.0


def spinodal(depth: int) -> float:
    r"""$\max_x Mx^{M-1}/(x^M+1)^2$: above, a direction has no stationary value but zero. At M = 1 it is the onset.

    >>> spinodal(1), round(spinodal(2), 4)
    (1.0, 0.6495)
    """
    power = (depth - 1) / (depth + 1)
    return float(depth * power ** ((depth - 1) / depth) / (power + 1) ** 2) if depth > 1 else 1.0


@float64
def relative_cost(root: Array | Scalar, strength: Array | Scalar, depth: int) -> Array:
    """g(x) = 1/(x^M + 1) + b x, the value of a direction relative to leaving it off.

    >>> [round(float(relative_cost(x, 0.1, 2)), 6) for x in (0.0, 2.0)]
    [1.0, 0.4]
    """
    return jnp.asarray(1.0 / (jnp.asarray(root) ** depth + 1.0) + strength * jnp.asarray(root))


@float64
def largest_root(strength: Float[Array, "*s"], depth: int) -> Float[Array, "*s"]:
    r"""The largest x > 0 with $b=Mx^{M-1}/(x^M+1)^2$, a minimum of g; 0 where b is at or above the spinodal.

    It is bracketed by the maximum of the right-hand side and $(M/b)^{1/(M+1)}$, and bisected.

    >>> import jax, jax.numpy as jnp
    >>> with jax.enable_x64(True):
    ...     round(float(largest_root(jnp.asarray(0.25), 1)), 12)
    1.0
    """
    return _largest_root(jnp.asarray(strength), depth)


@partial(jax.jit, static_argnames="depth")
def _largest_root(b: Array, depth: int) -> Array:
    exists = b < spinodal(depth)
    safe = jnp.where(exists, b, 0.5 * spinodal(depth))

    def excess(log_x: Array) -> Array:
        """log of the right-hand side minus log b, falling in x to the right of the maximum."""
        # log M + (M-1) log x - 2 log(x^M + 1) - log b.
        powered = depth * log_x
        return jnp.log(depth) + (depth - 1) * log_x - 2.0 * jnp.logaddexp(powered, 0.0) - jnp.log(safe)

    # In log x both ends are known: the right-hand side has its maximum at x^M = (M-1)/(M+1) (for M = 1 it falls from x = 0
    # on), and lies below M x^-(M+1), so that the root lies below (M/b)^(1/(M+1)).
    peak = np.log((depth - 1) / (depth + 1)) / depth if depth > 1 else -60.0
    low = jnp.full(b.shape, peak)
    high = jnp.maximum(jnp.log(depth / safe) / (depth + 1), low)

    return jnp.where(exists, jnp.exp(bisect(excess, low, high, BISECTIONS)), 0.0)


def directions(problem: DeepLinear) -> Directions:
    """Singular directions of the targets and their phases; NoClosedForm names the hypothesis that fails."""
    require(problem, loss="mse", inputs="free", samples=True, bias="none or free", decay="positive")
    counts, decay = problem.counts, jnp.asarray(problem.weight_decay)
    multiplicity = jnp.asarray(problem.multiplicity)
    samples, depth = jnp.sum(multiplicity), problem.depth
    targets = jnp.asarray(problem.targets)
    offset = None
    # At the minimum a free bias is the weighted mean of the targets, and what is left is the problem of centred targets.
    if problem.bias_decay is not None:
        offset = targets @ multiplicity / samples
        targets = targets - offset[:, None]
    if counts is not None and problem.bias_decay is None:
        # The targets of classes are orthogonal rows: sorted by size, they are the directions.
        order = np.argsort(-np.asarray(counts), kind="stable")
        left = jnp.eye(problem.classes)[:, order]
        sigma = jnp.sqrt(jnp.asarray(np.asarray(counts)[order], dtype=jnp.float64))
    else:
        # Otherwise they are the eigenvectors of Y diag(m) Y^T, whose eigenvalues are sigma^2, with rounding cut to zero.
        squared, vectors = jnp.linalg.eigh((targets * multiplicity[None, :]) @ targets.T)
        left, squared = vectors[:, ::-1], squared[::-1]
        empty = squared <= EMPTY_DIRECTION * squared[0]
        sigma = jnp.where(empty, 0.0, jnp.sqrt(jnp.where(empty, 1.0, squared)))
    alive = sigma > 0
    safe = jnp.where(alive, sigma, 1.0)
    right = jnp.where(alive[:, None], left.T @ targets / safe[:, None], 0.0)
    # b = M N (N prod lambda)^(1/M) / sigma^2, the product taken in logarithms.
    joint = jnp.exp((jnp.log(samples) + jnp.sum(jnp.log(decay))) / depth)
    strength = jnp.where(alive, depth * samples * joint / safe**2, jnp.inf)
    # A direction without a root, or of strength infinity, is off: its cost is infinite, so that it is never chosen.
    root = largest_root(strength, depth)
    cost = jnp.where(root > 0, relative_cost(root, jnp.where(alive, strength, 0.0), depth), jnp.inf)
    return Directions(left, sigma, right, strength, root, cost, sigma**2 / (2.0 * samples), offset)


def chain_minimum(problem: DeepLinear, theorem: str) -> Minimum:
    """The global minimum of a squared-error chain, directions beyond the smallest width left off."""
    found = directions(problem)
    narrow = min(problem.widths)
    if narrow < problem.classes:
        # b is in proportion to 1/sigma^2: a direction is on exactly where sigma exceeds this.
        least = found.sigma[0] * jnp.sqrt(found.strength[0] / onset(problem.depth))
        refuse_tie(found.sigma, least, narrow)
    # A direction is on where g(x) < 1 = g(0); then its singular value is sigma x^M/(1 + x^M) and its value g(x) sigma^2/2N.
    on = (found.cost < 1.0) & (jnp.arange(problem.classes) < narrow)
    powered = jnp.where(on, found.root, 0.0) ** problem.depth
    product = (found.left * (found.sigma * powered / (1.0 + powered))[None, :]) @ found.right
    value = jnp.sum(found.share * jnp.where(on, found.cost, 1.0))
    minimum = minimum_from_product(problem, product, value, found.offset, theorem)
    return minimum._replace(stationary_values=stationary_values(problem))


@float64
def stationary_values(problem: DeepLinear) -> Float[Array, "S"]:
    r"""Values of the local minimisers of a squared-error chain, for 0, 1, … strongest directions on; NaN where there is none.

    With three or more factors a critical point is a local minimiser iff the k strongest directions stand at their largest
    roots and the rest are off, for some k (Chen, Jiang, Wang, arXiv 2506.20344, number unchecked); with two factors only the
    global minimum is one. Raises NoClosedForm outside the hypotheses of the closed form.

    >>> import nctheory as nct
    >>> chain = nct.deep_linear(widths=(2, 2, 2), counts=(3, 3), loss="mse", weight_decay=(0.05,) * 3)
    >>> nct.closed_form.stationary_values(chain).shape
    (3,)
    """
    found = directions(problem)
    rank = min(problem.widths)
    # At M = 1 the only local minimiser is the global one.
    if problem.depth == 1:
        on = (found.cost < 1.0) & (jnp.arange(problem.classes) < rank)
        return jnp.sum(found.share * jnp.where(on, found.cost, 1.0))[None]
    # Turning the k-th direction on lowers the value by sigma^2/2N (1 - g(x)); the first k of these are summed up.
    gains = jnp.where(jnp.isfinite(found.cost), found.share * (1.0 - found.cost), jnp.nan)[:rank]
    gains = jnp.where(found.share[:rank] > 0, gains, jnp.nan)
    return jnp.sum(found.share) - jnp.concatenate([jnp.zeros(1), jnp.cumsum(gains)])


@float64
@closed_form("deep-mse-linear", generality=1)
def deep_mse_minimum(problem: DeepLinear) -> Minimum:
    r"""Balanced classes, a chain of M layers, no bias or a free one: $Z=\frac{x^M}{1+x^M}Y$ (centred Y for a free bias)
    with x the largest root of $b=Mx^{M-1}/(x^M+1)^2$, $b=MK(N\lambda_H\prod\lambda_l)^{1/M}$, where $b<(M-1)^{(M-1)/M}/M$,
    else zero.

    Dang, Tran, Osher, Tran-The, Ho, Nguyen, ICML 2023; M = 2: Tirer and Bruna, ICML 2022 (numbers unchecked); the form
    with a free bias is our own.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> model = nct.deep_linear(widths=(3, 3, 3), counts=(2,) * 3, loss="mse", weight_decay=(0.02,) * 3)
    >>> [round(float(value), 6) for value in (deep_mse_minimum(model).value, nct.solve(model, 8, light=True).value.min())]
    [0.110459, 0.110459]
    """
    require(problem, labels=True, balanced=True)
    return chain_minimum(problem, "deep-mse-linear")


@float64
@closed_form("dang-mse-imb", generality=2)
def imbalanced_deep_mse_minimum(problem: DeepLinear) -> Minimum:
    r"""Classes of any sizes, a chain of M layers, no bias: $Z=\mathrm{diag}(x_k^M/(1+x_k^M))Y$ with x_k the largest root of
    $b_k=Mx^{M-1}/(x^M+1)^2$, $b_k=(MN/n_k)(N\lambda_H\prod\lambda_l)^{1/M}$, for the min(widths) largest classes with
    $b_k<(M-1)^{(M-1)/M}/M$, and 0 for the others. A free bias centres the targets, and $n_k$ becomes the square of a
    singular value (our own form).

    Dang, Tran, Osher, Tran-The, Ho, Nguyen, ICML 2023 (number unchecked).

    >>> import nctheory as nct
    >>> model = nct.deep_linear(widths=(3, 3, 3), counts=(3, 2, 1), loss="mse", weight_decay=(0.02,) * 3)
    >>> minimum = imbalanced_deep_mse_minimum(model)
    >>> [round(float(height), 4) for height in minimum.logits.max(axis=1)]
    [0.9411, 0.9223, 0.8745]
    """
    require(problem, labels=True)
    return chain_minimum(problem, "dang-mse-imb")
