"""Where tiles are computed: here, one after another, or on the workers of a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from nctheory.sweeps._tiles import Tile

AHEAD = 4
"""Tiles that are handed to the cluster for each worker, so that none waits and results do not pile up."""


def over_workers(
    compute: Callable[..., dict[str, Any]], tiles: Sequence[Tile], arguments: tuple[Any, ...], client: Any
) -> Iterator[tuple[Tile, dict[str, Any]]]:
    """Each tile with its arrays, as it is finished."""
    if client is None:
        for tile in tiles:
            yield tile, compute(tile, *arguments)
        return
    yield from _over_cluster(compute, tiles, arguments, client)


def _over_cluster(
    compute: Callable[..., dict[str, Any]], tiles: Sequence[Tile], arguments: tuple[Any, ...], client: Any
) -> Iterator[tuple[Tile, dict[str, Any]]]:
    """The same over a cluster, which retries the tiles of a worker that is lost."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ValueError("client: needs the extra 'distributed' (pip install 'nctheory[distributed]')") from None
    own = not isinstance(client, Client)
    cluster = Client(client) if own else client
    try:
        waiting, pending = list(reversed(range(len(tiles)))), {}

        def hand_out() -> Any:
            number = waiting.pop()
            tile = tiles[number]._replace(problems=jax.tree.map(np.asarray, tiles[number].problems))
            future = cluster.submit(compute, tile, *arguments, pure=False)
            pending[future.key] = number
            return future

        several = AHEAD * max(1, len(cluster.scheduler_info(n_workers=-1)["workers"]))
        running = as_completed([hand_out() for _ in range(min(several, len(tiles)))])
        for future in running:
            yield tiles[pending.pop(future.key)], future.result()
            if waiting:
                running.add(hand_out())
    finally:
        if own:
            cluster.close()
