"""Bounds on the error of the nearest-mean classifier from moments of the populations."""

from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import Array, is_finite, shown, whole_number
from nctheory.generalisation._moments import PopulationMoments, namespace, root
from nctheory.measures import as_numpy


@shown()
class ErrorBound(NamedTuple):
    """Upper bounds on the error of the nearest-mean classifier; rows are the class of the sample.

    Vacuous is what does not lie below the error of guessing: 1/2 of a pair, 1 - 1/K of K classes.
    """

    pairs: Array
    """On the error against each other class alone, K x K with zeros on the diagonal."""
    classes: Array
    """On the error of each class: the sum of its row, by the union bound. It may exceed 1."""
    total: Any
    """On the mean error over the classes."""
    vacuous_pairs: Array
    """The mask of the pairs whose bound is at least 1/2."""
    vacuous: Any
    """Whether `total` is at least 1 - 1/K."""
    pair_looseness: Array | None = None
    """Bound over actual error of each pair, where that was given: below 1 where it is violated, NaN of 0/0."""
    looseness: Any = None
    """`total` over the actual error, where that was given."""


def _bound(pairs: Any, error: Any, pair_errors: Any) -> ErrorBound:
    """The result from bounds on pairs, with looseness where there are errors."""
    xp, number = namespace(pairs), pairs.shape[0]
    pairs = xp.where(xp.eye(number, dtype=bool), 0.0, pairs)
    classes = xp.sum(pairs, axis=1)
    total = xp.mean(classes)
    loose = None if error is None else _over(xp, total, _errors("error", error, ()))
    pair_loose = None if pair_errors is None else _over(xp, pairs, _errors("pair_errors", pair_errors, pairs.shape))
    return ErrorBound(pairs, classes, total, pairs >= 0.5, total >= 1.0 - 1.0 / number, pair_loose, loose)


