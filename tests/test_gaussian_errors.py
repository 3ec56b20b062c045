"""Errors of the nearest-mean classifier on Gaussian classes: by a series, by other integrals, and by sampling."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, ncx2, norm

from nctheory import generalisation as gen


def series(distance, p, m):
    """The doubly non-central probability by its Poisson-beta series, in 50 digits."""
    with mp.workdps(50):
        v1, v2, half = mp.mpf(2) / m, 4 + mp.mpf(2) / m, mp.mpf(1) / 2
        low, high = (((distance / mp.sqrt(v1)) + sign * distance / mp.sqrt(v2)) ** 2 / 4 for sign in (-1, 1))
        first, second = (int(rate + 60 + 14 * mp.sqrt(rate)) for rate in (low, high))
        weights = [mp.exp(-high)]
        for k in range(1, second):
            weights.append(weights[-1] * high / k)
        total, chance = mp.mpf(0), mp.exp(-low)
        for j in range(first):
            a, b = mp.mpf(p) / 2, mp.mpf(p) / 2 + j
            # I_{1/2}(a + 1, b) = I_{1/2}(a, b) - 2^{-a-b}/(a B(a, b)), from P(chi^2_{2b} > chi^2_{2a}) on.
            value, fall = mp.betainc(a, b, 0, half, regularized=True), half ** (a + b) / (a * mp.beta(a, b))
            row = mp.mpf(0)
            for weight in weights:
                row += weight * value
                value -= fall
                fall *= half * (a + b) / (a + 1)
                a += 1
            total += chance * row
            chance *= low / (j + 1)
        return total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distance", "p", "m"), [(2, 10, 5), (1, 2, 1), (18, 10, 5), (3, 100, 2), (10, 7, 8), (4, 1, 3)]
)
def test_the_gaussian_few_shot_error_is_its_series_also_in_the_tail(distance, p, m):
    expected = series(distance, p, m)
    assert abs(float(gen.exact_few_shot_error(float(distance), p, m) / expected) - 1.0) < 1e-11


def test_the_gaussian_few_shot_error_is_a_convolution_of_scipy_and_what_is_sampled(rng):
    p, m, distance = 4, 3, 2.5
    v1, v2 = 2 / m, 4 + 2 / m
    low, high = (0.5 * (distance / math.sqrt(v1) + sign * distance / math.sqrt(v2)) ** 2 for sign in (-1, 1))
    convolved = quad(lambda t: ncx2.pdf(t, p, high) * ncx2.sf(t, p, low), 0, 200, epsabs=1e-12)[0]
    found = gen.exact_few_shot_error(distance, p, m)
    assert found == pytest.approx(convolved, rel=1e-7)
    size = 200_000
    x, b = (
        np.array([k * distance] + [0.0] * (p - 1)) + rng.normal(size=(size, p)) / s for k, s in ((0, 1), (1, m**0.5))
    )
    a = rng.normal(size=(size, p)) / m**0.5
    wrong = int(np.sum(np.sum((x - b) ** 2, axis=1) <= np.sum((x - a) ** 2, axis=1)))
    assert 1e-4 < binom.cdf(wrong, size, found) < 1 - 1e-4
    # The control: with the two means' noise left out of the score the error is another one.
    assert abs(norm.cdf(-distance / 2) - found) > 0.02
    assert gen.exact_few_shot_error(5.0, p, m, 2.0) == pytest.approx(found, rel=1e-12)  # the unit does not matter


def test_more_shots_tend_to_the_error_of_the_population_means():
    errors = [gen.exact_few_shot_error(3.0, 5, m) for m in (1, 10, 100, 10_000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(norm.cdf(-1.5), rel=2e-3)
    assert errors[-1] > norm.cdf(-1.5)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_error_among_equidistant_means_is_an_integral_and_what_is_sampled(classes, rng):
    found = gen.exact_nearest_mean_error(1.2, 0.7, classes)
    alpha = 1.2 / (math.sqrt(2) * 0.7)
    other = 1 - quad(lambda z: norm.pdf(z - alpha) * norm.cdf(z) ** (classes - 1), -12, 14, epsabs=1e-13)[0]
    assert found == pytest.approx(other, rel=1e-9)
    scores = 0.7 * rng.normal(size=(100_000, classes))
    scores[:, 0] += 1.2 / math.sqrt(2)
    wrong = int(np.sum(np.argmax(scores, axis=1) != 0))
    assert 1e-4 < binom.cdf(wrong, 100_000, found) < 1 - 1e-4
    assert gen.exact_nearest_mean_error(0.0, 1.0, classes) == pytest.approx(1 - 1 / classes, rel=1e-12)
    far = gen.exact_nearest_mean_error(20.0, 1.0, classes)
    # Beyond one boundary at a time: the union bound is sharp in the tail.
    assert far == pytest.approx((classes - 1) * norm.cdf(-10.0), rel=1e-5)


def test_gaussian_bounds_lie_above_exact_errors_and_the_equal_covariance_form_is_the_general_one(rng):
    for distance, p, m in itertools.product((1.0, 3.0, 8.0), (1, 4, 20), (1, 5, 20)):
        exact = gen.exact_few_shot_error(distance, p, m, 0.8)
        bound = gen.equal_covariance_bound(distance, m, 0.64 * np.eye(p), error=exact)
        assert bound.total >= exact
        assert bound.looseness == pytest.approx(bound.total / exact)
        # The moments of a Gaussian, put into the bound for any distribution.
        v, square = 0.64 * p, 0.64**2
        moments = gen.PopulationMoments(
            means=np.zeros((2, p)),
            distances=np.array([[0.0, distance], [distance, 0.0]]),
            variances=np.full(2, v),
            along=np.array([[0.0, 0.64], [0.64, 0.0]]),
            third=np.zeros((2, 2)),
            fourth=np.full(2, square * p * (p + 2)),
            products=np.full((2, 2), square * p),
        )
        general = gen.few_shot_bound(moments, m)
        assert bound.total == pytest.approx(general.total, rel=1e-12)
        assert general.total <= gen.directional_cdnv_bound(moments, m).total
