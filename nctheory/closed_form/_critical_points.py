"""Complete lists of critical points, as values that a census can be held against."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from nctheory.closed_form._deep_mse import BISECTIONS, directions, largest_root, spinodal
from nctheory.closed_form._thresholds import TIE
from nctheory.engine import Array, bisect, float64, shown, untraced
from nctheory.problems import DeepLinear

ZERO, SMALL, LARGE = 0, 1, 2


@shown()
class CriticalValue(NamedTuple):
    """One entry of an analytic list."""

    value: float
    rank: int
    """Rank of the product there."""
    minimum: bool
    """Whether the point is a local minimiser; else it is a strict saddle."""
    singular_values: np.ndarray
    """The singular values of the product, descending."""
    roots: tuple[int, ...]
    """For each direction, strongest first: 0 off, 1 at the smaller root, 2 at the larger one."""


def smaller_root(strength: Array, depth: int) -> Array:
    r"""The smaller x > 0 with $b=Mx^{M-1}/(x^M+1)^2$, a maximum of g along its direction; 0 where there is none.

    It exists for M >= 2 and b below the spinodal.

    >>> import jax, jax.numpy as jnp
    >>> with jax.enable_x64(True):
    ...     x = smaller_root(jnp.asarray(0.32), 2)
    ...     round(float(2 * x / (x**2 + 1) ** 2), 12)
    0.32
    """
    b = jnp.asarray(strength)
    exists = (b < spinodal(depth)) & (depth > 1)
    # The right-hand side rises from 0 at x = 0 to the spinodal, at x^M = (M-1)/(M+1): between these it meets b once.
    low = jnp.zeros(b.shape)
    high = jnp.full(b.shape, ((depth - 1) / (depth + 1)) ** (1 / depth))

    found = bisect(lambda x: b - depth * x ** (depth - 1) / (x**depth + 1) ** 2, low, high, BISECTIONS)
    return jnp.where(exists, found, 0.0)


@untraced("`stationary_values` and `deep_mse_minimum` can be traced")
@float64
def critical_points(problem: DeepLinear) -> list[CriticalValue]:
    r"""All critical points of a squared-error chain up to symmetry: each singular direction of the targets is off, at the
    smaller or at the larger root of $b=Mx^{M-1}/(x^M+1)^2$ (two factors: off or at the one root), at most min(widths) of
    them on. Directions of equal strength count as one multiset, because their critical points form families.

    With three or more factors a critical point is a local minimiser iff the strongest directions stand at their larger
    roots and the rest are off, else a strict saddle; with two only the global minimiser is one. At a strength equal to the
    spinodal the two roots coincide and the point is degenerate; the list does not cover it. (Chen, Jiang, Wang,
    arXiv:2506.20344, number unchecked, in our convention; a free bias only centres the targets.)

    Raises NoClosedForm outside the hypotheses of `imbalanced_deep_mse_minimum`.

    >>> import nctheory as nct
    >>> chain = nct.deep_linear(widths=(3, 3, 3), counts=(3, 2, 1), loss="mse", weight_decay=(0.03, 0.05, 0.02))
    >>> listed = nct.closed_form.critical_points(chain)
    >>> len(listed), sum(one.minimum for one in listed)
    (27, 4)
    """
    # Per direction with sigma > 0 there are the strength b, the share sigma^2/2N and both roots x; the others are always
    # off.
    found, depth = directions(problem), problem.depth
    sigma = np.asarray(found.sigma)
    alive = np.flatnonzero(sigma > 0)
    strength, share = np.asarray(found.strength)[alive], np.asarray(found.share)[alive]
    sigma = sigma[alive]
    large = np.asarray(largest_root(jnp.asarray(strength), depth))
    small = np.asarray(smaller_root(jnp.asarray(strength), depth))
    # Directions of equal strength form one group: their critical points are families, counted once as a multiset of roots.
    groups = np.split(np.arange(len(sigma)), np.flatnonzero(-np.diff(sigma) > TIE * sigma[:-1]) + 1)
    # Each group offers the multisets of 0, small and large of its size, the large ones first.
    options = []
    for group in groups:
        kinds = [ZERO]
        kinds += [SMALL] if small[group[0]] > 0 else []
        kinds += [LARGE] if large[group[0]] > 0 else []
        options.append(
            [tuple(sorted(c, reverse=True)) for c in itertools.combinations_with_replacement(kinds, len(group))]
        )
    narrow, listed = min(problem.widths), []
    for choice in itertools.product(*options):
        roots = tuple(itertools.chain.from_iterable(choice))
        rank = sum(root != ZERO for root in roots)
        # A product of a rank above the narrowest layer has no factors.
        if rank > narrow:
            continue
        # The value is the sum over directions of sigma^2/2N g(x), g(x) = 1/(x^M + 1) + b x; x = 0 is off, and g(0) = 1.
        x = np.choose(roots, [np.zeros_like(small), small, large])
        cost = 1.0 / (x**depth + 1.0) + strength * x
        listed.append(
            CriticalValue(
                value=float(np.sum(share * cost)),
                rank=rank,
                # The k-th singular value of the product is sigma x^M/(1 + x^M).
                minimum=_is_minimum(roots, large, depth, narrow),
                singular_values=np.sort(sigma * x**depth / (1 + x**depth))[::-1],
                roots=roots,
            )
        )
    return sorted(listed, key=lambda one: one.value)


def _is_minimum(roots: tuple[int, ...], large: np.ndarray, depth: int, narrow: int) -> bool:
    # The large roots must be a prefix: the strongest directions are on, the rest off.
    on = sum(root == LARGE for root in roots)
    prefix = roots == (LARGE,) * on + (ZERO,) * (len(roots) - on)
    if depth > 1:
        return prefix
    # At M = 1 every direction that has a root must be on, as far as the narrowest layer allows.
    return prefix and on == min(int(np.sum(large > 0)), narrow)
