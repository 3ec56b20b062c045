"""One row: a road at one size, its ends checked, its seeds timed, its operations and bytes counted."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from benchmarks.gpu.device import Peaks, peak_memory
from benchmarks.gpu.ends import SIZES, Checked, block_of, check, model
from nctheory.flow import _kernel_road as road_of_kernels
from nctheory.flow._backend import family_objective
from nctheory.kernels import Arrays, Kernels, Numbers
from nctheory.problems import as_family
from nctheory.problems import size as parameters

ROADS: dict[str, dict[str, Any]] = {
    "flow, kernels": {"kernel": "auto"},
    "polish, kernels": {"kernel": "auto", "method": "polish"},
    "flow, XLA": {"kernel": "off"},
    "polish, XLA": {"kernel": "off", "method": "polish"},
    "float32, XLA": {"kernel": "off", "flow_precision": "float32"},
}
KEPT = 256
"""Ends of each road that are recomputed."""
COUNTED_POINTS = 256
"""The compiler's figures are those of a program for so many gradients."""
RECORD = 8 * 13
"""Bytes of a seed's record: nine numbers and four whole ones."""


class Row(NamedTuple):
    """One road at one size and number of seeds, and what it took."""

    size: str
    seeds: int
    road: str
    devices: int
    checked: Checked
    first: float
    """Seconds of the first call, compiling included."""
    seconds: float
    """Those of the second; NaN where the first one's ends were wrong, and it was not timed."""
    gradients: float
    """Mean number a seed, a product with the Hessian counting as two."""
    flops: float
    """Floating-point operations of all seeds' gradients."""
    moved: float
    """Bytes that they move between the device's memory and its chip, at the least."""
    peak: float | None
    """Peak of XLA's memory in MiB."""
    note: str
    """Why the kernels did not run, where they were asked for."""

    @property
    def rate(self) -> float:
        """Seeds per second."""
        return self.seeds / self.seconds

    def shares(self, peaks: Peaks) -> tuple[float, float]:
        """The parts of the devices' float64 rate and of their memory's bandwidth that are used."""
        at_best = self.seconds * self.devices
        return self.flops / (at_best * peaks.float64), self.moved / (at_best * peaks.copied)


class Watched(Kernels):
    """Kernels that tell `visits` which of them is launched for how many seeds."""

    def __init__(self, inner: Kernels, visits: list[tuple[str, int]]) -> None:
        self.inner, self.visits = inner, visits

    def put(self, arrays: Arrays) -> Arrays:
        """The arrays on the device."""
        return self.inner.put(arrays)

    def stages(self, arrays: Arrays) -> np.ndarray:
        """The stages of all seeds."""
        return self.inner.stages(arrays)

    def launch(self, name: str, index: np.ndarray, arrays: Arrays, numbers: Numbers) -> None:
        """One stage for the seeds at these positions."""
        self.visits.append((name, len(index)))
        self.inner.launch(name, index, arrays, numbers)

    def take(self, arrays: Arrays) -> Arrays:
        """The arrays as JAX's."""
        return self.inner.take(arrays)


@contextmanager
def watching(kind: Any = Watched) -> Iterator[list[tuple[str, int]]]:
    """Within it the visits of seeds by kernels are written down."""
    visits: list[tuple[str, int]] = []
    found = road_of_kernels._kernels_of

    def watched(*arguments: Any) -> list[Kernels]:
        return [kind(one, visits) for one in found(*arguments)]

    with mock.patch.object(road_of_kernels, "_kernels_of", watched):
        yield visits


def counted(size: str, decay: float) -> tuple[float, float]:
    """Floating-point operations, and bytes moved, of one gradient of one seed, as the compiler counts those of its program.

    Where it does not tell, the operations are those of the three products, and of bytes nothing is known.
    """
    family, contexts = as_family([model(size, decay)])
    with jax.enable_x64(True):
        points = jnp.zeros((COUNTED_POINTS, parameters(family.template)))
        context = jnp.asarray(np.repeat(contexts, COUNTED_POINTS, axis=0))
        found: Any = jax.jit(jax.vmap(family_objective(family))).lower(points, context).compile().cost_analysis()
    told: Mapping[str, float] = (found[0] if isinstance(found, list) else found) or {}
    classes, dim, per_class = SIZES[size]
    products = 6.0 * classes * dim * classes * per_class
    of_all = told.get("flops", products * COUNTED_POINTS), told.get("bytes accessed", float("nan"))
    return of_all[0] / COUNTED_POINTS, of_all[1] / COUNTED_POINTS


def bytes_by_kernels(size: str, visits: Sequence[tuple[str, int]]) -> float:
    """Bytes that kernels move at the least: every visit reads a seed's point and record and writes them back.

    >>> bytes_by_kernels("small", [("flow", 2), ("polish", 1)])  # 196 numbers, a record and the seed's place
    10044.0
    """
    classes, dim, per_class = SIZES[size]
    point = 8 * (classes * (dim + 1) + dim * classes * per_class)
    return float(sum(seeds for _, seeds in visits) * (2 * point + 2 * RECORD + 4))


def measure(
    size: str, seeds: int, road: str, decay: float, devices: tuple[Any, ...], kernel: str, unit: tuple[float, float]
) -> Row:
    """The first call (with compiling), whose ends are checked, and if they are right the second, which is timed.

    `unit` are the operations and bytes of one gradient.
    """
    options: dict[str, Any]
    problem, options = model(size, decay), {**ROADS[road], "devices": devices}
    if options["kernel"] == "auto":
        options["kernel"] = kernel
    options |= {"keep": KEPT, "block": min(seeds, block_of(size) * len(devices))}
    with warnings.catch_warnings(record=True) as told, watching() as visits:
        warnings.simplefilter("always")
        began = time.perf_counter()
        outcome = nct.survey(problem, seeds, 0, **options)
        first = time.perf_counter() - began
        checked, seconds = check(size, decay, outcome), float("nan")
        if checked.right:
            visits.clear()
            began = time.perf_counter()
            outcome = nct.survey(problem, seeds, 1, **options)
            seconds = time.perf_counter() - began
    note = next((str(one.message) for one in told if str(one.message).startswith("kernel:")), "")
    gradients = float(outcome.steps.mean())
    moved = bytes_by_kernels(size, visits) if visits else unit[1] * gradients * seeds
    return Row(
        size, seeds, road, len(devices), checked, first, seconds, gradients,
        unit[0] * gradients * seeds, moved, peak_memory(devices), note,
    )  # fmt: skip
