"""The places at which tiles are computed: this process, or the workers of a Dask cluster."""

from collections.abc import Iterator, Sequence
from typing import Any

from nctheory.sweeps._programs import running_code
from nctheory.sweeps._tiles import Tile, compute_tile
from nctheory.sweeps._workers import Outcome, Workers


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
