"""Continuous batching: a window of lanes whose finished items are replaced, so that no seed waits for the slowest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool

from nctheory._types import Array

Record = Any
"""Pytree of one item's data; stacked on a leading axis for all items."""
Lane = Any
"""Pytree of one item's working state while it occupies a lane."""


def run_lanes(
    records: Record,
    active: Bool[Array, "items"],
    *,
    load: Callable[[Record], Lane],
    advance: Callable[[Lane], Lane],
    finished: Callable[[Lane], Bool[Array, ""]],
    unload: Callable[[Lane], Record],
    lanes: int,
) -> Record:
    """Run `advance` on every active item until it is `finished`, `lanes` items at a time.

    `advance` is one block of steps and must change nothing once the item is finished. Items never see each other, so
    the result does not depend on the number of lanes beyond the last bits of vectorised arithmetic. Inactive items
    come back unchanged.
    """
    items = active.shape[0]
    lanes = min(lanes, items)
    order = jnp.argsort(~active, stable=True)
    total = jnp.sum(active)
    # One matrix for all records: a gather and a scatter for each of their fields would double the compile time.
    pack = jax.vmap(lambda record: ravel_pytree(jax.tree.map(lambda x: x.astype(float), record))[0])
    example = jax.tree.map(lambda x: x[0], records)

    def unpack(row: Array) -> Record:
        fields, begin = [], 0
        for leaf in jax.tree.leaves(example):
            fields.append(row[begin : begin + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
            begin += leaf.size
        return jax.tree.unflatten(jax.tree.structure(example), fields)

    table = pack(records)

    def unfinished(carry: tuple) -> Bool[Array, ""]:
        return jnp.any(carry[1] < total)

    def block(carry: tuple) -> tuple:
        table, slot, vacant, lane, upcoming = carry
        index = order[jnp.minimum(slot, items - 1)]

        def refill(lane: Lane) -> Lane:
            def pick(new: Array, old: Array) -> Array:
                return jnp.where(vacant.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

            return jax.tree.map(pick, jax.vmap(lambda row: load(unpack(row)))(table[index]), lane)

        lane = jax.lax.cond(jnp.any(vacant & (slot < total)), refill, lambda lane: lane, lane)
        lane = jax.vmap(advance)(lane)
        done = jax.vmap(finished)(lane) & (slot < total)
        table = table.at[jnp.where(done, index, items)].set(pack(jax.vmap(unload)(lane)), mode="drop")
        slot = jnp.where(done, upcoming + jnp.cumsum(done) - 1, slot)
        return table, slot, done, lane, upcoming + jnp.sum(done)

    blank = jax.eval_shape(lambda rows: jax.vmap(lambda row: load(unpack(row)))(rows), table[:lanes])
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), blank)
    carry = (table, jnp.arange(lanes), jnp.ones(lanes, bool), blank, jnp.asarray(lanes))
    return jax.vmap(unpack)(jax.lax.while_loop(unfinished, block, carry)[0])
