"""In what two problems differ, where they ought to differ in numbers only."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from nctheory.problems._base import Problem


def difference(one: Problem, other: Problem) -> str | None:
    """The first type, static field or shape in which `other` is not like `one`, with both values; None if there is none.

    >>> import nctheory as nct
    >>> def model(counts, dim=2):
    ...     return nct.unconstrained_features(counts=counts, dim=dim, loss="mse", weight_decay=(0.1, 0.1))
    >>> difference(model((2, 1)), model((2, 1), dim=3))
    'widths (2, 2), got (3, 2)'
    """
    return _of_fields(one, other, "") or _of_leaves(one, other)


def _of_fields(one: Any, other: Any, path: str) -> str | None:
    """The difference in types and static fields, which are named by their path, before that in shapes: it says more."""
    if type(one) is not type(other):
        where = f"{path} of type " if path else "the type "
        return f"{where}{type(one).__name__}, got {type(other).__name__}"
    for field in dataclasses.fields(one):
        name, a, b = f"{path}.{field.name}".lstrip("."), getattr(one, field.name), getattr(other, field.name)
        # A static field counts by its value; of fields that hold numbers only presence counts here, and their shapes later.
        if field.metadata.get("static"):
            if not _equal(a, b):
                return f"{name} {a!r}, got {b!r}"
        elif (a is None) != (b is None):
            return f"{name} {_told(a)}, got {_told(b)}"
        elif isinstance(a, eqx.Module) and isinstance(b, eqx.Module):
            found = _of_fields(a, b, name)
            if found is not None:
                return found
    return None


def _of_leaves(one: Problem, other: Problem) -> str | None:
    ours, theirs = (dict(jax.tree_util.tree_leaves_with_path(x)) for x in (one, other))
    for path in [*ours, *theirs]:
        name = jax.tree_util.keystr(path).lstrip(".")
        if path not in ours or path not in theirs:
            return f"{name} {_told(ours.get(path))}, got {_told(theirs.get(path))}"
        a, b = ours[path], theirs[path]
        if np.shape(a) != np.shape(b):
            return f"{name} of shape {np.shape(a)}, got {np.shape(b)}"
        if np.result_type(a) != np.result_type(b):
            return f"{name} of dtype {np.result_type(a)}, got {np.result_type(b)}"
    if jax.tree.structure(one) != jax.tree.structure(other):
        return f"the fields {jax.tree.structure(one)}, got {jax.tree.structure(other)}"
    return None


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except ValueError:  # arrays
        return np.array_equal(a, b)


def _told(value: Any) -> str:
    """A field that only one of two problems has."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray | jax.Array):
        return f"{value:g}" if value.ndim == 0 else f"of shape {value.shape}"
    return type(value).__name__
