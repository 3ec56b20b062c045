"""Many problems and very many seeds: streamed statistics, and resumable sweeps over grids of hyperparameters."""

from nctheory.sweeps._cells import TILE, CellRun, IncompleteSweep
from nctheory.sweeps._data import SweepResult
from nctheory.sweeps._grid import Grid, as_grid
from nctheory.sweeps._programs import Measure
from nctheory.sweeps._store import StoreError
from nctheory.sweeps._survey import Survey, survey
from nctheory.sweeps._sweep import over_grid, sweep
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
    "over_grid",
    "survey",
    "sweep",
]
