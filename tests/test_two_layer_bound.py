"""Two-layer networks on given inputs: a bound below every network of every width, and tight where a convex program is."""

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates._barrier import improved_dual
from nctheory.certificates._sectors import largest_response
from nctheory.certificates._two_layers import missing_two_layer_bound, two_layer_bound
from tests.helpers import first, random_points

SAMPLES = 6


def network(
    rng, width=6, classes=1, loss: str | nct.Loss = "mse", decay=(0.03, 0.02), dim=2, samples=SAMPLES, **others
):
    """A two-layer network on random inputs."""
    targets = rng.normal(size=(classes, samples)) if loss == "mse" else np.eye(classes)[:, np.arange(samples) % classes]
    fields: dict[str, Any] = dict(inputs=rng.normal(size=(dim, samples)), targets=targets, activation="relu") | others
    return nct.deep_nonlinear(widths=(dim, width, classes), loss=loss, weight_decay=decay, **fields)


def patterns(inputs):
    """All patterns of the signs of <w, x_i>, from many directions."""
    angles = np.linspace(0.0, 2 * np.pi, 200_001)
    return np.unique(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ inputs > 0, axis=0).astype(float)


def convex_program(problem, cones=True, squared=False):
    """Pilanci and Ergen's program by cvxpy."""
    inputs, targets = np.asarray(problem.inputs), np.asarray(problem.targets)[0]
    decay = float(np.sqrt(np.prod(problem.weight_decay)))
    active = patterns(inputs)
    halves = [cp.Variable((len(active), 2)) for _ in range(2)]
    outputs = sum(np.diag(d) @ inputs.T @ (halves[0][s] - halves[1][s]) for s, d in enumerate(active))
    walls = [np.diag(2 * d - 1) @ inputs.T @ half[s] >= 0 for s, d in enumerate(active) for half in halves]
    norm = cp.sum_squares if squared else cp.norm
    penalty = sum(norm(half[s]) for half in halves for s in range(len(active)))
    if problem.bias_decay is not None:
        bias = cp.Variable()
        outputs, penalty = outputs + bias, penalty + 0.5 * float(problem.bias_decay) / decay * cp.square(bias)
    fit = cp.sum_squares(outputs - targets) / (2 * len(targets))
    program = cp.Problem(cp.Minimize(fit + decay * penalty), walls if cones else [])
    return float(program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10))  # pyright: ignore[reportArgumentType]


def bound_at_zero(problem):
    """The bound at zero and its reason; like any bound it holds everywhere."""
    shapes = jax.eval_shape(lambda: problem.init(jax.random.key(0), 1.0))
    found = nct.certify(problem, jax.tree.map(lambda leaf: np.zeros((1, *leaf.shape)), shapes))
    return float(found.lower_bound[0]), found


@pytest.mark.slow
def test_the_gap_closes_at_the_best_seeds_and_no_width_goes_below_the_bound(rng):
    inputs, targets = rng.normal(size=(2, SAMPLES)), rng.normal(size=(1, SAMPLES))
    for width, seeds in ((8, 32), (1, 64), (2, 64)):
        problem = network(rng, width=width, inputs=inputs, targets=targets)
        ends = nct.solve(problem, seeds=seeds, method="polish", light=True)
        bound = nct.certify(problem, ends.params)
        assert bound.valid.all()
        assert not bound.contradicts(ends.value).any()
        if width == 8:
            assert np.min(bound.gap / ends.value) < 1e-9
            assert bound.closed(ends.value).any()
            wide = np.min(ends.value)
        else:
            # Every bound lies below the wide network's minimum, too; these widths do not reach it.
            assert np.all(bound.lower_bound <= wide * (1 + 1e-12))
            assert np.min(ends.value) > wide * 1.01
            assert "width" in str(bound.reason)


@pytest.mark.slow
def test_it_is_the_convex_programs_optimum_and_neither_that_without_cones_nor_that_with_squares(rng):
    for decay in ((0.3, 0.2), (0.03, 0.02), (2e-3, 1e-3)):
        problem = network(rng, decay=decay)
        lower, _ = bound_at_zero(problem)
        exact = convex_program(problem)
        np.testing.assert_allclose(lower, exact, rtol=1e-7)
        assert lower <= exact * (1 + 1e-8)
        if max(decay) < 0.1:  # a strong decay leaves one neuron, off the walls of its cone
            assert convex_program(problem, cones=False) < lower * (1 - 1e-3)
        assert abs(convex_program(problem, squared=True) - lower) > 1e-3 * lower


