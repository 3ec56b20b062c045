"""Time per seed of the engine as the number of seeds grows: it should be flat."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import nctheory as nct
from benchmarks.jobs import JOBS, KEY, Job, problem_of
from benchmarks.machine import with_peak_memory

METHODS = ("polish", "flow+polish")
WARM = 4096
"""From this many seeds on every run uses the same compiled program."""
LONG = 20.0
"""A run of more seconds than this is not repeated."""


@dataclass
class Point:
    """One number of seeds."""

    method: str
    seeds: int
    certified: int = 0
    memory_mib: float = 0.0
    seconds: list[float] = field(default_factory=list)


def growth_job() -> Job:
    """Cross-entropy at (K, d, n) = (4, 8, 5)."""
    return next(job for job in JOBS if (job.loss, job.classes, job.decay) == ("cross_entropy", 4, 5e-3))


def measure_growth(
    counts: Sequence[int], repeats: int, say: Callable[[str], None], methods: Sequence[str] = METHODS
) -> list[Point]:
    """Time `nct.solve` on each number of seeds, compiled before the clock runs, every end certified."""
    problem = problem_of(growth_job())
    points = []
    for method in methods:
        for seeds in counts:
            say(f"growth: {method}, {seeds} seeds")
            nct.solve(problem, min(seeds, WARM), KEY, method=method)
            point = Point(method, seeds)
            while len(point.seconds) < repeats and sum(point.seconds) <= LONG:
                began = time.perf_counter()
                ensemble, memory = with_peak_memory(lambda n=seeds, m=method: nct.solve(problem, n, KEY, method=m))
                point.seconds.append(time.perf_counter() - began)
                point.memory_mib = max(point.memory_mib, memory)
            bound = nct.certify(problem, ensemble.params)
            at_minimum = ensemble.converged & bound.closed(ensemble.value)
            point.certified = int(at_minimum.sum())
            points.append(point)
    return points
