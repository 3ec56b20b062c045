"""Where tiles are computed: here, one after another, or on the workers of a Dask cluster."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any

from nctheory._failures import Failure
from nctheory.sweeps._programs import running_code
from nctheory.sweeps._tiles import Tile, compute_tile

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


class Here(Workers):
    """This process."""

    @property
    def code(self) -> dict[str, str]:
        """What runs here."""
        return running_code()

    def compute(self, tiles: Sequence[Tile], arguments: tuple[Any, ...]) -> Iterator[tuple[Tile, Outcome]]:
        """Each tile with its outcome, in order."""
        for tile in tiles:
            try:
                outcome: Outcome = compute_tile(tile, *arguments)
            except Exception as error:
                outcome = error
            yield tile, outcome


def workers_of(client: Any) -> Workers:
    """The workers of a Dask client or of the scheduler at an address; for None this process."""
    if client is None:
        return Here()
    try:
        from nctheory.sweeps._cluster import Cluster
    except ImportError:
        raise ValueError("client: needs the extra 'distributed' (pip install 'nctheory[distributed]')") from None
    return Cluster(client)
