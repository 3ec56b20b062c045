"""Hyperparameters that may be traced, or are plain numbers, for which nothing needs to be compiled."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from nctheory.engine._types import Array, Scalar


def not_positive(number: Scalar) -> bool:
    """Whether it is known to be at most zero; a tracer answers no, its hypothesis being the caller's."""
    try:
        return float(number) <= 0.0
    except TypeError:
        return False


def is_positive(number: Scalar) -> bool:
    """Whether it is known to be above zero; a tracer answers no."""
    try:
        return float(number) > 0.0
    except TypeError:
        return False


def is_traced(value: object) -> bool:
    """Whether it is a stand-in for numbers of which only shape and dtype are known."""
    return isinstance(value, Tracer)


def within_trace() -> bool:
    """Whether a program is being traced, within which a new array has no numbers."""
    return is_traced(jnp.zeros(()))


def holds_traced(value: object) -> bool:
    """Whether it or a part of it is traced."""
    return any(map(is_traced, jax.tree.leaves(value)))


def as_array(value: Any) -> Array:
    """A float64 array, which is NumPy's unless the value, or a part of it, is traced."""
    return (jnp if holds_traced(value) else np).asarray(value, dtype=np.float64)


def stacked(parts: Sequence[Array]) -> Array:
    """The arrays, of one shape and dtype, on a new leading axis; the result is NumPy's unless one is traced."""
    return jnp.stack(parts) if any(map(is_traced, parts)) else np.stack(parts)
