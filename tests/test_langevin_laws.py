"""Closed forms and bands of Langevin chains against SciPy's equations, integrals and quantiles, and against faults."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import chi2, ncx2

import nctheory as nct
from proofs_numeric.statistics import langevin_chains as chains
from proofs_numeric.statistics import langevin_moments as moments
from proofs_numeric.statistics.experiments import LEVEL

CURVATURE = np.array([0.7, 1.9, 3.1])
TURN = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
MATRIX = (TURN * CURVATURE) @ TURN.T
NOISE = np.array([[1.0, 0.4, 0.0], [0.4, 2.0, -0.3], [0.0, -0.3, 0.5]])
"""In the basis of the eigenvectors."""


@pytest.mark.parametrize("kind", [*moments.FIRST_ORDER, *nct.sampling.SPLITTINGS])
def test_stationary_covariances_solve_the_equation_of_lyapunov(kind):
    size, heat, friction = 0.55, 0.8, 1.1
    step, added = moments.step_of(kind, MATRIX, size, heat, friction, TURN @ NOISE @ TURN.T)
    solved = solve_discrete_lyapunov(np.asarray(step), np.asarray(added))
    positions, momenta = moments.stationary(kind, CURVATURE, size, heat, NOISE)
    assert np.allclose(TURN.T @ solved[:3, :3] @ TURN, positions, rtol=0, atol=1e-12)
    if len(solved) == 6:
        assert np.allclose(TURN.T @ solved[3:, 3:] @ TURN, momenta, rtol=0, atol=1e-12)
        assert np.allclose(solved[:3, 3:], 0, atol=1e-12)
    start = jnp.eye(len(solved))
    assert np.allclose(moments.settled(step, added, 5.0 * start), solved, rtol=0, atol=1e-11)
    # A step beyond the limit 2/L, or 2/sqrt(L), does not settle.
    limit = 2 / 3.1 if kind in moments.FIRST_ORDER else 2 / math.sqrt(3.1)
    for factor, stable in ((0.999, True), (1.001, False)):
        far, _ = moments.step_of(kind, MATRIX, factor * limit, heat, friction, NOISE)
        assert (np.max(np.abs(np.linalg.eigvals(np.asarray(far)))) < 1) == stable


def test_the_displacement_of_the_flow_is_that_of_its_moments_in_time():
    a, heat, x0, wait, lag = CURVATURE, 0.6, np.array([1.0, -2.0, 0.3]), 0.4, 0.9

    def slope(t, state):  # E x^2 until the wait, then E (x - x_w)^2 and E (x - x_w) x_w beside it
        second, moved, cross = np.split(state, 3)
        return np.concatenate(
            [-2 * a * second + 2 * heat, -2 * a * (moved + cross) + 2 * heat, -a * cross - a * at_wait]
        )

    at_wait = np.zeros(3)
    first = solve_ivp(slope, (0, wait), np.concatenate([x0**2, np.zeros(6)]), rtol=1e-11, atol=1e-13).y[:3, -1]
    at_wait = first
    moved = solve_ivp(slope, (0, lag), np.concatenate([first, np.zeros(6)]), rtol=1e-11, atol=1e-13).y[3:6, -1]
    told = moments.flow_displacement(CURVATURE, jnp.asarray(x0), heat, jnp.asarray([wait]), jnp.asarray([lag]))
    assert float(told[0, 0]) == pytest.approx(moved.sum(), rel=1e-8)


@pytest.mark.parametrize("times", [1, 40])
@pytest.mark.parametrize("entry", [(0, 0), (0, 1)])
def test_bands_of_products_hold_and_are_not_wide(times, entry, rng):
    """Against quantiles where these are known, and against the variance of simulated means else."""
    factor = np.array([[0.8, 0.1], [0.0, -0.3]])
    added = np.array([[1.0, 0.3], [0.3, 0.5]])
    covariance = solve_discrete_lyapunov(factor, added)
    correlations = np.stack([np.linalg.matrix_power(factor, m) @ covariance for m in range(times)])
    band = float(moments.product_bands(jnp.asarray(correlations), times, 1)[entry])
    large = float(moments.product_bands(jnp.asarray(correlations), times, 10_000)[entry])
    if times == 1 and entry == (0, 0):
        unit = covariance[0, 0]
        assert 2 * chi2.sf(1 + band / unit, 1) <= LEVEL
        tail = chi2.sf(10_000 * (1 + large / unit), 10_000) + chi2.cdf(10_000 * (1 - large / unit), 10_000)
        assert LEVEL * 1e-3 < tail <= LEVEL
    x = np.linalg.cholesky(covariance) @ rng.normal(size=(2, 4000))
    total, root = np.zeros(4000), np.linalg.cholesky(added)
    for _ in range(times):
        total += x[entry[0]] * x[entry[1]] / times
        x = factor @ x + root @ rng.normal(size=(2, 4000))
    deviation = np.std(total) / np.sqrt(10_000)
    assert 7 < large / deviation < 11  # 7.13 for a normal law of this level; the rest is for its tails


def test_the_band_of_a_shifted_square_holds():
    for shift in (0.0, 1.0, 5.0):
        band = float(moments.quadratic_band(1.0 + 2.0 * shift**2, 1.0, 1))
        mean = 1.0 + shift**2
        tails = ncx2.sf(mean + band, 1, shift**2) + ncx2.cdf(mean - band, 1, shift**2)
        assert tails <= LEVEL


def test_a_record_with_a_fault_in_its_chains_leaves_the_band(monkeypatch):
    """The law of a step that forgets a factor of two in its noise, or draws it twice, is seen."""
    problem = chains.form_of(np.random.default_rng(3), "overdamped", 1.2, blocks=2, block=1024)
    told = chains.predict_with()(problem)
    run = jax.jit(lambda problem, key: problem.init(key, 1.0))

    def off(record):
        from proofs_numeric.conserved.vector_field import rounding_unit

        pairs = ((chains.covariance, chains.covariance_terms, told.covariance),)
        pairs += ((chains.displacement, chains.displacement_terms, told.displacement),)
        return [
            float(jnp.linalg.norm(see(problem, record) - x) / (band(problem, record) * rounding_unit(record)))
            for see, band, x in pairs
        ]

    assert max(off(run(problem, jax.random.key(0)))) < 1
    from nctheory.sampling import _schemes

    whole = _schemes.standard_normal
    monkeypatch.setattr(_schemes, "standard_normal", lambda *given: whole(*given) / math.sqrt(2.0))
    cold = jax.jit(lambda problem, key: problem.init(key, 1.0))(problem, jax.random.key(0))
    assert min(off(cold)) > 1
    monkeypatch.setattr(_schemes, "standard_normal", lambda words, step, count: whole(words, step // 2, count))
    twice = jax.jit(lambda problem, key: problem.init(key, 1.0))(problem, jax.random.key(0))
    assert off(twice)[0] > 1
