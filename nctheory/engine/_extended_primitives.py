"""Rules of extended precision for elementwise primitives."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

from nctheory.engine._extended_numbers import (
    RULES,
    NotExtended,
    Numbers,
    boxed,
    functions_of,
    is_floating,
    is_real,
    rule,
)

Params = dict[str, Any]


def _truncated(x: np.ndarray, y: np.ndarray) -> Any:
    """The quotient of whole numbers without its fraction."""
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


WHOLE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _truncated,
    "rem": np.fmod,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
    "pow": np.power,
    "square": np.square,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
}
"""The primitives of whole numbers and Booleans."""
_COMPARISONS = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")} | {
    # The order in which numbers are sorted, NaN last.
    "eq_to": lambda x, y: x == y or (x != x and y != y),
    "lt_to": lambda x, y: x == x and (y != y or x < y),
    "le_to": lambda x, y: y != y or x <= y,
}


def elementwise(numbers: Numbers, name: str, *operands: np.ndarray) -> np.ndarray:
    """An elementwise primitive of real or of whole numbers."""
    if any(map(is_real, operands)):
        return numbers.map(name, *operands)
    if name not in WHOLE:
        raise NotExtended(f"{name} of whole numbers: no rule in extended precision")
    return np.asarray(WHOLE[name](*operands))


def _enter(name: str) -> None:
    RULES[name] = lambda numbers, params, *operands: elementwise(numbers, name, *operands)


# The two roundings are no primitives: `round` has a parameter that chooses between them.
for _name in {*functions_of(mpmath.mp), *WHOLE} - {"round_even", "round_away"}:
    _enter(_name)
# Derivatives are accumulated by an addition of its own name.
RULES["add_any"] = RULES["add"]


def _enter_comparison(name: str) -> None:
    def compare(numbers: Numbers, params: Params, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return boxed(np.frompyfunc(_COMPARISONS[name], 2, 1)(x, y)).astype(bool)

    RULES[name] = compare


for _name in _COMPARISONS:
    _enter_comparison(_name)


@rule("integer_pow")
def _integer_pow(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return elementwise(numbers, "pow", x, np.asarray(params["y"]))


@rule("round")
def _round(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    # JAX's method 1 rounds halves to the even number, and method 0 away from zero.
    return numbers.map("round_even" if int(params["rounding_method"]) == 1 else "round_away", x)


@rule("is_finite")
def _is_finite(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return boxed(np.frompyfunc(numbers.mp.isfinite, 1, 1)(x)).astype(bool)


@rule("stop_gradient", "copy", "copy_p", "reduce_precision", "name", "sharding_constraint")
def _same(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    return x


@rule("optimization_barrier", "device_put")
def _all_the_same(numbers: Numbers, params: Params, *operands: np.ndarray) -> Sequence[np.ndarray]:
    return operands


@rule("select_n")
def _select(numbers: Numbers, params: Params, which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    # Case 0 stands wherever `which`, a whole number or a Boolean, chooses none of the later cases.
    return functools.reduce(lambda out, k: np.where(which == k, cases[k], out), range(1, len(cases)), cases[0])


@rule("clamp")
def _clamp(numbers: Numbers, params: Params, low: np.ndarray, x: np.ndarray, high: np.ndarray) -> np.ndarray:
    return elementwise(numbers, "min", elementwise(numbers, "max", x, low), high)


@rule("convert_element_type")
def _convert(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    kind = np.dtype(params["new_dtype"])
    if is_floating(kind):
        return x if is_real(x) else numbers.lift(x)
    if kind.kind not in "biu":
        raise NotExtended(f"convert_element_type: no rule in extended precision for {kind}")
    if is_real(x) and kind.kind != "b":
        # As in JAX, NaN becomes 0, what exceeds the range becomes its nearest end, and all else is truncated towards zero.
        ends = (np.iinfo(kind).min, np.iinfo(kind).max)
        x = boxed(np.frompyfunc(lambda v: 0 if v != v else int(min(max(v, ends[0]), ends[1])), 1, 1)(x))
    return x.astype(kind)
