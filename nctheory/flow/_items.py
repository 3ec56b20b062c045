"""The work behind `solve` and `solve_many`: it checks options, cuts seeds into chunks and runs these on devices."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import check_flag, fixed_width, float64, is_finite, rounded_up
from nctheory.flow._diagnose import diagnose
from nctheory.flow._kernel_road import Kernel, check_kernel, solve_by_road
from nctheory.flow._kinked import (
    COARSE_TOLERANCE,
    KINK_TOLERANCE,
    has_kinks,
    polish_rounded,
    rounded_family,
    starting_records,
)
from nctheory.flow._program import Chunk, member_scales, member_starts
from nctheory.flow._record import Record, Settings
from nctheory.flow._single import DOUBLE_PLATFORMS, Points, flow_in_single, memory_budget
from nctheory.problems import Family, Problem, size

Method = Literal["flow+polish", "flow", "polish"]
FlowPrecision = Literal["float64", "float32"]
WORKING_COPIES = 24
"""The number of vectors of the size of one point that a seed needs while it is worked on."""

FEW_NUMBERS = 2**14
"""Seeds of at most this many parameters together go in one call, whose width does not depend on the machine's cores: a solve
looks at them a thousand times in less time than a program takes to compile (conventional)."""


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
    kernel: Kernel | str = "auto"

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
            if not (is_finite(number) and number >= 0 and (number > 0 or name == "scale")):
                raise ValueError(f"{name}: expected a finite positive number, got {number}")
        check_kernel(self.kernel)
        check_flag("light", self.light)
        check_devices(self.devices)
        if not (is_finite(self.budget) and self.budget >= 1):
            raise ValueError(f"budget: expected at least 1 gradient evaluation, got {self.budget}")
        for name in ("chunk", "workers", "memory"):
            number = getattr(self, name)
            if number is not None and not (is_finite(number) and number >= 1):
                raise ValueError(f"{name}: expected at least 1, got {number}")

    def settings(self) -> Settings:
        """The numbers among the options, for the compiled program."""
        return Settings(
            tolerance=jnp.asarray(self.tolerance, jnp.float64),
            rtol=jnp.asarray(self.rtol, jnp.float64),
            switch=jnp.asarray(self.switch, jnp.float64),
            scale=jnp.asarray(self.scale, jnp.float64),
            budget=jnp.asarray(self.budget),
            flow=jnp.asarray(self.method != "polish"),
            polish=jnp.asarray(self.method != "flow"),
        )


def check_devices(devices: Any) -> None:
    """Raise ValueError for what is neither None nor a sequence of one device or more, as `jax.devices()` lists them."""
    several = isinstance(devices, Sequence) and not isinstance(devices, str)
    if devices is not None and not (several and devices and all(hasattr(one, "platform") for one in devices)):
        raise ValueError(f"devices: expected a list of one JAX device or more, got {devices!r}")


def _default_workers(devices: Sequence[Any]) -> int:
    if len(devices) > 1 or devices[0].platform != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def default_chunk(problem: Problem, memory: int, platform: str = "cpu") -> int:
    """The seeds of one chunk that fit in `memory` bytes: at least 1, and at most 1024 on a CPU and 65,536 elsewhere."""
    most = 1024 if platform == "cpu" else 65_536
    return int(np.clip(memory // (8 * WORKING_COPIES * max(size(problem), 1)), 1, most))


def solve_items(
    family: Family, contexts: np.ndarray, numbers: np.ndarray, root: PRNGKeyArray, options: Options
) -> Record:
    """Solve item i: seed `numbers[i]` of the member with context `contexts[i]`.

    Where members have kinks the flow is that of the problem with its kinks rounded off, and the polish goes on to where the
    rounding is nothing; `method="flow"` follows the flow of the problem as it is.
    """
    options.check()
    if options.method == "flow" or not has_kinks(family, contexts):
        return _solve_smooth(family, contexts, numbers, root, options)
    rounded, wider = rounded_family(family, contexts)
    settings = options._replace(tolerance=max(options.tolerance, KINK_TOLERANCE)).settings()
    plan = ChunkPlan(rounded, wider, numbers, root, options)
    if options.method == "polish":
        records = starting_records(rounded, wider, numbers, root, settings)
    else:
        coarse = options._replace(tolerance=COARSE_TOLERANCE, progress=None)
        records = _solve_smooth(rounded, wider, numbers, root, coarse)
        records = records._replace(tolerance=records.tolerance * (float(settings.tolerance) / COARSE_TOLERANCE))
    found = polish_rounded(rounded, records, settings, plan.width, plan.threads)
    plan.report(len(numbers))
    return found._replace(context=contexts)


def _solve_smooth(
    family: Family, contexts: np.ndarray, numbers: np.ndarray, root: PRNGKeyArray, options: Options
) -> Record:
    plan = ChunkPlan(family, contexts, numbers, root, options)
    with ThreadPoolExecutor(plan.threads) as pool:
        parts = list(pool.map(plan.on_host, plan.begins))
    return diagnose(family, jax.tree.map(lambda *xs: np.concatenate(xs), *parts))


class ChunkPlan:
    """How items are cut into chunks, and where these run; raises ValueError for options out of range.

    `platform` names another backend than the devices' own, to try it on a CPU; by default a chunk has at most `most` items.
    """

    def __init__(
        self,
        family: Family,
        contexts: np.ndarray,
        numbers: np.ndarray,
        root: PRNGKeyArray,
        options: Options,
        platform: str | None = None,
        most: int | None = None,
    ) -> None:
        options.check()
        self.family, self.contexts, self.numbers, self.root = family, contexts, numbers, root
        self.options, self.settings, self.platform = options, options.settings(), platform
        self.used = tuple(options.devices) if options.devices is not None else tuple(jax.local_devices())
        self.single = options.flow_precision == "float32" and options.method != "polish"
        self.double = tuple(d for d in self.used if d.platform in DOUBLE_PLATFORMS) or (jax.devices("cpu")[0],)
        if self.double != self.used and not self.single and options.method != "polish":
            raise ValueError(
                f"flow_precision: {self.used[0].platform} has no float64; ask for flow_precision='float32'"
            )
        self.threads = options.workers if options.workers is not None else _default_workers(self.used)
        share = -(-len(numbers) // self.threads)
        bytes_each = (options.memory or memory_budget(self.used)) // self.threads
        fitting = default_chunk(family.template, bytes_each, self.used[0].platform)
        width = fixed_width(len(numbers), size(family.template), FEW_NUMBERS)
        if width is None or width > fitting or len(self.used) > 1:
            width = min(fitting, rounded_up(share), most or fitting)
        if options.chunk is not None:
            width = options.chunk
        several = np.lcm(len(self.used), len(self.double))
        self.width = int(-(-width // several) * several)

    @property
    def begins(self) -> range:
        """The positions at which the chunks begin."""
        return range(0, len(self.numbers), self.width)

    def count(self, begin: int) -> int:
        """The number of items in the chunk that begins there."""
        return min(self.width, len(self.numbers) - begin)

    @float64
    def on_host(self, begin: int) -> Record:
        """The records of a chunk as NumPy arrays."""
        count = self.count(begin)
        part = jax.tree.map(lambda x: np.asarray(x)[:count], self.on_devices(begin))
        self.report(count)
        return part

    def on_devices(self, begin: int) -> Record:
        """The records of a chunk where they were computed, filled up to the width of all chunks."""
        count = self.count(begin)
        padded = np.resize(np.arange(begin, begin + count), self.width)
        live, seeds = np.arange(self.width) < count, jnp.asarray(self.numbers[padded])
        context = jnp.asarray(self.contexts[padded])
        standing = None
        with jax.default_device(self.double[0]):  # a device asked for, or the host, need not be JAX's own choice
            if self.single:
                drawn = np.asarray(member_starts(self.family, self.root, seeds, context, self.settings.scale))
                units = jax.tree.map(np.asarray, member_scales(self.family, context))
                points = Points(drawn, live, np.asarray(context), units)
                standing = jax.tree.map(jnp.asarray, flow_in_single(self.family, points, self.settings, self.used))
            some = Chunk(seeds, jnp.asarray(live), context, standing)
            options = self.options
            return solve_by_road(
                self.family, self.root, some, self.settings, self.double, self.platform,
                light=options.light, kernel=options.kernel,
            )  # fmt: skip

    def report(self, count: int) -> None:
        """Tell the caller that this many items are done."""
        if self.options.progress is not None:
            self.options.progress(count)
