"""What functions and classes of a user's own read besides their arguments, so that a change of it is seen.

A program is made once for a function, or a class of problems, and the shapes of its arguments, and has in it what the function
read when it was traced: a global, an entry of a list, an attribute of its class. Where that has changed since, the program
would compute what was asked for then.
"""

import contextlib
import dataclasses
import functools
import hashlib
import sys
import threading
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nctheory.engine._code import LIBRARIES
from nctheory.engine._concrete import within_trace
from nctheory.engine._identity import PACKAGES, PLAIN, NoIdentity, array_text, instructions
from nctheory.engine._programs import forget_programs

_CONTAINERS = (tuple, list, set, frozenset, dict, types.MappingProxyType)
_OF_CLASSES = {"__doc__", "__module__", "__qualname__", "__annotations__", "__dict__", "__weakref__", "_abc_impl"}
"""What stands in every class and is not read by its methods."""
_SEEN: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
"""By function or class, a digest of what it read when it was last looked at."""
_LOCK = threading.Lock()
_VERBS = threading.local()
"""As `looked`, what the verbs under way in this thread have looked at: the verbs that they call do not look at it again."""


@contextlib.contextmanager
def reads_noted(*values: Any) -> Iterator[None]:
    """Within this, what is computed with some values is what they compute now.

    All programs are dropped where a function or a class of a user's own, in one of the values at any depth, reads something
    else than when it was last looked at: numbers, texts, arrays, containers, functions and classes of the user's own and
    their instances, as globals, attributes of modules and classes, defaults, and variables of functions around it. What is
    read in the library's own packages, and of installed ones, is taken to stand. Changes that are made meanwhile, by a
    function that counts its calls say, drop nothing. Within a trace nothing is looked at.
    """
    looked: list[Any] = _VERBS.__dict__.setdefault("looked", [])
    owned: list[Any] = []
    with contextlib.suppress(RuntimeError):  # as in `_changed`
        owned.extend(one for one in _owned(values, set()) if not any(one is other for other in looked))
    if not owned or within_trace():
        yield
        return
    if _changed(owned):
        forget_programs()
    looked.extend(owned)
    try:
        yield
    finally:
        del looked[len(looked) - len(owned) :]
        _changed(owned)


def _changed(owned: list[Any]) -> bool:
    """Whether one of these reads something else than when it was last looked at; what it reads now is kept."""
    changed = False
    for one in owned:
        # Of what changes while it is looked at, in another thread, has no end, or is no key, nothing can be said.
        with contextlib.suppress(RuntimeError, TypeError):
            digest = _Digest().of(one)
            with _LOCK:
                changed |= _SEEN.setdefault(one, digest) != digest
                _SEEN[one] = digest
    return changed


def _owned(value: Any, visited: set[int]) -> Iterator[Any]:
    """The functions and classes of a user's own that stand in a value, or made it, at any depth."""
    if isinstance(value, np.ndarray | np.generic | jax.Array) or id(value) in visited:
        return
    visited.add(id(value))
    if _is_own(value):
        yield value
    elif isinstance(value, type | types.ModuleType):
        return
    for part in _parts(value):
        if type(part) not in PLAIN:  # a long list of numbers is passed over quickly
            yield from _owned(part, visited)


def _parts(value: Any) -> Iterator[Any]:
    """What a value is made of: entries of a container, the class and the attributes of an object, what a function closes over
    or wraps."""
    if isinstance(value, _CONTAINERS):
        yield from list(value)
        if isinstance(value, dict | types.MappingProxyType):
            yield from list(value.values())
    if isinstance(value, type | types.ModuleType):
        return
    if isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, property):
        yield value.fget
    elif isinstance(value, functools.cached_property):
        yield value.func
    elif isinstance(value, types.FunctionType):
        yield from (value.__defaults__, value.__kwdefaults__)
        for cell in value.__closure__ or ():
            with contextlib.suppress(ValueError):  # a cell that is not filled yet
                yield cell.cell_contents
    held = getattr(value, "__dict__", {})
    if isinstance(value, types.SimpleNamespace) or dataclasses.is_dataclass(value) or _is_own(type(value)):
        yield type(value)
        yield from list(held.values())
    elif "__wrapped__" in held:  # a compiled function, or one with rules for its derivatives
        yield from list(held.values())


class _Digest:
    """A digest of what something of a user's own reads, under way."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._visited: dict[int, Any] = {}
        """What was met, by its address; it is held, for what is made anew here would take the address of what is gone."""

    def of(self, value: Any) -> bytes:
        """The digest of one function or class."""
        self._add(value)
        return self._hash.digest()

    def _say(self, *texts: Any) -> None:
        self._hash.update(repr(texts).encode())

    def _add(self, value: Any) -> None:
        if type(value) in PLAIN:
            self._say(type(value).__name__, value)
        elif isinstance(value, np.ndarray | np.generic | jax.Array):
            with contextlib.suppress(NoIdentity):  # numbers that are not known yet, or an array of objects
                self._say(array_text(value if isinstance(value, jax.Array) else np.asarray(value)))
        elif id(value) in self._visited:
            self._say("again")
        else:
            self._visited[id(value)] = value
            named = value.__qualname__ if isinstance(value, type | types.FunctionType) else ""
            self._say(type(value).__name__, named, len(value) if isinstance(value, _CONTAINERS) else 0)
            if isinstance(value, types.FunctionType) and _is_own(value):
                self._say(instructions(value.__code__))
                self._add_globals(value)
            elif isinstance(value, type) and _is_own(value):
                self._add_class(value)
            for part in _parts(value):
                self._add(part)

    def _add_class(self, kind: type) -> None:
        """What stands in a class, and in those of the user's own that it is derived from."""
        for name, value in sorted(vars(kind).items()):
            if name not in _OF_CLASSES:
                self._say(name)
                self._add(value.__func__ if isinstance(value, staticmethod | classmethod) else value)
        for base in kind.__bases__:
            self._add(base)

    def _add_globals(self, function: types.FunctionType) -> None:
        """The globals that a function names, and those within it."""
        names, around = sorted(_names(function.__code__)), function.__globals__
        for name in names:
            if name in around:
                self._say(name)
                self._add(around[name])
                if isinstance(around[name], types.ModuleType) and _is_own(around[name]):
                    # Which module an attribute is read of does not stand in the code, only its name.
                    held = vars(around[name])
                    for attribute in names:
                        self._add(held.get(attribute))


def _names(code: types.CodeType) -> set[str]:
    """The names of globals and attributes in a function's code, and in those within it."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*inner)


def _is_own(value: Any) -> bool:
    """Whether a function, a class or a module is of a user's own: neither the library's, nor an installed one's."""
    if isinstance(value, types.FunctionType):
        # What was made around a function of the library, by a type checker say, says that it is the library's; and what was
        # made of a text alone has no globals.
        places = {value.__globals__.get("__name__"), value.__module__} - {None}
        return bool(places) and all(_is_own_module(place, value.__code__.co_filename) for place in places)
    if isinstance(value, type):
        return _is_own_module(value.__module__, getattr(sys.modules.get(value.__module__), "__file__", None))
    if isinstance(value, types.ModuleType):
        return _is_own_module(value.__name__, getattr(value, "__file__", None))
    return False


@functools.lru_cache(maxsize=4096)
def _is_own_module(name: str, file: str | None) -> bool:
    package = name.partition(".")[0]
    if package in PACKAGES or package in LIBRARIES or package in sys.stdlib_module_names:
        return False
    return file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts)
