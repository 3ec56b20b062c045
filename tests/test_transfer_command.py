"""`nctheory transfer`: what it prints and writes, and how it ends."""

import json

import numpy as np
import pytest

from nctheory import networks
from nctheory.cli import main
from nctheory.report import read_network_file, transfer_figure, transfer_table, tuning_table
from tests.moved_classes import MIXTURE


@pytest.fixture
def file(tmp_path):
    parts = {name: getattr(MIXTURE, name) for name in ("inputs", "labels", "test_inputs", "test_labels")}
    np.savez(tmp_path / "mixture.npz", **parts)
    return tmp_path / "mixture.npz"


def asked(file, *more, source="0-1", target="2-4"):
    options = ["--hidden", "6,5", "--seeds", "2", "--episodes", "2", "--pretrain-steps", "40", "--steps", "10"]
    return ["transfer", "--data", str(file), "--source", source, "--target", target, "--shots", "2", *options, *more]


@pytest.mark.slow
def test_the_command_probes_fine_tunes_and_writes(file, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(asked(file, "--out", str(out), "--batch", "9")) == 0
    assert any((out / "states").iterdir()), "an interrupted pretraining goes on"
    told = " ".join(capsys.readouterr().out.split())
    for words in ("2 networks 6-6-5-2 on 18 samples of mixture, classes 0, 1", "27 samples for training and 36 for test",
                  "against inputs", "with 2 shots the features of the last layer", "given depth", "nc + skip",
                  "10 gradient evaluations each", "'nc' chose layer"):  # fmt: skip
        assert words in told, words
    held = json.loads((out / "transfer.json").read_text())
    assert np.shape(held["probe_error"]) == (2, 1, 3, 2)
    assert np.shape(held["target"]["nc1"]) == (2, 3)
    assert np.shape(held["correlations"]["within"]) == (2, 2, 3, 2, 1)
    run = read_network_file(held).data["run"]
    assert (run["source"], run["target"], run["source_samples"], run["command"][:22]) == (
        "0, 1",
        "2, 3, 4",
        18,
        "nctheory transfer --da",
    )
    tuned = held["fine_tuning"][0]
    assert tuned["names"][-3:] == ["nc", "nc + skip", "from scratch"]
    assert np.shape(tuned["error"]) == (2, len(tuned["names"]), 2)
    for suffix, head in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert (out / f"transfer{suffix}").read_bytes().startswith(head)


@pytest.mark.slow
def test_classes_that_overlap_are_said(file, capsys):
    assert main([*asked(file, target="1,3", source="0,1,2"), "--hidden", "5"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "classes 1, 3; 1 are source classes too" in told
    assert "source and target overlap: 9 samples of the target are training samples of the source" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "19"], "batch: expected at most the 18 samples, got 19"),
        (["--shots", "10"], "--shots: expected at most the 9 samples of the smallest target class, got 10"),
        (["--target", "2-7"], "classes: expected different ones of 0 to 4"),
        (["--target", "3-2"], "--target: expected at least 3, got 2"),
        (["--source", "a"], "--source: expected a whole number"),
        (["--source", "0,0"], "classes: expected different ones"),
        (["--source", "1"], "--source: expected two classes or more with samples of each, got (9,)"),
        (["--target", "2"], "--target: expected two classes or more with samples of each, got (9,)"),
        (["--tuning-rate", "-1"], "--tuning-rate: expected a positive number"),
        (["--rate", "-1"], "rate: expected a positive number"),
        (["--data", "nowhere"], "--data: expected digits"),
    ],
)
def test_wrong_options_exit_2(file, options, message, capsys):
    try:
        status = main(asked(file, *options))
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_data_without_a_test_set_are_a_wrong_option_and_a_lost_training_an_error(file, tmp_path, capsys):
    rows = np.column_stack([MIXTURE.inputs, MIXTURE.labels])
    np.savetxt(tmp_path / "mixture.csv", rows, delimiter=",")
    assert main(asked(tmp_path / "mixture.csv")) == 2
    assert "expected a test set" in capsys.readouterr().err
    assert main(asked(file, "--optimiser", "sgd", "--rate", "1e9")) == 4
    assert "no seed stayed finite" in capsys.readouterr().err


def test_seeds_that_were_lost_are_left_out_of_tables_and_pictures(tmp_path):
    from nctheory.report._tables import as_text

    source, target = MIXTURE.only(0, 1), MIXTURE.only(2, 3, 4)
    trained = networks.train(networks.network_on(source, (5,)), 3, steps=30)
    lost = trained._replace(value=np.where(np.arange(3) == 1, np.nan, trained.value))
    found = networks.transfer(lost, source, target, shots=(1, 3), episodes=2)
    tuned = networks.tuning_choices(lost, target, shots=3, episodes=2, steps=5)
    assert tuned.names == ("head", "head + inputs", "layer 1", "nc", "from scratch")
    assert "medians over 2 seeds" in as_text(transfer_table(found), 140)
    assert "'nc' chose layer 1 in 4" in as_text(tuning_table(tuned), 140)
    apart, spread = tuned.against("layer 1")
    assert (apart[2], spread[2]) == (0.0, 0.0)
    kept = np.delete(tuned.error, 1, axis=0)
    assert apart[0] == pytest.approx(np.mean(kept[:, 0] - kept[:, 2]))
    with pytest.raises(ValueError, match="name: expected one of head, head"):
        tuned.against("layer 7")
    first, second = (transfer_figure(found, [tuned], tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
