"""Index against loss: the critical points of chains and of spin glasses on the same axes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nctheory.closed_form import critical_points, spin_glass_layer
from nctheory.engine import shown, untraced, whole_number
from nctheory.landscape._census import CensusResult, census
from nctheory.landscape._compare import compare
from nctheory.problems import DeepLinear, spin_glass

SAME = 1e-9
"""Energies that differ by less are one (conventional; a census knows them to rounding)."""


@shown("order", "highest_minimum")
class IndexLoss(NamedTuple):
    """The critical points of one landscape; arrays have an entry for each orbit type that was found."""

    name: str
    share: np.ndarray
    """The index over the number of directions off the gauge: 0 at minima, 1 at maxima."""
    height: np.ndarray
    """The objective, so moved and scaled that 0 is the lowest value and 1 that of the point of reference."""
    index: np.ndarray
    value: np.ndarray
    """The objective; of a glass the energy per spin."""
    count: np.ndarray
    """Starts that ended there; 0 of a point that a symmetry adds."""
    starts: int
    listed: int | None = None
    """Types of the complete list of a chain; None where there is no list."""
    missing: int | None = None
    """Types of the list that were not found."""
    extra: int | None = None
    """Types found that are not on the list."""

    @property
    def order(self) -> float:
        """Of the pairs that differ in both, those where the higher point has the larger share less the others (gamma)."""
        signs = np.sign(self.height[:, None] - self.height) * np.sign(self.share[:, None] - self.share)
        both = np.sum(signs != 0)
        return float(np.sum(signs) / both) if both else np.nan

    @property
    def highest_minimum(self) -> float:
        """The height of the highest point of index 0; NaN without any."""
        return float(np.max(self.height[self.index == 0], initial=-np.inf)) if np.any(self.index == 0) else np.nan


def _told(name: str, found: CensusResult, low: float, high: float, starts: int) -> IndexLoss:
    directions = np.array([row.eigenvalues.size for row in found.rows])
    return IndexLoss(
        name,
        found.index / np.maximum(directions, 1),
        (found.value - low) / (high - low),
        found.index,
        found.value,
        found.count,
        starts,
    )


@untraced()
def chain_index_loss(problem: DeepLinear, starts: int = 300, key: int = 0, name: str = "") -> IndexLoss:
    r"""Index against loss of a squared-error chain with decay: a census, held against the complete list.

    The height is 0 at the global minimum and 1 at zero, $\frac{L-L_*}{L(0)-L_*}$, both exact. Raises ValueError as `census`
    does, where zero is the global minimum, and, as `critical_points` does, where no complete list is known.

    >>> import nctheory as nct
    >>> chain = nct.unconstrained_features(counts=(2, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> found = chain_index_loss(chain, starts=60)
    >>> found.index.tolist(), found.missing, found.extra, found.order
    ([0, 1, 2, 4], 0, 0, 1.0)
    """
    listed = critical_points(problem)
    zero = next(one.value for one in listed if one.rank == 0)
    lowest = min(one.value for one in listed)
    if not lowest < zero:
        raise ValueError("problem: expected a chain whose global minimum is not zero, got one whose decay is too large")
    found = census(problem, starts, key)
    held = compare(found, listed)
    told = _told(name or type(problem).__name__, found, lowest, zero, starts)
    return told._replace(listed=len(listed), missing=len(held.missing), extra=len(held.extra))


def _mirrored(one: IndexLoss, directions: int, ground: float) -> IndexLoss:
    """With the point -u of each u, where it is not among them: the energy of odd degree changes its sign."""
    index, value = directions - one.index, -one.value
    near = np.abs(one.value[None, :] - value[:, None]) <= SAME * np.maximum(np.abs(value), 1.0)[:, None]
    new = ~np.any(near & (one.index[None, :] == index[:, None]), axis=1)
    return one._replace(
        share=np.concatenate([one.share, index[new] / directions]),
        height=np.concatenate([one.height, 1.0 + value[new] / ground]),
        index=np.concatenate([one.index, index[new]]),
        value=np.concatenate([one.value, value[new]]),
        count=np.concatenate([one.count, np.zeros(int(new.sum()), one.count.dtype)]),
    )


@untraced()
def glass_index_loss(
    size: int,
    degree: int,
    disorders: int = 4,
    starts: int = 200,
    key: int = 0,
    name: str = "",
    progress: Callable[[int], None] | None = None,
) -> IndexLoss:
    r"""Index against energy of spherical spin glasses of N spins and degree p: the censuses of so many disorders together.

    The height is $1+\frac u{E_0}$ at the energy u per spin: 0 at the ground state of large systems, $-E_0$
    (`spin_glass_layer`), and 1 at energy 0. A finite system's ground state is not there, so that heights may be negative.
    For odd p the point opposite to a critical point is one too, with the energy of the other sign and the complementary
    index; it is added where no start met it.

    Raises ValueError, naming the argument, for sizes below 2, degrees below 3, and disorders or starts below 1.

    >>> found = glass_index_loss(3, 3, disorders=1, starts=40)
    >>> bool(found.order > 0.5), found.listed
    (True, None)
    """
    n, p = whole_number("size", size, 2), whole_number("degree", degree, 3)
    number, first = whole_number("disorders", disorders), whole_number("key", key, 0)
    ground = spin_glass_layer(p)
    parts = []
    for i in range(number):
        glass = spin_glass(size=n, degree=p, seed=first + i)
        told = _told("", census(glass, starts, first + i), -ground, 0.0, starts)
        parts.append(_mirrored(told, n - 1, ground) if p % 2 else told)
        if progress is not None:
            progress(i + 1)
    share, height, index, value, count = (
        np.concatenate([getattr(one, column) for one in parts])
        for column in ("share", "height", "index", "value", "count")
    )
    named = name or f"glass, N = {n}, p = {p}"
    return IndexLoss(named, share, height, index, value, count, number * starts)
