"""Medians over seeds of which some, or all, tell nothing."""

import numpy as np


def medians(values: np.ndarray) -> np.ndarray:
    """The median over the first axis of the numbers that are not NaN; NaN where there are none.

    >>> medians(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])).tolist()
    [2.0, nan]
    """
    found = np.full(values.shape[1:], np.nan)
    known = ~np.isnan(values).all(axis=0)
    found[known] = np.nanmedian(values[:, known], axis=0)
    return found
