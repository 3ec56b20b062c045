"""Arrays of 32 bits that a theorem's functions hold: made in a program that has not asked JAX for 64, and rounded to 1e-7."""

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Collection, Iterator
from typing import Any

import jax

from nctheory.theorems._theorem import Theorem

DEEPEST = 5
"""How far functions that use functions are followed (conventional)."""


def narrow_arrays(*holders: Any) -> tuple[str, ...]:
    """The names under which functions, or what holds functions, use JAX arrays of single precision.

    Functions are looked into by their closures, defaults, and the globals of their module that they name.

    >>> import jax.numpy as jnp
    >>> with jax.enable_x64(False):
    ...     third = jnp.asarray(1.0) / 3.0
    >>> narrow_arrays(lambda x: x * third, (lambda x: x + 1.0,))
    ('third',)
    """
    seen: set[int] = set()
    found = (name for one in holders for name in _within(one, "a constant", DEEPEST, seen))
    return tuple(dict.fromkeys(found))


def narrow_reason(theorem: Theorem, failed: Collection[str]) -> str:
    """That claims of these names, which fail, use constants of single precision, which may be why; empty where they do not.

    >>> import nctheory as nct
    >>> narrow_reason(nct.catalogue()["ufm-ce-balanced"], {"optimal value"})
    ''
    """
    held = narrow_arrays([claim for claim in theorem.claims if claim.name in failed], theorem.predict) if failed else ()
    if not held:
        return ""
    return (
        f"{', '.join(map(repr, held))}: a JAX array of single precision is used by what fails, and is exact to 1e-7 only; "
        "make it within jax.enable_x64(True), or as a NumPy array"
    )


def _within(value: Any, name: str, depth: int, seen: set[int]) -> Iterator[str]:
    if isinstance(value, jax.Array):
        if value.dtype in (jax.numpy.float32, jax.numpy.complex64):
            yield name
        return
    if depth == 0 or id(value) in seen:
        return
    seen.add(id(value))
    for inner, part in _parts(value, name):
        yield from _within(part, inner, depth - 1, seen)


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What a value holds, by name."""
    if isinstance(value, functools.partial):
        yield from ((name, one) for one in (value.func, *value.args))
        yield from value.keywords.items()
    elif isinstance(value, dict):
        yield from ((str(key), one) for key, one in value.items())
    elif isinstance(value, tuple | list):
        yield from ((name, one) for one in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
    elif inspect.isfunction(value := inspect.unwrap(value) if callable(value) else value):
        with contextlib.suppress(ValueError):  # a name that has no value yet
            used = inspect.getclosurevars(value)
            yield from (*used.nonlocals.items(), *used.globals.items())
        yield from ((name, one) for one in (value.__defaults__ or ()))
        yield from (value.__kwdefaults__ or {}).items()


__all__ = ["narrow_arrays", "narrow_reason"]
