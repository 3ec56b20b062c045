"""The engine on whatever device JAX finds: `python benchmarks/gpu`, with no set-up but JAX and the engine's own needs.

First whether it is right: on the device's own ends, the worst of each road, plain NumPy recomputes the gradient norm and the
value, and holds the value against the closed form. Then how quick: seeds brought to a gradient norm of 1e-10 and certified
per second, with the flow and without, by the kernels of `nctheory.kernels` and by XLA alone, and by XLA with the flow in
float32; the share of the device's own float64 rate on a large product; compile time; peak memory of XLA. What matters
most stands first and is measured first: many seeds, the larger size, the default road. Ends within `--limit` seconds or so;
what there was no time for is said to be left out, and so is why no kernel could run (they need CuPy: `pip install
'nctheory[gpu]'`). `--kernel emulate` tries the kernels' source on a CPU, slowly.
"""

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

NEEDED = ("jax", "equinox", "diffrax", "jaxtyping", "numpy", "scipy", "rich", "matplotlib", "platformdirs")
SIZES = {"small": (4, 8, 5), "middle": (10, 16, 10), "large": (10, 64, 50), "wide": (100, 128, 5)}
ROADS: dict[str, dict[str, Any]] = {
    "flow, kernels": {"kernel": "auto"},
    "polish, kernels": {"kernel": "auto", "method": "polish"},
    "flow, XLA": {"kernel": "off"},
    "polish, XLA": {"kernel": "off", "method": "polish"},
    "float32, XLA": {"kernel": "off", "flow_precision": "float32"},
}
KEPT = 256
"""Ends of each road that are recomputed."""
TOLERANCE, AGREEMENT = 1e-10, 1e-12
RIGHT = ("size", "road", "ends", "largest |grad|", "largest |f/f* - 1|", "converged", "certified", "verdict")
QUICK = ("size", "seeds", "road", "seeds/s", "s", "first s", "gradients", "of peak", "peak MiB")


class Row(NamedTuple):
    """One road at one size and number of seeds, and what it took."""

    size: str
    seeds: int
    road: str
    first: float
    """Seconds of the first call, compiling included."""
    seconds: float
    gradients: float
    """Mean number a seed, a product with the Hessian counting as two."""
    peak: str
    note: str
    """Why the kernels did not run, where they were asked for."""


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(prog="python benchmarks/gpu", description=__doc__)
    top.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["middle", "small"])
    top.add_argument("--seeds", nargs="+", type=int, default=[131_072, 1_024], metavar="N")
    top.add_argument("--decay", type=float, default=5e-4)
    top.add_argument("--kernel", choices=("auto", "off", "emulate"), default="auto")
    top.add_argument("--limit", type=float, default=210.0, metavar="SECONDS")
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


def model(size: str, decay: float) -> Any:
    """Unconstrained features with cross-entropy and a free bias."""
    import nctheory as nct

    classes, dim, per_class = SIZES[size]
    return nct.unconstrained_features(
        counts=(per_class,) * classes, dim=dim, loss="cross_entropy", weight_decay=(decay, decay), bias=0.0
    )


def recomputed(size: str, decay: float, params: Any) -> tuple[Any, Any]:
    """Values and gradient norms at points, by NumPy alone."""
    import numpy as np

    classes, _, per_class = SIZES[size]
    (w,), h, b = params.weights, params.features, params.bias
    y = np.repeat(np.eye(classes), per_class, axis=1)
    z = w @ h + b[:, :, None]
    z = z - z.max(axis=1, keepdims=True)
    total = np.exp(z).sum(axis=1, keepdims=True)
    value = np.mean(np.log(total) - np.sum(y * z, axis=1, keepdims=True), axis=(1, 2))
    value = value + 0.5 * decay * (np.sum(w**2, axis=(1, 2)) + np.sum(h**2, axis=(1, 2)))
    slope = (np.exp(z) / total - y) / y.shape[1]
    parts = slope @ h.transpose(0, 2, 1) + decay * w, w.transpose(0, 2, 1) @ slope + decay * h, slope.sum(axis=2)
    return value, np.sqrt(sum(np.sum(part.reshape(len(w), -1) ** 2, axis=1) for part in parts))


def check(size: str, road: str, decay: float, outcome: Any) -> tuple[str, ...]:
    """One row of the first table: the worst ends of a run recomputed, and held against the closed form."""
    import numpy as np

    import nctheory as nct

    worst = outcome.worst
    value, norm = recomputed(size, decay, worst.params)
    best = nct.global_minimum(model(size, decay)).value
    # Without a flow a seed may stop at the saddle at zero, whose value is log K.
    there = outcome.certified[np.searchsorted(outcome.seeds, worst.seeds)]
    away = np.abs(value[there] / best - 1.0)
    # The engine's tolerance is met to the rounding of the gradient that it met it with.
    right = norm.max() <= TOLERANCE * (1.0 + 1e-3) and (away.size == 0 or away.max() <= AGREEMENT)
    return (
        size,
        road,
        str(len(value)),
        f"{norm.max():.2e}",
        f"{away.max():.1e}" if away.size else "-",
        f"{np.mean(outcome.converged):.2%}",
        f"{np.mean(outcome.certified):.2%}",
        "right" if right and outcome.converged.all() else "WRONG",
    )


