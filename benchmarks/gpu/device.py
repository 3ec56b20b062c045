"""The device as the benchmark finds it: what it is, and the rates that the shares of a row are taken of."""

import importlib.metadata
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

ROUNDS, IN_A_ROW = 3, 4
"""The best of a few rounds counts, each of a few programs in a row, so that what a launch takes does not show."""
SIDE = {"cpu": 1024}
LARGE_SIDE = 8192
"""The side of the product on a CPU and elsewhere: a GPU does it in some twenty milliseconds."""
COPIED = {"cpu": 2**22}
MOST_COPIED = 2**28
"""The numbers of the copy; elsewhere than on a CPU an eighth of the memory at the most."""


class Peaks(NamedTuple):
    """What a device does at its best, measured in the same run as everything else."""

    float64: float
    """Floating-point operations per second of a large product in float64."""
    float32: float
    """The same in float32, never in TF32."""
    copied: float
    """Bytes per second, read and written, of a large copy."""


def _best(work: Any, start: Any) -> float:
    """Seconds of one of the programs in a row."""
    found = float("inf")
    x = work(start).block_until_ready()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(IN_A_ROW):
            x = work(x)
        x.block_until_ready()
        found = min(found, (time.perf_counter() - began) / IN_A_ROW)
    return found


def product_rate(dtype: Any, side: int) -> float:
    """Floating-point operations per second of a product of two matrices, on JAX's first device."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        matrix = jnp.ones((side, side), dtype)
        return 2.0 * side**3 / _best(jax.jit(lambda x: (x @ x) / side), matrix)


def copy_rate(numbers: int) -> float:
    """Bytes per second, read and written, of a pass over so many numbers in float64."""
    with jax.enable_x64(True):
        return 2.0 * 8.0 * numbers / _best(jax.jit(lambda x: x + 1.0), jnp.ones(numbers, jnp.float64))


def peaks(device: Any, *, side: int | None = None, numbers: int | None = None) -> Peaks:
    """The peaks of a device, by a large product and a large copy."""
    side = side or SIDE.get(device.platform, LARGE_SIDE)
    limit = (device.memory_stats() or {}).get("bytes_limit", 8 * 8 * MOST_COPIED)
    numbers = numbers or COPIED.get(device.platform, min(MOST_COPIED, int(limit) // 64))
    with jax.default_device(device):
        return Peaks(product_rate(jnp.float64, side), product_rate(jnp.float32, side), copy_rate(numbers))


def peak_memory(devices: tuple[Any, ...]) -> float | None:
    """The largest peak of memory that XLA has held on one of the devices so far, in MiB, where they tell."""
    found = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in devices]
    told = [one for one in found if one is not None]
    return max(told) / 2**20 if told else None


def described(devices: tuple[Any, ...]) -> str:
    """The devices and the versions of what drives them, in a line."""
    versions = [f"jax {jax.__version__}"]
    for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform}), {', '.join(versions)}"
