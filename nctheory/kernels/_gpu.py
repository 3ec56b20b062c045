"""The kernels on a CUDA device: compiled by NVRTC and launched by CuPy, which is imported nowhere else."""

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax
import numpy as np

from nctheory.kernels._plan import KernelUnavailable, Plan, Shape, plan_of
from nctheory.kernels._source import Arrays, Kernels, Numbers, source

FLAGS = ("-std=c++17",)
"""Never fast-math: a value that is not a number must not pass for one."""
LARGEST_RATIO = 4
"""A device whose float32 is more than this many times as fast as its float64 is left to XLA (conventional: devices for
computing have a ratio of 2, those for pictures 32 or 64)."""
USUAL_MEMORY = 48 * 2**10
"""The bytes of shared memory of a block where a device does not tell: what every CUDA device gives."""
KINDS = Arrays(np.float64, np.float64, np.float64, np.int64, np.float64, np.float64)


class _OnGPU(Kernels):
    """The kernels of one shape on one device, each compiled when it is first launched."""

    def __init__(self, cupy: Any, ordinal: int, shape: Shape, plan: Plan, tables: tuple[Any, Any]) -> None:
        self.cupy, self.ordinal, self.shape, self.plan, self.tables = cupy, ordinal, shape, plan, tables

    def put(self, arrays: Arrays) -> Arrays:
        """Copies of the arrays on the device."""
        with self._at_work("copying the seeds to the GPU"):
            return Arrays(*(self.cupy.array(self._seen(x), kind) for x, kind in zip(arrays, KINDS, strict=True)))

    def stages(self, arrays: Arrays) -> np.ndarray:
        """The stages of all seeds, on the host, once everything launched is done."""
        with self._at_work("running the kernels"):
            return self.cupy.asnumpy(arrays.counts[:, 2])

    def launch(self, name: str, index: np.ndarray, arrays: Arrays, numbers: Numbers) -> None:
        """Start one stage for the seeds at these positions, a thread block each."""
        with self._at_work(f"compiling and launching the {name} kernel"):
            kernel, size = self._kernel(name), self.plan.shared_bytes(self.shape)
            arguments = (
                self.cupy.asarray(index, np.int32),
                *arrays,
                np.float64(numbers.rtol),
                np.int64(numbers.budget),
                np.int32(numbers.flow),
                np.int32(numbers.polish),
            )
            kernel((len(index),), (self.plan.threads,), arguments, shared_mem=size)

    def take(self, arrays: Arrays) -> Arrays:
        """The arrays as JAX's own on the same device, without a copy where that goes."""
        with self._at_work("handing the ends to JAX"):
            self.cupy.cuda.get_current_stream().synchronize()
            try:
                return Arrays(*(jax.dlpack.from_dlpack(x) for x in arrays))
            except (BufferError, TypeError, ValueError):
                return Arrays(*map(self.cupy.asnumpy, arrays))

    def _seen(self, array: Any) -> Any:
        """An array of JAX's as CuPy sees it in place, else what it holds by way of the host."""
        if isinstance(array, jax.Array) and array.devices().pop().platform != "cpu":
            try:
                return self.cupy.from_dlpack(array.block_until_ready())
            except (BufferError, TypeError, ValueError, AttributeError):
                pass
        return np.asarray(array)

    def _kernel(self, name: str) -> Any:
        return _loaded(self.ordinal, self.plan.shared_bytes(self.shape), name, self._text(name))

    def _text(self, name: str) -> str:
        return gpu_source(self.shape, self.plan, *self.tables, name)

    @contextmanager
    def _at_work(self, what: str) -> Iterator[None]:
        """Within it the device is the current one, and whatever fails is told as KernelUnavailable."""
        try:
            with self.cupy.cuda.Device(self.ordinal):
                yield
        except KernelUnavailable:
            raise
        except Exception as error:  # a driver, a compiler or the device's memory: XLA can still do the work
            told = (str(error).strip().splitlines() or ["no message"])[0]
            raise KernelUnavailable(f"{what} failed ({type(error).__name__}: {told})") from error


def gpu_source(
    shape: Shape, plan: Plan, constants: Mapping[str, int | float], tables: Mapping[str, Any], name: str
) -> str:
    """The source of one kernel as NVRTC gets it."""
    shared = (
        "extern __shared__ __align__(16) double shared_memory[]; Shared& s = *reinterpret_cast<Shared*>(shared_memory)"
    )
    return f"#define SHARED(s) {shared}\n" + source(shape, plan, constants, tables, [name])


@cache
def _loaded(ordinal: int, size: int, name: str, text: str) -> Any:
    """A kernel on the current device, which is `ordinal`."""
    kernel = _cupy().RawModule(code=text, options=FLAGS, backend="nvrtc").get_function(f"{name}_seeds")
    kernel.max_dynamic_shared_size_bytes = size
    return kernel


def _cupy() -> Any:
    return importlib.import_module("cupy")


def on_gpu(shape: Shape, constants: Mapping[str, int | float], tables: Mapping[str, Any], ordinal: int) -> _OnGPU:
    """The kernels of a shape on the CUDA device of this number.

    Raises KernelUnavailable, saying why, where CuPy is not installed or finds no such device, where the device is slow in
    float64, and where the shape does not fit its shared memory. Later calls raise it where the driver cannot compile a kernel
    or memory runs out.
    """
    if importlib.util.find_spec("cupy") is None:
        raise KernelUnavailable("CuPy is not installed (pip install 'nctheory[gpu]')")
    try:
        cupy = _cupy()
        attributes = cupy.cuda.Device(ordinal).attributes
    except Exception as error:  # an installation that does not fit the driver raises one of many kinds
        told = (str(error).strip().splitlines() or ["no message"])[0]
        raise KernelUnavailable(f"CuPy does not find the device ({type(error).__name__}: {told})") from error
    ratio = attributes.get("SingleToDoublePrecisionPerfRatio", 1)
    if ratio > LARGEST_RATIO:
        raise KernelUnavailable(f"the device computes in float64 at 1/{ratio} of its speed in float32")
    plan = plan_of(shape, attributes.get("MaxSharedMemoryPerBlockOptin", USUAL_MEMORY))
    return _OnGPU(cupy, ordinal, shape, plan, (constants, tables))
