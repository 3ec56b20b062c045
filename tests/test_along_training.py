"""Networks at their checkpoints: the balance of layers, certified gaps, and the bound before a linear head."""

import argparse
import json
import shlex
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nctheory as nct
from nctheory import networks
from nctheory.cli import main
from nctheory.cli._train_command import checkpoints_of
from nctheory.networks import head_gaps, layer_balances, linear_head_bounds
from nctheory.report import _trained, load_results
from nctheory.report._style import house_style
from proofs_numeric.networks import linear_head, module_linear_head
from tests.helpers import unchecked_types
from tests.picture_samples import balances, heads

MIXTURE = networks.gaussian_mixture(counts=(6, 4), dim=3, spread=0.2)
DECAY, RATE = 0.05, 0.02


@pytest.fixture(scope="module")
def descent():
    """Plain gradient descent, with biases, a leaky ReLU below a linear head of two layers."""
    network = networks.network_on(MIXTURE, (5, 4), weight_decay=DECAY, activation="leaky_relu", linear=2, bias=True)
    return networks.train(network, seeds=2, steps=200, optimiser=optax.sgd(RATE), checkpoints=(0, 1, 100))


def grams(point, seed):
    """A - B in both spaces, in NumPy."""
    weights, biases = ([np.asarray(part[seed]) for part in parts] for parts in (point.weights, point.biases))
    return [
        weights[i + 1].T @ weights[i + 1] - weights[i] @ weights[i].T - np.outer(biases[i], biases[i]) for i in range(2)
    ]


def test_one_step_of_descent_moves_the_balance_by_the_decay_and_the_square_of_the_rate(descent):
    """D_1 = (1 - r lambda)^2 D_0 + r^2 (G_{l+1}^T G_{l+1} - G_l G_l^T - c_l c_l^T), exactly."""
    found = layer_balances(descent, RATE)
    assert found.pairs == ("layers 1 and 2", "layers 2 and 3")
    assert found.whole == (False, True)
    assert found.steps.tolist() == [0, 1, 100, 200]
    np.testing.assert_allclose(found.times, RATE * found.steps)
    network = descent.network
    for seed in range(2):
        with jax.enable_x64(True):
            point = jax.tree.map(lambda leaf, i=seed: jnp.asarray(leaf[i]), descent.passed[0])
            slope = jax.tree.map(lambda leaf: np.asarray(leaf)[None], jax.grad(network.fit)(point))
        begun, moved = grams(descent.passed[0], seed), grams(slope, 0)
        for k, (first, second) in enumerate(zip(begun, moved, strict=True)):
            after = (1.0 - RATE * DECAY) ** 2 * first + RATE**2 * second
            seen = after if k == 1 else np.diag(after)
            assert found.imbalance[seed, 1, k] == pytest.approx(np.linalg.norm(seen), rel=1e-12)
            told = np.exp(-2 * DECAY * RATE) * np.linalg.norm(first if k == 1 else np.diag(first))
            assert found.predicted[seed, 1, k] == pytest.approx(told, rel=1e-12)


def test_the_prediction_is_that_of_the_flow_to_first_order_in_the_rate_and_of_no_other_law(descent):
    found = layer_balances(descent, RATE)
    half = networks.train(descent.network, 2, steps=400, optimiser=optax.sgd(RATE / 2), checkpoints=(0, 200))
    finer = layer_balances(half, RATE / 2)
    np.testing.assert_allclose(finer.deviation[:, 1:] / found.deviation[:, 2:], 0.5, atol=0.02)
    assert found.deviation.max() < 0.01
    # Faults: another rate; and all entries across an activation, which no rate brings to the prediction.
    assert np.all(layer_balances(descent, 1.5 * RATE).deviation[:, 3] > 10 * found.deviation[:, 3])
    left, (begun, _) = np.exp(-2 * DECAY * found.times[3]), grams(descent.passed[0], 0)
    coarse, fine = (np.linalg.norm(grams(ends.params, 0)[0] - left * begun) for ends in (descent, half))
    assert fine > 0.9 * coarse
    assert fine > 10 * np.linalg.norm(np.diag(grams(half.params, 0)[0] - left * begun))


def test_a_seed_that_flew_off_and_unequal_decays_have_no_prediction(descent):
    lost = jax.tree.map(lambda leaf: np.array(leaf), descent.params)
    lost.weights[0][1] = 1e200
    found = layer_balances(descent._replace(params=lost), RATE)
    assert np.isnan(found.imbalance[1, 3, 0])
    assert np.isfinite(found.imbalance[0]).all()
    network = networks.network_on(MIXTURE, (5, 4), weight_decay=(0.1, 0.1, 0.2), bias=True)
    found = layer_balances(descent._replace(network=network), RATE)
    assert np.isfinite(found.predicted[..., 0]).all()
    assert np.isnan(found.predicted[..., 1]).all()
    assert np.isfinite(found.imbalance).all()


