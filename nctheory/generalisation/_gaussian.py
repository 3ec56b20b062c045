"""Exact errors of the nearest-mean classifier on Gaussian classes."""

import functools
import math
from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, log_ndtr, ndtr

from nctheory.engine import is_finite, whole_number

NODES, PANELS = 24, 24
"""Gauss-Legendre nodes of a panel, and panels over the range that counts (measured: with twice as many of both,
errors from 1/2 down to 5e-72 in 2 to 784 dimensions change by less than a relative 5e-13; against the Poisson-beta series in
60 digits they are off by at most 4e-13, which is the rounding of logarithms of the size of the dimension)."""
DROP = 60.0
"""What lies further than this below the largest logarithm of an integrand is left out (derived: e^-60 is below rounding)."""
SCAN = 501
"""Points at which the largest is looked for (conventional)."""


def exact_few_shot_error(distance: float, dim: int, shots: int, spread: float = 1.0) -> float:
    r"""The m-shot nearest-mean error of two classes $N(\mu_i,s^2I_p)$ whose means are D apart.

    It is $P(\chi'^2_p(n_1)>\chi'^2_p(n_2))$ with $n_{1,2}=\frac12(\frac D{\sqrt{v_1}}\mp\frac D{\sqrt{v_2}})^2$,
    $v_1=\frac{2s^2}m$ and $v_2=s^2(4+\frac2m)$, since the score is $\langle a-b,2x-a-b\rangle$ of two independent Gaussian
    vectors $N(\delta,v_1I)$ and $N(\delta,v_2I)$. Given the first, whose angle with $\delta$ is $\theta$, the score is
    Gaussian, so that the error is $E\,\Phi(-\frac D{\sqrt{v_2}}\cos\theta)$ over the direction of $N(\delta,v_1I)$. The
    integral over angle and length has a positive integrand without singularities and is summed by Gauss-Legendre quadrature
    on the range that counts: the relative error is below 1e-11, also far in the tail.

    Raises ValueError, naming the argument, for a distance that is negative or not finite, a spread that is not positive, and
    a dimension or shots below one. (Own derivation; the integral is a doubly non-central F distribution.)

    >>> round(exact_few_shot_error(2.0, 10, 5), 5), f"{exact_few_shot_error(18.0, 10, 5):.6e}"
    (0.25084, '7.221884e-18')
    >>> round(exact_few_shot_error(0.0, 3, 1), 12)
    0.5
    """
    _check(distance, spread)
    p, m = whole_number("dim", dim), float(whole_number("shots", shots))
    near = distance / (spread * math.sqrt(2.0 / m))
    far = distance / (spread * math.sqrt(4.0 + 2.0 / m))
    if p == 1:  # the direction is one of two
        return float(ndtr(near) * ndtr(-far) + ndtr(-near) * ndtr(far))

    def logarithm(theta: np.ndarray) -> np.ndarray:
        """Of the density of the angle, up to its constant, times the error given the angle."""
        return _log_density(theta, near, p) + log_ndtr(-far * np.cos(theta))

    # |S^{p-2}| / (2 pi)^{p/2} is the constant of the density in polar coordinates.
    constant = math.log(2.0) + 0.5 * (p - 1) * math.log(math.pi) - gammaln(0.5 * (p - 1))
    return float(math.exp(_log_integral(logarithm, 0.0, math.pi) + constant - 0.5 * p * math.log(2.0 * math.pi)))


