"""Maps over a long leading axis: in blocks of bounded memory, and in few lengths, because each length is compiled anew."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine._concrete import is_traced

BLOCK_NUMBERS = 2**26
"""One block of a map on an accelerator holds at most this many numbers."""
WIDTHS = (32, 256, 1024)
"""A leading axis (of seeds, of points) is filled up to one of these lengths where little is computed (conventional)."""
FEW_NUMBERS = 2**16
"""Computing once with this many numbers along such an axis takes less time than compiling a program (conventional)."""


def usual_block(numbers: int) -> int:
    """The number of items in one block of a map: on a CPU 64, elsewhere enough to fill the device with `numbers` an item.

    >>> usual_block(1000) if jax.default_backend() == "cpu" else 64
    64
    """
    # Elsewhere it is the largest power of two of items that hold at most BLOCK_NUMBERS numbers together, or one.
    return 64 if jax.default_backend() == "cpu" else 1 << max(0, (BLOCK_NUMBERS // max(numbers, 1)).bit_length() - 1)


def map_in_blocks(function: Callable[[Any], Any], xs: Any, block: int = 64) -> Any:
    """`jax.vmap(function)(xs)`, `block` items at a time.

    The last block is filled up by repeating the last item. (`jax.lax.map` with a batch size compiles the function a
    second time for the remainder.)
    """
    items = jax.tree.leaves(xs)[0].shape[0]
    if items == 0:  # no item could fill up a block
        return jax.vmap(function)(xs)
    block = min(block, items)
    # There are ceil(items / block) blocks, and an index beyond the last item stands for that item.
    blocks = -(-items // block)
    index = jnp.minimum(jnp.arange(blocks * block), items - 1).reshape(blocks, block)
    # Each block gathers its items by their indices, so that one program of one length serves all blocks.
    out = jax.lax.map(lambda i: jax.vmap(function)(jax.tree.map(lambda x: x[i], xs)), index)
    # The blocks are joined, and what the repeated items gave is cut off.
    return jax.tree.map(lambda y: y.reshape(blocks * block, *y.shape[2:])[:items], out)


def fixed_width(count: int, numbers: int, few: int = FEW_NUMBERS) -> int | None:
    """The least of `WIDTHS` that so many items fit in, of so many numbers each; None where that makes more than `few`.

    >>> fixed_width(5, 20), fixed_width(100, 20), fixed_width(100, 20_000), fixed_width(2000, 20)
    (32, 256, None, None)
    """
    width = next((width for width in WIDTHS if width >= count), None)
    return width if width is not None and width * numbers <= few else None


def rounded_up(count: int, numbers: int | None = None) -> int:
    """The length up to which a leading axis is filled, so that few lengths are ever compiled.

    Where the `numbers` of one item are given, and all together are few, it is a `fixed_width`.

    >>> [rounded_up(n) for n in (1, 8, 9, 100, 3000)]
    [8, 8, 16, 128, 3072]
    >>> rounded_up(9, 20), rounded_up(9, 20_000)
    (32, 16)
    """
    width = None if numbers is None else fixed_width(count, numbers)
    if width is not None:
        return width
    # Up to 1024 the lengths are the powers of two from 8 on, and beyond that the multiples of 1024.
    return max(8, 1 << (count - 1).bit_length()) if count <= 1024 else -(-count // 1024) * 1024


def in_few_lengths(function: Callable[[Any], Any], xs: Any) -> Any:
    """`function(xs)`, of arrays with a leading axis, with that axis filled up by repeating the last item and cut again.

    Arrays that lie on an accelerator stay there, and are filled up there.
    """
    leaves = jax.tree.leaves(xs)
    items = np.shape(leaves[0])[0]
    # The numbers of one item are counted over all arrays, along all their axes but the first.
    length = rounded_up(items, sum(int(np.prod(np.shape(x)[1:])) for x in leaves))
    if items == length:
        return jax.tree.map(np.asarray, function(jax.tree.map(_at_hand, xs)))
    index = np.minimum(np.arange(length), items - 1)
    out = function(jax.tree.map(lambda x: _at_hand(x)[index], xs))
    return jax.tree.map(lambda y: np.asarray(y)[:items], out)


def _at_hand(x: Any) -> Any:
    """The array as a NumPy array, unless it would have to be copied from an accelerator."""
    away = isinstance(x, jax.Array) and not is_traced(x) and any(d.platform != "cpu" for d in x.devices())
    return x if away else np.asarray(x)
