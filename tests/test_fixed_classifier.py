"""Decayed features before a given classifier: against scipy, against the learned classifier, and with bad input."""

import jax
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from proofs_numeric.imbalanced import fixed_etf

P = nct.problems
COUNTS, DIM = (4, 2, 1), 3


def model(rng, decay=0.02, loss: str | P.Loss = "cross_entropy", scale=1.0):
    return P.fixed_classifier(weights=scale * rng.normal(size=(3, DIM)), counts=COUNTS, feature_decay=decay, loss=loss)


def plain(problem, features):
    """The objective in plain numpy."""
    logits = np.asarray(problem.given) @ features
    own = logits[problem.labels, np.arange(logits.shape[1])]
    return np.mean(np.log(np.sum(np.exp(logits - own), axis=0))) + 0.5 * float(problem.feature_decay) * np.sum(
        features**2
    )


def point(features):
    return P.ChainParams((), features, None)


@pytest.fixture(scope="module")
def solved():
    """Three problems of one shape with their ends, certified."""
    rng = np.random.default_rng(3)
    members = [model(rng, decay, scale=scale) for decay, scale in ((0.02, 1.0), (1e-4, 4.0), (3.0, 0.2))]
    ends = nct.solve_many(members, seeds=2)
    return members, ends, nct.certificates.certify_many(members, ends.params)


@pytest.mark.slow
def test_the_minimum_is_that_of_another_minimiser(solved):
    members, ends, bound = solved
    for i, problem in enumerate(members):
        found = scipy.optimize.minimize(
            lambda x, p=problem: plain(p, x.reshape(DIM, -1)), np.zeros(DIM * sum(COUNTS)), options={"gtol": 1e-9}
        )
        assert ends.value[i] == pytest.approx(found.fun, rel=1e-7)
        assert np.all(ends.value[i] <= found.fun * (1 + 1e-12))
        assert bound.closed(ends.value)[i].all()


@pytest.mark.slow
def test_the_bound_holds_at_points_of_every_scale_and_is_the_tangent_paraboloid(solved, rng):
    members, ends, _ = solved
    points = np.stack([[s * rng.normal(size=(DIM, sum(COUNTS))) for s in (1e-3, 100.0)] for _ in members])
    bound = nct.certificates.certify_many(members, point(points))
    for i, problem in enumerate(members):
        assert np.all(bound.lower_bound[i] <= ends.value[i].min())
        with jax.enable_x64(True):
            value, slope = jax.value_and_grad(lambda h, p=problem: p.objective(point(h)))(points[i, 0])
            own = problem.value_and_grad(point(points[i, 0]))[1].features
        np.testing.assert_allclose(own, slope, rtol=1e-12, atol=1e-15)
        assert float(value) == pytest.approx(plain(problem, points[i, 0]), rel=1e-12)
        wanted = float(value) - float(np.sum(np.asarray(slope) ** 2)) / (2 * float(problem.feature_decay))
        assert bound.lower_bound[i, 0] == pytest.approx(wanted, rel=1e-9)
        assert bound.lower_bound[i, 0] <= wanted


def test_balanced_classes_have_the_features_of_a_learned_classifier():
    # A learned classifier is a simplex there; fixed at what was learned, it leaves the features as they were.
    for classes, n, decay in ((3, 4, (0.02, 0.01)), (3, 4, (0.05, 0.002))):
        learned = nct.unconstrained_features(
            counts=(n,) * classes, dim=classes, loss="cross_entropy", weight_decay=decay
        )
        told = nct.closed_form.global_minimum(learned)
        length = float(np.sqrt(told.gram_weights[0, 0]))
        built = fixed_etf.build_instance(np.random.default_rng(0), (n,) * classes, classes, length, decay[1]).problem
        with jax.enable_x64(True):
            here = fixed_etf.predict(built)
        np.testing.assert_allclose(here.logits, told.logits, atol=1e-10)
        np.testing.assert_allclose(here.features.T @ here.features, told.gram_features, atol=1e-10)
        assert float(here.value) == pytest.approx(float(told.value - decay[0] / 2 * told.weight_norm), rel=1e-10)


def test_sizes_of_two_classes_do_not_matter_before_a_learned_classifier_either():
    problem = fixed_etf.build_instance(np.random.default_rng(0), (7, 1), 2, 1.0, 0.01).problem
    with jax.enable_x64(True):
        here, learned = fixed_etf.predict(problem).logits, fixed_etf.learned(problem).logits
    np.testing.assert_allclose(here, learned, atol=1e-9)


@pytest.mark.slow
def test_a_loss_that_is_not_convex_has_no_bound_and_no_unique_minimiser(rng):
    problem = model(rng, loss=P.focal(2.0))
    features = rng.normal(size=(DIM, sum(COUNTS)))
    found = nct.certify(problem, point(features[None]))
    assert not found.valid.any()
    assert "not convex" in (found.reason or "")
    told = nct.certificates.unique_minimiser(problem, point(features), nct.hessian_report(problem, point(features)))
    assert not told.unique
    assert "not" in (told.reason or "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": (3,)}, "counts: expected at least two classes, got 1"),
        ({"counts": (4, 0, 1)}, "counts"),
        ({"weights": np.eye(2)}, r"weights: expected a matrix of K = 3 rows, one per class, got shape \(2, 2\)"),
        ({"weights": np.zeros(3)}, r"weights: .* got shape \(3,\)"),
        ({"weights": np.full((3, 2), np.nan)}, "weights: expected finite entries"),
        ({"feature_decay": 0.0}, "feature_decay: expected a finite number above 0, got 0"),
        ({"feature_decay": -1.0}, "feature_decay"),
        ({"loss": "hinge"}, "loss"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"weights": np.eye(3), "counts": COUNTS, "feature_decay": 0.1} | change
    with pytest.raises(ValueError, match=message):
        P.fixed_classifier(**given)
