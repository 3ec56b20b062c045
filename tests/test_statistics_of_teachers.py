"""Data sets of linear teachers, autoencoders and correlations against plain NumPy and integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import nctheory as nct
from proofs_numeric.statistics import double_descent, linear_vae_collapse, relu_correlation, teacher_student


@pytest.mark.parametrize(("samples", "weights"), [(12, 5), (5, 12), (6, 6)])
def test_a_data_set_is_fitted_as_by_the_pseudo_inverse(samples, weights):
    problem = double_descent.LeastSquares(
        blocks=1, block=1, samples=samples, weights=weights, noise=jnp.asarray(0.7), teacher=jnp.asarray(1.3)
    )
    key = jax.random.key(4)
    found = np.asarray(problem.trial(key))
    first, second = jax.random.split(key)
    x = np.asarray(jax.random.normal(first, (samples, weights), jnp.float64))
    noise = 0.7 * np.asarray(jax.random.normal(second, (samples,), jnp.float64))
    teacher = 1.3 / np.sqrt(weights) * np.ones(weights)
    error = np.linalg.pinv(x) @ (x @ teacher + noise) - teacher
    assert found[-1] == pytest.approx(np.sum(error**2), rel=1e-8)
    if weights > samples:
        off = np.sum((teacher - np.linalg.pinv(x) @ x @ teacher) ** 2) / 1.3**2
        assert found[-2] == pytest.approx(off, rel=1e-8)
        variable = np.sum((np.linalg.pinv(x) @ noise) ** 2) / 0.7**2 * (weights - samples + 1) / samples
    else:
        variable = np.sqrt(samples - weights + 1) * abs(error[0]) / 0.7
    assert found[:3].tolist() == [float(variable <= cut) for cut in double_descent.CUTS]


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_limiting_risk_is_an_integral_over_the_law_of_marchenko_and_pastur(gamma):
    decay, noise, signal = 0.3, 0.5, 1.4
    low, high = (1 - np.sqrt(gamma)) ** 2, (1 + np.sqrt(gamma)) ** 2

    def risk(e):
        return (signal * decay**2 + noise * gamma * e) / (e + decay) ** 2

    def density(t):  # in e = low + (high - low) sin^2 t, of which the edges are smooth
        e = low + (high - low) * np.sin(t) ** 2
        width = (high - low) * 2 * np.sin(t) * np.cos(t)
        return risk(e) * 0.5 * (high - low) * np.sin(2 * t) / (2 * np.pi * gamma * e) * width if e > 0 else 0.0

    whole = quad(density, 0, np.pi / 2, epsabs=1e-12)[0] + max(1 - 1 / gamma, 0) * risk(0.0)
    assert float(teacher_student.limiting_risk(gamma, decay, noise, signal)) == pytest.approx(whole, rel=1e-8)


def test_the_risk_of_a_data_set_is_that_of_many_draws_of_noise_and_teachers(rng):
    problem = next(one.problem for one in teacher_student.draw_instances(jax.random.key(0)) if one.problem.samples == 4)
    x, decay, n, d = rng.normal(size=(4, 2)), 0.3, 4, 2
    learned = np.linalg.solve(x.T @ x + n * decay * np.eye(d), x.T)
    teachers = rng.normal(size=(200_000, d))
    teachers *= np.sqrt(float(problem.signal)) / np.linalg.norm(teachers, axis=1, keepdims=True)
    noise = np.sqrt(float(problem.noise)) * rng.normal(size=(200_000, n))
    errors = np.sum(((teachers @ x.T + noise) @ learned.T - teachers) ** 2, axis=1)
    band = 6 * errors.std() / np.sqrt(errors.size)
    assert abs(float(problem.risk(jnp.asarray(x), jnp.asarray(decay))) - errors.mean()) < band


def test_the_autoencoder_minimises_the_mean_over_samples_of_error_and_divergence(rng):
    x = rng.normal(size=(400, 3)) @ np.diag([2.0, 1.0, 0.5])
    problem = linear_vae_collapse.autoencoder(x.T @ x / 400, 1.7, 0.8, 2)
    point = problem.init(jax.random.key(1), jnp.asarray(0.6))
    w, v, variance = np.asarray(point.decoder), np.asarray(point.encoder), np.exp(np.asarray(point.log_variance))
    error = np.sum((x - x @ (w @ v).T) ** 2, axis=1) + np.sum(variance * np.sum(w**2, axis=0))
    divergence = 0.5 * (np.sum((x @ v.T) ** 2, axis=1) + np.sum(variance - 1 - np.log(variance)))
    expected = np.mean(error / (2 * 0.8**2) + 1.7 * divergence)
    assert float(problem.objective(point)) == pytest.approx(expected, rel=1e-12)


def test_the_dual_bound_is_below_every_value_and_meets_the_minimum():
    for instance in linear_vae_collapse.draw_instances(jax.random.key(5)):
        problem, told = instance.problem, float(linear_vae_collapse.predict(instance.problem).value)
        points = nct.starts(problem, 16, key=3, scale=0.7)
        bounds = np.asarray(jax.vmap(problem.lower_bound)(points))
        values = np.asarray(jax.vmap(problem.objective)(points))
        assert (bounds <= told + 1e-12 * abs(told)).all()
        assert (told <= values).all()
        assert (bounds < told - 1e-3).any()


def test_the_excess_of_an_angle_keeps_its_digits():
    import mpmath as mp

    for x in (1e-6, 1e-3, 0.1, 0.4999, 0.5, 2.0, 3.1):
        with mp.workdps(40):
            told = mp.sin(mp.mpf(x)) - mp.mpf(x) * mp.cos(mp.mpf(x))
        assert float(relu_correlation.excess(jnp.asarray(x))) == pytest.approx(float(told), rel=2e-14)


def test_the_map_is_the_correlation_of_a_wide_layer(rng):
    theta, width = 1.1, 400_000
    first, other = rng.normal(size=(2, width))
    second = np.cos(theta) * first + np.sin(theta) * other
    products = 2 * np.maximum(first, 0) * np.maximum(second, 0)
    band = 6 * products.std() / np.sqrt(width)
    assert abs(float(jnp.cos(relu_correlation.next_angle(jnp.asarray(theta)))) - products.mean()) < band
