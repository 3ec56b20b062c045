"""What a user's own problem must be, looked at without computing anything before it is used."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from nctheory.engine import narrow_type, traced_hint, when_forgotten
from nctheory.problems._base import Problem, shape_of, template


def check_problem(problem: Problem) -> None:
    """Raise ValueError, naming what is wrong, where `init` returns no float64 arrays, `objective` no number or one that it
    computes in lower precision, or where JAX cannot follow either.

    The library's problems are taken as they are; what a method raises otherwise passes.
    """
    if not type(problem).__module__.startswith("nctheory."):
        _check(*shape_of(problem))


@cache
def _check(structure: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> None:
    values = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in leaves]
    problem = jax.tree.unflatten(structure, values)
    name = type(problem).__name__
    try:
        start = template(problem)
    except (TypeError, jax.errors.JAXTypeError) as error:
        hint = traced_hint(error)
        if "concrete value" in str(error):
            hint = "; declare a field that is a shape or a kind as equinox.field(static=True)"
        raise ValueError(
            f"problem: {name}.init(key, scale) cannot be evaluated: {type(error).__name__}: {str(error).splitlines()[0]}{hint}"
        ) from error
    for path, leaf in jax.tree_util.tree_leaves_with_path(start):
        if leaf.dtype != jnp.float64:
            raise ValueError(
                f"problem: {name}.init must return arrays of float64, got {leaf.dtype}{_at(path)}; as in "
                "jax.random.normal(key, shape, jnp.float64), or of an array x x.astype(jnp.float64)"
            )
    with jax.enable_x64(True):
        # The objective is traced at stand-ins for the start, and in float64, as it will be computed.
        program, value = jax.make_jaxpr(
            lambda numbers, point: jax.tree.unflatten(structure, numbers).objective(point), return_shape=True
        )(values, start)
    if getattr(value, "shape", None) != ():
        got = f"shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
        raise ValueError(f"problem: {name}.objective must return one number, shape (), got {got}")
    narrow = narrow_type(program.jaxpr)
    if narrow is not None:
        raise ValueError(f"problem: {name}.objective must compute in float64, got {narrow[0]} from {narrow[1]}")


when_forgotten(_check.cache_clear)


def _at(path: Any) -> str:
    return f" at {jax.tree_util.keystr(path)}" if path else ""


__all__ = ["check_problem"]
