"""What is measured, in the order of what matters, by a clock: each result is printed and written as it comes."""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import nctheory as nct
from benchmarks.gpu.device import Peaks, described, peaks
from benchmarks.gpu.ends import AGREEMENT, block_of, model
from benchmarks.gpu.rows import ROADS, Row, counted, measure
from benchmarks.gpu.stages import Profile, profile
from benchmarks.json_lines import append_line

COLUMNS = (
    ("size", 7), ("seeds", 9), ("road", 15), ("devices", 7), ("ends", 5), ("largest |grad|", 14), ("|f/f*-1|", 8),
    ("converged", 9), ("certified", 9), ("verdict", 7), ("seeds/s", 10), ("s", 7), ("first s", 7), ("gradients", 9),
    ("of float64", 10), ("of memory", 9), ("peak MiB", 8),
)  # fmt: skip
AGREED_SEEDS = 256
"""Seeds of which several devices must make what one makes of them."""


class Job(NamedTuple):
    """One thing to measure, and what it may take."""

    name: str
    key: tuple[str, str]
    """Size and road, whose former jobs tell how long this one takes."""
    seeds: int
    work: Callable[[], bool]
    """It prints what it finds, and is False where an end is wrong."""
    compiled: int = 1
    """How many times as much as a road's own program it compiles."""


