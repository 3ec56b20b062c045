"""What an object is, in words that are the same in every process that runs the same code."""

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from typing import Any

import jax
import numpy as np

from nctheory.engine._code import LIBRARIES, NOT_CODE, code_digest
from nctheory.engine._concrete import is_traced

PACKAGES = ("nctheory", "proofs_numeric")
"""The packages whose functions are known by their name and a digest of the package's files; `LIBRARIES` by their versions."""
PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(Ellipsis)})
"""The types whose objects are said by their text."""


class NoIdentity(Exception):
    """What an object does cannot be told from its name and its parts."""


def identity(value: Any) -> str:
    """A text that two objects share only if a program that is made with one is the same as with the other.

    It is made of numbers and texts themselves, of arrays by their content, of classes and functions of `PACKAGES` and
    `LIBRARIES` by their name and the digest of their package's files (a function also by what it closes over), and of
    containers, dataclasses and the structures of trees of these by their parts. Raises `NoIdentity` for anything else, above
    all for functions and classes that stand in a user's own file or were typed in.

    >>> identity((1, 2.5, "a"))
    "tuple(int 1, float 2.5, str 'a')"
    >>> identity(eval("lambda x: x", {"__name__": "mine"}))
    Traceback (most recent call last):
    ...
    nctheory.engine._identity.NoIdentity: mine: not one of the packages that compute
    """
    return _identity(value, ())


def _identity(value: Any, around: tuple[int, ...]) -> str:
    if id(value) in around:  # a function that closes over itself
        return f"above {around.index(id(value))}"
    inner = functools.partial(_identity, around=(*around, id(value)))
    if type(value) in PLAIN:
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, enum.Enum):
        return f"{_named(type(value))}.{value.name}"
    if isinstance(value, np.dtype):
        return f"dtype {value}"
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return array_text(value)
    if isinstance(value, tuple | list):
        kind = type(value).__name__ if type(value) in (tuple, list) else _named(type(value))
        return f"{kind}({', '.join(map(inner, value))})"
    if type(value) in (dict, types.MappingProxyType):
        return f"dict({', '.join(f'{inner(key)}: {inner(one)}' for key, one in value.items())})"
    if type(value) in (frozenset, set):
        return f"set({', '.join(sorted(map(inner, value)))})"
    if isinstance(value, jax.tree_util.PyTreeDef):
        node = value.node_data()
        said = "leaf" if node is None else f"{_type(node[0])} {inner(node[1])}"
        return f"[{said}: {', '.join(map(inner, value.children()))}]"
    if isinstance(value, jax.Device):
        if value != jax.local_devices()[0]:
            raise NoIdentity(f"{value}: not the first device")
        return f"device {value.platform}"
    if isinstance(value, functools.partial):
        return f"partial({inner(value.func)}, {inner(value.args)}, {inner(value.keywords)})"
    if isinstance(value, types.MethodType):
        return f"method({inner(value.__self__)}, {_named(value.__func__)})"
    if isinstance(value, types.FunctionType) and _resolved(value) is not value:
        return _local(value, around)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        if set(getattr(value, "__dict__", ())) - set(names):
            raise NoIdentity(f"{type(value).__name__}: holds more than its fields")
        parts = (f"{name}={inner(getattr(value, name))}" for name in names)
        return f"{_named(type(value))}({', '.join(parts)})"
    if _holds_attributes_only(value):
        return f"{_named(type(value))}{{{inner(vars(value))}}}"
    return _named(value)  # a class, a function, or a compiled one, which goes by the name of what it was made of


def _holds_attributes_only(value: Any) -> bool:
    """Whether an object of a class of its own is no more than its attributes."""
    plain = type(value).__mro__[1:] == (object,) and isinstance(getattr(value, "__dict__", None), dict)
    return plain and not callable(value) and not getattr(type(value), "__slots__", ())


def array_text(value: Any) -> str:
    """An array by its content; raises `NoIdentity` where that is not known, or not all of what the array is."""
    if is_traced(value):
        raise NoIdentity("numbers that are not known yet")
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"key {jax.random.key_impl(value)} {array_text(jax.random.key_data(value))}"
    if not isinstance(value, jax.Array) and type(value) is not np.ndarray and not isinstance(value, np.generic):
        raise NoIdentity(f"{type(value).__name__}: an array that may hold more than its numbers")
    kind = f"weak {value.weak_type}" if isinstance(value, jax.Array) else type(value).__name__
    plain = np.ascontiguousarray(value)
    if plain.dtype.hasobject:
        raise NoIdentity("an array of objects")
    return f"array {kind} {plain.dtype.str} {np.shape(value)} {hashlib.sha256(plain.tobytes()).hexdigest()}"


def _type(kind: Any) -> str:
    return kind.__name__ if kind in (tuple, list, dict, type(None)) else _named(kind)


def _resolved(value: Any) -> Any:
    """What stands under an object's own name in its own module; None where nothing does."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in (getattr(value, "__qualname__", None) or "<none>").split("."):
        found = getattr(found, part, None)
    return found


def _named(value: Any) -> str:
    """An object of a known package that its own name leads to."""
    if _resolved(value) is not value:
        raise NoIdentity(f"{type(value).__name__}: not under a name of its own")
    return f"{_place(_module(value))}.{value.__qualname__}"


def _module(value: Any) -> str:
    """The module in which an object was made; of a function that in whose file it stands, whatever it is said to wrap."""
    return str(value.__globals__.get("__name__") if isinstance(value, types.FunctionType) else value.__module__)


def _place(module: str) -> str:
    """A module of a known package, with the digest of the package's files where that has one."""
    package, *rooms = module.split(".")
    if package in PACKAGES and not (rooms and rooms[0] in NOT_CODE):
        return f"{module}@{code_digest(package).split()[1]}"
    if package in LIBRARIES or package in ("builtins", "math", "operator"):
        return module
    raise NoIdentity(f"{module}: not one of the packages that compute")


def _local(function: types.FunctionType, around: tuple[int, ...]) -> str:
    """A function that was made within another one: where it stands in its file, and what it was made with."""
    inner = functools.partial(_identity, around=(*around, id(function)))
    code = function.__code__
    place = f"{_place(_module(function))}.{function.__qualname__}:{code.co_firstlineno}"
    try:
        closed = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell that is not filled yet
        raise NoIdentity(f"{place}: closes over what is not there yet") from None
    given = inner((function.__defaults__ or (), function.__kwdefaults__ or {}))
    return f"{place} {instructions(code)} {inner(closed)} {given}"


def instructions(code: types.CodeType) -> str:
    """What a function does, and those within it: several may begin in one line of a file."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount, code.co_flags)
    constants = [instructions(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return hashlib.sha256(code.co_code + repr((names, constants)).encode()).hexdigest()
