"""Mapping over a long leading axis: in blocks of bounded memory, and in few lengths, each of which is a compilation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._concrete import is_traced

BLOCK_NUMBERS = 2**26
"""Numbers in one block of a map on an accelerator."""


def usual_block(numbers: int) -> int:
    """Items in one block of a map, which hold so many numbers each: on a CPU 64, elsewhere enough to fill the device.

    >>> usual_block(1000) if jax.default_backend() == "cpu" else 64
    64
    """
    return 64 if jax.default_backend() == "cpu" else 1 << max(0, (BLOCK_NUMBERS // max(numbers, 1)).bit_length() - 1)


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


def rounded_up(count: int) -> int:
    """The length up to which a leading axis is filled, so that few lengths are ever compiled.

    >>> [rounded_up(n) for n in (1, 8, 9, 100, 3000)]
    [8, 8, 16, 128, 3072]
    """
    return max(8, 1 << (count - 1).bit_length()) if count <= 1024 else -(-count // 1024) * 1024


def in_few_lengths(function: Callable[[Any], Any], xs: Any) -> Any:
    """`function(xs)`, of arrays with a leading axis, with that axis filled up by repeating the last item and cut again.

    Arrays that lie on an accelerator stay there where nothing is filled up.
    """
    items = np.shape(jax.tree.leaves(xs)[0])[0]
    if items == rounded_up(items):
        return jax.tree.map(np.asarray, function(jax.tree.map(_at_hand, xs)))
    index = np.minimum(np.arange(rounded_up(items)), items - 1)
    out = function(jax.tree.map(lambda x: np.asarray(x)[index], xs))
    return jax.tree.map(lambda y: np.asarray(y)[:items], out)


def _at_hand(x: Any) -> Any:
    """An array as NumPy has it, unless that means to carry it over from an accelerator."""
    away = isinstance(x, jax.Array) and not is_traced(x) and any(d.platform != "cpu" for d in x.devices())
    return x if away else np.asarray(x)
