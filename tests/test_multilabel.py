"""The pick-all-label loss and its theorem: the loss itself, the scalar program, certificates, refusals."""

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from tests.helpers import BIASES, random_points
from tests.tagged import all_sets, model, onset, samples_of

SETTINGS = ((4, {1: 2, 2: 1}), (4, {1: 1, 2: 1, 3: 2}), (4, {2: 2}), (5, {1: 1, 3: 1}), (3, {1: 4}), (2, {1: 1}))


def by_scipy(classes, samples, lam):
    """The printed program in w and the a_m: eliminating w leaves a convex one, solved from three starts."""
    m = np.arange(1, classes)
    kept = samples > 0
    m, n = m[kept], samples[kept]
    price = (classes - 1) * n * m * (classes - m) / classes

    def both(a):
        norm = np.sqrt(np.sum(price * a**2))
        tail = (classes - m) * np.exp(-a)
        value = np.sum(n / n.sum() * m * np.log(m + tail)) + lam * norm
        return value, -n / n.sum() * m * tail / (m + tail) + lam * price * a / max(norm, 1e-300)

    best: Any = None
    for start in (0.01, 1.0, 8.0):
        options = {"maxiter": 3000, "ftol": 1e-16, "gtol": 1e-13}
        bounds = [(0, None)] * m.size
        found = scipy.optimize.minimize(
            both, np.full(m.size, start), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        best = found if best is None or found.fun < best.fun else best
    at_zero = np.sum(n / n.sum() * m) * np.log(classes)
    return min(best.fun, at_zero), best.x


def test_the_loss_is_the_sum_of_cross_entropies_over_the_tags(rng):
    targets = np.asarray(nct.problems.tag_indicators(all_sets(4, {1: 1, 2: 1, 3: 1}), 4))
    logits = jnp.asarray(3 * rng.normal(size=targets.shape))
    expected = [
        sum(-jax.nn.log_softmax(z)[k] for k in np.flatnonzero(y)) for z, y in zip(logits.T, targets.T, strict=True)
    ]
    np.testing.assert_allclose(nct.losses.pick_all_label().value(logits, targets), jnp.stack(expected), rtol=1e-13)
    far = nct.losses.pick_all_label().value(logits + 1e8, targets) - nct.losses.pick_all_label().value(logits, targets)
    assert np.max(np.abs(far)) < 1e-6
    by_autodiff = jax.grad(lambda z: jnp.sum(nct.losses.pick_all_label().value(z, targets)))(logits)
    np.testing.assert_allclose(nct.losses.pick_all_label().gradient(logits, targets), by_autodiff, atol=1e-14)


def test_conjugate_and_recentring(rng):
    """Fenchel: equality at gradients, inequality elsewhere; recentring stays in the domain and balances the columns."""
    loss, targets = (
        nct.losses.pick_all_label(),
        np.asarray(nct.problems.tag_indicators([{0}, {1, 2}, {0, 1, 3}, {2}, {0, 3}], 4)),
    )
    for size in (0.1, 3.0, 30.0):
        z, other = (jnp.asarray(size * rng.normal(size=targets.shape)) for _ in range(2))
        dual = loss.gradient(z, targets)
        equal = loss.conjugate(dual, targets) + loss.value(z, targets) - jnp.sum(dual * z, axis=0)
        np.testing.assert_allclose(equal, 0, atol=1e-11 * size)
        gap = loss.conjugate(dual, targets) + loss.value(other, targets) - jnp.sum(dual * other, axis=0)
        assert np.all(np.asarray(gap) > -1e-12)
        q = rng.dirichlet(np.ones(5))
        moved = loss.recentre(dual, targets, q)
        np.testing.assert_allclose(moved @ q, 0, atol=1e-14)
        distribution = (moved + targets) / targets.sum(axis=0)[None, :]
        assert np.min(distribution) >= 0
        np.testing.assert_allclose(distribution.sum(axis=0), 1, atol=1e-14)
        assert np.all(np.isfinite(loss.conjugate(moved, targets)))


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
def test_bounds_hold_at_any_point_and_close_at_the_convex_minimum(bias, rng):
    """Also for tags that are not balanced, where no closed form is known; the program by cvxpy."""
    tags = [{0}, {0, 1}, {1, 2}, {0, 1, 2}, {3}, {1, 3}]
    problem = nct.multi_label_features(tags=tags, dim=4, weight_decay=(0.05, 0.02), bias=bias)
    y, lam = np.asarray(problem.targets), np.sqrt(0.001)
    z, b = cp.Variable(y.shape), cp.Variable((4, 1))
    shifted = z if bias is None else z + b @ np.ones((1, 6))
    fit = sum(y[:, j].sum() * cp.log_sum_exp(shifted[:, j]) - y[:, j] @ shifted[:, j] for j in range(6)) / 6
    cost = fit + lam * cp.normNuc(z) + (0 if bias is None else bias / 2 * cp.sum_squares(b))
    least: Any = cp.Problem(cp.Minimize(cost)).solve(solver="SCS", eps=1e-9, max_iters=100_000)
    for scale in (0.0, 0.3, 3.0, 100.0):
        assert np.all(nct.certify(problem, random_points(problem, 8, rng, scale)).lower_bound <= least + 1e-7)
    ensemble = nct.solve(problem, 4)
    bound = nct.certify(problem, ensemble.params)
    assert bound.reason is None
    assert np.all(bound.closed(ensemble.value))
    assert ensemble.value.min() == pytest.approx(least, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "copies"), SETTINGS)
