"""Rules of extended precision for reductions along axes, running sums and the like, and sorting."""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nctheory.engine._extended_numbers import RULES, Numbers, is_real, rule
from nctheory.engine._extended_primitives import elementwise

Params = dict[str, Any]


def _lines(x: np.ndarray, axes: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The entries along `axes` as rows, one for each place on the other axes; and the shape of these."""
    others = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in others)
    # NumPy infers no length for rows of an array without entries; they are empty then.
    return x.transpose([*others, *axes]).reshape(math.prod(shape), -1 if x.size else 0), shape


def _enter_reduction(name: str, whole: np.ufunc, of_row: Callable[[Numbers, list[Any]], Any]) -> None:
    def reduce(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
        axes = tuple(map(int, params["axes"]))
        if not is_real(x):
            return np.asarray(whole.reduce(x, axis=axes))
        rows, shape = _lines(x, axes)
        return numbers.packed((of_row(numbers, list(row)) for row in rows), shape)

    RULES[name] = reduce


def _fold(name: str, start: float) -> Callable[[Numbers, list[Any]], Any]:
    return lambda numbers, row: functools.reduce(numbers.functions[name], row, numbers.mp.mpf(start))


# mpmath adds a whole row exactly and rounds once; a product is rounded after every factor.
_enter_reduction("reduce_sum", np.add, lambda numbers, row: numbers.mp.fsum(row))
_enter_reduction("reduce_prod", np.multiply, _fold("mul", 1.0))
_enter_reduction("reduce_max", np.maximum, _fold("max", -math.inf))
_enter_reduction("reduce_min", np.minimum, _fold("min", math.inf))
_enter_reduction("reduce_and", np.bitwise_and, _fold("and", 0.0))  # of Booleans and whole numbers only
_enter_reduction("reduce_or", np.bitwise_or, _fold("or", 0.0))
_enter_reduction("reduce_xor", np.bitwise_xor, _fold("xor", 0.0))


def _enter_argument(name: str, better: Callable[[Any, Any], bool]) -> None:
    def first(row: np.ndarray) -> int:
        """The first of the best entries, and the first NaN where there is one."""
        best = 0
        for i, entry in enumerate(row):
            if entry != entry:
                return i
            if better(entry, row[best]):
                best = i
        return best

    def find(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
        rows, shape = _lines(x, tuple(map(int, params["axes"])))
        return np.asarray([first(row) for row in rows], dtype=params["index_dtype"]).reshape(shape)

    RULES[name] = find


_enter_argument("argmax", operator.gt)
_enter_argument("argmin", operator.lt)


def _enter_running(name: str, combine: str) -> None:
    def run(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
        along = np.moveaxis(x, params["axis"], 0)
        # A reversed sum runs from the end of the axis, and its results are turned round again.
        order = range(len(along))[:: -1 if params["reverse"] else 1]
        slices = [along[i, ...] for i in order]
        if not slices:
            return x
        running = list(itertools.accumulate(slices, lambda a, b: elementwise(numbers, combine, a, b)))
        return np.moveaxis(np.stack(running[:: -1 if params["reverse"] else 1]), 0, params["axis"])

    RULES[name] = run


for _name, _combine in (("cumsum", "add"), ("cumprod", "mul"), ("cummax", "max"), ("cummin", "min")):
    _enter_running(_name, _combine)


@rule("sort")
def _sort(numbers: Numbers, params: Params, *operands: np.ndarray) -> Sequence[np.ndarray]:
    axis = params["dimension"]
    moved = [np.moveaxis(x, axis, -1) for x in operands]
    rows = [x.reshape(-1, x.shape[-1]) if x.size else x.reshape(0, x.shape[-1]) for x in moved]
    sorted_rows = [row.copy() for row in rows]
    # All operands are rearranged alike, by the order of the first `num_keys` of them.
    for line in range(len(rows[0])):
        keys = [row[line] for row in rows[: params["num_keys"]]]
        # NaN last, as in JAX; Python's sort is stable.
        order = sorted(range(len(keys[0])), key=lambda i: [(k[i] != k[i], k[i]) for k in keys])
        for out, row in zip(sorted_rows, rows, strict=True):
            out[line] = row[line][order]
    return [np.moveaxis(row.reshape(x.shape), -1, axis) for row, x in zip(sorted_rows, moved, strict=True)]
