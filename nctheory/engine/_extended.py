"""`extended`: a JAX function evaluated anew with as many digits as wanted, by a walk through its program."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from nctheory.engine import _extended_arrays, _extended_linalg, _extended_primitives, _extended_reductions
from nctheory.engine._extended_numbers import RULES, NotExtended, Numbers, is_floating, is_real, rule
from nctheory.engine._untraced import IsTraced

Params = dict[str, Any]
__all__ = ["NotExtended", "extended"]

_FILES_OF_RULES = _extended_arrays, _extended_linalg, _extended_primitives, _extended_reductions
"""These modules are imported for the rules that they enter in the table."""
_MIN_DIGITS = 16
_NO_NUMBERS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    IsTraced,
)
"""What JAX, or a verb that runs programs of its own, raises when a function asks for the numbers of what it is traced with."""

_NUMERIC = jax.Array | np.ndarray | np.generic | bool | int | float

_EVALUATING = threading.Lock()
"""One evaluation runs at a time: mpmath keeps pi, log 2 and the like for all contexts together and, of two threads that want
different precisions, may hand one the other's digits. Python's own lock would let only one compute anyway."""


def extended(function: Callable[..., Any], *args: Any, digits: int = 50) -> Any:
    r"""$f(x_1,\dots)$ in arithmetic of `digits` decimal digits: the same formula, with rounding errors of about
    $10^{-digits}$ in the place of $10^{-16}$.

    `args` are pytrees (problems and parameters, say). Their float leaves, and arrays of mpmath numbers from an earlier
    call, are converted exactly and traced; whole numbers, Booleans and everything else stay what they are. Returns what
    `function` returns, with an object array of mpmath numbers, of the same shape, for each float array or number in it.
    The numbers belong to a context of the call's own, in which arithmetic between them keeps the digits; `mpmath.mp` is
    left alone. May be called from several threads.

    The formula is evaluated as it is written. Constants that it computes with NumPy have 16 digits, and a loop that ends
    at a tolerance ends there. A test that lets tracers pass (of a hypothesis on a decay, say) is passed by the numbers
    in `args`, not by those in what `function` closes over. What underflows in float64 does not here, and there is one
    zero, with 1/0 = inf.

    Raises NotExtended, naming the primitive, where the program has one without a rule (complex and random numbers, for
    instance), and where `function` cannot be traced because it asks for the numbers of its arguments; ValueError for
    less than 16 digits; and whatever `function` raises.

    >>> import jax.numpy as jnp
    >>> import mpmath
    >>> import numpy as np
    >>> loss = extended(lambda z: jnp.log(1.0 + jnp.exp(-z)), np.float64(40.0), digits=30)  # 0.0 in float64
    >>> loss.shape, loss.dtype, mpmath.nstr(loss.item(), 12)
    ((), dtype('O'), '4.24835425529e-18')
    """
    if digits < _MIN_DIGITS:
        raise ValueError(f"digits: expected at least {_MIN_DIGITS}, those of float64, got {digits}")
    with jax.enable_x64(True):
        # The trace is made in float64: under JAX's default settings its constants would be rounded to float32.
        program, arguments, assemble = _trace(function, args)
    with _EVALUATING, np.errstate(all="ignore"):
        # The floats among the arguments become mpmath numbers, exactly, and the program is run on these.
        numbers = Numbers(digits)
        results = _run(numbers, program, [numbers.lift(x) for x in arguments])
    return assemble(results)


def _trace(function: Callable[..., Any], args: Sequence[Any]) -> tuple[ClosedJaxpr, list[Any], Callable[..., Any]]:
    """The program of a function of its float arguments; these; and what makes the function's result of the program's."""
    leaves, structure = jax.tree.flatten(args)
    places = [i for i, leaf in enumerate(leaves) if _is_traced(leaf)]
    result: list[Any] = []

    def of_floats(*floats: Any) -> list[Any]:
        # The floats take their places among the leaves, all the others of which stay what they are.
        given = list(leaves)
        for i, x in zip(places, floats, strict=True):
            given[i] = x
        outputs, structure_of_result = jax.tree.flatten(function(*jax.tree.unflatten(structure, given)))
        # A program returns arrays only; what else the function returns is kept aside, for `assemble` to put the arrays into.
        numeric = [i for i, x in enumerate(outputs) if isinstance(x, _NUMERIC)]
        arrays = [outputs[i] for i in numeric]
        for i in numeric:
            outputs[i] = None  # a tracer must not outlive its trace
        result[:] = outputs, numeric, structure_of_result
        return arrays

    def assemble(arrays: Sequence[Any]) -> Any:
        outputs, numeric, structure_of_result = result
        for i, x in zip(numeric, arrays, strict=True):
            outputs[i] = x.copy() if isinstance(x, np.ndarray) else x  # many are views of one entry, and read-only
        return jax.tree.unflatten(structure_of_result, outputs)

    try:
        arguments = [np.asarray(leaves[i]) for i in places]
        # An array of mpmath numbers is traced as one of float64, of which the program sees shape and dtype only.
        shapes = [jax.ShapeDtypeStruct(x.shape, np.float64 if is_real(x) else x.dtype) for x in arguments]
        return jax.make_jaxpr(of_floats)(*shapes), arguments, assemble
    except _NO_NUMBERS as error:
        name = getattr(function, "__name__", type(function).__name__)
        reason = f"it asks for the numbers of its arguments ({type(error).__name__})"
        raise NotExtended(f"{name} cannot be traced: {reason}") from error


def _is_traced(leaf: Any) -> bool:
    """Whether a leaf of the arguments becomes an argument of the program: floats, and mpmath's numbers in an array."""
    kind = getattr(leaf, "dtype", None)
    return isinstance(leaf, float) or kind == np.dtype(object) or (kind is not None and is_floating(kind))


