"""How many threads the libraries under NumPy, SciPy and PyTorch use: more are often slower on small matrices."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from threadpoolctl import threadpool_limits

from benchmarks.machine import cores

R = TypeVar("R")
SECONDS, TRIALS = 0.02, 5
"""Length and number of the trials."""
CLEARLY = 1.2


def limited(threads: int) -> AbstractContextManager:
    """BLAS and OpenMP libraries held to so many threads while the context lasts."""
    return threadpool_limits(threads)


def with_threads(threads: int, work: Callable[[int], R]) -> Callable[[int], R]:
    """`work`, always with so many threads."""

    def run(seeds: int) -> R:
        with limited(threads):
            return work(seeds)

    return run


def fastest_threads(probe: Callable[[], object]) -> int:
    """One thread, or one per core where that runs `probe` clearly faster.

    Threads that wait for each other in a loop are easily disturbed by whatever else runs on the machine.
    """
    took = {}
    for threads in dict.fromkeys((1, cores())):
        with limited(threads):
            probe()  # wakes the threads
            calls = max(1, round(SECONDS / _seconds(probe, 1)))
            took[threads] = min(_seconds(probe, calls) for _ in range(TRIALS))
    return cores() if CLEARLY * took[cores()] < took[1] else 1


def _seconds(probe: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        probe()
    return (time.perf_counter() - began) / calls
