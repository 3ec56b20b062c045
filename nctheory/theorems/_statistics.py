"""Exact statistics of counts."""

CONFIDENCE = 0.95


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

    return float(betaincinv(failures + 1, trials - failures, confidence))
