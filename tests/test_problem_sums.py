"""Problems side by side, and the path of the decay against plain cross-entropy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

import nctheory as nct
from nctheory.problems import MeanSquaredError
from proofs_numeric.imbalanced.paths import EXPONENTS, expansion, fixed_point, path_problem, predict_path
from tests.hard_margins import flat_objective, scales
from tests.helpers import brute_force_hessian, first, random_points


@pytest.mark.slow
def test_side_by_side_is_the_sum_of_its_members(rng):
    decays = (0.2, 0.05, 0.01)
    models = [
        nct.unconstrained_features(counts=(2, 1), dim=2, loss="cross_entropy", weight_decay=(a, a), bias=0.0)
        for a in decays
    ]
    both = nct.problems.problem_sum(models)
    point = first(random_points(both, 1, rng))
    parts = [jax.tree.map(lambda x, i=i: jnp.asarray(x[i]), point) for i in range(3)]
    value, gradient = both.value_and_grad(point)
    assert float(value) == pytest.approx(sum(float(m.objective(p)) for m, p in zip(models, parts, strict=True)))
    auto = jax.grad(both.objective)(jax.tree.map(jnp.asarray, point))
    np.testing.assert_allclose(nct.problems.ravel(gradient), nct.problems.ravel(auto), atol=1e-13)
    tangents = jax.vmap(nct.problems.ravel)(both.gauge_tangents(point))
    assert np.sum(np.any(np.asarray(tangents) != 0, axis=1)) == 3 * 2  # one rotation and one free shift each
    np.testing.assert_allclose(np.abs(tangents @ nct.problems.ravel(gradient)), 0.0, atol=1e-13)
    assert np.linalg.matrix_rank(np.asarray(tangents)) == 6
    # The penalty is positive semidefinite, and zero across the rotations' orbit.
    vectors = np.eye(np.asarray(nct.problems.ravel(point)).size)
    form = np.stack(
        [np.asarray(nct.problems.ravel(both.gauge_penalty(point, nct.problems.unravel(both, v)))) for v in vectors]
    )
    assert np.linalg.eigvalsh(form + form.T).min() > -1e-12
    bound = nct.certify(both, jax.tree.map(lambda x: x[None], point))
    alone = [
        nct.certify(m, jax.tree.map(lambda x: x[None], p)).lower_bound[0] for m, p in zip(models, parts, strict=True)
    ]
    assert bound.lower_bound[0] == pytest.approx(sum(alone), rel=1e-12)
    ends = nct.solve(both, seeds=3)
    apart = [nct.solve(m, seeds=3).value.min() for m in models]
    assert ends.value.min() == pytest.approx(sum(apart), rel=1e-10)
    assert nct.certify(both, ends.params).closed(ends.value).all()
    report = nct.hessian_report(both, first(ends.params))
    assert report.gauge_dimension == 6
    hessian = brute_force_hessian(both, first(ends.params))
    assert np.linalg.eigvalsh(hessian)[-1] == pytest.approx(report.eigenvalues[-1], rel=1e-8)


class ConcaveMargin(MeanSquaredError):
    """A loss that claims the conjugate of squared error but is not convex."""

    def value(self, logits, targets):
        return jnp.sum(jnp.cos(logits - targets), axis=0)

    def gradient(self, logits, targets):
        return -jnp.sin(logits - targets)


def test_side_by_side_certifies_no_member_that_has_no_certificate(rng):
    """The check of convexity needs the numbers of each member, which a trace over the members would hide."""
    model = nct.unconstrained_features(counts=(2, 1), dim=2, loss=ConcaveMargin(), weight_decay=(0.1, 0.1))
    both = nct.problems.problem_sum([model, model])
    bound = nct.certify(both, random_points(both, 2, rng))
    assert not bound.valid.any()
    assert "not convex" in (bound.reason or "")


def test_side_by_side_refuses_problems_of_different_shape():
    model = lambda dim, loss="mse": nct.unconstrained_features(  # noqa: E731
        counts=(2, 1), dim=dim, loss=loss, weight_decay=(0.1, 0.1)
    )
    for problems, reason in (
        ([], "at least one"),
        ([model(2), model(3)], "problems\\[1\\]"),
        ([model(2), model(2, "cross_entropy")], "problems\\[1\\]"),
    ):
        with pytest.raises(ValueError, match=reason):
            nct.problems.problem_sum(problems)


def test_the_path_against_plain_cross_entropy_and_scipy():
    """The first two lambda of a path: the engine's cross-entropy in the mean convention, and scipy on it."""
    counts, dim = (10, 10, 1, 1), 4
    predicted = predict_path(path_problem(counts, dim))
    for exponent, logits in zip(EXPONENTS[:2], predicted.logits[:2], strict=True):
        lam = 10.0**-exponent / sum(counts)
        problem = nct.problems.reduce_to_class_means(
            nct.unconstrained_features(counts=counts, dim=dim, loss="cross_entropy", weight_decay=(lam, lam))
        )
        fun = flat_objective(problem, lam)
        start = np.asarray(nct.problems.ravel(problem.init(jax.random.key(3), 1.0)))
        options = {"maxiter": 50000, "maxfun": 50000, "ftol": 1e-16, "gtol": 1e-9}
        found: Any = scipy.optimize.minimize(fun, start, jac=True, method="L-BFGS-B", options=options)
        np.testing.assert_allclose(problem.invariants(nct.problems.unravel(problem, found.x)), logits, atol=1e-5)
        # Balanced classes: the known scale log(1/kappa - K + 1).
    scale = fixed_point(3, np.full(4, 5.0), np.ones(4), np.ones(4), np.zeros(4))
    kappa = np.sqrt(5) * 1e-3 / 20
    np.testing.assert_allclose(
        scale, np.log(1 / kappa - 3) * np.asarray(nct.closed_form.simplex_etf(4)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("counts", [(10, 2, 2), (30, 10, 2, 1), (2, 2, 2, 2)])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_expansion_of_a_path_against_fixed_points_at_tiny_lambda(counts, scaled, rng):
    """Its terms one by one: after m of them the next one is left, but for a quarter of it, at lambda = 1e-300."""
    n, ones = np.asarray(counts, float), np.ones(len(counts))
    delta, gamma = scales(counts, scaled, scaled, rng)
    for data in ((n, delta, gamma, 0 * ones), (n, ones, ones, rng.uniform(-0.7, 0.7, size=n.size))):
        terms = expansion(*data)
        log, rest = 300 * np.log(10.0), fixed_point(300, *data)
        for order, term in enumerate(terms[:-1]):
            rest = rest - log ** (1 - order) * term
            following = log**-order * terms[order + 1]
            assert np.max(np.abs(rest - following)) <= 0.25 * np.max(np.abs(following)) + 1e-10 * log
