"""The steps of a traced program, as far as kinks are concerned: which have one, which keep signs, what depends on what."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

GUARD = 1e-8
"""A comparison with a positive constant below this guards a division or a root, and is no kink (conventional)."""
WHOLE = frozenset({"closed_call", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "remat", "checkpoint"})
"""Steps that are a program, done once."""
NONNEGATIVE = frozenset({"exp", "sqrt", "abs", "square", "logistic", "erfc", "exp2"})
KEEPS_SIGN = frozenset({
    "broadcast_in_dim", "concatenate", "convert_element_type", "cumsum", "div", "add", "mul", "reduce_max", "reduce_min",
    "reduce_sum", "reshape", "slice", "squeeze", "transpose", "max", "min", "dynamic_slice", "copy",
})  # fmt: skip
"""Steps whose results are not negative where none of their operands is."""
LEAKY = "leaky_relu"


class UnsupportedKinks(ValueError):
    """A program has kinks within a loop or a choice, where they are not rounded off; the message says where."""


def is_float(variable: Any) -> bool:
    return jnp.issubdtype(variable.aval.dtype, jnp.floating)


def leak_of(step: JaxprEqn) -> Any:
    """The slope of a leaky ReLU on its negative side, where it is a constant of its program."""
    for inner in step.params["jaxpr"].jaxpr.eqns:
        if inner.primitive.name == "mul":
            return next(x.val for x in inner.invars if isinstance(x, Literal))
    raise UnsupportedKinks("a leaky ReLU of an unknown form")


def is_kink(step: JaxprEqn, above: list[bool]) -> bool:
    name = step.primitive.name
    if name == "abs":
        return not above[0]
    if name in ("reduce_max", "reduce_min"):
        return True
    if name not in ("max", "min"):
        return False
    constants = [np.asarray(x.val) for x in step.invars if isinstance(x, Literal)]
    if not constants:
        return True
    # What is not negative is not cut off at zero or below; a constant that is tiny or infinite is a guard.
    kept = any(up for up, x in zip(above, step.invars, strict=True) if not isinstance(x, Literal))
    limit = constants[0]
    if name == "max" and kept and np.all(limit <= 0):
        return False
    return bool(np.all(np.isfinite(limit))) and not bool(np.all((limit > 0) & (limit < GUARD)))


def program_of(step: JaxprEqn) -> ClosedJaxpr | None:
    """The program within a step; None where there is none."""
    for value in step.params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, ClosedJaxpr):
                return one
            if isinstance(one, Jaxpr):
                return ClosedJaxpr(one, ())
    return None


def may_have_kinks(program: Jaxpr) -> bool:
    """Whether there may be a kink in a program, at any depth."""
    for step in program.eqns:
        inside = program_of(step)
        if step.primitive.name in ("max", "min", "abs", "reduce_max", "reduce_min"):
            return True
        if inside is not None and (step.params.get("name") == LEAKY or may_have_kinks(inside.jaxpr)):
            return True
    return False


def live_variables(program: Jaxpr, asked: list[bool]) -> set[Var]:
    """The variables that the results asked for are differentiated through."""
    live = {v for v, one in zip(program.outvars, asked, strict=True) if one and not isinstance(v, Literal)}
    for step in reversed(program.eqns):
        if step.primitive.name != "stop_gradient" and any(v in live for v in step.outvars):
            live.update(x for x in step.invars if not isinstance(x, Literal) and is_float(x))
    return live


def done(step: JaxprEqn, operands: list[Any]) -> list[Any]:
    """The results of a step as it stands."""
    bound: Any = step.primitive.get_bind_params(step.params)
    # Older versions of JAX return functions among the operands apart from the parameters.
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    with step.ctx.manager:
        result = step.primitive.bind(*functions, *operands, **params)
    return list(result) if step.primitive.multiple_results else [result]
