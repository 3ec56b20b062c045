"""The command line as a user meets it: exit statuses, messages, files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nctheory import cli
from nctheory._commands import EXIT

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


def test_verify_a_users_own_file_with_outputs(tmp_path):
    done = run("verify", TEMPLATE, "--seeds", 16, "--json", tmp_path / "v.json", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stdout
    (verdict,) = json.loads((tmp_path / "v.json").read_text())
    assert verdict["outcome"] == "holds"
    assert verdict["seeds_run"] == verdict["supporting"]
    assert (tmp_path / "out" / "ridge-regression.json").is_file()
    assert (tmp_path / "out" / "margins.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.part"))


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


def test_a_starved_solver_exits_3():
    done = run("verify", TEMPLATE, "--seeds", 4, "--budget", 3)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "inconclusive" in done.stdout


def test_refuted_beats_inconclusive_in_the_exit_status():
    assert EXIT == {"holds": 0, "refuted": 1, "inconclusive": 3}


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
    monkeypatch.setattr("nctheory._commands.configure", lambda: None)
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("text", "message"), [("x = 1", "registers no theorem"), ("import nope", "does not import")])
def test_bad_theorem_files_exit_2(text, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nctheory._commands.configure", lambda: None)
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
        for part in ("Hypotheses:", "Claims:", "Controls", "number unchecked", "@"):
            assert part in shown
    assert "template" not in listed


def test_doctor_reports_and_survives_an_unwritable_cache(tmp_path):
    done = run("doctor", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0
    for word in ("jax", "device", "float64", "works", "cache"):
        assert word in done.stdout
    (tmp_path / "file").write_text("")
    blocked = run("doctor", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "file" / "x"))
    assert blocked.returncode == 0
    assert "cannot be written" in blocked.stdout


def test_a_theorem_file_runs_alone():
    done = subprocess.run([sys.executable, str(TEMPLATE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stdout
