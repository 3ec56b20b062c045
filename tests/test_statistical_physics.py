"""Kernels, transitions, perceptrons and ageing against other integrals, exact small cases and plain simulations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.special import iv
from scipy.stats import norm

import nctheory as nct
from proofs_numeric.deep import heights
from proofs_numeric.dynamics import kernel_collapse
from proofs_numeric.errata import complexity
from proofs_numeric.glasses import coupled_spins, thermal_sphere
from proofs_numeric.statistics import perceptron_curves, version_space


def test_the_residual_is_a_matrix_exponential(rng):
    problem = kernel_collapse.kernel_of(3, 2, (0.7, 2.0, 3.0), rng)
    start = jnp.asarray(rng.normal(size=(6, 6)))
    kernel = np.asarray(problem.inputs.T @ problem.inputs)
    told = kernel_collapse.predict_with()(problem, start, jnp.asarray([0.5, 4.0]))
    for k, time in enumerate((0.5, 4.0)):
        flow = scipy.linalg.expm(-kernel * time / 6)
        np.testing.assert_allclose(told.residual[k], np.asarray(problem.residual(start)) @ flow, rtol=1e-11, atol=1e-12)
        assert float(told.trace[k, 0]) == pytest.approx(np.trace(flow), rel=1e-12)


@pytest.mark.slow
def test_the_tangent_kernel_at_collapse_has_three_values():
    """Free features and squared error without a bias: the logits' kernel is the same for all outputs, and of that form."""
    classes, each, dim = 3, 2, 4
    model = nct.unconstrained_features(counts=(each,) * classes, dim=dim, loss="mse", weight_decay=(0.05, 0.05))
    end = nct.solve(model, seeds=1, light=True)
    assert bool(end.converged[0])
    point = jax.tree.map(lambda x: jnp.asarray(x[0]), end.params)
    parts = jax.jacobian(model.logits)(point)
    slope = jnp.concatenate([x.reshape(classes, classes * each, -1) for x in jax.tree.leaves(parts)], axis=2)
    kernel = np.asarray(jnp.einsum("kip,ljp->klij", slope, slope))
    own, alike, across = kernel[0, 0, 0, 0], kernel[0, 0, 0, 1], kernel[0, 0, 0, each]
    blocks = np.kron(np.eye(classes), np.ones((each, each)))
    told = (own - alike) * np.eye(classes * each) + (alike - across) * blocks + across
    np.testing.assert_allclose(kernel, np.eye(classes)[:, :, None, None] * told, atol=1e-8)
    assert own > alike > 0.1
    assert abs(across) < 1e-8


def test_other_kernels_and_targets_are_outside_the_hypotheses(rng):
    (kernel, targets) = (hypothesis.test for hypothesis in kernel_collapse.THEOREM.hypotheses[1:])
    good = kernel_collapse.kernel_of(2, 3, (1.0, 2.0, 1.5), rng)
    odd = kernel_collapse.kernel_of(2, 3, (1.0, 2.0, 1.5), rng, odd=0.1)
    assert kernel(nct.Instance(good, {}))
    assert targets(nct.Instance(good, {}))
    assert not kernel(nct.Instance(odd, {}))
    moved = kernel_collapse.FixedKernel(good.inputs, good.targets.at[0, 0].add(0.1), 2)
    assert not targets(nct.Instance(moved, {}))


@pytest.mark.parametrize("hidden", [1, 2, 3, 5])
@pytest.mark.parametrize("place", [0.9, 0.99, 1.01, 2.0])
def test_heights_minimise_the_potential_and_jump_at_the_threshold(hidden, place):
    a, gamma = 1.3, 0.4
    signal = place * float(heights.threshold(hidden, a, gamma))

    def potential(s):
        return a * s**2 - 2 * signal * s + (hidden + 1) * gamma * s ** (2 / (hidden + 1))

    grid = np.linspace(1e-9, 2 * signal / a, 4001)
    best = grid[np.argmin(potential(grid))]
    step = grid[1]
    found: Any = minimize_scalar(
        potential, bounds=(max(best - step, 0.0), best + step), method="bounded", options={"xatol": 1e-12}
    )
    if place < 1:
        assert found.fun > -1e-6
        assert best < 1e-6
    else:
        told = float(heights.height_at(hidden, a, gamma, signal))
        assert found.fun < 0
        assert told == pytest.approx(found.x, rel=1e-5)
        assert told > float(heights.jump(hidden, a, gamma))


