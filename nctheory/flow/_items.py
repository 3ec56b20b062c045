"""The work behind `solve` and `solve_many`: options checked, seeds cut into chunks, chunks run on workers and devices."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._batching import rounded_up
from nctheory._precision import float64
from nctheory.flow._diagnose import told_apart
from nctheory.flow._program import Chunk, member_scales, member_starts, solve_chunk
from nctheory.flow._record import Record, Settings
from nctheory.flow._single import DOUBLE_PLATFORMS, Points, flow_in_single, memory_budget
from nctheory.problems import Family, Problem, size

Method = Literal["flow+polish", "flow", "polish"]
FlowPrecision = Literal["float64", "float32"]
WORKING_COPIES = 24
"""Vectors of the size of one point that a seed needs while it is worked on."""


class Options(NamedTuple):
    """How a solve is done; see `solve` for each."""

    method: Method | str = "flow+polish"
    tolerance: float = 1e-10
    scale: float = 1.0
    rtol: float = 1e-3
    switch: float = 0.03
    budget: int = 200_000
    chunk: int | None = None
    memory: int | None = None
    devices: Sequence[Any] | None = None
    flow_precision: FlowPrecision | str = "float64"
    workers: int | None = None
    progress: Callable[[int], None] | None = None
    light: bool = False

    def check(self) -> None:
        """Raise ValueError, naming the argument, for one out of range."""
        if self.flow_precision not in ("float64", "float32"):
            raise ValueError(f"flow_precision: expected 'float64' or 'float32', got {self.flow_precision!r}")
        if self.flow_precision == "float32" and self.method == "flow":
            raise ValueError("flow_precision: float32 needs a polish in float64, got method 'flow'")
        if self.method not in ("flow+polish", "flow", "polish"):
            raise ValueError(f"method: expected 'flow+polish', 'flow' or 'polish', got {self.method!r}")
        for name in ("tolerance", "rtol", "switch", "scale"):
            number = getattr(self, name)
            if not (np.isfinite(number) and number >= 0 and (number > 0 or name == "scale")):
                raise ValueError(f"{name}: expected a finite positive number, got {number}")
        if self.budget < 1:
            raise ValueError(f"budget: expected at least 1 gradient evaluation, got {self.budget}")
        for name in ("chunk", "workers", "memory"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name}: expected at least 1, got {number}")

    def settings(self) -> Settings:
        """The numbers among them, for the compiled program."""
        return Settings(
            tolerance=jnp.asarray(self.tolerance, jnp.float64),
            rtol=jnp.asarray(self.rtol, jnp.float64),
            switch=jnp.asarray(self.switch, jnp.float64),
            scale=jnp.asarray(self.scale, jnp.float64),
            budget=jnp.asarray(self.budget),
            flow=jnp.asarray(self.method != "polish"),
            polish=jnp.asarray(self.method != "flow"),
        )


def _default_workers(devices: Sequence[Any]) -> int:
    if len(devices) > 1 or devices[0].platform != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def default_chunk(problem: Problem, memory: int, platform: str = "cpu") -> int:
    """Seeds per chunk that fit in `memory` bytes: at least 1, and at most 1024 on a CPU and 65,536 elsewhere."""
    most = 1024 if platform == "cpu" else 65_536
    return int(np.clip(memory // (8 * WORKING_COPIES * max(size(problem), 1)), 1, most))


def solve_items(
    family: Family, contexts: np.ndarray, numbers: np.ndarray, root: PRNGKeyArray, options: Options
) -> Record:
    """Solve item i: seed `numbers[i]` of the member with context `contexts[i]`."""
    options.check()
    used = tuple(options.devices) if options.devices is not None else tuple(jax.local_devices())
    single = options.flow_precision == "float32" and options.method != "polish"
    double = tuple(d for d in used if d.platform in DOUBLE_PLATFORMS) or (jax.devices("cpu")[0],)
    if double != used and not single and options.method != "polish":
        raise ValueError(f"flow_precision: {used[0].platform} has no float64; ask for flow_precision='float32'")
    threads = options.workers if options.workers is not None else _default_workers(used)
    share = -(-len(numbers) // threads)
    bytes_each = (options.memory or memory_budget(used)) // threads
    fitting = default_chunk(family.template, bytes_each, used[0].platform)
    width = options.chunk if options.chunk is not None else min(fitting, rounded_up(share))
    several = np.lcm(len(used), len(double))
    width = int(-(-width // several) * several)
    settings = options.settings()

    @float64
    def run(begin: int) -> Record:
        count = min(width, len(numbers) - begin)
        padded = np.resize(np.arange(begin, begin + count), width)
        live, seeds, context = np.arange(width) < count, jnp.asarray(numbers[padded]), jnp.asarray(contexts[padded])
        begun = None
        with jax.default_device(double[0]):  # a device asked for, or the host, need not be JAX's own choice
            if single:
                drawn = np.asarray(member_starts(family, root, seeds, context, settings.scale))
                units = jax.tree.map(np.asarray, member_scales(family, context))
                points = Points(drawn, live, np.asarray(context), units)
                begun = jax.tree.map(jnp.asarray, flow_in_single(family, points, settings, used))
            some = Chunk(seeds, jnp.asarray(live), context, begun)
            records = solve_chunk(family, root, some, settings, double, light=options.light)
        part = jax.tree.map(lambda x: np.asarray(x)[:count], records)
        if options.progress is not None:
            options.progress(count)
        return part

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(run, range(0, len(numbers), width)))
    return told_apart(family, jax.tree.map(lambda *xs: np.concatenate(xs), *parts))
