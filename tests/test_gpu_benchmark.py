"""The benchmark of GPUs, run where there is none: by the kernels' emulator, and by its parts."""

import argparse
import importlib
import json
import math
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from benchmarks.gpu import device, ends, first_run, jobs, million, rows, stages
from nctheory.flow import Options, as_key
from nctheory.flow._program import solve_chunk
from nctheory.flow._stages import Stage
from tests.kernel_problems import chunk_of, needs_compiler, squares

command = importlib.import_module("benchmarks.gpu.__main__")
RIGHT = ends.Checked(16, 1e-11, 1e-15, 1.0, 0.5, True)
PEAKS = device.Peaks(1e12, 2e12, 1e11)


def row(**changed):
    found = rows.Row("small", 1000, "flow, XLA", 1, RIGHT, 2.0, 0.5, 100.0, 1e9, 1e8, None, "")
    return found._replace(**changed)


@pytest.fixture
def tiny(monkeypatch):
    """Two classes in two dimensions: programs that compile quickly."""
    monkeypatch.setitem(ends.SIZES, "small", (2, 2, 2))
    monkeypatch.setattr(ends, "block_of", lambda size: 8)


@needs_compiler
@pytest.mark.slow
def test_a_run_on_the_emulator_checks_times_and_tells_what_dominates(tiny, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(jobs, "ROADS", {"polish, kernels": rows.ROADS["polish, kernels"]})
    monkeypatch.setattr(rows, "KEPT", 4)
    monkeypatch.setattr(jobs, "peaks", lambda one: PEAKS)
    out = tmp_path / "found.jsonl"
    asked = ["--kernel", "emulate", "--sizes", "small", "--seeds", "8", "--profile", "8", "--decay", "0.02"]
    assert command.main([*asked, "--out", str(out)]) == 0
    told = {one["kind"]: one for one in map(json.loads, out.read_text().splitlines())}
    assert set(told) == {"device", "row", "profile"}
    assert told["row"]["ends"]["right"]
    assert told["row"]["ends"]["converged"] == 1.0
    # Each seed is polished once at least and tested once at least; of two visits point and record are read and written.
    assert told["row"]["moved"] >= 2 * 8 * (2 * 8 * 14 + 2 * 8 * 13)
    seconds = told["profile"]["seconds"]
    assert set(seconds) == {
        "starts", "transfers", "polish", "Newton's tests", "ends recomputed", "diagnosis", "certificates", "host",
    }  # fmt: skip
    assert min(seconds.values()) >= 0.0
    assert told["profile"]["dominant"] == max(seconds, key=seconds.__getitem__) == next(iter(seconds))
    assert "verdict" in (shown := capsys.readouterr().out)
    assert "dominates" in shown
    # The ends of the kernels that it watched, made a little worse, are no longer right.
    outcome = nct.survey(ends.model("small", 0.02), 8, keep=4, method="polish", kernel="emulate", light=True)
    assert ends.check("small", 0.02, outcome).right
    worse = jax.tree.map(lambda x: np.asarray(x) * (1 + 1e-8), outcome.worst.params)
    assert not ends.check("small", 0.02, outcome._replace(worst=outcome.worst._replace(params=worse))).right
    monkeypatch.setattr(million, "DECAY", 0.02)
    assert million.dishonest(outcome, "small") == []
    assert len(million.dishonest(outcome._replace(grad_norm=outcome.grad_norm + 1e-9), "small")) == 1
    assert "recomputed" in million.dishonest(
        outcome._replace(worst=outcome.worst._replace(params=worse)), "small"
    )[0]  # fmt: skip
    lost = million.dishonest(outcome._replace(status=np.full(8, 99)), "small")
    assert lost == ["8 seeds have no status"]


@pytest.mark.slow
def test_stage_by_stage_a_chunk_ends_where_one_program_brings_it():
    family, chunk = chunk_of(squares(), 5)
    chunk = chunk._replace(live=jnp.arange(5) != 3)
    arguments = (family, as_key(0), chunk, Options(method="polish").settings(), (jax.devices("cpu")[0],))
    clock = stages.Clock()
    found, same = stages.in_stages(clock, *arguments, light=True), solve_chunk(*arguments, light=True)
    np.testing.assert_array_equal(found.stage, same.stage)
    assert np.asarray(found.stage).tolist() == [int(Stage.CONVERGED)] * 3 + [int(Stage.POLISH), int(Stage.CONVERGED)]
    np.testing.assert_allclose(found.point, same.point, atol=1e-9)
    np.testing.assert_array_equal(found.steps, same.steps)
    assert set(clock.seconds) == {"starts", "polish", "Newton's tests"}


def test_clocks_within_clocks_share_the_time_out(monkeypatch):
    ticks = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr(stages.time, "perf_counter", lambda: next(ticks))
    clock = stages.Clock()
    with clock("outer"), clock("inner"):
        pass
    assert clock.seconds == {"inner": 3.0, "outer": 7.0}


def test_a_gradients_operations_are_those_of_its_products_and_somewhat_more(tiny):
    flops, moved = rows.counted("small", 0.1)
    products = 6 * 2 * 2 * 4
    assert products <= flops <= 4 * products
    assert moved >= 8 * 2 * 14  # the point is read and the gradient is written


def test_shares_are_of_all_devices_and_of_the_time_that_was_measured(monkeypatch):
    assert row().shares(PEAKS) == pytest.approx((1e9 / 0.5e12, 1e8 / 0.5e11))
    assert row(devices=4).shares(PEAKS) == pytest.approx((1e9 / 2e12, 1e8 / 2e11))
    cells = dict(zip([name for name, _ in jobs.COLUMNS], jobs.shown_row(row(), PEAKS), strict=True))
    assert (cells["seeds/s"], cells["of float64"], cells["of memory"]) == ("2,000", "0.2%", "0.2%")
    wrong = jobs.shown_row(row(seconds=math.nan, checked=RIGHT._replace(right=False)), PEAKS)
    assert wrong[9:12] == ("WRONG", "-", "-")
    assert jobs.shown_row(row(road="float32, XLA"), PEAKS)[14:16] == ("-", "-")
    assert rows.bytes_by_kernels("middle", [("flow", 3)]) == 3 * (2 * 8 * 1770 + 2 * 8 * 13 + 4)
    # Ends that are wrong are not timed.
    monkeypatch.setattr(rows, "check", lambda *_: RIGHT._replace(right=False))
    asked = []
    outcome = types.SimpleNamespace(steps=np.array([3.0]))
    monkeypatch.setattr(rows.nct, "survey", lambda *given, **_: asked.append(given[2]) or outcome)
    found = rows.measure("small", 4, "flow, XLA", 0.1, (jax.devices("cpu")[0],), "auto", (1.0, 2.0))
    assert asked == [0]
    assert math.isnan(found.seconds)
    assert (found.flops, found.moved) == (12.0, 24.0)


def test_the_devices_rates_are_measured():
    found = device.peaks(jax.devices("cpu")[0], side=64, numbers=2**12)
    assert all(0.0 < one < 1e15 for one in found)
    assert device.described((jax.devices("cpu")[0],)).startswith("1 x cpu (cpu), jax ")
    # A card that tells has at most an eighth of its memory copied, twice over.
    asked = []
    card = types.SimpleNamespace(
        platform="gpu", memory_stats=lambda: {"bytes_limit": 2**20, "peak_bytes_in_use": 2**21}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "copy_rate", lambda numbers: asked.append(numbers) or 1.0)
        patch.setattr(device, "product_rate", lambda *_: 1.0)
        patch.setattr(device.jax, "default_device", lambda one: importlib.import_module("contextlib").nullcontext())
        device.peaks(card)
    assert asked == [2**14]
    assert device.peak_memory((card, jax.devices("cpu")[0])) == 2.0


def test_what_no_longer_fits_is_left_out_and_said_to_be(monkeypatch, capsys, tmp_path):
    clock = jobs.Clocked(100.0)
    clock.learn(row(first=32.0, seconds=2.0))
    key = ("small", "flow, XLA")
    assert clock.expected(key, 1000) == pytest.approx(34.0)
    assert clock.expected(key, 1000, 2) == pytest.approx(64.0)
    assert clock.expected(("middle", "polish, XLA"), 10_000) == pytest.approx(70.0)
    assert clock.fits(jobs.Job("", key, 1000, lambda: True))
    assert not clock.fits(jobs.Job("", key, 50_000, lambda: True))
    done = []
    listed = [
        jobs.Job("first", key, 1, lambda: done.append("first") is None),
        jobs.Job("wrong", key, 1, lambda: done.append("wrong") is not None),
        jobs.Job("long", key, 10**9, lambda: done.append("long") is None),
    ]

    def some(arguments, found, told, clock):
        clock.learn(row())
        yield from listed

    monkeypatch.setattr(jobs, "jobs", some)
    monkeypatch.setattr(jobs, "peaks", lambda one: PEAKS)
    out = tmp_path / "found.jsonl"
    assert command.main(["--kernel", "off", "--out", str(out)]) == 1
    assert done == ["first", "wrong"]
    assert "no time was left for: long" in capsys.readouterr().out
    assert json.loads(out.read_text().splitlines()[-1]) == {"kind": "left out", "jobs": ["long"]}


def test_what_matters_most_stands_first_and_several_devices_are_held_against_one(monkeypatch, capsys):
    card = types.SimpleNamespace(platform="gpu")
    monkeypatch.setattr(jobs.jax, "local_devices", lambda: [card, card])
    arguments = command.parser().parse_args([])
    names = [job.name for job in jobs.jobs(arguments, PEAKS, jobs.Written(None), jobs.Clocked(1.0))]
    assert names[0] == "middle flow, kernels 131,072 on 2"
    assert names.index("2 devices against one, middle flow, kernels") < names.index("profile of middle flow, kernels")
    assert "middle flow, kernels 131,072 on 1" in names
    assert names[-1].endswith(" 1,024 on 2")
    assert jobs.roads_of("auto", "cpu") == jobs.roads_of("off", "gpu") == ["flow, XLA", "polish, XLA", "float32, XLA"]
    ensembles = iter(
        [(np.zeros(2), np.ones(2)), (np.zeros(2), np.ones(2)), (np.zeros(2), np.ones(2)), (np.zeros(2), 2.0)]
    )

    def solve(*_, **__):
        status, value = next(ensembles)
        return types.SimpleNamespace(status=status, value=value)

    monkeypatch.setattr(jobs.nct, "solve", solve)
    assert jobs.agree("small", "flow, XLA", 0.1, (card, card), "auto")
    assert not jobs.agree("small", "flow, XLA", 0.1, (card, card), "auto")
    assert "DO NOT make" in capsys.readouterr().out


def test_its_own_clock_ends_a_run_in_the_midst_of_something(monkeypatch, capsys):
    codes = []
    monkeypatch.setattr(command, "GRACE", 0.0)
    monkeypatch.setattr(command.os, "_exit", codes.append)
    command.ended_by_the_clock(0.01).join(10.0)
    assert codes == [command.CUT_OFF]
    assert "ended by its own clock" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--seeds", "0"], "expected numbers above 0"),
        (["--limit", "0"], "expected numbers above 0"),
        (["--decay", "nan"], "expected numbers above 0"),
        (["--profile", "-1"], "at least 0"),
        (["--out", "/no such folder/x"], "there is no folder /no such folder"),
    ],
)
def test_wrong_use_is_told_before_anything_is_computed(asked, message, capsys):
    assert command.main(asked) == 2
    assert message in capsys.readouterr().err
    if asked[0] in ("--seeds", "--limit"):
        assert million.main(asked) == 2


