"""Deep linear squared error: roots, phases, values and lists of stationary values against independent mathematics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.closed_form import NoClosedForm
from tests.helpers import brute_force_hessian

COUNTS = ((1, 1), (3, 2), (5, 5, 2), (1000, 10, 1))


def chain(depth, counts, decay, bias=None, width=None, reduced=True):
    classes = len(counts)
    widths = (width or classes,) * depth + (classes,)
    problem = nct.deep_linear(widths=widths, counts=counts, loss="mse", weight_decay=decay, bias=bias)
    return nct.problems.reduce_to_class_means(problem) if reduced else problem


def scalar_optimum(sigma, samples, decay):
    """min over s >= 0 of (s - sigma)^2/2N + F/2 (prod decay)^(1/F) s^(2/F), by a scan and a bounded search in log s."""
    factors = len(decay)
    price = 0.5 * factors * np.exp(np.mean(np.log(decay)))

    def cost(log_s):
        s = np.exp(log_s)
        return (s - sigma) ** 2 / (2 * samples) + price * s ** (2 / factors)

    best = (sigma**2 / (2 * samples), 0.0)
    grid = np.log(sigma) + np.linspace(-40, 0.1, 4001)
    values = cost(grid)
    for i in np.flatnonzero((values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])) + 1:
        found: Any = scipy.optimize.minimize_scalar(
            cost, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-12}
        )
        best = min(best, (float(found.fun), float(np.exp(found.x))))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("bias", [None, 0.0])
def test_value_and_singular_values_are_the_scalar_optima(depth, counts, bias, rng):
    samples, n = sum(counts), np.asarray(counts, dtype=float)
    gram = np.diag(n) if bias is None else np.diag(n) - np.outer(n, n) / samples
    sigma = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))[: len(n) - (bias is not None)]
    for _ in range(6):
        decay = tuple(10.0 ** rng.uniform(-5, 0, size=depth + 1))
        minimum = nct.closed_form.imbalanced_deep_mse_minimum(chain(depth, counts, decay, bias))
        found = [scalar_optimum(s, samples, decay) for s in sigma]
        assert float(minimum.value) == pytest.approx(sum(v for v, _ in found), rel=1e-9)
        expected = np.sort([s for _, s in found])[::-1]
        np.testing.assert_allclose(
            np.asarray(minimum.singular_values)[: len(sigma)], expected, rtol=1e-6, atol=1e-9 * sigma[0]
        )


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_onset_and_spinodal_are_where_they_are_said_to_be(depth):
    def least(b):
        x = np.exp(np.linspace(-12, 8, 40001))
        return np.min(1 / (x**depth + 1) + b * x)

    onset, spinodal = nct.closed_form.onset(depth), nct.closed_form.spinodal(depth)
    assert least(0.97 * onset) < 1 - 1e-5
    assert least(1.03 * onset) >= 1
    x = np.exp(np.linspace(-20, 8, 40001))
    assert np.max(depth * x ** (depth - 1) / (x**depth + 1) ** 2) == pytest.approx(spinodal, rel=1e-6)
    for b in (0.97 * spinodal, 1e-6):
        root = float(nct.closed_form.largest_root(jnp.asarray(b), depth))
        assert depth * root ** (depth - 1) / (root**depth + 1) ** 2 == pytest.approx(b, rel=1e-12)
    assert float(nct.closed_form.largest_root(jnp.asarray(1.0001 * spinodal), depth)) == 0.0


def test_the_root_is_differentiable():
    for depth, b in ((1, 0.3), (2, 0.4), (4, 0.1)):
        slope = jax.grad(lambda t, depth=depth: nct.closed_form.largest_root(t, depth))(jnp.asarray(b))
        step = 1e-6
        ahead, behind = (float(nct.closed_form.largest_root(jnp.asarray(b + s * step), depth)) for s in (1, -1))
        assert float(slope) == pytest.approx((ahead - behind) / (2 * step), rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("b", [0.51, 0.55, 0.6, 0.645])
def test_two_layers_between_onset_and_spinodal_predict_zero(b):
    """The root exists there and costs more than zero; taking it is a known mistake."""
    samples, n = 6, 2
    common = (b * n / (2 * samples)) ** (2 / 3) / samples ** (1 / 3)
    problem = chain(2, (2, 2, 2), (common,) * 3, reduced=False)
    minimum = nct.global_minimum(problem)
    assert float(minimum.value) == pytest.approx(0.5, abs=1e-14)
    assert float(jnp.max(jnp.abs(jnp.asarray(minimum.logits)))) == 0.0
    root = nct.closed_form.largest_root(jnp.asarray(b), 2)
    assert float(nct.closed_form.relative_cost(root, b, 2)) > 1.0
    listed = np.asarray(minimum.stationary_values)
    assert np.all(np.diff(listed) > 0)
    ends = nct.solve(problem, 24, scale=1.5)
    reached = ends.value[ends.converged]
    assert np.min(np.abs(reached[:, None] - listed[None, :]), axis=1).max() < 1e-9
    assert reached.max() > 0.5 + 1e-4  # some seeds do end at the root


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_an_independent_solver_does_not_leave_the_closed_form(depth, rng):
    for counts, bias, relative in (((4, 2, 1), None, 0.5), ((3, 3), 0.0, 0.9), ((4, 2, 1), None, 1.2)):
        base = relative * nct.closed_form.onset(depth) * 2 / (depth * sum(counts))
        common = (base**depth / sum(counts)) ** (1 / (depth + 1))
        problem = chain(depth, counts, (common,) * (depth + 1), bias, width=3, reduced=False)
        minimum = nct.global_minimum(problem)
        start = np.asarray(nct.problems.ravel(nct.closed_form.minimiser(problem, minimum, 5)))
        start = start + 1e-4 * rng.normal(size=start.shape)

        @jax.jit
        def both(v, problem=problem):
            value, gradient = problem.value_and_grad(nct.problems.unravel(problem, v))
            return value, nct.problems.ravel(gradient)

        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(x) for x in both(v)), start, jac=True, method="L-BFGS-B",
            options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11},
        )  # fmt: skip
        assert found.fun >= float(minimum.value) * (1 - 1e-12)
        assert found.fun == pytest.approx(float(minimum.value), rel=1e-9)


@pytest.mark.slow
def test_local_minimisers_are_the_prefixes_and_nothing_else():
    """Any directions at their largest roots make a critical point; its Hessian is positive off the gauge iff a prefix."""
    problem = nct.deep_linear(widths=(3, 3, 3), counts=(3, 2, 1), loss="mse", weight_decay=(0.03, 0.05, 0.02))
    minimum = nct.closed_form.imbalanced_deep_mse_minimum(problem)
    n, samples = np.array([3.0, 2.0, 1.0]), 6.0
    b = 2 * samples / n * np.sqrt(samples * 0.03 * 0.05 * 0.02)
    x = np.asarray(nct.closed_form.largest_root(jnp.asarray(b), 2))
    for on in np.ndindex(2, 2, 2):
        scale = np.where(on, x**2 / (1 + x**2), 0.0)
        point = nct.closed_form.minimiser(
            problem, minimum._replace(product=scale[:, None] * np.asarray(problem.targets)), 1
        )
        value, gradient = problem.value_and_grad(point)
        assert np.linalg.norm(nct.problems.ravel(gradient)) < 1e-12
        lowest = np.linalg.eigvalsh(brute_force_hessian(problem, point))[0]
        prefix = list(on) == sorted(on, reverse=True)
        assert (lowest > -1e-10) == prefix, on
        listed = np.min(np.abs(float(value) - np.asarray(minimum.stationary_values))) < 1e-12
        assert listed == prefix, on


def test_theorems_that_cover_one_problem_agree():
    for counts, bias in (((3, 3, 3), None), ((2, 2), 0.0)):
        problem = nct.unconstrained_features(counts=counts, dim=4, loss="mse", weight_decay=(0.03, 0.05), bias=bias)
        special = nct.global_minimum(problem)
        assert special.theorem in ("ufm-mse-nobias", "ufm-mse-bias")
        for general in (
            nct.closed_form.deep_mse_minimum(problem),
            nct.closed_form.imbalanced_deep_mse_minimum(problem),
        ):
            for name in ("value", "logits", "gram_weights", "gram_features", "singular_values", "weight_norm"):
                np.testing.assert_allclose(
                    np.asarray(getattr(general, name)), np.asarray(getattr(special, name)), rtol=0, atol=1e-12
                )


def test_hypotheses_are_named():
    good = {"widths": (3, 3, 3), "counts": (3, 2, 1), "loss": "mse", "weight_decay": (0.1,) * 3}
    with pytest.raises(NoClosedForm, match="loss mse, got cross_entropy"):
        nct.closed_form.imbalanced_deep_mse_minimum(nct.deep_linear(**{**good, "loss": "cross_entropy"}))
    with pytest.raises(NoClosedForm, match=r"weight_decay\[1\] > 0, got 0"):
        nct.closed_form.imbalanced_deep_mse_minimum(nct.deep_linear(**{**good, "weight_decay": (0.1, 0.0, 0.1)}))
    with pytest.raises(NoClosedForm, match=r"bias None or free"):
        nct.closed_form.imbalanced_deep_mse_minimum(nct.deep_linear(**good, bias=0.3))
    with pytest.raises(NoClosedForm, match=r"balanced counts, got \(3, 2, 1\)"):
        nct.closed_form.deep_mse_minimum(nct.deep_linear(**good))
    tied = nct.deep_linear(widths=(2, 2, 3), counts=(3, 3, 3), loss="mse", weight_decay=(0.01,) * 3)
    with pytest.raises(NoClosedForm, match="rank cut at width 2 falls between equal singular values"):
        nct.closed_form.imbalanced_deep_mse_minimum(tied)


@pytest.mark.slow
def test_a_step_of_the_flow_that_overflows_is_shortened():
    """Far out a chain of six factors is so steep that a step of the flow overflows; it must only cost time."""
    decay = (0.053,) * 6
    problem = nct.deep_linear(widths=(2,) * 6, counts=(3, 2), loss="mse", weight_decay=decay)
    ensemble = nct.solve(problem, 64, key=3, scale=1.8)
    assert ensemble.counts()["converged"] == 64
