"""The critical points of many spherical spin glasses, by index, against the exact means: a table.

Run as ``python -m proofs_numeric.glasses.counts --size 10 --degree 3 --disorders 1000``.
"""

import argparse
import math
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from proofs_numeric.glasses.census import GlassCensus

MATRICES = 200_000
"""Matrices of the sampled ensemble."""


def sampled_means(size: int, degree: int, matrices: int = MATRICES, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact mean numbers by index from sampled matrices, and their standard errors."""
    rng, weights = np.random.default_rng(key), []
    for _ in range(-(-matrices // 10_000)):
        drawn = rng.normal(size=(10_000, size, size))
        values = np.linalg.eigvalsh((drawn + np.swapaxes(drawn, 1, 2)) / (2.0 * math.sqrt(size)))
        weights.append(np.exp(-size * (degree - 2.0) / (2.0 * degree) * values**2))
    found = 2.0 * math.sqrt(2.0 / degree) * (degree - 1.0) ** (0.5 * size) * np.concatenate(weights)
    return found.mean(axis=0), found.std(axis=0) / math.sqrt(len(found))


def counted(size: int, degree: int, disorders: int, starts: int, key: int = 0) -> np.ndarray:
    """Return the numbers by index of every disorder, and last whether it is doubtful: disorders x (N + 1)."""
    glass = GlassCensus(blocks=1, block=1, size=size, degree=degree, starts=starts, level=jnp.zeros(()))
    trial = jax.jit(lambda one: glass.trial(one))
    rows = [np.asarray(trial(one)) for one in jax.random.split(jax.random.key(key), disorders)]
    return np.array([[*row[:size], row[-1] > 0] for row in rows])


def lines(rows: np.ndarray, exact: np.ndarray, error: np.ndarray) -> Iterator[str]:
    """Yield the table: means by index with their standard errors, and how many of these they are off the exact ones."""
    yield "| index | mean number | standard error | exact | off by standard errors |"
    yield "|---|---|---|---|---|"
    for index, (told, slip) in enumerate(zip(exact, error, strict=True)):
        mean, own = rows[:, index].mean(), rows[:, index].std(ddof=1) / math.sqrt(len(rows))
        yield f"| {index} | {mean:.3f} | {own:.3f} | {told:.3f} | {(mean - told) / math.hypot(own, slip):+.2f} |"
    total = rows[:, :-1].sum(axis=1)
    own = total.std(ddof=1) / math.sqrt(len(rows))
    yield f"| all | {total.mean():.2f} | {own:.2f} | {exact.sum():.2f} | {(total.mean() - exact.sum()) / own:+.2f} |"


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10, help="N")
    parser.add_argument("--degree", type=int, default=3, help="p, at least 3")
    parser.add_argument("--disorders", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=4096, help="starts of each disorder")
    parser.add_argument("--key", type=int, default=0)
    given = parser.parse_args()
    for name, least in (("size", 2), ("degree", 3), ("disorders", 2), ("starts", 1)):
        if getattr(given, name) < least:
            parser.error(f"argument --{name}: expected at least {least}, got {getattr(given, name)}")
    begun = time.perf_counter()
    with jax.enable_x64(True):
        rows = counted(given.size, given.degree, given.disorders, given.starts, given.key)
    took = time.perf_counter() - begun
    for line in lines(rows, *sampled_means(given.size, given.degree)):
        print(line)
    print(
        f"\n{given.disorders} disorders in {took:.0f} s; in {rows[:, -1].mean():.1%} a point was met once, or signs are off."
    )


if __name__ == "__main__":
    main()
