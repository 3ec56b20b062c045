"""Closed forms against scalar optimisation, and the hypotheses that they refuse to do without."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.closed_form import soft_value
from nctheory.closed_form._critical_points import smaller_root


def balanced(loss, classes, n, dim, decay, bias=None):
    return nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss=loss, weight_decay=decay, bias=bias)


def random_setting(rng):
    classes, n = int(rng.integers(2, 12)), int(rng.integers(1, 20))
    strength = np.exp(rng.uniform(np.log(1e-3), np.log(3)))
    if rng.random() < 0.4:
        strength = 1 + rng.uniform(-0.03, 0.03)
    product, ratio = (strength / classes) ** 2 / n, 10.0 ** rng.uniform(-2, 2)
    return classes, n, strength, (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))


def test_cross_entropy_scale_minimises_the_scalar_problem(rng):
    for _ in range(40):
        classes, n, strength, decay = random_setting(rng)
        minimum = nct.global_minimum(balanced("cross_entropy", classes, n, classes, decay))
        kappa = strength / classes

        def value(a, classes=classes, kappa=kappa):
            return np.log1p((classes - 1) * np.exp(-a)) + kappa * (classes - 1) * a

        best: Any = scipy.optimize.minimize_scalar(value, bounds=(0, 40), method="bounded", options={"xatol": 1e-12})
        assert minimum.value <= min(best.fun, value(0.0)) + 1e-13
        assert minimum.value == pytest.approx(min(best.fun, value(0.0)), rel=1e-9)
        if strength >= 1:
            assert np.max(np.abs(minimum.logits)) == 0.0


@pytest.mark.slow
def test_squared_error_minimises_over_the_spectrum(rng):
    """Each singular direction on its own: min over s of the fit plus kappa s, by bounded scalar search."""
    for _ in range(40):
        classes, n, strength, decay = random_setting(rng)
        penalty = strength / classes  # kappa, per unit of class-mean singular value
        bias = [None, 0.0, 10.0 ** rng.uniform(-3, 3)][int(rng.integers(3))]
        minimum = nct.global_minimum(balanced("mse", classes, n, classes, decay, bias))
        weight = 1.0 if bias is None else bias / (1 + bias)

        def value(s, w, classes=classes, penalty=penalty):
            return 0.5 * w * (s - 1) ** 2 / classes + penalty * s

        def least(w, value=value):
            options = {"xatol": 1e-13}
            found: Any = scipy.optimize.minimize_scalar(
                value, args=(w,), bounds=(0, 1), method="bounded", options=options
            )
            return min(found.fun, value(0.0, w))

        assert minimum.value == pytest.approx((classes - 1) * least(1.0) + least(weight), rel=1e-9)


@pytest.mark.parametrize("bias", [None, 0.0, 0.02, 5.0])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("reduced", [False, True])
def test_a_minimum_is_consistent_with_itself(loss, bias, reduced):
    problem = balanced(loss, 4, 3, 5, (0.03, 0.08), bias)
    problem = nct.problems.reduce_to_class_means(problem) if reduced else problem
    minimum = nct.global_minimum(problem)
    # Build W and H from the Gram matrices' common eigenbasis and evaluate the objective itself.
    left, singular, right = np.linalg.svd(minimum.product * np.sqrt(problem.multiplicity), full_matrices=False)
    singular = np.where(singular < 1e-12, 0.0, singular)  # rounding, of which a square root would be taken
    lam_w, lam_h = np.asarray(problem.weight_decay)
    weights = np.zeros((4, 5))
    features = np.zeros((5, problem.targets.shape[1]))
    weights[:, :4] = left * np.sqrt(singular * np.sqrt(lam_h / lam_w))
    features[:4] = (right.T * np.sqrt(singular * np.sqrt(lam_w / lam_h))).T / np.sqrt(problem.multiplicity)
    point = nct.problems.ChainParams((weights,), features, minimum.bias)
    value, gradient = problem.value_and_grad(point)
    assert value == pytest.approx(float(minimum.value), rel=1e-13)
    assert np.linalg.norm(nct.problems.ravel(gradient)) < 1e-13
    np.testing.assert_allclose(weights @ weights.T, minimum.gram_weights, atol=1e-12)
    np.testing.assert_allclose(features.T @ features, minimum.gram_features, atol=1e-12)
    np.testing.assert_allclose(singular, minimum.singular_values, atol=1e-12)
    assert np.sum(weights**2) == pytest.approx(float(minimum.weight_norm))
    assert np.sum(problem.multiplicity * features**2) == pytest.approx(float(minimum.feature_norm))
    np.testing.assert_allclose(problem.logits(point), minimum.logits, atol=1e-12)


REFUSALS = [
    (dict(counts=(3, 2), bias=0.0), "balanced counts, got \\(3, 2\\)"),
    (dict(dim=1, counts=(3, 3, 3)), "dim >= K"),
    (dict(weight_decay=(0.0, 0.1)), "lambda_W > 0"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSALS)
def test_a_failing_hypothesis_is_named(change, reason):
    arguments: dict[str, Any] = dict(counts=(3, 3), dim=3, loss="cross_entropy", weight_decay=(0.1, 0.1))
    with pytest.raises(nct.NoClosedForm, match=reason):
        nct.global_minimum(nct.unconstrained_features(**{**arguments, **change}))


def test_depth_inputs_and_other_problems_are_refused():
    with pytest.raises(nct.NoClosedForm, match="two factors"):
        nct.global_minimum(
            nct.deep_linear(widths=(2, 2, 2), counts=(1, 1), loss="cross_entropy", weight_decay=(0.1,) * 3)
        )
    with pytest.raises(nct.NoClosedForm, match="inputs are given"):
        nct.global_minimum(
            nct.deep_linear(widths=(2, 2), inputs=np.eye(2), targets=np.eye(2), loss="mse", weight_decay=(0.1,))
        )
    with pytest.raises(nct.NoClosedForm, match="MinimalFactorisation"):
        nct.global_minimum(nct.problems.minimal_factorisation(np.eye(2), dim=2, weight_decay=(1.0, 1.0)))


def test_squared_error_needs_a_dimension_more_without_a_free_bias():
    nct.global_minimum(balanced("mse", 3, 2, 2, (0.1, 0.1), bias=0.0))
    for bias in (None, 0.5):
        with pytest.raises(nct.NoClosedForm, match="dim >= K = 3"):
            nct.global_minimum(balanced("mse", 3, 2, 2, (0.1, 0.1), bias=bias))


def test_differentiable_in_the_decay():
    def value(lam):
        problem = balanced("cross_entropy", 4, 5, 8, (lam, 0.02))
        return nct.global_minimum(problem).value

    slope = jax.grad(value)(0.01)
    step = 1e-6
    assert float(slope) == pytest.approx(float(value(0.01 + step) - value(0.01 - step)) / (2 * step), rel=1e-6)
    # Envelope theorem: d min / d lambda_W = |W|^2 / 2.
    assert float(slope) == pytest.approx(
        0.5 * float(nct.global_minimum(balanced("cross_entropy", 4, 5, 8, (0.01, 0.02))).weight_norm)
    )


def test_soft_value_is_continuous_and_flat_beyond_one():
    c = jnp.array([0.0, 0.5, 1.0, 7.0])
    np.testing.assert_allclose(soft_value(c), [0, 0.375, 0.5, 0.5])


IMPLICIT = {
    "focal onset, with a jump": (lambda x: nct.closed_form.focal_onset(x, 100), 3.0),
    "focal onset, without one": (lambda x: nct.closed_form.focal_onset(x, 4), 3.0),
    "the focal loss's barrier and far root": (lambda x: nct.closed_form.focal_scales(1.163, x, 100), 3.0),
    "focal scales in the strength": (lambda x: nct.closed_form.focal_scales(x, 3.0, 100), 1.16),
    "largest root": (lambda x: nct.closed_form.largest_root(jnp.stack([x, 2 * x]), 3), 0.2),
    "smaller root": (lambda x: smaller_root(jnp.stack([x, 2 * x]), 3), 0.2),
    "scales of tags": (
        lambda x: (
            nct.closed_form.tag_scales(
                nct.multi_label_features(tags=((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)), dim=3, weight_decay=(x, x))
            ).scales
        ),
        0.02,
    ),
    "grouped cross-entropy": (
        lambda x: (
            nct.closed_form.imbalanced_cross_entropy_minimum(
                nct.unconstrained_features(counts=(4, 2), dim=2, loss="cross_entropy", weight_decay=(x, x))
            ).value
        ),
        0.05,
    ),
    "means of grouped cross-entropy": (
        lambda x: nct.closed_form.grouped_cross_entropy((1, 2), (3.0, 1.0), x).means,
        0.05,
    ),
    "deep cross-entropy": (
        lambda x: (
            nct.closed_form.deep_collapse(
                nct.deep_linear(widths=(3, 3, 2), counts=(2, 2), loss="cross_entropy", weight_decay=(x,) * 3)
            ).value
        ),
        0.02,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", IMPLICIT)
def test_first_and_second_derivatives_of_what_has_no_explicit_root_are_those_of_the_root(name):
    """The derivative of `focal_onset` ran through its halvings, and was 0.0983 in gamma where it is 0.0551."""
    function, at = IMPLICIT[name]
    step = 1e-4 * at
    for one in (function, jax.jacfwd(function)):
        # Central differences of four points: the error is a fifth derivative times the fourth power of the step.
        near, far = (one(at + k * step) - one(at - k * step) for k in (1, 2))
        np.testing.assert_allclose(jax.jacfwd(one)(at), (8 * near - far) / (12 * step), rtol=1e-7, atol=1e-9)
