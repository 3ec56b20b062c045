"""Lockstep with compaction: how stages run where filling a lane anew costs more than it saves, that is, on accelerators."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from nctheory.engine import Array, Lane, Record, several_steps

Count = Int[Array, ""]
STAY = 4
"""A visit of a tile ends when at most one in this many of its items is still at work; fuller tiles are then made of them
(measured: from an eighth to a half it makes no difference, without it the polish is a third slower)."""
SMALL = 64
"""An array of at most this many numbers an item is held in one matrix with the other such arrays."""


def run_lockstep(
    records: Record,
    active: Bool[Array, "items"],
    *,
    load: Callable[[Record], Lane],
    advance: Callable[[Lane], Lane],
    finished: Callable[[Lane], Bool[Array, ""]],
    unload: Callable[[Lane], Record],
    lanes: int,
    steps: int = 1,
    settle: Callable[[Lane, Lane], Lane] | None = None,
    rank: Array | None = None,
) -> Record:
    """`run_lanes` in another order: each item is loaded once and keeps its lane for as long as a visit of its tile takes.

    The active items are loaded. Then they are visited in tiles of `lanes` of them: a tile's states are gathered, blocks of
    `steps` are done until no more than one in `STAY` of them is at work, and the states are put back. What is left over is
    packed into fewer tiles, and visited again. Whatever the width and the order, an item does what it would do alone.
    `rank` is not asked for: a tile's items are gathered in their own order.
    """
    items = active.shape[0]
    width = min(lanes, items)
    several = several_steps(advance, steps, settle)
    order, total = _packed(active)
    # Records and lane states are each held on a shelf of their own.
    kept, held = _Shelf(records), _Shelf(jax.eval_shape(jax.vmap(load), records))

    def loading(index: Int[Array, "width"], state: _Shelved) -> _Shelved:
        return _put(state, index, held.pack(jax.vmap(load)(kept.unpack(_take(table, index)))))

    def visit(index: Int[Array, "width"], state: _Shelved) -> _Shelved:
        lane = held.unpack(_take(state, index))

        def at_work(lane: Lane) -> Count:
            return jnp.sum((index < items) & ~jax.vmap(finished)(lane))

        # Blocks of steps go on until a quarter of those at work when the visit began is left.
        least = at_work(lane) // STAY
        return _put(state, index, held.pack(jax.lax.while_loop(lambda one: at_work(one) > least, several, lane)))

    def unloading(index: Int[Array, "width"], table: _Shelved) -> _Shelved:
        return _put(table, index, kept.pack(jax.vmap(unload)(held.unpack(_take(state, index)))))

    def left_over(state: _Shelved) -> tuple[_Shelved, Array, Count]:
        return state, *_packed(active & ~jax.vmap(finished)(held.unpack(state)))

    def visits(carry: tuple) -> tuple:
        state, order, total = carry
        return left_over(_over_tiles(visit, state, order, total, width))

    # Load every active item once, visit tiles until no item is left over, and unload every item once.
    table = kept.pack(records)
    state = _over_tiles(loading, held.blank(items), order, total, width)
    state = jax.lax.while_loop(lambda carry: carry[2] > 0, visits, left_over(state))[0]
    return kept.unpack(_over_tiles(unloading, table, order, total, width))


class _Shelved(NamedTuple):
    """Stacked items on the shelf: all their small arrays in one matrix, their large ones as they are."""

    small: Array
    large: tuple[Array, ...]


class _Shelf:
    """How stacked items are shelved: with a gather and a scatter for each of their small arrays a program would take far
    longer to compile and to run."""

    def __init__(self, items: Any) -> None:
        self.leaves, self.structure = jax.tree.flatten(items)
        self.sizes = [int(np.prod(x.shape[1:])) for x in self.leaves]
        self.small = [size <= SMALL for size in self.sizes]

    def pack(self, items: Any) -> _Shelved:
        """Put stacked items on the shelf."""
        leaves = jax.tree.leaves(items)
        columns = [
            x.reshape(x.shape[0], -1).astype(float) for x, small in zip(leaves, self.small, strict=True) if small
        ]
        return _Shelved(
            jnp.concatenate(columns, axis=1), tuple(x for x, small in zip(leaves, self.small, strict=True) if not small)
        )

    def unpack(self, shelved: _Shelved) -> Any:
        """Take stacked items off the shelf."""
        cuts = np.cumsum([size for size, small in zip(self.sizes, self.small, strict=True) if small])[:-1].tolist()
        columns, large = iter(jnp.split(shelved.small, cuts, axis=1)), iter(shelved.large)
        leaves = [
            next(columns).reshape(shelved.small.shape[0], *like.shape[1:]).astype(like.dtype) if small else next(large)
            for like, small in zip(self.leaves, self.small, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def blank(self, items: int) -> _Shelved:
        """Zeros in the place of this many items."""
        shapes = [(items, *x.shape[1:]) for x in self.leaves]
        zeros = [jnp.zeros(shape, x.dtype) for shape, x in zip(shapes, self.leaves, strict=True)]
        return self.pack(jax.tree.unflatten(self.structure, zeros))


def _over_tiles(
    work: Callable[[Array, Any], Any], rows: Any, order: Int[Array, "items"], total: Count, width: int
) -> Any:
    """`work(index, rows)` for the first `total` of `order`, `width` at a time.

    Beyond the end `index` is out of range: what is taken there is the last row, and what is put there is dropped.
    """
    items = order.shape[0]

    def tile(carry: tuple) -> tuple:
        begin, rows = carry
        place = begin + jnp.arange(width)
        index = jnp.where(place < total, order[jnp.minimum(place, items - 1)], items + place)
        return begin + width, work(index, rows)

    return jax.lax.while_loop(lambda carry: carry[0] < total, tile, (jnp.zeros_like(total), rows))[1]


def _packed(active: Bool[Array, "items"]) -> tuple[Int[Array, "items"], Count]:
    """An order of the items with the active ones first, and their number."""
    return jnp.argsort(~active, stable=True), jnp.sum(active)


def _take(rows: Any, index: Int[Array, "width"]) -> Any:
    """The rows at an increasing index; for an index out of range the first row of the tile is taken, which takes no longer to
    finish than the tile does."""
    first = jnp.minimum(index, index[0])
    here = jnp.where(index < jax.tree.leaves(rows)[0].shape[0], index, first)
    return jax.tree.map(lambda x: x.at[here].get(mode="promise_in_bounds"), rows)


def _put(rows: Any, index: Int[Array, "width"], new: Any) -> Any:
    """The rows with new ones at this index; what is put out of range is dropped."""

    def one(x: Array, y: Array) -> Array:
        return (
            jnp.asarray(x).at[index].set(y.astype(x.dtype), mode="drop", unique_indices=True, indices_are_sorted=True)
        )

    return jax.tree.map(one, rows, new)