def _errors(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    errors = as_numpy(name, values).astype(np.float64)
    if errors.shape != shape or not np.all((errors >= 0) & (errors <= 1)):
        raise ValueError(f"{name}: expected numbers from 0 to 1 of shape {shape}, got shape {errors.shape}: {values!r}")
    return errors


def _over(xp: Any, bound: Any, error: Any) -> Any:
    """The bound over the error; inf over an error of 0, and NaN of 0/0."""
    ratio = bound / xp.where(error > 0, error, 1.0)
    return xp.where(error > 0, ratio, xp.where(bound > 0, np.inf, np.nan))


def one_sided(mean: Any, variance: Any) -> Any:
    r"""Cantelli's inequality $P(S\le0)\le\frac{\mathrm{Var}S}{\mathrm{Var}S+(ES)^2}$ where $ES>0$, and 1 elsewhere.

    No bound from mean and variance alone is better: a law on two points attains it. (Cantelli 1928; a textbook inequality.)

    >>> import numpy as np
    >>> one_sided(np.array([1.0, 0.0]), np.array([1.0, 1.0])).tolist()
    [0.5, 1.0]
    """
    xp = namespace(mean)
    says = mean > 0
    square = xp.where(says, mean, 1.0) ** 2
    return xp.where(says, variance / (variance + square), 1.0)


def cantelli_bound(moments: PopulationMoments, *, error: Any = None, pair_errors: Any = None) -> ErrorBound:
    r"""$\mathrm{err}_{i\to j}\le\frac{4\tilde V_{ij}}{1+4\tilde V_{ij}}$ for the nearest of the *population* means.

    A sample of class i is assigned to j, or lies on the boundary, where its deviation along $u_{ij}$ is at most
    $-D_{ij}/2$: Cantelli's inequality bounds the probability, for any distribution with a variance, and a law on two points
    attains it. `error` and `pair_errors` are actual errors, of which the looseness is told. Raises ValueError, naming the
    argument, for errors that are no numbers from 0 to 1 or of another shape. (Own form; the constant 4 is the sharp one
    of Luthra, Salunkhe and Galanti, arXiv 2603.03530, number unchecked.)

    >>> from nctheory.generalisation import finite_few_shot_error, population_moments
    >>> points, labels = [[-1.001], [1 / 3], [1 / 3], [1 / 3], [-2.0]], [0, 0, 0, 0, 1]
    >>> actual = finite_few_shot_error(points, labels, shots=None)
    >>> bound = cantelli_bound(population_moments(points, labels), pair_errors=actual.pairs)
    >>> actual.pairs[0, 1].item(), round(bound.pairs[0, 1].item(), 4), round(bound.pair_looseness[0, 1].item(), 3)
    (0.25, 0.2503, 1.001)
    """
    return _bound(one_sided(0.5 * moments.distances, moments.along), error, pair_errors)


def score_moments(moments: PopulationMoments, shots: int) -> tuple[Array, Array]:
    r"""Mean and variance of the m-shot score $S=|x-b|^2-|x-a|^2$, exactly, K x K.

    Here x and the m draws whose mean is a are of class i, and the m draws whose mean is b of class j. With
    $x=\mu_i+\xi$, $a=\mu_i+\alpha$, $b=\mu_j+\beta$ and $\delta=\mu_i-\mu_j$,
    $S=D^2+2\langle\delta,\xi\rangle-2\langle\delta,\beta\rangle+2\langle\xi,\alpha-\beta\rangle+|\beta|^2-|\alpha|^2$.
    All covariances of these terms vanish but that of $\langle\delta,\beta\rangle$ and $|\beta|^2$, so that
    $ES=D^2+\frac{v_j-v_i}m$ and
    $\mathrm{Var}S=4D^2E_i\langle\xi,u\rangle^2+\frac{4D^2}mE_j\langle\xi,u\rangle^2
    +\frac4m\mathrm{tr}\,\Sigma_i(\Sigma_i+\Sigma_j)+q_i+q_j-\frac{4D}{m^2}E_j\langle\xi,u\rangle|\xi|^2$ with
    $q=\mathrm{Var}|\alpha|^2=\frac1{m^3}(E|\xi|^4-v^2+2(m-1)\mathrm{tr}\,\Sigma^2)$ and $u=\delta/D$. (Own derivation; every
    draw of small populations gives the same numbers.) Raises ValueError for shots below one.

    >>> from nctheory.generalisation import finite_few_shot_error, population_moments
    >>> points, labels = [[0.0, 1.0], [0.5, -1.0], [2.0, 0.0], [3.0, 0.3]], [0, 0, 1, 1]
    >>> mean, variance = score_moments(population_moments(points, labels), 2)
    >>> every = finite_few_shot_error(points, labels, 2)
    >>> round(float(mean[0, 1]), 6), round(float(variance[0, 1]), 6)
    (4.69, 5.873991)
    >>> bool(abs(variance - every.score_variance)[0, 1] < 1e-12)
    True
    """
    m = float(whole_number("shots", shots))
    xp = namespace(moments.along)
    distances, variances = moments.distances, moments.variances
    mean = distances**2 + (variances[None, :] - variances[:, None]) / m
    own = xp.diagonal(moments.products)
    centres = (moments.fourth - variances**2 + 2.0 * (m - 1.0) * own) / m**3
    # `along` and `third` of class j belong to the axis from i to j, which turns the sign of the third moment.
    variance = (
        4.0 * distances**2 * (moments.along + moments.along.T / m)
        + 4.0 / m * (own[:, None] + moments.products)
        + centres[:, None]
        + centres[None, :]
        + 4.0 / m**2 * distances * moments.third.T
    )
    off = ~xp.eye(len(variances), dtype=bool)
    return xp.where(off, mean, 0.0), xp.where(off, xp.maximum(variance, 0.0), 0.0)


def few_shot_bound(moments: PopulationMoments, shots: int, *, error: Any = None, pair_errors: Any = None) -> ErrorBound:
    r"""Cantelli's inequality of the m-shot score, whose mean and variance are exact: `one_sided` of `score_moments`.

    It holds for any class distributions with fourth moments, from their *population* moments; the K-class error is
    bounded by the sum over pairs. A pair of which $ES\le0$ has the bound 1. Raises ValueError as `cantelli_bound` does,
    and for shots below one. (Own derivation.)

    >>> from nctheory.generalisation import finite_few_shot_error, population_moments
    >>> points, labels = [[1.0, 0.866], [-1.0, 0.866], [0.0, -0.866]], [0, 0, 1]
    >>> actual = finite_few_shot_error(points, labels, shots=1)
    >>> bound = few_shot_bound(population_moments(points, labels), 1, error=actual.total)
    >>> actual.total.item(), round(bound.total.item(), 3), bool(bound.vacuous)
    (0.25, 0.25, False)
    """
    return _bound(one_sided(*score_moments(moments, shots)), error, pair_errors)


def directional_cdnv_bound(
    moments: PopulationMoments, shots: int, *, error: Any = None, pair_errors: Any = None
) -> ErrorBound:
    r"""The m-shot bound in directional CDNV, in its form of 2026.

    Of a pair it is $\frac{4\tilde V+(\sqrt{E_1}+\sqrt{E_2}+\sqrt{E_3})^2}{(1+(v_j-v_i)/(mD^2))^2}$ with
    $E_1=\frac4m(V^2+\frac V4)$, $E_2=\frac Vm$, $E_3=\frac{\Theta+2(m-1)V^2}{m^3}$, where $V=(v_i+v_j)/D^2$ and
    $\Theta=(E_i|\xi|^4+E_j|\xi|^4)/D^4$. It is Chebyshev's inequality of the m-shot score, with its variance bounded. The
    square below hides the sign of $ES$; where that is not positive the bound is at least 4m, so that it is true all the
    same. Where two means coincide it is infinite. Raises ValueError as `few_shot_bound` does. (Luthra, Salunkhe and Galanti,
    ICML 2026, arXiv 2603.03530, Theorem 4.1 as their blog has it; derived again here.)

    >>> from nctheory.generalisation import population_moments
    >>> points, labels = [[1.0, 0.0], [1.2, 0.0], [-1.0, 0.0], [-1.2, 0.0]], [0, 0, 1, 1]
    >>> moments = population_moments(points, labels)
    >>> [round(bound(moments, 5).total.item(), 4) for bound in (directional_cdnv_bound, few_shot_bound)]
    [0.0117, 0.0098]
    """
    m = float(whole_number("shots", shots))
    xp = namespace(moments.along)
    apart = moments.distances > 0
    square = xp.where(apart, moments.distances, 1.0) ** 2
    variances, fourth = moments.variances, moments.fourth
    cdnv = (variances[:, None] + variances[None, :]) / square
    kurtosis = (fourth[:, None] + fourth[None, :]) / square**2
    first = 4.0 / m * (cdnv**2 + cdnv / 4.0)
    second = cdnv / m
    rest = (kurtosis + 2.0 * (m - 1.0) * cdnv**2) / m**3
    above = 4.0 * moments.along / square + (root(first) + root(second) + root(rest)) ** 2
    below = (1.0 + (variances[None, :] - variances[:, None]) / (m * square)) ** 2
    pairs = xp.where(apart & (below > 0), above / xp.where(below > 0, below, 1.0), np.inf)
    return _bound(pairs, error, pair_errors)


def equal_covariance_bound(distance: float, shots: int, covariance: Any, *, error: float | None = None) -> ErrorBound:
    r"""`few_shot_bound` of two Gaussian classes of one covariance, whose means are `distance` apart along the first axis.

    Of Gaussians all moments are known from the covariance, and $\frac{\mathrm{Var}S}{\mathrm{Var}S+D^4}$ has
    $\mathrm{Var}S=(\frac8m+\frac4{m^2})\mathrm{tr}\,\Sigma^2+(4+\frac4m)D^2\Sigma_{11}$; of $\Sigma=s^2I_p$ this is
    $v_1v_2p+(v_1+v_2)D^2$ with $v_1=\frac{2s^2}m$, $v_2=s^2(4+\frac2m)$. `covariance` is $\Sigma$, d x d.

    Raises ValueError, naming the argument, for a distance that is not positive, shots below one, and a matrix that is not
    symmetric and positive semidefinite. (Own derivation.)

    >>> import numpy as np
    >>> [round(equal_covariance_bound(D, 5, np.eye(10)).total.item(), 4) for D in (2.0, 5.0)]
    [0.697, 0.1804]
    """
    m = float(whole_number("shots", shots))
    if not (is_finite(distance) and distance > 0):
        raise ValueError(f"distance: expected a positive number, got {distance!r}")
    matrix = as_numpy("covariance", covariance).astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.all(np.isfinite(matrix)):
        raise ValueError(f"covariance: expected finite numbers, d x d, got shape {matrix.shape}")
    largest = float(np.max(np.abs(matrix)))
    rounded = 8.0 * len(matrix) * np.finfo(np.float64).eps * largest
    if np.max(np.abs(matrix - matrix.T)) > rounded or np.min(np.linalg.eigvalsh(matrix)) < -rounded:
        raise ValueError("covariance: expected a symmetric, positive semidefinite matrix")
    variance = (8.0 / m + 4.0 / m**2) * np.sum(matrix**2) + (4.0 + 4.0 / m) * distance**2 * matrix[0, 0]
    both = one_sided(np.full((2, 2), distance**2), np.full((2, 2), variance))
    return _bound(both, error, None)
