"""The kernel road: a solve whose stages are kernels, and whose ends XLA looks at once more; else the road of XLA alone."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import EPS, Array, fast_compile, float64, rounded_up
from nctheory.flow._backend import family_objective
from nctheory.flow._program import Chunk, begun, solve_chunk
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import ROUND, Stage
from nctheory.kernels import Arrays, Kernels, KernelUnavailable, Numbers, emulated, on_gpu
from nctheory.problems import Family, size

Kernel = Literal["auto", "off", "emulate"]
MAX_DEPARTURE = 1e-2
"""An end's recomputed gradient norm departs from the kernel's by at most this part of the tolerance, and rounding."""
ROUNDINGS = 1e3
"""The rounding errors allowed to recomputed values and gradients, in units of eps times the largest gradient norm and of eps
times the root of the number of parameters times the value, or the unit of values (conventional: far more than rounding ever
makes, far less than any mistake would)."""


def check_kernel(kernel: str) -> None:
    """Raise ValueError for a choice that there is not."""
    if kernel not in ("auto", "off", "emulate"):
        raise ValueError(f"kernel: expected 'auto', 'off' or 'emulate', got {kernel!r}")


def solve_by_road(
    family: Family,
    key: PRNGKeyArray,
    chunk: Chunk,
    settings: Settings,
    devices: tuple[Any, ...],
    platform: str | None = None,
    *,
    light: bool = False,
    kernel: str = "auto",
) -> Record:
    """`solve_chunk`, by kernels where the problem and the devices have them.

    With "auto" they are asked on CUDA devices only. What keeps them from working is told by a RuntimeWarning, and XLA does the
    work. "emulate" runs them on the CPU, slowly, to try them.
    """
    by_xla = partial(solve_chunk, devices=devices, platform=platform, light=light)
    try:
        kernels = _kernels_of(family, devices, kernel)
        if not kernels:
            return by_xla(family, key, chunk, settings)
        records = _by_kernels(family, key, chunk, settings, kernels, devices)
    except KernelUnavailable as reason:
        warnings.warn(f"kernel: the road of XLA is taken, for {reason}", RuntimeWarning, stacklevel=2)
        return by_xla(family, key, chunk, settings)
    return _looked_at_again(family, key, chunk, settings, records, by_xla, light)


def _kernels_of(family: Family, devices: tuple[Any, ...], kernel: str) -> list[Kernels]:
    """The kernels of a problem on every device; none where the road is not asked for, or the problem has none."""
    found: list[Kernels] = []
    if kernel == "off" or (kernel == "auto" and devices[0].platform not in ("gpu", "cuda")):
        return found
    from nctheory.flow import _kernel_tables as tables  # here: the road of XLA waits for none of it

    shape = tables.kernel_shape(family.template)
    if shape is None:
        return found
    if kernel == "emulate":
        return [emulated(shape, tables.constants(), tables.tables())]
    for device in devices:
        ordinal = getattr(device, "local_hardware_id", None)
        found.append(on_gpu(shape, tables.constants(), tables.tables(), device.id if ordinal is None else ordinal))
    return found


def _by_kernels(
    family: Family,
    key: PRNGKeyArray,
    chunk: Chunk,
    settings: Settings,
    kernels: Sequence[Kernels],
    devices: tuple[Any, ...],
) -> Record:
    """The records of a chunk at their ends, an equal part of its seeds on every device."""
    from nctheory.flow import _kernel_tables as tables
    from nctheory.flow._ode import STABILISED

    records = chunk.standing
    if records is None:
        records = begun(family, key, chunk.seeds, chunk.context, settings)
    rows, member = tables.members(family, np.asarray(chunk.context))
    table = tables.packed(records, jnp.asarray(member))
    shared = rows, tables.directions(size(family.template))
    numbers = Numbers(float(settings.rtol), int(settings.budget), bool(settings.flow), bool(settings.polish))
    stiff = numbers._replace(rtol=float(STABILISED.tolerance(settings.rtol)))
    live, parts = np.asarray(chunk.live), len(kernels)
    cuts = [len(live) * i // parts for i in range(parts + 1)]

    @float64
    def one_part(place: int) -> Arrays:
        some = slice(cuts[place], cuts[place + 1])
        here = kernels[place]
        # An equal part goes to every device, where its kernels find it.
        part = table if parts == 1 else jax.device_put(tuple(x[some] for x in table), devices[place])
        points, anchors, reals, counts = part
        arrays = here.put(Arrays(points, anchors, reals, counts, *shared))
        return here.take(run_stages(here, arrays, live[some], numbers, stiff))

    if parts == 1:
        return tables.unpacked(records, one_part(0))
    with ThreadPoolExecutor(parts) as pool:
        found = list(pool.map(one_part, range(parts)))
    points, anchors, reals, counts = (
        jnp.concatenate([jax.device_put(x, devices[0]) for x in column])
        for column in list(zip(*found, strict=True))[:4]
    )
    return tables.unpacked(records, Arrays(points, anchors, reals, counts, *shared))


def run_stages(kernels: Kernels, arrays: Arrays, live: np.ndarray, numbers: Numbers, stiff: Numbers) -> Arrays:
    """Rounds over the stages, as `solve_chunk` has them, until no live seed is at work.

    `stiff` are the numbers of the stabilised method, whose tolerance is another.
    """
    stages = kernels.stages(arrays)
    while np.any(live & (stages <= Stage.CONFIRM_FLOW)):
        for name, served in ROUND:
            index = np.flatnonzero(live & np.isin(stages, served))
            if index.size:
                kernels.launch(name, index, arrays, stiff if name == "stiff" else numbers)
                stages = kernels.stages(arrays)
    return arrays


@fast_compile
def _recomputed(family: Family, points: Array, contexts: Array) -> tuple[Array, Array]:
    """The values and the gradient norms at points."""
    values, slopes = jax.vmap(family_objective(family))(points, contexts)
    return jnp.asarray(values), jnp.linalg.norm(slopes, axis=1)


def _looked_at_again(
    family: Family, key: PRNGKeyArray, chunk: Chunk, settings: Settings, records: Record, by_xla: Any, light: bool
) -> Record:
    """The records, of which XLA has recomputed every value and gradient norm; where one is another, XLA solves the seed."""
    values, norms = (np.asarray(x) for x in _recomputed(family, jnp.asarray(records.point), chunk.context, light=light))
    wrong = np.asarray(chunk.live) & departures(records, values, norms, float(settings.tolerance))
    if not wrong.any():
        return jax.tree.map(jnp.asarray, records)
    warnings.warn(
        f"kernel: {np.sum(wrong)} of {np.sum(chunk.live)} ends are not what XLA computes there; it solves these seeds anew",
        RuntimeWarning,
        stacklevel=3,
    )
    index = np.flatnonzero(wrong)
    padded = np.resize(index, rounded_up(len(index)))
    standing = None if chunk.standing is None else jax.tree.map(lambda x: x[padded], chunk.standing)
    some = Chunk(chunk.seeds[padded], jnp.arange(len(padded)) < len(index), chunk.context[padded], standing)
    again = by_xla(family, key, some, settings)
    return jax.tree.map(lambda x, new: jnp.asarray(x).at[index].set(new[: len(index)]), records, again)


def departures(records: Record, values: np.ndarray, norms: np.ndarray, tolerance: float) -> np.ndarray:
    """Which finite ends have another value or gradient norm than their records say; `tolerance` is that of the settings."""
    numbers = np.shape(records.point)[1]
    stage, value, norm, peak, own, length = (
        np.asarray(getattr(records, name)) for name in ("stage", "value", "grad_norm", "peak", "tolerance", "length")
    )
    unit = np.maximum(np.abs(value), own / tolerance * length)
    with np.errstate(invalid="ignore"):  # two infinities are not near each other
        near = np.abs(values - value) <= ROUNDINGS * EPS * numbers**0.5 * unit
        near &= np.abs(norms - norm) <= MAX_DEPARTURE * own + ROUNDINGS * EPS * np.maximum(peak, norm)
    return (stage != Stage.NOT_FINITE) & ~near
