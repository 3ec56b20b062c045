"""`compare`: a census held against a complete analytic list; entries are missing or matched, rows matched or extra."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nctheory.closed_form import CriticalValue, DataCriticalValue
from nctheory.engine import shown, untraced
from nctheory.landscape._census import CensusResult, CriticalType


@shown()
class Match(NamedTuple):
    """A row of the census with the entry of the list that it is."""

    row: CriticalType
    listed: CriticalValue | DataCriticalValue

    @property
    def agrees(self) -> bool:
        """Whether the kind is as listed; a degenerate row may be a family of minimisers, never a strict saddle."""
        return self.listed.minimum is None or (self.row.kind != "strict saddle") == self.listed.minimum


@shown()
class Comparison(NamedTuple):
    """`extra` rows refute the list, `missing` entries are a failure of the search."""

    matched: tuple[Match, ...]
    """The entries of the list with the rows that stand for them."""
    missing: tuple[CriticalValue | DataCriticalValue, ...]
    extra: tuple[CriticalType, ...]

    @property
    def misjudged(self) -> tuple[Match, ...]:
        """The matches whose kind (minimum or strict saddle) is not as listed."""
        return tuple(match for match in self.matched if not match.agrees)


@untraced()
def compare(census: CensusResult, listed: Sequence[CriticalValue | DataCriticalValue]) -> Comparison:
    """Match rows to entries by rank and by value, to the row's `value_error`.

    Several rows may match one entry, and one row several entries.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> held = nct.landscape.compare(nct.census(model, starts=60), nct.closed_form.critical_points(model))
    >>> len(held.matched), held.missing, held.extra
    (4, (), ())
    """
    matched, extra, met = [], [], set()
    for row in census.rows:
        near = [
            i for i, one in enumerate(listed) if one.rank == row.rank and abs(one.value - row.value) <= row.value_error
        ]
        if not near:
            extra.append(row)
            continue
        best = min(near, key=lambda i: abs(listed[i].value - row.value))
        matched.append(Match(row, listed[best]))
        met.update(near)
    missing = tuple(one for i, one in enumerate(listed) if i not in met)
    return Comparison(tuple(matched), missing, tuple(extra))


def expected_gauge(rank: int, widths: Sequence[int]) -> int:
    r"""The dimension of the orbit of a chain at a product of rank r: $\sum(rd-r(r+1)/2)$ over the internal widths d.

    >>> expected_gauge(1, (3, 3)), expected_gauge(3, (3, 3))
    (4, 6)
    """
    return int(sum(rank * width - rank * (rank + 1) // 2 for width in np.atleast_1d(widths)))
