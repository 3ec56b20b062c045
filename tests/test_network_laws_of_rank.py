"""Laws of the rank of layers, held against plain NumPy: one sample and one step at a time."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.networks import feed_forward
from tests.helpers import first
from tests.networks import LAMBDA, arrays, deltas, entropy, laws, network, part_of

ETA = 0.2


def test_the_gradients_before_activations_are_those_of_backward_propagation(rng):
    net = network(rng)
    point = first(nct.starts(net, 1))
    slopes, below = laws("layers").backward(net, point)
    for found, into, (by_hand, seen) in zip(slopes, below, deltas(net, *arrays(point), entropy), strict=True):
        np.testing.assert_allclose(found, by_hand, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(into, seen, rtol=1e-12, atol=1e-15)
    whole = net.value_and_grad(point)[1]
    for found, into, slope, weight in zip(slopes, below, whole.weights, point.weights, strict=True):
        np.testing.assert_allclose(found @ into.T + LAMBDA * weight, slope, rtol=1e-11, atol=1e-15)


def grouped_means(features, groups, each):
    return np.repeat(features.reshape(len(features), groups, each).mean(axis=2), each, axis=1)


def test_the_bound_on_the_distance_is_the_distance_to_one_matrix_of_low_rank(rng):
    """That matrix is -G mean(Z)^T / lambda; no matrix of rank K is nearer than the singular values beyond K."""
    module = laws("tcv_rank")
    for instance in module.draw_instances(jax.random.key(5))[-4:-2]:
        net = instance.problem
        point = first(nct.starts(net, 1))
        slope = net.value_and_grad(point)[1].weights
        for layer in module.wide_layers(net):
            into, back = deltas(net, *arrays(point), entropy)[layer][::-1]
            decay, weight = float(net.weight_decay[layer]), np.asarray(point.weights[layer])
            low = -back @ grouped_means(into, module.GROUPS, module.EACH).T / decay
            assert np.linalg.matrix_rank(low) <= module.GROUPS
            left, right, _ = module.sides(net, point, layer)
            far = np.linalg.norm(weight - low)
            dev = into - grouped_means(into, module.GROUPS, module.EACH)
            np.testing.assert_allclose(far, np.linalg.norm(np.asarray(slope[layer]) - back @ dev.T) / decay, rtol=1e-12)
            np.testing.assert_allclose(left, np.linalg.svd(weight)[1][module.GROUPS :], rtol=1e-10, atol=1e-14)
            assert np.linalg.norm(left) <= far
            assert len(right) == len(left)


@pytest.mark.slow
def test_at_a_critical_point_the_variability_alone_bounds_the_distance(rng):
    """A network of tanh, trained by L-BFGS until the gradient is small: what it is counts in the bound."""
    module = laws("tcv_rank")
    shape = ((4, 6, 5, 2), "tanh", 1, True, "cross_entropy", "normal")
    net = module.shaped(rng, shape, (0.02,) * 3).problem
    value = jax.jit(lambda v: net.value_and_grad(nct.problems.unravel(net, v)))
    begin = nct.problems.ravel(first(nct.starts(net, 1)))

    def objective(vector):
        total, slope = value(jnp.asarray(vector))
        return float(total), np.asarray(nct.problems.ravel(slope))

    options: Any = {"maxiter": 20000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 50}
    end = scipy.optimize.minimize(objective, np.asarray(begin), jac=True, method="L-BFGS-B", options=options)
    point, size = nct.problems.unravel(net, jnp.asarray(end.x)), np.linalg.norm(objective(end.x)[1])
    assert size < 1e-5
    for layer in module.wide_layers(net):
        into, back = deltas(net, *arrays(point), entropy)[layer][::-1]
        dev = into - grouped_means(into, module.GROUPS, module.EACH)
        tail = np.linalg.norm(np.linalg.svd(np.asarray(point.weights[layer]))[1][module.GROUPS :])
        assert tail <= (np.linalg.norm(back @ dev.T) + size) / 0.02


def test_off_critical_points_the_bound_without_the_gradient_is_false():
    """One linear layer that fits identical samples perfectly: G = 0, and the identity is far from rank 1."""
    inputs = np.array([[1.0, 1.0], [0.0, 0.0]])
    net = feed_forward(widths=(2, 2), inputs=inputs, targets=inputs, loss="mse", weight_decay=0.1)
    point = nct.networks.NetworkParams((jnp.eye(2),), None)
    slopes, _ = laws("layers").backward(net, point)
    np.testing.assert_array_equal(slopes[0], 0)
    tail = np.linalg.svd(np.eye(2))[1][1]
    assert tail == 1.0
    assert np.linalg.norm(net.value_and_grad(point)[1].weights[0]) / 0.1 >= tail


def test_steps_on_small_batches_by_hand_write_what_the_theorem_says(rng):
    """The whole path in NumPy, with the samples of every step one after the other, long after the window of n steps."""
    net = network(rng, widths=(6, 7, 6, 3), samples=9)
    weights, biases = arrays(first(nct.starts(net, 1)))
    order = [rng.permutation(9)[:2] for _ in range(60)]
    marks = []
    for batch in order:
        marks.append([w.copy() for w in weights])
        part = dataclasses.replace(net, inputs=net.inputs[:, batch], targets=net.targets[:, batch])
        layers = deltas(part, weights, biases, entropy)
        weights = [(1 - ETA * LAMBDA) * w - ETA * g @ z.T for w, (g, z) in zip(weights, layers, strict=True)]
        biases = [(1 - ETA * LAMBDA) * b - ETA * g.sum(axis=1) for b, (g, _) in zip(biases, layers, strict=True)]
    for layer in (0, 1):
        for window in (1, 2):
            before, now = marks[-window][layer], weights[layer]
            factor = (1 - ETA * LAMBDA) ** window
            assert np.linalg.matrix_rank(now - factor * before, tol=1e-12) == 2 * window
            tail = np.linalg.svd(now)[1][2 * window :]
            assert (tail <= factor * np.linalg.svd(before)[1][: len(tail)]).all()
            assert np.linalg.norm(tail) < factor * np.linalg.norm(before)


def test_the_path_of_the_library_keeps_the_rank_of_its_draws(rng):
    """Between two looks at minibatch descent lie n steps, with samples that it draws itself."""
    net, at = network(rng, widths=(6, 7, 6, 3), samples=9), np.array([0, 2, 20, 22])
    paths = nct.gradient_descent(
        net, nct.starts(net, 3), at, ETA, observe=lambda problem, x: x.weights[0], batch=2, compare=False
    )
    for early, late in ((0, 1), (2, 3)):
        written = paths.values[:, late] - (1 - ETA * LAMBDA) ** 2 * paths.values[:, early]
        values = np.linalg.svd(written, compute_uv=False)
        assert (values[:, 4] < 1e-14).all()
        assert (values[:, 1] > 1e-4).all()
    far = np.linalg.svd(paths.values[:, 2] - paths.values[:, 1], compute_uv=False)
    assert (far[:, 5] > 1e-6).all()  # in eighteen steps more than four directions are written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "at", "control"),
    [("nc0-optimizers", 2, "decay 1e-6 off"), ("sgd-rank", 0, "twice the decay"), ("tcv-rank", 4, "decay 1e-6 off")],
)
def test_the_laws_hold_at_another_key(name, at, control):
    verdict = nct.verify(part_of(name, at, control), seeds=12, key=17)
    assert verdict.supporting == 12
    assert all(claim.violations == 0 for claim in verdict.claims)
    assert verdict.controls[0].refuted


@pytest.mark.slow
def test_a_batch_of_more_samples_than_are_counted_is_refuted(monkeypatch):
    module = laws("sgd_rank")
    real = module.on_samples
    monkeypatch.setattr(module, "on_samples", lambda problem, batch: real(problem, np.append(batch, 6)))
    verdict = nct.verify(part_of("sgd-rank", 4, "one direction fewer"), seeds=4)
    assert verdict.outcome == "refuted"
    assert any("'rank' fails" in reason for reason in verdict.reasons)


def test_networks_outside_of_the_hypotheses_are_not_drawn(rng):
    wrong = [
        ("nc0-optimizers", "a loss that is the same", lambda k: laws("nc0_optimizers").draw_squared(k)),
        ("tcv-rank", "more than K rows", lambda k: [narrow("tcv_rank", (2, 4, 2), "normal")]),
        ("tcv-rank", "all decays > 0", lambda k: [narrow("tcv_rank", (4, 4, 2), "normal", 0.0)]),
        ("sgd-rank", "more than nB rows", lambda k: [narrow("sgd_rank", (4, 4, 2), ((0, 1), (2, 3)), "normal")]),
    ]
    for name, message, instances in wrong:
        theorem = dataclasses.replace(nct.theorems.find_theorem(name), instances=instances)
        with pytest.raises(ValueError, match=message):
            theorem.draw(jax.random.key(0))


def narrow(name, widths, *rest):
    decay = rest[-1] if isinstance(rest[-1], float) else 0.1
    shape = (widths, "tanh", 1, False, "cross_entropy", *(one for one in rest if not isinstance(one, float)))
    return laws(name).shaped(np.random.default_rng(0), shape, (decay,) * (len(widths) - 1))
