"""Certificates: never above the minimum, at any point; tight at the end states; honest where there is none."""

import re
from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import nctheory as nct
from nctheory.certificates import bound_caveat, scalar_minimum, spectral_norm
from tests.helpers import BIASES, LOSSES, brute_force_hessian, first, model, random_points

COUNTS = (3, 2, 1)  # as `model` has them, so that compiled programs are shared
REFERENCE: dict[tuple, tuple[nct.problems.DeepLinear, float]] = {}


def reference(loss, bias, reduced=False):
    """A fixed problem with its least known value, solved once."""
    kind = (loss, bias, reduced)
    if kind not in REFERENCE:
        problem = model(loss, counts=COUNTS, dim=3, decay=(0.02, 0.04), bias=bias)
        problem = nct.problems.reduce_to_class_means(problem) if reduced else problem
        REFERENCE[kind] = problem, float(np.min(nct.solve(problem, 16).value))
    return REFERENCE[kind]


def convex_program(problem):
    """min fit(Z + b) + lambda |Z|_* (+ bias decay) by cvxpy: another algorithm for the same minimum."""
    labels = np.argmax(problem.targets, axis=0)
    z = cp.Variable(problem.targets.shape)
    logits, penalty = z, np.sqrt(np.prod(problem.weight_decay)) * cp.normNuc(z)
    if problem.bias_decay is not None:
        b = cp.Variable((problem.classes, 1))
        logits = z + b @ np.ones((1, z.shape[1]))
        penalty += 0.5 * float(problem.bias_decay) * cp.sum_squares(b)
    if problem.loss.name == "mse":
        fit = 0.5 * cp.sum_squares(logits - problem.targets)
    else:
        fit = sum(cp.log_sum_exp(logits[:, j]) - logits[k, j] for j, k in enumerate(labels))
    program = cp.Problem(cp.Minimize(fit / z.shape[1] + penalty))
    return float(program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9))  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0, "random"])
@pytest.mark.parametrize("loss", LOSSES)
def test_solve_and_certify_agree_with_the_convex_program(loss, bias, rng):
    for _ in range(12):
        decay = tuple(10.0 ** rng.uniform(-2.5, -0.7, size=2))
        kind = 10.0 ** rng.uniform(-2, 0.5) if bias == "random" else bias
        problem = model(loss, counts=COUNTS, dim=3, decay=decay, bias=kind)
        ensemble = nct.solve(problem, 8)
        bound = nct.certify(problem, ensemble.params)
        exact = convex_program(problem)
        assert ensemble.converged.all()
        np.testing.assert_allclose(np.min(ensemble.value), exact, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(np.max(bound.lower_bound), exact, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_gap_closes_at_polished_end_states(loss, bias, reduced):
    problem, _ = reference(loss, bias, reduced)
    ensemble = nct.solve(problem, 16)
    bound = nct.certify(problem, ensemble.params)
    assert ensemble.converged.all()
    assert bound.valid.all()
    assert bound.reason is None
    assert np.all(bound.gap >= -1e-14)
    assert np.all(bound.gap <= 1e-9 * ensemble.value)


@settings(max_examples=60, deadline=None)
@given(
    loss=st.sampled_from(LOSSES),
    bias=st.sampled_from(BIASES),
    reduced=st.booleans(),
    seed=st.integers(0, 2**31),
    exponent=st.floats(-12, 12),
)
def test_weak_duality_is_never_violated(loss, bias, reduced, seed, exponent):
    problem, least = reference(loss, bias, reduced)
    points = random_points(problem, 8, np.random.default_rng(seed), 10.0**exponent)
    bound = nct.certify(problem, points)
    assert bound.valid.all()
    assert np.all(bound.lower_bound <= least * (1 + 1e-12))
    assert np.all(bound.lower_bound >= -1e-12)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1e200, np.inf, np.nan])