def test_the_metastable_height_is_where_the_signal_of_a_height_is_least():
    for hidden in (2, 3):
        least = float(heights.metastable(hidden, 1.3, 0.4))
        slope = jax.grad(lambda s, d=hidden: heights.signal_at(d, 1.3, 0.4, s))(least)
        assert abs(float(slope)) < 1e-9


def test_the_complexity_is_continuous_as_corrected_and_its_rate_an_integral():
    end = complexity.energy_scale(3)
    for u in (-end - 1e-4, -1.7, -2.5):
        told = 2 / end**2 * quad(lambda z: np.sqrt(z**2 - end**2), -u, end, epsabs=1e-13)[0]
        assert complexity.decay_rate(u, 3) == pytest.approx(-told, rel=1e-6)
    assert complexity.complexity(-complexity.energy_scale(5), 5, 2) == pytest.approx(complexity.corrected(5), abs=1e-12)
    assert complexity.printed(5) - complexity.corrected(5) > 0.3


def test_hebb_at_finite_size_is_exact():
    # One example of three weights: the cosine is uniform on [0, 1], whose mean angle is 1.
    assert perceptron_curves.hebb_error(1, 3) == pytest.approx(1 / np.pi, abs=1e-9)
    # Two examples of four weights: the plain mean of the angle over chi-distributed lengths.
    rng = np.random.default_rng(0)
    along = np.abs(rng.normal(size=(400_000, 2))).sum(axis=1)
    across = np.sqrt(2 * rng.chisquare(3, size=400_000))
    drawn = np.arctan2(across, along) / np.pi
    assert abs(perceptron_curves.hebb_error(2, 4) - drawn.mean()) < 6 * drawn.std() / np.sqrt(drawn.size)
    # It tends to the limit as 1/d.
    limit = float(perceptron_curves.error(perceptron_curves.hebb_overlap(2.0)))
    gaps = [perceptron_curves.hebb_error(2 * d, d) - limit for d in (20, 40, 80)]
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.03)
    assert gaps[1] / gaps[2] == pytest.approx(2.0, rel=0.015)


@pytest.mark.parametrize("load", [0.2, 1.0, 8.0])
def test_the_overlap_of_gibbs_learning_by_another_quadrature(load):
    def excess(r):
        inner = quad(lambda t: norm.pdf(t) * np.exp(-r * t**2 / 2 - norm.logsf(np.sqrt(r) * t)), -12, 12, epsabs=1e-13)[
            0
        ]
        return r / np.sqrt(1 - r) - load / np.pi * inner

    told = brentq(excess, 1e-6, 1 - 1e-9, xtol=1e-14)
    assert float(perceptron_curves.gibbs_overlap(load)) == pytest.approx(told, rel=1e-10)


def test_a_committee_of_one_is_gibbs_and_of_very_many_bayes():
    r = jnp.asarray(0.7)
    assert float(perceptron_curves.committee_overlap(r, 1)) == pytest.approx(0.7)
    assert float(perceptron_curves.committee_overlap(r, 1e12)) == pytest.approx(np.sqrt(0.7))


def test_students_of_two_weights_err_by_the_exact_law():
    """On a circle P lines cut the arc of the teacher, which is size-biased: the mean error is 2/(3(P+1))."""
    problem = version_space.VersionSpaces(blocks=8, block=256, load=jnp.asarray(1.5), sizes=(2,))
    record = problem.init(jax.random.key(3), jnp.ones(()))
    error = 6 * np.sqrt(np.asarray(record.variance) / problem.trials)
    assert abs(float(record.mean[2]) - 2 / 12) < error[2]
    # One flight fewer changes little, and more students who vote err less.
    assert abs(float(record.mean[1])) < error[1] + 0.01
    assert float(record.mean[4]) < float(record.mean[3]) < float(record.mean[2])


