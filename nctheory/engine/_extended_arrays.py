"""Rules of extended precision for primitives that only move entries: what moves does not matter, and NumPy does it."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from nctheory.engine._extended_numbers import RULES, Numbers, boxed, is_floating, is_real, rule
from nctheory.engine._extended_primitives import WHOLE

Params = dict[str, Any]


@rule("reshape")
def _reshape(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return x.reshape(params["new_sizes"])


@rule("squeeze")
def _squeeze(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return np.squeeze(x, axis=_whole(params["dimensions"]))


@rule("transpose")
def _transpose(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return x.transpose(params["permutation"])


@rule("broadcast_in_dim")
def _broadcast(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    # Each axis of the operand becomes the axis named for it; all others have size one, and are stretched by NumPy.
    sizes = [1] * len(params["shape"])
    for size, axis in zip(x.shape, params["broadcast_dimensions"], strict=True):
        sizes[axis] = size
    return np.broadcast_to(x.reshape(sizes), params["shape"])


@rule("concatenate")
def _concatenate(numbers: Numbers, params: Params, *parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=params["dimension"])


@rule("stack")
def _stack(numbers: Numbers, params: Params, *parts: np.ndarray) -> np.ndarray:
    return np.stack(parts, axis=params["axis"])


@rule("tile")
def _tile(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return np.tile(x, params["reps"])


@rule("split")
def _split(numbers: Numbers, params: Params, x: np.ndarray) -> Sequence[np.ndarray]:
    # NumPy wants the places of the cuts, where JAX gives the sizes of the parts.
    return np.split(x, np.cumsum(_whole(params["sizes"]))[:-1].tolist(), axis=params["axis"])


@rule("rev")
def _rev(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return np.flip(x, axis=_whole(params["dimensions"]))


@rule("iota")
def _iota(numbers: Numbers, params: Params) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    sizes = [size if i == axis else 1 for i, size in enumerate(shape)]
    # The numbers count up along one axis and are the same along all others.
    counted = np.broadcast_to(np.arange(shape[axis]).reshape(sizes), shape)
    return numbers.lift(counted) if is_floating(params["dtype"]) else counted


@rule("empty", "empty2")
def _empty(numbers: Numbers, params: Params) -> np.ndarray:
    kind, shape = params["dtype"], params.get("shape", ())
    return numbers.filled(shape, 0) if is_floating(kind) else np.zeros(shape, dtype=kind)


@rule("slice")
def _slice(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    strides = params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def _within(starts: Sequence[np.ndarray], shape: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
    """A window, moved until it lies in the array."""
    first = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(s, s + size) for s, size in zip(first, sizes, strict=True))


@rule("dynamic_slice")
def _dynamic_slice(numbers: Numbers, params: Params, x: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    return x[_within(starts, x.shape, params["slice_sizes"])]


@rule("dynamic_update_slice")
def _update(numbers: Numbers, params: Params, x: np.ndarray, new: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[_within(starts, x.shape, new.shape)] = new
    return out


@rule("pad")
def _pad(numbers: Numbers, params: Params, x: np.ndarray, filling: np.ndarray) -> np.ndarray:
    config = params["padding_config"]
    # An axis of n entries becomes low + n + (n - 1) gap + high long, and entry i goes to the place low + i (gap + 1).
    shape = [low + high + n + max(n - 1, 0) * gap for n, (low, high, gap) in zip(x.shape, config, strict=True)]
    places, kept = [], []
    for n, size, (low, _, gap) in zip(x.shape, shape, config, strict=True):
        at = low + np.arange(n) * (gap + 1)
        inside = (at >= 0) & (at < size)  # padding below zero takes entries away
        places.append(at[inside])
        kept.append(np.flatnonzero(inside))
    out = np.full(shape, filling[()], dtype=x.dtype)
    out[np.ix_(*places)] = x[np.ix_(*kept)]
    return out


def _whole(numbers: Sequence[Any]) -> tuple[int, ...]:
    return tuple(map(int, numbers))


def _windows(
    shape: Sequence[int],
    sizes: Sequence[int],
    indices: np.ndarray,
    along: Sequence[int],
    batched: Sequence[int],
    batched_by: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of given sizes in an array of the given shape, one for each index vector (the last axis of `indices`).

    The entries of a vector are the starts on the axes `along`; on the axes `batched` the window starts at its own place on
    the axes `batched_by` of `indices`. Returns the entries' places in the flattened array, each window moved inside, of
    shape batch + sizes; and whether each window was inside, of shape batch.
    """
    batch, rank = indices.shape[:-1], len(shape)
    # On every axis a window starts at an entry of its index vector, at its own place in the batch, or at 0.
    starts = np.zeros((*batch, rank), dtype=np.int64)
    for k, axis in enumerate(along):
        starts[..., axis] = indices[..., k]
    for axis, by in zip(batched, batched_by, strict=True):
        starts[..., axis] = np.arange(batch[by]).reshape([-1 if i == by else 1 for i in range(len(batch))])
    # A window of size s is inside an axis of length n where its start is in 0 … n - s; all are then moved inside.
    last = np.asarray(shape, dtype=np.int64) - np.asarray(sizes, dtype=np.int64)
    inside = np.asarray(np.all((starts >= 0) & (starts <= last), axis=-1))
    starts = np.clip(starts, 0, last)
    flat = np.zeros((*batch, *sizes), dtype=np.int64)
    for axis, size in enumerate(sizes):
        # This is Horner's rule for the place in the flattened array: over the axes, place <- place n + start + offset.
        offsets = np.arange(size).reshape([-1 if i == axis else 1 for i in range(rank)])
        flat = flat * shape[axis] + starts[..., axis].reshape(batch + (1,) * rank) + offsets
    return flat, inside


