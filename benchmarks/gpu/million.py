"""A million seeds, each with an honest status: `python -m benchmarks.gpu.million`, from the root of the repository.

The seeds go in pieces, and what became of a piece is printed, and written to `--out`, before the next one is begun. A status
is honest if a seed that is said to have converged has a gradient within the tolerance, if the worst of them, recomputed by
NumPy, have it too, and if every seed has a status: counts by status add up. Of seeds that end in another way the first few
are named, so that they can be looked at again one by one: `nct.solve(model, seeds=[…], key=0)`.
"""

import argparse
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nctheory as nct
from benchmarks.gpu.device import described
from benchmarks.gpu.ends import SIZES, TOLERANCE, block_of, model, recomputed
from benchmarks.gpu.jobs import Written

KEPT, NAMED = 16, 8
"""Worst ends of a piece that are recomputed, and seeds that are named."""
DECAY = 5e-4


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(prog="python -m benchmarks.gpu.million", description=__doc__)
    top.add_argument("--size", choices=tuple(SIZES), default="middle")
    top.add_argument("--method", choices=("flow+polish", "polish"), default="flow+polish")
    top.add_argument("--seeds", type=int, default=2**20, metavar="N")
    top.add_argument("--kernel", choices=("auto", "off", "emulate"), default="auto")
    top.add_argument(
        "--limit", type=float, default=math.inf, metavar="SECONDS", help="begin no piece that would pass it"
    )
    top.add_argument("--out", type=Path, metavar="FILE", help="write every piece there too, a line of JSON each")
    return top


def dishonest(outcome: Any, size: str) -> list[str]:
    """What is wrong with the statuses of a survey; nothing where they are honest."""
    found = []
    counted = {name: number for name, number in outcome.counts().items() if name != "certified"}
    if sum(counted.values()) != len(outcome.seeds):
        found.append(f"{len(outcome.seeds) - sum(counted.values())} seeds have no status")
    high = outcome.converged & ~(outcome.grad_norm <= TOLERANCE)
    if high.any():
        found.append(
            f"{high.sum()} seeds are said to have converged with gradient norms up to {outcome.grad_norm[high].max()}"
        )
    _, norms = recomputed(size, DECAY, outcome.worst.params)
    above = norms[outcome.worst.converged] > TOLERANCE * (1.0 + 1e-3)
    if above.any():
        found.append(
            f"{above.sum()} recomputed gradient norms of seeds that are said to have converged are above {TOLERANCE:g}"
        )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 1 where a status is not honest, 2 for wrong use."""
    arguments = parser().parse_args(argv)
    if arguments.seeds < 1 or not arguments.limit > 0:
        print("--seeds and --limit: expected numbers above 0", file=sys.stderr)
        return 2
    devices, told, began = tuple(jax.local_devices()), Written(arguments.out), time.perf_counter()
    print(f"{described(devices)}; {arguments.size}, {arguments.method}, {arguments.seeds:,} seeds", flush=True)
    problem, piece = model(arguments.size, DECAY), block_of(arguments.size) * len(devices)
    total: Counter[str] = Counter()
    wrong, longest = False, 0.0
    for begin in range(0, arguments.seeds, piece):
        if time.perf_counter() - began + longest > arguments.limit:
            print(f"no time was left for seeds from {begin:,} on (--limit)")
            break
        numbers, here = np.arange(begin, min(begin + piece, arguments.seeds)), time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            outcome = nct.survey(
                problem, numbers, 0, keep=KEPT, block=piece, method=arguments.method, kernel=arguments.kernel
            )
        seconds = time.perf_counter() - here
        longest = max(longest, seconds)
        counts, faults = outcome.counts(), dishonest(outcome, arguments.size)
        wrong |= bool(faults)
        total.update(counts)
        others = {int(seed): int(status) for seed, status in zip(outcome.seeds, outcome.status, strict=True)}
        others = {seed: status for seed, status in others.items() if status != nct.Status.CONVERGED}
        named = {seed: nct.Status(others[seed]).name.lower() for seed in list(others)[:NAMED]}
        shown = {name: number for name, number in counts.items() if number}
        print(
            f"seeds from {begin:,}: {len(numbers) / seconds:,.0f}/s, {shown}, at most {outcome.steps.max()} gradients"
        )
        for text in (*sorted({str(one.message) for one in said}), *faults, *([f"look at {named}"] if named else [])):
            print(f"  {text}")
        sys.stdout.flush()
        told(
            "piece", begin=begin, seeds=len(numbers), seconds=seconds, counts=counts, named=named, faults=faults,
            most_gradients=int(outcome.steps.max()), largest_norm=float(outcome.grad_norm.max()),
        )  # fmt: skip
    whole = time.perf_counter() - began
    print(f"in all {sum(total.values()) - total['certified']:,} seeds in {whole:.1f} s: {dict(total)}", flush=True)
    told("total", seconds=whole, counts=dict(total))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
