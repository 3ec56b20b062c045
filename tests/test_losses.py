"""Label smoothing and the focal loss: values, closed forms, the certificate for a loss that is not convex."""

import itertools
from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.certificates._profile import scalar_bound
from tests.balanced_models import balanced
from tests.helpers import model

GAMMAS = (0.0, 0.5, 1.0, 3.0, 5.0)


def focal_exactly(logits, label, gamma):
    """-(1-p)^gamma log p with 80 digits."""
    with mpmath.workdps(800):
        weights = [mpmath.exp(mpmath.mpf(float(z))) for z in logits]
        total = mpmath.fsum(weights)
        rest = mpmath.fsum(w for j, w in enumerate(weights) if j != label) / total
        p = weights[label] / total
        value = -(rest**gamma) * mpmath.log(p)
        slope = rest**gamma * (rest - gamma * p * mpmath.log(p)) / rest  # minus d value / d log-odds, per unit of rest
        return float(value), [
            float(slope * ((w / total) - (rest + p if j == label else 0))) for j, w in enumerate(weights)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_focal_value_and_gradient_against_mpmath(gamma, rng):
    loss = nct.losses.focal(gamma)
    cases = [[700.0, -700, 0], [-700, 700, 0], [700, 700, -700], [-700, -700, 700], [0, 0, 0], [3, 3, 3.5]]
    cases += [list(10.0 ** rng.uniform(-2, 2.5) * rng.normal(size=3)) for _ in range(20)]
    logits, targets = np.array(cases).T, np.eye(3)[:, np.zeros(len(cases), int)]
    value, gradient = np.asarray(loss.value(logits, targets)), np.asarray(loss.gradient(logits, targets))
    for j, column in enumerate(cases):
        exact, slopes = focal_exactly(column, 0, gamma)
        assert value[j] == pytest.approx(exact, rel=1e-12, abs=1e-300)
        np.testing.assert_allclose(gradient[:, j], slopes, rtol=1e-12, atol=1e-300)
    automatic = jax.grad(lambda z: jnp.sum(loss.value(z, targets)))(logits)
    np.testing.assert_allclose(automatic, gradient, rtol=1e-11, atol=1e-290)
    np.testing.assert_allclose(np.sum(gradient, axis=0), 0.0, atol=1e-13)


def test_focal_without_focus_is_cross_entropy(rng):
    logits, targets = rng.normal(size=(4, 9)) * 5, np.eye(4)[:, rng.integers(4, size=9)]
    plain, focal = nct.losses.label_smoothing(0.0), nct.losses.focal(0.0)
    np.testing.assert_allclose(focal.value(logits, targets), plain.value(logits, targets), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(focal.gradient(logits, targets), plain.gradient(logits, targets), atol=1e-15)


def test_wrong_use_of_the_losses_is_named():
    for gamma in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match="gamma: expected a finite"):
            nct.losses.focal(gamma)
    with pytest.raises(ValueError, match=r"focal\(gamma\)"):
        model("focus")
    with pytest.raises(ValueError, match="targets: focal expects one-hot"):
        nct.deep_linear(
            widths=(2, 2), targets=np.full((2, 3), 0.5), loss=nct.losses.focal(1.0), weight_decay=(0.1, 0.1)
        )


def test_a_single_class_costs_nothing():
    logits, targets = np.array([[3.0, -700.0]]), np.ones((1, 2))
    np.testing.assert_array_equal(nct.losses.focal(1.0).value(logits, targets), [0.0, 0.0])
    np.testing.assert_array_equal(nct.losses.focal(1.0).gradient(logits, targets), [[0.0, 0.0]])


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [*GAMMAS, 0.01, 40.0])
@pytest.mark.parametrize("classes", [2, 4, 100])
def test_the_profile_bounds_the_loss_and_bends_once(gamma, classes, rng):
    """What the certificate's proof asks of the focal loss, by 50,000 points on the line and random logits."""
    loss = nct.losses.focal(gamma)
    logits = 10.0 ** rng.uniform(-2, 2, size=(1, 500)) * rng.normal(size=(classes, 500))
    targets = np.eye(classes)[:, rng.integers(classes, size=500)]
    margin = np.sum(targets * logits, axis=0) - np.sum((1 - targets) * logits, axis=0) / (classes - 1)
    slack = np.asarray(loss.value(logits, targets)) - np.asarray(loss.profile(jnp.asarray(margin), classes))
    assert np.all(slack >= -1e-12 * (1 + np.abs(margin)))
    equal = targets * margin[None, :]
    np.testing.assert_allclose(
        loss.value(equal, targets), loss.profile(jnp.asarray(margin), classes), rtol=1e-10, atol=1e-290
    )
    bend = float(loss.profile_inflection(classes))
    grid = jnp.linspace(-60.0, 60.0, 50_001)
    slope = np.asarray(loss.profile_slope(grid, classes))
    rises, falls = np.asarray(grid[1:]) <= bend, np.asarray(grid[:-1]) >= bend
    assert np.all(np.diff(slope)[rises] <= 1e-15)
    assert np.all(np.diff(slope)[falls] >= -1e-15)
    assert np.all(slope <= 0)
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(lambda m: loss.profile(m, classes)))(grid), atol=1e-13)


