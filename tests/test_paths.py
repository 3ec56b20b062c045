"""Paths: the flow is the true flow, descent is descent, and each says how far it may be trusted."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.integrate import solve_ivp

import nctheory as nct
from nctheory.problems import Problem
from tests.networks import white_network


def diagonal_starts(heights, layers=2):
    """Balanced, aligned starts, one a row."""
    size = np.asarray(heights, float) ** (1.0 / layers)
    return nct.problems.ChainParams(tuple(np.stack([np.diag(row) for row in size]) for _ in range(layers)), None, None)


def product_diagonal(problem, params):
    """Diagonal of W_L ... W_1."""
    out = params.weights[0]
    for weight in params.weights[1:]:
        out = weight @ out
    return jnp.diagonal(out)


def value_of(problem, params):
    """The objective."""
    return problem.objective(params)


class Stiff(Problem):
    """Half the sum of squares, weighted: rates that differ by eight orders of magnitude."""

    rates: jax.Array | np.ndarray

    def init(self, key, scale):
        """Ones, times the scale."""
        return scale * jnp.ones(self.rates.shape)

    def objective(self, params):
        """Quadratic."""
        return 0.5 * jnp.sum(self.rates * params**2)


class Slower(Problem):
    """A quadratic whose flow is not what it says: one component moves too slowly."""

    rates: jax.Array | np.ndarray

    def init(self, key, scale):
        """Normal."""
        return scale * jax.random.normal(key, self.rates.shape, jnp.float64)

    def objective(self, params):
        """Quadratic."""
        return 0.5 * jnp.sum(self.rates * params**2)

    def conservation_defect(self, start, params, time):
        """The ratio of two components of one rate, which the true flow keeps."""
        return jnp.abs(params[0] / params[1] - start[0] / start[1])

    def velocity(self, params):
        """The second component at 99 %."""
        return -self.rates * params * jnp.array([1.0, 0.99])


@pytest.mark.slow
@pytest.mark.parametrize("layers", [2, 3, 5])
def test_the_flow_of_aligned_networks_is_the_closed_form(layers):
    strengths, times = np.array([2.0, 1.2, 0.7]), np.linspace(0.2, 9.0, 12)
    heights = np.array([[0.05, 0.02, 0.01], [0.3, 0.1, 0.2]])
    network, starts = white_network(strengths, layers), diagonal_starts(heights, layers)
    paths = nct.gradient_flow(network, starts, times, observe=product_diagonal)
    exact = nct.closed_form.mode_height(layers, strengths[None, None, :], heights[:, None, :], times[None, :, None])
    away = np.linalg.norm(paths.values - exact, axis=2) / np.linalg.norm(exact, axis=2)
    assert away.max() < 1e-8
    assert np.all(np.linalg.norm(paths.values - exact, axis=2) <= 2 * paths.error + 1e-14)
    assert paths.counts()["followed"] == 2
    assert paths.drift.max() < 1e-12
    assert paths.dissipation.max() < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("number", [5, 65, 200])
def test_the_error_of_a_path_is_not_too_small_however_many_times_are_observed(number):
    strengths, times = np.array([2.0, 1.2, 0.7]), np.linspace(0.0, 9.0, number + 1)[1:]
    heights = np.exp(np.random.default_rng(0).uniform(np.log(1e-3), np.log(0.5), size=(40, 3)))
    network, starts = white_network(strengths, 2), diagonal_starts(heights, 2)
    for tolerance in (1e-12, 1e-11, 1e-8):
        paths = nct.gradient_flow(network, starts, times, observe=product_diagonal, tolerance=tolerance)
        exact = nct.closed_form.mode_height(2, strengths[None, None, :], heights[:, None, :], times[None, :, None])
        away = np.linalg.norm(paths.values - exact, axis=2)
        assert np.all(away <= 2 * paths.error + 1e-13)
        if tolerance < 1e-10:
            assert np.all(away <= 1e-8 * np.linalg.norm(exact, axis=2))


@pytest.mark.slow
def test_the_flow_agrees_with_another_integrator_and_with_the_implicit_method():
    model = nct.unconstrained_features(counts=(2, 2, 2), dim=2, loss="cross_entropy", weight_decay=(0.02, 0.01))
    starts, times = nct.starts(model, seeds=3, key=4), np.array([0.5, 2.0, 10.0])
    paths = nct.gradient_flow(model, starts, times)
    flat = np.concatenate([np.asarray(x).reshape(3, -1) for x in jax.tree.leaves(starts)], axis=1)
    for i in range(3):

        def slope(t, y):
            with jax.enable_x64(True):
                return -np.asarray(
                    nct.problems.ravel(model.value_and_grad(nct.problems.unravel(model, jnp.asarray(y)))[1])
                )

        found = solve_ivp(slope, (0, 10), flat[i], method="DOP853", t_eval=times, rtol=1e-12, atol=1e-12)
        ours = np.concatenate([np.asarray(x)[i].reshape(3, -1) for x in jax.tree.leaves(paths.values)], axis=1)
        np.testing.assert_allclose(ours, found.y.T, atol=1e-9)
    other = nct.gradient_flow(model, starts, times, observe=value_of, method="implicit", tolerance=1e-9)
    assert other.counts()["followed"] == 3
    np.testing.assert_allclose(
        other.values, nct.gradient_flow(model, starts, times, observe=value_of).values, atol=1e-7
    )


@pytest.mark.slow
def test_a_stiff_problem_falls_back_on_the_implicit_method():
    rates = np.array([1.0, 1e8])
    problem, times = Stiff(rates), np.array([1e-9, 0.5, 2.0])
    starts = nct.starts(problem, seeds=2)
    explicit = nct.gradient_flow(problem, starts, times, method="explicit", max_steps=2000, tolerance=1e-6)
    assert explicit.counts()["steps_spent"] == 2
    assert not explicit.followed.any()
    auto = nct.gradient_flow(problem, starts, times, max_steps=2000, tolerance=1e-6)
    assert auto.counts()["followed"] == 2
    np.testing.assert_allclose(auto.values[0], np.exp(-rates[None, :] * times[:, None]), atol=1e-4)
    assert np.all(np.abs(auto.values[0, :, 0] - np.exp(-times)) < 2 * auto.error[0])


@pytest.mark.slow
def test_an_event_ends_the_path_when_the_closed_form_says():
    strength, start, level = 1.5, 0.01, 0.9
    when = np.log(level * (strength - start) / (start * (strength - level))) / (2 * strength)
    network, starts = white_network([strength]), diagonal_starts([[start], [0.1]])
    paths = nct.gradient_flow(
        network,
        starts,
        [0.5 * when, 2 * when],
        observe=product_diagonal,
        event=lambda p, x: product_diagonal(p, x)[0] - level,
    )
    assert paths.counts()["event"] == 2
    assert abs(paths.event_time[0] - when) < 1e-8
    assert paths.event_time[1] < when
    assert np.isfinite(paths.values[0, 0]).all()
    assert np.isnan(paths.values[:, 1]).all()


@pytest.mark.slow
def test_a_seed_takes_the_same_path_in_any_company_and_a_bad_one_harms_no_other():
    model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    starts, times = nct.starts(model, seeds=40, key=1), [0.5, 3.0]
    spoilt = jax.tree.map(np.array, starts)
    spoilt.weights[0][7] = np.nan
    paths = nct.gradient_flow(model, spoilt, times, observe=value_of)
    alone = nct.gradient_flow(model, jax.tree.map(lambda x: x[33:34], starts), times, observe=value_of)
    np.testing.assert_allclose(alone.values[0], paths.values[33], rtol=1e-12)
    assert paths.counts() == {"followed": 39, "event": 0, "steps_spent": 0, "lost": 1}
    assert np.flatnonzero(~paths.followed).tolist() == [7]


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.0, 0.03])
def test_what_the_flow_conserves_drifts_by_less_than_1e_9_for_every_seed(decay):
    chain = nct.deep_linear(widths=(4, 3, 3), counts=(3, 2, 1), loss="cross_entropy", weight_decay=(decay,) * 3)
    paths = nct.gradient_flow(chain, nct.starts(chain, seeds=4096), [1.0, 10.0, 60.0], observe=value_of, compare=False)
    assert paths.followed.all()
    assert paths.drift.max() < 1e-9
    assert paths.dissipation.max() < 1e-9
    unequal = nct.deep_linear(widths=(4, 3, 3), counts=(3, 2, 1), loss="mse", weight_decay=(0.01, 0.02, 0.03))
    assert np.isnan(nct.gradient_flow(unequal, nct.starts(unequal, seeds=1), [1.0], observe=value_of).drift).all()


@pytest.mark.slow
def test_a_flow_that_is_none_is_caught_by_both_monitors():
    paths = nct.gradient_flow(Slower(np.array([1.0, 1.0])), np.array([[1.0, 2.0]]), [1.0, 2.0])
    assert paths.drift[0] > 1e-3
    assert paths.dissipation[0] < 1e-9  # the balance of energy holds along any velocity
    true = nct.gradient_flow(Stiff(np.array([1.0, 1.0])), np.array([[1.0, 2.0]]), [1.0, 2.0])
    assert np.isnan(true.drift[0])


@pytest.mark.slow
def test_descent_is_the_loop_that_it_says():
    model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="cross_entropy", weight_decay=(0.02, 0.02))
    starts = nct.starts(model, seeds=2)
    pairs: Any = ((0.1, optax.sgd(0.1)), (optax.sgd(0.1, momentum=0.9),) * 2, (optax.adam(0.01),) * 2)
    for rule, optimiser in pairs:
        paths = nct.gradient_descent(model, starts, [0, 1, 25], rule)
        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # as in `gradient_descent`, for optax
            point: Any = jax.tree.map(lambda x: jnp.asarray(x[1]), starts)
            memory = optimiser.init(point)
            for _ in range(25):
                step, memory = optimiser.update(model.value_and_grad(point)[1], memory, point)
                point = optax.apply_updates(point, step)
        for ours, theirs, begun in zip(*map(jax.tree.leaves, (paths.values, point, starts)), strict=True):
            np.testing.assert_allclose(ours[1, 2], theirs, atol=1e-13)
            np.testing.assert_array_equal(ours[1, 0], begun[1])
        assert np.isnan(paths.dissipation).all()
        assert paths.steps.tolist() == [25, 25]


def test_descent_approaches_the_flow_to_first_order_in_its_step():
    network, starts = white_network([1.5, 1.0]), diagonal_starts([[0.1, 0.05]])
    exact = nct.closed_form.mode_height(2, np.array([1.5, 1.0]), np.array([0.1, 0.05]), 2.0)
    away = []
    for steps in (100, 200, 400, 800):
        found = nct.gradient_descent(network, starts, [steps], 2.0 / steps, observe=product_diagonal)
        away.append(np.linalg.norm(found.values[0, 0] - exact))
    orders = np.log2(np.array(away[:-1]) / np.array(away[1:]))
    assert np.all(np.abs(orders - 1.0) < [0.05, 0.03, 0.02])


@pytest.mark.slow
def test_stochastic_gradients_are_unbiased_and_their_draws_are_the_keys():
    model = nct.unconstrained_features(counts=(3, 2), dim=2, loss="mse", weight_decay=(0.02, 0.02))
    with jax.enable_x64(True):
        point = jax.tree.map(lambda x: jnp.asarray(x[0]), nct.starts(model, seeds=1))
        whole = nct.problems.ravel(model.value_and_grad(point)[1])
        draws = jax.vmap(lambda key: nct.problems.ravel(model.minibatch(key, 2).value_and_grad(point)[1]))
        some = np.asarray(draws(jax.random.split(jax.random.key(0), 4000)))
    error = some.std(axis=0) / np.sqrt(4000)
    assert np.all(np.abs(some.mean(axis=0) - np.asarray(whole)) < 5 * error + 1e-12)
    starts = nct.starts(model, seeds=2)
    first, again, other = (
        nct.gradient_descent(model, starts, [5], 0.1, batch=2, key=key, observe=value_of).values for key in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    with pytest.raises(NotImplementedError, match="Stiff has no samples"):
        nct.gradient_descent(Stiff(np.ones(2)), np.ones((1, 2)), [5], 0.1, batch=2)
