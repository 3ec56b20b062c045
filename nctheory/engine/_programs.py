"""Compiled programs, kept and dropped: each takes seconds to make, and holds about ten of a process's memory maps."""

import collections
import functools
import gc
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from nctheory.engine._concrete import is_traced, within_trace
from nctheory.engine._factorisations import unshared_factorisations
from nctheory.engine._traced import from_disk

FAST_COMPILE_OPTIONS = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""With these options the compiler makes a program for a CPU in a third of the time, and it runs at a third to a quarter of
the speed."""

FULL_OPTIONS = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
"""The compiler's own settings for a CPU, which hold where the environment says otherwise too."""

SEPARATE_PRODUCTS_OPTIONS = {"xla_gpu_dot_merger_threshold_mb": 0}
"""With these options the compiler for a GPU does not merge two small products that have one factor in common. Gathering and
splitting their operands would make a solve take a fifth longer, and its compilation two fifths (measured)."""

MAX_MAP_SHARE = 3 / 8
"""Compiled programs are dropped where a process holds more than this share of the memory maps that the system allows it; the
compiler crashes the process where there are no more (conventional: one call of a verb compiles programs of up to 2,000
maps)."""

MAPS_BETWEEN = 2_000
"""The most maps that are taken between two calls that could drop programs (conventional, as above): as many calls as fit below
the limit count none, for counting 10,000 maps takes 8 ms, before every compilation and after every test (measured)."""

DEFAULT_MAP_LIMIT = 65_530
"""This is Linux's usual limit, taken where the actual one cannot be read."""


def max_maps() -> int:
    """The number of memory maps beyond which compiled programs are dropped.

    >>> 0 < max_maps()
    True
    """
    try:
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        allowed = DEFAULT_MAP_LIMIT
    return int(MAX_MAP_SHARE * allowed)


