"""Training from many seeds against a plain loop, the metrics of layers, and `nctheory train`."""

import json
import sys
from typing import Any

import jax
import numpy as np
import optax
import pytest

import nctheory as nct
from nctheory import networks
from nctheory.cli import main
from nctheory.report import TrainingProgress
from tests.helpers import unchecked_types

MIXTURE = networks.gaussian_mixture(counts=(6, 6, 6), dim=4, spread=0.2, test=5, key=2)


def small(**change: Any):
    return networks.network_on(MIXTURE, (6, 5), **{"weight_decay": 0.02, **change})


def test_every_seed_goes_its_own_way():
    """Seed 5 ends at the same point alone and among others, and training lowers the objective."""
    network = small()
    several, alone = networks.train(network, [2, 5], steps=40), networks.train(network, [5], steps=40)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[1], y[0], rtol=1e-12), several.params, alone.params)
    assert several.seeds.tolist() == [2, 5]
    begun = nct.starts(network, [2, 5])
    before = [float(network.objective(jax.tree.map(lambda x, i=i: x[i], begun))) for i in range(2)]
    assert np.all(several.value < 0.5 * np.array(before))
    assert np.all(several.fit < several.value)


def test_momentum_is_that_of_a_plain_loop():
    """v <- 0.9 v + g, x <- x - r v with a rate that falls to zero over the last fifth, in NumPy."""
    network, steps, rate = small(bias=True, loss="cross_entropy"), 50, 0.1
    found = networks.train(network, [3], steps=steps, optimiser="sgd", rate=rate)
    point = jax.tree.map(lambda x: np.asarray(x[0]), nct.starts(network, [3]))
    memory = jax.tree.map(np.zeros_like, point)
    for i in range(steps):
        now = rate * min(1.0, (steps - i) / (0.2 * steps))
        slope = network.value_and_grad(point)[1]
        memory = jax.tree.map(lambda v, g: 0.9 * v + np.asarray(g), memory, slope)
        point = jax.tree.map(lambda x, v, r=now: x - r * v, point, memory)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[0], y, rtol=1e-9, atol=1e-12), found.params, point)
    slope = network.value_and_grad(point)[1]
    assert found.grad_norm[0] == pytest.approx(
        np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(slope))), rel=1e-8
    )


def test_an_optimiser_of_optax_is_taken_as_it_is():
    network = small()
    ours = networks.train(network, 2, steps=30, optimiser=optax.rmsprop(1e-2))
    assert ours.finite.all()
    with pytest.raises(ValueError, match="rate: expected none beside an optimiser of optax"):
        networks.train(network, 2, steps=30, optimiser=optax.rmsprop(1e-2), rate=0.1)


def test_metrics_of_layers_are_those_of_their_features():
    network = small()
    trained = networks.train(network, 2, steps=200)
    found = networks.layer_metrics(trained)
    assert found.layers == ("inputs", "layer 1", "layer 2")
    assert found.nc1.shape == (2, 3)
    point = jax.tree.map(lambda x: x[1], trained.params)
    features = np.maximum(point.weights[0] @ MIXTURE.inputs.T, 0)
    direct = nct.nc_metrics(features.T, MIXTURE.labels)
    assert found.nc1[1, 1] == pytest.approx(float(direct.nc1), rel=1e-10)
    assert np.isnan(found.nc3[:, :2]).all()  # the classifier is held against the last layer
    assert np.isfinite(found.nc3[:, 2]).all()
    np.testing.assert_array_equal(found.error[:, 2], trained.error)
    tested = networks.layer_metrics(trained, MIXTURE.test_inputs, MIXTURE.test_labels)
    np.testing.assert_array_equal(
        tested.error[:, 2], networks.error_on(trained, MIXTURE.test_inputs, MIXTURE.test_labels)
    )


def test_what_diverged_tells_nothing():
    trained = networks.train(small(), 6, steps=60, optimiser="sgd", rate=1.2, scale=3.0)
    assert 0 < trained.finite.sum() < 6, "a rate at which some seeds fly off"
    found = networks.layer_metrics(trained)
    assert np.array_equal(np.isfinite(found.trace_ratio[:, 0]), trained.finite)
    assert np.array_equal(np.isfinite(networks.error_on(trained, MIXTURE.inputs, MIXTURE.labels)), trained.finite)
    lost = networks.train(small(), 2, steps=60, optimiser="sgd", rate=1e9)
    assert not lost.finite.any()
    with pytest.raises(ValueError, match="trained: expected a seed whose training stayed finite"):
        networks.layer_metrics(lost)


