"""Problems: gradients, gauge, the reduced form, grids of hyperparameters, bad input."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import Problem, internal_spaces, size
from tests.helpers import BIASES, LOSSES, brute_force_hessian, first, model, random_points, unchecked_types

CHAINS = {
    "two factors": lambda loss, bias: model(loss, bias=bias),
    "deep, free features": lambda loss, bias: nct.deep_linear(
        widths=(4, 2, 5, 3), counts=(2, 3, 1), loss=loss, weight_decay=(0.1, 0.2, 0.3, 0.4), bias=bias
    ),
    "deep, given inputs": lambda loss, bias: nct.deep_linear(
        widths=(4, 2, 3),
        inputs=np.random.default_rng(0).normal(size=(4, 6)),
        targets=np.eye(3)[:, [0, 1, 2, 2, 1, 0]],
        loss=loss,
        weight_decay=(0.1, 0.2),
        bias=bias,
    ),
    "reduced": lambda loss, bias: nct.problems.reduce_to_class_means(model(loss, bias=bias)),
}


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", [*LOSSES, nct.losses.focal(2.0)])
@pytest.mark.parametrize("chain", CHAINS)
def test_hessian_by_hand_is_the_hessian(chain, loss, bias, rng):
    problem = CHAINS[chain](loss, bias)
    if chain == "two factors" and loss == "mse" and bias is not None:
        problem = nct.problems.moment_form(problem)  # whose bias stands on a row of its own
    point = first(random_points(problem, 1, rng))
    expected = brute_force_hessian(problem, point)
    np.testing.assert_allclose(problem.hessian(point), expected, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_allclose(Problem.hessian(problem, point), expected, atol=1e-13 * np.abs(expected).max())


def test_a_chain_with_an_objective_of_its_own_has_the_hessian_of_that(rng):
    class Steeper(nct.problems.DeepLinear):
        def objective(self, params):
            return super().objective(params) + jnp.sum(params.weights[0] ** 4)

        def value_and_grad(self, params):
            return jax.value_and_grad(self.objective)(params)

    problem = Steeper.of(model())
    point = first(random_points(problem, 1, rng))
    np.testing.assert_allclose(problem.hessian(point), brute_force_hessian(problem, point), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chain", CHAINS)
def test_gradient_by_hand_is_the_gradient(chain, loss, bias, rng):
    problem = CHAINS[chain](loss, bias)
    point = first(random_points(problem, 1, rng))
    value, gradient = problem.value_and_grad(point)
    expected_value, expected = jax.value_and_grad(problem.objective)(point)
    np.testing.assert_allclose(value, expected_value, rtol=1e-14)
    for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("chain", CHAINS)
def test_objective_is_what_the_docstring_says(chain, rng):
    problem = CHAINS[chain]("mse", 0.3)
    x = first(random_points(problem, 1, rng))
    out = problem.inputs if x.features is None else x.features
    for weight in x.weights:
        out = weight @ out
    q, m = problem.column_weight, problem.multiplicity
    expected = 0.5 * np.sum(q * np.sum((out + x.bias[:, None] - problem.targets) ** 2, axis=0))
    expected += 0.5 * sum(lam * np.sum(w**2) for lam, w in zip(problem.weight_decay, x.weights, strict=False))
    if x.features is not None:
        expected += 0.5 * problem.weight_decay[-1] * np.sum(m * np.sum(x.features**2, axis=0))
    expected += 0.15 * np.sum(x.bias**2)
    np.testing.assert_allclose(problem.objective(x), expected, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chain", CHAINS)
def test_gauge_leaves_the_objective_and_its_tangents_are_flat(chain, loss, rng):
    problem = CHAINS[chain](loss, 0.0)
    x = first(random_points(problem, 1, rng))
    moved = nct.problems.random_gauge(problem, x, jax.random.key(3))
    np.testing.assert_allclose(problem.objective(moved), problem.objective(x), rtol=1e-13)
    gradient = nct.problems.ravel(problem.value_and_grad(x)[1])
    tangents = jax.vmap(nct.problems.ravel)(problem.gauge_tangents(x))
    dims = [problem.widths[s] for s in internal_spaces(problem)]
    assert tangents.shape[0] == sum(d * (d - 1) // 2 for d in dims) + (loss == "cross_entropy")
    assert np.max(np.abs(tangents @ gradient)) < 1e-13
    # A wrong sign in one factor would not be flat: check that the test can see that.
    wrong = problem.gauge_tangents(x)._replace(weights=tuple(-w for w in problem.gauge_tangents(x).weights))
    if problem.inputs is None:
        assert np.max(np.abs(jax.vmap(nct.problems.ravel)(wrong) @ gradient)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_reduced_form_is_the_same_problem(loss, bias, rng):
    full = model(loss, bias=bias)
    reduced = nct.problems.reduce_to_class_means(full)
    x = first(random_points(reduced, 1, rng))
    np.testing.assert_allclose(reduced.objective(x), full.objective(nct.problems.lift_to_samples(full, x)), rtol=1e-13)
    if (loss == "mse") == (bias is None):  # of the solver, two of the six are enough
        return
    ends_full, ends = nct.solve(full, 8), nct.solve(reduced, 8)
    assert ends_full.converged.all()
    assert ends.converged.all()
    np.testing.assert_allclose(ends.value, ends_full.value, rtol=1e-12)


def test_a_grid_of_hyperparameters_is_one_program(rng):
    traces = []

    @jax.jit
    def value(problem, x):
        traces.append(1)
        return problem.objective(x)

    x = first(random_points(model(bias=0.1), 1, rng))
    problems = [model(decay=(a, 0.1), bias=b) for a in (0.1, 0.2, 0.7) for b in (0.0, 0.5)]
    values = [float(value(problem, x)) for problem in problems]
    assert len(traces) == 1
    assert len(set(values)) == len(values)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    np.testing.assert_allclose(jax.vmap(lambda p: p.objective(x))(stacked), values, rtol=1e-14)


def test_label_smoothing_smooths():
    problem = model(nct.losses.label_smoothing(0.3))
    np.testing.assert_allclose(np.unique(problem.targets), [0.1, 0.8])


def test_ravel_and_unravel_are_inverse(rng):
    problem = CHAINS["deep, free features"]("mse", 0.3)
    x = random_points(problem, 4, rng)
    vectors = jax.vmap(nct.problems.ravel)(x)
    assert vectors.shape == (4, size(problem))
    for ours, theirs in zip(jax.tree.leaves(nct.problems.unravel(problem, vectors)), jax.tree.leaves(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


GOOD: dict[str, Any] = {"counts": (2, 2), "dim": 2, "loss": "mse", "weight_decay": (0.1, 0.1)}
BAD = [
    ({"counts": (2, 0)}, r"counts\[1\].*at least 1.*got 0"),
    ({"counts": ()}, "counts.*K must be at least 1"),
    ({"dim": 0}, "dim.*at least 1, got 0"),
    ({"loss": "hinge"}, "loss.*'hinge'"),
    ({"weight_decay": (0.1, -0.1)}, r"weight_decay\[1\].*at least 0, got -0.1"),
    ({"weight_decay": (0.1, float("nan"))}, r"weight_decay\[1\].*nan"),
    ({"weight_decay": (0.1,)}, "weight_decay.*got 1 values"),
    ({"bias": -1.0}, "bias.*None.*0.0.*lambda_b > 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_models_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        nct.unconstrained_features(**{**GOOD, **change})


def test_wrong_types_are_refused_by_name_too():
    """In a plain interpreter, where no type checker stands in front of the library's own messages."""
    code = """
import nctheory as nct
good = dict(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
for name, value in (("counts", (2, 1.5)), ("bias", "free"), ("bias", True), ("dim", 2.0), ("loss", 3)):
    try:
        nct.unconstrained_features(**{**good, name: value})
    except ValueError as error:
        assert str(error).startswith(name), error
    else:
        raise AssertionError((name, value))
try:
    nct.solve(nct.unconstrained_features(**good), True)
except ValueError as error:
    assert str(error).startswith("seeds"), error
"""
    subprocess.run([sys.executable, "-c", code], check=True)