def fast_compile(function: Callable[..., Any], *, static_argnames: str | tuple[str, ...] = ()) -> Callable[..., Any]:
    """`jax.jit` for a program that mostly takes longer to compile than to run; it is compiled with `FAST_COMPILE_OPTIONS`.

    The result takes the further keyword `light`: with `light=False` it is an ordinary `jax.jit`. So it is inside another
    program, and on anything but a CPU, whose compiler alone knows these options (on a GPU it is compiled with
    `SEPARATE_PRODUCTS_OPTIONS`, light or not). With `light=None` it is compiled with `FULL_OPTIONS` whatever the environment
    says: for programs that always run for longer than it takes to compile them.

    >>> addition = fast_compile(lambda x: x + 1)
    >>> int(addition(1)), int(addition(1, light=False))
    (2, 2)
    """
    plain = jax.jit(function, static_argnames=static_argnames)

    def new_program(light: bool | None) -> Any:
        # A new function for each program, because JAX keys its own caches by the function: dropping the program then frees
        # what JAX keeps for it.
        @functools.wraps(function)
        def own(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        platform = jax.default_backend()
        # A GPU factorises in batches of its own; other accelerators leave float64 to the CPU beside them.
        whole = own if platform == "gpu" else unshared_factorisations(own)
        kept = functools.wraps(function)(from_disk(function, whole))
        return jax.jit(kept, static_argnames=static_argnames, compiler_options=_options(light, platform))

    @functools.wraps(function)
    def call(*args: Any, light: bool | None = True, **kwargs: Any) -> Any:
        # Compiler options hold for whole programs only: within a trace this is part of the outer program.
        leaves, structure = jax.tree.flatten((args, kwargs))
        if within_trace() or any(map(is_traced, leaves)):
            return plain(*args, **kwargs)
        key = (function, light, structure, *map(_leaf_key, leaves))
        program = _cached_program(key)
        if program is None:
            # Looked up again under the lock, for another thread may have traced the program in the meantime.
            with _TRACING_LOCK:
                program = _cached_program(key)
                if program is None:
                    # Room is made before the compilation, which needs memory maps itself.
                    release_programs()
                    program = new_program(light)
                    program.lower(
                        *args, **kwargs
                    )  # traced here, under the lock; the call below takes JAX's cached trace
                    with _PROGRAMS_LOCK:
                        _PROGRAMS[key] = program
        return program(*args, **kwargs)

    return call


@functools.cache
def _options(light: bool | None, platform: str) -> dict[str, Any] | None:
    """The compiler options for a program on a platform; None where there are none, or its compiler does not know them."""
    on_cpu = {True: FAST_COMPILE_OPTIONS, False: None, None: FULL_OPTIONS}[light]
    options = {"cpu": on_cpu, "gpu": SEPARATE_PRODUCTS_OPTIONS}.get(platform)
    if options is None:
        return None
    try:
        # A compiler refuses options that it does not know only when it compiles, so that a program of nothing is tried.
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except jax.errors.JaxRuntimeError:  # another version of the compiler may have renamed them
        return None
    return dict(options)


_TRACING_LOCK = threading.RLock()
"""Programs are traced one at a time: two traces at once share Python's lock, and neither would be ready before both are."""

_PROGRAMS: collections.OrderedDict[Any, Any] = collections.OrderedDict()
"""The programs by function and shapes of the arguments, the most recently used one last."""

_PROGRAMS_LOCK = threading.Lock()


def _cached_program(key: Any) -> Any:
    """The program under this key, which becomes the most recently used one; None where there is none."""
    with _PROGRAMS_LOCK:
        if key not in _PROGRAMS:
            return None
        _PROGRAMS.move_to_end(key)
        return _PROGRAMS[key]


def _leaf_key(leaf: Any) -> Any:
    """What a program depends on in one leaf of its arguments: an array's type and shape, or a static argument itself."""
    try:
        return jax.typeof(leaf)
    except TypeError:
        return leaf


class _Room:
    """How many maps there can be by now: those that were counted last, and `MAPS_BETWEEN` for each call since."""

    def __init__(self) -> None:
        self._most: int | None = None

    def counted(self, held: int | None) -> None:
        """Begin anew from a count."""
        self._most = held

    def left(self, allowed: int) -> bool:
        """Whether there is room for what one more call lets happen; it is taken to happen."""
        if self._most is not None:
            self._most += MAPS_BETWEEN
        return self._most is not None and self._most <= allowed


_ROOM = _Room()


def held_maps() -> int | None:
    """The number of this process's memory maps; None where it cannot be read (anywhere but Linux)."""
    try:
        with Path("/proc/self/maps").open("rb") as maps:
            return sum(1 for _ in maps)
    except OSError:
        return None


def release_programs(limit: int | None = None) -> bool:
    """Drop compiled programs if this process holds more than `limit` memory maps (`max_maps`), and say whether it did.

    The least recently used programs go first, half of all at a time, or as large a share as the maps too many are of all;
    where none is left, JAX's own caches are cleared. It is
    called before every compilation, so that a process may solve any number of shapes. A program that is needed again is
    compiled again, or comes from the persistent cache. Nothing happens where the number of maps cannot be read, nor, without
    a `limit`, while the last count was so low that there is room for all calls since.
    """
    allowed = max_maps() if limit is None else limit
    if limit is None and _ROOM.left(allowed):
        return False
    held = held_maps()
    _ROOM.counted(held)
    if held is None or held <= allowed:
        return False
    while held is not None and held > allowed:
        with _PROGRAMS_LOCK:
            count = math.ceil(len(_PROGRAMS) * max(1 / 2, 1 - allowed / held))
            oldest = [_PROGRAMS.popitem(last=False) for _ in range(count)]
        if not oldest:
            jax.clear_caches()
            gc.collect()
            break
        del oldest
        gc.collect()  # the maps are released with the programs' last references
        held = held_maps()
        _ROOM.counted(held)
    return True


_KEPT: list[Callable[[], None]] = []
"""What drops each of the things that are kept beside programs, and were found by tracing like these."""


def when_forgotten(drop: Callable[[], None]) -> None:
    """Have something dropped with the programs: what is kept of a user's function, and was found by tracing it."""
    _KEPT.append(drop)


def forget_programs() -> None:
    """Drop all programs and what was traced for them: what they were made of has changed since.

    A function is traced once for the shapes of its arguments, so that a program has what the function read besides these, a
    global of its module say, as it was then.
    """
    for drop in _KEPT:
        drop()
    with _PROGRAMS_LOCK:
        _PROGRAMS.clear()
    jax.clear_caches()
