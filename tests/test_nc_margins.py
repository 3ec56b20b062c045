"""Margins and errors at collapse against other mathematics: bivariate normals, draws, Rankin's bounds on any code, N39."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

import nctheory as nct
from proofs_numeric.errata.simplex_codes import pair_error, simulated
from proofs_numeric.generalisation import boundaries, nc_margins
from proofs_numeric.statistics.experiments import LEVEL
from tests.helpers import unchecked_types


def simplex(classes):
    """Corners of length 1, K x K."""
    return math.sqrt(classes / (classes - 1)) * (np.eye(classes) - 1.0 / classes)


def orthant(limits, correlation):
    with jax.enable_x64(True), unchecked_types():
        return float(jax.jit(boundaries.orthant)(jnp.asarray(limits), jnp.asarray(correlation)))


def test_orthants_are_those_of_another_library(rng):
    for size, accuracy in ((2, 1e-12), (3, 2e-5)):
        factor = rng.normal(size=(size, size + 2))
        covariance = factor @ factor.T
        lengths = np.sqrt(np.diag(covariance))
        correlation = covariance / lengths[:, None] / lengths[None, :]
        limits = rng.normal(size=size)
        told = multivariate_normal(np.zeros(size), correlation, seed=0).cdf(limits)  # by symmetry
        assert abs(orthant(limits, correlation) - told) < accuracy


@pytest.mark.parametrize(("classes", "noise", "printed"), [(4, 0.6, 0.19314), (3, 0.25, None), (2, 1.5, None)])
def test_the_error_is_the_frequency_of_draws(classes, noise, printed, rng):
    told, draws, means = nc_margins.simplex_error(classes, noise), 60_000, simplex(classes)
    scores = (means[0] + noise * rng.normal(size=(draws, classes))) @ means.T
    found = np.mean(np.max(scores[:, 1:], axis=1) > scores[:, 0])
    # Bernstein's inequality for draws in [0, 1] with the variance that is claimed.
    x = math.log(2 / LEVEL)
    band = math.sqrt(2 * told * (1 - told) * x / draws) + x / (3 * draws)
    assert abs(found - told) < band < 0.03
    assert abs(nc_margins.orthogonal_error(classes, noise) - told) > 1e-5
    assert printed is None or round(told, 5) == printed


def test_the_least_of_random_codes_keeps_both_bounds_and_a_search_attains_them(rng):
    def least(points):
        return min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) / 2

    for number, dim in ((3, 2), (4, 6), (5, 3), (6, 3), (7, 4)):
        for _ in range(50):
            points = rng.normal(size=(number, dim)) * rng.uniform(0.2, 2.0, size=(number, 1))
            assert least(points) <= math.sqrt(np.mean(np.sum(points**2, axis=1)) * number / (2 * (number - 1)))
            if number >= dim + 2:
                assert least(points) <= np.max(np.linalg.norm(points, axis=1)) / math.sqrt(2)
        # Corners of a simplex, or of a cross-polytope, of which some may be left out.
        best = np.concatenate([np.eye(dim), -np.eye(dim)])[:number] if number >= dim + 2 else simplex(number)
        most = math.sqrt(0.5) if number >= dim + 2 else math.sqrt(number / (2 * (number - 1)))
        assert least(best) == pytest.approx(most, rel=1e-14)

    # Four points in the plane, searched without a formula, sharper step by step: the square.
    def energy(angles, sharpness):
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.log(sum(np.exp(sharpness * (a @ b)) for a, b in itertools.combinations(points, 2)))

    angles = rng.uniform(0, 2 * np.pi, 4)
    for sharpness in (1.0, 10.0, 80.0):
        angles = minimize(energy, angles, args=(sharpness,)).x
    found = least(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert found == pytest.approx(float(nc_margins.predict_with()(square()).most), rel=1e-3)


def square():
    return nc_margins.polytope(4, 2, 1.0).problem


def test_margins_are_distances_to_where_the_decision_changes(rng):
    """From a class mean of any classifier one goes along a normal, and bisects for the change of the decision."""
    problem = nc_margins.collapsed(3, 2, 2, 0.3, 1.0).problem
    params = problem.init(jax.random.key(3), 1.0)
    with jax.enable_x64(True):
        means, rows = (np.asarray(some) for some in (boundaries.means_of(problem, params), params.weights[0]))
        told = np.asarray(boundaries.boundaries(problem, params)) * float(boundaries.length(jnp.asarray(means)))
    for k, (one, other) in enumerate(((1, 2), (0, 2), (0, 1))):
        for place, j in enumerate((one, other)):
            step = rows[k] - rows[j]
            unit, at = step / np.linalg.norm(step), means[k]
            # On the line at + t unit the difference of the two logits is linear in t.
            assert abs((at - told[k, place] * unit) @ step) < 1e-12


def test_what_the_theorem_does_not_speak_of_is_outside():
    beyond = nc_margins.collapsed(3, 2, 2, 1.5, 1.0)
    flat = nc_margins.collapsed(3, 1, 2, 0.3, 1.0)
    loose = nc_margins.polytope(5, 3, 1.0)
    squared = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    for instance in (beyond, flat, loose, nct.Instance(squared, {})):
        assert not all(one.holds(instance) for one in nc_margins.THEOREM.hypotheses)
    assert all(one.holds(nc_margins.polytope(6, 3, 1.0)) for one in nc_margins.THEOREM.hypotheses)


def test_two_antipodal_means_beat_the_simplex_from_seven_classes_on():
    assert nc_margins.simplex_error(6, 30.0) < pair_error(6, 30.0)
    assert nc_margins.simplex_error(7, 30.0) > pair_error(7, 30.0) + 1e-5
    # To first order in 1/s: sqrt(K/pi) against the mean of the largest of K normal variables, from draws.
    largest = np.max(np.random.default_rng(0).normal(size=(200_000, 7)), axis=1).mean() * math.sqrt(7 / 6)
    assert largest < math.sqrt(7 / math.pi)
    gap = nc_margins.simplex_error(7, 1e4) - pair_error(7, 1e4)
    assert gap * 7e4 == pytest.approx(math.sqrt(7 / math.pi) - largest, abs=0.01)
    line = np.array([[1.0], [-1.0]])
    assert simulated(line, 2000, np.random.default_rng(0)) == pytest.approx(pair_error(2, 10.0), abs=0.05)