class Written:
    """Results as lines of JSON in a file, each there before the next thing is begun."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.write_text("")

    def __call__(self, kind: str, **found: Any) -> None:
        """One more line."""
        append_line(self.path, {"kind": kind, **found})


def line(cells: Sequence[str]) -> str:
    """The cells under their columns."""
    return " ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))


def shown_row(row: Row, found: Peaks) -> tuple[str, ...]:
    """A row of the table. A flow in single precision has no share of the rate in double precision."""
    checked, share = row.checked, row.shares(found)
    timed = not math.isnan(row.seconds)
    double = timed and not row.road.startswith("float32")
    cells = (
        row.size, f"{row.seeds:,}", row.road, str(row.devices), str(checked.ends), f"{checked.grad_norm:.2e}",
        "-" if math.isnan(checked.distance) else f"{checked.distance:.1e}", f"{checked.converged:.2%}",
        f"{checked.certified:.2%}", "right" if checked.right else "WRONG",
    )  # fmt: skip
    quick = (f"{row.rate:,.0f}", f"{row.seconds:.2f}") if timed else ("-", "-")
    shares = tuple("-" if not double or math.isnan(one) else f"{one:.1%}" for one in share)
    peak = "-" if row.peak is None else f"{row.peak:.0f}"
    return (*cells, *quick, f"{row.first:.1f}", f"{row.gradients:.0f}", *shares, peak)


def shown_profile(found: Profile) -> str:
    """A profile in words: shares of the time, the largest first."""
    whole = sum(found.seconds.values())
    parts = ", ".join(f"{name} {seconds / whole:.1%}" for name, seconds in found.seconds.items())
    return (
        f"{found.size}, {found.road}, {found.seeds:,} seeds, {whole:.2f} s by stages ({found.plain:.2f} s without clocks): "
        f"{found.dominant} dominates; {parts}"
    )


def agree(size: str, road: str, decay: float, devices: tuple[Any, ...], kernel: str) -> bool:
    """Whether several devices make of the same seeds what one does: statuses alike, values to rounding."""
    options = dict(ROADS[road])
    if options["kernel"] == "auto":
        options["kernel"] = kernel
    many, one = (
        nct.solve(model(size, decay), AGREED_SEEDS, devices=some, **options) for some in (devices, devices[:1])
    )
    same = bool(np.array_equal(many.status, one.status)) and np.allclose(many.value, one.value, rtol=AGREEMENT, atol=0)
    word = "make of the same seeds what one makes" if same else "DO NOT make of the same seeds what one makes"
    print(f"{len(devices)} devices {word}: {size}, {road}, {AGREED_SEEDS} seeds", flush=True)
    return same


class Clocked:
    """How much of the time is left, and how long a job will take by what former ones took."""

    def __init__(self, limit: float) -> None:
        self.began, self.limit = time.perf_counter(), limit
        self.compiling: dict[str, float] = {}
        self.each: dict[tuple[str, str], float] = {}

    def learn(self, row: Row) -> None:
        """What a row took."""
        if not math.isnan(row.seconds):
            self.compiling[row.road] = max(self.compiling.get(row.road, 0.0), row.first - row.seconds)
            self.each[row.size, row.road] = row.seconds / row.seeds

    def expected(self, key: tuple[str, str], seeds: int, compiled: int = 1) -> float:
        """Seconds of a job by its own road at its own size, else by the slowest so far: the compiling, and two runs.

        >>> clock = Clocked(10.0)
        >>> clock.each["small", "flow, XLA"] = 0.001
        >>> clock.expected(("small", "flow, XLA"), 1000), clock.expected(("middle", "flow, XLA"), 1000)
        (2.0, 2.0)
        """
        compiling = self.compiling.get(key[1], max(self.compiling.values(), default=0.0))
        return compiled * compiling + 2.0 * seeds * self.each.get(key, max(self.each.values(), default=0.0))

    def fits(self, job: Job) -> bool:
        """Whether there is time for a job."""
        expected = self.expected(job.key, job.seeds, job.compiled)
        return time.perf_counter() - self.began + expected <= self.limit


def roads_of(kernel: str, platform: str) -> list[str]:
    """The roads that can be measured: kernels only where they are asked for, and there is a GPU or an emulator."""
    none = kernel == "off" or (kernel == "auto" and platform == "cpu")
    return [road for road in ROADS if not (none and "kernels" in road)]


def jobs(arguments: argparse.Namespace, found: Peaks, told: Written, clock: Clocked) -> Iterator[Job]:
    """Everything there is to measure, what matters most first."""
    devices = tuple(jax.local_devices())
    kernel, decay = arguments.kernel, arguments.decay
    roads = roads_of(kernel, devices[0].platform)
    units: dict[str, tuple[float, float]] = {}

    def row(size: str, seeds: int, road: str, some: tuple[Any, ...]) -> Job:
        def work() -> bool:
            if size not in units:
                units[size] = counted(size, decay)
            one = measure(size, seeds, road, decay, some, kernel, units[size])
            clock.learn(one)
            print(line(shown_row(one, found)), flush=True)
            if one.note:
                print(one.note, flush=True)
            told("row", **one._replace(checked=None)._asdict(), ends=one.checked._asdict(), shares=one.shares(found))
            return one.checked.right

        return Job(f"{size} {road} {seeds:,} on {len(some)}", (size, road), seeds, work)

    def by_stage(size: str, seeds: int, road: str) -> Job:
        def work() -> bool:
            one = profile(size, seeds, road, decay, devices[0], kernel)
            print(shown_profile(one), flush=True)
            told("profile", **one._asdict(), dominant=one.dominant)
            return True

        return Job(f"profile of {size} {road}", (size, road), 2 * seeds, work, 2)

    def alike(size: str, road: str) -> Job:
        def work() -> bool:
            same = agree(size, road, decay, devices, kernel)
            told("devices agree", size=size, road=road, devices=len(devices), same=same)
            return same

        return Job(f"{len(devices)} devices against one, {size} {road}", (size, road), AGREED_SEEDS, work)

    most, first = max(arguments.seeds), arguments.sizes[0]
    # The roads that a user takes, at the sizes in turn; with several devices, what one of them does; then what dominates.
    yield from (row(size, most, road, devices) for road in roads for size in arguments.sizes)
    if len(devices) > 1:
        yield alike(first, roads[0])
        yield from (row(first, most, road, devices[:1]) for road in roads[:2])
    if arguments.profile:
        several = min(most, arguments.profile, block_of(first))
        yield from (by_stage(first, several, road) for road in roads if not road.startswith("float32"))
    for seeds in sorted(arguments.seeds)[-2::-1]:
        yield from (row(size, seeds, road, devices) for size in arguments.sizes for road in roads)


def run(arguments: argparse.Namespace) -> int:
    """All jobs that there is time for; 1 where an end is wrong."""
    clock, told, wrong, left_out = Clocked(arguments.limit), Written(arguments.out), False, []
    devices = tuple(jax.local_devices())
    what = described(devices)
    print(what, flush=True)
    found = peaks(devices[0])
    print(
        f"one device: products {found.float64 / 1e9:,.0f} GFlop/s in float64, {found.float32 / 1e9:,.0f} in float32; "
        f"a copy {found.copied / 1e9:,.0f} GB/s, read and written",
        flush=True,
    )
    told("device", described=what, devices=len(devices), peaks=found._asdict())
    if arguments.kernel == "auto" and devices[0].platform == "cpu":
        print("kernels: they are for GPUs; --kernel emulate tries their source here")
    print("the worst ends of each road, recomputed; then seeds per second, certificate included")
    print(line([name for name, _ in COLUMNS]), flush=True)
    for job in jobs(arguments, found, told, clock):
        if clock.fits(job):
            wrong |= not job.work()
        else:
            left_out.append(job.name)
    if left_out:
        print(f"no time was left for: {'; '.join(left_out)} (--limit)")
        told("left out", jobs=left_out)
    return int(wrong)
