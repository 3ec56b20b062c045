"""The parts of the search and of the classification, against dense linear algebra."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates._split import Split
from nctheory.flow import Status
from nctheory.landscape._levenberg import RUNNING, SearchState, newton_step
from nctheory.landscape._search import search
from nctheory.landscape._shifted import shifted_start, shifted_step, shifted_steps, shifted_unfinished
from tests.helpers import usual_environment

CHAIN = nct.deep_linear(widths=(3, 3, 3), counts=(4, 3, 3), loss="mse", weight_decay=(0.02,) * 3)


def symmetric(rng, size, kernel=0):
    """A random indefinite matrix with a kernel."""
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    eigenvalues = np.concatenate([np.zeros(kernel), rng.normal(size=size - kernel)])
    return basis @ np.diag(eigenvalues) @ basis.T


@pytest.mark.parametrize("kernel", [0, 5])
@pytest.mark.parametrize("shift", [1.0, 1e-2, 1e-4])
def test_the_shifted_solution_is_the_damped_least_squares_solution(kernel, shift):
    rng = np.random.default_rng(3)
    matrix, rhs = symmetric(rng, 20, kernel), rng.normal(size=20)
    exact = np.linalg.solve(matrix + 1j * shift * np.eye(20), rhs)
    found = shifted_steps(lambda v: matrix @ v, jnp.asarray(shift), shifted_start(jnp.asarray(rhs)), 200)
    rounding = 10 * np.finfo(float).eps * np.linalg.norm(matrix, 2) * np.linalg.norm(exact) / shift
    np.testing.assert_allclose(found.solution, exact.real, rtol=0, atol=rounding)


def test_the_residual_is_known_at_every_iteration_and_never_grows():
    rng = np.random.default_rng(4)
    matrix, rhs, shift = symmetric(rng, 30), rng.normal(size=30), 0.1
    state, last = shifted_start(jnp.asarray(rhs)), float(np.linalg.norm(rhs))
    krylov = []
    for number in range(1, 12):
        krylov.append(rhs if number == 1 else matrix @ krylov[-1])
        state = shifted_step(lambda v: matrix @ v, jnp.asarray(shift), state)
        basis = np.linalg.qr(np.stack(krylov, 1))[0]
        image = matrix @ basis + 1j * shift * basis
        least = np.linalg.norm(image @ np.linalg.lstsq(image, rhs.astype(complex), rcond=None)[0] - rhs)
        assert float(abs(state.left)) == pytest.approx(least, rel=1e-7)
        assert float(abs(state.left)) <= last
        assert float(state.spread) <= np.linalg.norm(matrix, 2)
        last = float(abs(state.left))
    reached = float(last / np.linalg.norm(rhs))
    assert bool(shifted_unfinished(state, 0.5 * reached, 12))
    assert not bool(shifted_unfinished(state, 0.5 * reached, 11))
    assert not bool(shifted_unfinished(state, 2.0 * reached, 12))


def test_no_equation_is_left_unfinished_where_the_gradient_is_zero_or_an_eigenvector():
    matrix = jnp.diag(jnp.array([2.0, -1.0, 0.0]))
    none = shifted_steps(lambda v: matrix @ v, jnp.asarray(0.5), shifted_start(jnp.zeros(3)), 4)
    assert not bool(shifted_unfinished(none, 1e-2, 300))
    np.testing.assert_array_equal(none.solution, np.zeros(3))
    one = shifted_steps(lambda v: matrix @ v, jnp.asarray(0.5), shifted_start(jnp.array([0.0, 3.0, 0.0])), 4)
    assert not bool(shifted_unfinished(one, 1e-2, 300))
    np.testing.assert_allclose(one.solution, [0.0, -3.0 / 1.25, 0.0], atol=1e-14)


def test_a_seed_ends_at_the_same_point_whatever_is_searched_beside_it():
    ends, others = (search(CHAIN, some, jax.random.key(5)) for some in (np.arange(96), np.arange(95, -1, -1) * 7 % 96))
    for found, expected in ((others.params.weights[0], ends.params.weights[0]), (others.steps, ends.steps)):
        np.testing.assert_array_equal(found, expected[others.seeds])


@pytest.mark.slow
def test_a_seed_ends_at_the_same_point_however_many_are_searched():
    code = """
