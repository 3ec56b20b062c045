"""Losses of a linear student against another integrator, the law of Marchenko and Pastur against quadrature and draws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import nctheory as nct
from proofs_numeric.statistics import grok_linear, grok_linear_limit
from proofs_numeric.statistics.marchenko_pastur import limiting_losses, marchenko_pastur, sampled_losses, slowest
from tests.helpers import unchecked_types

TIMES = np.array([0.3, 1.0, 4.0])


@pytest.mark.parametrize("gamma", [0.3, 0.8, 1.0, 2.5])
def test_losses_are_integrals_over_the_density(gamma):
    low, high = (1 - math.sqrt(gamma)) ** 2, (1 + math.sqrt(gamma)) ** 2

    def mean(function):
        # x = low + (high - low) u^2 (3 - 2u), whose derivative vanishes where the density has roots, or for low = 0 a pole.
        def integrand(u):
            x, step = low + (high - low) * u**2 * (3 - 2 * u), (high - low) * 6 * u * (1 - u)
            return (
                function(x) * math.sqrt((high - x) * (x - low)) / (2 * math.pi * gamma * x) * step if 0 < u < 1 else 0.0
            )

        return quad(integrand, 0, 1, epsabs=1e-13, epsrel=1e-12)[0]

    atom = max(0.0, 1 - 1 / gamma)
    assert mean(lambda x: 1.0) + atom == pytest.approx(1.0, rel=1e-9)
    for (train, test), t in zip(limiting_losses(gamma, TIMES).T, TIMES, strict=True):
        assert train == pytest.approx(mean(lambda x, t=t: x * math.exp(-2 * x * t)), rel=1e-8)
        assert test == pytest.approx(mean(lambda x, t=t: math.exp(-2 * x * t)) + atom, rel=1e-8)


def test_the_first_moments_are_those_of_gaussian_data():
    for gamma in (0.25, 1.0, 3.0):
        values, weights, atom = marchenko_pastur(gamma)
        found = [float(weights @ values**k) for k in (1, 2, 3)]
        np.testing.assert_allclose(
            [atom + weights.sum(), *found], [1, 1, 1 + gamma, 1 + 3 * gamma + gamma**2], rtol=1e-12
        )


def test_the_printed_losses_of_four_weights_to_five_samples():
    train, test = limiting_losses(0.8, np.array([1.0, 10.0, 60.0]))
    np.testing.assert_allclose(train, [0.10169, 0.0029519, 6.648e-5], rtol=6e-5)
    assert float(test[0]) == pytest.approx(0.34066, abs=6e-6)
    # One large data set, whose own losses differ from the limit by 1/n.
    rng = np.random.default_rng(1)
    data = rng.normal(size=(1000, 800))
    values = np.maximum(np.linalg.eigvalsh(data.T @ data / 1000), 0.0)
    fall = np.exp(-2 * values)
    assert float(np.mean(values * fall)) == pytest.approx(train[0], rel=5e-3)
    assert float(np.mean(fall)) == pytest.approx(test[0], rel=5e-3)


@pytest.mark.parametrize(("n", "d"), [(5, 3), (3, 5)])
def test_losses_of_a_data_set_are_those_of_the_integrated_flow(n, d, rng):
    data = rng.normal(size=(n, d))
    covariance = data.T @ data / n
    # All starts along the axes at once: the mean over them is that over directions.
    path = solve_ivp(
        lambda t, w: -(covariance @ w.reshape(d, d)).ravel(),
        (0, TIMES[-1]), np.eye(d).ravel(), t_eval=TIMES, rtol=1e-11, atol=1e-13, method="DOP853",
    )  # fmt: skip
    ends = path.y.T.reshape(-1, d, d)
    with jax.enable_x64(True), unchecked_types():
        train, test, _ = sampled_losses(jnp.asarray(data), jnp.asarray(TIMES))
        problem = nct.problems.quadratic(covariance, np.zeros(d))
        curve = grok_linear.predict_with()(problem, jnp.eye(d)[0], jnp.asarray(TIMES))
        slope = jax.vmap(jax.grad(lambda t: sampled_losses(jnp.asarray(data), t[None])[1][0]))(jnp.asarray(TIMES))
    np.testing.assert_allclose(train, [np.trace(w.T @ covariance @ w) / d for w in ends], rtol=1e-8)
    np.testing.assert_allclose(test, [np.sum(w**2) / d for w in ends], rtol=1e-8)
    np.testing.assert_allclose(curve.weights, ends[:, :, 0], atol=1e-10)
    np.testing.assert_allclose(curve.test[:, 0], np.sum(ends[:, :, 0] ** 2, axis=1), rtol=1e-8)
    np.testing.assert_allclose(slope, -2 * np.asarray(train), rtol=1e-10)
    if d > n:  # what no sample has seen is kept
        rows = np.linalg.svd(data)[2][n:]
        assert float(limiting_losses(d / n, np.array([1e3]))[1, 0]) == pytest.approx(1 - n / d, rel=1e-12)
        with jax.enable_x64(True):
            late = grok_linear.predict_with()(problem, jnp.eye(d)[0], jnp.asarray([1e6]))
        assert float(late.test[0, 0]) == pytest.approx(np.sum(rows[:, 0] ** 2), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.9])
def test_the_late_ratio_is_the_inverse_of_the_lower_edge(gamma):
    low = grok_linear_limit.edge(gamma)
    found, change = slowest(gamma, 20.0 / low, 4)
    assert abs(found - low) < min(2 * change, 1e-8 * low)
    # The first correction: nu_- + 3/(4t).
    t = 1000.0 / low
    train, test = (float(x) for x in _late(gamma, t))
    assert (train / test - low) * t == pytest.approx(0.75, rel=5e-3)


def _late(gamma, t):
    values, weights, _ = marchenko_pastur(gamma)
    fall = weights * np.exp(-2 * (values - values.min()) * t)
    return fall @ values, fall.sum()


def test_wrong_rates_and_a_forgotten_zero_are_seen():
    right, other = limiting_losses(2.0, TIMES), limiting_losses(2.0, TIMES, atom=0.0)
    np.testing.assert_allclose(right[1] - other[1], 0.5, rtol=1e-12)
    np.testing.assert_allclose(limiting_losses(0.5, TIMES, rate=1.0), limiting_losses(0.5, TIMES / 2), rtol=1e-12)
    told = grok_linear_limit.predict_with(late=lambda gamma: 1 / (1 - gamma) ** 2)
    problem = grok_linear_limit.draw_instances(jax.random.key(0))[0].problem
    assert float(told(problem).late) == pytest.approx((1 + math.sqrt(0.5)) ** -2, rel=1e-6)


def test_what_is_no_covariance_is_outside():
    first, second = grok_linear.THEOREM.hypotheses
    for matrix, within in ((np.diag([1.0, 0.0]), True), (np.diag([1.0, -0.1]), False), (np.zeros((2, 2)), False)):
        instance = nct.Instance(nct.problems.quadratic(matrix, np.zeros(2)), {})
        assert first.holds(instance)
        assert second.holds(instance) == within
