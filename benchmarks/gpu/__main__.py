"""The engine on whatever device JAX finds: `python benchmarks/gpu`, with no set-up but JAX and the engine's own needs.

Prints one table with the device's name: seeds brought to a gradient norm of 1e-10 and certified per second, with the
flow in float64, with the flow in float32, and without a flow, at growing numbers of seeds; compile time; peak memory.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

NEEDED = ("jax", "equinox", "diffrax", "jaxtyping", "numpy", "scipy", "rich", "matplotlib", "platformdirs")
SIZES = {"small": (4, 8, 5), "middle": (10, 16, 10), "large": (10, 64, 50), "wide": (100, 128, 5)}
ROADS: dict[str, dict[str, Any]] = {
    "float64 flow": {},
    "float32 flow": {"flow_precision": "float32"},
    "polish only": {"method": "polish"},
}
HEADING = ("size", "seeds", "road", "first s", "s", "seeds/s", "certified", "same minimum", "peak MiB")


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(prog="python benchmarks/gpu", description=__doc__)
    top.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["small", "middle"])
    top.add_argument("--seeds", nargs="+", type=int, default=[1_000, 10_000, 100_000], metavar="N")
    top.add_argument("--decay", type=float, default=5e-4)
    return top


def product_rate(dtype: Any, side: int = 4096) -> float:
    """Floating-point operations per second of a large matrix product, never in TF32."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        matrix = jnp.ones((side, side), dtype)
        multiply = jax.jit(lambda x: x @ x)
        multiply(matrix).block_until_ready()
        began = time.perf_counter()
        multiply(matrix).block_until_ready()
        return 2.0 * side**3 / (time.perf_counter() - began)


def peak_memory(device: Any) -> str:
    """Peak memory of the device in MiB, where it tells."""
    stats = device.memory_stats() or {}
    peak = stats.get("peak_bytes_in_use")
    return "-" if peak is None else f"{peak / 2**20:.0f}"


def measure(size: str, seeds: int, road: str, decay: float, device: Any) -> tuple[str, ...]:
    """One row: the first call (with compiling), the second, and what became of its seeds."""
    import numpy as np

    import nctheory as nct

    classes, dim, per_class = SIZES[size]
    problem = nct.unconstrained_features(
        counts=(per_class,) * classes, dim=dim, loss="cross_entropy", weight_decay=(decay, decay), bias=0.0
    )
    seconds = []
    for key in (0, 1):
        began = time.perf_counter()
        outcome = nct.survey(problem, seeds, key, block=min(seeds, 65_536), **ROADS[road])
        seconds.append(time.perf_counter() - began)
    predicted = nct.global_minimum(problem).value
    same = np.isclose(outcome.value, predicted, rtol=1e-12, atol=0.0) & outcome.converged
    return (
        size,
        str(seeds),
        road,
        f"{seconds[0]:.2f}",
        f"{seconds[1]:.2f}",
        f"{seeds / seconds[1]:.0f}",
        f"{np.mean(outcome.certified):.1%}",
        f"{np.mean(same):.1%}",
        peak_memory(device),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 2 where a package is missing or an argument is wrong."""
    arguments = parser().parse_args(argv)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"missing packages: {', '.join(missing)}; pip install {' '.join(missing)}", file=sys.stderr)
        return 2
    if min(arguments.seeds) < 1 or not arguments.decay > 0:
        print("--seeds and --decay: expected numbers above 0", file=sys.stderr)
        return 2
    import jax
    import jax.numpy as jnp

    device = jax.devices()[0]
    print(f"{len(jax.devices())} x {device.device_kind} ({device.platform}), jax {jax.__version__}")
    for dtype in (jnp.float64, jnp.float32):
        print(f"matrix product in {jnp.dtype(dtype).name}: {product_rate(dtype, side=2048) / 1e9:.0f} GFlop/s")
    form = "{:>8} {:>9} {:<13} {:>8} {:>8} {:>9} {:>10} {:>13} {:>9}"
    print(form.format(*HEADING))
    for size in arguments.sizes:
        for seeds in arguments.seeds:
            for road in ROADS:
                print(form.format(*measure(size, seeds, road, arguments.decay, device)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
