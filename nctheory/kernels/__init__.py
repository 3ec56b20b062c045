"""The kernels room holds programs written by hand for a few families of problems on CUDA devices.

A kernel does one stage of a solve (flow, stabilised flow, Newton's tests, polish) for one seed a thread block, whose whole
state stays on the chip. Its source is C++ in `cuda/`, completed for the exact shape of a problem (`Shape`, `Plan`) and the
constants of the solver, which the caller gives, so that each of them stands in one place. `on_gpu` compiles it at first use
with NVRTC, by CuPy, which the extra `nctheory[gpu]` installs and which is imported nowhere else; `emulated` compiles the same
source for the CPU, with fibers in the place of threads, so that what a GPU would do is tested where there is none. What keeps
a kernel from running is told by `KernelUnavailable`. The room knows neither problems nor solvers: `nctheory.flow` decides when
to ask it.
"""

from nctheory.kernels._emulated import emulated
from nctheory.kernels._gpu import on_gpu
from nctheory.kernels._plan import MAX_LAYERS, KernelUnavailable, Plan, Shape, plan_of
from nctheory.kernels._source import KERNELS, Arrays, Kernels, Numbers, source

__all__ = [
    "KERNELS",
    "MAX_LAYERS",
    "Arrays",
    "KernelUnavailable",
    "Kernels",
    "Numbers",
    "Plan",
    "Shape",
    "emulated",
    "on_gpu",
    "plan_of",
    "source",
]