def least_scalar(value, top):
    """Global minimum over [0, top] by a scan and bounded searches: knows nothing of the shape."""
    grid = np.concatenate([[0.0], np.geomspace(1e-6, top, 40_000)])
    values = value(grid)
    best = float(values[0])
    inner = np.flatnonzero((values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])) + 1
    for j in inner:
        bounds = grid[j - 1], grid[j + 1]
        found: Any = scipy.optimize.minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-13})
        best = min(best, float(found.fun))
    return best


def focal_scalar(gamma, classes, price):
    """The scalar objective, in the probabilities' own terms."""

    def value(a):
        odds = (classes - 1) * np.exp(-np.asarray(a, dtype=float))
        return (odds / (1 + odds)) ** gamma * np.log1p(odds) + price * np.asarray(a)

    return value


@pytest.mark.slow
@pytest.mark.parametrize(("gamma", "classes"), [*itertools.product(GAMMAS, (2, 6)), (3.0, 24), (3.0, 100), (1.5, 40)])
def test_scalar_bound_is_the_global_minimum(gamma, classes, rng):
    onset = float(nct.closed_form.focal_onset(gamma, classes))
    for price in (*10.0 ** rng.uniform(-6, 0.5, size=6), onset * 0.97, onset, onset * 1.001, onset * 1.03):
        exact = least_scalar(focal_scalar(gamma, classes, price), 60.0)
        bound = float(scalar_bound(nct.losses.focal(gamma), jnp.asarray(price), classes))
        assert bound <= exact
        assert bound == pytest.approx(exact, rel=1e-9, abs=1e-12)
    assert scalar_bound(nct.losses.focal(gamma), jnp.asarray(0.0), classes) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("gamma", "classes"), [*itertools.product(GAMMAS, (2, 5)), (3.0, 24), (3.0, 100)])
def test_focal_closed_form_minimises_the_scalar_problem(gamma, classes, rng):
    onset = float(nct.closed_form.focal_onset(gamma, classes))
    settings = [*onset * 10.0 ** rng.uniform(-6, 0, size=6), onset * 0.97, onset * 0.9999, onset * 1.0001, onset * 1.5]
    for strength in settings:
        n = int(rng.choice([1, 2, 1000]))
        problem = nct.problems.reduce_to_class_means(
            balanced(nct.losses.focal(gamma), classes, n, classes - 1, strength / (classes - 1), ratio=3.0)
            if n * classes < 5000
            else balanced(nct.losses.focal(gamma), classes, 1, classes - 1, strength / (classes - 1))
        )
        minimum = nct.global_minimum(problem)
        assert minimum.theorem == "ufm-focal"
        exact = least_scalar(focal_scalar(gamma, classes, strength), 60.0)
        assert float(minimum.value) == pytest.approx(exact, rel=1e-9)
        assert (float(np.max(minimum.logits)) > 0) == (strength < onset)


@pytest.mark.parametrize(("classes", "n"), [(2, 1), (3, 7), (10, 1000)])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.6])
def test_label_smoothing_closed_form_minimises_the_scalar_problem(classes, n, alpha, rng):
    threshold = (1 - alpha) / classes
    for kappa in (*threshold * 10.0 ** rng.uniform(-6, 0.3, size=8), threshold * 0.97, threshold * 1.03):
        problem = nct.problems.reduce_to_class_means(
            balanced(nct.losses.label_smoothing(alpha), classes, n, classes, kappa, ratio=2.0)
        )
        minimum = nct.closed_form.label_smoothing_minimum(problem)

        def value(a, kappa=kappa):
            a, rest = np.asarray(a, dtype=float), classes - 1
            log_sum = np.log(np.exp(a) + rest)  # over the logits a, 0, …, 0
            return log_sum - (1 - alpha + alpha / classes) * a + rest * kappa * a

        assert float(minimum.value) == pytest.approx(least_scalar(value, 60.0), rel=1e-9)
        assert (float(np.max(minimum.logits)) > 0) == (kappa < threshold)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0, 0.2])