def test_degenerate_points_still_give_bounds(loss, bias, scale, rng):
    problem, least = reference(loss, bias)
    points = jax.tree.map(lambda x: np.where(np.isfinite(scale), x * scale, scale), random_points(problem, 3, rng))
    with np.errstate(all="ignore"):
        bound = nct.certify(problem, points)
    assert np.all(bound.lower_bound <= least * (1 + 1e-12))
    assert np.all(np.isfinite(bound.lower_bound))


def test_a_dual_point_that_is_not_feasible_would_be_caught(monkeypatch, rng):
    """The property test above can fail: without the scaling into the ball the 'bound' exceeds the minimum."""
    from nctheory.certificates import _certify, _duality

    problem, least = reference("cross_entropy", None)
    monkeypatch.setattr(_duality, "spectral_norm", lambda matrix: jnp.asarray(0.0))
    points = random_points(problem, 64, rng, 0.3)
    wrong = jax.vmap(lambda x: _certify.duality_bound(problem, x))(points)
    assert np.max(wrong) > least


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(4, 4, 3), (2, 4, 3), (3, 3, 3, 3)])
@pytest.mark.parametrize("bias", [None, 0.0])
def test_separable_bound_is_tight_for_deep_squared_error(widths, bias):
    decay = (0.01, 0.02, 0.015, 0.01)[: len(widths)]
    problem = nct.deep_linear(widths=widths, counts=(5, 3, 2), loss="mse", weight_decay=decay, bias=bias)
    ensemble = nct.solve(problem, 64, scale=1.5)
    bound = nct.certify(problem, ensemble.params)
    best = np.min(ensemble.value[ensemble.converged])
    assert bound_caveat(problem) is None
    assert best - bound.lower_bound[0] == pytest.approx(0, abs=1e-10)
    assert np.all(bound.gap >= -1e-14)


def test_small_dimension_squared_error_is_certified_too():
    problem = model("mse", counts=(4, 3, 2), dim=1, decay=(0.01, 0.01))
    ensemble = nct.solve(problem, 8)
    bound = nct.certify(problem, ensemble.params)
    assert bound_caveat(problem) is None
    assert np.min(bound.gap) <= 1e-9


@pytest.mark.slow
def test_given_inputs_two_factors_and_one(rng):
    inputs, targets = rng.normal(size=(4, 9)), np.eye(3)[:, rng.integers(3, size=9)]
    for loss in LOSSES:
        for widths, decay in (((4, 3, 3), (0.05, 0.08)), ((4, 3), (0.1,))):
            problem = nct.deep_linear(widths=widths, inputs=inputs, targets=targets, loss=loss, weight_decay=decay)
            ensemble = nct.solve(problem, 4)
            bound = nct.certify(problem, ensemble.params)
            assert ensemble.converged.all()
            assert np.all(np.abs(bound.gap) <= 1e-9 * ensemble.value)


def test_ridge_regression_against_its_closed_form(rng):
    inputs, targets = rng.normal(size=(4, 9)), rng.normal(size=(3, 9))
    problem = nct.deep_linear(widths=(4, 3), inputs=inputs, targets=targets, loss="mse", weight_decay=(0.2,))
    ensemble = nct.solve(problem, 2)
    exact = targets @ inputs.T @ np.linalg.inv(inputs @ inputs.T + 9 * 0.2 * np.eye(4))
    np.testing.assert_allclose(ensemble.params.weights[0][0], exact, atol=1e-9)


NONE_KNOWN: list[tuple[dict[str, Any], str]] = [
    (dict(widths=(3, 3, 3), counts=(2, 2, 2), loss="cross_entropy", weight_decay=(0.1,) * 3), "Schatten.*not convex"),
    (
        dict(widths=(3,) * 4, inputs=np.eye(3), targets=np.eye(3), loss="mse", weight_decay=(0.1,) * 3, bias=0.0),
        "given inputs with a bias",
    ),
]