def _run(numbers: Numbers, program: ClosedJaxpr | Jaxpr, arguments: Sequence[Any]) -> list[Any]:
    """The results of a program, each primitive by its rule."""
    inner, constants = (program.jaxpr, program.consts) if isinstance(program, ClosedJaxpr) else (program, ())
    # `known` holds the value of every variable met so far: arguments, constants, and results of earlier primitives.
    known: dict[Any, Any] = dict(zip(inner.invars, arguments, strict=True))
    known.update(zip(inner.constvars, map(numbers.constant, constants), strict=True))

    def read(atom: Any) -> Any:
        if not isinstance(atom, Literal):
            return known[atom]
        # A literal is a number written into the program; its dtype is that of its abstract value.
        kind: Any = atom.aval
        return numbers.constant(np.asarray(atom.val, kind.dtype))

    for step in inner.eqns:
        name = step.primitive.name.replace("-", "_")
        apply = RULES.get(name)
        if apply is None:
            raise NotExtended(f"{step.primitive.name}: this primitive has no rule in extended precision")
        found = apply(numbers, step.params, *map(read, step.invars))
        if not step.primitive.multiple_results:
            found = [found]
        for variable, value in zip(step.outvars, found, strict=True):
            known[variable] = _settled(numbers, step.primitive.name, variable.aval, value)
    return [read(atom) for atom in inner.outvars]


def _settled(numbers: Numbers, name: str, expected: Any, value: Any) -> np.ndarray:
    """The outcome of a primitive, of the kind and shape that its program announces."""
    if is_floating(expected.dtype):
        value = value if is_real(np.asarray(value)) else numbers.lift(value)
    elif not (isinstance(expected.dtype, np.dtype) and expected.dtype.kind in "biu"):
        raise NotExtended(f"{name}: no rule in extended precision for {expected.dtype}")
    else:
        value = np.asarray(value, dtype=expected.dtype)
    if value.shape != expected.shape:
        raise AssertionError(f"the rule of {name} gave the shape {value.shape}, expected {expected.shape}")
    return value


@rule("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint")
@rule("custom_jvp_call", "custom_jvp_call_jaxpr", "custom_vjp_call", "custom_vjp_call_jaxpr")
def _call(numbers: Numbers, params: Params, *operands: Any) -> list[Any]:
    # Each kind of call keeps its program under another name; a derivative rule beside it plays no part in the value.
    program = next(params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in params)
    return _run(numbers, program, operands)


@rule("custom_linear_solve")
def _linear_solve(numbers: Numbers, params: Params, *operands: Any) -> list[Any]:
    lengths = params["const_lengths"]
    # The operands are the constants of matvec, vecmat, solve and transpose_solve, and the right side; solve alone is run.
    before, total = lengths.matvec + lengths.vecmat, sum(lengths)
    constants, right_side = operands[before : before + lengths.solve], operands[total:]
    return _run(numbers, params["jaxprs"].solve, [*constants, *right_side])


@rule("platform_index")
def _platform_index(numbers: Numbers, params: Params) -> np.ndarray:
    # The index is that of the branch for a CPU, or of the default branch, whose group is None.
    named = [None if group is None else "cpu" in group for group in params["platforms"]]
    return np.asarray(named.index(True) if True in named else named.index(None))


@rule("cond")
def _cond(numbers: Numbers, params: Params, which: np.ndarray, *operands: Any) -> list[Any]:
    # As in JAX, an index out of range takes the nearest branch.
    branches = params["branches"]
    return _run(numbers, branches[min(max(int(which), 0), len(branches) - 1)], operands)


@rule("while")
def _while(numbers: Numbers, params: Params, *operands: Any) -> list[Any]:
    # The operands are the constants of the test, the constants of the body, and the first carry.
    first = params["cond_nconsts"]
    second = first + params["body_nconsts"]
    of_test, of_body, carry = operands[:first], operands[first:second], list(operands[second:])
    while _run(numbers, params["cond_jaxpr"], [*of_test, *carry])[0]:
        carry = _run(numbers, params["body_jaxpr"], [*of_body, *carry])
    return carry


@rule("scan")
def _scan(numbers: Numbers, params: Params, *operands: Any) -> list[Any]:
    # The operands are constants, the first carry, and arrays of which every pass sees one slice.
    program, length, kept = params["jaxpr"], params["length"], params["num_carry"]
    first = params["num_consts"]
    constants, carry, slices = operands[:first], list(operands[first : first + kept]), operands[first + kept :]
    outputs = [
        np.empty((length, *aval.shape), dtype=object if is_floating(aval.dtype) else aval.dtype)
        for aval in program.out_avals[kept:]
    ]
    # A reversed scan begins at the last slice, and its outputs keep the places of the slices that they come from.
    for i in reversed(range(length)) if params["reverse"] else range(length):
        found = _run(numbers, program, [*constants, *carry, *(x[i, ...] for x in slices)])
        carry = found[:kept]
        for out, value in zip(outputs, found[kept:], strict=True):
            out[i, ...] = value
    return [*carry, *outputs]
