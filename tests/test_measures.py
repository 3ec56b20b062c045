"""Measures of collapse: against plain NumPy, at exact collapse, at zero, batched, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct

LABELS = np.repeat(np.arange(4), 5)
MEASURES = {
    "nc1": lambda h: nct.measures.within_class_variability(h, LABELS, 4),
    "nc2": lambda h: nct.measures.distance_to_simplex_etf(h, LABELS, 4),
    "nc3": lambda h: nct.measures.self_duality_distance(jnp.asarray(np.eye(4, 6)), h, LABELS, 4),
    "nc4": lambda h: nct.measures.nearest_centre_agreement(jnp.asarray(np.eye(4, 6)) @ h, h, LABELS, 4),
    "margin": lambda h: nct.measures.margin(jnp.asarray(np.eye(4, 6)) @ h, LABELS),
}


def collapsed(frame):
    return jnp.asarray(np.vstack([frame, np.zeros((2, 4))])[:, LABELS])


ETF = np.eye(4) - 0.25


def test_within_class_variability_against_the_definition(rng):
    h = rng.normal(size=(6, 20))
    means = np.stack([h[:, k == LABELS].mean(axis=1) for k in range(4)], axis=1)
    deviations, centred = h - means[:, LABELS], means - means.mean(axis=1, keepdims=True)
    within, between = deviations @ deviations.T / 20, centred @ centred.T / 4
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 4
    assert float(MEASURES["nc1"](jnp.asarray(h))) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_exact_collapse_is_zero_at_any_scale(scale):
    h = scale * collapsed(ETF)
    assert float(MEASURES["nc1"](h)) < 1e-30
    assert float(MEASURES["nc2"](h)) == pytest.approx(0, abs=1e-14)
    assert (
        float(nct.measures.self_duality_distance(jnp.asarray(np.eye(4, 6) - 0.25 * np.eye(6)[:4].sum(0)), h, LABELS, 4))
        < 1e-7
    )
    assert float(MEASURES["nc4"](h)) == 1.0
    assert float(MEASURES["margin"](h)) == pytest.approx(scale)


def test_what_is_not_an_etf_is_seen(rng):
    assert float(MEASURES["nc2"](collapsed(np.diag([1.0, 1, 1, 2])))) > 0.1
    assert float(MEASURES["nc1"](collapsed(ETF) + 0.1 * rng.normal(size=(6, 20)))) > 1e-3
    assert float(nct.measures.distance_to_frame(jnp.eye(4), jnp.eye(4))) == 0.0
    assert float(nct.measures.distance_to_frame(jnp.eye(4), nct.closed_form.simplex_etf(4))) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("where", ["zero", "collapse", "random"])
def test_values_and_gradients_are_finite_everywhere(name, where, rng):
    h = {"zero": jnp.zeros((6, 20)), "collapse": collapsed(ETF), "random": jnp.asarray(rng.normal(size=(6, 20)))}[where]
    value, gradient = jax.value_and_grad(MEASURES[name])(h)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    if where == "random" and name != "nc4":
        direction = jnp.asarray(rng.normal(size=h.shape))
        numeric = (MEASURES[name](h + 1e-6 * direction) - MEASURES[name](h - 1e-6 * direction)) / 2e-6
        assert float(jnp.sum(gradient * direction)) == pytest.approx(float(numeric), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", MEASURES)
def test_leading_axes_are_batches(name, rng):
    h = jnp.asarray(rng.normal(size=(2, 3, 6, 20)))
    batched = MEASURES[name](h)
    assert batched.shape == (2, 3)
    np.testing.assert_allclose(batched[1, 2], MEASURES[name](h[1, 2]), rtol=1e-12)


@pytest.mark.parametrize("name", ["nc1", "nc2"])
def test_traced_features_keep_their_dtype_and_others_are_measured_in_float64(name, rng):
    h = rng.normal(size=(6, 20)).astype(np.float32)
    exact = MEASURES[name](h.astype(np.float64))
    assert jax.jit(MEASURES[name])(jnp.asarray(h)).dtype == jnp.float32
    for same in (h, jnp.asarray(h), h.tolist()):
        found = MEASURES[name](same)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, exact)


@pytest.mark.slow
def test_trained_end_states_are_collapsed():
    problem = nct.unconstrained_features(
        counts=(5,) * 4, dim=6, loss="cross_entropy", weight_decay=(0.01, 0.01), bias=None
    )
    ends = nct.solve(problem, 8).params
    h, w = jnp.asarray(ends.features), jnp.asarray(ends.weights[0])
    assert np.max(nct.measures.within_class_variability(h, LABELS, 4)) < 1e-16
    assert np.max(nct.measures.distance_to_simplex_etf(h, LABELS, 4)) < 1e-9
    assert np.max(nct.measures.self_duality_distance(w, h, LABELS, 4)) < 1e-7
    assert np.min(nct.measures.margin(w @ h, LABELS)) > 1
