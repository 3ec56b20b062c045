"""The command line as a user meets it: exit statuses, messages, files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nctheory import cli
from nctheory.certificates import certify
from nctheory.cli._commands import EXIT, exit_status

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "proofs_numeric" / "template.py"

WRONG = (
    TEMPLATE.read_text().replace("ridge-regression", "wrong-ridge").replace("SAMPLES * lam", "1.001 * SAMPLES * lam")
)


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "nctheory.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.slow
def test_verify_a_users_own_file_with_outputs(tmp_path):
    done = run("verify", TEMPLATE, "--seeds", 16, "--json", tmp_path / "v.json", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stdout
    (verdict,) = json.loads((tmp_path / "v.json").read_text())
    assert verdict["outcome"] == "holds"
    assert verdict["seeds_run"] == verdict["supporting"]
    assert (tmp_path / "out" / "ridge-regression.json").is_file()
    for suffix, begin in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert (tmp_path / "out" / f"tolerances.{suffix}").read_bytes().startswith(begin)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_a_wrong_theorem_exits_1_and_prints_the_counterexample(tmp_path):
    file = tmp_path / f"{'long_' * 30}name.py"  # longer than a line: the command must not be broken
    file.write_text(WRONG)
    done = run("verify", file, "--seeds", 4)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "counterexample" in done.stdout
    command = next(line for line in done.stdout.splitlines() if "reproduce:" in line).split("nctheory ")[1].split()
    again = run(*command)
    assert again.returncode == 1
    assert "counterexample" in again.stdout


@pytest.mark.slow
def test_a_starved_solver_exits_3():
    done = run("verify", TEMPLATE, "--seeds", 4, "--budget", 3)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "inconclusive" in done.stdout


def test_an_engine_error_beats_refuted_and_that_beats_inconclusive_in_the_exit_status(capsys):
    assert EXIT == {"holds": 0, "observed": 0, "refuted": 1, "inconclusive": 3, "engine error": 4}
    assert exit_status(["holds", "holds"]) == 0
    assert exit_status(["inconclusive", "holds"]) == 3
    assert exit_status(["inconclusive", "refuted", "holds"]) == 1
    assert exit_status(["refuted", "engine error", "inconclusive"]) == 4
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "4 an error (of a theorem's file, the disk, a device, or a contradiction in the engine" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.slow
def test_a_wrong_certificate_is_an_engine_error_and_exits_4(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nctheory.cli._verify_command.configure", lambda: None)

    def too_high(problem, params):
        bound = certify(problem, params)
        return bound._replace(lower_bound=bound.lower_bound + 1e-3, gap=bound.gap - 1e-3)

    monkeypatch.setattr("nctheory.theorems._methods.certify", too_high)
    assert (
        cli.main(["verify", str(TEMPLATE), "--seeds", "2", "--out", str(tmp_path), "--json", str(tmp_path / "v.json")])
        == 4
    )
    shown = capsys.readouterr().out
    assert "engine error" in shown
    assert "the lower bound" in shown
    assert "holds" not in shown
    (verdict,) = json.loads((tmp_path / "v.json").read_text())
    assert verdict["outcome"] == "engine error"
    assert verdict["claims"] == verdict["controls"] == verdict["instances"] == []
    assert main_report(tmp_path) == 0
    assert "engine error" in (tmp_path / "report.html").read_text()


def main_report(folder):
    return cli.main(["report", str(folder)])


def test_an_instance_outside_the_hypotheses_exits_2_before_any_solve(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nctheory.cli._verify_command.configure", lambda: None)
    monkeypatch.setattr("nctheory.theorems._methods.solve", lambda *args, **options: pytest.fail("solved"))
    file = tmp_path / "theorem.py"
    file.write_text(
        TEMPLATE.read_text()
        .replace("ridge-regression", "rejecting-ridge")
        .replace("- lambda > 0", "- lambda > 99")
        .replace("lambda i: float(i.problem.weight_decay[0]) > 0", "lambda i: float(i.problem.weight_decay[0]) > 99")
    )
    assert cli.main(["verify", str(file)]) == 2
    told = capsys.readouterr().err
    assert "is not within 'lambda > 99'" in told
    assert str(file) in told


MISUSE = [
    (["verify", "no-such-theorem"], "unknown identifier 'no-such-theorem'"),
    (["show", "no-such-theorem"], "unknown identifier"),
    (["verify", "missing.py"], "does not exist"),
    (["verify", "--seeds", "0"], "at least 1, got 0"),
    (["verify", "--seeds", "many"], "expected a whole number, got 'many'"),
    (["verify", "--key", "-1"], "at least 0"),
    (["verify", "red-nuclear", "--instance", "99"], "expected 0 to"),
    (["verify", "red-nuclear", "--seed", "1"], "needs --instance"),
    (["verify", "--instance", "1"], "exactly one theorem"),
    (["verify", "--json", "/proc/nowhere/v.json"], "--json: cannot write"),
    (["verify", "--out", "/proc/nowhere"], "--out: cannot write"),
    (["verify", "--out", "/dev/null/x"], "--out: cannot write"),
    (["dance"], "invalid choice"),
]


@pytest.mark.parametrize(("arguments", "message"), MISUSE)
def test_wrong_use_exits_2_with_a_message(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("nctheory.cli._verify_command.configure", lambda: None)
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


TWO = """
import dataclasses, nctheory as nct
for name in ("one", "two"):
    nct.register(dataclasses.replace(nct.theorems.find_theorem("red-nuclear"), id=f"file-of-{name}", title=name))
