"""Compiled programs are not free: they take seconds to make, and each holds about ten of a process's memory maps."""

import collections
import functools
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from nctheory.engine._concrete import is_traced, within_trace

LIGHT = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""Compiler options that make a program for a CPU in a third of the time; it then runs at a third to a quarter of the speed."""

UNMERGED = {"xla_gpu_dot_merger_threshold_mb": 0}
"""Compiler options for a GPU: two small products with one factor in common are not made one. Putting together and taking apart
for it costs a fifth of the default road's time again, and compiling takes two fifths longer (measured)."""

PART = 3 / 8
"""Part of the memory maps that the system allows a process from which on compiled programs are dropped; the compiler
crashes the process where there are no more (conventional: one call of a verb compiles programs of up to 2,000 maps)."""

USUAL_MAPS = 65_530
"""Linux's limit, where it cannot be read."""


def most_maps() -> int:
    """Memory maps from which on compiled programs are dropped.

    >>> 0 < most_maps()
    True
    """
    try:
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        allowed = USUAL_MAPS
    return int(PART * allowed)


def light_jit(function: Callable[..., Any], *, static_argnames: str | tuple[str, ...] = ()) -> Callable[..., Any]:
    """`jax.jit` for a program that mostly does less work than it takes to compile: compiled with `LIGHT`.

    With the further keyword `light=False` it is an ordinary `jax.jit`; so it is inside another program, and on anything but a
    CPU, whose compiler alone knows these options (on a GPU it is compiled with `UNMERGED`, light or not).

    >>> addition = light_jit(lambda x: x + 1)
    >>> int(addition(1)), int(addition(1, light=False))
    (2, 2)
    """
    usual = jax.jit(function, static_argnames=static_argnames)

    def own_program(light: bool) -> Any:
        # A function of its own: what JAX keeps for it is dropped with it.
        @functools.wraps(function)
        def own(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return jax.jit(own, static_argnames=static_argnames, compiler_options=_options(light, jax.default_backend()))

    @functools.wraps(function)
    def call(*args: Any, light: bool = True, **kwargs: Any) -> Any:
        # Options are for whole programs.
        leaves, structure = jax.tree.flatten((args, kwargs))
        if within_trace() or any(map(is_traced, leaves)):
            return usual(*args, **kwargs)
        kind = (function, light, structure, *map(_kind, leaves))
        program = _recent(kind)
        if program is None:
            with _TRACING:
                program = _recent(kind)
                if program is None:
                    release_programs()
                    program = own_program(light)
                    program.lower(*args, **kwargs)  # what the call below needs; JAX remembers it
                    with _BOOK:
                        _PROGRAMS[kind] = program
        return program(*args, **kwargs)

    return call


@functools.cache
def _options(light: bool, platform: str) -> dict[str, Any] | None:
    """Compiler options for a program on a platform, where its compiler knows them."""
    options = {"cpu": LIGHT if light else None, "gpu": UNMERGED}.get(platform)
    if options is None:
        return None
    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except jax.errors.JaxRuntimeError:  # a compiler that has renamed them
        return None
    return dict(options)


_TRACING = threading.RLock()
"""Programs are traced one at a time: of two at once, under Python's own lock, neither is ready before both are."""

_PROGRAMS: collections.OrderedDict[Any, Any] = collections.OrderedDict()
"""Programs by function and kinds of its arguments, the one used last at the end."""

_BOOK = threading.Lock()


def _recent(kind: Any) -> Any:
    """The program for this function and these arguments, which now is the one used last; None where there is none."""
    with _BOOK:
        if kind not in _PROGRAMS:
            return None
        _PROGRAMS.move_to_end(kind)
        return _PROGRAMS[kind]


def _kind(leaf: Any) -> Any:
    """What a program depends on: type and shape of an array, or a static argument as it is."""
    try:
        return jax.typeof(leaf)
    except TypeError:
        return leaf


_FACTORISATIONS = threading.RLock()


def one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which calls a program full of factorisations, finished before another such program begins.

    On a CPU LAPACK's routines, called by JAX on many matrices at once (0.10), share them out over the very threads that call
    them, and two programs that run at a time have been seen to wait for each other for ever.

    >>> import jax.numpy as jnp
    >>> double = one_at_a_time(lambda x: 2 * x)
    >>> int(double(jnp.ones(())))
    2
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if within_trace():  # nothing runs
            return function(*args, **kwargs)
        with _FACTORISATIONS:
            return jax.block_until_ready(function(*args, **kwargs))

    return call


def held_maps() -> int | None:
    """Memory maps of this process; None where they cannot be read (anywhere but Linux)."""
    try:
        with Path("/proc/self/maps").open("rb") as maps:
            return sum(1 for _ in maps)
    except OSError:
        return None


def release_programs(limit: int | None = None) -> bool:
    """Drop compiled programs if this process holds more than `limit` memory maps (`most_maps`); whether it did.

    Those used longest ago go first, half of all at a time; where none is left, all others that JAX keeps. Every program
    that is compiled asks for it, so that a process may solve any number of shapes. What is still needed is compiled again,
    or comes from the persistent cache. Does nothing where the number of maps cannot be read.
    """
    most, held = most_maps() if limit is None else limit, held_maps()
    if held is None or held <= most:
        return False
    while held is not None and held > most:
        with _BOOK:
            oldest = [_PROGRAMS.popitem(last=False) for _ in range(-(-len(_PROGRAMS) // 2))]
        if not oldest:
            jax.clear_caches()
            gc.collect()
            break
        del oldest
        gc.collect()
        held = held_maps()
    return True