@pytest.mark.slow
def test_gaps_along_training_are_those_of_every_checkpoint(descent):
    descent = descent._replace(passed={1: descent.passed[1], 100: descent.passed[100]})
    found = head_gaps(descent)
    assert found.steps.tolist() == [1, 100, 200]
    ends, middle = networks.peeled_gaps(descent), networks.peeled_gaps(descent.at(100))
    for name in ("value", "lower_bound", "gap", "gap_to_minimum", "efficiency"):
        np.testing.assert_array_equal(getattr(found, name)[:, 2], [getattr(one, name) for one in ends])
        np.testing.assert_array_equal(getattr(found, name)[:, 1], [getattr(one, name) for one in middle])
    assert found.theorem == ends[0].theorem
    assert np.all(np.diff(found.gap, axis=1) < 0)
    # A seed that is lost at the end is known before.
    lost = head_gaps(descent._replace(value=np.array([np.nan, descent.value[1]]), passed={100: descent.passed[100]}))
    assert np.isnan(lost.gap[0, 1])
    np.testing.assert_array_equal(lost.gap[:, 0], found.gap[:, 1])


def test_the_bound_before_a_linear_head_is_that_of_the_theorem(descent):
    for trained in (descent.at(0), descent):
        found, ratio = linear_head_bounds(trained), networks.layer_metrics(trained).trace_ratio[:, -1]
        assert np.all(ratio <= found)
        for seed in range(2):
            with jax.enable_x64(True):
                point = jax.tree.map(lambda leaf, i=seed: jnp.asarray(leaf[i]), trained.params)
                left, fit, imbalance, _ = map(float, linear_head.sides(trained.network, point))
            assert found[seed] / ratio[seed] == pytest.approx((fit**2 + imbalance**2) / left**2, rel=1e-9)
            assert imbalance > 0  # without it the bound is another
    gone = descent.params._replace(weights=(*descent.params.weights[:-1], 0.0 * descent.params.weights[-1]))
    assert np.all(np.isinf(linear_head_bounds(descent._replace(params=gone))))
    value = np.array([descent.value[0], np.nan])
    assert np.isnan(linear_head_bounds(descent._replace(value=value))).tolist() == [False, True]


def test_the_picture_of_layers_marks_the_bound_at_the_last_one(descent):
    metrics = networks.layer_metrics(descent)
    with house_style():
        drawn = _trained.draw_layers(_trained.trained_layers(descent, metrics))
    panels = {panel.get_legend().get_title().get_text(): panel for panel in drawn.axes}
    marks = {name: [x for x in panel.lines if "balance of the head" in x.get_label()] for name, panel in panels.items()}
    assert [name for name, found in marks.items() if found] == ["trace_ratio"]
    np.testing.assert_array_equal(
        marks["trace_ratio"][0].get_xydata(), [[2, one] for one in linear_head_bounds(descent)]
    )
    plain = descent._replace(network=networks.network_on(MIXTURE, (5, 4), bias=True))
    assert not networks.has_linear_head(plain.network)
    with house_style():
        drawn = _trained.draw_layers(_trained.trained_layers(plain, metrics))
    assert len(drawn.axes[1].lines) == len(panels["trace_ratio"].lines) - 1


BOUNDED = [("convolutions", (3, 4), 3), ("residual", (5, 5), 1), ("transformer", (8, 8), 1), ("tokens", (), 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "widths", "linear"), BOUNDED)
def test_the_bound_before_the_head_of_modules_is_that_of_the_theorem(model, widths, linear):
    """Against the theorem's own program, which notes what enters each layer in the module's pass."""
    images = networks.gaussian_mixture(counts=(6, 4), dim=16, spread=0.2)
    if model == "tokens":
        data = networks.markov_sequences(counts=(6, 4), vocabulary=5, length=6)
        make = networks.Transformer(width=4, blocks=1, heads=2, length=6, vocabulary=5, classes=2)
    else:
        data, make = networks.model_for(model, images, widths, linear)
    trained = networks.train(networks.module_on(data, make, weight_decay=0.02), seeds=2, steps=40)
    found, ratio = linear_head_bounds(trained), networks.layer_metrics(trained).trace_ratio[:, -1]
    for seed in range(2):
        with jax.enable_x64(True):
            point = jax.tree.map(lambda leaf, i=seed: jnp.asarray(leaf[i]), trained.params)
            left, fit, imbalance, _ = map(float, module_linear_head.sides(trained.network, point))
        assert found[seed] / ratio[seed] == pytest.approx((fit**2 + imbalance**2) / left**2, rel=1e-9)
    assert np.all(ratio < found)
    alone = networks.module_on(images.shaped(4, 4), networks.ConvNet((3,), 1, (4, 4), 2))
    assert not networks.has_linear_head(alone)


