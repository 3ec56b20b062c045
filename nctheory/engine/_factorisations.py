"""Programs whose factorisations of many matrices never wait for the threads that they themselves run on.

JAX 0.10 and 0.11 share a call of LAPACK on many matrices out over the threads that run the program's own steps, and the
thread that called waits for the others. As many such calls at a time as there are threads, in one program or in several, then
wait for each other for ever (seen with two independent solves in one program on two cores). A call on few enough matrices is
not shared out: those that would be are made one after the other here, to the same bits.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from nctheory.engine._concrete import is_traced

SHARED_OPERATIONS = 200_000
"""A call of fewer floating-point operations than these, as JAX counts them, is not shared out (`kMinWorkPerTask` in
jaxlib/cpu/lapack_kernels.cc)."""

_LAPACK = frozenset({
    "cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "ormqr", "qr", "schur", "svd",
    "triangular_solve", "tridiagonal", "tridiagonal_solve",
})  # fmt: skip
"""The primitives that call LAPACK on a CPU."""
_OPAQUE = frozenset({"linear_solve", "vprim"})
"""Primitives of other libraries that may be made of those: lineax's solves, and what equinox makes of them in batches."""


def unshared_factorisations(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose program on a CPU makes no call of LAPACK that JAX would share out over threads.

    It is for the outermost function of a program, within `jax.jit`: what differentiation and vectorisation make of the
    factorisations is then there already. Values are the same to the last bit.

    >>> import jax.numpy as jnp
    >>> matrices = jnp.stack([jnp.eye(3), 2 * jnp.eye(3)])
    >>> jax.jit(unshared_factorisations(jnp.linalg.inv))(matrices)[1, 0, 0].item()
    0.5
    """

    @functools.wraps(function)
    def unshared(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if is_traced(leaf)]

        def of_traced(*traced: Any) -> Any:
            # The traced leaves take their places; static arguments stay what they are.
            given = list(leaves)
            for i, x in zip(places, traced, strict=True):
                given[i] = x
            args, kwargs = jax.tree.unflatten(structure, given)
            return function(*args, **kwargs)

        traced = [leaves[i] for i in places]
        program, result = jax.make_jaxpr(of_traced, return_shape=True)(*traced)
        changed = ClosedJaxpr(_unshared(program.jaxpr), program.consts)
        return jax.tree.unflatten(jax.tree.structure(result), jaxpr_as_fun(changed)(*traced))

    return unshared


def _unshared(program: Jaxpr) -> Jaxpr:
    """The program with every shared call in pieces; the program itself where it has none.

    Steps are replaced where they stand, at any depth, and nothing is traced anew but what takes their places: so axes that a
    program names, references that it writes to, and settings that it was traced with stay what they are.
    """
    steps: list[JaxprEqn] = []
    changed = False
    for step in program.eqns:
        if _matrices_at_once(step) is not None:
            found = _inlined(step, functools.partial(_in_pieces, step))
        elif (inside := _expanded(step)) is not None:
            inner = _unshared(inside.jaxpr)
            found = [step] if inner is inside.jaxpr else _inlined(step, jaxpr_as_fun(ClosedJaxpr(inner, inside.consts)))
        else:
            params = {name: _unshared_parts(value) for name, value in step.params.items()}
            same = all(params[name] is value for name, value in step.params.items())
            found = [step if same else step.replace(params=params)]
        changed = changed or found[0] is not step
        steps += found
    return program.replace(eqns=steps) if changed else program


def _inlined(step: JaxprEqn, function: Callable[..., Any]) -> list[JaxprEqn]:
    """The steps of a function of a step's operands, which take its place."""
    with jax.enable_x64(True):  # numbers of 64 bits stay such, whatever the settings around
        traced = jax.make_jaxpr(function)(*(_stand_in(operand.aval) for operand in step.invars))
    inner = traced.jaxpr
    known: dict[Any, Any] = dict(zip(inner.invars, step.invars, strict=True))
    # Constants stand in the steps themselves.
    for variable, value in zip(inner.constvars, traced.consts, strict=True):
        known[variable] = Literal(np.asarray(value), variable.aval)
    ends = dict(zip(inner.outvars, step.outvars, strict=True))
    # A result that nobody asks for keeps its own name, under which later steps of the function may read it.
    known |= {mine: theirs for mine, theirs in ends.items() if not isinstance(theirs, DropVar)}

    def named(atom: Any) -> Any:
        return atom if isinstance(atom, Literal) else known.get(atom, atom)

    return [
        one.replace(invars=list(map(named, one.invars)), outvars=list(map(named, one.outvars))) for one in inner.eqns
    ]


def _stand_in(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _unshared_parts(value: Any) -> Any:
    """A parameter of a step with every program in it (the body of a loop, the branches of a choice) replaced."""
    if isinstance(value, ClosedJaxpr):
        inner = _unshared(value.jaxpr)
        return value if inner is value.jaxpr else ClosedJaxpr(inner, value.consts)
    if isinstance(value, Jaxpr):
        return _unshared(value)
    if isinstance(value, tuple):
        parts = [_unshared_parts(one) for one in value]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _expanded(step: JaxprEqn) -> ClosedJaxpr | None:
    """The program of a primitive of another library, which JAX makes only when it compiles; None for all others."""
    if step.primitive.name not in _OPAQUE:
        return None
    shapes = [_stand_in(operand.aval) for operand in step.invars]
    with jax.enable_x64(True):
        return jax.make_jaxpr(lambda *operands: step.primitive.impl(*operands, **step.params))(*shapes)


def _matrices_at_once(step: JaxprEqn) -> int | None:
    """The most matrices in one call that is not shared out; None for a step that is no such call, or small enough."""
    if step.primitive.name not in _LAPACK:
        return None
    operands: list[Any] = [operand.aval for operand in step.invars]
    batch = _batch(step)
    longest = max(1, *(side for operand in operands for side in operand.shape[len(batch) :]))
    # JAX counts at most 10 m n min(m, n) operations for an m x n matrix (for singular values, and for eigenvalues without
    # symmetry), and three times as many for complex numbers.
    cost = (30 if jnp.issubdtype(operands[0].dtype, jnp.complexfloating) else 10) * longest**3
    most = max(1, (SHARED_OPERATIONS - 1) // cost)
    if math.prod(batch) <= most:
        return None
    # Pieces of one size, so that one call in a loop is enough.
    return max(size for size in range(1, most + 1) if math.prod(batch) % size == 0)


def _batch(step: JaxprEqn) -> tuple[int, ...]:
    """The axes of a call of LAPACK that number matrices: all but two of the operand with the most, which is a matrix."""
    operands: list[Any] = [operand.aval for operand in step.invars]
    return max((operand.shape for operand in operands), key=len)[:-2]


def _in_pieces(step: JaxprEqn, *operands: Any) -> list[Any]:
    """The results of a call on many matrices, made on a few of them at a time."""
    size, batch = _matrices_at_once(step), _batch(step)
    assert size is not None

    def piece(several: list[Any]) -> list[Any]:
        found = step.primitive.bind(*several, **step.params)
        return list(found) if step.primitive.multiple_results else [found]

    parts = [x.reshape(math.prod(batch) // size, size, *x.shape[len(batch) :]) for x in map(jnp.asarray, operands)]
    return [x.reshape(*batch, *x.shape[2:]) for x in jax.lax.map(piece, parts)]