"""


def test_a_users_file_serves_every_command_that_takes_a_theorem(tmp_path, capsys, monkeypatch):
    for module in ("_commands", "_protocols_command", "_grid_commands"):
        monkeypatch.setattr(f"nctheory.cli.{module}.configure", lambda: None)
    (tmp_path / "two.py").write_text(TWO)
    for command in ("census", "protocols", "dynamics"):
        assert cli.main([command, str(tmp_path / "two.py")]) == 2
        assert "expected a file that registers one, got file-of-one, file-of-two" in capsys.readouterr().err
    (tmp_path / "own.py").write_text(
        TWO.replace('"one", "two"', '"three",').replace("title=name", "sources=(), title=name")
    )
    assert cli.main(["census", str(tmp_path / "own.py"), "--instance", "99"]) == 2
    assert "--instance: expected 0 to" in capsys.readouterr().err
    assert cli.main(["protocols", str(tmp_path / "own.py"), "--instance", "99"]) == 2
    assert "instance: expected 0 to" in capsys.readouterr().err
    assert cli.main(["dynamics", str(tmp_path / "own.py")]) == 2
    assert "'file-of-three' is not about paths" in capsys.readouterr().err
    assert cli.main(["show", str(tmp_path / "own.py")]) == 0
    assert "Sources: none is given" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "message"), [("x = 1", "registers no theorem"), ("import nope", "does not import")])
def test_bad_theorem_files_exit_2(text, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nctheory.cli._verify_command.configure", lambda: None)
    file = tmp_path / "theorem.py"
    file.write_text(text)
    assert cli.main(["verify", str(file)]) == 2
    assert message in capsys.readouterr().err


def test_list_and_show(capsys):
    assert cli.main(["list"]) == 0
    listed = capsys.readouterr().out
    for identifier in ("red-nuclear", "ufm-ce-balanced", "ufm-mse-nobias", "ufm-mse-bias"):
        assert identifier in listed
        assert cli.main(["show", identifier]) == 0
        shown = capsys.readouterr().out
        for part in ("Hypotheses:", "Claims:", "Controls", "own wrong version", "How: ", "@"):
            assert part in shown
        assert ("(Lemma 5.1)" if identifier == "red-nuclear" else "(number unchecked)") in shown
    assert "template" not in listed
    assert "value (global value, the minimum): min f" in shown
    assert "value: the prediction moved by a relative 1e-06" in shown
    assert "Hypothesis(" not in shown


def test_doctor_reports_and_survives_an_unwritable_cache(tmp_path):
    done = run("doctor", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0
    for word in ("jax", "device", "float64", "works", "cache"):
        assert word in done.stdout
    (tmp_path / "file").write_text("")
    blocked = run("doctor", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "file" / "x"))
    assert blocked.returncode == 0
    assert "cannot be written" in blocked.stdout


@pytest.mark.slow
def test_a_theorem_file_runs_alone():
    done = subprocess.run([sys.executable, str(TEMPLATE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stdout
