"""What computes tiles: this process, one after another, or the workers of a Dask cluster."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any

from nctheory.engine import Failure
from nctheory.sweeps._tiles import Tile

Outcome = dict[str, Any] | Exception
"""The arrays of a tile, or why there are none."""


class ClusterError(Failure):
    """A Dask cluster does not answer, has no workers, is lost, or runs other code than this process."""


class Workers(abc.ABC):
    """What computes tiles; used in a `with` statement."""

    @property
    @abc.abstractmethod
    def code(self) -> dict[str, str]:
        """What results depend on beside the tile: see `running_code`."""

    @abc.abstractmethod
    def compute(self, tiles: Sequence[Tile], arguments: tuple[Any, ...]) -> Iterator[tuple[Tile, Outcome]]:
        """Each tile with its outcome, as it is finished; a tile that fails does not keep the others from theirs."""

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        return None
