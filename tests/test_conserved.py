"""Cheapest chains, conserved quantities, end-to-end dynamics: against scipy, mpmath, finite differences and rationals."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize

import nctheory as nct
from proofs_numeric.reductions import red_nuclear, red_schatten
from tests.helpers import first, random_points

predict_schatten = red_schatten.predict_with()


def wide(rng, rows=4, cols=5, rank=3):
    return rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, cols))


# The cheapest chain with a given product


@pytest.mark.parametrize("factors", [2, 3, 4])
def test_scalar_chains_cost_what_mpmath_finds(factors, rng):
    """min of sum lambda_l w_l^2 / 2 at fixed product of the w_l, in logarithms, to 30 digits."""
    with mpmath.workdps(30):
        for s in 10.0 ** rng.uniform(-3, 3, size=3):
            decay = [mpmath.mpf(float(x)) for x in 10.0 ** rng.uniform(-3, 0, size=factors)]

            def stationary(*unknowns, decay=decay, s=s):
                *logs, multiplier = unknowns
                rows = [lam * mpmath.exp(2 * t) - multiplier for lam, t in zip(decay, logs, strict=True)]
                return [*rows, sum(logs) - mpmath.log(mpmath.mpf(float(s)))]

            common = (mpmath.mpf(float(s)) ** 2 * mpmath.fprod(decay)) ** (mpmath.mpf(1) / factors)
            guess = [mpmath.log(common / lam) / 2 + 0.1 * i for i, lam in enumerate(decay)]
            found = mpmath.findroot(stationary, [*guess, common * 1.2])
            cost = sum(lam * mpmath.exp(2 * t) / 2 for lam, t in zip(decay, list(found)[:-1], strict=True))
            problem = nct.problems.minimal_chain_factorisation(
                np.array([[s]]), widths=(1,) * (factors - 1), weight_decay=[float(x) for x in decay]
            )
            assert float(predict_schatten(problem).value) == pytest.approx(float(cost), rel=1e-12)


@pytest.mark.parametrize("factors", [2, 3, 4])
def test_matrix_chains_cost_what_scipy_finds(factors, rng):
    """Free square weights with H solved for, another parametrisation than the problem's own, in numpy."""
    z = rng.normal(size=(3, 3)) + 2 * np.eye(3)
    decay = (10.0 ** rng.uniform(-1, 0, size=factors)).tolist()

    def cost(vector):
        weights = vector.reshape(factors - 1, 3, 3)
        product = np.eye(3)
        for weight in weights:
            product = weight @ product
        features = np.linalg.solve(product, z)
        value = 0.5 * sum(lam * np.sum(w**2) for lam, w in zip(decay, weights, strict=False))
        value += 0.5 * decay[-1] * np.sum(features**2)
        dual = -np.linalg.solve(product.T, decay[-1] * features) @ features.T  # slope in the product
        slopes = []
        for i in range(factors - 1):
            below, above = np.eye(3), np.eye(3)
            for weight in weights[:i]:
                below = weight @ below
            for weight in weights[i + 1 :]:
                above = weight @ above
            slopes.append(above.T @ dual @ below.T + decay[i] * weights[i])
        return value, np.concatenate([s.ravel() for s in slopes])

    problem = nct.problems.minimal_chain_factorisation(z, widths=(3,) * (factors - 1), weight_decay=decay)
    predicted = predict_schatten(problem)
    reached = []
    for _ in range(4):
        start = (np.eye(3) + 0.3 * rng.normal(size=(factors - 1, 3, 3))).ravel()
        assert scipy.optimize.check_grad(lambda v: cost(v)[0], lambda v: cost(v)[1], start) < 1e-4
        found = scipy.optimize.minimize(
            cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11}
        )
        reached.append(found.fun)
        top = found.x.reshape(factors - 1, 3, 3)[-1]
        np.testing.assert_allclose(top @ top.T, np.asarray(predicted.gram_top), atol=1e-5)
    assert min(reached) >= float(predicted.value) * (1 - 1e-12)
    np.testing.assert_allclose(reached, float(predicted.value), rtol=1e-9)


