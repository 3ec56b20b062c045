"""Limits of ReLU networks on separable data: the nearest points, the margin program's certificate, the slowed flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from proofs_numeric.nonlinear import separable_limits as ends
from proofs_numeric.nonlinear.min_zhu_vidal_limit import predict_with
from proofs_numeric.nonlinear.separable_networks import Layers, drawn_inputs, velocity

SIZES = ((2, 3, 3), (2, 2, 4), (3, 6, 2))


@pytest.mark.parametrize(("classes", "dim", "samples"), SIZES)
def test_nearest_points_are_those_of_non_negative_least_squares(rng, classes, dim, samples):
    from scipy.optimize import nnls

    inputs = drawn_inputs(rng, classes, dim, samples)
    with jax.enable_x64(True):
        found = np.asarray(ends.nearest_points(jnp.asarray(inputs), classes))
    for k in range(classes):
        points = inputs[:, k * samples : (k + 1) * samples]
        # min |Xm|^2 + (1'm - 1)^2 over m >= 0 is attained at a multiple of the weights of the nearest point.
        weights = nnls(np.vstack([points, np.ones(samples)]), np.append(np.zeros(dim), 1.0))[0]
        assert np.allclose(points @ weights / weights.sum(), found[:, k], rtol=0, atol=1e-12)
        assert np.all(found[:, k] @ points >= found[:, k] @ found[:, k] - 1e-12)


def test_the_margin_is_certified_by_a_dual_point(rng):
    # For each class M = sum mu (e_k - e_l) x_i' with the multipliers of the nearest point is feasible at spectral norm 1, and
    # its sum of multipliers is the least nuclear norm c_k at margins of 1, which (e_k - 1/K) a' has.
    classes, dim, samples = 3, 6, 2
    inputs = drawn_inputs(rng, classes, dim, samples)
    with jax.enable_x64(True):
        nearest = np.asarray(ends.nearest_points(jnp.asarray(inputs), classes))
        told = ends.limits(jnp.asarray(inputs), classes, jnp.asarray(nearest), (classes - 1) / classes)
    costs = []
    for k in range(classes):
        others = np.setdiff1d(np.arange(classes), [k])
        vertex, point = np.eye(classes)[k] - 1 / classes, nearest[:, k]
        dual = np.zeros((classes, dim))
        for other in others:
            dual += np.outer(np.eye(classes)[k] - np.eye(classes)[other], point) / (classes - 1)
        scale = 1.0 / np.linalg.norm(dual, 2)
        primal = np.outer(vertex, point / (point @ point))
        margins = [
            primal[k] @ x - primal[other] @ x for other in others for x in inputs.T[k * samples : (k + 1) * samples]
        ]
        assert min(margins) > 1 - 1e-12
        cost = np.linalg.norm(primal, "nuc")
        assert abs(cost - scale) < 1e-12
        costs.append(cost)
    assert abs(float(told.margin) - 1 / sum(costs)) < 1e-12


def limit_point(problem):
    """The direction that the theorem states, with neurons of a class in one direction of its own."""
    inputs, classes = jnp.asarray(problem.inputs), problem.classes
    nearest = ends.nearest_points(inputs, classes)
    long = jnp.linalg.norm(nearest, axis=0)
    roots = jnp.sqrt(jnp.sqrt((classes - 1) / classes) / long)
    weights = jnp.asarray([1.0, 2.0])
    rays = jnp.where(problem.owners[:, None] == np.arange(classes)[None, :], jnp.tile(weights, classes)[:, None], 0.0)
    rays = rays / jnp.linalg.norm(weights)
    vertices = (jnp.eye(classes) - 1 / classes) * (classes / (classes - 1)) ** 0.5
    return Layers(rays @ ((roots / long)[:, None] * nearest.T), (vertices * roots[None, :]) @ rays.T)


def test_the_stated_direction_has_the_observables_and_the_margin(rng):
    problem = ends.SlowedNetwork(drawn_inputs(rng, 3, 4, 3), np.asarray(1.0), np.asarray(1.0), 3, 3, 2)
    with jax.enable_x64(True):
        point = limit_point(problem)
        told = predict_with()(problem, None, None)
        for observe, number in (
            (ends.margin, told.margin), (ends.sizes, told.sizes), (ends.lengths, told.lengths),
            (ends.one_direction, told.one), (ends.vertices(), told.one), (ends.duality(), told.one),
        ):  # fmt: skip
            assert abs(float(observe(problem, point, None)) - float(number)) < 1e-12
        # No other direction that was drawn has a larger margin; those of other ways to look are not at their limits.
        for seed in range(20):
            near = jax.tree.map(lambda x, k=seed: x * (1 + 0.02 * jax.random.normal(jax.random.key(k), x.shape)), point)
            assert float(ends.margin(problem, near, None)) < float(told.margin)
        assert float(ends.duality(centred=0.0)(problem, point, None)) < 0.9
        assert float(ends.vertices(middle=0.0)(problem, point, None)) < 0.9


def test_the_slowed_flow_is_that_of_the_network_in_another_time(rng):
    problem = ends.SlowedNetwork(drawn_inputs(rng, 2, 3, 2), np.asarray(1.0), np.asarray(1.0), 2, 2, 2)
    with jax.enable_x64(True):
        start = problem.init(jax.random.key(0), jnp.float64(0.7))
        mask = jnp.where(jnp.asarray(problem.owners[:, None] == problem.labels[None, :]), 1.0, 0.0)
        true = velocity(jnp.asarray(problem.inputs), jnp.asarray(problem.labels), mask, start)
        slow = problem.velocity(start)
        speed = 1 / (1 + sum(float(jnp.sum(x**2)) for x in start) / ends.RADIUS)
        value = float(jnp.exp(problem.objective(start)))
        for one, other in zip(slow, true, strict=True):
            assert np.allclose(one, speed / value * other, rtol=1e-12, atol=1e-14)
        # Far out the loss underflows, and its logarithm does not.
        far = jax.tree.map(lambda x: 40.0 * x, start)
        assert np.isfinite(float(problem.objective(far)))


@pytest.mark.slow
def test_a_network_whose_neurons_see_two_classes_does_not_end_there(rng):
    # A start outside of the set: the margin of the theorem is not what a neuron of the wrong class leaves.
    inputs = drawn_inputs(rng, 2, 2, 2)
    problem = ends.SlowedNetwork(inputs, np.asarray(0.0), np.asarray(0.0), 2, 2, 2)
    with jax.enable_x64(True):
        told = float(predict_with()(problem, None, None).margin)
    start = nct.starts(problem, seeds=2, scale=0.3)
    # The outgoing weights of the second class's neurons point the wrong way: they die, and the class is left to chance.
    wrong = start._replace(last=start.last * np.array([1.0, 1.0, -1.0, -1.0]))
    observe = lambda problem, params: ends.margin(problem, params, None)  # noqa: E731
    right = nct.gradient_flow(problem, start, [400.0, 800.0], observe=observe, light=True).values
    other = nct.gradient_flow(problem, wrong, [400.0, 800.0], observe=observe, light=True).values
    assert np.max(np.abs((2 * right[:, 1] - right[:, 0]) / told - 1)) < 1e-2
    assert not np.any(np.abs((2 * other[:, 1] - other[:, 0]) / told - 1) < 1e-2)