@pytest.mark.slow
def test_with_a_bias_at_the_output_it_is_the_programs_optimum_too(rng):
    inputs, targets = rng.normal(size=(2, SAMPLES)), 1.0 + rng.normal(size=(1, SAMPLES))
    found = []
    for bias in (0.0, 0.1, 10.0):
        problem = network(rng, inputs=inputs, targets=targets, bias=bias)
        lower, bound = bound_at_zero(problem)
        exact = convex_program(problem)
        np.testing.assert_allclose(lower, exact, rtol=1e-7)
        assert lower <= exact * (1 + 1e-8)
        assert bound.valid.all()
        found.append(lower)
    # A bias that costs more is used less, and in the end not at all.
    assert np.all(np.diff(found) > 0)
    assert found[-1] < bound_at_zero(network(rng, inputs=inputs, targets=targets))[0] < found[-1] * 1.1


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "absolute", "identity"])
@pytest.mark.parametrize(("dim", "classes"), [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_the_largest_response_is_that_of_a_grid_of_directions(dim, classes, activation, rng):
    function = {
        "relu": lambda x: np.maximum(x, 0.0),
        "leaky_relu": lambda x: np.maximum(x, 0.01 * x),
        "absolute": np.abs,
        "identity": lambda x: x,
    }[activation]
    angles = np.linspace(0.0, 2 * np.pi, 100_001)
    directions = np.stack([np.cos(angles), np.sin(angles)])[:dim] if dim == 2 else np.array([[1.0, -1.0]])
    with jax.enable_x64(True):
        computed = jax.jit(lambda dual, inputs: largest_response(dual, inputs, activation))
        for scale in (1e-150, 1.0, 1e150):
            for _ in range(8):
                dual, inputs = scale * rng.normal(size=(classes, 7)), rng.normal(size=(dim, 7))
                # Ties, antipodes and an input of zero among them.
                inputs[:, 1], inputs[:, 2], inputs[:, 3] = inputs[:, 0], -2.0 * inputs[:, 0], 0.0
                found = float(computed(dual, inputs)) / scale
                grid = np.max(np.linalg.norm(dual / scale @ function(inputs.T @ directions), axis=0))
                terms = np.sum(np.linalg.norm(dual / scale, axis=0) * np.linalg.norm(inputs, axis=0))
                assert grid <= found
                # A response changes by at most `terms` per unit of angle.
                assert found <= grid + terms * (1e-4 if dim == 2 else 1e-12)


def test_a_direction_next_to_the_end_of_a_sector_is_not_missed():
    # One input: the best direction is the input's own, in the middle of its half-plane; two next to antipodal ones put it at
    # the end of a sector, to rounding.
    with jax.enable_x64(True):
        for gap in (0.0, 1e-15, 1e-12, 1e-8, 1e-4):
            inputs = jnp.array([[1.0, -np.sin(gap)], [0.0, np.cos(gap)]])
            dual = jnp.array([[1.0, 1e-3]])
            found = float(largest_response(dual, inputs, "relu"))
            angles = np.linspace(-0.01, 0.01, 200_001)
            directions = np.stack([np.cos(angles), np.sin(angles)])
            grid = np.max(np.abs(np.asarray(dual) @ np.maximum(np.asarray(inputs).T @ directions, 0.0)))
            assert grid <= found <= grid + 1e-9


@pytest.mark.parametrize(
    ("loss", "classes"), [("mse", 1), ("mse", 2), ("cross_entropy", 2), ("cross_entropy", 3), ("smoothed", 3)]
)
def test_it_holds_at_any_point(loss, classes, rng):
    kind = nct.losses.label_smoothing(0.1) if loss == "smoothed" else loss
    encoded = np.eye(classes)[:, np.arange(SAMPLES) % classes]
    targets = rng.normal(size=(classes, SAMPLES)) if loss == "mse" else encoded
    targets = 0.9 * targets + 0.1 / classes if loss == "smoothed" else targets
    for decay in ((1e-8, 1e-8), (1e-4, 1e-3), (0.02, 0.05), (10.0, 10.0), (0.0, 0.1)):
        problem = network(rng, classes=classes, loss=kind, targets=targets, decay=decay)
        points = [random_points(problem, 4, rng, scale) for scale in (0.0, 1e-3, 1.0, 30.0, 1e6, 1e120)]
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *points)
        bound = nct.certify(problem, together)
        with jax.enable_x64(True):
            values = np.asarray(jax.vmap(problem.objective)(together))
        assert bound.valid.all()
        assert np.all(bound.lower_bound <= values)
        # It is not trivial either: zero is all that the infimum of the loss gives.
        if min(decay) > 1e-6:
            assert np.all(bound.lower_bound > 0.0)
        else:
            assert np.all(bound.lower_bound > -1e-12)
        if decay == (0.0, 0.1):
            assert "without decay" in str(bound.reason)
        if decay == (10.0, 10.0):
            assert bound.closed(values)[:4].all()  # zero is the minimiser


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "classes", "dim"), [("cross_entropy", 3, 2), ("mse", 2, 2), ("mse", 3, 1), ("mse", 2, 3)]
)
def test_it_is_tight_for_several_outputs(loss, classes, dim, rng):
    problem = network(rng, width=6, classes=classes, loss=loss, dim=dim, samples=3)
    ends = nct.solve(problem, seeds=16, method="polish", light=True)
    bound = nct.certify(problem, ends.params)
    assert not bound.contradicts(ends.value).any()
    assert np.min(bound.gap / ends.value) < 1e-9


