"""`nctheory observe`: its exit statuses, what it writes and what it refuses."""

import json

import pytest

from nctheory.cli import main
from nctheory.networks import share_interval
from nctheory.report import read_network_file
from tests.test_observations import DOCSTRING

FILE = '''r"""{docstring}"""

import numpy as np

import nctheory as nct


def data(drawn):
    return nct.networks.gaussian_mixture(counts=(5, 5), dim=3, spread=0.05, key=drawn, means=np.eye(2, 3))


def networks(data):
    return {{"network": nct.networks.network_on(data, (4,), weight_decay=0.01, activation="tanh")}}


def measure(trial):
    fit = trial.trained["network"].fit[0]
    {more}
    return {{"fit": fit, "by layer": [1.0, fit]}}


nct.networks.register_observation(
    nct.networks.Observation(
        id="from-a-file", docstring=__doc__, sources=(), data=data, networks=networks, measure=measure,
        statistics=(nct.networks.Statistic("fit", "the fit is small", "below", {threshold}),),
        controls=(nct.networks.ControlGroup("random features", "none", untrained=True),),
        training={{"steps": 200}}, seeds=6, panels=(nct.networks.Panel("by layer", "fit"),),
    )
)
'''


def written(folder, threshold: float | str = 0.1, more="pass"):
    file = folder / "mine.py"
    file.write_text(FILE.format(docstring=DOCSTRING, threshold=threshold, more=more))
    return file


@pytest.mark.slow
@pytest.mark.parametrize(("threshold", "outcome"), [(0.1, "observed"), (0.0, "not observed")])
def test_the_command_exits_0_whatever_was_observed(threshold, outcome, tmp_path, capsys):
    file, out, told = written(tmp_path, threshold), tmp_path / "out", tmp_path / "all.json"
    assert main(["observe", str(file), "--out", str(out), "--json", str(told)]) == 0
    shown = capsys.readouterr().out
    assert f"A title: {outcome}" in shown
    assert "random features 0/6" in shown
    (one,) = json.loads(told.read_text())
    assert one["outcome"] == outcome
    assert one["statistics"][0]["seeds"] == 6
    assert one["statistics"][0]["interval"] == list(share_interval(*(6, 0) if threshold else (0, 6), 6))
    assert len(one["groups"][1]["grad_norm"]) == 6
    assert read_network_file(one).data["panels"][0]["name"] == "by layer"
    assert one["sections"]["Counts against it"] in DOCSTRING
    assert one["command"].startswith(f"nctheory observe {file}")
    assert json.loads((out / "from-a-file.observed.json").read_text()) == one
    for suffix, head in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert (out / f"from-a-file{suffix}").read_bytes().startswith(head)


def test_quick_is_undecided_and_several_have_a_summary(tmp_path, capsys):
    file = written(tmp_path)
    assert main(["observe", str(file), str(file), "--quick"]) == 0
    shown = capsys.readouterr().out
    assert "A title: undecided" in shown
    assert "6 seeds were fixed beforehand" in shown
    assert "observation" in shown


def test_wrong_use_exits_2_and_an_error_of_a_file_4(tmp_path, capsys):
    for asked, message in (
        (["no-such"], "observation: unknown identifier 'no-such'"),
        ([str(tmp_path / "nowhere.py")], "does not exist"),
        (["--seeds", "0"], "--seeds: expected at least 1"),
        (["--seeds", "2", "--quick"], "--quick: expected no --seeds with it"),
        (["--json", str(tmp_path)], "is a folder"),
        ([str(written(tmp_path, "float('nan')"))], "threshold: expected a finite number"),
    ):
        try:
            status = main(["observe", *asked])
        except SystemExit as stopped:
            status = stopped.code
        assert status == 2, asked
        assert message in " ".join(capsys.readouterr().err.split()), asked
    assert main(["observe", str(written(tmp_path, more="raise KeyError('mine')")), "--seeds", "1"]) == 4
    assert "mine.py, line" in capsys.readouterr().err
