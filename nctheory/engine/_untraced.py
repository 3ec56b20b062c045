"""Verbs that run programs of their own: what they say of traced arguments, within `jax.jit`, `vmap` and `grad`.

A verb that searches, certifies or decides by looking at numbers cannot be a part of another program. It says so, by name,
where it is given stand-ins; within a trace of which it is given none, it computes at once, as it does outside.
"""

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import jax

from nctheory.engine._concrete import is_traced, within_trace

P = ParamSpec("P")
R = TypeVar("R")

DEEPEST = 3
"""How far functions and dataclasses are looked into."""


class IsTraced(ValueError):
    """A verb that runs programs of its own was given stand-ins for its arguments."""


def untraced(instead: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A public verb that cannot be traced; `instead` says what to do in place of tracing it."""

    def decorate(verb: Callable[P, R]) -> Callable[P, R]:
        names = tuple(inspect.signature(verb).parameters)

        @functools.wraps(verb)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            for name, value in (*zip(names, args, strict=False), *kwargs.items()):
                # The first stand-in found, wherever in the arguments it is, is named in the message.
                for place in _traced_places(value, name):
                    raise IsTraced(_message(verb.__name__, f"{place} is traced", instead))
            if not within_trace():
                return verb(*args, **kwargs)
            # All arguments are numbers here, and what is computed from them shall not become part of the program around.
            with jax.ensure_compile_time_eval():
                return verb(*args, **kwargs)

        setattr(wrapped, "untraced", True)  # noqa: B010  (a mark that the documentation and a test of all exports read)
        return wrapped

    return decorate


def _message(verb: str, found: str, instead: str) -> str:
    remedy = f"; {instead}" if instead else ""
    return (
        f"{found}, and `{verb}` runs programs of its own, which cannot be part of another: call it outside of jax.jit, "
        f"jax.vmap and jax.grad{remedy} (docs/tracing.md lists what can be traced)"
    )


def _traced_places(value: Any, place: str, depth: int = 0) -> Iterator[str]:
    """Where a value holds stand-ins: leaves of pytrees, fields of dataclasses that are none, and what functions close over."""
    try:
        leaves = jax.tree.leaves_with_path(value)
    except (TypeError, ValueError):  # a dictionary whose keys have no order, say, is nothing that JAX could trace
        return
    for path, leaf in leaves:
        here = place + jax.tree_util.keystr(path)
        if is_traced(leaf):
            yield here
        elif depth < DEEPEST:
            for name, inner in _parts(leaf):
                yield from _traced_places(inner, f"{here}{name}", depth + 1)


def _parts(leaf: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a function, or of a dataclass that is no pytree, with their names; nothing is known of other objects."""
    if isinstance(leaf, functools.partial):
        yield from (("'s function", leaf.func), ("'s arguments", (leaf.args, leaf.keywords)))
    elif inspect.isfunction(leaf):
        for name, cell in zip(leaf.__code__.co_freevars, leaf.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # a name that has no value yet
                yield f"'s {name}", cell.cell_contents
        yield "'s defaults", (leaf.__defaults__, leaf.__kwdefaults__)
    elif dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
        yield from ((f".{field.name}", getattr(leaf, field.name, None)) for field in dataclasses.fields(leaf))
