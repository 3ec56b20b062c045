"""A lower bound on the minimum at each point of a batch, and what it proves of the point."""

from typing import NamedTuple

import numpy as np

from nctheory.engine import shown

GAP_LEVEL = 1e-9
"""A converged seed counts as certified when its relative duality gap is at most this."""


@shown()
class Bound(NamedTuple):
    """The lower bounds at the points of a batch (or at one point, without the leading axis)."""

    lower_bound: np.ndarray
    """A number no larger than the global minimum; -inf where there is no certificate."""
    gap: np.ndarray
    """The value at the point minus `lower_bound`, which is at least the distance of the value from the minimum."""
    valid: np.ndarray
    """Whether `lower_bound` is a finite proved bound, proved up to what it `assumes`."""
    reason: str | None
    """Why there is no certificate, why a gap above zero may persist at a minimiser, or that some points are not shown to be
    one; None only where the gap closes at all of them."""
    rounding: np.ndarray | None = None
    """The rounding error of the gap: that of the value (`value_rounding`) and of the bound; NaN where there is no certificate.

    Where the bound is not positive (an interpolating minimum without decay), nothing is relative to the value: the terms
    are those of the objective at the origin."""
    assumes: str | None = None
    """What the bound rests on that was tested and not proved: the convexity of a user's own loss. None where all is proved."""

    @property
    def gap_rounding(self) -> np.ndarray:
        """`rounding`, with 0 where it is not known."""
        return np.zeros(np.shape(self.gap)) if self.rounding is None else np.nan_to_num(self.rounding)

    def closed(self, value: np.ndarray) -> np.ndarray:
        """The mask of the points, with these objectives, that are proved to lie at the global minimum: their gap is at most
        `GAP_LEVEL` of the value and the rounding.
        """
        return self.valid & gap_closed(self.gap, value, self.gap_rounding)

    def contradicts(self, value: np.ndarray) -> np.ndarray:
        """The mask of the points at which the bound is wrong: it lies above these values by more than `GAP_LEVEL` of them and
        the rounding, or is not a number.

        >>> import numpy as np
        >>> lower, value = np.array([0.5, 0.6, -np.inf, np.nan]), np.full(4, 0.5)
        >>> Bound(lower, value - lower, np.isfinite(lower), None).contradicts(value).tolist()
        [False, True, False, True]
        """
        above = self.lower_bound > value + GAP_LEVEL * np.abs(value) + self.gap_rounding
        return above | np.isnan(self.lower_bound)


def gap_closed(gap: np.ndarray, value: np.ndarray, rounding: np.ndarray | float = 0.0) -> np.ndarray:
    """Whether a gap is at most `GAP_LEVEL` relative to the value, and the rounding of both.

    A bound that far above a value is wrong, and proves nothing either.

    >>> import numpy as np
    >>> gap_closed(np.array([1e-12, 1e-3, -1e-3]), np.array([0.5, 0.5, 0.5])).tolist()
    [True, False, False]
    >>> bool(gap_closed(np.array(1e-15), np.array(1e-8), 1e-14))
    True
    """
    return np.asarray(np.abs(gap) <= GAP_LEVEL * np.abs(value) + rounding)
