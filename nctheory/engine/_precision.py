"""float64 for every verdict, without changing the host program's default precision.

Importing nctheory touches no JAX setting. Each public verb runs inside ``jax.enable_x64(True)`` and hands back
NumPy float64 arrays, because a JAX float64 array is silently demoted by the first ``jnp`` call of a host program
that runs in 32 bits. The command line, which owns its process, switches float64 on for good.

The checks for NaN, infinity and leaked tracers that a host program may have switched on for its own programs are off within
a verb: NaN and infinity are marks there (of what is unknown, of a path that has ended), and a solver's traces keep tracers of
those around them, which the last check takes for leaks.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

import jax
import numpy as np

from nctheory.engine._concrete import holds_traced
from nctheory.engine._reads import reads_noted

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

EPS = float(np.finfo(np.float64).eps)


def to_host(tree: Any) -> Any:
    """Turn every concrete JAX array of a pytree into a NumPy array; tracers and PRNG keys pass through."""

    def leaf(x: Any) -> Any:
        if not isinstance(x, jax.Array) or jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return x
        try:
            return np.asarray(x)
        except jax.errors.TracerArrayConversionError:
            return x

    return jax.tree.map(leaf, tree)


@contextlib.contextmanager
def _verb_settings() -> Iterator[None]:
    """The settings of JAX, in this thread, that every verb runs with: double precision, and no check of the host program's.

    >>> with jax.debug_nans(True), _verb_settings():
    ...     float(jax.numpy.asarray(0.0) / 0.0)
    nan
    """
    with jax.enable_x64(True), jax.debug_nans(False), jax.debug_infs(False), jax.check_tracer_leaks(False):
        yield


def float64(verb: F) -> F:
    """Run a public verb in double precision, and without checks for NaN, whatever the settings of the host program are, and
    on what the user's own functions read now (`reads_noted`)."""

    @functools.wraps(verb)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _verb_settings(), reads_noted(args, kwargs):
            return to_host(verb(*args, **kwargs))

    return cast(F, wrapped)


def only_in_float64(verb: F) -> F:
    """`float64`, for a bound: traced in a program of single precision, which rounds what is around it, it raises ValueError.

    >>> bound = only_in_float64(lambda x: x - 1e-12)
    >>> with jax.enable_x64(False):
    ...     print(float(bound(np.ones(()))))
    0.999999999999
    >>> with jax.enable_x64(False):
    ...     jax.jit(bound)(1.0)
    Traceback (most recent call last):
    ValueError: <lambda>: expected to be traced in float64, got a program of single precision, which would round the bound ...
    """
    ours = float64(verb)

    @functools.wraps(ours)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if jax.dtypes.canonicalize_dtype(np.float64) != np.float64 and holds_traced((args, kwargs)):
            raise ValueError(
                f"{getattr(verb, '__name__', 'bound')}: expected to be traced in float64, got a program of single precision, "
                "which would round the bound away; trace it within jax.enable_x64(True)"
            )
        return ours(*args, **kwargs)

    return cast(F, wrapped)


def in_float64(function: Callable[P, R]) -> Callable[P, R]:
    """A function that computes in double precision, and returns what it returns; one that this made stays itself.

    >>> third = in_float64(lambda: jax.numpy.asarray(1.0) / 3)
    >>> third().dtype.name, in_float64(third) is third
    ('float64', True)
    """
    # Wrappers copy attributes, so that the mark names the function that bears it.
    if getattr(function, "_computes_in_float64", None) is function:
        return function

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with _verb_settings():
            return function(*args, **kwargs)

    wrapped._computes_in_float64 = wrapped  # type: ignore[attr-defined]
    return wrapped


def narrow_type(program: Any) -> tuple[str, str] | None:
    """The first floating-point type below double precision in a program, at any depth, and the operation it comes from.

    >>> rounds = lambda x: jax.numpy.sin(x.astype("float32")).astype("float64")
    >>> with jax.enable_x64(True):
    ...     narrow_type(jax.make_jaxpr(rounds)(1.0 * np.ones(2)).jaxpr)
    ('float32', 'convert_element_type')
    """
    for equation in program.eqns:
        for found in equation.outvars:
            kind = getattr(found.aval, "dtype", np.dtype(bool))
            if jax.numpy.issubdtype(kind, np.inexact) and jax.numpy.finfo(kind).bits < 64:
                return str(kind), equation.primitive.name
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            within = narrow_type(getattr(inner, "jaxpr", inner)) if hasattr(inner, "eqns") else None
            if within is not None:
                return within
    return None
