"""What there is to do on a new card, in a quarter of an hour: each step a process of its own, its words kept as they come.

The order is that of what matters, should the machine go before the end: whether the kernels compile there and are right (the
tests marked `gpu`), how quick they are and what dominates (the benchmark), and whether each of a million seeds ends with an
honest status. A step that fails or takes too long is said to, and the next one begins; a step for which too little time is
left is left out. `summary.jsonl` in the folder has a line for each step, and `NN-name.txt` all that it has said.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.jobs import Written

ROOT = Path(__file__).resolve().parents[2]
LEAST = 20.0
"""A step is left out where less than this many seconds are left for it."""
TIMED_OUT = 124
"""The exit code written down of a step that was ended, as `timeout` has it."""


class Step(NamedTuple):
    """One process."""

    name: str
    command: tuple[str, ...]
    seconds: float
    """It is ended after so long."""


def steps(folder: Path, arguments: argparse.Namespace) -> list[Step]:
    """The steps of a first run; `arguments` are those of the benchmark."""
    python, kernel = sys.executable, ("--kernel", arguments.kernel)
    benchmark = (python, "-m", "benchmarks.gpu", *kernel, "--profile", str(arguments.profile))
    sizes = ("--sizes", *arguments.sizes, "--seeds", *map(str, arguments.seeds))
    million = (python, "-m", "benchmarks.gpu.million", *kernel)
    jobs = [
        (f"survey-{size}-{method.split('+')[0]}", size, method, limit)
        for method, limit in (("flow+polish", 140.0), ("polish", 40.0))
        for size in arguments.sizes[:2]
    ]
    driver = shutil.which("nvidia-smi")
    seeds = str(8 * max(arguments.seeds))
    return [
        *([Step("device", (driver,), 20.0)] if driver else []),
        Step("tests", (python, "-m", "pytest", "-q", "-n0", "-m", "gpu", "-rs", "tests/test_gpu.py"), 240.0),
        Step("benchmark", (*benchmark, *sizes, "--limit", "210", "--out", str(folder / "benchmark.jsonl")), 240.0),
        *(
            Step(
                name,
                (*million, "--size", size, "--method", method, "--seeds", seeds, "--limit", str(limit),
                 "--out", str(folder / f"{name}.jsonl")),
                limit + 30.0,
            )
            for name, size, method, limit in jobs
        ),
    ]  # fmt: skip


def done(step: Step, path: Path, seconds: float) -> tuple[int, float]:
    """Run a step, whose words go to a file and to the terminal line by line; its exit code, and what it took."""
    began = time.perf_counter()
    late = threading.Event()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        path.open("w") as kept,
        subprocess.Popen(
            step.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=environment,
        ) as process,
    ):  # fmt: skip

        def end() -> None:
            late.set()
            process.kill()

        clock = threading.Timer(seconds, end)
        clock.start()
        assert process.stdout is not None
        for text in process.stdout:
            for file in (kept, sys.stdout):
                file.write(text)
                file.flush()
        code = process.wait()
        clock.cancel()
    return TIMED_OUT if late.is_set() else code, time.perf_counter() - began


def first_run(folder: Path, arguments: argparse.Namespace) -> int:
    """All steps that there is time for; 1 where one of them failed or was left out."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    told, began, failed = Written(folder / "summary.jsonl"), time.perf_counter(), False
    for index, step in enumerate(steps(folder, arguments)):
        left = arguments.limit - (time.perf_counter() - began)
        if left < LEAST:
            print(f"== {step.name}: left out, for {left:.0f} s are left", flush=True)
            told("left out", step=step.name)
            failed = True
            continue
        print(f"== {step.name}: {' '.join(step.command)}", flush=True)
        code, seconds = done(step, folder / f"{index:02d}-{step.name}.txt", min(step.seconds, left))
        print(f"== {step.name}: exit code {code} after {seconds:.0f} s", flush=True)
        told("step", step=step.name, code=code, seconds=seconds, command=step.command)
        failed |= code != 0
    return int(failed)
