"""What all rules of extended precision share: the numbers, and the table that the rules enter themselves in.

A real array is a NumPy array of objects, each an mpmath number of the evaluation's own context; integers and Booleans are
ordinary NumPy arrays. A rule is called with the numbers, the primitive's parameters and its operands.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
"""The rule of each primitive, by the primitive's name with underscores for hyphens."""


class NotExtended(ValueError):
    """A function cannot be evaluated in extended precision; the message names the primitive, or says what else stops it."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a function in the table for the named primitives."""

    def add(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return add


@functools.cache
def is_floating(dtype: Any) -> bool:
    """Whether arrays of this dtype become arrays of mpmath numbers; float32 and the like too."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def is_real(array: np.ndarray) -> bool:
    """Whether this is an array of mpmath numbers."""
    return array.dtype == object


def boxed(value: Any) -> np.ndarray:
    """An array of objects: NumPy hands a single object out of its array."""
    if isinstance(value, np.ndarray):
        return value
    box = np.empty((), dtype=object)
    box[()] = value
    return box


class Numbers:
    """The arithmetic of one evaluation, in an mpmath context of its own: no global precision is touched."""

    def __init__(self, digits: int):
        self.mp: Any = mpmath.MPContext()
        self.mp.dps = digits
        self.functions = functions_of(self.mp)

    def lift(self, array: Any) -> np.ndarray:
        """Numbers of any array of reals, exactly wherever they have no more digits than the context."""
        array = np.asarray(array)
        if not is_real(array):  # whole numbers as such, and any narrow float by way of a double
            array = array.astype(np.float64 if is_floating(array.dtype) else object)
        return self.packed((self.mp.mpf(x) for x in array.ravel().tolist()), array.shape)

    def constant(self, value: Any) -> Any:
        """A constant of a program as an operand; what is no number (a random key) stays as it is."""
        if not hasattr(value, "dtype"):
            value = np.asarray(value)
        if is_floating(value.dtype):
            return self.lift(value)
        return np.asarray(value) if isinstance(value.dtype, np.dtype) else value

    def packed(self, values: Iterable[Any], shape: Sequence[int]) -> np.ndarray:
        """An array of objects from its entries in order."""
        flat = np.empty(math.prod(shape), dtype=object)
        flat[:] = list(values)
        return flat.reshape(shape)

    def filled(self, shape: Sequence[int], value: Any) -> np.ndarray:
        """A real array all of whose entries are one number."""
        return np.full(shape, self.mp.mpf(value), dtype=object)

    def map(self, name: str, *operands: np.ndarray) -> np.ndarray:
        """One of the functions of numbers, entry by entry; operands broadcast."""
        return boxed(np.frompyfunc(self.functions[name], len(operands), 1)(*operands))


def _of_angles(mp: Any, real: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The trigonometric and hyperbolic functions; `real` makes NaN of what would be complex."""
    return {
        "sin": mp.sin,
        "cos": mp.cos,
        "tan": mp.tan,
        "asin": real(mp.asin),
        "acos": real(mp.acos),
        "atan": mp.atan,
        "atan2": mp.atan2,
        "sinh": mp.sinh,
        "cosh": mp.cosh,
        "tanh": mp.tanh,
        "asinh": mp.asinh,
        "acosh": real(mp.acosh),
        "atanh": real(mp.atanh),
    }


def functions_of(mp: Any) -> dict[str, Callable[..., Any]]:
    """The primitives of real numbers, with the conventions of float64 where mpmath raises or turns complex.

    There is one zero and it counts as positive: 1/0 is inf, also where float64 has 1/-0.
    """
    # The end of float64; an exponential of more than this would need all memory for its exponent.
    far = mp.ldexp(1, 1024)
    half = mp.mpf(0.5)

    # Outside the domain of a real function mpmath turns complex, where float64 has NaN.
    def real(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def inside(x: Any) -> Any:
            y = function(x)
            return y if isinstance(y, mp.mpf) else mp.nan

        return inside

    def divide(x: Any, y: Any) -> Any:
        # By the sign of x, x/0 is inf or -inf; 0/0 is inf times 0, which is NaN.
        return x / y if y else mp.inf * mp.sign(x)

    def power(x: Any, y: Any) -> Any:
        # As in float64, x^0 = 1^y = 1 even for NaN, and 0^y is 0 for y > 0 and inf for y < 0.
        if not y or x == 1:
            return mp.one
        if not x:
            return mp.zero if y > 0 else mp.inf if y < 0 else mp.nan
        z = x**y
        return z if isinstance(z, mp.mpf) else mp.nan

    def exp(x: Any) -> Any:
        return mp.inf if x > far else mp.zero if x < -far else mp.exp(x)

    def remainder(x: Any, y: Any) -> Any:
        # The remainder has the sign of x, where Python's has that of y.
        return mp.sign(x) * (abs(x) % abs(y)) if y and not mp.isinf(x) else mp.nan

    sqrt = real(mp.sqrt)
    return {
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "div": divide,
        "rem": remainder,
        "neg": operator.neg,
        "abs": operator.abs,
        "sign": mp.sign,
        # A comparison with NaN is false, so that NaN in either place comes out.
        "max": lambda x, y: x if x != x or x >= y else y,
        "min": lambda x, y: x if x != x or x <= y else y,
        "pow": power,
        "square": lambda x: x * x,
        "sqrt": sqrt,
        "rsqrt": lambda x: divide(mp.one, sqrt(x)),
        "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
        "exp": exp,
        "exp2": lambda x: exp(x) if abs(x) > far else power(mp.mpf(2), x),
        "expm1": lambda x: exp(x) - 1 if abs(x) > far else mp.expm1(x),
        "log": real(mp.ln),
        "log1p": real(mp.log1p),
        "logistic": lambda x: 1 / (1 + exp(-x)),
        **_of_angles(mp, real),
        "erf": mp.erf,
        "erfc": mp.erfc,
        "floor": mp.floor,
        "ceil": mp.ceil,
        "round_even": mp.nint,
        "round_away": lambda x: mp.sign(x) * mp.floor(abs(x) + half),
    }
