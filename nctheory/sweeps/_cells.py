"""Any list of cells is solved tile by tile: this is what a grid and an adaptive refinement have in common."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import Failure, described, float64, is_finite, whole_number
from nctheory.flow import Options
from nctheory.problems import Problem, shape_of, without_counts
from nctheory.sweeps._places import workers_of
from nctheory.sweeps._programs import Measure, program_digest
from nctheory.sweeps._store import Store, StoreError
from nctheory.sweeps._tiles import MISSING, RESULTS, Tile, fingerprint

RESERVED_NAMES = (*RESULTS, "certified", "seed")
"""Names that neither an axis nor a measure can have."""
TILE = 2048
"""The largest number of solves of a tile, by default."""
_NOT_IDENTITY = ("chunk", "memory", "devices", "workers", "progress")
"""Options that change how a sweep is computed and not what comes out."""
MAX_DESCRIBED = 3
"""The largest number of failed tiles that a message describes."""


class CellResults(NamedTuple):
    """Arrays cells x seeds by name, and what it took."""

    arrays: dict[str, np.ndarray]
    computed: int
    """Tiles computed."""
    reused: int
    """Solves taken from the folder."""
    damaged: tuple[str, ...]


class IncompleteSweep(Failure):
    """Some tiles failed, or could not be kept, or the cluster was lost; everything else is finished and kept.

    The sweep goes on from there when it is called again with its folder. `partial` holds all that is known, as the result
    would: of what is missing the status is -1 and the numbers are NaN. `failed` says of each failed tile where and why.
    """

    def __init__(self, message: str, partial: Any, failed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.partial = partial
        self.failed = tuple(failed)


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
        self.key, self.folder, self.tile, self.options = key, folder, tile, dict(options)
        self._programs: dict[Any, str] = {}
        self._workers = workers_of(client)
        self._held: Store | None = None
        self._open: ExitStack | None = None
        if len(np.unique(numbers)) != len(numbers):
            raise ValueError("seeds: expected different seed numbers, got one twice")
        whole_number("key", key, least=0)
        if not (is_finite(tile) and tile >= 1):
            raise ValueError(f"tile: expected at least 1 solve, got {tile}")
        for name in self.measures:
            if name in RESERVED_NAMES:
                raise ValueError(f"measures: the name {name!r} is taken")
        unknown = sorted(set(options) - set(Options._fields) | set(options) & {"progress"})
        if unknown:
            raise ValueError(f"options: expected options of solve, got {', '.join(unknown)}")
        Options(**options).check()

    def _identity(self) -> dict[str, Any]:
        """What all tiles of one folder share."""
        # What changes only how a sweep is computed has no part in its identity, so that the same tiles serve.
        asked = {name: x for name, x in Options(**self.options)._asdict().items() if name not in _NOT_IDENTITY}
        return {
            "format": 2,
            **self._workers.code,
            "key": int(self.key),
            "measures": sorted(self.measures),
            "options": {name: x.item() if isinstance(x, np.generic) else x for name, x in sorted(asked.items())},
        }

    def __enter__(self) -> "CellRun":
        # The workers are connected first, because what they run belongs to the identity that the folder is opened with.
        with ExitStack() as stack:
            stack.enter_context(self._workers)
            if self.folder is not None:
                names = RESULTS + tuple(self.measures)
                self._held = stack.enter_context(Store(self.folder, self._identity(), names))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._open is not None
        self._held, opened, self._open = None, self._open, None
        opened.close()

    @float64
    def __call__(
        self, cells: Sequence[Mapping[str, Any]], progress: Callable[[int, int], None] | None = None
    ) -> CellResults:
        """Values, bounds, statuses and measures of every seed of every cell."""
        # Without the class counts, which only theorems read, cells that differ in these alone have one shape.
        problems = [without_counts(self._built(cell)) for cell in cells]
        # Each form of problem is traced once; a cell's fingerprint is a digest of that program and of its own numbers.
        forms = [shape_of(problem) for problem in problems]
        for form, problem in zip(forms, problems, strict=True):
            if form not in self._programs:
                self._programs[form] = program_digest(problem, self.measures)
        prints = [fingerprint(problem, self._programs[form]) for form, problem in zip(forms, problems, strict=True)]
        work = _Work(prints, self.numbers, RESULTS + tuple(self.measures))
        with self if self._open is None else nullcontext():
            store = self._held
            # What the folder holds of these cells and seeds, whatever grid it was computed for.
            for arrays, held in store.tiles() if store is not None else ():
                work.take(held["cells"], np.asarray(held["seeds"], np.int64), arrays)
            # The rest, in tiles; a folder that cannot be written to must hold everything.
            tiles = list(work.missing(dict(zip(prints, problems, strict=True)), self.tile))
            if tiles and store is not None and store.read_only is not None:
                raise StoreError(
                    f"folder: {len(tiles)} tiles are missing in {store.folder}, which cannot be written to: {store.read_only}"
                )
            failed: list[tuple[Tile, Exception]] = []
            stopped: Exception | None = None
            computed = 0
            if progress is not None:
                progress(0, len(tiles))
            try:
                for tile, outcome in self._workers.compute(tiles, (int(self.key), self.measures, self.options)):
                    # A tile that fails keeps none of the others from being computed and kept.
                    if isinstance(outcome, Exception):
                        failed.append((tile, outcome))
                    else:
                        work.take(tile.cells, np.asarray(tile.seeds), outcome)
                        computed += 1
                        if store is not None:
                            store.add(outcome, {"cells": list(tile.cells), "seeds": list(tile.seeds)})
                    if progress is not None:
                        progress(computed + len(failed), len(tiles))
            except (StoreError, Failure) as error:
                stopped = error
            damaged = tuple(store.damaged) if store is not None else ()
        # A failure is raised only now, when all that can be is computed and kept.
        found = CellResults(work.arrays, computed, work.reused, damaged)
        if stopped is not None or failed:
            where = dict(zip(prints, cells, strict=True))
            raise _incomplete(found, len(tiles), failed, stopped, where) from (stopped or failed[0][1])
        assert work.complete
        return found

    def _built(self, cell: Mapping[str, Any]) -> Problem:
        problem = self.model(**cell)
        if not isinstance(problem, Problem):
            raise ValueError(f"model: expected a Problem at {dict(cell)}, got {type(problem).__name__}")
        return problem


class _Work:
    """What is known of every cell and seed, and what is missing."""

    def __init__(self, prints: list[str], numbers: np.ndarray, names: Sequence[str]) -> None:
        self.numbers, self.reused = numbers, 0
        # Cells of the same fingerprint are the same problem: one result fills all their rows.
        self._row: dict[str, list[int]] = {}
        for i, one in enumerate(prints):
            self._row.setdefault(one, []).append(i)
        self._column = {int(seed): j for j, seed in enumerate(numbers)}
        self._have = np.zeros((len(prints), len(numbers)), bool)
        self.arrays = {name: np.full(self._have.shape, np.nan) for name in names}
        self.arrays["steps"] = np.zeros(self._have.shape, np.int64)
        self.arrays["status"] = np.full(self._have.shape, MISSING, np.int8)

    def take(self, cells: Sequence[str], seeds: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        """Enter a tile's results where they are wanted."""
        # A tile of another grid may hold more seeds or cells than are wanted here, or fewer.
        columns = np.array([self._column.get(int(seed), -1) for seed in seeds])
        wanted = columns >= 0
        for position, cell in enumerate(cells):
            for row in self._row.get(cell, ()):
                self._have[row, columns[wanted]] = True
                for name, into in self.arrays.items():
                    into[row, columns[wanted]] = arrays[name][position, wanted]

    def missing(self, problems: Mapping[str, Problem], tile: int) -> Iterator[Tile]:
        """Tiles of all that is missing: cells of one shape with the same seeds missing, `tile` solves at most."""
        self.reused = int(np.sum(self._have))
        # Cells of one shape that lack the same seeds make one group.
        groups: dict[Any, list[str]] = {}
        for one, rows in self._row.items():
            absent = ~self._have[rows[0]]
            if absent.any():
                groups.setdefault((shape_of(problems[one]), absent.tobytes()), []).append(one)
        # A tile is a rectangle of cells and seeds, of one shape, so that one call of one program computes it.
        for (_, mask), cells in groups.items():
            # Seeds are cut first, so that a tile holds as many of one cell's as it can, and then as many cells as fit.
            for some in _blocks(self.numbers[np.frombuffer(mask, bool)], tile):
                for block in _blocks(np.asarray(cells), max(1, tile // len(some))):
                    names = block.tolist()
                    yield Tile(tuple(names), tuple(problems[one] for one in names), tuple(some.tolist()))

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return bool(self._have.all())


def _incomplete(
    partial: CellResults,
    number: int,
    failed: Sequence[tuple[Tile, Exception]],
    stopped: Exception | None,
    where: Mapping[str, Mapping[str, Any]],
) -> IncompleteSweep:
    """What is to be said of tiles that failed, and of what stopped the sweep."""
    lines = []
    for tile, error in failed:
        cell = ", ".join(f"{name} = {value}" for name, value in where[tile.cells[0]].items())
        more = f" and {len(tile.cells) - 1} more cells" if len(tile.cells) > 1 else ""
        lines.append(f"tile of {len(tile.seeds)} seeds at {cell}{more}: {described(error)}")
    more = f"; and {len(lines) - MAX_DESCRIBED} more" if len(lines) > MAX_DESCRIBED else ""
    said = f"{len(failed)} of {number} tiles failed, the others are finished: {'; '.join(lines[:MAX_DESCRIBED])}{more}"
    if stopped is not None:
        others = f", {len(failed)} failed: {lines[0]}" if failed else ""
        said = f"{stopped}; {partial.computed} of {number} tiles were computed{others}"
    return IncompleteSweep(said, partial, lines)


def _blocks(items: np.ndarray, most: int) -> list[np.ndarray]:
    edges = [*range(0, len(items), most), len(items)]
    return [items[a:b] for a, b in pairwise(edges)]
