"""Compiled programs are not free: they take seconds to make, and each holds about ten of a process's memory maps."""

import functools
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from nctheory._concrete import is_traced

LIGHT = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""Compiler options that make a program for a CPU in a third of the time; it then runs at a third to a quarter of the speed."""

LIMIT = 24_000
"""Memory maps from which on compiled programs are dropped; the compiler crashes the process at Linux's limit of 65,530."""


def light_jit(function: Callable[..., Any], *, static_argnames: str | tuple[str, ...] = ()) -> Callable[..., Any]:
    """`jax.jit` for a program that mostly does less work than it takes to compile: compiled with `LIGHT`.

    With the further keyword `light=False` it is an ordinary `jax.jit`; so it is on anything but a CPU, whose compiler
    alone knows the options, and inside another program.

    >>> addition = light_jit(lambda x: x + 1)
    >>> int(addition(1)), int(addition(1, light=False))
    (2, 2)
    """
    usual = jax.jit(function, static_argnames=static_argnames)

    @functools.cache
    def quickly() -> Any:
        if jax.default_backend() != "cpu":
            return usual
        try:
            jax.jit(lambda: 0, compiler_options=dict(LIGHT)).lower().compile()
        except jax.errors.JaxRuntimeError:  # a compiler that has renamed them
            return usual
        return jax.jit(function, static_argnames=static_argnames, compiler_options=dict(LIGHT))

    @functools.wraps(function)
    def call(*args: Any, light: bool = True, **kwargs: Any) -> Any:
        # Options are for whole programs.
        leaves, structure = jax.tree.flatten((args, kwargs))
        if _inside() or any(map(is_traced, leaves)):
            return usual(*args, **kwargs)
        program = quickly() if light else usual
        kind = (program, structure, *map(_kind, leaves))
        if kind not in _TRACED:
            with _TRACING:
                program.lower(*args, **kwargs)  # what the call below needs; JAX remembers it
            _TRACED.add(kind)
        return program(*args, **kwargs)

    return call


_TRACING = threading.RLock()
"""Programs are traced one at a time: of two at once, under Python's own lock, neither is ready before both are."""

_TRACED: set[Any] = set()
"""Programs that have been, each with the kinds of its arguments."""


def _inside() -> bool:
    """Whether another program is being traced: in that a new array has no numbers."""
    return is_traced(jnp.zeros(()))


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

    >>> double = one_at_a_time(lambda x: 2 * x)
    >>> int(double(jnp.ones(())))
    2
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _inside():  # nothing runs
            return function(*args, **kwargs)
        with _FACTORISATIONS:
            return jax.block_until_ready(function(*args, **kwargs))

    return call


def release_programs(limit: int = LIMIT) -> bool:
    """Drop all compiled programs of this process if it holds more than `limit` memory maps; whether it did.

    What is still needed is compiled again, or comes from the persistent cache. Does nothing where the number of maps cannot
    be read (anywhere but Linux).
    """
    try:
        with Path("/proc/self/maps").open("rb") as maps:
            held = sum(1 for _ in maps)
    except OSError:
        return False
    if held <= limit:
        return False
    jax.clear_caches()
    _TRACED.clear()
    gc.collect()
    return True
