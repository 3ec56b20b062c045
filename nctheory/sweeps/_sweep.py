"""`sweep`: a model over a grid of hyperparameters and many seeds, resumable, in one process or over Dask workers."""

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from nctheory._precision import float64
from nctheory.flow import Options, Status, as_seeds
from nctheory.problems import Problem
from nctheory.sweeps._data import SweepResult
from nctheory.sweeps._grid import as_grid
from nctheory.sweeps._store import Store
from nctheory.sweeps._tiles import RESULTS, Measure, Tile, compute_tile, fingerprint, nameless
from nctheory.sweeps._workers import over_workers

TILE = 2048
"""Seeds of all cells of a tile together, by default."""
_NOT_IDENTITY = ("chunk", "memory", "devices", "workers", "progress")
"""Options that change how a sweep is computed and not what comes out."""


@float64
def sweep(
    model: Callable[..., Problem],
    grid: Mapping[str, Sequence[float] | np.ndarray],
    *,
    measures: Mapping[str, Measure] | None = None,
    seeds: int | Sequence[int] | np.ndarray = 16,
    key: int = 0,
    folder: str | os.PathLike[str] | None = None,
    tile: int = TILE,
    client: Any = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> SweepResult:
    """Solve, certify and measure `model(**cell)` from many seeds in every cell of a grid.

    `grid` maps the names of the model's arguments to their values; `measures` are order parameters, functions of problem and
    parameters to one number, in JAX. Cells that differ in numbers alone share one compiled program. Every cell runs the same
    `seeds` of the same `key`, so that what a cell gives depends on nothing else in the grid. `options` go to `solve`.

    The work is cut into tiles of at most `tile` solves. With a `folder` each finished tile is a file there, written
    atomically with a checksum: called again after any interruption, or with another grid or more seeds, only what is
    missing is computed. A damaged file is put aside, reported in `SweepResult.damaged`, and computed again. `client` is a
    Dask client or the address of its scheduler, whose workers then compute the tiles (extra `distributed`); by
    default they are computed here, on all local devices. `progress` is called with the numbers of finished tiles and of all.

    Raises ValueError, naming the argument, before anything is computed, and `StoreError` (a ValueError) for a folder that is
    in use, cannot be written, or holds a sweep of another identity; what is finished stays.

    >>> import jax.numpy as jnp, nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))
    >>> found = nct.sweep(model, {"decay": [0.1, 0.2]}, measures={"norm": lambda p, x: jnp.sum(x.weights[0] ** 2)}, seeds=3)
    >>> found.arrays["norm"].shape, bool(found.certified.all())
    ((2, 3), True)
    """
    axes, numbers, named = as_grid(grid), as_seeds(seeds), dict(measures or {})
    if len(np.unique(numbers)) != len(numbers):
        raise ValueError("seeds: expected different seed numbers, got one twice")
    if isinstance(key, bool) or not isinstance(key, int | np.integer) or key < 0:
        raise ValueError(f"key: expected a whole number of at least 0, got {key!r}")
    if tile < 1:
        raise ValueError(f"tile: expected at least 1 solve, got {tile}")
    for name in named:
        if name in (*RESULTS, "certified", "seed", *axes.names):
            raise ValueError(f"measures: the name {name!r} is taken")
    unknown = sorted(set(options) - set(Options._fields) | set(options) & {"progress"})
    if unknown:
        raise ValueError(f"options: expected options of solve, got {', '.join(unknown)}")
    Options(**options).check()
    problems = [_built(model, cell) for cell in axes.cells()]
    prints = [fingerprint(problem) for problem in problems]
    work = _Work(prints, numbers, RESULTS + tuple(named))
    asked = {name: value for name, value in options.items() if name not in _NOT_IDENTITY}
    identity = {
        "format": 1,
        "nctheory": importlib.metadata.version("nctheory"),
        "jax": jax.__version__,
        "key": int(key),
        "measures": sorted(named),
        "options": {name: asked[name] for name in sorted(asked)},
    }
    computed = 0
    with Store(folder, identity) if folder is not None else nullcontext() as store:
        for arrays, held in store.tiles() if store is not None else ():
            work.take(held["cells"], np.asarray(held["seeds"]), arrays)
        tiles = list(work.missing({p: nameless(q) for p, q in zip(prints, problems, strict=True)}, tile))
        if progress is not None:
            progress(0, len(tiles))
        for done, arrays in over_workers(compute_tile, tiles, (int(key), named, options), client):
            if store is not None:
                store.add(arrays, {"cells": list(done.cells), "seeds": list(done.seeds)})
            work.take(done.cells, np.asarray(done.seeds), arrays)
            computed += 1
            if progress is not None:
                progress(computed, len(tiles))
        damaged = tuple(store.damaged) if store is not None else ()
    shape = (*axes.shape, len(numbers))
    return SweepResult(
        axes, numbers, {name: x.reshape(shape) for name, x in work.gathered().items()}, computed, work.reused, damaged
    )


def _built(model: Callable[..., Problem], cell: Mapping[str, Any]) -> Problem:
    problem = model(**cell)
    if not isinstance(problem, Problem):
        raise ValueError(f"model: expected a Problem at {dict(cell)}, got {type(problem).__name__}")
    return problem


class _Work:
    """What is known of every cell and seed, and what is missing."""

    def __init__(self, prints: list[str], numbers: np.ndarray, names: Sequence[str]) -> None:
        self.prints, self.numbers = prints, numbers
        self._row: dict[str, list[int]] = {}
        for i, one in enumerate(prints):
            self._row.setdefault(one, []).append(i)
        self._column = {int(seed): j for j, seed in enumerate(numbers)}
        self._have = np.zeros((len(prints), len(numbers)), bool)
        self._arrays = {name: np.full(self._have.shape, np.nan) for name in names}
        self._arrays |= {name: np.zeros(self._have.shape, np.int64) for name in ("steps",)}
        self._arrays |= {"status": np.full(self._have.shape, int(Status.STALLED), np.int8)}
        self.reused = 0

    def take(self, cells: Sequence[str], seeds: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        """Enter a tile's results where they are wanted."""
        columns = np.array([self._column.get(int(seed), -1) for seed in seeds])
        wanted = columns >= 0
        for position, cell in enumerate(cells):
            for row in self._row.get(cell, ()):
                self._have[row, columns[wanted]] = True
                for name, into in self._arrays.items():
                    into[row, columns[wanted]] = arrays[name][position, wanted]

    def missing(self, problems: Mapping[str, Problem], tile: int) -> Iterator[Tile]:
        """Tiles of all that is missing: cells of one shape with the same seeds missing, `tile` solves at most."""
        self.reused = int(np.sum(self._have))
        groups: dict[Any, list[str]] = {}
        for one, rows in self._row.items():
            absent = ~self._have[rows[0]]
            if absent.any():
                leaves, structure = jax.tree.flatten(problems[one])
                form = tuple((np.shape(x), np.asarray(x).dtype.str) for x in leaves)
                groups.setdefault((structure, form, absent.tobytes()), []).append(one)
        for (_, _, mask), cells in groups.items():
            seeds = self.numbers[np.frombuffer(mask, bool)]
            for some in _blocks(seeds, tile):
                for block in _blocks(np.asarray(cells), max(1, tile // len(some))):
                    yield Tile(tuple(block.tolist()), tuple(problems[c] for c in block.tolist()), tuple(some.tolist()))

    def gathered(self) -> dict[str, np.ndarray]:
        """The arrays, cells x seeds, when nothing is missing."""
        assert self._have.all()
        return self._arrays


def _blocks(items: np.ndarray, most: int) -> list[np.ndarray]:
    edges = [*range(0, len(items), most), len(items)]
    return [items[a:b] for a, b in pairwise(edges)]
