"""The command `python -m benchmarks`: one table of all peers on all jobs, one of the engine's growth with the seeds."""

import argparse
import dataclasses
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.growth import Point, measure_growth
from benchmarks.jobs import DEFAULT, GAP, JOBS, QUICK, TOLERANCE, Job, select
from benchmarks.machine import describe, load, product_peak
from benchmarks.measure import Row, measure
from benchmarks.peers import REFERENCE, Peer, load_peers
from benchmarks.tables import growth_table, results_table
from nctheory.engine import write_atomically

SECONDS, QUICK_SECONDS = 0.5, 0.1
"""Aim for one timing of one peer."""
COUNTS = (1, 10, 100, 1_000, 10_000, 100_000)
WRONG_USE = 2


class Misuse(Exception):
    """Wrong use of the command line; the message is for the user."""


def _above(kind: Callable[[str], float], least: float, open_end: bool = False) -> Callable[[str], Any]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not math.isfinite(value) or value < least or (open_end and value == least):
            raise argparse.ArgumentTypeError(f"expected {'more than' if open_end else 'at least'} {least}, got {text}")
        return value

    return parse


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    top.add_argument(
        "--jobs",
        action="append",
        default=[],
        metavar="TEXT",
        help="only jobs whose name contains TEXT (again for more)",
    )
    top.add_argument(
        "--peers",
        action="append",
        default=[],
        metavar="TEXT",
        help="only peers whose name contains TEXT (again for more)",
    )
    top.add_argument("--seeds", type=_above(float, 0, True), default=1.0, metavar="X", help="X times as many seeds")
    top.add_argument("--repeats", type=_above(int, 1), metavar="N", help="rounds of timing (default 3, 1 if quick)")
    top.add_argument("--quick", action="store_true", help="a smoke run of about a minute")
    top.add_argument("--no-growth", action="store_true", help="leave out the second table")
    top.add_argument("--out", metavar="DIR", help="write results.json and results.md into a folder")
    top.add_argument("--list", action="store_true", help="names of jobs and peers, and nothing else")
    return top


def chosen_jobs(args: argparse.Namespace) -> tuple[Job, ...]:
    """The jobs asked for."""
    jobs = select(args.jobs or (QUICK if args.quick else DEFAULT))
    if not jobs:
        raise Misuse(f"--jobs: none is named like {args.jobs}; there are {', '.join(job.name for job in JOBS)}")
    return jobs


def chosen_peers(patterns: Sequence[str], peers: Sequence[Peer], missing: Sequence[str]) -> list[Peer]:
    """The peers asked for, and the one to which ratios are taken."""
    for pattern in patterns:
        if not any(pattern.lower() in peer.name.lower() for peer in peers):
            absent = f" (not installed: {', '.join(missing)})" if missing else ""
            names = ", ".join(peer.name for peer in peers)
            raise Misuse(f"--peers: none is named like {pattern!r}; there are {names}{absent}")
    return [
        peer
        for peer in peers
        if not patterns or peer.name == REFERENCE or any(p.lower() in peer.name.lower() for p in patterns)
    ]


def _writable(folder: str | None) -> Path | None:
    if folder is None:
        return None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misuse(f"--out: cannot write into {folder}: {error.strerror or error}") from error
    return Path(folder)


@dataclasses.dataclass
class Report:
    """Everything that one run has found so far."""

    options: dict[str, Any]
    machine: dict[str, str]
    missing: list[str]
    peak: float = 0.0
    """Floating-point operations per second of a large matrix product, the best seen in the run."""
    loads: list[float] = dataclasses.field(default_factory=list)
    rows: list[Row] = dataclasses.field(default_factory=list)
    growth: list[Point] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def text(self) -> str:
        """Both tables, and what they were measured on."""
        facts = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        parts = [
            f"Machine: {facts}. Peak of a large float64 matrix product: {self.peak / 1e9:.0f} GFlop/s. "
            f"Load average while measuring: {', '.join(f'{one:.1f}' for one in self.loads)}.",
            f"All from the same starts to a gradient norm of {TOLERANCE:g}; certified: relative gap at most {GAP:g}. "
            f"Medians over {self.options['repeats']} interleaved rounds; ratio: time per seed over that of "
            f"{REFERENCE!r}; *: some seeds are not certified.",
        ]
        if self.rows:
            parts.append(results_table(self.rows, self.peak))
        if self.growth:
            parts.append(growth_table(self.growth))
        if self.missing:
            parts.append(f"Not installed, so left out: {', '.join(self.missing)}.")
        return "\n\n".join(parts) + "\n"

    def to_json(self) -> str:
        """The same as data."""
        return json.dumps({"version": 1, **dataclasses.asdict(self)}, indent=1) + "\n"

    def write(self, folder: Path) -> None:
        """Both files, each replaced in one step."""
        write_atomically(folder / "results.json", self.to_json())
        write_atomically(folder / "results.md", self.text())


def run(args: argparse.Namespace) -> Report:
    """Measure what was asked for; after each job the files are up to date."""
    peers, missing = load_peers()
    jobs, chosen, folder = chosen_jobs(args), chosen_peers(args.peers, peers, missing), _writable(args.out)
    jax.config.update("jax_enable_x64", True)
    repeats = args.repeats or (1 if args.quick else 3)
    target = args.seeds * (QUICK_SECONDS if args.quick else SECONDS)
    options = {"quick": args.quick, "seeds": args.seeds, "repeats": repeats, "seconds_per_timing": target}
    report, began = Report(options, describe(), missing), time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    def note_state() -> None:
        report.peak = max(report.peak, product_peak())
        report.loads += [one for one in [load()] if one is not None]
        report.seconds = time.perf_counter() - began
        if folder is not None:
            report.write(folder)

    note_state()
    for job in jobs:
        most = max(1, math.ceil(args.seeds * job.seeds))
        report.rows += measure(job, chosen, repeats, target, most, say)
        jax.clear_caches()  # the next job shares no program with this one
        note_state()
    if not args.no_growth:
        report.growth = measure_growth([n for n in COUNTS if n <= 1000 or not args.quick], repeats, say)
        note_state()
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status (argparse itself exits with 2 on wrong use)."""
    args = parser().parse_args(argv)
    try:
        if args.list:
            listed = [job.name + ("" if job.name in DEFAULT else "  (only with --jobs)") for job in JOBS]
            print("\n".join(["jobs:", *listed, "", "peers:", *(peer.name for peer in load_peers()[0])]))
            return 0
        print(run(args).text())
    except Misuse as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return WRONG_USE
    return 0


if __name__ == "__main__":
    sys.exit(main())
