"""The critical points of many spherical spin glasses, by index, against the exact means: a table.

Run as ``python -m proofs_numeric.glasses.counts --size 10 --degree 3 --disorders 1000``.
"""

import argparse
import io
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import write_atomically
from proofs_numeric.glasses.census import EQUAL, GlassCensus, newton_ends

MATRICES = 200_000
"""Matrices of the sampled ensemble."""
BATCHES = 16
"""The most batches of starts of a disorder (conventional; what is open then is told)."""
EACH = 10
"""Disorders between two writings of the file (conventional)."""


def sampled_means(size: int, degree: int, matrices: int = MATRICES, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact mean numbers by index from sampled matrices, and their standard errors."""
    rng, weights = np.random.default_rng(key), []
    for _ in range(-(-matrices // 10_000)):
        drawn = rng.normal(size=(10_000, size, size))
        values = np.linalg.eigvalsh((drawn + np.swapaxes(drawn, 1, 2)) / (2.0 * math.sqrt(size)))
        weights.append(np.exp(-size * (degree - 2.0) / (2.0 * degree) * values**2))
    found = 2.0 * math.sqrt(2.0 / degree) * (degree - 1.0) ** (0.5 * size) * np.concatenate(weights)
    return found.mean(axis=0), found.std(axis=0) / math.sqrt(len(found))


def counted(size: int, degree: int, disorders: int, starts: int, key: int = 0, file: Path | None = None) -> np.ndarray:
    """Return the numbers by index of every disorder, and last whether it is doubtful: disorders x (N + 1).

    With a file the disorders that stand in it are not counted again.
    """
    census = GlassCensus(blocks=1, block=1, size=size, degree=degree, starts=starts, level=jnp.zeros(()))
    ends = jax.jit(lambda couplings, begun: newton_ends(census.glass(couplings), begun, starts))
    told, rows = f"size {size}, degree {degree}, starts {starts}, key {key}", []
    if file is not None and file.exists():
        with np.load(file) as kept:
            if str(kept["told"]) != told:
                raise ValueError(f"file: expected one of {told}, got one of {kept['told']}")
            rows = list(kept["rows"])
    for number, one in enumerate(jax.random.split(jax.random.key(key), disorders)[len(rows) :], len(rows) + 1):
        rows.append(one_disorder(ends, one, size, degree))
        if file is not None and (number % EACH == 0 or number == disorders):
            write_atomically(file, _packed(told, np.array(rows)))
    return np.array(rows[:disorders])


def one_disorder(ends: Callable[..., Any], key: jax.Array, size: int, degree: int) -> np.ndarray:
    """Return the numbers by index of one disorder, and whether it is doubtful.

    Batches of starts are added until every point was met twice and the signs add up to the Euler characteristic.
    """
    couplings, begun = jax.random.split(key)
    points, energies, index, met = np.zeros((0, size)), np.zeros(0), np.zeros(0, int), np.zeros(0, int)
    for batch in range(BATCHES):
        units, values, negative, critical = map(np.asarray, ends(couplings, jax.random.fold_in(begun, batch)))
        units, values, negative = units[critical], values[critical], negative[critical]
        # An end is the first known point, or else the first end before it, that it is the same as.
        both = np.concatenate([points, units])
        first = np.argmax(np.abs(units @ both.T) > 1.0 - EQUAL, axis=1)
        fresh = np.flatnonzero(first == len(points) + np.arange(len(units)))
        places = np.searchsorted(len(points) + fresh, first) + len(points)
        places[first < len(points)] = first[first < len(points)]
        points, energies = np.concatenate([points, units[fresh]]), np.concatenate([energies, values[fresh]])
        index = np.concatenate([index, negative[fresh]])
        met = np.concatenate([met, np.zeros(len(fresh), int)]) + np.bincount(places, minlength=len(points))
        # -u has the same index for even p, and for odd p the complementary one.
        other = size - 1 - index if degree % 2 else index
        numbers = np.bincount(index, minlength=size) + np.bincount(other, minlength=size)
        doubtful = bool(np.any(met < 2)) or numbers @ (-1) ** np.arange(size) != (2 if size % 2 else 0)
        if not doubtful:
            break
    return np.append(numbers, float(doubtful))


def _packed(told: str, rows: np.ndarray) -> bytes:
    """The file's bytes."""
    with io.BytesIO() as packed:
        np.savez(packed, told=told, rows=rows)
        return packed.getvalue()


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
    parser.add_argument(
        "--starts", type=int, default=4096, help="starts in each batch, of which a disorder gets as many as it needs"
    )
    parser.add_argument("--file", type=Path, help="an NPZ file of what is counted, from which a killed run goes on")
    parser.add_argument("--key", type=int, default=0)
    given = parser.parse_args()
    for name, least in (("size", 2), ("degree", 3), ("disorders", 2), ("starts", 1)):
        if getattr(given, name) < least:
            parser.error(f"argument --{name}: expected at least {least}, got {getattr(given, name)}")
    begun = time.perf_counter()
    try:
        with jax.enable_x64(True):
            rows = counted(given.size, given.degree, given.disorders, given.starts, given.key, given.file)
    except (ValueError, OSError) as error:
        parser.error(f"argument --file: {error}")
    took = time.perf_counter() - begun
    for line in lines(rows, *sampled_means(given.size, given.degree)):
        print(line)
    print(
        f"\n{given.disorders} disorders in {took:.0f} s; in {rows[:, -1].mean():.1%} a point was met once after "
        f"{BATCHES} batches, or signs are off."
    )


if __name__ == "__main__":
    main()
