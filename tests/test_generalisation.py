"""Errors of the nearest-mean classifier and bounds on them: by hand, by other integrals, by plain loops and by sampling."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, ncx2, norm

import nctheory as nct
from nctheory import generalisation as gen
from tests.helpers import unchecked_types

COUNTS, LABELS = (3, 2, 4), np.repeat(np.arange(3), (3, 2, 4))


def features(rng, offset=0.0):
    return rng.normal(size=(9, 2)) * np.array([1.0, 0.4]) + 1.5 * rng.normal(size=(3, 2))[LABELS] + offset


def by_loops(x, y, shots):
    """Errors of pairs and classes, mean and variance of the score: every sequence of draws, one after the other."""
    classes = y.max() + 1
    points = [x[y == k] for k in range(classes)]
    pairs, alone = np.zeros((classes, classes)), np.zeros(classes)
    mean, variance = np.zeros((classes, classes)), np.zeros((classes, classes))
    centres = [[np.mean(some, axis=0) for some in itertools.product(one, repeat=shots)] for one in points]
    for i in range(classes):
        for j in range(classes):
            if i != j:
                scores = np.array(
                    [
                        np.sum((z - b) ** 2) - np.sum((z - a) ** 2)
                        for z in points[i]
                        for a in centres[i]
                        for b in centres[j]
                    ]
                )
                pairs[i, j], mean[i, j], variance[i, j] = np.mean(scores <= 0), scores.mean(), scores.var()
        lost = [
            min(np.sum((z - b) ** 2) for k, b in enumerate(drawn) if k != i) <= np.sum((z - drawn[i]) ** 2)
            for z in points[i]
            for drawn in itertools.product(*centres)
        ]
        alone[i] = np.mean(lost)
    return pairs, alone, mean, variance


@pytest.mark.parametrize("shots", [1, 2])
def test_exact_errors_and_moments_of_scores_are_those_of_all_sequences_of_draws(shots, rng):
    x = features(rng)[[0, 1, 3, 4, 5, 6]]
    y = np.array([0, 0, 1, 1, 2, 2])
    found = gen.finite_few_shot_error(x, y, shots)
    for one, other in zip(
        (found.pairs, found.classes, found.score_mean, found.score_variance), by_loops(x, y, shots), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    assert float(found.total) == pytest.approx(found.classes.mean(), rel=1e-14)


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_moments_of_the_score_are_the_formula_on_skewed_populations(shots, rng):
    """Of a formula with a term left out the difference is of the size of that term."""
    x = np.exp(features(rng))
    every = gen.finite_few_shot_error(x, LABELS, shots)
    moments = gen.population_moments(x, LABELS)
    mean, variance = gen.score_moments(moments, shots)
    np.testing.assert_allclose(mean, every.score_mean, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(variance, every.score_variance, rtol=1e-11, atol=1e-11)
    skew = 4.0 / shots**2 * moments.distances * moments.third.T
    assert np.max(np.abs(skew)) > 1e-6 * np.max(variance)  # far above the tolerance


def test_moments_are_those_of_plain_loops_and_an_offset_costs_no_digits(rng):
    x = features(rng)
    found = gen.population_moments(x, LABELS)
    classes = np.split(x, np.cumsum(COUNTS)[:-1])
    for i, j in itertools.permutations(range(3), 2):
        one, other = classes[i], classes[j]
        step = one.mean(axis=0) - other.mean(axis=0)
        xi = one - one.mean(axis=0)
        axis = xi @ step / np.linalg.norm(step)
        assert found.distances[i, j] == pytest.approx(np.linalg.norm(step), rel=1e-12)
        assert found.along[i, j] == pytest.approx(np.mean(axis**2), rel=1e-12)
        assert found.third[i, j] == pytest.approx(np.mean(axis * np.sum(xi**2, axis=1)), rel=1e-10, abs=1e-14)
        covariances = [np.cov(some.T, bias=True) for some in (one, other)]
        assert found.products[i, j] == pytest.approx(np.trace(covariances[0] @ covariances[1]), rel=1e-11)
        assert found.directional_cdnv[i, j] == pytest.approx(np.var(axis) / np.sum(step**2), rel=1e-12)
    assert np.isnan(np.diag(found.directional_cdnv)).all()
    far = gen.population_moments(x + 1e6, LABELS)
    # Features near 1e6 are known to 1e-10 alone.
    np.testing.assert_allclose(far.along, found.along, rtol=1e-8, atol=1e-9)
    wide = gen.population_moments(np.concatenate([x, np.zeros((9, 40))], axis=1), LABELS)
    np.testing.assert_allclose(wide.products, found.products, rtol=1e-12)


@pytest.mark.slow
def test_traced_features_give_the_same(rng):
    x = features(rng)

    def figures(z):
        moments = gen.population_moments(z, LABELS)
        errors = gen.finite_few_shot_error(z, LABELS, 2)
        bounds = [f(moments, 2).total for f in (gen.few_shot_bound, gen.directional_cdnv_bound)]
        return jnp.stack([jnp.asarray(one) for one in (errors.total, gen.cantelli_bound(moments).total, *bounds)])

    with jax.enable_x64(True):
        outside = np.asarray(figures(x))
        np.testing.assert_allclose(jax.jit(figures)(jnp.asarray(x)), outside, rtol=1e-12)
        slopes = jax.jacobian(figures)(jnp.asarray(x))
        assert np.all(np.isfinite(slopes))
        step = 1e-6 * rng.normal(size=x.shape)
        change = (figures(x + step) - figures(x - step)) / 2
        np.testing.assert_allclose(np.einsum("knd,nd->k", slopes[1:], step), change[1:], rtol=1e-5, atol=1e-12)


def test_bounds_hold_on_random_populations_and_every_wrong_one_fails_somewhere(rng):
    """Of 300 populations of every kind, with point masses and outliers; the wrong versions are those of the theorems."""
    wrong = dict.fromkeys(("3.9", "known means", "no fourth moment"), 0)
    for _ in range(300):
        x = rng.normal(size=(9, 2)) * 10.0 ** rng.uniform(-2, 1, size=(9, 1)) + 2.0 * rng.normal(size=(3, 2))[LABELS]
        shots = int(rng.integers(1, 4))
        moments, every = gen.population_moments(x, LABELS), gen.finite_few_shot_error(x, LABELS, shots)
        for bound in (gen.few_shot_bound(moments, shots), gen.directional_cdnv_bound(moments, shots)):
            assert np.all(every.pairs <= bound.pairs * (1 + 1e-9) + 1e-12)
            assert np.all(every.classes <= bound.classes * (1 + 1e-9) + 1e-12)
        known = gen.finite_few_shot_error(x, LABELS, None)
        assert np.all(known.classes <= gen.cantelli_bound(moments).classes * (1 + 1e-9) + 1e-12)
        wrong["known means"] += int(np.any(every.pairs > gen.cantelli_bound(moments).pairs + 1e-9))
    points = np.array([[-1e-9], [2 / 3], [2 / 3], [2 / 3], [-0.5]])
    moments = gen.population_moments(points, [0, 0, 0, 0, 1])
    spread = moments.directional_cdnv[0, 1]
    error = gen.finite_few_shot_error(points, [0, 0, 0, 0, 1], None).pairs[0, 1]
    assert error == 0.25
    assert error <= 4 * spread / (1 + 4 * spread) < error * (1 + 1e-6)
    wrong["3.9"] = int(error > 3.9 * spread / (1 + 3.9 * spread))
    # One outlier of eight, across the axis: a mean that has drawn it lies further from its class than the other class does.
    points, labels = np.zeros((9, 2)), [0] * 8 + [1]
    points[0, 1], points[8, 0] = 1.001, 1.0
    moments, every = gen.population_moments(points, labels), gen.finite_few_shot_error(points, labels, 1)
    flat = gen.few_shot_bound(moments._replace(fourth=moments.variances**2), 1)
    wrong["no fourth moment"] = int(every.pairs[0, 1] > flat.pairs[0, 1] + 1e-9)
    assert every.pairs[0, 1] == pytest.approx(7 / 64)
    assert every.pairs[0, 1] <= gen.few_shot_bound(moments, 1).pairs[0, 1]
    assert all(wrong.values()), wrong


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


def test_vacuous_bounds_and_looseness_are_told():
    x, y = np.array([[0.0, 0.0], [0.0, 2.0], [0.1, 0.0], [0.1, 2.0]]), [0, 0, 1, 1]
    bound = gen.few_shot_bound(gen.population_moments(x, y), 1, error=0.5, pair_errors=np.full((2, 2), 0.5))
    assert bound.vacuous
    assert bound.vacuous_pairs[0, 1]
    assert not bound.vacuous_pairs[0, 0]
    assert bound.looseness == pytest.approx(2 * bound.total)
    assert bound.pair_looseness is not None
    assert bound.pair_looseness[0, 1] == pytest.approx(2 * bound.pairs[0, 1])
    same = gen.population_moments(np.zeros((4, 1)), y)
    # Where nothing is told apart every sample is a tie, and an error.
    assert gen.cantelli_bound(same).pairs[0, 1] == 1.0
    assert np.isinf(gen.directional_cdnv_bound(same, 1).pairs[0, 1])
    assert gen.finite_few_shot_error(np.zeros((4, 1)), y, 1).total == 1.0
    exact = gen.population_moments([[0.0], [0.0], [1.0], [1.0]], y)
    none = gen.cantelli_bound(exact, error=0.0)
    assert none.total == 0.0
    assert np.isnan(none.looseness)
    assert np.isinf(
        gen.cantelli_bound(gen.population_moments(x, y)._replace(along=np.ones((2, 2))), error=0.0).looseness
    )


def test_the_sampled_error_covers_the_exact_one(rng):
    x = features(rng)
    exact = float(gen.finite_few_shot_error(x, LABELS, 2).total)
    for key in range(5):
        found = gen.sampled_few_shot_error(x, LABELS, 2, draws=2000, key=key)
        assert found.low <= exact <= found.high
        assert found.high - found.low < 0.1
    wide = gen.sampled_few_shot_error(x, LABELS, 2, draws=50)
    assert wide.high - wide.low > found.high - found.low


MOMENTS = gen.population_moments([[0.0], [1.0]], [0, 1])
GOOD = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gen.population_moments([0.0, 1.0], [0, 1]), "features: expected N x d"),
        (
            lambda: gen.population_moments([[np.nan], [1.0]], [0, 1]),
            "features: expected finite numbers, got nan in row 0",
        ),
        (lambda: gen.population_moments(GOOD, [0, 1]), "labels: expected 3"),
        (
            lambda: gen.population_moments(GOOD, [0, 1, 3]),
            "labels: expected samples of all 4 classes, got none of class 2",
        ),
        (lambda: gen.population_moments(GOOD, [0, 0, 0]), "labels: expected two classes or more, got 1"),
        (lambda: gen.population_moments(GOOD, [0, 1, 2], 2), "labels: expected 0 to 1"),
        (lambda: gen.finite_few_shot_error(GOOD, [0, 1, 1], 0), "shots: expected a whole number of at least 1"),
        (lambda: gen.finite_few_shot_error(np.eye(30), [0] * 15 + [1] * 15, 9), "shots: expected at most"),
        (lambda: gen.few_shot_bound(MOMENTS, 1.5), "shots: expected a whole number"),  # pyright: ignore
        (lambda: gen.cantelli_bound(MOMENTS, error=2.0), "error: expected numbers from 0 to 1"),
        (lambda: gen.cantelli_bound(MOMENTS, pair_errors=[0.1]), "pair_errors: expected numbers from 0 to 1 of shape"),
        (lambda: gen.equal_covariance_bound(0.0, 1, np.eye(2)), "distance: expected a positive number"),
        (lambda: gen.equal_covariance_bound(1.0, 1, -np.eye(2)), "covariance: expected a symmetric, positive"),
        (lambda: gen.equal_covariance_bound(1.0, 1, np.triu(np.ones((2, 2)))), "covariance: expected a symmetric"),
        (lambda: gen.equal_covariance_bound(1.0, 1, np.ones(2)), "covariance: expected finite numbers, d x d"),
        (lambda: gen.exact_few_shot_error(-1.0, 2, 1), "distance: expected a finite number of at least 0"),
        (lambda: gen.exact_few_shot_error(1.0, 0, 1), "dim: expected a whole number"),
        (lambda: gen.exact_few_shot_error(1.0, 2, 1, 0.0), "spread: expected a positive number"),
        (lambda: gen.exact_nearest_mean_error(1.0, 1.0, 1), "classes: expected a whole number of at least 2"),
        (
            lambda: gen.sampled_few_shot_error(GOOD, [0, 1, 1], 1, draws=1),
            "draws: expected a whole number of at least 2",
        ),
        (
            lambda: gen.sampled_few_shot_error(GOOD, [0, 1, 1], 1, confidence=1.0),
            "confidence: expected a number between",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        call()


def test_the_room_is_told_of_and_exports_what_it_defines():
    assert nct.generalisation is gen
    assert sorted(gen.__all__) == list(gen.__all__)
