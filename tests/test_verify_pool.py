"""Many theorems in several processes: the same verdicts, in order, saved as they come; failures say what they say in one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nctheory.cli._verify_pool import MANY, processes
from nctheory.report import SeedProgress
from tests.helpers import usual_environment

FILE = """
import dataclasses, sys
import nctheory as nct
base = nct.theorems.find_theorem("ufm-mse-nobias")
def broken(problem):
    raise TypeError("no prediction for you")
for i in range({many}):
    predict = broken if i == {bad} else base.predict
    nct.register(dataclasses.replace(base, id=f"copy-{{i}}", title=f"copy {{i}}", predict=predict, controls=base.controls))
"""

HELD = """
import pathlib, time
from nctheory.cli import _verify_pool
def hold(key):
    channel = getattr(_verify_pool, "_channel", None)
    if channel is not None:  # in a worker, which is ended while it tells of its progress
        channel._wlock.acquire()
        pathlib.Path({flag!r}).touch()
        time.sleep(600)
    return base.instances(key)
for theorem in nct.catalogue().values():
    if theorem.id.startswith("copy-"):
        object.__setattr__(theorem, "instances", hold)
"""


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "nctheory.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=usual_environment(), start_new_session=True,
    )  # fmt: skip


def numbers(folder):
    """What a verdict says but for times."""
    return {
        file.stem: {name: value for name, value in json.loads(file.read_text()).items() if name != "seconds"}
        for file in sorted(folder.glob("copy-*.json"))
    }


def test_the_first_seeds_are_shown_at_once(monkeypatch):
    """The bars are drawn anew ten times a second: the first seeds of each do not wait for that."""
    progress, drawn = SeedProgress(), []
    monkeypatch.setattr(progress._bars, "refresh", lambda: drawn.append(progress._bars.tasks[-1].completed))
    with progress.bar("one", 8) as advance:
        before = len(drawn)
        advance(3)
        assert drawn[before:] == [3]
        advance(5)
        assert drawn[before:] == [3]


def test_processes_are_for_many_theorems(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [processes(n) for n in (1, MANY - 1, MANY, 42)] == [1, 1, 4, 4]


@pytest.mark.slow
def test_verdicts_are_those_of_one_process(tmp_path):
    file = tmp_path / "copies.py"
    file.write_text(FILE.format(many=MANY, bad=-1))
    many = command("verify", file, "--seeds", 2, "--quick", "--out", tmp_path / "many")
    out, said = many.communicate()
    assert many.returncode in (0, 3), said  # of two seeds little can be said
    alone = tmp_path / "alone.py"
    alone.write_text(FILE.format(many=MANY, bad=-1).replace(f"range({MANY})", "(1,)"))
    command("verify", alone, "--seeds", 2, "--quick", "--out", tmp_path / "one").communicate()
    places = [out.index(f"\ncopy-{i}  copy {i}" if i else f"copy-{i}  copy {i}") for i in range(MANY)]
    assert places == sorted(places)
    found, expected = numbers(tmp_path / "many"), numbers(tmp_path / "one")
    assert list(found) == [f"copy-{i}" for i in range(MANY)]
    for verdict in (found["copy-1"], expected["copy-1"]):
        del verdict["worst"]["command"]  # it names the file
    assert found["copy-1"] == expected["copy-1"]


@pytest.mark.slow
def test_a_failure_in_a_worker_says_what_it_says_in_one_process(tmp_path):
    file = tmp_path / "copies.py"
    file.write_text(FILE.format(many=MANY, bad=2))
    process = command("verify", file, "--seeds", 2, "--quick", "--out", tmp_path / "out")
    said = process.communicate()[1]
    assert process.returncode == 4
    assert f"TypeError: no prediction for you (in {file}, line 6)" in said
    assert "copy-0" in numbers(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from Linux's /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_end_leaves_no_worker_behind(how, tmp_path):
    file = tmp_path / "copies.py"
    file.write_text(FILE.format(many=MANY, bad=-1))
    process = command("verify", file, "--seeds", 64, "--out", tmp_path / "out")
    began = time.monotonic()

    def workers():
        """Processes of the command's group, as Linux lists them."""
        groups = []
        for number in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                state, _, group = Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[:3]
                groups.append(int(group) == process.pid and state != "Z" and number != str(process.pid))
        return sum(groups)

    while workers() < 2 and time.monotonic() - began < 120:
        time.sleep(0.2)
    time.sleep(5.0)
    os.kill(process.pid, how)
    process.communicate(timeout=240)  # what is being compiled comes to its end first, on a busy machine after minutes
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    began = time.monotonic()
    while workers() and time.monotonic() - began < 30:
        time.sleep(0.2)
    assert workers() == 0


@pytest.mark.slow
def test_a_worker_that_is_ended_while_it_tells_of_its_progress_is_not_waited_for(tmp_path):
    file, flag = tmp_path / "copies.py", tmp_path / "held"
    file.write_text(FILE.format(many=MANY, bad=-1) + HELD.format(flag=str(flag)))
    process = command("verify", file, "--seeds", 2, "--quick")
    try:
        began = time.monotonic()
        while not flag.exists() and time.monotonic() - began < 120:
            time.sleep(0.2)
        assert flag.exists()
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
