"""The faces of arrangements of inputs, the neurons that respond most on them, and bounds of two-layer networks by them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates._arrangement import MOST_FACES, MOST_RANK, faces_of, most_faces, number_of_faces
from nctheory.certificates._faces import arrangement, peaks, response_by_faces
from nctheory.certificates._sectors import largest_response
from nctheory.certificates._two_layers import missing_two_layer_bound
from proofs_numeric.nonlinear import convex_program as own
from tests.helpers import random_points

DEGENERATE = {
    "coordinates": np.eye(3),
    "all pairs": np.array([[1, 1, 0, 1, 0, 1], [-1, 0, 1, 1, 1, 0], [0, -1, -1, 0, 1, 1]], float),
    "parallel, opposite and zero": np.array([[1, 2, -1, 0, 0, 1], [0, 0, 0, 0, 1, 1], [3, 6, -3, 0, 0, 0]], float),
    "in a plane": np.array([[1, 0, 1, 2], [0, 1, 1, 1], [1, 1, 2, 3]], float),
    "on a line": np.array([[1, -2], [2, -4], [0, 0]], float),
}


def network(inputs, targets, width=6, loss: str | nct.Loss = "mse", decay=(0.03, 0.02), **others: Any):
    """A two-layer network on these inputs."""
    widths = (len(inputs), width, len(targets))
    return nct.deep_nonlinear(widths=widths, loss=loss, weight_decay=decay, inputs=inputs, targets=targets, **others)


def bound_at_zero(problem):
    """The bound at zero and its reason."""
    shapes = jax.eval_shape(lambda: problem.init(jax.random.key(0), 1.0))
    found = nct.certify(problem, jax.tree.map(lambda leaf: np.zeros((1, *leaf.shape)), shapes))
    return float(found.lower_bound[0]), found


def sides(inputs, directions):
    """The signs of the products, each row once."""
    return set(map(tuple, np.sign(directions @ inputs).astype(int).tolist()))


@pytest.mark.parametrize("name", DEGENERATE)
def test_the_faces_of_whole_numbers_are_those_that_whole_directions_meet(name):
    inputs = DEGENERATE[name]
    grid = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3)
    found = faces_of(inputs)
    signs = list(map(tuple, found.signs.tolist()))
    assert len(set(signs)) == len(signs) <= most_faces(inputs)
    assert set(signs) == sides(inputs, grid) - {(0,) * inputs.shape[1]}
    # In coordinates of a face the inputs that vanish on it are zero, and the lengths of the others no larger than they were.
    lengths = np.linalg.norm(found.inputs, axis=2)
    assert np.all(lengths[found.signs == 0] < 1e-12)
    assert np.all(lengths <= np.linalg.norm(inputs, axis=0) * (1 + 1e-12))


@pytest.mark.parametrize(("dim", "samples"), [(1, 3), (2, 6), (3, 9), (4, 7), (5, 6), (20, 5)])
def test_in_general_position_there_are_as_many_as_the_formula_says(dim, samples, rng):
    inputs, rank = rng.normal(size=(dim, samples)), min(dim, samples)
    found = faces_of(inputs)
    signs = list(map(tuple, found.signs.tolist()))
    assert len(set(signs)) == len(signs) == number_of_faces(samples, rank) == most_faces(inputs)
    assert sides(inputs, rng.normal(size=(2000, dim))) <= set(signs)
    # Euler's relation on the sphere: cells less walls plus ... is 1 + (-1)^(rank - 1).
    dims = np.linalg.matrix_rank(np.swapaxes(found.inputs, 1, 2), tol=1e-9)
    assert np.sum((-1.0) ** (dims - 1)) == 1 + (-1) ** (rank - 1)


def test_numbers_of_very_different_sizes_are_told_apart():
    # Three lines that nearly meet: whether <w, x_3> changes its sign between the others is a matter of 1e-300.
    inputs = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1e-300]])
    assert len(faces_of(inputs).signs) == number_of_faces(3, 2) == 12
    assert len(faces_of(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])).signs) == 8


def local_search(dual, inputs, function, rng):
    """The largest response that directions reach which are moved at random by less and less."""
    at = rng.normal(size=(len(inputs), 2000))
    best, response = at / np.linalg.norm(at, axis=0), np.zeros(2000)
    for size in np.geomspace(1.0, 1e-6, 90):
        tried = best + size * rng.normal(size=best.shape)
        tried /= np.linalg.norm(tried, axis=0)
        there = np.linalg.norm(dual @ function(inputs.T @ tried), axis=0)
        best, response = np.where(there > response, tried, best), np.maximum(there, response)
    return np.max(response)


@pytest.mark.parametrize(("activation", "classes"), [("relu", 1), ("relu", 3), ("leaky_relu", 2)])
def test_the_largest_response_is_reached_and_not_exceeded(activation, classes, rng):
    function = {"relu": lambda x: np.maximum(x, 0.0), "leaky_relu": lambda x: np.maximum(x, 0.01 * x)}[activation]
    with jax.enable_x64(True):
        computed = jax.jit(lambda dual, inputs: response_by_faces(dual, inputs, arrangement(inputs, activation)))
        for kind in ("general", "(x, 1)", "parallel", "in a plane"):
            dual, inputs = rng.normal(size=(classes, 6)), rng.normal(size=(3, 6))
            if kind == "(x, 1)":
                inputs[2] = 1.0
            if kind == "parallel":
                inputs[:, 1], inputs[:, 2], inputs[:, 3] = inputs[:, 0], -2.0 * inputs[:, 0], 0.0
            if kind == "in a plane":
                inputs[2] = 0.0
                plane = float(largest_response(dual, inputs[:2], activation))
            found = float(computed(dual, inputs))
            reached = local_search(dual, inputs, function, rng)
            assert reached * (1 - 1e-13) <= found <= reached * (1 + 1e-5)
            if kind == "in a plane":  # the sectors of the plane, another algorithm
                np.testing.assert_allclose(found, plane, rtol=1e-12)
            if kind == "general" and activation == "relu" and classes == 1:  # non-negative least squares in every cone
                np.testing.assert_allclose(found, own.largest_response(inputs, dual[0]), rtol=1e-11)
            for scale in (1e-150, 1e150):
                np.testing.assert_allclose(float(computed(scale * dual, scale * inputs)) / scale**2, found, rtol=1e-9)


def test_peaks_are_responses_of_neurons_and_without_the_best_face_the_bound_is_missed(rng):
    with jax.enable_x64(True):
        dual, inputs = jnp.asarray(rng.normal(size=(2, 6))), jnp.asarray(rng.normal(size=(3, 6)))
        faces = arrangement(inputs, "relu")
        found = jax.jit(peaks)(dual, faces)
        made = jnp.sum(found.heads * (found.features @ dual.T), axis=1)
        np.testing.assert_allclose(made, found.reached, atol=1e-12)
        # A face is needed: without the best one the response that is found is one that some neuron exceeds.
        best = int(jnp.argmax(found.reached))
        others = np.delete(np.arange(len(faces.signs)), best)
        fewer = faces._replace(signs=faces.signs[others], places=faces.places[others], slopes=faces.slopes[others])
        assert float(jax.jit(response_by_faces)(dual, inputs, fewer)) < float(found.reached[best]) * (1 - 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["general", "(x, 1)", "in a plane"])
def test_in_three_dimensions_the_bound_is_the_convex_programs_optimum(kind, rng):
    inputs, targets = rng.normal(size=(3, 5)), rng.normal(size=(1, 5))
    inputs[2] = {"general": inputs[2], "(x, 1)": 1.0, "in a plane": inputs[0] - 2.0 * inputs[1]}[kind]
    top = own.largest_response(inputs, targets[0] / 5)
    for strength in (0.05, 0.5):
        lower, found = bound_at_zero(network(inputs, targets, decay=(2.0 * strength * top, 0.5 * strength * top)))
        exact = own.solve_program(inputs, own.squared_error(targets[0]), strength * top).value
        np.testing.assert_allclose(lower, exact, rtol=1e-9)
        assert lower <= exact * (1 + 1e-13)
        assert found.valid.all()


def test_several_outputs_of_orthonormal_inputs_have_a_closed_form(rng):
    # Y = I and orthonormal inputs: one neuron a sample, and the least of N lambda s + (1 - s)^2 / 2 over its size s.
    inputs = np.linalg.qr(rng.normal(size=(6, 4)))[0]
    for strength in (0.1, 0.7):
        lower, _ = bound_at_zero(network(inputs, np.eye(4), decay=(strength / 2, strength / 8)))
        np.testing.assert_allclose(lower, strength * (1 - strength / 2), rtol=1e-10)


@pytest.mark.slow
def test_at_any_point_it_holds_and_members_with_inputs_of_their_own_share_a_program(rng):
    problems = [network(rng.normal(size=(3, 4)), np.eye(2)[:, [0, 1, 1, 1]], loss="cross_entropy", bias=0.0)] * 2
    problems[1] = network(rng.normal(size=(3, 4)), np.eye(2)[:, [0, 1, 1, 0]], loss="cross_entropy", bias=0.1)
    points = [
        jax.tree.map(
            lambda *leaves: np.concatenate(leaves),
            *[random_points(one, 2, rng, s) for s in (0.0, 1e-3, 1.0, 30.0, 1e120)],
        )
        for one in problems
    ]
    many = nct.certificates.certify_many(problems, jax.tree.map(lambda *leaves: np.stack(leaves), *points))
    for index, (problem, at) in enumerate(zip(problems, points, strict=True)):
        with jax.enable_x64(True):
            values = np.asarray(jax.vmap(problem.objective)(at))
        assert np.all(many.lower_bound[index] <= values)
        # The best dual point does not depend on the point at which it is asked for.
        np.testing.assert_allclose(many.lower_bound[index], bound_at_zero(problem)[0], rtol=1e-8)
        assert many.lower_bound[index, 0] > 0.1


def test_where_there_are_too_many_it_says_so(rng):
    assert number_of_faces(MOST_RANK + 1, MOST_RANK + 1) > MOST_FACES >= number_of_faces(MOST_RANK, MOST_RANK)
    inputs = rng.normal(size=(3, 40))
    problem = network(inputs, rng.normal(size=(1, 40)))
    reason = missing_two_layer_bound(problem)
    assert reason is not None
    assert "40 inputs of 3 dimensions" in reason
    lower, found = bound_at_zero(problem)
    assert lower == -np.inf
    assert found.reason == reason
    with pytest.raises(ValueError, match="at most 4096 faces"):
        faces_of(inputs)
    with pytest.raises(ValueError, match="finite"):
        faces_of(np.array([[1.0, np.nan]]))
    with jax.enable_x64(True):  # within a program, where the inputs are not known before
        assert (
            float(response_by_faces(jnp.ones((1, 40)), jnp.asarray(inputs), arrangement(jnp.asarray(inputs), "relu")))
            > 1e300
        )
    # As many inputs on few lines have few faces.
    assert missing_two_layer_bound(network(np.repeat(inputs[:, :4], 10, axis=1), rng.normal(size=(1, 40)))) is None
