"""Round Gaussian classes with equidistant means: their moments, and their few-shot error as an interval."""

import functools
import math

import numpy as np
from scipy.special import betaincinv

from nctheory.engine import is_finite, whole_number
from nctheory.generalisation._gaussian import exact_few_shot_error, exact_nearest_mean_error
from nctheory.generalisation._moments import PopulationMoments

LEVEL = 1e-6
"""The probability with which the error of one cell may lie outside a sampled interval (conventional)."""


def gaussian_moments(distance: float, dim: int, spread: float = 1.0, classes: int = 2) -> PopulationMoments:
    r"""The moments of K classes $N(\mu_k,s^2I_p)$ whose means are at equal `distance` D from each other.

    $v=ps^2$, $E\langle\xi,u\rangle^2=s^2$, $E|\xi|^4=p(p+2)s^4$, $\mathrm{tr}\,\Sigma^2=ps^4$; odd moments are 0. Bounds take
    them as they take those of a finite population.

    Raises ValueError, naming the argument, for a distance or spread that is not positive, fewer than two classes, and fewer
    than K - 1 dimensions, in which so many equidistant means do not exist.

    >>> found = gaussian_moments(2.0, 3, 0.5, classes=4)
    >>> round(float(found.distances[1, 3]), 6), float(found.variances[0]), float(found.fourth[0])
    (2.0, 0.75, 0.9375)
    """
    for name, value in (("distance", distance), ("spread", spread)):
        if not (is_finite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, got {value!r}")
    number = whole_number("classes", classes, 2)
    p = whole_number("dim", dim)
    if p < number - 1:
        raise ValueError(f"dim: expected at least {number - 1} for {number} equidistant means, got {dim}")
    off, square = 1.0 - np.eye(number), spread**2
    return PopulationMoments(
        means=distance / math.sqrt(2.0) * np.pad(_corners(number), ((0, 0), (0, p - number + 1))),
        distances=distance * off,
        variances=np.full(number, p * square),
        along=square * off,
        third=np.zeros((number, number)),
        fourth=np.full(number, p * (p + 2.0) * square**2),
        products=np.full((number, number), p * square**2),
    )


@functools.cache
def _corners(number: int) -> np.ndarray:
    r"""The corners of a regular simplex with sides $\sqrt2$ about its centre, K x (K-1)."""
    return np.linalg.svd(np.eye(number) - 1.0 / number)[0][:, : number - 1]


def error_interval(
    noise: float, dim: int, shots: int | None, classes: int, trials: int, key: int
) -> tuple[float, float]:
    r"""An interval that holds the m-shot error among K classes of spread s/D = `noise`; `shots` None are known means.

    Of two classes, and of known means, it is one number, an integral. Else the error lies between the error P of a pair and
    the union bound (K-1)P, and within Clopper and Pearson's interval of `trials` independent trials, which fails with
    probability `LEVEL` at most. Given x the squared distances $|x-a_j|^2$ to the sampled means are independent, $\frac{s^2}m$
    times non-central chi-squares of p degrees of freedom and non-centrality $m|x-\mu_j|^2/s^2$: a trial draws only these.

    >>> error_interval(0.5, 10, 5, 2, 0, 0)[0] == exact_few_shot_error(2.0, 10, 5)
    True
    """
    if shots is None:
        known = exact_nearest_mean_error(1.0, noise, classes)
        return known, known
    pair = _pair_error(noise, dim, shots)
    if classes == 2:
        return pair, pair
    low, high = pair, min((classes - 1) * pair, 1.0)
    # Where no trial would go wrong the sample says nothing that the union bound does not.
    if trials == 0 or high * trials < 1.0:
        return low, high
    wrong = _wrong_trials(noise, dim, shots, classes, trials, key)
    # Clopper and Pearson: quantiles of beta distributions.
    least = float(betaincinv(wrong, trials - wrong + 1, 0.5 * LEVEL)) if wrong else 0.0
    most = float(betaincinv(wrong + 1, trials - wrong, 1.0 - 0.5 * LEVEL)) if wrong < trials else 1.0
    return max(low, min(least, high)), min(high, max(most, low))


@functools.lru_cache(maxsize=4096)
def _pair_error(noise: float, dim: int, shots: int) -> float:
    """The error of a pair, whatever the number of classes."""
    return exact_few_shot_error(1.0, dim, shots, noise)


def _wrong_trials(noise: float, dim: int, shots: int, classes: int, trials: int, key: int) -> int:
    """How many trials go wrong: the same draws whatever else is computed."""
    rng, inner = np.random.default_rng((key, dim, shots, classes)), classes - 1
    corners = _corners(classes) / (math.sqrt(2.0) * noise)
    # In units of the spread: what of x lies in the space of the means, and the square of the rest.
    x = corners[0] + rng.normal(size=(trials, inner))
    rest = rng.chisquare(dim - inner, size=trials) if dim > inner else np.zeros(trials)
    squares = np.sum((x[:, None, :] - corners[None, :, :]) ** 2, axis=2) + rest[:, None]
    drawn = rng.noncentral_chisquare(dim, shots * squares)
    return int(np.sum(np.min(drawn[:, 1:], axis=1) <= drawn[:, 0]))
