"""Mutants of the formulas: the source of a prediction changed in one place, as a slip of the pen would."""

import ast
import importlib
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

import nctheory as nct
from benchmarks.mutants._families import Mutant
from benchmarks.mutants._kept import Kept, Outcome, fresh, judged, keep, predictions, same


class Slip(NamedTuple):
    """One place in the source of a module, inside a function (or anywhere, of a theorem file)."""

    theorem: str
    module: str
    function: str | None
    old: str
    new: str
    equivalent: str | None = None
    claims: bool = False
    """Whether it changes what the claims observe, so that evidence is gathered anew."""


def of_slips(kept: Kept, slips: Sequence[Slip]) -> Iterator[Mutant]:
    """The slips of one theorem."""
    for slip in slips:
        if slip.theorem == kept.theorem.id:
            place = slip.function or slip.module.rsplit(".", 1)[-1]
            yield Mutant(
                slip.theorem, "formula", f"{place}: {slip.old} -> {slip.new}",
                lambda slip=slip: _judged(kept, slip), slip.equivalent, lambda slip=slip: _wrong(kept, slip),
            )  # fmt: skip


def _judged(kept: Kept, slip: Slip) -> Outcome:
    if slip.claims:
        anew = keep(_executed(slip), kept.key)
        return judged(anew, anew.theorem)
    if slip.function is None:
        return _or_error(kept, fresh(kept.theorem, _executed(slip).predict))
    with swapped(slip):
        return _or_error(kept, fresh(kept.theorem, kept.theorem.predict))


@contextmanager
def _wrong(kept: Kept, slip: Slip) -> Iterator[nct.Theorem]:
    """The theorem with the slip in it."""
    if slip.claims:
        yield _executed(slip)
    elif slip.function is None:
        yield fresh(kept.theorem, _executed(slip).predict)
    else:
        with swapped(slip):
            yield fresh(kept.theorem, kept.theorem.predict)


def _or_error(kept: Kept, changed: nct.Theorem) -> Outcome:
    try:
        if (
            same(predictions(kept, changed), predictions(kept, kept.theorem))
            and changed.predict is kept.theorem.predict
        ):
            return Outcome("holds", "the same predictions")
        return judged(kept, changed)
    except (ValueError, ArithmeticError, TypeError) as error:
        return Outcome("error", f"{type(error).__name__}: {error}")


def _mutated(source: str, slip: Slip, where: str) -> str:
    if source.count(slip.old) < 1:
        raise LookupError(f"{where}: {slip.old!r} does not stand there any more; mend the list of mutants")
    return source.replace(slip.old, slip.new, 1)


def _executed(slip: Slip) -> nct.Theorem:
    """The theorem of a file executed anew with one place changed; nothing is registered."""
    original = importlib.import_module(slip.module)
    source = _mutated(inspect.getsource(original), slip, slip.module)
    module = types.ModuleType(f"{slip.module}_mutant")
    module.__file__, module.__package__ = original.__file__, original.__package__
    sys.modules[module.__name__] = module
    found: list[nct.Theorem] = []
    register = nct.register
    try:
        nct.register = lambda theorem: found.append(theorem) or theorem  # type: ignore[assignment]
        exec(compile(source, f"<mutant of {slip.module}>", "exec"), module.__dict__)
    finally:
        nct.register = register
        del sys.modules[module.__name__]
    return next(one for one in found if one.id == slip.theorem)


def stale(slips: tuple[Slip, ...]) -> list[str]:
    """Slips whose place does not stand in the source any more."""
    gone = []
    for slip in slips:
        source = inspect.getsource(importlib.import_module(slip.module))
        tree = ast.parse(source)
        if slip.function is not None:
            nodes = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == slip.function]
            source = (ast.get_source_segment(source, nodes[0]) or "") if nodes else ""
        if slip.old not in source:
            gone.append(f"{slip.module}.{slip.function or ''}: {slip.old!r}")
    return gone


@contextmanager
def swapped(slip: Slip) -> Iterator[None]:
    """One function of a module with its code changed, for as long as it is judged."""
    module = importlib.import_module(slip.module)
    held: Any = getattr(module, slip.function or "")
    function = inspect.unwrap(held)
    tree = ast.parse(inspect.getsource(module))
    node = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == slip.function)
    source = ast.get_source_segment(inspect.getsource(module), node) or ""
    space = dict(module.__dict__)
    exec(compile(_mutated(source, slip, f"{slip.module}.{slip.function}"), "<mutant>", "exec"), space)
    original, function.__code__ = function.__code__, space[slip.function or ""].__code__
    try:
        _forget(held)
        yield
    finally:
        function.__code__ = original
        _forget(held)


def _forget(held: Any) -> None:
    """Drop what was compiled or kept of a function."""
    for name in ("clear_cache", "cache_clear"):
        drop = getattr(held, name, None)
        if drop is not None:
            drop()
    if hasattr(held, "clear_cache"):  # that of a jitted function leaves what was traced of it within others
        jax.clear_caches()


__all__ = ["Slip", "of_slips", "stale", "swapped"]
