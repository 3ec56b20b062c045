"""Many problems and very many seeds: streamed statistics, and resumable sweeps over grids of hyperparameters.

A sweep solves, certifies and measures every seed in every cell of a grid. The work is cut into tiles, blocks of cells of one
shape times blocks of seeds, each computed at one go, here or on the workers of a Dask cluster. A folder keeps each finished
tile as a file with a checksum, named by a digest of what was computed: the numbers of the problems, the seeds, the options and
the programs themselves. So a tile that is there need not be computed again, whatever else the grid holds, and one that
does not verify is. `survey` is the other road, for one problem and more seeds than memory holds: it keeps numbers of
every seed, and the points of the worst ones alone.
"""

from nctheory.sweeps._cells import TILE, CellRun, IncompleteSweep
from nctheory.sweeps._data import SweepResult
from nctheory.sweeps._grid import Grid, as_grid
from nctheory.sweeps._places import workers_of
from nctheory.sweeps._programs import Measure, program_digest, running_code
from nctheory.sweeps._store import StoreError
from nctheory.sweeps._survey import Survey, survey
from nctheory.sweeps._sweep import over_grid, sweep
from nctheory.sweeps._tile_file import pack_tile, unpack_tile
from nctheory.sweeps._tiles import fingerprint
from nctheory.sweeps._workers import ClusterError

__all__ = [
    "TILE",
    "CellRun",
    "ClusterError",
    "Grid",
    "IncompleteSweep",
    "Measure",
    "StoreError",
    "Survey",
    "SweepResult",
    "as_grid",
    "fingerprint",
    "over_grid",
    "pack_tile",
    "program_digest",
    "running_code",
    "survey",
    "sweep",
    "unpack_tile",
    "workers_of",
]