def test_scales_solve_the_scalar_program(classes, copies, rng):
    samples = samples_of(classes, copies)
    threshold = onset(classes, copies)
    for relative in (*10.0 ** rng.uniform(-6, 0, size=5), 0.97, 0.9999, 1.0001, 1.03, 20.0):
        ratio = 10.0 ** rng.uniform(-2, 2)
        found = nct.closed_form.tag_scales(
            model(classes, copies, (relative * threshold * ratio, relative * threshold / ratio))
        )
        value, scales = by_scipy(classes, samples, relative * threshold)
        assert float(found.value) == pytest.approx(value, rel=1e-9)
        assert float(found.onset) == pytest.approx(threshold, rel=1e-13)
        kept = samples > 0
        if relative < 1:
            assert np.all(np.asarray(found.scales)[kept] > 0)
        else:
            assert np.all(found.scales == 0)
        if 1e-3 < relative < 0.98:
            np.testing.assert_allclose(np.asarray(found.scales)[kept], scales, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(found.scales)[~kept], 0)


@pytest.mark.parametrize("samples", [(1e6, 3.0, 0.0), (3.0, 60.0, 4e5), (1.0, 0.0, 0.0)])
def test_scales_with_very_unequal_multiplicities(samples, rng):
    from nctheory.closed_form._pick_all import _solve

    n, m = np.asarray(samples), np.arange(1, 4)
    threshold = np.sqrt(np.sum(n * m * (4 - m)) / 12) / n.sum()
    for relative in (1e-5, 0.1, 0.99, 1.01):
        value, _ = by_scipy(4, n, relative * threshold)
        assert float(_solve(jnp.asarray(n), relative * threshold, 4).value) == pytest.approx(value, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize(("classes", "copies"), SETTINGS)
def test_an_independent_solver_finds_nothing_lower(classes, copies, bias, rng):
    lam = float(rng.choice([0.1, 0.5, 0.97, 1.03])) * onset(classes, copies)
    problem = model(classes, copies, (lam * 1.5, lam / 1.5), dim=max(classes - 1, 1), bias=bias)
    minimum = nct.global_minimum(problem)
    assert minimum.theorem == "mlab-pal"
    point = nct.closed_form.minimiser(problem, minimum, 2)
    start = np.asarray(nct.problems.ravel(point))

    @jax.jit
    def both(vector):
        value, gradient = problem.value_and_grad(nct.problems.unravel(problem, vector))
        return value, nct.problems.ravel(gradient)

    value, gradient = both(start)
    assert float(value) == pytest.approx(float(minimum.value), rel=1e-13)
    assert np.linalg.norm(gradient) < 1e-12
    found = scipy.optimize.minimize(
        lambda v: tuple(np.asarray(x) for x in both(v)),
        start + 1e-2 * rng.normal(size=start.shape),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 3000, "ftol": 1e-16, "gtol": 1e-10},
    )
    assert found.fun >= float(minimum.value) * (1 - 1e-12)
    w, h = np.asarray(point.weights[0]), np.asarray(point.features)
    np.testing.assert_allclose(w @ w.T, minimum.gram_weights, atol=1e-12)
    np.testing.assert_allclose(h.T @ h, minimum.gram_features, atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.svd(minimum.product)[1][: classes - 1], minimum.singular_values[:-1], atol=1e-12
    )
    assert np.sum(w**2) == pytest.approx(float(minimum.weight_norm), abs=1e-12)
    # h_S = C_m times the sum of its tags' classifiers.
    squared = minimum.gram_weights[0, 0] * classes / (classes - 1)
    if squared > 0:
        sizes = np.asarray(problem.targets).sum(axis=0).astype(int)
        factors = np.asarray(nct.closed_form.tag_scales(problem).scales)[sizes - 1] / squared
        np.testing.assert_allclose(h, w.T @ problem.targets * factors, atol=1e-11)
