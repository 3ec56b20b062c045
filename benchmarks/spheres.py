"""Seeds on spheres per second, against the same classes with free features and decays.

Both are solved and certified from as many random starts: cross-entropy of classifiers and features on spheres in the form of
Yaras et al. (the theorem `ufm-sphere`), and of unconstrained features with equal decays. A sphere costs a projection, but no
scale has to be found. The ratio is of like work: the same K, d and n, and the same stop.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import nctheory as nct
from benchmarks.machine import describe
from nctheory.engine import whole_number

CLASSES, DIM, SAMPLES = 10, 16, 1
"""K, d and n (conventional)."""
TAU, DECAY = 2.0, 5e-3
"""The product of lengths over the temperature, and both decays (conventional: neither problem is close to a threshold)."""
SEEDS = 4096
"""Starts (conventional: many chunks)."""


def problems() -> dict[str, nct.problems.Problem]:
    """Both problems by name."""
    counts = (SAMPLES,) * CLASSES
    return {
        "on spheres": nct.problems.spherical_features(counts=counts, dim=DIM, temperature=1.0 / TAU, weight_radius=1.0),
        "free, decayed": nct.unconstrained_features(
            counts=counts, dim=DIM, loss="cross_entropy", weight_decay=(DECAY, DECAY)
        ),
    }


def timed(problem: nct.problems.Problem, seeds: int) -> Callable[[int], tuple[float, float, float]]:
    """A function of a key to the seconds of a light solve with its certificate, those of all processors together, and the
    share of certified seeds."""

    def run(key: int) -> tuple[float, float, float]:
        begin, spent = time.perf_counter(), time.process_time()
        ends = nct.solve(problem, seeds=seeds, key=key, light=True)
        closed = nct.certify(problem, ends.params).closed(ends.value)
        return time.perf_counter() - begin, time.process_time() - spent, float((closed & ends.converged).mean())

    return run


def compare(seeds: int, repeats: int) -> list[dict[str, float | str]]:
    """One row for each problem: medians over rounds in which both take turns, after one that compiles.

    Raises ValueError for numbers below 1.
    """
    seeds, repeats = whole_number("seeds", seeds, least=1), whole_number("repeats", repeats, least=1)
    runs = {name: timed(problem, seeds) for name, problem in problems().items()}
    compiled = {name: run(0)[0] for name, run in runs.items()}
    rounds = [{name: run(key) for name, run in runs.items()} for key in range(1, repeats + 1)]
    reference = "free, decayed"
    return [
        {
            "problem": name,
            "seconds": statistics.median(one[name][0] for one in rounds),
            "processors": statistics.median(one[name][1] for one in rounds),
            "first": compiled[name],
            "certified": min(one[name][2] for one in rounds),
            "ratio": statistics.median(one[name][0] / one[reference][0] for one in rounds),
            "ratio of processors": statistics.median(one[name][1] / one[reference][1] for one in rounds),
        }
        for name in runs
    ]


def main() -> None:
    """Print the machine and one line for each problem."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spheres", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(describe())
    print(f"K = {CLASSES}, d = {DIM}, n = {SAMPLES}, {arguments.seeds} seeds, {arguments.repeats} rounds")
    for row in compare(arguments.seeds, arguments.repeats):
        print(
            f"{row['problem']:>14}: {row['seconds']:.2f} s (first {row['first']:.2f} s; {row['processors']:.2f} s of "
            f"processors), {row['certified']:.1%} certified, {row['ratio']:.2f} times the free features "
            f"({row['ratio of processors']:.2f} times in time of processors)"
        )


if __name__ == "__main__":
    main()
