"""Langevin chains per second on a dense quadratic form, against NumPy side by side and a plain `vmap` with JAX's normals.

All make overdamped steps of the same form from the same starts; beside every time stands how far the variances along the
eigenvectors are held against the exact law of the chain. NumPy draws one block of normals a step (SFC64) for all chains and
multiplies by the matrix, with as many threads as it likes; the plain `vmap` is what one would write with `jax.random.normal`
in float64. `python -m benchmarks.langevin [--chains N] [--steps N] [--dim N]`; the peers make a twentieth of the steps.
"""

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from benchmarks.machine import describe

SIZE = 0.3
"""The step size; curvatures are between 1/2 and 2."""
SHARE = 20
"""The peers make so many times fewer steps."""


def setting(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Curvatures and eigenvectors of the form."""
    rng = np.random.default_rng(0)
    return np.linspace(0.5, 2.0, dim), np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def ours(matrix: np.ndarray, starts: np.ndarray, steps: int) -> np.ndarray:
    """`nct.langevin`."""
    return np.asarray(nct.langevin(nct.problems.quadratic(matrix), starts, steps, SIZE).params)


def with_numpy(matrix: np.ndarray, starts: np.ndarray, steps: int) -> np.ndarray:
    """All chains as one array."""
    rng, x, root = np.random.Generator(np.random.SFC64(0)), starts.copy(), np.sqrt(2 * SIZE)
    for _ in range(steps):
        x += root * rng.standard_normal(x.shape) - SIZE * (x @ matrix)
    return x


@jax.jit
def _plain(matrix: jax.Array, starts: jax.Array, keys: jax.Array, steps: int) -> jax.Array:
    def one(start: jax.Array, key: jax.Array) -> jax.Array:
        def step(i: jax.Array, x: jax.Array) -> jax.Array:
            noise = jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
            return x - SIZE * (matrix @ x) + jnp.sqrt(2 * SIZE) * noise

        return jax.lax.fori_loop(0, steps, step, start)

    return jax.vmap(one)(starts, keys)


def with_jax(matrix: np.ndarray, starts: np.ndarray, steps: int) -> np.ndarray:
    """One `vmap` over all chains."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), len(starts))
        return np.asarray(_plain(jnp.asarray(matrix), jnp.asarray(starts), keys, steps))


PEERS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "ours": ours,
    "NumPy, all chains as one array": with_numpy,
    "plain `vmap`, `jax.random.normal`": with_jax,
}


def deviation(ends: np.ndarray, curvature: np.ndarray, vectors: np.ndarray, steps: int) -> float:
    """The largest distance of a variance from the exact one, in its standard deviations."""
    m = 1 - SIZE * curvature
    told = 2 * SIZE * (1 - m ** (2 * steps)) / (1 - m**2)
    found = np.mean((ends @ vectors) ** 2, axis=0)
    return float(np.max(np.abs(found / told - 1)) / np.sqrt(2 / len(ends)))


def run(chains: int, steps: int, dim: int) -> list[tuple[str, float, float, float, float]]:
    """For each peer: seconds for all steps, ns and processor ns a coordinate and step, and the deviation."""
    curvature, vectors = setting(dim)
    matrix, starts = (vectors * curvature) @ vectors.T, np.zeros((chains, dim))
    rows = []
    for name, peer in PEERS.items():
        made = steps if name == "ours" else max(1, steps // SHARE)
        peer(matrix, starts, 1)  # compiled before the clock runs
        begun, worked = time.perf_counter(), time.process_time()
        ends = peer(matrix, starts, made)
        wall, work = time.perf_counter() - begun, time.process_time() - worked
        each = 1e9 / (made * starts.size)
        rows.append((name, wall * steps / made, wall * each, work * each, deviation(ends, curvature, vectors, made)))
    return rows


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=100)
    asked = parser.parse_args()
    print(describe())
    print("| peer | all steps, s | ns a coordinate and step | processor ns | largest deviation, sigma |")
    print("|---|---|---|---|---|")
    for name, wall, each, work, off in run(asked.chains, asked.steps, asked.dim):
        print(f"| {name} | {wall:.1f} | {each:.2f} | {work:.2f} | {off:.2f} |", flush=True)


if __name__ == "__main__":
    main()
