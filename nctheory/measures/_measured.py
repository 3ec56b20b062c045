"""Measures compute in float64 unless they are traced, and check their labels wherever these are known."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from nctheory.engine import Array, float64, is_traced
from nctheory.measures._inputs import as_labels, as_numpy, check_classes, check_range

P = ParamSpec("P")
R = TypeVar("R")
_NUMBERS = ("labels", "classes", "rank")
"""Arguments that stay as they are: everything else is an array of floats."""


def measured(function: Callable[P, R]) -> Callable[P, R]:
    """A measure of any library's arrays: in float64, with NumPy out, unless an argument is traced, when it keeps its dtype.

    Labels that are not traced are checked: ValueError where they are not whole numbers, outside 0..K-1 or without a sample
    of some class. A number that is measured of what is not finite, or of logits that are none, is NaN.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        arrays = [name for name in given.arguments if name not in _NUMBERS]
        # Stand-ins keep their dtype, and the program around them decides on the precision.
        traced = any(is_traced(leaf) for leaf in jax.tree.leaves(given.arguments))
        if not traced:
            for name in arrays:
                given.arguments[name] = as_numpy(name, given.arguments[name]).astype(np.float64)
        if "labels" in given.arguments and not is_traced(given.arguments["labels"]):
            # Labels that are numbers are checked even where the features are traced.
            given.arguments["labels"] = _labels(given.arguments, arrays[0])
        return (told if traced else float64(told))(given, arrays)

    def told(given: inspect.BoundArguments, arrays: Sequence[str]) -> R:
        found: Any = function(*given.args, **given.kwargs)
        known = [_known(name, given.arguments[name]) for name in arrays]
        # Comparisons hide NaN: it would pass for zero features, or for the first class. Class means show it by themselves.
        batch = jnp.broadcast_shapes(*(one.shape for one in known))
        if np.shape(found) != batch:
            return found
        found = jnp.where(functools.reduce(jnp.logical_and, known), found, jnp.nan)
        return found

    return wrapped


def _known(name: str, array: Any) -> Bool[Array, "*batch"]:
    """Whether an argument holds numbers, over its last two axes; infinite logits come first and last of a sample."""
    x = jnp.asarray(array)
    fine = ~jnp.isnan(x) if name == "logits" else jnp.isfinite(x)
    return jnp.all(fine, axis=(-2, -1)) if x.ndim > 1 else jnp.all(fine)


def _labels(arguments: dict[str, object], first: str) -> np.ndarray:
    """The checked labels, one a column of the features or logits."""
    columns = np.shape(arguments["features" if "features" in arguments else first])  # type: ignore[arg-type]
    if len(columns) < 2:
        raise ValueError(f"{first}: expected at least two axes, got shape {columns}")
    labels = as_labels(arguments["labels"], columns[-1])
    # A measure without `classes` takes logits, which have one row for each class.
    classes = check_classes(arguments.get("classes", columns[-2]))
    check_range(labels, classes)
    if "classes" in arguments:
        # A measure with `classes` takes class means, so that every class needs a sample.
        missing = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
        if missing.size:
            raise ValueError(f"labels: expected samples of all {classes} classes, got none of class {missing[0]}")
    return labels
