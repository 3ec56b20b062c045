"""The layer-peeled model: its energies, bounds, symmetry and thresholds, and the ball of an erratum."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from proofs_numeric.errata.imbalance_ball import ball_problem, simplex_point
from proofs_numeric.imbalanced.peeled_program import (
    norm_at_threshold,
    program,
    solve_multiplier,
    threshold_energy,
    threshold_ratio,
)
from tests.helpers import random_points

PEELED = [
    (dict(counts=(4,)), "counts: expected at least two classes"),
    (dict(counts=(4, 0)), r"counts\[1\]: expected a whole number"),
    (dict(dim=0), "dim: expected a whole number"),
    (dict(energies=(1.0,)), r"energies: expected \(E_W, E_H\), got 1"),
    (dict(energies=(1.0, 0.0)), r"energies\[1\]: expected a finite positive energy, got 0"),
    (dict(energies=(np.inf, 1.0)), r"energies\[0\]: expected a finite positive energy"),
]


@pytest.mark.parametrize(("change", "reason"), PEELED)
def test_wrong_layer_peeled_arguments(change, reason):
    given: dict[str, Any] = dict(counts=(4, 2), dim=2, energies=(1.0, 1.0))
    with pytest.raises(ValueError, match=reason):
        nct.layer_peeled(**{**given, **change})


def test_layer_peeled_spends_its_energies_and_knows_its_symmetry(rng):
    problem = nct.layer_peeled(counts=(5, 2, 2), dim=3, energies=(0.7, 2.0))
    points = random_points(problem, 4, rng)
    for i in range(4):
        point = jax.tree.map(lambda x, i=i: x[i], points)
        weights, features = (np.asarray(x) for x in problem.factor_pair(point))
        assert np.sum(weights**2) / 3 == pytest.approx(0.7)
        per_class = np.repeat(1 / np.array([5.0, 2.0, 2.0]), (5, 2, 2))
        assert np.sum(features**2 @ per_class) / 3 == pytest.approx(2.0)
        _, gradient = problem.value_and_grad(point)
        tangents = problem.gauge_tangents(point)
        flat = np.concatenate([np.reshape(x, (x.shape[0], -1)) for x in jax.tree.leaves(tangents)], axis=1)
        assert flat.shape[0] == 3 + 2
        assert np.abs(flat @ np.asarray(nct.problems.ravel(gradient))).max() < 1e-13
    drawn = problem.init(jax.random.key(0), 1.7)
    assert [float(jnp.linalg.norm(x)) for x in (drawn.weights[0], drawn.features)] == pytest.approx([1.7, 1.7])


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(3, 3, 3), (6, 6, 2, 2), (9, 2, 2)])
@pytest.mark.parametrize("energy", [1e-3, 0.1, 1.0, 5.0])
def test_no_point_of_the_layer_peeled_model_is_below_its_bounds(counts, energy, rng):
    """Every bound is below every value, and the program's solution lies between the best of both."""
    problem = nct.layer_peeled(counts=counts, dim=len(counts), energies=(2 * energy, energy / 2))
    mu = solve_multiplier(counts, float(problem.radius))
    found = program(counts, mu)
    exact = float(found.fit)
    for scale in (1e-3, 1.0, 1e3):
        points = random_points(problem, 20, rng, scale)
        bound = nct.certify(problem, points)
        value = bound.gap + bound.lower_bound
        assert np.all(bound.lower_bound <= exact * (1 + 1e-14))
        assert np.all(value >= exact * (1 - 1e-14))
    # The multiplier is the spectral norm of the gradient, and the solution closes the gap.
    logits = np.asarray(found.logits(nct.closed_form.count_groups(counts)[0]))
    left, singular, right = np.linalg.svd(logits)
    root = np.sqrt(singular)
    labels = np.repeat(np.arange(len(counts)), counts)
    per_sample = (root[:, None] * right)[:, labels] / np.sqrt(np.asarray(counts, dtype=float))[labels][None, :]
    point = nct.problems.ChainParams(((left * root[None, :])[None],), per_sample[None], None)
    bound = nct.certify(problem, point)
    assert float(problem.objective(jax.tree.map(lambda x: x[0], point))) == pytest.approx(exact, rel=1e-12)
    assert bound.gap[0] <= 1e-9 * exact
    assert bound.reason is None


def test_a_narrow_layer_peeled_model_is_told_from_a_wide_one(rng):
    problem = nct.layer_peeled(counts=(2, 2, 2, 2), dim=2, energies=(1.0, 1.0))
    assert "width 2 is below 3" in str(nct.certify(problem, random_points(problem, 2, rng)).reason)


@pytest.mark.slow
def test_balanced_layer_peeled_models_are_simplices():
    for classes, energy in ((2, 0.3), (5, 1.0), (10, 3.0)):
        counts = (4,) * classes
        found = program(counts, solve_multiplier(counts, classes * energy))
        scale = classes * energy / (classes - 1)
        np.testing.assert_allclose(
            found.logits((classes,)), scale * np.asarray(nct.closed_form.simplex_etf(classes)), atol=1e-10
        )
        assert float(found.fit) == pytest.approx(np.log1p((classes - 1) * np.exp(-scale)), rel=1e-11)


@pytest.mark.slow
def test_the_threshold_ratio_is_finite_single_and_where_the_minority_merges():
    for a, b in ((2, 2), (1, 3), (3, 3), (5, 2)):
        ratios = 1 + np.exp(np.linspace(-5, 12, 60))
        norms = np.array([norm_at_threshold(a, b, r) for r in ratios])
        assert np.all(np.diff(norms) > 0)
        energy = norm_at_threshold(a, b, 3.0) / (a + b)
        assert threshold_ratio(a, b, energy) == pytest.approx(3.0, rel=1e-9)
        counts = (30,) * a + (10,) * b
        assert threshold_energy(counts) == pytest.approx(energy, rel=1e-12)
        for factor, merged in ((0.97, True), (1.03, False)):
            mu = solve_multiplier(counts, factor * energy * (a + b))
            found = program(counts, mu)
            assert (found.gaps[-1] == 0) == merged
            assert (10 / sum(counts) <= mu) == merged
    # K_A = K_B = 3 and energies 1: apart at R = 1, 2, merged from R = 4 on.
    assert 2 < threshold_ratio(3, 3, 1.0) < 4


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("radius", [0.01, 1.0, 4.0])
def test_over_a_ball_the_minimiser_is_the_simplex_whatever_the_weights(classes, radius, rng):
    weights = rng.dirichlet(np.full(classes, 0.5)) * 0.98 + 0.02 / classes
    problem = ball_problem(weights, radius, 2, rng)
    expected = np.repeat(simplex_point(classes, radius), 2, axis=1)
    assert np.linalg.norm(expected, axis=0) == pytest.approx(radius)
    exact = float(problem.objective(jnp.asarray(expected)))
    assert nct.certify(problem, jnp.asarray(expected)[None]).gap[0] <= 1e-12 * (1 + radius)
    # scipy, one sample at a time, in the interior of the ball as well as on its boundary.
    found = scipy.optimize.minimize(
        lambda z: np.log(np.exp(z).sum()) - z[0], np.zeros(classes), method="SLSQP",
        constraints={"type": "ineq", "fun": lambda z: radius**2 - z @ z}, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    np.testing.assert_allclose(found.x, expected[:, 0], atol=1e-5 * radius)
    points = random_points(problem, 50, rng)
    bound = nct.certify(problem, points)
    assert np.all(bound.lower_bound <= exact)
    assert np.all(bound.lower_bound + bound.gap >= exact * (1 - 1e-14))
