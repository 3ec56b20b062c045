"""`solve`: many seeds to the end of the gradient flow, with a fast polish that stays in the basin."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._precision import float64
from nctheory.flow._program import Chunk, solve_chunk, starts
from nctheory.flow._record import DONE, LOST, SPENT, STUCK, Record, Settings
from nctheory.flow._single import DOUBLE_PLATFORMS, flow_in_single, memory_budget
from nctheory.flow._status import Ensemble, Status
from nctheory.problems import Problem, size, unravel

Method = Literal["flow+polish", "flow", "polish"]
FlowPrecision = Literal["float64", "float32"]
WORKING_COPIES = 24
"""Vectors of the size of one point that a seed needs while it is worked on."""


def as_key(key: int | PRNGKeyArray) -> PRNGKeyArray:
    """A typed JAX key from a whole number or a key."""
    if isinstance(key, bool) or (isinstance(key, int) and key < 0):
        raise ValueError(f"key: expected a whole number of at least 0 or a JAX key, got {key!r}")
    return jax.random.key(key) if isinstance(key, int | np.integer) else key


def as_seeds(seeds: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Seed numbers from a count or from an explicit list."""
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"seeds: expected at least 1, got {seeds}")
        return np.arange(int(seeds))
    listed = np.asarray(seeds)
    if listed.ndim != 1 or listed.size == 0 or not np.issubdtype(listed.dtype, np.integer) or listed.min() < 0:
        raise ValueError(f"seeds: expected a count or a list of whole numbers of at least 0, got {seeds!r}")
    return listed