def test_minibatches_gathered_by_rows_are_those_of_columns():
    network = small()
    which = network.drawn(jax.random.key(3), 5)
    one, other = network.of_rows(network.by_rows(), which), network.minibatch(jax.random.key(3), 5)
    for name in ("inputs", "targets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: networks.train(small(), steps=0), "steps: expected a whole number of at least 1"),
        (
            lambda: networks.train(small(), optimiser="lion"),
            "optimiser: expected one of adam, muon, sgd or one of optax",
        ),
        (lambda: networks.train(small(), rate=-1.0), "rate: expected a positive number"),
        (lambda: small(activation="sine"), "activation: expected one of"),
        (lambda: networks.network_on(MIXTURE.multi_label(3), (4,)), "data: expected one label a sample, got tags"),
    ],
)
def test_wrong_calls_are_named(call, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        call()


def test_wrong_samples_are_named():
    trained = networks.train(small(), 1, steps=2)
    with pytest.raises(ValueError, match="inputs: expected 4 numbers a sample, got 3"):
        networks.error_on(trained, MIXTURE.inputs[:, :3], MIXTURE.labels)
    with pytest.raises(ValueError, match="labels: expected both inputs and labels"):
        networks.layer_metrics(trained, MIXTURE.inputs)
    with pytest.raises(ValueError, match="labels: expected 0 to 2"):
        networks.error_on(trained, MIXTURE.inputs, MIXTURE.labels + 1)


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "mixture.csv"
    rows = np.column_stack([MIXTURE.inputs, MIXTURE.labels])
    np.savetxt(file, rows, delimiter=",")
    return file


def test_the_command_trains_and_writes(table, tmp_path, capsys):
    out = tmp_path / "run"
    asked = ["train", "--data", str(table), "--hidden", "6,5", "--seeds", "2", "--steps", "60", "--out", str(out)]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "2 seeds, 60 steps" in told
    assert "norm of the gradient" in told
    assert "layer 2" in told
    held = np.load(out / "networks.npz")
    assert held["weights_1"].shape == (2, 6, 4)
    assert held["widths"].tolist() == [4, 6, 5, 3]
    layers = json.loads((out / "layers.json").read_text())
    assert np.shape(layers["nc1"]) == (2, 3)
    for suffix, head in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert (out / f"layers{suffix}").read_bytes().startswith(head)


def test_a_training_that_is_lost_is_an_error_and_a_folder_that_cannot_be_written_a_wrong_option(
    table, tmp_path, capsys
):
    asked = ["train", "--data", str(table), "--hidden", "6,5", "--seeds", "2", "--steps", "60"]
    assert main([*asked, "--optimiser", "sgd", "--rate", "1e9", "--out", str(tmp_path / "run")]) == 4
    assert "no seed stayed finite" in capsys.readouterr().err
    assert main([*asked, "--out", str(table)]) == 2
    assert "--out: cannot write into" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere"], "--data: expected digits, a folder of IDX files, FILE.npz or FILE.csv"),
        (["--hidden", "6,0"], "--hidden"),
        (["--linear", "9"], "linear: expected a whole number from 1 to the 3 layers"),
        (["--rate", "-1"], "rate: expected a positive number"),
        (["--counts", "99"], "counts: expected at most 6 samples"),
        (["--decay", "-1"], "weight_decay: expected"),
        (["--optimiser", "lion"], "--optimiser"),
    ],
)
def test_wrong_options_exit_2(table, options, message, capsys):
    asked = ["train", "--data", str(table), "--hidden", "6,5", *options]
    try:
        status = main(asked)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("missing", "message"), [("optax", "training needs optax"), ("sklearn", "come with scikit-learn")]
)
def test_what_is_not_installed_is_named_with_how_to_have_it(missing, message, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    call = networks.digits if missing == "sklearn" else lambda: networks.train(small(), 1, steps=7, rate=0.0123)
    with pytest.raises(ImportError, match=f"{message}.*pip install 'nctheory.networks.'"):
        call()
    if missing == "sklearn":
        assert main(["train"]) == 2
        assert "pip install 'nctheory[networks]'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "widths", "layers"), [("convolutions", "3,4", 3), ("residual", "6,6", 3), ("transformer", "8", 2)]
)
def test_the_command_trains_every_model_and_goes_on_where_it_was(model, widths, layers, table, tmp_path, capsys):
    out = tmp_path / "run"
    asked = ["train", "--data", str(table), "--model", model, "--hidden", widths, "--seeds", "1", "--steps", "8"]
    asked += ["--optimiser", "muon", "--batch", "6", "--polish", "3", "--out", str(out)]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "step 8 of 8: objective" in told
    assert len(json.loads((out / "layers.json").read_text())["layers"]) == layers
    assert "head/kernel" in np.load(out / "networks.npz").files
    assert (out / "states" / "seed-000000.state").is_file()
    assert main([*asked, "--rate", "0.5"]) == 2
    assert "holds another training: its rate is 0.02, not 0.5" in capsys.readouterr().err
    assert main([*asked, "--activation", "tanh"]) == 2
    told = "--activation: expected the default" if model == "transformer" else "another training: its network"
    assert told in capsys.readouterr().err


def test_a_bar_on_a_terminal_shows_loss_accuracy_and_nc1(capsys, monkeypatch):
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "160")):
        monkeypatch.setenv(name, value)
    half, lost = np.array([0.5, 0.25, np.nan]), np.array([0.5, 0.25, np.nan])
    with TrainingProgress() as bar:
        bar(networks.Progress(30, 40, networks.Seen(half, half, half, lost, half)))
    captured = capsys.readouterr()
    assert "loss 0.375, accuracy 62.5 %, nc1 0.375" in captured.err
    assert "30/40" in captured.err
    assert captured.out == ""