def test_a_first_run_keeps_what_each_step_has_said_and_goes_on_after_a_failure(monkeypatch, tmp_path, capsys):
    python = sys.executable
    listed = [
        first_run.Step("fails", (python, "-c", "print('one'); raise SystemExit(5)"), 30.0),
        first_run.Step("hangs", (python, "-c", "print('two'); import time; time.sleep(60)"), 2.0),
        first_run.Step("ends", (python, "-c", "print('three')"), 30.0),
    ]
    monkeypatch.setattr(first_run, "steps", lambda *_: listed)
    assert first_run.first_run(tmp_path / "run", argparse.Namespace(limit=60.0)) == 1
    told = [json.loads(one) for one in (tmp_path / "run" / "summary.jsonl").read_text().splitlines()]
    assert [(one["step"], one["code"]) for one in told] == [("fails", 5), ("hangs", first_run.TIMED_OUT), ("ends", 0)]
    words = [path.read_text() for path in sorted((tmp_path / "run").glob("*.txt"))]
    assert words == ["one\n", "two\n", "three\n"]
    # Where nothing is left of the time nothing is begun.
    assert first_run.first_run(tmp_path / "late", argparse.Namespace(limit=1.0)) == 1
    assert "left out" in capsys.readouterr().out
    assert not list((tmp_path / "late").glob("*.txt"))


def test_the_steps_of_a_first_run_are_commands_that_there_are(tmp_path):
    arguments = command.parser().parse_args(["--first-run", str(tmp_path)])
    listed = [step for step in first_run.steps(tmp_path, arguments) if step.name != "device"]
    assert [step.name for step in listed] == [
        "tests", "benchmark", "survey-middle-flow", "survey-small-flow", "survey-middle-polish", "survey-small-polish",
    ]  # fmt: skip
    assert (first_run.ROOT / listed[0].command[-1]).is_file()
    command.parser().parse_args(listed[1].command[3:])
    for step in listed[2:]:
        assert million.parser().parse_args(step.command[3:]).seeds == 2**20
    assert sum(step.seconds for step in listed[:3]) <= command.FIRST_LIMIT
