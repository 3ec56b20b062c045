"""Wrong arguments of paths, and closed forms of paths far out."""

import dataclasses

import mpmath
import numpy as np
import pytest

import nctheory as nct
from tests.networks import white_network

MODEL = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [1.0, 1.0]}, "times: expected finite numbers that increase"),
        ({"times": [-1.0, 1.0]}, "times: expected finite numbers that increase"),
        ({"times": []}, "times: expected finite numbers that increase"),
        ({"times": [0.0]}, "times: expected one after 0"),
        ({"times": [np.nan]}, "times: expected finite numbers"),
        ({"method": "euler"}, "method: expected 'auto', 'explicit' or 'implicit', got 'euler'"),
        ({"tolerance": 0.0}, "tolerance: expected a finite positive number, got 0.0"),
        ({"max_steps": 0}, "max_steps: expected at least 1, got 0"),
        ({"params": np.ones((3, 5))}, r"params: expected the parameters of DeepLinear, 2 arrays, got 1 \(ndarray\)"),
    ],
)
def test_wrong_arguments_of_flow_are_refused(change, message):
    arguments = {"params": nct.starts(MODEL, seeds=1), "times": [1.0]} | change
    with pytest.raises(ValueError, match=message):
        nct.gradient_flow(MODEL, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [0.5]}, "steps: expected whole numbers that increase"),
        ({"steps": [3, 2]}, "steps: expected whole numbers that increase"),
        ({"rule": -0.1}, "rule: expected a positive step size"),
        ({"rule": "sgd"}, "rule: expected a positive step size or an optax transformation, got 'sgd'"),
        ({"batch": 0}, "batch: expected at least 1 column, got 0"),
    ],
)
def test_wrong_arguments_of_descend_are_refused(change, message):
    arguments = {"params": nct.starts(MODEL, seeds=1), "steps": [1], "rule": 0.1} | change
    with pytest.raises(ValueError, match=message):
        nct.gradient_descent(MODEL, **arguments)


@pytest.mark.slow
def test_a_closed_form_outside_its_hypotheses_names_the_hypothesis_and_the_violation():
    network, times = white_network([2.0, 1.0]), np.array([1.0])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    lopsided = nct.problems.ChainParams((0.2 * np.eye(2), 0.1 * np.eye(2)), None, None)
    turned = nct.problems.ChainParams((0.1 * turn, 0.1 * np.eye(2)), None, None)
    with pytest.raises(nct.NoClosedForm, match=r"needs a balanced start, got \|W_2\^T W_2 - W_1 W_1\^T\| = 0.7"):
        nct.closed_form.aligned_trajectory(network, lopsided, times)
    with pytest.raises(nct.NoClosedForm, match=r"needs a balanced start"):
        nct.closed_form.balanced_trajectory(network, lopsided, times)
    with pytest.raises(nct.NoClosedForm, match=r"needs a start aligned with the modes of YX\^T, got .* = 0.8 of"):
        nct.closed_form.aligned_trajectory(network, turned, times)
    assert nct.closed_form.balanced_trajectory(network, turned, times).shape == (1, 4, 4)
    below = nct.problems.ChainParams((np.diag([-0.3, 0.3]), 0.3 * np.eye(2)), None, None)
    with pytest.raises(nct.NoClosedForm, match="needs heights of the modes at the start above 0, got"):
        nct.closed_form.aligned_trajectory(network, below, times)
    above = nct.problems.ChainParams((1.5 * np.eye(2),) * 3, None, None)
    with pytest.raises(nct.NoClosedForm, match="above 0 and below the strengths of the modes, got"):
        nct.closed_form.aligned_trajectory(white_network([2.0, 1.0], 3), above, times)
    for change, message in (
        ({"loss": nct.losses.label_smoothing(0.1)}, "needs loss mse, got cross_entropy"),
        ({"weight_decay": np.array([0.1, 0.1])}, "needs no decay, got"),
        ({"inputs": np.diag([1.0, 2.0])}, r"needs white inputs, XX\^T = N I, got .* of the whole"),
        ({"targets": np.zeros((2, 2))}, r"needs YX\^T invertible"),
    ):
        other = dataclasses.replace(network, **change)
        with pytest.raises(nct.NoClosedForm, match=message):
            nct.closed_form.balanced_trajectory(other, turned, times)
    with pytest.raises(nct.NoClosedForm, match="needs two layers, got 3"):
        nct.closed_form.balanced_trajectory(white_network([2.0, 1.0], 3), turned, times)


