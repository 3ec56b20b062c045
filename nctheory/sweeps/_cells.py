"""Any list of cells, solved tile by tile: what a grid and an adaptive refinement have in common."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nctheory._precision import float64
from nctheory.flow import Options, Status
from nctheory.problems import Problem, shape_of
from nctheory.sweeps._programs import Measure, code_version, platform, program_digest
from nctheory.sweeps._store import Store
from nctheory.sweeps._tiles import RESULTS, Tile, compute_tile, fingerprint, nameless
from nctheory.sweeps._workers import over_workers

TAKEN = (*RESULTS, "certified", "seed")
"""Names that neither an axis nor a measure can have."""
TILE = 2048
"""Most solves of a tile, by default."""
_NOT_IDENTITY = ("chunk", "memory", "devices", "workers", "progress")
"""Options that change how a sweep is computed and not what comes out."""


class CellResults(NamedTuple):
    """Arrays cells x seeds by name, and what it took."""

    arrays: dict[str, np.ndarray]
    computed: int
    """Tiles computed."""
    reused: int
    """Solves taken from the folder."""
    damaged: tuple[str, ...]


class CellRun:
    """How cells are to be computed; called with some, it computes those that its folder does not hold.

    Within a `with` statement it keeps the folder to itself from one call to the next, and reads its tiles once. Raises
    ValueError, naming the argument of `sweep`, for bad arguments.
    """

    def __init__(
        self,
        model: Callable[..., Problem],
        numbers: np.ndarray,
        measures: Mapping[str, Measure] | None,
        key: int,
        folder: str | os.PathLike[str] | None,
        tile: int,
        client: Any,
        options: Mapping[str, Any],
    ) -> None:
        self.model, self.numbers, self.measures = model, numbers, dict(measures or {})
        self.key, self.folder, self.tile, self.client, self.options = key, folder, tile, client, dict(options)
        self._programs: dict[Any, str] = {}
        self._held: Store | None = None
        if len(np.unique(numbers)) != len(numbers):
            raise ValueError("seeds: expected different seed numbers, got one twice")
        if isinstance(key, bool) or not isinstance(key, int | np.integer) or key < 0:
            raise ValueError(f"key: expected a whole number of at least 0, got {key!r}")
        if tile < 1:
            raise ValueError(f"tile: expected at least 1 solve, got {tile}")
        for name in self.measures:
            if name in TAKEN:
                raise ValueError(f"measures: the name {name!r} is taken")
        unknown = sorted(set(options) - set(Options._fields) | set(options) & {"progress"})
        if unknown:
            raise ValueError(f"options: expected options of solve, got {', '.join(unknown)}")
        Options(**options).check()

    @property
    def identity(self) -> dict[str, Any]:
        """What all tiles of one folder share."""
        asked = {name: x for name, x in Options(**self.options)._asdict().items() if name not in _NOT_IDENTITY}
        return {
            "format": 2,
            "nctheory": code_version(),
            **platform(),
            "key": int(self.key),
            "measures": sorted(self.measures),
            "options": {name: x.item() if isinstance(x, np.generic) else x for name, x in sorted(asked.items())},
        }

    def __enter__(self) -> "CellRun":
        self._held = None if self.folder is None else Store(self.folder, self.identity).__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._held is not None:
            self._held.__exit__(*error)
        self._held = None

    @float64
    def __call__(
        self, cells: Sequence[Mapping[str, Any]], progress: Callable[[int, int], None] | None = None
    ) -> CellResults:
        """Values, bounds, statuses and measures of every seed of every cell."""
        problems = [nameless(self._built(cell)) for cell in cells]
        forms = [shape_of(problem) for problem in problems]
        for form, problem in zip(forms, problems, strict=True):
            if form not in self._programs:
                self._programs[form] = program_digest(problem, self.measures)
        prints = [fingerprint(problem, self._programs[form]) for form, problem in zip(forms, problems, strict=True)]
        work = _Work(prints, self.numbers, RESULTS + tuple(self.measures))
        computed = 0
        with self if self._held is None else nullcontext():
            store = self._held
            for arrays, held in store.tiles() if store is not None else ():
                work.take(held["cells"], np.asarray(held["seeds"]), arrays)
            tiles = list(work.missing(dict(zip(prints, problems, strict=True)), self.tile))
            if progress is not None:
                progress(0, len(tiles))
            arguments = (int(self.key), self.measures, self.options)
            for done, arrays in over_workers(compute_tile, tiles, arguments, self.client):
                if store is not None:
                    store.add(arrays, {"cells": list(done.cells), "seeds": list(done.seeds)})
                work.take(done.cells, np.asarray(done.seeds), arrays)
                computed += 1
                if progress is not None:
                    progress(computed, len(tiles))
            damaged = tuple(store.damaged) if store is not None else ()
        return CellResults(work.gathered(), computed, work.reused, damaged)

    def _built(self, cell: Mapping[str, Any]) -> Problem:
        problem = self.model(**cell)
        if not isinstance(problem, Problem):
            raise ValueError(f"model: expected a Problem at {dict(cell)}, got {type(problem).__name__}")
        return problem


class _Work:
    """What is known of every cell and seed, and what is missing."""

    def __init__(self, prints: list[str], numbers: np.ndarray, names: Sequence[str]) -> None:
        self.numbers, self.reused = numbers, 0
        self._row: dict[str, list[int]] = {}
        for i, one in enumerate(prints):
            self._row.setdefault(one, []).append(i)
        self._column = {int(seed): j for j, seed in enumerate(numbers)}
        self._have = np.zeros((len(prints), len(numbers)), bool)
        self._arrays = {name: np.full(self._have.shape, np.nan) for name in names}
        self._arrays["steps"] = np.zeros(self._have.shape, np.int64)
        self._arrays["status"] = np.full(self._have.shape, int(Status.STALLED), np.int8)

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
                groups.setdefault((shape_of(problems[one]), absent.tobytes()), []).append(one)
        for (_, mask), cells in groups.items():
            for some in _blocks(self.numbers[np.frombuffer(mask, bool)], tile):
                for block in _blocks(np.asarray(cells), max(1, tile // len(some))):
                    names = block.tolist()
                    yield Tile(tuple(names), tuple(problems[one] for one in names), tuple(some.tolist()))

    def gathered(self) -> dict[str, np.ndarray]:
        """The arrays, cells x seeds, when nothing is missing."""
        assert self._have.all()
        return self._arrays


def _blocks(items: np.ndarray, most: int) -> list[np.ndarray]:
    edges = [*range(0, len(items), most), len(items)]
    return [items[a:b] for a, b in pairwise(edges)]
