"""Cross-entropy with a linear chain of three and more factors: the collapsed and the low-rank critical points."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._geometry import simplex_etf
from nctheory.closed_form._require import require
from nctheory.engine import Array, Scalar, bisect, float64, shown
from nctheory.problems import DeepLinear

HALVINGS = 200
MAX_SCALE = 600.0
"""Logit scale beyond which every loss is zero in float64."""


@shown()
class Structure(NamedTuple):
    """A family of products of fixed shape and free scale, at the scale of its local minimum."""

    scale: Scalar
    """0 where the family has no local minimum but zero."""
    value: Scalar
    product: Float[Array, "K M"]
    """One column per column of the problem."""


@float64
def deep_collapse(problem: DeepLinear) -> Structure:
    r"""Deep neural collapse in a balanced linear chain: $Z=\alpha S\otimes1_n^\top$ with the largest stationary
    $\alpha$ of $\log(1+(K-1)e^{-\alpha})+\frac F2\Lambda^{1/F}(K-1)(\alpha\sqrt n)^{2/F}$, F factors, $\Lambda=\prod\lambda$.

    It is a critical point of the whole chain (number unchecked; Garrod and Keating, NeurIPS 2025), which need not be a global
    minimiser. Raises NoClosedForm for another loss, a bias, unequal counts, given inputs or a width below K-1.

    >>> import nctheory as nct
    >>> chain = nct.deep_linear(widths=(6, 6, 6), counts=(1,) * 6, loss="cross_entropy", weight_decay=(3e-3,) * 3)
    >>> round(float(deep_collapse(chain).value), 6), round(float(low_rank(chain).value), 6)
    (0.085831, 0.080408)
    """
    n = _balanced_chain(problem, problem.classes - 1)
    classes = problem.classes
    # On aS only the K-1 directions of S are on, each with the singular value a sqrt(n).
    return _at_scale(problem, _collapsed_fit(classes), np.full(classes - 1, np.sqrt(n)), simplex_etf(classes))


@cache
def _collapsed_fit(classes: int) -> Callable[[Array], Array]:
    """The loss at Z = a S; one function for each K, so that what is compiled for it is found again."""
    return lambda a: jnp.log1p((classes - 1) * jnp.exp(-a))


@float64
def low_rank(problem: DeepLinear) -> Structure:
    r"""The low-rank structure (Garrod and Keating, NeurIPS 2025): $Z=\beta\,\mathrm{diag}(B,\ldots,B)\otimes1_n^\top$ with
    $B=\begin{pmatrix}1&-1\\-1&1\end{pmatrix}$, and for odd K a last block $(1)$; of rank $\lceil K/2\rceil$, at its largest
    stationary scale. It is a critical point of the whole chain for even K; for odd K one scale for all blocks is not
    stationary.

    Raises NoClosedForm as `deep_collapse`, and for a width below the rank.

    >>> import nctheory as nct
    >>> model = nct.deep_linear(widths=(4, 4, 4), counts=(2,) * 4, loss="cross_entropy", weight_decay=(0.01,) * 3)
    >>> [round(float(one.value), 4) for one in (low_rank(model), nct.closed_form.deep_collapse(model))]
    [0.1855, 0.1857]
    """
    classes, pairs = problem.classes, problem.classes // 2
    odd = classes % 2
    n = _balanced_chain(problem, pairs + odd)
    # The pairs are blocks B; cutting the last one to its corner leaves the block (1) of an odd class.
    shape = np.kron(np.eye(pairs + odd), [[1.0, -1.0], [-1.0, 1.0]])[:classes, :classes]
    # B has the eigenvalues 2 and 0, the block (1) has 1; the n samples of a class make each sqrt(n) times as large.
    spectrum = np.sqrt(n) * np.array([2.0] * pairs + [1.0] * odd)
    return _at_scale(problem, _paired_fit(classes), spectrum, jnp.asarray(shape))


@cache
def _paired_fit(classes: int) -> Callable[[Array], Array]:
    """The loss at b times the blocks."""
    pairs, odd = classes // 2, classes % 2

    def fit(b: Array) -> Array:
        # On a paired class the logits are b on its label, -b on its partner and 0 on the K-2 others.
        paired = jnp.log1p(jnp.exp(-2.0 * b) + (classes - 2) * jnp.exp(-b))
        # On the class that is left alone they are b on its label and 0 on the K-1 others.
        alone = jnp.log1p((classes - 1) * jnp.exp(-b))
        return (2 * pairs * paired + odd * alone) / classes

    return fit


def _at_scale(
    problem: DeepLinear, fit: Callable[[Array], Array], spectrum: np.ndarray, shape: Float[Array, "K K"]
) -> Structure:
    """The structure at the largest local minimum over t of fit(t) + F/2 (prod lambda)^(1/F) sum (t s_i)^(2/F)."""
    # The decay is F/2 (prod lambda)^(1/F) t^(2/F) times the sum of s_i^(2/F), which does not depend on t.
    total = float(np.sum(spectrum ** (2.0 / problem.factors)))
    scale, value = _largest_minimum(jnp.asarray(problem.weight_decay), total, fit, problem.factors)
    n = 1 if problem.reduced_form else (problem.counts or (1,))[0]
    return Structure(scale, value, scale * jnp.repeat(jnp.asarray(shape), n, axis=1))


@partial(jax.jit, static_argnames=("fit", "factors"))
def _largest_minimum(decay: Array, total: Scalar, fit: Callable[[Array], Array], factors: int) -> tuple[Scalar, Scalar]:
    # cost(t) = fit(t) + F/2 (prod lambda)^(1/F) total t^(2/F), the product taken as a geometric mean in logarithms.
    power = 2.0 / factors
    common = jnp.exp(jnp.mean(jnp.log(decay)))
    price = 0.5 * factors * common * total

    def cost(t: Array) -> Array:
        return fit(t) + price * t**power

    def pull(log_t: Array) -> Array:
        """log of -fit'(t) t^(1 - power): it rises to one peak and falls; stationary where it is log(power * price)."""
        t = jnp.exp(log_t)
        return jnp.log(-jax.grad(fit)(t)) + (1.0 - power) * log_t

    # cost'(t) = 0 where -fit'(t) t^(1 - power) = power * price, and this is a minimum where the left-hand side falls.
    level = jnp.log(power * price)
    low, high = jnp.asarray(-40.0), jnp.log(MAX_SCALE)

    def third(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        a, b = bracket
        left, right = a + (b - a) / 3, b - (b - a) / 3
        rising = pull(left) < pull(right)
        return jnp.where(rising, left, a), jnp.where(rising, b, right)

    # First the peak, by trisection; beyond it the left-hand side falls through the level at the largest stationary scale.
    peak = jnp.mean(jnp.stack(jax.lax.fori_loop(0, HALVINGS, third, (low, high))))

    # Where the peak does not reach the level, nothing but zero is stationary.
    root = jnp.exp(bisect(lambda log_t: pull(log_t) - level, peak, high, HALVINGS))
    scale = jnp.where(pull(peak) > level, root, 0.0)
    safe = jnp.where(scale > 0, scale, 1.0)
    return scale, jnp.where(scale > 0, cost(safe), fit(jnp.zeros(())))


def _balanced_chain(problem: DeepLinear, rank: int) -> int:
    """The number n of samples of each class, after checking the hypotheses of a structure of that rank."""
    require(
        problem, loss="cross_entropy", inputs="free", labels=True, balanced=True, bias="none",
        width=(rank, "the rank of the structure"), decay="positive",
    )  # fmt: skip
    assert problem.counts is not None
    return problem.counts[0]
