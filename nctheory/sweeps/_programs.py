"""What is computed, as a digest: programs with every constant at any depth, and the code that solves."""

import contextlib
import hashlib
import importlib.util
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from nctheory.certificates import lower_bound
from nctheory.engine import Array, Scalar, code_digest, forget_programs
from nctheory.problems import NoCertificate, Params, Problem, shape_of, template

Measure = Callable[[Problem, Params], Array | Scalar]
"""An order parameter: a number at one point of one problem, in JAX. The problem comes as `without_counts` leaves it."""


def program_digest(problem: Problem, measures: Mapping[str, Measure]) -> str:
    """A digest of what is computed for problems of this form: start, objective, gradient, bound and measures, as JAX traces
    them.

    It changes with the code of any of them and with every constant in them, however deep in nested functions, and not
    with the numbers in the problem. Where it has changed since it was asked for last, by a global that a measure reads
    say, the programs of this process are dropped, which would compute what was asked for then. Raises ValueError for a
    measure that is not one number, and for anything that calls back into Python, where no digest tells what it does.
    """
    leaves, structure = jax.tree.flatten(problem)

    # The numbers of the problem are arguments of the traced program, so that its text does not depend on them.
    def traced(name: str, function: Callable[[Problem, Params], Any]) -> str:
        def run(values: list[Array], params: Params) -> Any:
            return function(jax.tree.unflatten(structure, values), params)

        return f"{name} {_described(jax.make_jaxpr(run)(leaves, template(problem)), name)}"

    # The digest is over the texts of all that is computed: objective, gradient, start, bound, measures.
    parts = [traced("objective", lambda one, params: one.objective(params))]
    parts.append(traced("gradient", lambda one, params: one.value_and_grad(params)))
    parts.append(traced("init", lambda one, params: one.init(jax.random.key(0), jnp.float64(1.0))))
    try:
        parts.append(traced("bound", lower_bound))
    except NoCertificate as missing:
        parts.append(str(missing))
    for name, measure in measures.items():
        shape = jax.eval_shape(lambda params, measure=measure: measure(problem, params), template(problem)).shape
        if shape != ():
            raise ValueError(f"measures[{name!r}]: expected one number a point, got shape {shape}")
        parts.append(traced(f"measures[{name!r}]", measure))
    if _changed(shape_of(problem), parts, measures):
        forget_programs()
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


_SEEN: dict[Any, str] = {}
_MEASURED: weakref.WeakKeyDictionary[Any, dict[Any, str]] = weakref.WeakKeyDictionary()
"""The text of what forms of problems, and measures of such, were seen to compute last."""


def _changed(form: Any, parts: Sequence[str], measures: Mapping[str, Measure]) -> bool:
    """Whether a form's own parts, or one of its measures, of which the last parts are, compute something else by now."""
    own = len(parts) - len(measures)
    text = "\n".join(parts[:own])
    changed = _SEEN.setdefault(form, text) != text
    _SEEN[form] = text
    for (name, measure), part in zip(measures.items(), parts[own:], strict=True):
        with contextlib.suppress(TypeError):  # what takes no weak reference
            # The same measure may stand under another name.
            seen, text = _MEASURED.setdefault(measure, {}), part.removeprefix(f"measures[{name!r}] ")
            changed |= seen.setdefault(form, text) != text
            seen[form] = text
    return changed


def _described(program: ClosedJaxpr, name: str) -> str:
    """The text of a program, without addresses, and a digest of its constants in order."""
    # The text of a program shows no large constants, so that these are digested beside it.
    digest = hashlib.sha256()
    for constant in _constants(program, name):
        array = np.ascontiguousarray(constant)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return f"{re.sub(r' at 0x[0-9a-f]+', '', str(program))} {digest.hexdigest()}"


def _constants(program: ClosedJaxpr | Jaxpr, name: str) -> Iterator[Any]:
    """All arrays that a program closes over, its own and those of programs within it, in the order of its text."""
    if isinstance(program, ClosedJaxpr):
        yield from map(_plain, program.consts)
        program = program.jaxpr
    # Constants stand in an equation as literals, or within what it holds as parameters, at any depth.
    for equation in program.eqns:
        if "callback" in equation.primitive.name:
            raise ValueError(
                f"{name}: expected a program in JAX alone, got one that calls back into Python ({equation.primitive.name}): "
                "what it does has no identity, and could not be told from another's"
            )
        yield from (_plain(x.val) for x in equation.invars if isinstance(x, Literal))
        for parameter in equation.params.values():
            yield from _within(parameter, name)
    yield from (_plain(x.val) for x in program.outvars if isinstance(x, Literal))


def _within(parameter: Any, name: str) -> Iterator[Any]:
    """Constants of what a parameter of an equation holds: programs, arrays, or sequences of them."""
    if isinstance(parameter, ClosedJaxpr | Jaxpr):
        yield from _constants(parameter, name)
    elif isinstance(parameter, np.ndarray | jax.Array):
        yield _plain(parameter)
    elif isinstance(parameter, tuple | list):
        for one in parameter:
            yield from _within(one, name)


def _plain(constant: Any) -> np.ndarray:
    """A constant as NumPy has it; of a random key its data."""
    if isinstance(constant, jax.Array) and jax.dtypes.issubdtype(constant.dtype, jax.dtypes.prng_key):
        constant = jax.random.key_data(constant)
    return np.asarray(constant)


def platform() -> dict[str, str]:
    """What the last digits depend on beside the code: libraries and the kind of device."""
    import jaxlib

    device = jax.local_devices()[0]
    # On a GPU the kernels compute what they can where CuPy is there to launch them.
    kernels = device.platform != "cpu" and importlib.util.find_spec("cupy") is not None
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "device": f"{device.platform} {device.device_kind}{' with CuPy' if kernels else ''}",
    }


def running_code() -> dict[str, str]:
    """`code_digest` and `platform` of this process: results are the same to the last digit where these are."""
    return {"nctheory": code_digest(), **platform()}
