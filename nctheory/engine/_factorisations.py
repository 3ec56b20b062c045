"""Programs whose factorisations of many matrices never wait for the threads that they themselves run on.

JAX 0.10 and 0.11 share a call of LAPACK on many matrices out over the threads that run the program's own steps, and the
thread that called waits for the others. As many such calls at a time as there are threads, in one program or in several, then
wait for each other for ever (seen with two independent solves in one program on two cores). A call on few enough matrices is
not shared out: those that would be are made one after the other here, to the same bits.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from nctheory.engine._concrete import is_traced

SHARED_OPERATIONS = 200_000
"""A call of fewer floating-point operations than these, as JAX counts them, is not shared out (`kMinWorkPerTask` in
jaxlib/cpu/lapack_kernels.cc)."""

_LAPACK = frozenset({
    "cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "ormqr", "qr", "schur", "svd",
    "triangular_solve", "tridiagonal", "tridiagonal_solve",
})  # fmt: skip
"""The primitives that call LAPACK on a CPU."""


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
        return jax.tree.unflatten(jax.tree.structure(result), jaxpr_as_fun(_unshared(program))(*traced))

    return unshared


def _unshared(program: ClosedJaxpr) -> ClosedJaxpr:
    """The program with every shared call in pieces; the program itself where it has none."""
    if not _has_shared(program.jaxpr):
        return program
    shapes = [
        jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype, weak_type=x.aval.weak_type) for x in program.jaxpr.invars
    ]
    return jax.make_jaxpr(functools.partial(_run, program))(*shapes)


def _run(program: ClosedJaxpr, *arguments: Any) -> list[Any]:
    """The results of the program, step by step."""
    inner = program.jaxpr
    known: dict[Any, Any] = dict(zip(inner.invars, arguments, strict=True))
    known.update(zip(inner.constvars, program.consts, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for step in inner.eqns:
        if _matrices_at_once(step) is not None:
            found = _in_pieces(step, *map(read, step.invars))
        else:
            # A step is evaluated as a program of its own, which keeps the settings that it was traced with.
            variables = list(dict.fromkeys(a for a in step.invars if not isinstance(a, Literal)))
            changed = step.replace(params={name: _unshared_parts(value) for name, value in step.params.items()})
            alone = inner.replace(constvars=[], invars=variables, outvars=step.outvars, eqns=[changed])
            found = jaxpr_as_fun(ClosedJaxpr(alone, []))(*map(read, variables))
        known.update(zip(step.outvars, found, strict=True))
    return [read(atom) for atom in inner.outvars]


def _unshared_parts(value: Any) -> Any:
    """A parameter of a step with every program in it (the body of a loop, the branches of a choice) replaced."""
    if isinstance(value, ClosedJaxpr):
        return _unshared(value)
    if isinstance(value, Jaxpr):
        return _unshared(ClosedJaxpr(value, [])).jaxpr if not value.constvars else value
    if isinstance(value, tuple) and any(True for _ in _programs(value)):
        parts = [_unshared_parts(one) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _programs(value: Any) -> Iterator[Jaxpr]:
    """The programs in a parameter of a step."""
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _programs(one)


def _has_shared(program: Jaxpr) -> bool:
    """Whether JAX would share a call of the program, at any depth, out over threads."""
    return any(
        _matrices_at_once(step) is not None or any(map(_has_shared, _programs(tuple(step.params.values()))))
        for step in program.eqns
    )


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
