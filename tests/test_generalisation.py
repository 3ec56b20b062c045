"""Errors of the nearest-mean classifier on finite populations and bounds on them: by hand, by plain loops, by sampling."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
        errors = gen.finite_few_shot_error(z, LABELS, 1)
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