@rule("gather")
def _gather(numbers: Numbers, params: Params, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    dims = params["dimension_numbers"]
    batched, offset = _whole(dims.operand_batching_dims), _whole(dims.offset_dims)
    by, along = _whole(dims.start_indices_batching_dims), _whole(dims.start_index_map)
    # The windows are read with the axes of the batch first and, for now, all axes of the operand after them.
    flat, inside = _windows(x.shape, _whole(params["slice_sizes"]), indices, along, batched, by)
    batch = inside.ndim
    out = boxed(x.reshape(-1)[flat]) if is_real(x) else np.asarray(x.reshape(-1)[flat])
    if params["mode"] == jax.lax.GatherScatterMode.FILL_OR_DROP:
        # Windows from outside are filled in this mode, and in all others they are those moved inside.
        out[~inside] = _filling(numbers, x, params["fill_value"])
    # Axes of the operand that the result lacks, all of size one, go; the rest of the window goes to the axes `offset_dims`.
    dropped = (*_whole(dims.collapsed_slice_dims), *batched)
    out = np.squeeze(out, axis=tuple(batch + axis for axis in dropped))
    sources, windows = iter(range(batch)), iter(range(batch, out.ndim))
    return out.transpose([next(windows if axis in offset else sources) for axis in range(out.ndim)])


def _filling(numbers: Numbers, x: np.ndarray, given: Any) -> Any:
    """What stands in the place of entries from outside: JAX's defaults."""
    if is_real(x):
        return numbers.mp.nan if given is None else numbers.mp.mpf(float(given))
    if given is not None or x.dtype == bool:
        return True if given is None else given
    return np.iinfo(x.dtype).min if np.issubdtype(x.dtype, np.signedinteger) else np.iinfo(x.dtype).max


def _scatter(combine: str | None) -> Any:
    """The rule of one kind of scatter: `combine` names what is done with the old entry and the new; None replaces."""

    def apply(numbers: Numbers, params: Params, x: np.ndarray, indices: np.ndarray, new: np.ndarray) -> np.ndarray:
        dims = params["dimension_numbers"]
        window, along = _whole(dims.update_window_dims), _whole(dims.scatter_dims_to_operand_dims)
        batched, by = _whole(dims.operand_batching_dims), _whole(dims.scatter_indices_batching_dims)
        dropped = {*_whole(dims.inserted_window_dims), *batched}
        remaining = iter(window)
        # A window has the sizes of the update's window axes, and size one on the axes that the update lacks.
        sizes = [1 if axis in dropped else new.shape[next(remaining)] for axis in range(x.ndim)]
        flat, inside = _windows(x.shape, sizes, indices, along, batched, by)
        if params["mode"] == jax.lax.GatherScatterMode.CLIP:
            # In this mode a window from outside is written where it was moved to; in all others it is not written at all.
            inside = np.ones_like(inside)
        batch = [axis for axis in range(new.ndim) if axis not in window]
        # The update is brought into the order of the windows: the axes of the batch, then those of the operand.
        entries = new.transpose([*batch, *window]).reshape(flat.shape)
        taken = np.broadcast_to(inside.reshape(inside.shape + (1,) * x.ndim), flat.shape)
        out = x.reshape(-1).copy()
        merge = None if combine is None else numbers.functions[combine] if is_real(x) else WHOLE[combine]
        # One by one, because several windows may hold one entry.
        for place, entry in zip(flat[taken].tolist(), entries[taken], strict=True):
            out[place] = entry if merge is None else merge(out[place], entry)
        return out.reshape(x.shape)

    return apply


for _kind, _combine in (
    ("", None),
    ("_add", "add"),
    ("_sub", "sub"),
    ("_mul", "mul"),
    ("_min", "min"),
    ("_max", "max"),
):
    RULES[f"scatter{_kind}"] = _scatter(_combine)
