"""The machine: what it is, the peak of its matrix product, the memory a piece of work takes."""

import contextlib
import importlib.metadata
import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

R = TypeVar("R")
PACKAGES = ("nctheory", "jax", "jaxlib", "numpy", "scipy", "torch", "optax", "optimistix", "diffrax", "cvxpy")
PEAK_SIZE = 2048
_STATUS = Path("/proc/self/status")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, str]:
    """Processor, cores, memory, system and versions; no names of hosts, users or folders."""
    found = {
        "processor": _processor(),
        "cores": str(cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    with contextlib.suppress(ValueError, OSError):
        found["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load() -> float | None:
    """Processes that wanted a core over the last minute, this one included; None where unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def product_peak(rounds: int = 3) -> float:
    """Floating-point operations per second of NumPy's float64 product of two large matrices, the best of a few."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, PEAK_SIZE, PEAK_SIZE))
    best = np.inf
    for _ in range(rounds):
        began = time.perf_counter()
        np.matmul(left, right)
        best = min(best, time.perf_counter() - began)
    return 2.0 * PEAK_SIZE**3 / best


def with_peak_memory(work: Callable[[], R]) -> tuple[R, float]:
    """The result, and by how many MiB the peak of resident memory rose above where it stood before.

    Memory that the process held already and uses again is not seen, so this is a lower bound. Where the system's
    mark cannot be reset, only growth beyond the largest peak so far is seen.
    """
    reset = False
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # 5 resets the high-water mark
        reset = True
    before = _resident("VmRSS") if reset else _largest()
    result = work()
    after = _resident("VmHWM") if reset else _largest()
    return result, max(after - before, 0.0)


def _resident(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    return _largest()


def _largest() -> float:
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
