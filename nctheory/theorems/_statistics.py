"""Exact statistics of counts, of two kinds never pooled: instances for a formula, seeds of one instance for basins."""

from collections.abc import Sequence

import numpy as np

from nctheory.engine import bisect_numpy
from nctheory.theorems._thresholds import CONFIDENCE

HALVINGS = 60
"""Halvings of [0, 1] in search of a bound: the last bracket is as wide as rounding."""


def failure_bound(failures: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper-Pearson upper bound on a failure probability; 1 without trials.

    For no failures in n trials it is 1 - (1 - confidence)^(1/n).

    >>> round(failure_bound(0, 4096), 6)
    0.000731
    """
    if not 0 <= failures <= trials:
        raise ValueError(f"failures: expected between 0 and {trials}, got {failures}")
    if failures == trials:
        return 1.0
    from scipy.special import betaincinv  # here: nothing that does not need SciPy waits for its import

    # The p at which P(Bin(n, p) <= k) = 1 - confidence is that quantile of the distribution Beta(k + 1, n - k).
    return float(betaincinv(failures + 1, trials - failures, confidence))


def corrected_bounds(
    failures: Sequence[int], trials: Sequence[int], confidence: float = CONFIDENCE
) -> tuple[float, ...]:
    r"""Upper bounds on the failure probabilities of several families of trials, corrected for their number (Holm 1979).

    Raises ValueError for lists of different lengths, or failures that are not between 0 and the trials.

    The bound of one family is the least p at which Holm's step-down procedure at level 1 - `confidence` rejects that its
    failure probability is at least p, when the same is tested of all families: the j-th smallest of their p-values
    $P(\mathrm{Bin}(n,p)\le k)$ is compared with $(1-\mathrm{confidence})/(m-j+1)$, as long as each before it was rejected. So
    for every p, all families whose bound is at most p have a smaller failure probability, at that confidence jointly.

    >>> one, = corrected_bounds([0], [59])
    >>> [round(b, 3) for b in (one, *corrected_bounds([0, 0], [59, 59]))]
    [0.05, 0.061, 0.061]
    """
    if len(failures) != len(trials):
        raise ValueError(f"failures: expected as many as trials, {len(trials)}, got {len(failures)}")
    k, n = np.asarray(failures), np.asarray(trials)
    if np.any(k < 0) or np.any(k > n):
        raise ValueError("failures: expected between 0 and the number of trials in every family")

    def not_rejected(bounds: np.ndarray) -> np.ndarray:
        """For each family, whether it is not rejected at its own bound p; once rejected it stays so at every larger p."""
        return np.array([not _rejected(k, n, p, 1.0 - confidence)[i] for i, p in enumerate(bounds)], bool)

    _, rejected = bisect_numpy(not_rejected, np.zeros(k.size), np.ones(k.size), HALVINGS)
    return tuple(float(x) for x in np.where(k == n, 1.0, rejected))


def _rejected(failures: np.ndarray, trials: np.ndarray, p: float, level: float) -> np.ndarray:
    """Families of which Holm's procedure rejects that they fail with a probability of at least p."""
    from scipy.special import betainc

    # P(Bin(n, p) <= k) = I_{1-p}(n-k, k+1); 1 where all trials failed.
    every = failures == trials
    values = np.where(every, 1.0, betainc(np.where(every, 1.0, trials - failures), failures + 1.0, 1.0 - p))
    # Holm: the j-th smallest p-value against level / (m - j + 1), as long as each before it passed.
    order = np.argsort(values)
    passed = values[order] <= level / (values.size - np.arange(values.size))
    rejected = np.zeros(values.size, bool)
    rejected[order] = np.cumprod(passed).astype(bool)
    return rejected
