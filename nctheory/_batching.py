"""Mapping over a long leading axis in blocks of bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def map_in_blocks(function: Callable[[Any], Any], xs: Any, block: int = 64) -> Any:
    """`jax.vmap(function)(xs)`, `block` items at a time.

    The last block is filled up by repeating the last item. (`jax.lax.map` with a batch size compiles the function a
    second time for the remainder.)
    """
    items = jax.tree.leaves(xs)[0].shape[0]
    block = min(block, items)
    blocks = -(-items // block)
    index = jnp.minimum(jnp.arange(blocks * block), items - 1).reshape(blocks, block)
    out = jax.lax.map(lambda i: jax.vmap(function)(jax.tree.map(lambda x: x[i], xs)), index)
    return jax.tree.map(lambda y: y.reshape(blocks * block, *y.shape[2:])[:items], out)