def test_pictures_are_the_same_for_the_same_numbers_and_need_some(tmp_path):
    for name, result, none in (
        ("heads", heads(), heads(decay=False)._replace(efficiency=np.full((3, 4), np.nan))),
        ("balances", balances(1), balances(1)._replace(imbalance=np.full((2, 4, 1), np.nan))),
    ):
        first, again = (nct.plot(result, tmp_path / f"{i}.svg").read_bytes() for i in range(2))
        assert first == again
        with pytest.raises(ValueError, match=f"{name.removeprefix('head')}: expected a seed"):
            nct.plot(none, tmp_path / "none.svg")


def test_wrong_input_is_named(descent):
    gelu = networks.network_on(MIXTURE, (5, 4), activation="gelu")
    uneven = networks.network_on(MIXTURE, (5, 4), weight_decay=(0.1, 0.2, 0.1))
    calls: tuple[tuple[Any, str], ...] = (
        (lambda: layer_balances(descent, 0.0), "rate: expected a positive number, got 0.0"),
        (lambda: layer_balances(descent, np.nan), "rate: expected a positive number"),
        (lambda: layer_balances(descent._replace(passed=None), RATE), "trained: expected checkpoints"),
        (lambda: layer_balances(descent._replace(network=gelu), RATE), "trained: expected layers of .*, got gelu"),
        (
            lambda: layer_balances(descent._replace(network=uneven), RATE),
            "trained: expected two neighbouring layers of one",
        ),
        (lambda: head_gaps(descent._replace(passed=None)), "trained: expected checkpoints"),
        (
            lambda: linear_head_bounds(descent._replace(network=gelu)),
            "trained: expected networks whose last two layers",
        ),
        (lambda: linear_head_bounds(descent._replace(value=np.full(2, np.nan))), "trained: expected a seed whose"),
        (lambda: networks.momentum_time(-1.0), "rate: expected a positive number"),
    )
    for call, message in calls:
        with unchecked_types(), pytest.raises(ValueError, match=message):
            call()


@pytest.mark.slow
def test_the_command_looks_at_checkpoints_and_draws_them(tmp_path, capsys):
    file, out = tmp_path / "mixture.npz", tmp_path / "run"
    np.savez(
        file,
        inputs=MIXTURE.inputs,
        labels=MIXTURE.labels,
        test_inputs=0.9 * MIXTURE.inputs,
        test_labels=MIXTURE.labels,
    )
    asked = f"train --data {file} --hidden 5,4 --linear 2 --seeds 2 --steps 60 --bias --shots 2".split()
    asked += ["--activation", "leaky_relu", "--optimiser", "sgd", "--rate", "0.002", "--checkpoints", "1"]
    assert main(asked) == 2
    assert "--checkpoints: expected --out DIR with it" in capsys.readouterr().err
    labels = 2 * MIXTURE.labels  # no sample of class 1
    np.savetxt(tmp_path / "gap.csv", np.column_stack([MIXTURE.inputs, labels]), delimiter=",")
    for more in (), ("--checkpoints", "2", "--out", str(out)):
        assert main(["train", "--data", str(tmp_path / "gap.csv"), *more]) == 2
        told = capsys.readouterr()
        assert "--data: expected training samples of every class, got none of class 1" in told.err
        assert not told.out, "nothing was trained"
    assert main([*asked, "--schedule", "constant", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "heads.png" in told
    assert "balance.png" in told
    written = load_results(out).networks
    kinds = ("balance", "heads", "layers", "nearest-mean")
    assert tuple(one.kind for one in written) == kinds
    assert len({json.dumps(one.data["run"]) for one in written}) == 1
    assert written[0].data["run"]["command"] == shlex.join(
        ["nctheory", *asked, "--schedule", "constant", "--out", str(out)]
    )
    assert written[2].data["ends"]["head_bounds"].shape == (2,)
    assert written[3].data["few_shot"].shape == (2, 3, 1)
    for name in kinds:
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    held = {name: json.loads((out / f"{name}.json").read_text()) for name in ("heads", "balance")}
    assert held["heads"]["steps"] == held["balance"]["steps"] == [0, 60]
    assert np.shape(held["heads"]["gap"]) == (2, 2)
    assert held["balance"]["times"] == pytest.approx([0.0, 60 * 0.02])
    assert held["balance"]["whole"] == [False, True]
    assert checkpoints_of(argparse.Namespace(checkpoints=None, steps=60)) == ()
    assert checkpoints_of(argparse.Namespace(checkpoints=3, steps=60)) == (0, 2, 18)
