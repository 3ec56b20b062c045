"""How the command line ends when something fails: exit status, one line, and where."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.cli._commands import report_console
from nctheory.engine import described, guarded, wrong_arguments
from nctheory.report import render_verdict, summary_table

THEOREM = """
import dataclasses, numpy as np, nctheory as nct

def wrong(problem):
    {body}

found = nct.theorems.find_theorem("ufm-mse-nobias")
nct.register(dataclasses.replace(found, id="mine", title="mine", predict=wrong))
"""
BODIES = {
    "ValueError": "return np.zeros(2) + np.zeros(3)",
    "TypeError": "return len(3)",
    "AttributeError": "return problem.no_such_thing",
    "ZeroDivisionError": "return 1 // 0",
    "NoClosedForm": "return nct.global_minimum(nct.deep_linear(widths=(2, 2, 2), counts=(2, 2), loss='cross_entropy', "
    "weight_decay=(0.1, 0.1, 0.1)))",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BODIES)
def test_an_error_in_a_theorem_file_is_4_and_says_where(kind, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(THEOREM.format(body=BODIES[kind]))
    assert main(["verify", str(file), "--quick"]) == 4
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"nctheory: error: {kind}: ")
    assert f"(in {file}, line 5); --verbose shows the traceback" in said
    assert main(["--verbose", "verify", str(file), "--quick"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_a_file_that_does_not_import_is_wrong_use(tmp_path, capsys):
    file = tmp_path / "broken.py"
    file.write_text("import nctheory as nct\nlen(3)\n")
    assert main(["verify", str(file)]) == 2
    assert "broken.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "near"), [(["show", "ufm-ce-balancd"], "ufm-ce-balanced"), (["phase", "mse-colapse"], "mse-collapse")]
)
def test_a_misspelt_identifier_is_met_with_a_near_one(arguments, near, capsys):
    assert main(arguments) == 2
    assert f"did you mean {near}" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"nctheory {nct.__version__}"


@pytest.mark.parametrize(("message", "status"), [("seeds: expected at least 1, got 0", 2), ("truth is ambiguous.", 4)])
@pytest.mark.parametrize("verbose", [False, True])
def test_what_the_package_names_is_wrong_use_and_what_numpy_says_within_it_an_error(
    message, status, verbose, capsys, monkeypatch
):
    def command() -> int:
        with wrong_arguments():
            raise ValueError(message)

    monkeypatch.setattr("nctheory.engine._failures.users_place", lambda error: None)  # this file is none of the package
    assert guarded(command, verbose) == status
    said = capsys.readouterr().err
    assert message in said
    assert ("Traceback" in said) == verbose


def test_a_full_disk_names_the_file():
    error = OSError(28, "No space left on device", "out/x.json")
    assert described(error) == "No space left on device: out/x.json"

    def full() -> int:
        raise error

    assert guarded(full) == 4


@pytest.mark.parametrize(
    ("arguments", "kept"), [(["list"], ""), (["sweep", "mse-collapse", "--resume", "here"], "here")]
)
def test_an_interruption_says_what_is_kept(arguments, kept, capsys, monkeypatch):
    def interrupted(*_args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("nctheory.cli.list_command", interrupted)
    monkeypatch.setattr("nctheory.cli.sweep_command", interrupted)
    assert main(arguments) == 130
    said = capsys.readouterr().err
    assert "interrupted" in said
    assert kept in said
    assert "Traceback" not in said


def started(*arguments, **environment):
    # A shell starts what runs in its background, and so the whole suite there, deaf to Ctrl-C.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from nctheory.cli import entry; entry()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_ends_a_verification_at_once():
    process = started("verify", "--quick", "nrc", "seli")
    time.sleep(25)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_whoever_reads_may_leave():
    with started("show", "hong-ling-ce") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.slow
def test_a_terminal_without_the_letters_shows_something():
    process = started("show", "ufm-ce-balanced", PYTHONIOENCODING="ascii")
    out, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, "")
    assert "?" in out


@pytest.mark.slow
@pytest.mark.parametrize("command", [["doctor"], ["verify", "ufm-mse-nobias", "--quick"]])
def test_a_machine_without_the_device_that_was_asked_for(command):
    process = started(*command, JAX_PLATFORMS="cuda")
    out, said = process.communicate(timeout=120)
    assert process.returncode == 4
    assert "JAX finds no device (JAX_PLATFORMS=cuda)" in out + said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "identifier", ["", "a b", "../../x", "/etc/x", ".hidden", "-x", "a\nb", "x\x1b[2J", "é", "a" * 81]
)
def test_an_identifier_that_is_no_file_name_is_refused_where_a_theorem_is_made(identifier):
    theorem = nct.theorems.find_theorem("ufm-mse-nobias")
    diagram = nct.phase.find_diagram("mse-collapse")
    for one in (theorem, diagram):
        with pytest.raises(ValueError, match="id: expected up to 80 letters"):
            dataclasses.replace(one, id=identifier)


@pytest.mark.parametrize("name", ["", " ", "a\x1b[2J", "a\nb", "a\x07"])
def test_a_name_that_would_reach_a_terminal_as_a_command_is_refused(name):
    theorem = nct.theorems.find_theorem("ufm-mse-nobias")
    for one in (theorem.claims[0], theorem.controls[0], nct.phase.find_diagram("mse-collapse").boundaries[0]):
        with pytest.raises(ValueError, match="name: expected"):
            dataclasses.replace(one, name=name)


@pytest.mark.slow
def test_names_are_printed_as_they_are(capsys):
    """`[/b]` is markup of the library that draws the tables, and crashed it after everything had been computed."""
    theorem = nct.theorems.find_theorem("ufm-mse-nobias")
    claim = dataclasses.replace(theorem.claims[0], name="norm[/b] [red]")
    others = [one for one in theorem.claims[1:] if one.kind == "global value"]
    control = dataclasses.replace(theorem.controls[0], name="half[/i]", claims=())
    odd = dataclasses.replace(
        theorem, id="odd", title="a [bold] title", claims=(claim, *others), controls=(control,),
        instances=lambda key: theorem.instances(key)[:1], seeds=4,
    )  # fmt: skip
    verdict = nct.verify(odd)
    console = report_console()
    console.print(render_verdict(verdict))
    console.print(summary_table([verdict]))
    out = capsys.readouterr().out
    assert "norm[/b] [red]" in out
    assert "half[/i]" in out
    assert "a [bold] title" in out


@pytest.mark.parametrize(
    ("function", "told"),
    [(np.asarray, "write it with jax.numpy"), (lambda x: x if x > 0 else -x, "branch by jax.numpy.where")],
)
def test_an_error_of_a_function_that_jax_follows_says_what_to_do(function, told):
    with pytest.raises(TypeError) as caught:
        jax.jit(function)(1.0)
    assert told in described(caught.value)
