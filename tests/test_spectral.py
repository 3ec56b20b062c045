"""Soft-thresholded targets: squared error with a free bias under imbalance, and neural regression collapse."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

import nctheory as nct
from nctheory.closed_form import closed_forms
from proofs_numeric.regression.targets import strength
from tests.helpers import random_points

COUNTS = ((1, 1), (2, 1), (5, 3, 2, 1), (4, 4, 1, 1), (7, 7, 7), (1000, 10, 1), (100, 100, 1, 1, 1))
SHAPES = ((3, 4, 12), (2, 2, 9), (4, 5, 3), (1, 1, 6))


def imbalanced(counts, dim, decay, bias: float | None = 0.0, reduced=False):
    problem = nct.unconstrained_features(counts=counts, dim=dim, loss="mse", weight_decay=decay, bias=bias)
    return nct.problems.reduce_to_class_means(problem) if reduced else problem


def regression(targets, dim, decay, bias: float | None = 0.0):
    return nct.deep_linear(widths=(dim, targets.shape[0]), targets=targets, loss="mse", weight_decay=decay, bias=bias)


def best_scalar(sigma, samples, lam):
    """min over s >= 0 of (s - sigma)^2/2N + lam s, by bounded search in units of sigma."""
    if sigma == 0:
        return 0.0

    def value(s):
        return (s - 1) ** 2 * sigma**2 / (2 * samples) + lam * sigma * s

    found: Any = scipy.optimize.minimize_scalar(value, bounds=(0, 1), method="bounded", options={"xatol": 1e-13})
    return min(found.fun, value(0.0))


def decays(rng, samples, sigma):
    """Decays over six decades, or N lambda within 3 % of one of sigma."""
    product = 10.0 ** rng.uniform(-6, 0)
    if rng.random() < 0.5:
        product = float(rng.choice(sigma) * (1 + rng.choice([-1, 1]) * rng.uniform(0.001, 0.03)) / samples)
    ratio = 10.0 ** rng.uniform(-2, 2)
    return float(product * ratio), float(product / ratio)


@pytest.mark.parametrize("counts", COUNTS)
def test_each_direction_minimises_its_scalar_problem(counts, rng):
    n = np.asarray(counts, dtype=float)
    squared = scipy.linalg.eigvalsh(np.diag(n) - np.outer(n, n) / n.sum())[::-1][: n.size - 1]
    sigma = np.sqrt(squared)
    for _ in range(12):
        decay = decays(rng, n.sum(), sigma)
        lam = np.sqrt(decay[0] * decay[1])
        minimum = nct.closed_form.imbalanced_squared_error_minimum(imbalanced(counts, n.size - 1, decay, reduced=True))
        assert minimum.value == pytest.approx(sum(best_scalar(s, n.sum(), lam) for s in sigma), rel=1e-9)
        np.testing.assert_allclose(
            minimum.singular_values, np.append(np.maximum(sigma - n.sum() * lam, 0), 0), rtol=1e-10, atol=1e-13
        )
        np.testing.assert_allclose(np.asarray(minimum.bias), n / n.sum(), rtol=1e-14)


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize(("counts", "dim"), [((5, 3, 2, 1), 4), ((5, 3, 2, 1), 2), ((4, 4, 1, 1), 3), ((6, 2), 1)])
def test_agrees_with_the_theorem_on_chains_of_any_depth(counts, dim, reduced, rng):
    proved = dict(closed_forms())
    for _ in range(3):
        sigma = nct.closed_form.class_target_spectrum(counts, reduced=True)[1]
        problem = imbalanced(counts, dim, decays(rng, sum(counts), sigma), reduced=reduced)
        ours, chain = nct.closed_form.imbalanced_squared_error_minimum(problem), proved["dang-mse-imb"][1](problem)
        assert nct.global_minimum(problem).theorem == ours.theorem == "ufm-mse-bias-imbalanced"
        for name in (
            "value",
            "logits",
            "gram_weights",
            "gram_features",
            "layer_singular_values",
            "bias",
            "weight_norm",
        ):
            np.testing.assert_allclose(getattr(ours, name), getattr(chain, name), rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("reduced", [False, True])
def test_agrees_with_balanced_classes(reduced, rng):
    for classes, n in ((2, 1), (3, 4), (5, 2)):
        for relative in (0.3, 0.98, 1.02):
            decay = (relative / classes / np.sqrt(n) * 2, relative / classes / np.sqrt(n) / 2)
            problem = imbalanced((n,) * classes, classes, decay, reduced=reduced)
            ours, balanced = nct.closed_form.imbalanced_squared_error_minimum(problem), nct.global_minimum(problem)
            assert balanced.theorem == "ufm-mse-bias"
            for name, value in ours._asdict().items():
                if name not in ("theorem", "stationary_values"):
                    np.testing.assert_allclose(value, getattr(balanced, name), rtol=0, atol=1e-12, err_msg=name)


def random_regression(n: int, dim: int, samples: int, bias: float | None):
    generator = np.random.default_rng(4)
    return regression(generator.normal(size=(n, samples)) + 1, dim, (0.2, 0.03), bias)


CASES = [
    (lambda: imbalanced((5, 3, 2, 1), 4, (0.05, 0.02)), "ufm-mse-bias-imbalanced"),
    (lambda: imbalanced((5, 3, 2, 1), 2, (0.01, 0.03)), "ufm-mse-bias-imbalanced"),
    (lambda: imbalanced((4, 4, 1, 1), 3, (0.2, 0.05), reduced=True), "ufm-mse-bias-imbalanced"),
    *(
        (lambda s=shape, b=bias: random_regression(s[0], s[1], s[2], b), "nrc")
        for shape in SHAPES
        for bias in (0.0, None)
    ),
    (lambda: random_regression(4, 2, 9, 0.0), "nrc"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("build", "theorem"), CASES)
def test_an_independent_solver_finds_nothing_lower(build, theorem, rng):
    problem = build()
    minimum = nct.global_minimum(problem)
    assert minimum.theorem == theorem
    start = np.asarray(nct.problems.ravel(nct.closed_form.minimiser(problem, minimum, 1)))

    @jax.jit
    def both(vector):
        value, gradient = problem.value_and_grad(nct.problems.unravel(problem, vector))
        return value, nct.problems.ravel(gradient)

    value, gradient = both(start)
    assert float(value) == pytest.approx(float(minimum.value), rel=1e-12)
    assert np.linalg.norm(gradient) < 1e-12
    np.testing.assert_allclose(problem.logits(nct.problems.unravel(problem, start)), minimum.logits, atol=1e-12)
    for size in (1e-3, 1.0):
        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(x) for x in both(v)),
            start + size * rng.normal(size=start.shape),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10},
        )
        assert found.fun >= float(minimum.value) * (1 - 1e-12)
        assert found.fun == pytest.approx(float(minimum.value), rel=1e-9)


@pytest.mark.parametrize(("n", "dim", "samples"), SHAPES)
@pytest.mark.parametrize("bias", [0.0, None])
def test_regression_against_scalar_problems_and_a_matrix_square_root(n, dim, samples, bias, rng):
    for _ in range(6):
        targets = rng.normal(size=(n, n)) @ rng.normal(size=(n, samples)) + 2 * rng.normal(size=(n, 1))
        mean = targets.mean(axis=1, keepdims=True) if bias is not None else np.zeros((n, 1))
        centred = targets - mean
        sigma = np.linalg.svd(centred, compute_uv=False)
        sigma = sigma[sigma > 1e-9]
        decay = decays(rng, samples, sigma)
        lam = np.sqrt(decay[0] * decay[1])
        minimum = nct.closed_form.regression_minimum(regression(targets, max(dim, n), decay, bias))
        assert minimum.value == pytest.approx(sum(best_scalar(s, samples, lam) for s in sigma), rel=1e-9)
        # In the paper's terms, lambda_H being M times ours: the positive part of Sigma^(1/2) - sqrt(c).
        covariance, lam_h = centred @ centred.T / samples, samples * decay[1]
        root = np.real(scipy.linalg.sqrtm(covariance + 1e-300 * np.eye(n))) - np.sqrt(decay[0] * lam_h) * np.eye(n)
        values, vectors = scipy.linalg.eigh(root)
        gram = np.sqrt(lam_h / decay[0]) * (vectors * np.maximum(values, 0)) @ vectors.T
        np.testing.assert_allclose(minimum.gram_weights, gram, rtol=0, atol=float(1e-7 * np.linalg.norm(gram) + 1e-9))


def test_the_paper_divides_the_feature_decay_by_the_number_of_samples(rng):
    targets, lam_w, lam_h = rng.normal(size=(3, 7)), 0.3, 0.4
    problem = regression(targets, 4, (lam_w, lam_h / 7))
    point = jax.tree.map(lambda x: x[0], random_points(problem, 1, rng))
    w, h, b = point.weights[0], point.features, point.bias
    papers = np.sum((w @ h + b[:, None] - targets) ** 2) / 14 + lam_h / 14 * np.sum(h**2) + lam_w / 2 * np.sum(w**2)
    assert float(problem.objective(point)) == pytest.approx(papers, rel=1e-14)
    assert float(strength(problem)) == pytest.approx(lam_w * lam_h, rel=1e-14)


def test_below_the_least_eigenvalue_the_printed_formulas_hold(rng):
    targets, lam_w, lam_h = 3 * rng.normal(size=(3, 20)) + 1, 0.2, 0.5
    centred = targets - targets.mean(axis=1, keepdims=True)
    covariance, c = centred @ centred.T / 20, lam_w * lam_h
    root = np.real(scipy.linalg.sqrtm(covariance))
    assert c < scipy.linalg.eigvalsh(covariance)[0]
    problem = regression(targets, 5, (lam_w, lam_h / 20))
    minimum = nct.global_minimum(problem)
    expected = 3 * c / 2 + np.sqrt(c) * np.trace(root - np.sqrt(c) * np.eye(3))
    assert float(minimum.value) == pytest.approx(expected, rel=1e-12)
    residual = -np.sqrt(c) * np.linalg.solve(root, centred)
    np.testing.assert_allclose(minimum.logits - targets, residual, atol=1e-12)
    assert float(lam_h * minimum.feature_norm) == pytest.approx(float(20 * lam_w * minimum.weight_norm), rel=1e-12)
    point = nct.closed_form.minimiser(problem, minimum)
    dual = np.sqrt(lam_w / lam_h) * point.weights[0].T @ np.linalg.solve(root, centred)
    np.testing.assert_allclose(np.asarray(point.features), dual, atol=1e-12)


def test_differentiable_and_batched_in_the_decays():
    targets = np.random.default_rng(1).normal(size=(3, 8))
    tied = (4, 4, 1, 1)

    def value(lam, build):
        return nct.global_minimum(build(lam)).value

    builders = (lambda lam: imbalanced(tied, 3, (lam, 0.05)), lambda lam: regression(targets, 3, (lam, 0.05)))
    grid = jnp.asarray([0.01, 0.1, 0.5, 3.0])
    for build in builders:
        slopes = jax.vmap(jax.grad(lambda lam, build=build: value(lam, build)))(grid)
        for lam, slope in zip(grid, slopes, strict=True):  # envelope theorem: d min / d lambda_W = |W|^2 / 2
            assert float(slope) == pytest.approx(0.5 * float(nct.global_minimum(build(float(lam))).weight_norm))
        gram = jax.jacfwd(lambda lam, build=build: nct.global_minimum(build(lam)).gram_weights)(0.02)
        step = [nct.global_minimum(build(0.02 + e)).gram_weights for e in (1e-6, -1e-6)]
        np.testing.assert_allclose(gram, (step[0] - step[1]) / 2e-6, rtol=1e-5, atol=1e-7)
        whole = jax.jit(lambda problem: nct.global_minimum(problem).value)(build(0.1))
        assert float(whole) == pytest.approx(float(value(0.1, build)), rel=1e-14)


REFUSALS = [
    (lambda: imbalanced((3, 2), 2, (0.1, 0.1), bias=0.5), "ufm-mse-bias-imbalanced: needs bias None or free .*0.5"),
    (lambda: imbalanced((3, 2), 2, (0.0, 0.1)), "ufm-mse-bias-imbalanced: needs lambda_W > 0, got 0.0"),
    (lambda: imbalanced((4, 4, 4), 1, (0.01, 0.01)), "ufm-mse-bias-imbalanced: the rank cut at width 1 falls between"),
    (lambda: regression(np.eye(2), 1, (0.01, 0.01), None), "nrc: the rank cut at width 1 falls between equal"),
    (lambda: regression(np.ones((2, 3)), 2, (0.1, 0.1), 0.2), "nrc: needs bias None or free .*, got decay 0.2"),
    (lambda: imbalanced((3, 2), 2, (0.1, 0.1), bias=0.5), "nrc: needs bias None or free"),
    (
        lambda: nct.deep_linear(widths=(2, 2), inputs=np.eye(2), targets=np.eye(2), loss="mse", weight_decay=(0.1,)),
        "nrc: features must be free, but inputs are given",
    ),
    (
        lambda: nct.deep_linear(widths=(2, 2, 2), targets=np.eye(2), loss="mse", weight_decay=(0.1,) * 3),
        "nrc: needs two factors W H .*depth 1.*, got depth 2",
    ),
]


@pytest.mark.parametrize(("build", "reason"), REFUSALS)
def test_a_failing_hypothesis_is_named(build, reason):
    with pytest.raises(nct.NoClosedForm, match=reason):
        nct.global_minimum(build())


def test_labels_and_targets_are_kept_apart():
    with pytest.raises(nct.NoClosedForm, match="needs real targets, got class labels"):
        nct.closed_form.regression_minimum(imbalanced((3, 2), 2, (0.1, 0.1)))
    with pytest.raises(nct.NoClosedForm, match="needs class labels, got arbitrary targets"):
        nct.closed_form.imbalanced_squared_error_minimum(regression(np.eye(2), 2, (0.1, 0.1)))
    with pytest.raises(nct.NoClosedForm, match=r"needs a free bias \(0.0\), got bias None"):
        nct.closed_form.imbalanced_squared_error_minimum(imbalanced((3, 2), 2, (0.1, 0.1), bias=None))
    labelled = imbalanced((3, 2), 2, (0.1, 0.1))
    plain = regression(np.asarray(labelled.targets), 2, (0.1, 0.1))
    ours, nrc = nct.global_minimum(labelled), nct.global_minimum(plain)
    assert (ours.theorem, nrc.theorem) == ("ufm-mse-bias-imbalanced", "nrc")
    np.testing.assert_allclose(ours.logits, nrc.logits, atol=1e-14)