def _log_density(theta: np.ndarray, near: float, p: int) -> np.ndarray:
    r"""$\log\int_0^\infty r^{p-1}\sin^{p-2}\theta\,e^{-\frac12(r^2-2r\kappa\cos\theta+\kappa^2)}dr$ of every angle."""
    along, across = near * np.cos(theta), near * np.sin(theta)
    # The integrand is log-concave in r; at its largest value its logarithm has the curvature 1 + (p-1)/r^2 at least.
    top = 0.5 * (along + np.sqrt(along**2 + 4.0 * (p - 1)))
    width = math.sqrt(2.0 * DROP) / np.sqrt(1.0 + (p - 1) / (top + math.sqrt(2.0 * DROP)) ** 2)
    low, high = np.maximum(top - width, 0.0), top + width
    nodes, weights = _panels(12)
    r = low[:, None] + (high - low)[:, None] * nodes[None, :]
    logs = (p - 1) * np.log(r / top[:, None]) - 0.5 * ((r - along[:, None]) ** 2 - (top - along)[:, None] ** 2)
    inner = np.log(np.exp(logs) @ weights * (high - low))
    angular = (p - 2) * np.log(np.maximum(np.sin(theta), np.finfo(float).tiny)) if p > 2 else 0.0
    return inner + (p - 1) * np.log(top) - 0.5 * (top - along) ** 2 + angular - 0.5 * across**2


@functools.cache
def _panels(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1] of the composite rule."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    at = (np.arange(number)[:, None] + 0.5 * (1.0 + nodes)[None, :]) / number
    return at.ravel(), np.tile(0.5 * weights / number, number)


def _log_integral(logarithm: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    """The logarithm of the integral of exp(logarithm) over the part of an interval where it is not negligible."""
    # The range that counts is looked for four times, each time within what the one before has left.
    for _ in range(4):
        grid = np.linspace(low, high, SCAN)
        values = logarithm(grid)
        counts = np.flatnonzero(values > np.max(values) - DROP)
        low, high = float(grid[max(counts[0] - 1, 0)]), float(grid[min(counts[-1] + 1, SCAN - 1)])
    nodes, weights = _panels(PANELS)
    logs = logarithm(low + (high - low) * nodes)
    top = float(np.max(logs))
    return top + math.log(float(np.exp(logs - top) @ weights) * (high - low))


def exact_nearest_mean_error(distance: float, spread: float = 1.0, classes: int = 2) -> float:
    r"""The error of the nearest *population* mean: K means at equal `distance` D from each other, noise $N(0,s^2I)$.

    $1-\int\phi(z-\alpha)\Phi(z)^{K-1}dz$ with $\alpha=\frac D{\sqrt2s}$, computed as the integral of the complement, so
    that small errors keep their digits (relative error below 1e-11). Of two classes it is $\Phi(-\frac D{2s})$, for any
    Gaussians with standard deviation s along the axis: $\Phi(-\frac1{2\sqrt{\tilde V}})$. Equidistant means are a simplex;
    unit means of a simplex ETF have $D=\sqrt{2K/(K-1)}$.

    Raises ValueError, naming the argument, for a distance that is negative or not finite, a spread that is not positive,
    and fewer than two classes. (Classical.)

    >>> round(exact_nearest_mean_error(np.sqrt(8 / 3), 0.6, classes=4), 5), round(exact_nearest_mean_error(2.0), 5)
    (0.19314, 0.15866)
    """
    _check(distance, spread)
    number = whole_number("classes", classes)
    if number < 2:
        raise ValueError(f"classes: expected a whole number of at least 2, got {classes!r}")
    if number == 2:
        return float(ndtr(-0.5 * distance / spread))
    alpha = distance / (math.sqrt(2.0) * spread)

    def logarithm(z: np.ndarray) -> np.ndarray:
        """Of phi(z - alpha) (1 - Phi(z)^{K-1}), of which expm1 and log1p keep the digits."""
        beyond = -np.expm1((number - 1) * log_ndtr(z))
        return (
            -0.5 * (z - alpha) ** 2 - 0.5 * math.log(2.0 * math.pi) + np.log(np.maximum(beyond, np.finfo(float).tiny))
        )

    width = math.sqrt(2.0 * DROP)
    return math.exp(_log_integral(logarithm, -width, alpha + width))


def _check(distance: float, spread: float) -> None:
    if not (is_finite(distance) and distance >= 0):
        raise ValueError(f"distance: expected a finite number of at least 0, got {distance!r}")
    if not (is_finite(spread) and spread > 0):
        raise ValueError(f"spread: expected a positive number, got {spread!r}")