def _default_workers(devices: Sequence[Any]) -> int:
    if len(devices) > 1 or devices[0].platform != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def default_chunk(problem: Problem, memory: int, platform: str = "cpu") -> int:
    """Seeds per chunk that fit in `memory` bytes: at least 1, and at most 1024 on a CPU and 65,536 elsewhere."""
    most = 1024 if platform == "cpu" else 65_536
    return int(np.clip(memory // (8 * WORKING_COPIES * max(size(problem), 1)), 1, most))


@float64
def solve(
    problem: Problem,
    seeds: int | Sequence[int] | np.ndarray = 256,
    key: int | PRNGKeyArray = 0,
    *,
    method: Method | str = "flow+polish",
    tolerance: float = 1e-10,
    scale: float = 1.0,
    rtol: float = 1e-3,
    switch: float = 0.03,
    budget: int = 200_000,
    chunk: int | None = None,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
    flow_precision: FlowPrecision | str = "float64",
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Ensemble:
    r"""Follow the gradient flow $\dot\theta = -\nabla f(\theta)$ from many random starts to critical points.

    `seeds` is a count or a list of seed numbers; seed i starts at `init(fold_in(key, i), scale)` whatever the chunk or
    the devices. `method` is "flow+polish" (adaptive Tsit5 with local error `rtol` per displacement into the basin, then
    Barzilai-Borwein to `tolerance`), "flow" (only the flow, down to the tolerance), or "polish" (no flow: fast, but it
    may end in another basin than the flow). The hand-over is first tried when the gradient norm has fallen to `switch`
    times its largest, and is granted only in a region of fast Newton convergence with positive curvature; see
    `Ensemble.handovers`. With `flow_precision` "float32" the flow runs in single precision down to the first hand-over
    (on devices without float64 that is all they do, and the host does the rest). `budget` bounds the gradient
    evaluations of one seed. Seeds run in chunks of `chunk` (by default as many as `memory` bytes hold, by default a
    quarter of what the devices report as free, else 512 MiB), split over `devices` (default: all local ones); `workers`
    chunks run at a time (default: one per core where the only device is a CPU). `progress` is called with the size of
    each finished chunk, possibly from another thread.

    Returns an `Ensemble` of NumPy float64 arrays with a `Status` per seed: a bad seed never raises.
    Raises ValueError, naming the argument, for arguments out of range.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> ensemble = nct.solve(model, seeds=4, key=0)
    >>> ensemble.counts()
    {'converged': 4, 'stalled': 0, 'budget_spent': 0, 'diverged': 0}
    """
    numbers, root = as_seeds(seeds), as_key(key)
    if flow_precision not in ("float64", "float32"):
        raise ValueError(f"flow_precision: expected 'float64' or 'float32', got {flow_precision!r}")
    if flow_precision == "float32" and method == "flow":
        raise ValueError("flow_precision: float32 needs a polish in float64, got method 'flow'")
    if method not in ("flow+polish", "flow", "polish"):
        raise ValueError(f"method: expected 'flow+polish', 'flow' or 'polish', got {method!r}")
    for name, number in (("tolerance", tolerance), ("rtol", rtol), ("switch", switch), ("scale", scale)):
        if not (np.isfinite(number) and number >= 0 and (number > 0 or name == "scale")):
            raise ValueError(f"{name}: expected a finite positive number, got {number}")
    if budget < 1:
        raise ValueError(f"budget: expected at least 1 gradient evaluation, got {budget}")
    for name, number in (("chunk", chunk), ("workers", workers), ("memory", memory)):
        if number is not None and number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}")

    used = tuple(devices) if devices is not None else tuple(jax.local_devices())
    single = flow_precision == "float32" and method != "polish"
    double = tuple(d for d in used if d.platform in DOUBLE_PLATFORMS) or (jax.devices("cpu")[0],)
    if double != used and not single and method != "polish":
        raise ValueError(f"flow_precision: {used[0].platform} has no float64; ask for flow_precision='float32'")
    threads = workers if workers is not None else _default_workers(used)
    share = -(-len(numbers) // threads)
    bytes_each = (memory or memory_budget(used)) // threads
    width = chunk if chunk is not None else min(default_chunk(problem, bytes_each, used[0].platform), share)
    several = np.lcm(len(used), len(double))
    width = int(-(-width // several) * several)
    settings = Settings(
        tolerance=jnp.asarray(tolerance, jnp.float64),
        rtol=jnp.asarray(rtol, jnp.float64),
        switch=jnp.asarray(switch, jnp.float64),
        scale=jnp.asarray(scale, jnp.float64),
        budget=jnp.asarray(budget),
        flow=jnp.asarray(method != "polish"),
        polish=jnp.asarray(method != "flow"),
    )

    @float64
    def run(begin: int) -> Record:
        block = numbers[begin : begin + width]
        padded = np.resize(block, width)
        live = np.arange(width) < len(block)
        begun = None
        with jax.default_device(double[0]):  # a device asked for, or the host, need not be JAX's own choice
            if single:
                points = np.asarray(starts(problem, root, jnp.asarray(padded), settings.scale))
                begun = jax.tree.map(jnp.asarray, flow_in_single(problem, points, live, settings, used))
            records = solve_chunk(problem, root, Chunk(jnp.asarray(padded), jnp.asarray(live), begun), settings, double)
        part = jax.tree.map(lambda x: np.asarray(x)[: len(block)], records)
        if progress is not None:
            progress(len(block))
        return part

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(run, range(0, len(numbers), width)))
    return gather_ensemble(problem, numbers, jax.tree.map(lambda *xs: np.concatenate(xs), *parts), tolerance)


_STATUS = {DONE: Status.CONVERGED, STUCK: Status.STALLED, SPENT: Status.BUDGET_SPENT, LOST: Status.DIVERGED}


def gather_ensemble(problem: Problem, numbers: np.ndarray, records: Record, tolerance: float) -> Ensemble:
    """The records of finished seeds as an `Ensemble`."""
    status = np.full(len(numbers), int(Status.STALLED), dtype=np.int8)
    for phase, code in _STATUS.items():
        status[records.phase == phase] = code
    params = unravel(problem, records.point)
    return Ensemble(
        seeds=numbers,
        value=np.asarray(records.value),
        grad_norm=np.asarray(records.grad_norm),
        status=status,
        params=params,
        steps=np.asarray(records.steps),
        flow_time=np.asarray(records.time),
        handovers=np.asarray(records.attempts),
        peak_grad_norm=np.asarray(records.peak),
        tolerance=tolerance,
    )


__all__ = ["Method", "as_key", "as_seeds", "default_chunk", "solve"]
