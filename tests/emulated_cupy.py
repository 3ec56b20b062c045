"""A stand-in for CuPy whose device is the kernels' emulator: what is asked of the real one, on a CPU."""

import contextlib
import types
from importlib.machinery import ModuleSpec

import numpy as np

from nctheory.kernels import Arrays, Numbers

ATTRIBUTES = {"SingleToDoublePrecisionPerfRatio": 2, "MaxSharedMemoryPerBlockOptin": 2**16}


class EmulatedKernel:
    """A kernel as `RawModule.get_function` gives it."""

    def __init__(self, emulator, name, launches):
        self.emulator, self.name, self.launches = emulator, name, launches
        self.max_dynamic_shared_size_bytes = 0

    def __call__(self, grid, block, arguments, shared_mem):
        index, *arrays = arguments[:7]
        rtol, budget, flow, polish = arguments[7:]
        assert [type(x) for x in arguments[7:]] == [np.float64, np.int64, np.int32, np.int32]
        assert grid == (len(index),)
        assert index.dtype == np.int32
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        self.launches.append((self.name, len(index), block, shared_mem))
        numbers = Numbers(float(rtol), int(budget), bool(flow), bool(polish))
        self.emulator.launch(self.name.removesuffix("_seeds"), index, Arrays(*arrays), numbers)


def stand_in(emulator, compiles=None, **attributes):
    """The module; `launches` and `sources` say what was asked of it. `compiles` may raise what a compiler would."""
    module = types.ModuleType("cupy")
    module.__spec__ = ModuleSpec("cupy", None)
    launches, sources = [], []

    class Device(contextlib.nullcontext):
        def __init__(self, ordinal):
            super().__init__()
            self.attributes = ATTRIBUTES | attributes

    class RawModule:
        def __init__(self, code, options, backend):
            assert (options, backend) == (("-std=c++17",), "nvrtc")
            sources.append(code)

        def get_function(self, name):
            if compiles is not None:
                compiles()
            return EmulatedKernel(emulator, name, launches)

    stream = types.SimpleNamespace(synchronize=lambda: None)
    found = {
        "launches": launches,
        "sources": sources,
        "RawModule": RawModule,
        "array": np.array,
        "asarray": np.asarray,
        "asnumpy": np.asarray,
        "cuda": types.SimpleNamespace(Device=Device, get_current_stream=lambda: stream),
    }
    for name, value in found.items():
        setattr(module, name, value)
    return module