BAD_CHAINS = [
    ({"widths": (2,), "counts": (1, 1), "weight_decay": (0.1,)}, "widths"),
    ({"widths": (2, 3), "counts": (1, 1), "weight_decay": (0.1, 0.1)}, "counts.*K=3.*2 counts"),
    ({"widths": (2, 0, 2), "counts": (1, 1), "weight_decay": (0.1,) * 3}, r"widths\[1\]"),
    ({"widths": (2, 2), "weight_decay": (0.1, 0.1)}, "counts, targets"),
    ({"widths": (2, 2), "targets": np.eye(3), "weight_decay": (0.1, 0.1)}, "targets.*K=2"),
    ({"widths": (2, 2), "targets": np.eye(2), "inputs": np.eye(3), "weight_decay": (0.1,)}, "inputs.*d_0=2"),
    ({"widths": (3, 2), "targets": np.eye(2), "inputs": np.eye(3), "weight_decay": (0.1,)}, "inputs.*N=2"),
    ({"widths": (2, 2), "targets": np.full((2, 2), np.nan), "weight_decay": (0.1, 0.1)}, "targets.*NaN"),
    ({"widths": (2, 2), "targets": np.eye(2), "inputs": np.eye(2), "weight_decay": (0.1, 0.1)}, "expected 1 values"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_CHAINS)
def test_bad_chains_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        nct.deep_linear(loss="mse", **arguments)


def test_cross_entropy_targets_must_be_distributions():
    with pytest.raises(ValueError, match="probability distributions"):
        nct.deep_linear(widths=(2, 2), targets=2 * np.eye(2), loss="cross_entropy", weight_decay=(0.1, 0.1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": np.zeros((2, 2)), "dim": 2, "weight_decay": (0.1, 0.1)}, "not zero"),
        ({"target": np.eye(3), "dim": 2, "weight_decay": (0.1, 0.1)}, "rank.*3, got 2"),
        ({"target": np.eye(2), "dim": 2, "weight_decay": (0.1, 0.0)}, "two positive decays"),
    ],
)
def test_bad_factorisations_are_refused(arguments, message):
    target = arguments.pop("target")
    with pytest.raises(ValueError, match=message):
        nct.problems.minimal_factorisation(target, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "bias"),
    [((5, 3), 0.0), ((4, 6, 3), None), ((3, 5, 4, 2), 0.1), ((1, 3), 0.0), ((1, 1, 1, 2), None), ((1, 4, 1), None)],
)
def test_the_gauge_penalty_sees_the_orbit_and_nothing_else(widths, bias):
    decay = (0.1,) * len(widths)
    problem = nct.deep_linear(widths=widths, counts=(3,) * widths[-1], loss="mse", weight_decay=decay, bias=bias)
    point = problem.init(jax.random.key(0), 1.0)
    penalty = jax.jit(
        jax.vmap(lambda v: nct.problems.ravel(problem.gauge_penalty(point, nct.problems.unravel(problem, v))))
    )
    matrix = np.asarray(penalty(np.eye(nct.problems.ravel(point).size)))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-13)
    assert np.linalg.eigvalsh(matrix)[0] > -1e-12
    tangents = np.asarray(jax.vmap(nct.problems.ravel)(problem.gauge_tangents(point)))
    orbit, singular, _ = np.linalg.svd(tangents.T, full_matrices=False)
    orbit = orbit[:, singular > 1e-9]
    np.testing.assert_allclose(orbit @ (orbit.T @ matrix), matrix, atol=1e-12)
    # Rounding is measured in its own size, to which the solver scales the Hessian's: where nothing rotates there is none.
    most = np.max(np.abs(matrix))
    assert np.max(np.abs(matrix - matrix.T)) <= 1e-13 * most
    assert np.linalg.eigvalsh(matrix)[0] >= -1e-12 * most
    # A rotation that moves the weights above its space at all is seen.
    along = np.linalg.eigvalsh(orbit.T @ matrix @ orbit)
    assert np.sum(along > 1e-9) >= sum(min(k, d) * (d - 1) - min(k, d) * (min(k, d) - 1) // 2 for d, k in [widths[:2]])
    default = nct.Problem.gauge_penalty(problem, point, nct.problems.unravel(problem, matrix[0]))
    np.testing.assert_allclose(nct.problems.ravel(default), tangents.T @ (tangents @ matrix[0]), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(weight_decay=0.1), r"weight_decay: expected a sequence \(lambda_W, lambda_H\), got 0.1"),
        (dict(counts=4), r"counts: expected a sequence \(n_1, …, n_K\), got 4"),
    ],
)
def test_one_number_in_the_place_of_several_is_named(change, message):
    good: dict[str, Any] = dict(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    with unchecked_types(), pytest.raises(ValueError, match=message):
        nct.unconstrained_features(**(good | change))
    chain: dict[str, Any] = dict(widths=(2, 2), counts=(2, 2), loss="mse", weight_decay=(0.1, 0.1))
    with unchecked_types(), pytest.raises(ValueError, match="expected a sequence"):
        nct.deep_linear(**(chain | change))
    with unchecked_types(), pytest.raises(ValueError, match="widths: expected a sequence"):
        nct.deep_linear(**(chain | dict[str, Any](widths=2)))