@pytest.mark.parametrize(("arguments", "why"), NONE_KNOWN)
def test_no_certificate_says_why_and_gives_no_number(arguments, why, rng):
    problem = nct.deep_linear(**arguments)
    bound = nct.certify(problem, random_points(problem, 5, rng))
    assert not bound.valid.any()
    assert np.all(np.isneginf(bound.lower_bound))
    assert bound.reason is not None
    assert re.search(why, bound.reason)


def test_inputs_that_are_not_white_leave_no_bound(rng):
    problem = nct.deep_linear(
        widths=(3,) * 4, inputs=np.diag([1.0, 2, 3]), targets=np.eye(3), loss="mse", weight_decay=(0.1,) * 3
    )
    bound = nct.certify(problem, random_points(problem, 2, rng))
    assert not bound.valid.any()
    assert "not white" in str(bound.reason)


def test_narrow_models_get_a_bound_with_a_caveat(rng):
    problem = model("cross_entropy", counts=(2,) * 5, dim=2)
    bound = nct.certify(problem, nct.solve(problem, 4).params)
    assert bound.valid.all()
    assert "decides nothing" in str(bound.reason)


def test_certify_wants_a_seeds_axis():
    with pytest.raises(ValueError, match=r"params: expected .weights\[0\] of shape \(seeds, "):
        nct.certify(model(), first(nct.solve(model(), 2).params)._replace(features=np.zeros((7, 1))))


@settings(max_examples=50, deadline=None)
@given(sigma=st.floats(0, 10), price=st.floats(1e-4, 3), factors=st.integers(1, 6))
def test_scalar_minimum_against_scipy(sigma, price, factors):
    gain = 0.7

    def value(s):
        return 0.5 * gain * (s - sigma) ** 2 + price * s ** (2 / factors)

    grid = np.linspace(0, sigma + 1e-9, 4001)
    at = grid[np.argmin(value(grid))]
    fine: Any = scipy.optimize.minimize_scalar(value, bounds=(max(at - 0.01, 0), at + 0.01), method="bounded")
    best = min(fine.fun, value(0.0))
    ours = float(scalar_minimum(jnp.asarray(sigma), jnp.asarray(gain), jnp.asarray(price), factors))
    assert ours <= best + 1e-12
    assert ours >= best - 1e-7


def test_spectral_norm_is_an_upper_bound(rng):
    for shape in ((3, 7), (7, 3), (4, 4)):
        matrix = 10.0 ** rng.uniform(-200, 200) * rng.normal(size=shape)
        exact = np.linalg.norm(matrix, 2)
        assert exact <= float(spectral_norm(jnp.asarray(matrix))) <= exact * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [None, 0.0])
def test_hessian_nullity_is_the_gauge(loss, bias):
    problem = model(loss, counts=(3,) * 3, dim=4, decay=(0.05, 0.05), bias=bias)
    end = first(nct.solve(problem, 1).params)
    report = nct.hessian_report(problem, end)
    rank = np.linalg.matrix_rank(np.asarray(problem.product(end)), tol=1e-6)
    expected = rank * 4 - rank * (rank + 1) // 2 + (loss == "cross_entropy" and bias == 0.0)
    assert (report.index, report.nullity, report.gauge_dimension) == (0, 0, expected)
    plain = np.linalg.eigvalsh(brute_force_hessian(problem, end))
    assert np.sum(np.abs(plain) < 1e-9) == expected
    np.testing.assert_allclose(np.sort(plain)[expected:], report.eigenvalues, rtol=1e-7, atol=1e-12)


def test_hessian_at_the_origin_has_the_known_smallest_eigenvalue():
    decay, n, classes = 0.01, 3, 3
    problem = model("cross_entropy", counts=(n,) * classes, dim=4, decay=(decay, decay))
    zero = jax.tree.map(np.zeros_like, first(nct.solve(problem, 1).params))
    report = nct.hessian_report(problem, zero)
    assert report.gauge_dimension == 0
    assert report.index == 4 * (classes - 1)
    assert report.smallest == pytest.approx(decay - np.sqrt(n) / (n * classes), rel=1e-10)