def test_without_smoothing_two_theorems_agree(bias):
    for strength in (1e-4, 0.1, 0.2499, 0.2501, 1.0):
        problem = balanced("cross_entropy", 4, 3, 3, strength, bias)
        ours, theirs = nct.closed_form.label_smoothing_minimum(problem), nct.global_minimum(problem)
        assert theirs.theorem == "ufm-ce-balanced"
        focal = nct.global_minimum(balanced(nct.losses.focal(0.0), 4, 3, 3, strength, bias))
        for name in ("value", "logits", "gram_weights", "gram_features", "weight_norm", "layer_singular_values"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(getattr(focal, name), getattr(theirs, name), rtol=1e-11, atol=1e-13)


def test_smoothing_decides_which_theorem_answers():
    smoothed = balanced(nct.losses.label_smoothing(0.1), 3, 2, 3, 0.1)
    assert nct.global_minimum(smoothed).theorem == "ufm-ls"
    with pytest.raises(nct.NoClosedForm, match="one-hot targets"):
        nct.closed_form.cross_entropy_minimum(smoothed)
    with pytest.raises(nct.NoClosedForm, match="with label smoothing, got mse"):
        nct.closed_form.label_smoothing_minimum(balanced("mse", 3, 2, 3, 0.1))
    with pytest.raises(nct.NoClosedForm, match="needs loss focal, got cross_entropy"):
        nct.closed_form.focal_minimum(smoothed)


def test_label_smoothing_against_the_convex_program():
    problem = balanced(nct.losses.label_smoothing(0.2), 3, 2, 3, 0.1, 0.3)
    z, b = cp.Variable((3, 6)), cp.Variable((3, 1))
    logits = z + b @ np.ones((1, 6))
    fit = sum(cp.log_sum_exp(logits[:, j]) for j in range(6)) - cp.sum(cp.multiply(problem.targets, logits))
    penalty = np.sqrt(np.prod(problem.weight_decay)) * cp.normNuc(z) + 0.15 * cp.sum_squares(b)
    exact = cp.Problem(cp.Minimize(fit / 6 + penalty)).solve(  # pyright: ignore[reportArgumentType]
        solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10
    )
    assert float(nct.global_minimum(problem).value) == pytest.approx(exact, rel=1e-8)


MINIMA = [
    (nct.losses.label_smoothing(0.1), 4, 0.05, 0.0),
    (nct.losses.label_smoothing(0.5), 3, 0.16, None),
    (nct.losses.label_smoothing(0.5), 3, 0.17, 0.1),
    (nct.losses.focal(2.0), 4, 0.02, 0.1),
    (nct.losses.focal(0.5), 3, 0.33, None),
    (nct.losses.focal(5.0), 3, 0.17, 0.0),
    (nct.losses.focal(3.0), 20, 1.2 / 19, None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "classes", "kappa", "bias"), MINIMA)
def test_an_independent_solver_finds_nothing_lower(loss, classes, kappa, bias):
    problem = balanced(loss, classes, 1 if classes > 5 else 2, classes - 1, kappa, bias, ratio=1.5)
    minimum = nct.global_minimum(problem)
    start = nct.closed_form.minimiser(problem, minimum, key=3)
    value, gradient = problem.value_and_grad(start)
    assert float(value) == pytest.approx(float(minimum.value), rel=1e-13)
    assert np.linalg.norm(nct.problems.ravel(gradient)) < 1e-12

    @jax.jit
    def both(vector):
        value, gradient = problem.value_and_grad(nct.problems.unravel(problem, vector))
        return value, nct.problems.ravel(gradient)

    away = np.random.default_rng(1).normal(size=nct.problems.ravel(start).size) * 1e-2
    for begin in (nct.problems.ravel(start), nct.problems.ravel(start) + away):
        found: Any = scipy.optimize.minimize(both, begin, jac=True, method="L-BFGS-B", options={"gtol": 1e-12})
        assert found.fun >= float(minimum.value) * (1 - 1e-12)
