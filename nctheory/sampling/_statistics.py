"""Statistics of chains: moments put together safely, autocorrelations, and what correlated numbers are worth."""

from typing import NamedTuple

import numpy as np

from nctheory.engine import shown

MIN_TIMES = 4
"""The least number of recorded times from which an autocorrelation is estimated (conventional: two pairs of lags)."""


@shown()
class PooledMoments(NamedTuple):
    """Mean and covariance of a number of vectors."""

    count: np.ndarray
    """How many vectors there are; an array of any leading axes."""
    mean: np.ndarray
    """The mean, … x P."""
    squares: np.ndarray
    """The sum of centred products, … x P x P; or of centred squares alone, … x P."""

    @property
    def covariance(self) -> np.ndarray:
        """The covariance without bias, or the variances; NaN for a single vector."""
        left = np.where(self.count > 1, self.count - 1.0, np.nan)
        return self.squares / left.reshape(*left.shape, *[1] * (self.squares.ndim - left.ndim))


def moments_of(vectors: np.ndarray, covariance: bool = True) -> PooledMoments:
    """The moments of vectors on the first axis, n x … x P.

    >>> moments_of(np.array([[1.0], [2.0], [4.0]])).covariance.round(6).tolist()
    [[2.333333]]
    """
    count = np.full(vectors.shape[1:-1], len(vectors), np.int64)
    if len(vectors) == 0:
        wide = vectors.shape[1:] + (vectors.shape[-1:] if covariance else ())
        return PooledMoments(count, np.zeros(vectors.shape[1:]), np.zeros(wide))
    mean = np.mean(vectors, axis=0)
    off = np.moveaxis(vectors - mean, 0, -2)
    squares = np.swapaxes(off, -1, -2) @ off if covariance else np.sum(off**2, axis=-2)
    return PooledMoments(count, mean, squares)


def merged(one: PooledMoments, other: PooledMoments) -> PooledMoments:
    """The moments of two samples together, by their means and centred products (Chan, Golub and LeVeque 1983).

    >>> parts = [moments_of(np.array(x)[:, None]) for x in ([1.0, 2.0], [4.0])]
    >>> merged(*parts).covariance.round(6).tolist()
    [[2.333333]]
    """
    total = one.count + other.count
    safe = np.maximum(total, 1)
    step = other.mean - one.mean
    products = step[..., :, None] * step[..., None, :] if one.squares.ndim > one.mean.ndim else step**2
    share = one.count * (other.count / safe)
    mean = one.mean + step * (other.count / safe)[..., None]
    wide = share.reshape(*share.shape, *[1] * (products.ndim - share.ndim))
    return PooledMoments(total, mean, one.squares + other.squares + products * wide)


def autocovariance(series: np.ndarray) -> np.ndarray:
    r"""The autocovariance of chains of one law, chains x times, at all lags, about their common mean.

    $\frac1{CT}\sum_c\sum_s(x_{cs}-\bar x)(x_{c,s+t}-\bar x)$ by fast Fourier transforms; divided by T at every lag.

    >>> autocovariance(np.array([[1.0, -1.0, 1.0, -1.0]])).round(12).tolist()
    [1.0, -0.75, 0.5, -0.25]
    """
    times = series.shape[1]
    off = series - np.mean(series)
    spectrum = np.abs(np.fft.rfft(off, 2 * times, axis=1)) ** 2
    return np.fft.irfft(np.mean(spectrum, axis=0), 2 * times)[:times] / times


def integrated_time(series: np.ndarray) -> float:
    r"""The integrated autocorrelation time $1+2\sum_{t\ge1}\rho_t$ of chains x times, in recorded times.

    By the initial monotone sequence of Geyer ("Practical Markov chain Monte Carlo", Statistical Science 1992, section 3.3):
    sums of two neighbouring autocovariances, which are positive and fall for a reversible chain, are added up to the first
    that is not positive, each of them at most the one before. It is 1 for what never changes.
    """
    lags = autocovariance(series)
    if lags[0] <= 0:
        return 1.0
    pairs = lags[: 2 * (len(lags) // 2)].reshape(-1, 2).sum(axis=1)
    until = int(np.argmax(pairs <= 0)) if np.any(pairs <= 0) else len(pairs)
    falling = np.minimum.accumulate(pairs[:until])
    return float(max(2.0 * np.sum(falling) / lags[0] - 1.0, np.finfo(float).eps))


def effective_size(series: np.ndarray) -> float:
    """The number of independent draws whose mean is as good as that of chains x times; at least four times are needed.

    Raises ValueError for another shape, or fewer times.

    >>> rng = np.random.default_rng(0)
    >>> 0.9 < effective_size(rng.normal(size=(100, 200))) / 20_000 < 1.1
    True
    """
    x = np.asarray(series, np.float64)
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] < MIN_TIMES:
        raise ValueError(f"series: expected chains x times with at least {MIN_TIMES} times, got shape {x.shape}")
    return x.size / integrated_time(x) if np.all(np.isfinite(x)) else float("nan")
