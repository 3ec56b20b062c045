"""The certified distance of a network's head from the unconstrained-feature model, against another solver and by hand."""

import math
import warnings
from typing import Any

import cvxpy as cp
import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory import networks
from nctheory.networks import peeled_gap

COUNTS = (6, 4, 2)
LABELS = np.repeat(np.arange(3), COUNTS)


def network(rng, width=5, noise=0.2):
    """Features about class means, labels, and weights that nearly separate the classes."""
    features = rng.normal(size=(3, width))[LABELS] + noise * rng.normal(size=(12, width))
    weights = np.linalg.lstsq(features, np.eye(3)[LABELS], rcond=None)[0].T
    return features, LABELS, weights + 0.1 * rng.normal(size=(3, width))


def by_cvxpy(loss, fit=0.0, penalty=None, bias=False):
    """The least nuclear norm at which the fit is reached, or the least fit + penalty x nuclear norm."""
    z, b = cp.Variable((3, 3)), cp.Variable((3, 1)) if bias else np.zeros((3, 1))
    share = np.array(COUNTS) / sum(COUNTS)
    logits = z + b @ np.ones((1, 3))
    if loss == "mse":
        losses = [0.5 * cp.sum_squares(logits[:, k] - np.eye(3)[k]) for k in range(3)]
    else:
        losses = [cp.log_sum_exp(logits[:, k]) - logits[k, k] for k in range(3)]
    mean = sum(share[k] * losses[k] for k in range(3))
    nuclear = cp.normNuc(z @ np.diag(np.sqrt(COUNTS)))
    if penalty is None:
        constraints: list[Any] = [mean <= fit]
        problem = cp.Problem(cp.Minimize(nuclear), constraints)
    else:
        problem = cp.Problem(cp.Minimize(mean + penalty * nuclear))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own
        least: Any = problem.solve(solver=cp.SCS, eps=1e-9, max_iters=200_000)
    return float(least)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "bias"), [("mse", False), ("cross_entropy", False), ("cross_entropy", True)])
def test_minimum_and_efficiency_are_those_of_a_convex_solver(loss, bias, rng):
    head = network(rng)
    if bias:
        head = (*head, 0.1 * rng.normal(size=3))
    found = peeled_gap(*head, loss=loss, weight_decay=0.02)
    penalty = math.sqrt(found.weight_decay[0] * found.weight_decay[1])
    assert found.minimum == pytest.approx(by_cvxpy(loss, penalty=penalty, bias=bias), rel=1e-5)
    assert found.lower_bound <= found.minimum * (1 + 1e-12)
    assert found.lower_bound == pytest.approx(found.minimum, rel=1e-8)
    assert 0 < found.gap < 1
    assert found.gap_to_minimum == pytest.approx(found.gap, rel=1e-6)
    least = by_cvxpy(loss, fit=found.fit, bias=bias)
    # The certified number is below the least budget by the accuracy of the multiplier, and never above it.
    assert found.efficiency * found.budget <= least * (1 + 1e-5)
    assert found.efficiency * found.budget == pytest.approx(least, rel=1e-4)


@pytest.mark.slow
def test_the_terms_of_the_value_are_those_of_the_objective(rng):
    features, labels, weights = network(rng)
    bias = rng.normal(size=3)
    found = peeled_gap(
        features, labels, weights, bias, loss="mse", weight_decay=0.02, feature_decay=0.03, bias_decay=0.5
    )
    residual = features @ weights.T + bias - np.eye(3)[labels]
    fit = 0.5 * np.mean(np.sum(residual**2, axis=1))
    assert found.fit == pytest.approx(fit, rel=1e-13)
    penalties = 0.01 * np.sum(weights**2) + 0.015 * np.sum(features**2) + 0.25 * np.sum(bias**2)
    assert found.value == pytest.approx(fit + penalties, rel=1e-13)
    assert found.weight_decay == (0.02, 0.03)
    own = peeled_gap(features, labels, weights, bias, loss="mse", weight_decay=0.02)
    assert own.weight_decay[1] * np.sum(features**2) == pytest.approx(0.02 * np.sum(weights**2), rel=1e-13)


