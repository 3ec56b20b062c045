"""Grids of hyperparameters: named axes, checked before anything is computed."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import shown


@shown()
class Grid(NamedTuple):
    """Named axes; their product are the cells, the last axis varying fastest."""

    names: tuple[str, ...]
    """Names of the hyperparameters."""
    values: tuple[np.ndarray, ...]
    """Values on each axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values on each axis."""
        return tuple(len(axis) for axis in self.values)

    def cells(self) -> list[dict[str, Any]]:
        """The hyperparameters of every cell as Python numbers, by name."""
        columns = [axis.tolist() for axis in self.values]
        return [dict(zip(self.names, point, strict=True)) for point in product(*columns)]


def as_grid(axes: Mapping[str, Sequence[float] | Sequence[int] | np.ndarray]) -> Grid:
    """A grid from its axes.

    Raises ValueError for no axis, a name that is no identifier, and an axis that is empty, not one-dimensional, not made of
    numbers, not finite, or that names a value twice.

    >>> as_grid({"decay": [0.1, 0.2], "K": [3, 4, 5]}).shape
    (2, 3)
    """
    if not isinstance(axes, Mapping):
        raise ValueError(f"grid: expected values by the names of the model's arguments, got {axes!r}")
    if not axes:
        raise ValueError("grid: expected at least one axis, got none")
    values = []
    for name, given in axes.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(f"grid: expected names of keyword arguments, got {name!r}")
        if name == "seed":
            raise ValueError("grid: 'seed' is not an axis of the grid; give the argument seeds")
        axis = np.asarray(given)
        if axis.ndim != 1 or axis.size == 0:
            raise ValueError(f"grid[{name!r}]: expected a list of at least one number, got shape {axis.shape}")
        if not (np.issubdtype(axis.dtype, np.integer) or np.issubdtype(axis.dtype, np.floating)):
            raise ValueError(f"grid[{name!r}]: expected numbers, got {axis.dtype}")
        if not np.all(np.isfinite(axis)):
            raise ValueError(f"grid[{name!r}]: expected finite numbers, got {axis[~np.isfinite(axis)][0]}")
        # A value given twice would be two cells of one fingerprint.
        if len(np.unique(axis)) != axis.size:
            twice = next(x for x in axis.tolist() if axis.tolist().count(x) > 1)
            raise ValueError(f"grid[{name!r}]: expected different values, got {twice} twice")
        values.append(axis.astype(np.int64 if np.issubdtype(axis.dtype, np.integer) else np.float64))
    return Grid(tuple(axes), tuple(values))


def check_arguments(model: Callable[..., Any], axes: Grid) -> None:
    """Raise ValueError, naming the axes, where a model cannot be called with arguments of their names.

    >>> check_arguments(lambda decay: None, as_grid({"width": [2, 3]}))
    Traceback (most recent call last):
    ValueError: grid: expected axes by the names of the model's arguments, got 'width': missing a required argument: 'decay'
    """
    try:
        form = inspect.signature(model)
    except (TypeError, ValueError):  # some built-in functions do not tell; what they refuse they say themselves
        return
    try:
        form.bind(**dict.fromkeys(axes.names))
    except TypeError as error:
        named = ", ".join(map(repr, axes.names))
        raise ValueError(f"grid: expected axes by the names of the model's arguments, got {named}: {error}") from None
