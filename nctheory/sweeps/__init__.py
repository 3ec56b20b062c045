"""Many problems and very many seeds: streamed statistics, and resumable sweeps over grids of hyperparameters."""

from nctheory.sweeps._data import SweepResult
from nctheory.sweeps._grid import Grid
from nctheory.sweeps._store import StoreError
from nctheory.sweeps._survey import Survey, survey
from nctheory.sweeps._sweep import sweep

__all__ = ["Grid", "StoreError", "Survey", "SweepResult", "survey", "sweep"]
