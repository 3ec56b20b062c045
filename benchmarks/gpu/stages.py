"""Where a survey's time goes: seconds by stage, by wall clocks around stages that are waited for.

What is timed is the survey of `nctheory.sweeps` on an accelerator's road, with clocks around its parts. XLA does a whole solve
in one program; here each stage is a program of its own, so that a clock fits between them. Waiting costs something, so the
profile's whole is longer than the survey it is of: `Profile.plain` says how long that takes without clocks.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.gpu.ends import block_of, model
from benchmarks.gpu.rows import KEPT, ROADS, Watched, watching
from nctheory.engine import fast_compile
from nctheory.flow import Options, as_key
from nctheory.flow import _kernel_road as road_of_kernels
from nctheory.flow._backend import backend_of, join_points, split_points
from nctheory.flow._program import Chunk, begun, one_stage
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import ROUND, Stage
from nctheory.kernels import Arrays, Numbers
from nctheory.sweeps import _device_blocks as blocks
from nctheory.sweeps._survey import survey_blocks

STARTS, TRANSFERS, RECOMPUTED, DIAGNOSIS, CERTIFICATES, HOST = (
    "starts", "transfers", "ends recomputed", "diagnosis", "certificates", "host",
)  # fmt: skip
WORK = {"flow": "flow", "stiff": "stabilised flow", "newton": "Newton's tests", "polish": "polish"}
"""What a round's work is called in the table."""


class Profile(NamedTuple):
    """Seconds of a survey by stage, the longest first; what no clock covers is the host's."""

    size: str
    seeds: int
    road: str
    seconds: dict[str, float]
    plain: float
    """Seconds of the same survey without clocks."""

    @property
    def dominant(self) -> str:
        """The stage that takes longest."""
        return max(self.seconds, key=self.seconds.__getitem__)


class Clock:
    """Seconds by name; while an inner name is timed the outer one stands still.

    >>> clock = Clock()
    >>> with clock("outer"), clock("inner"):
    ...     pass
    >>> sorted(clock.seconds)
    ['inner', 'outer']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Within it the seconds go by under this name."""
        self._inner.append(0.0)
        began = time.perf_counter()
        try:
            yield
        finally:
            whole = time.perf_counter() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._inner.pop()
            if self._inner:
                self._inner[-1] += whole

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a clock around it, which stops when its results are there."""

        def timed(*arguments: Any, **options: Any) -> Any:
            with self(name):
                return jax.block_until_ready(function(*arguments, **options))

        return timed


class Timed(Watched):
    """Kernels with a clock around each of their calls."""

    clock: Clock

    def put(self, arrays: Arrays) -> Arrays:
        """The arrays on the device."""
        with self.clock(TRANSFERS):
            return super().put(arrays)

    def stages(self, arrays: Arrays) -> np.ndarray:
        """The stages of all seeds."""
        with self.clock(TRANSFERS):
            return super().stages(arrays)

    def launch(self, name: str, index: np.ndarray, arrays: Arrays, numbers: Numbers) -> None:
        """One stage, until it is done."""
        with self.clock(WORK[name]):
            super().launch(name, index, arrays, numbers)
            self.inner.stages(arrays)

    def take(self, arrays: Arrays) -> Arrays:
        """The arrays as JAX's."""
        with self.clock(TRANSFERS):
            return super().take(arrays)


@partial(fast_compile, static_argnames=("name", "platform"))
def _one_stage(family: Any, records: Record, live: Any, settings: Settings, name: str, platform: str) -> Record:
    """One stage as a program of its own."""
    backend = backend_of(family, live.shape[0], platform)
    if platform == "cpu":
        return one_stage(backend, name, records, live, settings)
    return join_points(one_stage(backend, name, split_points(family, records), live, settings))


def in_stages(
    clock: Clock,
    family: Any,
    key: Any,
    chunk: Chunk,
    settings: Settings,
    devices: tuple[Any, ...],
    platform: str | None = None,
    *,
    light: bool = False,
) -> Record:
    """`solve_chunk` on one device, stage by stage; the records are the same."""
    records = chunk.standing
    if records is None:
        with clock(STARTS):
            records = begun(family, key, chunk.seeds, chunk.context, settings, light=light)
            jax.block_until_ready(records)
    live = np.asarray(chunk.live)
    stage = np.asarray(records.stage)
    while np.any(live & (stage <= Stage.CONFIRM_FLOW)):
        for name, served in ROUND:
            if not np.any(live & np.isin(stage, served)):
                continue
            with clock(WORK[name]):
                records = _one_stage(
                    family, records, chunk.live, settings, name, platform or devices[0].platform, light=light
                )
                stage = np.asarray(records.stage)
    return jax.tree.map(jnp.asarray, records)


@contextlib.contextmanager
def _clocks(clock: Clock) -> Iterator[None]:
    """Within it the parts of a survey on an accelerator's road are timed."""
    kind = type("Clocked", (Timed,), {"clock": clock})
    parts = [
        (road_of_kernels, "begun", STARTS),
        (road_of_kernels, "_recomputed", RECOMPUTED),
        (blocks, "diagnose", DIAGNOSIS),
        (blocks, "certify", CERTIFICATES),
        (blocks, "take_records", TRANSFERS),
    ]
    with contextlib.ExitStack() as stack:
        for module, name, told in parts:
            stack.enter_context(mock.patch.object(module, name, clock.around(told, getattr(module, name))))
        stack.enter_context(mock.patch.object(road_of_kernels, "solve_chunk", partial(in_stages, clock)))
        stack.enter_context(watching(kind))
        yield


def profile(size: str, seeds: int, road: str, decay: float, device: Any, kernel: str = "auto") -> Profile:
    """Seconds by stage of a survey on one device, after a first one of the same programs that compiles them."""
    chosen = {**ROADS[road], "devices": (device,)}
    if chosen["kernel"] == "auto":
        chosen["kernel"] = kernel
    platform = "gpu" if device.platform == "cpu" else None
    numbers, options = np.arange(seeds), Options(**chosen)
    block = min(seeds, block_of(size))

    def survey(key: int) -> float:
        began = time.perf_counter()
        with jax.enable_x64(True):
            survey_blocks(model(size, decay), numbers, as_key(key), KEPT, block, options, platform)
        return time.perf_counter() - began

    with _clocks(Clock()):
        survey(0)
    clock = Clock()
    with _clocks(clock):
        whole = survey(1)
    survey(0)
    plain = survey(1)
    seconds = clock.seconds | {HOST: whole - sum(clock.seconds.values())}
    return Profile(size, seeds, road, dict(sorted(seconds.items(), key=lambda one: -one[1])), plain)