@pytest.mark.slow
def test_a_minimiser_has_no_gap_and_spends_what_is_needed():
    model = nct.unconstrained_features(counts=COUNTS, dim=4, loss="cross_entropy", weight_decay=(0.01, 0.02), bias=0.1)
    end = nct.solve(model, seeds=2).params
    head = end.features[1].T, LABELS, end.weights[0][1], end.bias[1]
    found = peeled_gap(*head, loss="cross_entropy", weight_decay=0.01, feature_decay=0.02, bias_decay=0.1)
    assert abs(found.gap) < 1e-9
    free = nct.unconstrained_features(counts=COUNTS, dim=4, loss="cross_entropy", weight_decay=(0.01, 0.02), bias=0.0)
    end = nct.solve(free, seeds=2).params
    found = peeled_gap(end.features[1].T, LABELS, end.weights[0][1], end.bias[1], loss="cross_entropy")
    assert 1 - 1e-6 < found.efficiency <= 1 + 1e-12
    assert np.isnan([found.value, found.gap, found.lower_bound]).all()


@pytest.mark.slow
def test_where_no_theorem_applies_the_minimum_is_sought_and_certified_all_the_same(rng):
    loss = nct.losses.vector_scaling(3, label_scale=np.array([1.0, 1.5, 2.0]))
    found = peeled_gap(*network(rng), loss=loss, weight_decay=0.02)
    assert found.theorem is None
    assert found.lower_bound == pytest.approx(found.minimum, rel=1e-8)
    assert 0 < found.efficiency < 1


def test_wrong_input_is_named(rng):
    features, labels, weights = network(rng)
    for change, message in (
        ({"labels": labels[:5]}, "labels: expected 12"),
        ({"labels": labels * 0}, "labels: expected samples of all 3 classes, got none of class 1"),
        ({"features": features * np.nan}, "features: expected finite numbers"),
        ({"weights": weights.T}, "weights: expected K x d"),
        ({"weights": None}, "weights: expected K x d"),
        ({"weight_decay": -1.0}, "weight_decay: expected a finite positive number, got -1.0"),
        ({"weight_decay": None, "feature_decay": 0.1}, "feature_decay: expected weight_decay with it"),
        ({"bias_decay": 0.1}, "bias_decay: expected a bias with it"),
        ({"loss": "huber"}, "loss"),
    ):
        arguments = {"features": features, "labels": labels, "weights": weights, "loss": "mse", "weight_decay": 0.1}
        with pytest.raises(ValueError, match=message):
            peeled_gap(**{**arguments, **change})


@pytest.mark.slow
def test_the_distance_of_every_seed_is_that_of_its_exported_head():
    mixture = networks.gaussian_mixture(counts=(6, 4), dim=3, spread=0.2)
    network = networks.network_on(mixture, (5, 4), weight_decay=(1e-3, 1e-3, 2e-2), bias=True)
    trained = networks.train(network, seeds=3, steps=60, checkpoints=(5,))
    point = jax.tree.map(lambda x: x[2], trained.at(5).params)
    features = np.asarray(network.layers(point)[-2]).T
    alone = networks.peeled_gap(
        features, mixture.labels, point.weights[-1], point.biases[-1], loss="mse", weight_decay=2e-2, bias_decay=2e-2
    )
    assert networks.peeled_gaps(trained.at(5))[2] == alone
    lost = trained._replace(value=np.array([1.0, np.nan, 1.0]))
    found = networks.peeled_gaps(lost)
    assert np.isnan(found[1].gap)
    assert found[1].reason == "training did not stay finite"
    assert np.isfinite(found[0].gap)
    with pytest.raises(ValueError, match="trained: expected a seed whose training stayed finite"):
        networks.peeled_gaps(trained._replace(value=np.full(3, np.nan)))
    undecayed = networks.train(networks.network_on(mixture, (5,), weight_decay=0.0), seeds=1, steps=20)
    alone = networks.peeled_gaps(undecayed)[0]
    assert np.isnan(alone.gap)
    assert 0 < alone.efficiency <= 1


def test_distances_are_of_labels_and_of_linear_heads():
    soft = np.array([[0.5, 1.0], [0.5, 0.0]])
    network = networks.feed_forward(
        widths=(2, 3, 2), inputs=np.eye(2), targets=soft, loss="cross_entropy", weight_decay=1e-2
    )
    trained = networks.train(network, seeds=1, steps=2)
    with pytest.raises(ValueError, match="trained: expected targets of one label a sample, got others"):
        networks.peeled_gaps(trained)
