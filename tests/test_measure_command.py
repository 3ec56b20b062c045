"""`nctheory measure`: files of exported features, their metrics as the function has them, and every wrong file by name."""

import json

import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.report import read_network_file

RNG = np.random.default_rng(1)
LABELS = np.repeat(np.arange(3), (5, 4, 3))
FEATURES = (np.eye(3, 6)[LABELS] + 0.1 * RNG.normal(size=(12, 6))).astype(np.float32)
WEIGHTS = 3.0 * np.eye(3, 6)


@pytest.fixture
def written(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "features.npz", **arrays)
        return str(tmp_path / "features.npz")

    return write


@pytest.mark.slow
def test_the_metrics_are_those_of_the_function(written, tmp_path, capsys):
    file = written(features=FEATURES, labels=LABELS, weights=WEIGHTS)
    out = tmp_path / "metrics.json"
    assert main(["measure", file, "--loss", "mse", "--decay", "0.01", "--json", str(out)]) == 0
    shown, found = capsys.readouterr().out, json.loads(out.read_text())
    direct = nct.nc_metrics(FEATURES, LABELS, WEIGHTS)
    for name in ("nc1", "nc2", "nc3", "nc4", "cdnv", "margin"):
        assert found[name] == pytest.approx(getattr(direct, name), rel=1e-14)
        assert name in shown
    gap = nct.networks.peeled_gap(FEATURES, LABELS, WEIGHTS, loss="mse", weight_decay=0.01)
    assert found["peeled_gap"]["lower_bound"] == pytest.approx(gap.lower_bound, rel=1e-12)
    assert f"certified lower bound {gap.lower_bound:.6g}" in shown
    assert f"written: {out}" in shown
    read = read_network_file(found)
    assert (read.kind, read.data["file"]) == ("features", file)


def test_several_layers_have_a_column_each_and_the_head_is_of_the_last(written, capsys):
    file = written(**{"features/first": FEATURES[:, :4], "features/second": FEATURES}, labels=LABELS, weights=WEIGHTS)
    assert main(["measure", file]) == 0
    shown = capsys.readouterr().out
    assert "first" in shown
    assert "second" in shown
    (row,) = [line for line in shown.splitlines() if line.split()[:1] == ["margin"]]
    assert f"{nct.nc_metrics(FEATURES, LABELS, WEIGHTS).margin:.4g}" in row


def test_the_minimiser_of_these_counts_and_decays_can_be_the_target(written, tmp_path):
    file, out = written(features=FEATURES, labels=LABELS, weights=WEIGHTS), tmp_path / "x.json"
    assert main(["measure", file, "--loss", "mse", "--decay", "0.01", "--target", "minimiser", "--json", str(out)]) == 0
    decay = (0.01, 0.01 * np.sum(WEIGHTS**2) / np.sum(FEATURES.astype(float) ** 2))
    direct = nct.nc_metrics(FEATURES, LABELS, WEIGHTS, target="minimiser", loss="mse", weight_decay=decay)
    assert json.loads(out.read_text())["nc2"] == pytest.approx(direct.nc2, rel=1e-9)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"labels": LABELS}, (), "expected an array 'features', got labels"),
        ({"features": FEATURES}, (), "expected an array 'labels'"),
        ({"features": FEATURES, "labels": LABELS[:5]}, (), "labels: expected 12"),
        ({"features": FEATURES, "labels": LABELS, "logits": LABELS}, (), "got logits"),
        ({"features": FEATURES, "features/a": FEATURES, "labels": LABELS}, (), "got both"),
        ({"features": FEATURES, "labels": LABELS}, ("--loss", "mse"), "expected an array 'weights'"),
        ({"features": FEATURES, "labels": LABELS}, ("--decay", "0.1"), "expected --loss"),
        ({"features": FEATURES, "labels": LABELS}, ("--target", "minimiser"), "expected --loss and --decay"),
        (
            {"features": FEATURES, "labels": LABELS, "weights": WEIGHTS},
            ("--loss", "mse", "--decay", "-1"),
            "weight_decay",
        ),
        (
            {"features": np.full((12, 6), np.nan), "labels": LABELS, "weights": WEIGHTS},
            ("--loss", "mse"),
            "finite numbers",
        ),
    ],
)
def test_wrong_files_and_options_are_named(written, arrays, options, message, capsys):
    assert main(["measure", written(**arrays), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_what_is_no_npz_file_is_named(tmp_path, capsys):
    text, alone = tmp_path / "x.npz", tmp_path / "one.npy"
    text.write_text("features")
    np.save(alone, FEATURES)
    for file, message in (
        (text, "expected an NPZ file"),
        (alone, "got the one array"),
        (tmp_path / "no", "cannot read"),
    ):
        assert main(["measure", str(file)]) == 2
        assert message in capsys.readouterr().err


def test_marked_samples_are_left_out_of_the_distance_too(written, tmp_path):
    marked, out = np.where(np.arange(12) == 2, -1, LABELS), tmp_path / "x.json"
    file = written(features=FEATURES, labels=marked, weights=WEIGHTS)
    assert main(["measure", file, "--loss", "mse", "--ignore", "-1", "--json", str(out)]) == 0
    kept = marked >= 0
    gap = nct.networks.peeled_gap(FEATURES[kept], LABELS[kept], WEIGHTS, loss="mse")
    assert json.loads(out.read_text())["peeled_gap"]["fit"] == pytest.approx(gap.fit, rel=1e-13)


def test_a_csv_file_has_the_labels_last(tmp_path, capsys):
    rows = np.column_stack([FEATURES, LABELS])
    np.savetxt(tmp_path / "x.csv", rows, delimiter=",", header="a,b", comments="")
    assert main(["measure", str(tmp_path / "x.csv")]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["cdnv"]]
    assert f"{nct.nc_metrics(FEATURES, LABELS).cdnv:.4g}" in row
    np.savetxt(tmp_path / "y.csv", rows[:, ::-1], delimiter=",")
    assert main(["measure", str(tmp_path / "y.csv")]) == 2
    assert "expected whole numbers, the labels, in the last column" in capsys.readouterr().err
    assert main(["measure", str(tmp_path / "none.csv")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_zeros_that_are_no_collapse_are_told_apart(written, capsys):
    apart = np.array([[1.0, 0.0], [-1.0, 0.0]] * 4)
    assert main(["measure", written(features=apart, labels=np.repeat([0, 1], 4))]) == 0
    assert "the class means are equal: there nc1 is zero because" in capsys.readouterr().out
    assert main(["measure", written(features=np.eye(3), labels=np.arange(3))]) == 0
    assert "no class has two samples" in capsys.readouterr().out
    assert main(["measure", written(features=FEATURES, labels=LABELS)]) == 0
    shown = capsys.readouterr().out
    assert "no class has" not in shown
    assert "no collapse" not in shown


def test_a_file_that_cannot_be_written_and_an_absent_class_are_told_first(written, tmp_path, capsys):
    file = written(features=FEATURES, labels=LABELS + 1)
    assert main(["measure", file, "--json", str(tmp_path / "no" / "x.json")]) == 2
    assert "--json: cannot write" in capsys.readouterr().err
    assert main(["measure", file]) == 2
    assert "none of class 0" in capsys.readouterr().err
    assert main(["measure", file, "--absent", "omit"]) == 0