def test_its_scaling_is_that_of_the_problem(rng):
    # f(X, Y, l) has with inputs 2^a X, targets 2^b Y and decays 2^(a+b) l the minimum 2^(2b) min f.
    problem = network(rng)
    lower, _ = bound_at_zero(problem)
    for a, b in ((20, -10), (-30, 0), (0, 40), (-10, -40)):
        decay = tuple(2.0 ** (a + b) * float(x) for x in problem.weight_decay)
        inputs, targets = 2.0**a * np.asarray(problem.inputs), 2.0**b * np.asarray(problem.targets)
        scaled = network(rng, inputs=inputs, targets=targets, decay=decay)
        np.testing.assert_allclose(bound_at_zero(scaled)[0], 2.0 ** (2 * b) * lower, rtol=1e-10)


def test_a_dual_point_that_is_not_feasible_would_lie_above_the_minimum(rng):
    # The improved point, twice as large, is what the bound would be made of without its constraint.
    problem = network(rng)
    with jax.enable_x64(True):
        targets, inputs = jnp.asarray(problem.targets), jnp.asarray(problem.inputs)
        radius = jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay)))
        dual = improved_dual(problem.loss, targets, inputs, "relu", radius)
        assert float(largest_response(dual / SAMPLES, inputs, "relu")) <= float(radius) * (1 + 1e-9)
        wrong = float(-jnp.mean(problem.loss.conjugate(2.0 * dual, targets)))
    assert wrong > convex_program(problem) * 1.01


def test_many_members_share_a_program(rng):
    problems = [network(rng, decay=(0.02 * k, 0.03)) for k in (1, 2, 3)]
    points = [random_points(problem, 2, rng) for problem in problems]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *points)
    many = nct.certificates.certify_many(problems, stacked)
    for index, problem in enumerate(problems):
        np.testing.assert_allclose(many.lower_bound[index], nct.certify(problem, points[index]).lower_bound, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(dim=3, samples=40), "dimensions"),
        (dict(activation="tanh"), "homogeneous"),
        (dict(activation=lambda x: jnp.maximum(x, 0.0)), "homogeneous"),
        (dict(residual=True, dim=2, width=2), "residual"),
    ],
)
def test_where_there_is_none_it_says_why(change, words, rng):
    problem = network(rng, **change)
    assert words in missing_two_layer_bound(problem)
    _, found = bound_at_zero(problem)
    assert not found.valid.any()
    assert words in found.reason
    point = first(random_points(problem, 1, rng))
    with jax.enable_x64(True), pytest.raises(nct.problems.NoCertificate, match=words):
        two_layer_bound(problem, jax.tree.map(jnp.asarray, point))


def test_other_depths_and_free_features_have_none(rng):
    deep = nct.deep_nonlinear(
        widths=(2, 3, 3, 1), loss="mse", weight_decay=(0.1,) * 3, inputs=rng.normal(size=(2, 4)),
        targets=rng.normal(size=(1, 4)),
    )  # fmt: skip
    free = nct.deep_nonlinear(widths=(3, 3, 3), counts=(2, 2, 2), loss="mse", weight_decay=(0.1,) * 3)
    for problem in (deep, free):
        assert not bound_at_zero(problem)[1].valid.any()
