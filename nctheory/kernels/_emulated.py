"""The kernels on a CPU: the same source, compiled by g++ with fibers in the place of threads."""

import ctypes
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from nctheory.engine import whole_file
from nctheory.kernels._plan import KernelUnavailable, Plan, Shape, plan_of
from nctheory.kernels._source import KERNELS, Arrays, Kernels, Numbers, source, text_of

THREADS, WARP = 4, 2
"""The threads of a block, more for large factors, and of a warp: few, because every barrier switches between all threads, and
such that a block has several warps."""
MEMORY = 2**28
"""The shared memory of a block, which is no concern on a CPU."""
FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-w")
ORDERS = ("forward", "backward", "shuffled")
"""The orders in which the threads of a block take their turns."""
_ONE_AT_A_TIME = threading.Lock()
"""The emulator has one set of fibers."""


class _Emulated(Kernels):
    """The kernels of one shape, run on NumPy arrays in the memory of the host."""

    def __init__(self, library: Path, plan: Plan) -> None:
        self.plan, self.order = plan, 0
        self._library = ctypes.CDLL(str(library))
        self._library.shared_bytes.restype = ctypes.c_longlong

    @property
    def shared_bytes(self) -> int:
        """The shared memory of a block, as the compiler has laid it out."""
        return int(self._library.shared_bytes())

    def put(self, arrays: Arrays) -> Arrays:
        """Copies of the arrays."""
        kinds = Arrays(np.float64, np.float64, np.float64, np.int64, np.float64, np.float64)
        return Arrays(*(np.array(x, dtype=kind, order="C") for x, kind in zip(arrays, kinds, strict=True)))

    def stages(self, arrays: Arrays) -> np.ndarray:
        """The stages of all seeds."""
        return arrays.counts[:, 2]

    def launch(self, name: str, index: np.ndarray, arrays: Arrays, numbers: Numbers) -> None:
        """Do one stage for the seeds at these positions; RuntimeError where threads wait at different barriers."""
        index = np.ascontiguousarray(index, np.int32)
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (index, *arrays)]
        settings = (
            ctypes.c_double(numbers.rtol),
            ctypes.c_longlong(numbers.budget),
            int(numbers.flow),
            int(numbers.polish),
        )
        with _ONE_AT_A_TIME:
            ended = self._library.launch(KERNELS.index(name), len(index), self.order, *pointers, *settings)
        if ended:
            raise RuntimeError(f"the threads of a block wait for each other at different barriers of the {name} kernel")

    def take(self, arrays: Arrays) -> Arrays:
        """The arrays as they are."""
        return arrays


def emulated(
    shape: Shape, constants: Mapping[str, int | float], tables: Mapping[str, Any], order: str = "forward"
) -> _Emulated:
    """The kernels of a shape on a CPU, compiled at first use; threads take their turns in one of `ORDERS`.

    Raises ValueError for another order, and KernelUnavailable where there is no g++, or it fails.
    """
    if order not in ORDERS:
        raise ValueError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}")
    plan = plan_of(shape, MEMORY, warp=WARP, threads=max(THREADS, shape.classes * shape.dim // 8))
    kernels = _Emulated(_compiled(source(shape, plan, constants, tables), text_of("emulated.cc")), plan)
    kernels.order = ORDERS.index(order)
    return kernels


@cache
def _compiled(*parts: str) -> Path:
    """The library made of parts of a source, after the emulator's own; it is kept in the user's cache folder."""
    text = "\n".join([*map(text_of, ("emulator.h", "cpu.h")), *parts])
    named = hashlib.sha256(" ".join((*FLAGS, text)).encode()).hexdigest()[:24]
    library = Path(platformdirs.user_cache_dir("nctheory")) / "kernels" / f"{named}.so"
    if library.exists():
        return library
    compiler = shutil.which("g++")
    if compiler is None:
        raise KernelUnavailable("the emulator needs g++, and there is none on the path")
    library.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(library) as temporary:
        command = [compiler, *FLAGS, "-x", "c++", "-", "-o", str(temporary)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KernelUnavailable(f"g++ does not compile the kernels: {_first_error(done.stderr)}")
    return library


def _first_error(said: str) -> str:
    lines: Sequence[str] = (
        [line for line in said.splitlines() if "error" in line] or said.splitlines() or ["no message"]
    )
    return lines[0]
