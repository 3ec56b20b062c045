"""The source of the kernels for one shape, and what they are called with."""

import abc
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import shown
from nctheory.kernels._plan import Plan, Shape

KERNELS = ("polish", "flow", "stiff", "newton")
"""The stages that have a kernel, in the emulator's order."""
COMMON = ("block.cuh", "spheres.cuh", "layers.cuh", "chain.cuh", "record.cuh")
PARTS = {
    "polish": ("polish.cu",),
    "flow": ("flow.cu",),
    "stiff": ("stiff.cu",),
    "newton": ("bent.cuh", "hessian.cuh", "newton.cu"),
}
"""What each kernel needs beyond the files in common."""


@shown()
class Arrays(NamedTuple):
    """What the kernels work on, in the memory of their device: NumPy arrays for the emulator, CuPy's on a GPU."""

    points: Any
    """Seeds x P, in place."""
    anchors: Any
    """Seeds x P, in place."""
    reals: Any
    """Seeds x 9, in place: step, time, value, gradient norm, peak, trigger, radius, tolerance, length."""
    counts: Any
    """Seeds x 4, in place: gradients spent, attempts, stage, member."""
    members: Any
    """Members x `Shape.member_numbers`."""
    directions: Any
    """2 x P: the random directions of Newton's tests and of the stabilised method."""


@shown()
class Numbers(NamedTuple):
    """The numbers that steer a call."""

    rtol: float
    budget: int
    flow: bool
    polish: bool


class Kernels(abc.ABC):
    """The kernels of one shape on one device."""

    @abc.abstractmethod
    def put(self, arrays: Arrays) -> Arrays:
        """The arrays, of any kind, as new ones in the memory of the device."""

    @abc.abstractmethod
    def stages(self, arrays: Arrays) -> np.ndarray:
        """The stages of all seeds, once everything launched is done."""

    @abc.abstractmethod
    def launch(self, name: str, index: np.ndarray, arrays: Arrays, numbers: Numbers) -> None:
        """Do one stage for the seeds at these positions, in place."""

    @abc.abstractmethod
    def take(self, arrays: Arrays) -> Arrays:
        """The arrays as ones that JAX takes."""


def source(
    shape: Shape,
    plan: Plan,
    constants: Mapping[str, int | float],
    tables: Mapping[str, Sequence[Sequence[float]] | Sequence[float]],
    kernels: Sequence[str] = KERNELS,
) -> str:
    """The source of some kernels, complete but for what the compiler's own environment defines.

    `constants` and `tables` are the solver's, by the names that they have in the source; whole numbers become `int`.

    >>> text = source(Shape(2, 2, 4, cross_entropy=False, bias=False), Plan(32, 32, 1, 1, 8), {"MEMORY": 8, "EPS": 0.5}, {})
    >>> "constexpr int MEMORY = 8;" in text, "constexpr double EPS = 0x1.0000000000000p-1;" in text
    (True, True)
    """
    own = {
        "K": shape.classes,
        "D": shape.dim,
        "N": shape.columns,
        "LAYERS": len(shape.hidden) + 1,
        "HIDDEN_1": shape.hidden[0] if shape.hidden else shape.classes,
        "HIDDEN_2": shape.hidden[1] if len(shape.hidden) > 1 else shape.classes,
        "BIAS": int(shape.bias),
        "CROSS_ENTROPY": int(shape.cross_entropy),
        "SPHERES": int(bool(shape.spheres)),
        "GROUPS": shape.groups,
        "GIVEN": int(shape.spheres == "fixed"),
        "THREADS": plan.threads,
        "WARP": plan.warp,
        "TILE_K": plan.tile_k,
        "TILE_D": plan.tile_d,
        "SLICES": plan.slices,
        "BLOCKS": plan.blocks,
        "POLISH_BLOCKS": plan.polish_blocks(shape),
        "UNROLLED": plan.unrolled(shape),
        "LIMITLESS": 1e300,
    }
    lines = [f"constexpr {_typed(name, value)};" for name, value in (own | dict(constants)).items()]
    for name, rows in tables.items():
        lines.append(f"__constant__ double {name}{_dimensions(rows)} = {_braced(rows)};")
    files = [*COMMON, *(part for name in kernels for part in PARTS[name])]
    return "\n".join([*lines, *map(text_of, files)])


@cache
def text_of(name: str) -> str:
    """The text of a file among the sources."""
    return resources.files("nctheory.kernels").joinpath("cuda", name).read_text()


def _typed(name: str, value: int | float) -> str:
    whole = isinstance(value, int)
    return f"int {name} = {value}" if whole else f"double {name} = {float(value).hex()}"


def _dimensions(rows: Any) -> str:
    nested = isinstance(rows[0], Sequence)
    return f"[{len(rows)}][{max(map(len, rows))}]" if nested else f"[{len(rows)}]"


def _braced(rows: Any) -> str:
    inner = [_braced(row) if isinstance(row, Sequence) else float(row).hex() for row in rows]
    return "{" + ", ".join(inner) + "}"
