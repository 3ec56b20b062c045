"""Whether numbers by layer lie on a straight line, with a test against curvature."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nctheory.engine import shown


@shown()
class LineTest(NamedTuple):
    r"""The line $y_l=a+bl$ of least squares through numbers $y_0,\dots,y_{n-1}$, and the test of it against a parabola."""

    slope: float
    """b."""
    r_squared: float
    r"""$1-\mathrm{RSS}_1/\sum_l(y_l-\bar y)^2$, with RSS_1 the sum of squares that the line leaves."""
    curvature: float
    """The coefficient of l^2 in the parabola of least squares."""
    p_value: float
    """The probability of at least this F, if the line is true (see `straight_line`); a small one speaks for curvature."""


def straight_line(values: Sequence[float] | np.ndarray) -> LineTest:
    r"""Fit a line and a parabola to numbers at l = 0, 1, …, n - 1, and test whether the parabola is needed.

    $F=\frac{\mathrm{RSS}_1-\mathrm{RSS}_2}{\mathrm{RSS}_2/(n-3)}$, which is distributed exactly as F(1, n-3) if the numbers
    are a straight line plus independent normal errors of one variance. Errors of neighbouring layers of one network are not
    independent, so that the test is one of size and not a proof. R^2 alone says little: that of any curve that falls is high.

    Raises ValueError for fewer than four numbers; all is NaN where one of them is not finite.

    >>> test = straight_line([0.0, -1.1, -1.9, -3.0, -4.1, -5.0])
    >>> round(test.slope, 2), round(test.r_squared, 3), test.p_value > 0.05
    (-1.0, 0.998, True)
    >>> bent = straight_line([0.0, -2.0, -3.1, -3.9, -4.2, -4.3])
    >>> round(bent.r_squared, 2), bent.p_value < 0.01
    (0.86, True)
    """
    y = np.asarray(values, float)
    if y.ndim != 1 or y.size < 4:
        raise ValueError(f"values: expected at least four numbers, got shape {y.shape}")
    if not np.all(np.isfinite(y)):
        return LineTest(*(float("nan"),) * 4)
    from scipy.stats import f as f_distribution

    # Orthogonal polynomials on an even grid: 1, x = l - mean, and q = x^2 - mean(x^2).
    x = np.arange(y.size) - 0.5 * (y.size - 1)
    q = x**2 - np.mean(x**2)
    centred = y - y.mean()
    slope, curvature = x @ centred / (x @ x), q @ centred / (q @ q)
    left = np.sum((centred - slope * x) ** 2)
    rest = np.sum((centred - slope * x - curvature * q) ** 2)
    whole = centred @ centred
    rounding = (np.finfo(float).eps * y.size * np.max(np.abs(y))) ** 2 * y.size
    gained = curvature**2 * (q @ q)
    if left <= rounding:  # straight to rounding
        p_value = 1.0
    elif rest <= rounding:
        p_value = 0.0
    else:
        p_value = float(f_distribution.sf(gained / (rest / (y.size - 3)), 1, y.size - 3))
    r_squared = 1.0 - left / whole if whole > rounding else 0.0
    return LineTest(float(slope), float(r_squared), float(curvature), p_value)
