"""What a user's own problem must be, looked at without computing anything before it is used."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from nctheory.problems._base import Problem, shape_of, template


def check_problem(problem: Problem) -> None:
    """Raise ValueError, naming what is wrong, where `init` returns no float64 arrays or `objective` no number.

    The library's problems are taken as they are; what a method raises passes.
    """
    if not type(problem).__module__.startswith("nctheory."):
        _check(*shape_of(problem))


@cache
def _check(structure: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> None:
    values = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in leaves]
    problem = jax.tree.unflatten(structure, values)
    name, start = type(problem).__name__, template(problem)
    for path, leaf in jax.tree_util.tree_leaves_with_path(start):
        if leaf.dtype != jnp.float64:
            raise ValueError(
                f"problem: {name}.init must return arrays of float64, got {leaf.dtype}{_at(path)}; as in "
                "jax.random.normal(key, shape, jnp.float64), or of an array x x.astype(jnp.float64)"
            )
    with jax.enable_x64(True):
        # The objective is traced at stand-ins for the start, and in float64, as it will be computed.
        value = jax.eval_shape(
            lambda numbers, point: jax.tree.unflatten(structure, numbers).objective(point), values, start
        )
    if getattr(value, "shape", None) != ():
        got = f"shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
        raise ValueError(f"problem: {name}.objective must return one number, shape (), got {got}")


def _at(path: Any) -> str:
    return f" at {jax.tree_util.keystr(path)}" if path else ""


__all__ = ["check_problem"]