def block_of(size: str) -> int:
    """Seeds that the device holds at a time, so that their points take half a GiB at most."""
    classes, dim, per_class = SIZES[size]
    numbers = classes * (dim + 1) + dim * classes * per_class
    return 1 << (2**26 // numbers).bit_length() - 1


def measure(
    size: str, seeds: int, road: str, decay: float, device: Any, kernel: str = "auto"
) -> tuple[Row, tuple[str, ...]]:
    """The first call (with compiling), whose ends are checked, and the second, which is timed."""
    import nctheory as nct

    problem, outcomes, seconds = model(size, decay), [], []
    options = dict(ROADS[road])
    if options["kernel"] == "auto":
        options["kernel"] = kernel
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for key in (0, 1):
            began = time.perf_counter()
            outcomes.append(nct.survey(problem, seeds, key, keep=KEPT, block=min(seeds, block_of(size)), **options))
            seconds.append(time.perf_counter() - began)
    note = next((str(one.message) for one in told if str(one.message).startswith("kernel:")), "")
    row = Row(size, seeds, road, seconds[0], seconds[1], float(outcomes[1].steps.mean()), peak_memory(device), note)
    return row, check(size, road, decay, outcomes[0])


def share_of_peak(row: Row, rate: float) -> float:
    """What the products of a row's gradients come to, as a part of the device's rate on a large product.

    >>> round(share_of_peak(Row("middle", 1000, "", 0.0, 1.0, 100.0, "-", ""), 9.6e10), 6)
    0.1
    """
    classes, dim, per_class = SIZES[row.size]
    return 6.0 * classes * dim * classes * per_class * row.gradients * row.seeds / row.seconds / rate


def expected(rows: Sequence[Row], size: str, seeds: int) -> float:
    """Seconds that a road will take by what the others took: the longest compiling, and twice the slowest run."""
    compiling = max((row.first - row.seconds for row in rows), default=0.0)
    each = max((row.seconds / row.seeds for row in rows if row.size == size), default=0.0)
    return compiling + 2.0 * each * seeds


def shown_row(row: Row, product: float) -> tuple[str, ...]:
    """A row of the second table; `product` is the device's rate on a large product."""
    rate = f"{row.seeds / row.seconds:,.0f}"
    return (row.size, f"{row.seeds:,}", row.road, rate, f"{row.seconds:.2f}", f"{row.first:.1f}",
            f"{row.gradients:.0f}", f"{share_of_peak(row, product):.1%}", row.peak)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 1 where an end is wrong, 2 where a package is missing or an argument is wrong."""
    arguments = parser().parse_args(argv)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"missing packages: {', '.join(missing)}; pip install {' '.join(missing)}", file=sys.stderr)
        return 2
    if min(arguments.seeds) < 1 or not arguments.decay > 0 or not arguments.limit > 0:
        print("--seeds, --decay and --limit: expected numbers above 0", file=sys.stderr)
        return 2
    import jax
    import jax.numpy as jnp

    device, began = jax.devices()[0], time.perf_counter()
    print(f"{len(jax.devices())} x {device.device_kind} ({device.platform}), jax {jax.__version__}", flush=True)
    rates = [product_rate(dtype, side=2048) for dtype in (jnp.float64, jnp.float32)]
    print("matrix product: {:.0f} GFlop/s in float64, {:.0f} in float32".format(*(rate / 1e9 for rate in rates)))
    roads = [road for road in ROADS if arguments.kernel != "off" or "kernels" not in road]
    if arguments.kernel == "auto" and device.platform == "cpu":
        roads = [road for road in roads if "kernels" not in road]
        print("kernels: they are for GPUs; --kernel emulate tries their source here")
    form = "{:>8} {:<15} {:>6} {:>15} {:>19} {:>10} {:>10} {:>8}"
    print("\nthe worst ends of each road, recomputed\n" + form.format(*RIGHT), flush=True)
    rows, wrong, left_out = [], False, []
    most = max(arguments.seeds)
    # The most telling first: what time is left for is decided as it goes.
    jobs = [(size, most, road) for road in roads for size in arguments.sizes]
    jobs += [
        (size, seeds, road) for seeds in sorted(arguments.seeds)[-2::-1] for size in arguments.sizes for road in roads
    ]
    for size, seeds, road in jobs:
        if time.perf_counter() - began + expected(rows, size, seeds) > arguments.limit:
            left_out.append(f"{size} {road} {seeds:,}")
            continue
        row, checked = measure(size, seeds, road, arguments.decay, device, arguments.kernel)
        rows.append(row)
        wrong |= checked[-1] != "right"
        print(form.format(*checked), flush=True)
    form = "{:>8} {:>9} {:<15} {:>11} {:>8} {:>8} {:>9} {:>8} {:>9}"
    print("\nseeds per second, certificate included\n" + form.format(*QUICK))
    order = {road: index for index, road in enumerate(ROADS)}
    for row in sorted(rows, key=lambda r: (-r.seeds, arguments.sizes.index(r.size), order[r.road])):
        print(form.format(*shown_row(row, rates[0])))
    for note in sorted({row.note for row in rows} - {""}):
        print(note)
    if left_out:
        print(f"no time was left for: {', '.join(left_out)} (--limit)")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
