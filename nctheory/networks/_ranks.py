"""Rank correlations of collapse with transfer error, and what depth alone makes of them."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from nctheory.engine import shown


@shown()
class RankCorrelations(NamedTuple):
    """Spearman's correlations of variability with error, each with axes sides x metrics x readers x shots.

    Sides are (source, target), metrics (nc1, trace_ratio, cdnv), and readers (linear probe, nearest class mean). A positive
    one says that more collapsed features transfer better. NaN where fewer than three points, or only one value, are there.
    """

    within: np.ndarray
    """Across Z_0, …, Z_{L-1} of one network, with a leading axis `seeds`. Depth goes along with it."""
    across: np.ndarray
    """Across networks, of their last hidden layers: as many points as seeds."""
    pooled: np.ndarray
    """Of all hidden layers of all networks at once, which depth confounds."""
    partial: np.ndarray
    """The same given depth: the correlation of what is left of both ranks after a linear fit on that of the depth."""
    within_layer: np.ndarray
    """The mean over hidden layers of the correlation across networks at equal depth, which no depth confounds."""


def rank_correlations(metrics: np.ndarray, errors: np.ndarray) -> RankCorrelations:
    """Of metrics, seeds x layers x sides x metrics, and errors, seeds x layers x readers x shots, the inputs being layer 0.

    >>> rng = np.random.default_rng(0)
    >>> depth = np.arange(4.0)[None] + 0.01 * rng.normal(size=(6, 4))
    >>> same = rank_correlations(depth[:, :, None, None], depth[:, :, None, None])
    >>> same.within.ravel().tolist(), round(same.partial.item(), 6), round(same.within_layer.item(), 6)
    ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0, 1.0)
    """
    seeds, layers = metrics.shape[:2]
    kinds, readers = metrics.shape[2:], errors.shape[2:]
    x = metrics.reshape(seeds, layers, -1)
    y = errors.reshape(seeds, layers, -1)
    depth = np.broadcast_to(np.arange(1.0, layers), (seeds, layers - 1)).ravel()
    found = {name: np.full((x.shape[2], y.shape[2]), np.nan) for name in RankCorrelations._fields[1:]}
    within = np.full((seeds, x.shape[2], y.shape[2]), np.nan)
    for i, j in np.ndindex(x.shape[2], y.shape[2]):
        one, other = x[:, :, i], y[:, :, j]
        within[:, i, j] = [spearman(a, b) for a, b in zip(one, other, strict=True)]
        pooled = one[:, 1:].ravel(), other[:, 1:].ravel()
        found["across"][i, j] = spearman(one[:, -1], other[:, -1])
        found["pooled"][i, j] = spearman(*pooled)
        found["partial"][i, j] = partial_spearman(*pooled, depth)
        single = np.array([spearman(one[:, layer], other[:, layer]) for layer in range(1, layers)])
        if np.isfinite(single).any():
            found["within_layer"][i, j] = np.nanmean(single)
    whole = (*kinds, *readers)
    return RankCorrelations(
        within.reshape(seeds, *whole), **{name: value.reshape(whole) for name, value in found.items()}
    )


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's correlation of the pairs without NaN; NaN of fewer than three, or where one side has one value only."""
    known = ~(np.isnan(x) | np.isnan(y))
    if known.sum() < 3 or np.ptp(stats.rankdata(x[known])) == 0 or np.ptp(stats.rankdata(y[known])) == 0:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)  # ranks are not nearly constant
        found: Any = stats.spearmanr(x[known], y[known])
    return float(found.statistic)


def partial_spearman(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    r"""Spearman's correlation given a third: $(r_{xy}-r_{xz}r_{yz})/\sqrt{(1-r_{xz}^2)(1-r_{yz}^2)}$.

    NaN where one of them is a function of the third up to rounding.

    >>> rng = np.random.default_rng(1)
    >>> z = np.arange(200.0)
    >>> x, y = z + 9 * rng.normal(size=200), z + 9 * rng.normal(size=200)
    >>> spearman(x, y) > 0.9, abs(partial_spearman(x, y, z)) < 0.2
    (True, True)
    """
    known = ~(np.isnan(x) | np.isnan(y))
    xy, xz, yz = (spearman(a[known], b[known]) for a, b in ((x, y), (x, given), (y, given)))
    left = (1.0 - xz**2) * (1.0 - yz**2)
    return (xy - xz * yz) / left**0.5 if left > 1e-12 else float("nan")
