"""Continuous batching: a window of lanes whose finished items are replaced, so that no seed waits for the slowest."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool, Float

from nctheory.engine._types import Array

Record = Any
"""One item's data, a pytree; for all items it is stacked on a leading axis."""
Lane = Any
"""One item's working state while it occupies a lane, a pytree."""
Runner = Callable[..., Record]
"""`run_lanes`, or `run_lockstep`, with its number of lanes."""


def run_lanes(
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
    rank: Float[Array, "items"] | None = None,
) -> Record:
    """Run `advance` on every active item until it is `finished`, `lanes` items at a time.

    `steps` of them are done before it is asked which items are finished, and `settle(before, after)` then gets the lane before
    and after these steps; together they must change nothing once the item is finished. Items never see each other, so that the
    result does not depend on the number of lanes beyond the last bits of vectorised arithmetic. Inactive items come back
    unchanged. Lanes whose `advance` is a loop wait for the longest: items are taken in the order of `rank`, which is to put
    those side by side that will take equally long, or by default in their own.
    """
    # The queue: the active items first, in their order; `total` of them.
    items = active.shape[0]
    lanes = min(lanes, items)
    # A rank that is no number puts an item first, for only what is inactive may be last.
    key = ~active if rank is None else jnp.where(active, jnp.where(jnp.isfinite(rank), rank, -jnp.inf), jnp.inf)
    order = jnp.argsort(key, stable=True)
    total = jnp.sum(active)
    # The records are held as the rows of one matrix: a gather and a scatter for each of their fields would double the compile
    # time. Whole numbers and truth values survive the way through float64.
    pack = jax.vmap(lambda record: ravel_pytree(jax.tree.map(lambda x: x.astype(float), record))[0])
    examples, structure = jax.tree.flatten(jax.eval_shape(partial(jax.tree.map, lambda x: x[0]), records))
    cuts = np.cumsum([x.size for x in examples])[:-1].tolist()

    def unpack(row: Array) -> Record:
        parts = zip(jnp.split(row, cuts), examples, strict=True)
        return jax.tree.unflatten(structure, [part.reshape(x.shape).astype(x.dtype) for part, x in parts])

    @jax.jit  # so that it is traced once for the two places where it is used
    def loaded(rows: Array) -> Lane:
        return jax.vmap(lambda row: load(unpack(row)))(rows)

    table = pack(records)
    several = several_steps(advance, steps, settle)

    def unfinished(carry: tuple) -> Bool[Array, ""]:
        return jnp.any(carry[1] < total)

    def block(carry: tuple) -> tuple:
        # `slot` is each lane's position in the queue (at or beyond `total`: the lane is idle), `upcoming` the next free one.
        table, slot, vacant, lane, upcoming = carry
        index = order[jnp.minimum(slot, items - 1)]

        def refill(lane: Lane) -> Lane:
            def pick(new: Array, old: Array) -> Array:
                return jnp.where(vacant.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

            return jax.tree.map(pick, loaded(table[index]), lane)

        # Refill: lanes that were vacated load the item that they were given. Most blocks vacate none, and skip it.
        lane = jax.lax.cond(jnp.any(vacant & (slot < total)), refill, lambda lane: lane, lane)
        lane = several(lane)
        # Retire: finished items are written back (an index out of range drops what is written), and their lanes get the next
        # items of the queue, numbered by a running count over the lanes.
        done = jax.vmap(finished)(lane) & (slot < total)
        table = table.at[jnp.where(done, index, items)].set(pack(jax.vmap(unload)(lane)), mode="drop")
        slot = jnp.where(done, upcoming + jnp.cumsum(done) - 1, slot)
        return table, slot, done, lane, upcoming + jnp.sum(done)

    # All lanes start vacant, on blank states of the right shapes, so that the first block loads them.
    blank = jax.eval_shape(loaded, table[:lanes])
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), blank)
    carry = (table, jnp.arange(lanes), jnp.ones(lanes, bool), blank, jnp.asarray(lanes))
    return jax.vmap(unpack)(jax.lax.while_loop(unfinished, block, carry)[0])


def several_steps(
    advance: Callable[[Lane], Lane], steps: int, settle: Callable[[Lane, Lane], Lane] | None
) -> Callable[[Lane], Lane]:
    """A function that does a block of steps on stacked lanes, and then settles them."""

    def several(before: Lane) -> Lane:
        # The loop is outside the map: inside of it JAX would trace it twice.
        step = jax.vmap(advance)
        after = step(before) if steps == 1 else jax.lax.fori_loop(0, steps, lambda _, lane: step(lane), before)
        return after if settle is None else jax.vmap(settle)(before, after)

    return several
