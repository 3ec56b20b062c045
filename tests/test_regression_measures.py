"""NRC1-NRC3: against plain NumPy, at exact collapse, at zero, batched, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct

WEIGHTS = np.random.default_rng(2).normal(size=(2, 5))
COVARIANCE = np.array([[2.0, 0.5], [0.5, 1.0]])
MEASURES = {
    "nrc1": lambda h: nct.measures.principal_subspace_error(h, 2),
    "nrc2": lambda h: nct.measures.weight_subspace_error(jnp.asarray(WEIGHTS, h.dtype), h),
    "nrc2 in W": lambda h: nct.measures.weight_subspace_error(h[..., :2, :5], jnp.asarray(np.eye(5, 7), h.dtype)),
    "nrc3": lambda h: nct.measures.regression_gram_distance(h[..., :2, :], jnp.asarray(COVARIANCE), 0.3),
}


def by_numpy(name, h):
    """The definitions, with an SVD and a least-squares projection."""
    if name == "nrc3":
        values, vectors = np.linalg.eigh(COVARIANCE)
        target = (vectors * (np.sqrt(values) - np.sqrt(0.3))) @ vectors.T
        gram = h[:2] @ h[:2].T
        return np.sum((gram / np.linalg.norm(gram) - target / np.linalg.norm(target)) ** 2)
    features, rows = (np.eye(5, 7), h[:2, :5]) if name == "nrc2 in W" else (h, WEIGHTS)
    centred = features - features.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-300)
    basis = np.linalg.svd(centred)[0][:, :2] if name == "nrc1" else rows.T
    inside = basis @ np.linalg.lstsq(basis, unit, rcond=None)[0]
    return np.mean(np.sum((unit - inside) ** 2, axis=0))


@pytest.mark.parametrize("name", MEASURES)
def test_against_the_definition(name, rng):
    for _ in range(5):
        h = rng.normal(size=(5, 7)) + 1
        assert float(MEASURES[name](jnp.asarray(h))) == pytest.approx(by_numpy(name, h), rel=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_exact_collapse_is_zero_at_any_scale(scale, rng):
    h = jnp.asarray(scale * WEIGHTS.T @ rng.normal(size=(2, 9)))
    assert float(MEASURES["nrc1"](h)) < 1e-28
    assert float(MEASURES["nrc2"](h)) < 1e-28
    values, vectors = np.linalg.eigh(COVARIANCE)
    root = (vectors * np.sqrt(np.sqrt(values) - np.sqrt(0.3))) @ vectors.T
    assert float(nct.measures.regression_gram_distance(jnp.asarray(scale * root), jnp.asarray(COVARIANCE), 0.3)) < 1e-28


def test_one_direction_in_use_is_collapse_too():
    """Fewer principal components than the rank: any further one will do, and nothing is left over."""
    h = jnp.asarray(np.outer(np.arange(1.0, 6.0), np.linspace(-1, 1, 7)))
    value, gradient = jax.value_and_grad(MEASURES["nrc1"])(h)
    assert float(value) < 1e-28
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("where", ["zero", "collapse", "random", "isotropic"])
def test_values_and_gradients_are_finite_everywhere(name, where, rng):
    points = {
        "zero": np.zeros((5, 7)),
        "collapse": WEIGHTS.T @ rng.normal(size=(2, 7)),
        "random": rng.normal(size=(5, 7)),
        "isotropic": np.eye(5, 7),
    }
    h = jnp.asarray(points[where])
    value, gradient = jax.value_and_grad(MEASURES[name])(h)
    assert np.isfinite(value)
    assert -1e-15 <= float(value) <= 2
    assert np.all(np.isfinite(gradient))
    if where == "random":
        direction = jnp.asarray(rng.normal(size=h.shape))
        numeric = (MEASURES[name](h + 1e-6 * direction) - MEASURES[name](h - 1e-6 * direction)) / 2e-6
        assert float(jnp.sum(gradient * direction)) == pytest.approx(float(numeric), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", MEASURES)
def test_leading_axes_are_batches_and_all_is_float64_unless_traced(name, rng):
    h = jnp.asarray(rng.normal(size=(2, 3, 5, 7)))
    batched = MEASURES[name](h)
    assert batched.shape == (2, 3)
    np.testing.assert_allclose(batched[1, 2], MEASURES[name](h[1, 2]), rtol=1e-10)
    single = h[0, 0].astype(jnp.float32)
    assert MEASURES[name](single).dtype == np.float64


def test_a_rank_that_fills_the_space_leaves_nothing_over(rng):
    assert np.all(nct.measures.principal_subspace_error(jnp.asarray(rng.normal(size=(3, 4, 9))), 4) == 0)
    with pytest.raises(ValueError, match="rank: expected the dimension of the targets, at least 1, got 0"):
        nct.measures.principal_subspace_error(jnp.zeros((3, 4)), 0)


@pytest.mark.slow
def test_trained_end_states_are_collapsed_and_interpolation_alone_is_not(rng):
    targets = rng.normal(size=(2, 12))
    lam_w, lam_h = 0.1, 0.05
    problem = nct.deep_linear(widths=(4, 2), targets=targets, loss="mse", weight_decay=(lam_w, lam_h / 12), bias=0.0)
    ends = nct.solve(problem, 8).params
    w, h = jnp.asarray(ends.weights[0]), jnp.asarray(ends.features)
    covariance = jnp.asarray(np.cov(targets, bias=True))
    assert np.max(nct.measures.principal_subspace_error(h, 2)) < 1e-16
    assert np.max(nct.measures.weight_subspace_error(w, h)) < 1e-16
    assert np.max(nct.measures.regression_gram_distance(w, covariance, lam_w * lam_h)) < 1e-16
    assert np.min(nct.measures.regression_gram_distance(w, covariance, 0.0)) > 1e-6
    # Without decay (Theorem 4.3 of the paper) any W of full rank interpolates, with features off its row space.
    weights = rng.normal(size=(2, 4))
    null = np.linalg.svd(weights)[2][2:].T
    features = np.linalg.pinv(weights) @ targets + null @ rng.normal(size=(2, 12))
    np.testing.assert_allclose(weights @ features, targets, atol=1e-12)
    assert float(nct.measures.principal_subspace_error(jnp.asarray(features), 2)) > 0.01
    assert float(nct.measures.weight_subspace_error(jnp.asarray(weights), jnp.asarray(features))) > 0.01