@pytest.mark.slow
def test_the_riccati_solution_is_accurate_long_after_learning_and_agrees_with_the_printed_formula():
    rng = np.random.default_rng(3)
    network = white_network([2.0, 1.0, 0.5])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    lower = 0.1 * turn
    start = nct.problems.ChainParams((lower, 0.1 * np.linalg.qr(rng.normal(size=(3, 3)))[0]), None, None)
    late = nct.closed_form.balanced_trajectory(network, start, np.array([200.0]))[0]
    correlation = np.diag([2.0, 1.0, 0.5])
    np.testing.assert_allclose(late, np.block([[correlation, correlation], [correlation, correlation]]), atol=1e-12)
    stacked = np.concatenate([start.weights[0].T, start.weights[1]])
    matrix = np.block([[np.zeros((3, 3)), correlation], [correlation, np.zeros((3, 3))]])
    values, basis = np.linalg.eigh(matrix)
    grow = basis @ np.diag(np.exp(1.3 * values)) @ basis.T
    inverse = np.linalg.inv(matrix)
    bracket = np.eye(3) + 0.5 * stacked.T @ (grow @ inverse @ grow - inverse) @ stacked
    printed = grow @ stacked @ np.linalg.inv(bracket) @ stacked.T @ grow
    np.testing.assert_allclose(
        nct.closed_form.balanced_trajectory(network, start, np.array([1.3]))[0], printed, atol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-2, 1e-5, 1e-8])
def test_the_riccati_solution_does_not_cancel_for_small_starts(scale):
    rng = np.random.default_rng(7)
    strengths, times = [2.0, 1.0, 0.5], [1e-3, 0.5, 3.0, 12.0]
    low, up = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
    up = up if np.linalg.det(up @ low) > 0 else -up
    start = nct.problems.ChainParams((scale * low, scale * up), None, None)
    ours = nct.closed_form.balanced_trajectory(white_network(strengths), start, np.array(times))
    with mpmath.workdps(60):
        stacked = mpmath.matrix(np.concatenate([start.weights[0].T, start.weights[1]]).tolist())
        matrix = mpmath.zeros(6)
        for i, strength in enumerate(strengths):
            matrix[i, 3 + i] = matrix[3 + i, i] = strength
        for time, found in zip(times, ours, strict=True):
            grow = mpmath.expm(time * matrix)
            bracket = mpmath.eye(3) + stacked.T * (grow * matrix**-1 * grow - matrix**-1) * stacked / 2
            exact = grow * stacked * bracket**-1 * stacked.T * grow
            wanted = np.array(exact.tolist(), float)
            assert np.linalg.norm(found - wanted) <= 1e-12 * np.linalg.norm(wanted)


@pytest.mark.parametrize(("layers", "start"), [(3, 1e-12), (4, 1e-20), (8, 1e-15)])
def test_heights_of_very_small_starts(layers, start):
    """Half the strength is reached when the integral of the law from the start says so."""
    with mpmath.workdps(30):
        power = 2 - mpmath.mpf(2) / layers
        by_layers = mpmath.quad(
            lambda p: (1 + mpmath.exp(-p)) ** (power - 1),
            mpmath.linspace(mpmath.log(mpmath.mpf(start) / (1 - mpmath.mpf(start))), 0, 40),
        )
        time = float(by_layers / layers)
    found = float(nct.closed_form.mode_height(layers, 1.0, start, time))
    assert abs(found - 0.5) < 1e-4 * max(1.0, time * 1e-12)  # the time itself is rounded
