"""Short texts of results: shapes, counted statuses and key numbers, never arrays; and the same as a table for notebooks."""

import dataclasses
import enum
import html
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

LINE, CELL, PART = 380, 200, 48
"""The largest numbers of characters of a line, of a cell of the table, and of what a line says of one field."""


def shown(*first: str) -> Callable[[type[T]], type[T]]:
    """Give a NamedTuple or dataclass a short `repr`, and a table for notebooks; both begin with the properties `first`.

    A method `counts` says how many seeds ended how, and comes before all fields.

    >>> from typing import NamedTuple
    >>> @shown()
    ... class Ends(NamedTuple):
    ...     value: np.ndarray
    ...     note: str
    >>> Ends(np.linspace(0, 1, 5000), "a")
    Ends(value=float64[5000] 0 to 1, note='a')
    """

    def decorate(kind: type[T]) -> type[T]:
        def line(self: Any) -> str:
            return _line(self, first)

        def table(self: Any) -> str:
            return _table(self, first)

        kind.__repr__, kind._repr_html_ = line, table  # pyright: ignore[reportAttributeAccessIssue]
        return kind

    return decorate


def _line(one: Any, first: tuple[str, ...]) -> str:
    text, parts = f"{type(one).__name__}(", list(_told(one, first, PART))
    for i, (name, told) in enumerate(parts):
        part = (", " if i else "") + (f"{name}={told}" if name else told)
        # What no longer fits in the line is left out, a whole field at a time.
        if len(text) + len(part) > LINE:
            return f"{text}, …)"
        text += part
    return f"{text})"


def _table(one: Any, first: tuple[str, ...]) -> str:
    rows = "".join(
        f'<tr><th style="text-align: left">{html.escape(name)}</th><td style="text-align: left">{html.escape(told)}</td></tr>'
        for name, told in _told(one, first, CELL)
    )
    return f"<table><caption>{html.escape(type(one).__name__)}</caption><tbody>{rows}</tbody></table>"


def _told(one: Any, first: tuple[str, ...], limit: int) -> Iterator[tuple[str, str]]:
    """Names and texts: statuses, the properties `first`, and the fields that say something."""
    counts: Any = getattr(one, "counts", None)
    if callable(counts):
        found: Any = counts()
        yield "", ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in found.items() if number) or "none"
    for name in first:
        yield name, describe(getattr(one, name), limit)
    for name in _names(one):
        value = getattr(one, name)
        if value is not None and name not in first and not (name == "status" and callable(counts)):
            yield name, describe(value, limit)


def _names(one: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(one)) if dataclasses.is_dataclass(one) else tuple(one._fields)


def describe(value: Any, limit: int = PART) -> str:
    """A value in at most `limit` characters: shape and range of an array, what a container holds and how much.

    >>> describe(np.eye(3)), describe(np.array([True, False])), describe((1, 2.5)), describe({"a": np.zeros(3)})
    ('float64[3, 3] 0 to 1', 'bool[2] 1 true', '(1, 2.5)', '{a}')
    """
    text = _text(value, limit)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _text(value: Any, limit: int) -> str:
    # An enumeration comes first, because its members may be numbers or strings as well.
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    if value is None or isinstance(value, int):
        return str(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(map(str, list(value)[:20]))}}}"
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        return _named(value)
    if isinstance(value, tuple | list):
        return _sequence(value, limit)
    return getattr(value, "__name__", type(value).__name__)


def _array(value: Any) -> str:
    """Dtype, shape and range; for a stand-in for numbers, only dtype and shape."""
    head = f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    try:
        numbers = np.asarray(value)
    except Exception:  # a tracer, a random key
        return head
    if numbers.dtype.kind == "b":
        return str(bool(numbers)) if numbers.ndim == 0 else f"{head} {int(numbers.sum())} true"
    if numbers.dtype.kind not in "iuf" or numbers.size == 0:
        return head
    if numbers.ndim == 0:
        return f"{float(numbers):.6g}"
    finite = numbers[np.isfinite(numbers)].astype(float)
    if finite.size == 0:
        return f"{head} none finite"
    low, high = f"{finite.min():.6g}", f"{finite.max():.6g}"
    return f"{head} {low if low == high else f'{low} to {high}'}" + (
        f", {numbers.size - finite.size} not finite" if finite.size < numbers.size else ""
    )


def _named(value: Any) -> str:
    """A result within another: what it is called, or the shapes of its arrays."""
    kind = type(value).__name__
    for name in ("id", "name", "theorem"):
        called = getattr(value, name, None)
        if isinstance(called, str):
            return f"{kind} {called!r}"
    # A problem, which has `init`, is told by its type alone.
    parts = [getattr(value, name) for name in _names(value)] if not hasattr(value, "init") else []
    flat = [x for part in parts for x in (part if isinstance(part, tuple) else (part,))]
    shapes = ["x".join(map(str, x.shape)) for x in flat if getattr(x, "shape", ())]
    return f"{kind}({', '.join(shapes)})" if shapes else kind


def _sequence(value: Any, limit: int) -> str:
    """A few plain values as they are, arrays by their shapes; for others, how many there are and of what kind."""
    if value and all(hasattr(x, "shape") for x in value):
        text = f"({', '.join('x'.join(map(str, x.shape)) for x in value)})"
        return text if len(text) <= limit else f"{len(value)} arrays"
    if len(value) <= 8 and all(isinstance(x, str | int | float) for x in value):
        text = f"({', '.join(_text(x, limit) for x in value)})"
        if len(text) <= limit:
            return text
    kinds = sorted({type(x).__name__ for x in value})
    return f"{len(value)} {' or '.join(kinds) or 'items'}"