import jax, numpy as np, nctheory as nct
from nctheory.flow import Status
from nctheory.landscape._levenberg import RUNNING, SearchState, newton_step
from nctheory.landscape._search import search
chain = nct.deep_linear(widths=(5, 5, 5), counts=(10, 8, 6, 4, 2), loss="mse", weight_decay=(0.02,) * 3)
ends = search(chain, np.arange(100), jax.random.key(5))
some = search(chain, np.arange(30, 37), jax.random.key(5))
assert np.array_equal(some.params.weights[0], ends.params.weights[0][30:37])
assert np.array_equal(some.steps, ends.steps[30:37])
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=usual_environment())


@pytest.mark.parametrize("iterations", [1, 3, 300])
def test_values_and_gradients_of_ends_are_those_of_the_points(iterations):
    """Far from critical points, where the budget is spent, and at them."""
    ends = search(CHAIN, np.arange(60), jax.random.key(2), iterations=iterations)
    value, gradient = jax.vmap(CHAIN.value_and_grad)(ends.params)
    np.testing.assert_allclose(ends.value, value, rtol=1e-14)
    norm = np.sqrt(sum(np.sum(np.asarray(x).reshape(60, -1) ** 2, axis=1) for x in jax.tree.leaves(gradient)))
    np.testing.assert_allclose(ends.grad_norm, norm, rtol=1e-12, atol=1e-15)
    if iterations == 300:
        assert ends.converged.all()
        assert ends.grad_norm.max() < 1e-14
    else:
        assert np.mean(ends.status == int(Status.BUDGET_SPENT)) > 0.2
        assert ends.grad_norm.max() > 1e-4


BASIS = np.linalg.qr(np.random.default_rng(8).normal(size=(20, 20)))[0]


class Valley(nct.Problem):
    """f = (y_1^2 + ... + y_8^2)/2 + y_9^3/3 in turned coordinates, 11 of which do not matter."""

    def init(self, key, scale):
        return scale * jax.random.normal(key, (20,), jnp.float64)

    def objective(self, params):
        y = BASIS.T @ params
        return 0.5 * jnp.sum(y[:8] ** 2) + y[8] ** 3 / 3


def test_a_factor_that_breaks_down_asks_for_more_damping_and_is_not_taken_for_a_flat_point():
    """Near a degenerate point the slope A g is small; a Hessian with a kernel has no Cholesky factor at the least damping."""
    point, zero = jnp.asarray(3e-6 * BASIS[:, 8]), jnp.zeros(())
    hessian = jnp.asarray(Valley().hessian(point))
    assert not np.all(np.isfinite(jax.scipy.linalg.cho_factor(hessian @ hessian + 1e-28 * jnp.eye(20))[0]))
    state = SearchState(point, zero, zero, jnp.asarray(1e-14), jnp.asarray(0), zero, jnp.asarray(RUNNING), jnp.ones(()))
    after = newton_step(Valley(), state, jnp.asarray(0.0), jnp.asarray(10**6))
    assert int(after.status) == RUNNING
    np.testing.assert_array_equal(after.point, point)
    assert float(after.damping) > 1e-14
    ends = search(Valley(), np.arange(24), jax.random.key(0))
    assert ends.converged.all()


@pytest.mark.parametrize("rank", [0, 4, 9])
def test_a_split_is_orthogonal_and_puts_the_tangents_first(rank):
    rng = np.random.default_rng(6)
    tangents = rng.normal(size=(9, rank)) @ rng.normal(size=(rank, 14))
    split, matrix = Split(tangents), symmetric(rng, 14)
    assert split.rank(1e-12) == rank
    basis = split.lifted(np.eye(14), 0)
    np.testing.assert_allclose(basis.T @ basis, np.eye(14), atol=1e-13)
    np.testing.assert_allclose(tangents @ basis[:, rank:], 0.0, atol=1e-12)
    np.testing.assert_allclose(split.turned(matrix), basis.T @ matrix @ basis, atol=1e-13)
    np.testing.assert_allclose(split.lifted(np.eye(14 - rank), rank), basis[:, rank:], atol=1e-14)


def test_tangents_shorter_than_the_floor_are_no_gauge_directions():
    split = Split(np.diag([1.0, 1e-4, 1e-9, 0.0]))
    assert [split.rank(floor) for floor in (0.0, 1e-3, 2.0)] == [2, 1, 0]
