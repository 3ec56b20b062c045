"""The few-shot error of large populations, estimated from draws with a rigorous interval."""

import math
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import shown, untraced, whole_number
from nctheory.generalisation._moments import read_population

CONFIDENCE = 0.999
"""The default confidence of an interval (conventional)."""


@shown()
class SampledError(NamedTuple):
    """An estimate of the m-shot nearest-mean error of a population, the mean over its classes."""

    error: float
    """The mean over the draws."""
    low: float
    """The lower end of the confidence interval."""
    high: float
    """The upper end."""
    draws: int


@untraced("`finite_few_shot_error` can be traced")
def sampled_few_shot_error(
    features: Any,
    labels: Any,
    shots: int,
    *,
    draws: int = 1000,
    key: int = 0,
    confidence: float = CONFIDENCE,
    classes: int | None = None,
) -> SampledError:
    r"""The m-shot nearest-mean error of the population uniform on these samples, from `draws` independent sets of shots.

    Each set, m samples of every class drawn with replacement, is tested on the whole population, the classes with equal
    weights; ties count as errors. The sets are independent and their errors lie in [0, 1], so that with R sets and variance
    $\hat\sigma^2$ the interval $\pm(\sqrt{2\hat\sigma^2\ln(4/\delta)/R}+\frac{7\ln(4/\delta)}{3(R-1)})$ has the confidence
    $1-\delta$ for every R (empirical Bernstein inequality; Maurer and Pontil 2009, number unchecked).

    Raises ValueError, naming the argument, as `population_moments` does, and for shots, draws or a confidence out of range.

    >>> points, labels = [[1.0, 0.8], [-1.0, 0.8], [0.0, 0.0]], [0, 0, 1]
    >>> found = sampled_few_shot_error(points, labels, 2, draws=4000)
    >>> round(found.error, 2), found.low < 0.125 < found.high  # the exact error is 1/8
    (0.12, True)
    """
    number, sets = whole_number("shots", shots), whole_number("draws", draws)
    root = whole_number("key", key, least=0)
    if sets < 2:
        raise ValueError(f"draws: expected a whole number of at least 2, got {draws!r}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence!r}")
    x, rows = read_population(features, labels, classes)
    x = np.asarray(x) - np.mean(x, axis=0)[None, :]
    rng = np.random.default_rng(root)
    # Samples stand class by class, so that a draw of class k is a row from `first[k]` on.
    order, sizes = np.concatenate(rows), np.array([some.size for some in rows])
    x, y, first = x[order], np.repeat(np.arange(len(rows)), sizes), np.cumsum(sizes) - sizes
    lengths, each = np.sum(x**2, axis=1), np.arange(len(x))
    errors = np.empty(sets)
    for i in range(sets):
        drawn = first[:, None] + rng.integers(0, sizes[:, None], (len(rows), number))
        means = np.mean(x[drawn], axis=1)
        squares = lengths[:, None] - 2.0 * x @ means.T + np.sum(means**2, axis=1)[None, :]
        own = squares[each, y]
        squares[each, y] = np.inf
        wrong = np.min(squares, axis=1) <= own
        errors[i] = np.mean(np.bincount(y, wrong, len(rows)) / sizes)
    return _interval(errors, 1.0 - confidence)


def _interval(errors: np.ndarray, delta: float) -> SampledError:
    """The mean with the interval of Maurer and Pontil on both sides, each with half of delta."""
    mean, size, level = float(np.mean(errors)), len(errors), math.log(4.0 / delta)
    half = math.sqrt(2.0 * float(np.var(errors, ddof=1)) * level / size) + 7.0 * level / (3.0 * (size - 1))
    return SampledError(mean, max(mean - half, 0.0), min(mean + half, 1.0), size)
