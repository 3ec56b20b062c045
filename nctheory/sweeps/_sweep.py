"""`sweep`: a model over a grid of hyperparameters and many seeds, resumable, in one process or over Dask workers."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nctheory.engine import float64, untraced
from nctheory.flow import as_seeds
from nctheory.problems import Problem
from nctheory.sweeps._cells import RESERVED_NAMES, TILE, CellResults, CellRun, IncompleteSweep
from nctheory.sweeps._data import SweepResult
from nctheory.sweeps._grid import Grid, as_grid, check_arguments
from nctheory.sweeps._programs import Measure


@untraced()
@float64
def sweep(
    model: Callable[..., Problem],
    grid: Mapping[str, Sequence[float] | Sequence[int] | np.ndarray],
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
    missing is computed. A damaged file is put aside, reported in `SweepResult.damaged`, and computed again. A folder that
    cannot be written to can be read, where nothing is missing. `client` is a Dask client or the address of its scheduler,
    whose workers then compute the tiles (extra `distributed`), if they run what runs here; by default they are computed here,
    on all local devices. `progress` is called with the numbers of finished tiles and of all.

    Raises ValueError, naming the argument, before anything is computed; `StoreError` (a ValueError) for a folder that is in
    use, cannot be written, or holds a sweep of another identity; `ClusterError` where no scheduler or no
    worker answers, or a worker runs something else; and, when all that can be computed is finished, `IncompleteSweep` for
    tiles that failed or could not be kept.

    >>> import jax.numpy as jnp, nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))
    >>> found = nct.sweep(model, {"decay": [0.1, 0.2]}, measures={"norm": lambda p, x: jnp.sum(x.weights[0] ** 2)}, seeds=3)
    >>> found.arrays["norm"].shape, bool(found.certified.all())
    ((2, 3), True)
    """
    axes, numbers = as_grid(grid), as_seeds(seeds)
    return over_grid(CellRun(model, numbers, measures, key, folder, tile, client, options), axes, progress)


def over_grid(run: CellRun, axes: Grid, progress: Callable[[int, int], None] | None) -> SweepResult:
    """The cells of a grid; ValueError for an axis whose name is taken, or is none of the model's arguments."""
    for name in axes.names:
        if name in RESERVED_NAMES or name in run.measures:
            raise ValueError(f"grid: the name {name!r} is taken, by a result or a measure")
    check_arguments(run.model, axes)

    def shaped(cells: CellResults) -> SweepResult:
        # The cells are in the order of the grid, the last axis fastest, and seeds come after all axes.
        shape = (*axes.shape, len(run.numbers))
        arrays = {name: x.reshape(shape) for name, x in cells.arrays.items()}
        return SweepResult(axes, run.numbers, arrays, cells.computed, cells.reused, cells.damaged)

    try:
        return shaped(run(axes.cells(), progress))
    except IncompleteSweep as error:
        # What is known of an incomplete sweep is handed over in the grid's shape too.
        error.partial = shaped(error.partial)
        raise