def test_students_agree_with_the_teacher_on_all_examples():
    problem = version_space.VersionSpaces(blocks=1, block=1, load=jnp.asarray(1.5), sizes=(6,))
    key = jax.random.key(1)
    everyone = problem.students(key, 6)
    teacher, signed = version_space.labelled(jax.random.split(key)[0], 6, problem.counted(6), 15)
    np.testing.assert_array_equal(teacher, everyone[0])
    slacks = np.asarray(everyone @ signed)
    assert (slacks[:, :9] > -1e-12).all()
    assert (slacks[:, 9:] == 0).all()
    assert len({float(x) for x in everyone[:, 0]}) == version_space.FLIGHTS * version_space.COMMITTEES[-1] + 1


def volterra(temperature, times, size):
    """Gamma of normal couplings of unit strength from its integral equation, by the trapezoidal rule."""
    t = np.linspace(0.0, max(times), size + 1)
    g = np.where(t > 0, iv(1, 4 * t) / np.where(t > 0, 2 * t, 1.0), 1.0)
    gamma, step = np.ones(size + 1), t[1]
    for k in range(1, size + 1):
        past = g[k] * gamma[0] / 2 + g[1:k][::-1] @ gamma[1:k]
        gamma[k] = (g[k] + 2 * temperature * step * past) / (1 - temperature * step)
    return t, g, gamma


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_correlations_at_infinite_size_solve_the_integral_equation(temperature):
    problem = coupled_spins.problem_of(0.5, 0.5, 1.0, 0.5, 2.0)
    system = thermal_sphere.modes(problem.values, problem.weights, temperature)
    found = []
    for size in (800, 1600):
        t, g, gamma = volterra(temperature, (2.0,), size)
        half = size // 2
        # C(2, 1): g((t+s)/2 - r) at r up to s = 1.
        shifted = g[size * 3 // 4 - np.arange(half + 1)]
        inner = np.trapezoid(shifted * gamma[: half + 1], t[: half + 1])
        found.append((g[size * 3 // 4] + 2 * temperature * inner) / np.sqrt(gamma[size] * gamma[half]))
    told = (4 * found[1] - found[0]) / 3
    assert float(thermal_sphere.correlation(system, 2.0, 1.0)) == pytest.approx(told, rel=1e-6)


def test_twice_the_nodes_change_nothing_at_the_latest_times(monkeypatch):
    coarse = coupled_spins.problem_of(0.4, 0.6, 1.0, 0.5, 2.0)
    monkeypatch.setattr(coupled_spins, "NODES", 2 * coupled_spins.NODES - 1)
    fine = coupled_spins.problem_of(0.4, 0.6, 1.0, 0.5, 2.0)
    latest = coupled_spins.AGES[-1]
    for temperature in (coarse.cold, coarse.hot):
        told = [
            float(
                thermal_sphere.correlation(thermal_sphere.modes(p.values, p.weights, temperature), 4 * latest, latest)
            )
            for p in (coarse, fine)
        ]
        assert told[0] == pytest.approx(told[1], rel=1e-8, abs=1e-12)


def test_a_sphere_of_many_spins_follows_the_moments(rng):
    """Plain steps with the length restored after each: C(2, 1) of 200 spins, 40 runs against the formula of their spectrum."""
    size, runs, step, temperature = 200, 40, 0.01, 0.6
    drawn = rng.normal(size=(size, size))
    matrix = (drawn + drawn.T) / np.sqrt(2 * size)
    x = rng.normal(size=(size, runs))
    x *= np.sqrt(size) / np.linalg.norm(x, axis=0)
    kept = None
    for k in range(200):
        if k == 100:
            kept = x.copy()
        x = x + step * (matrix @ x) + np.sqrt(2 * temperature * step) * rng.normal(size=x.shape)
        x *= np.sqrt(size) / np.linalg.norm(x, axis=0)
    seen = np.mean(kept * x, axis=0)
    values = jnp.asarray(np.linalg.eigvalsh(matrix))
    system = thermal_sphere.modes(values, jnp.full(size, 1.0 / size), temperature)
    told = float(thermal_sphere.correlation(system, 2.0, 1.0))
    # Errors: of the mean over runs, of the step to first order, and of z, which here is that of each run.
    assert abs(seen.mean() - told) < 4 * seen.std() / np.sqrt(runs) + step + 1 / np.sqrt(size * runs)
