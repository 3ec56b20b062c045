"""`python -m benchmarks.measures`: `Moments` and `ReadOut` on many features against NumPy's three products alone.

The products that all collapse metrics need: the Gram matrix of the features, their sums by class, and the logits. Both get
the same batches in memory, float32 as frameworks export them; NumPy's are converted to float64 first, as ours are.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence

import numpy as np

import nctheory as nct


def batches(width: int, classes: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two batches of collapsed features with noise, which stand for all."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(classes, width))
    found = []
    for _ in range(2):
        labels = rng.integers(classes, size=size)
        found.append(((means[labels] + 0.1 * rng.normal(size=(size, width))).astype(np.float32), labels))
    return found


def products(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> None:
    """What NumPy alone needs for the three products of a batch."""
    x = x.astype(np.float64)
    _ = x.T @ x
    _ = np.eye(weights.shape[0])[y].T @ x
    _ = x @ weights.T


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times, their ratio and the memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measures", description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8_192)
    chosen = parser.parse_args(arguments)
    pair = batches(chosen.width, chosen.classes, chosen.batch)
    weights = np.random.default_rng(1).normal(size=(chosen.classes, chosen.width))
    number = -(-chosen.samples // chosen.batch)
    known = nct.Moments(chosen.classes).add(*pair[0])
    products(*pair[0], weights)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    moments, taken = nct.Moments(chosen.classes), {"products": 0.0, "moments": 0.0, "read out": 0.0}
    seen = nct.measures.ReadOut(known, weights)
    for i in range(number):  # in turn, so that both meet the same machine
        x, y = pair[i % 2]
        for name, work in (
            ("products", lambda: products(x, y, weights)),  # noqa: B023
            ("moments", lambda: moments.add(x, y)),  # noqa: B023
            ("read out", lambda: seen.add(x, y)),  # noqa: B023
        ):
            began = time.perf_counter()
            work()
            taken[name] += time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    both = taken["moments"] + taken["read out"]
    print(
        f"{number * chosen.batch} x {chosen.width}, {chosen.classes} classes: three products {taken['products']:.1f} s, "
        f"moments {taken['moments']:.1f} s, read-out {taken['read out']:.1f} s; ratio {both / taken['products']:.2f} "
        f"(moments alone {taken['moments'] / taken['products']:.2f}); memory grew by {grown:.0f} MiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
