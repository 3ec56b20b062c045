"""The result of a sweep as labelled arrays, and its files."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nctheory.certificates import gap_closed
from nctheory.engine import check_folder_exists, shown, write_atomically
from nctheory.flow import Status
from nctheory.sweeps._grid import Grid
from nctheory.sweeps._tiles import MISSING

if TYPE_CHECKING:
    import xarray

_UNITS = {
    "value": "objective where the seed ended",
    "lower_bound": "certified lower bound of the global minimum; -inf where there is none",
    "gap_rounding": "rounding error of value - lower_bound",
    "grad_norm": "gradient norm where the seed ended",
    "status": "how the seed ended",
    "steps": "gradient evaluations of the seed",
    "certified": "converged, at the global minimum to a relative gap of 1e-9 and rounding",
}


@shown()
class SweepResult(NamedTuple):
    """What every seed of every cell came to; arrays have one axis for each of the grid's, then seeds."""

    grid: Grid
    seeds: np.ndarray
    arrays: dict[str, np.ndarray]
    """`value`, `lower_bound`, `gap_rounding`, `grad_norm`, `status`, `steps`, and the measures by name."""
    computed: int
    """Tiles computed by this call."""
    reused: int
    """Solves taken from the folder."""
    damaged: tuple[str, ...]
    """Files of the folder that did not verify."""

    @property
    def missing(self) -> np.ndarray:
        """Mask of the seeds that were not computed: some in `IncompleteSweep.partial`, else none."""
        return self.arrays["status"] == MISSING

    @property
    def converged(self) -> np.ndarray:
        """Mask of the converged seeds."""
        return self.arrays["status"] == int(Status.CONVERGED)

    @property
    def certified(self) -> np.ndarray:
        """Mask of the seeds that converged to the global minimum, to a relative gap of 1e-9 and rounding."""
        value, rounding = self.arrays["value"], self.arrays["gap_rounding"]
        # A gap that is not a number, as that of a missing seed, is never closed.
        gap = value - self.arrays["lower_bound"]
        return self.converged & gap_closed(np.where(np.isnan(gap), np.inf, gap), value, rounding)

    def counts(self) -> dict[str, int]:
        """Number of solves by status, and of certified ones."""
        status = self.arrays["status"]
        by_status = {one.name.lower(): int(np.sum(status == int(one))) for one in Status}
        return {**by_status, "certified": int(np.sum(self.certified))}

    def dataset(self) -> "xarray.Dataset":
        """An xarray Dataset: coordinates are the hyperparameters and `seed`; statuses are CF flags (extra `data`)."""
        try:
            import xarray
        except ImportError:
            raise ValueError("dataset: needs the extra 'data' (pip install 'nctheory[data]')") from None
        dims = (*self.grid.names, "seed")
        columns = {**self.arrays, "certified": self.certified}
        coordinates = {**dict(zip(self.grid.names, self.grid.values, strict=True)), "seed": self.seeds}
        data = xarray.Dataset({name: (dims, column) for name, column in columns.items()}, coordinates)
        for name, text in _UNITS.items():
            data[name].attrs["long_name"] = text
        # The statuses carry their names, as the conventions of CF ask, and "missing" only where some seed is.
        flags = {int(status): status.name.lower() for status in Status}
        if self.missing.any():
            flags[MISSING] = "missing"
        data["status"].attrs |= {
            "flag_values": np.array(list(flags), np.int8),
            "flag_meanings": " ".join(flags.values()),
        }
        return data

    def to_netcdf(self, path: str | os.PathLike[str]) -> Path:
        """Write a NetCDF file, whole or not at all; ValueError where its folder does not exist."""
        check_folder_exists(path)
        made = io.BytesIO()  # a disk that fills up is told to Python; the library crashes
        self.dataset().to_netcdf(made, engine="h5netcdf")
        write_atomically(Path(path), made.getvalue())
        return Path(path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write a Parquet file with one row for each seed of each cell, whole or not at all; ValueError as `to_netcdf`."""
        check_folder_exists(path)
        frame = self.dataset().to_dataframe().reset_index()
        write_atomically(Path(path), frame.to_parquet(None, engine="pyarrow", index=False))
        return Path(path)