def test_two_factors_are_the_nuclear_norm(rng):
    for _ in range(5):
        z, decay = wide(rng), tuple(10.0 ** rng.uniform(-3, 0, size=2))
        chain = nct.problems.minimal_chain_factorisation(z, widths=(4,), weight_decay=decay)
        pair = nct.problems.minimal_factorisation(z, dim=4, weight_decay=decay)
        ours, theirs = predict_schatten(chain), red_nuclear.predict_with(jnp.sum)(pair)
        assert float(ours.value) == pytest.approx(float(theirs.value), rel=1e-13)
        for name in ("gram_weights", "gram_features"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-11)
        point = first(random_points(pair, 1, rng))
        assert float(chain.objective((point,))) == pytest.approx(float(pair.objective(point)), rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(3,), (5,), (3, 4), (4, 3, 3)])
def test_the_search_stays_on_the_fibre_and_sees_its_symmetry(widths, rng):
    z = wide(rng)
    problem = nct.problems.minimal_chain_factorisation(
        z, widths=widths, weight_decay=(10.0 ** rng.uniform(-2, 0, len(widths) + 1)).tolist()
    )
    value = float(predict_schatten(problem).value)
    for i in range(20):
        params = problem.init(jax.random.key(i), 1.0)
        product = np.eye(widths[0])
        *weights, features = problem.factor_chain(params)
        for weight in weights:
            product = np.asarray(weight) @ product
        np.testing.assert_allclose(product @ features, z, rtol=0, atol=1e-8)
        least = np.linalg.pinv(product) @ z
        np.testing.assert_allclose(features, least, rtol=0, atol=1e-8 * float(np.linalg.norm(least)))
        assert float(problem.objective(params)) >= value * (1 - 1e-12)
        gradient = nct.problems.ravel(problem.value_and_grad(params)[1])
        tangents = jax.vmap(nct.problems.ravel)(problem.gauge_tangents(params))
        assert tangents.shape[0] == sum(d * (d - 1) // 2 for d in widths)
        assert float(jnp.max(jnp.abs(tangents @ gradient))) <= 1e-9 * float(
            jnp.linalg.norm(gradient) * jnp.linalg.norm(tangents)
        )


def test_only_two_factors_have_a_certificate(rng):
    z = wide(rng)
    pair = nct.problems.minimal_chain_factorisation(z, widths=(4,), weight_decay=(0.1, 0.3))
    points = jax.vmap(lambda k: pair.init(k, 1.0))(jax.random.split(jax.random.key(0), 50))
    bound = nct.certify(pair, points)
    assert np.all(bound.valid)
    assert np.all(bound.lower_bound <= float(predict_schatten(pair).value) * (1 + 1e-13))
    chain = nct.problems.minimal_chain_factorisation(z, widths=(4, 3), weight_decay=(0.1, 0.2, 0.3))
    points = jax.vmap(lambda k: chain.init(k, 1.0))(jax.random.split(jax.random.key(0), 2))
    bound = nct.certify(chain, points)
    assert not np.any(bound.valid)
    assert "Schatten quasi-norm" in str(bound.reason)


def test_wrong_chains_are_named(rng):
    z = wide(rng)
    with pytest.raises(ValueError, match=r"widths: expected at least rank\(target\)=3 each, got \(4, 2\)"):
        nct.problems.minimal_chain_factorisation(z, widths=(4, 2), weight_decay=(0.1,) * 3)
    with pytest.raises(ValueError, match="weight_decay: expected 3 positive decays"):
        nct.problems.minimal_chain_factorisation(z, widths=(4, 3), weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match="weight_decay: expected 2 positive decays"):
        nct.problems.minimal_chain_factorisation(z, widths=(4,), weight_decay=(0.1, 0.0))
    with pytest.raises(ValueError, match=r"widths: expected .* at least one entry"):
        nct.problems.minimal_chain_factorisation(z, widths=(), weight_decay=(0.1,))
    with pytest.raises(ValueError, match="target: expected a matrix that is not zero"):
        nct.problems.minimal_chain_factorisation(np.zeros((2, 2)), widths=(2,), weight_decay=(0.1, 0.1))


# The imbalance
