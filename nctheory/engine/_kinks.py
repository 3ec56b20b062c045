"""Programs with kinks: where a function is not differentiable, and the same program with its kinks rounded off.

The kinks are those of `max`, `min` and `abs` (and of what is made of them: ReLU, hinge, clipping, largest entries) on numbers
that depend on the arguments and that the result is differentiated through. They are found in the traced program, so that a
function need not be written for it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, Var

from nctheory.engine._kink_steps import (
    KEEPS_SIGN,
    LEAKY,
    NONNEGATIVE,
    WHOLE,
    UnsupportedKinks,
    done,
    is_float,
    is_kink,
    leak_of,
    live_variables,
    may_have_kinks,
    program_of,
)
from nctheory.engine._shown import shown
from nctheory.engine._types import Array

REACH = 1e3
"""A slope lies between those of the two sides within this many widths of a kink; there it differs from them by 2.5e-7."""


@shown()
class Kink(NamedTuple):
    """One place of a program where it is not differentiable."""

    kind: str
    """The operation."""
    shape: tuple[int, ...]
    """The shape of the numbers that have a kink at zero."""


Replace = Callable[[int, str, Array, Array | None, Any], Array]
"""What takes the place of kink i: of `max(a, b)`, of `abs(a)`, or of the largest entry of a along axes."""


def find_kinks(function: Callable[..., Any], *args: Any) -> tuple[Kink, ...]:
    """The kinks of a function of floating-point arrays (or their shapes) with one number as its result, in program order.

    Raises UnsupportedKinks for one within a loop or a choice.

    >>> import jax
    >>> find_kinks(lambda x: jnp.sum(jax.nn.relu(x)) + jnp.sum(jax.nn.logsumexp(x, axis=0)), jnp.ones((2, 3)))
    (Kink(kind='max', shape=(2, 3)),)
    """
    found: list[Kink] = []

    def note(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
        shape = jnp.shape(a) if b is None else jnp.broadcast_shapes(jnp.shape(a), jnp.shape(b))
        found.append(Kink(kind, tuple(shape)))
        return exact_kink(kind, a, b, how)

    jax.eval_shape(replace_kinks(function, note), *args)
    return tuple(found)


def replace_kinks(function: Callable[..., Any], replace: Replace) -> Callable[..., Any]:
    """The function with `replace(i, kind, a, b, how)` in the place of its i-th kink."""

    def replaced(*args: Any) -> Any:
        traced, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        walk = _Walk(replace)
        leaves = jax.tree.leaves(args)
        out = walk.run(traced, leaves, [True] * len(leaves), [True] * len(traced.jaxpr.outvars))
        return jax.tree.unflatten(jax.tree.structure(shape), out)

    return replaced


def kink_arguments(function: Callable[..., Any]) -> Callable[..., list[Array]]:
    """A function of the same arguments with the numbers that have a kink at zero, an array for each kink.

    They are a - b for `max(a, b)` and a for `abs(a)`; for the largest entry of a, what the others fall short of it.
    """

    def arguments(*args: Any) -> list[Array]:
        seen: list[Array] = []

        def note(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
            out = exact_kink(kind, a, b, how)
            seen.append(a - jnp.expand_dims(out, how) if kind == "reduce_max" else a if b is None else a - b)
            return out

        replace_kinks(function, note)(*args)
        return seen

    return arguments


def rounded_kinks(function: Callable[..., Any], widths: Array) -> Callable[..., Any]:
    r"""The function with kink i rounded off over `widths[i]`; of width zero it stays what it is, and so it does at infinity.

    With $r_\varepsilon(x)=\frac12(x+\sqrt{x^2+\varepsilon^2})$, `max(a, b)` becomes $b+r_\varepsilon(a-b)$ and `abs(a)`
    $\sqrt{a^2+\varepsilon^2}$; the largest of several entries becomes $\varepsilon\log\sum e^{a/\varepsilon}$. The values
    change by at most $\varepsilon/2$, $\varepsilon$ and $\varepsilon\log n$ at a kink of n entries.

    >>> relu = rounded_kinks(lambda x: jnp.sum(jnp.maximum(x, 0.0)), jnp.array([1e-3]))
    >>> bool(abs(relu(jnp.zeros(1)) - 5e-4) < 1e-9), bool(abs(relu(jnp.ones(1)) - 1.0) < 1e-6)
    (True, True)
    """
    return replace_kinks(function, lambda index, *kink: _rounded(widths[index], *kink))


def sloped_kinks(function: Callable[..., Any], widths: Array) -> Callable[..., Any]:
    r"""The function itself, with the slopes of `rounded_kinks` in its derivative next to kinks.

    Values are exact. Within `REACH` widths of a kink the slope is $\frac12(1+x/\sqrt{x^2+\varepsilon^2})$ at what the rounded
    program has there, which lies between the two sides' slopes 0 and 1; farther out it is that of its side. The derivative
    is thus an element of the subdifferential of a point at which every such kink is met exactly.
    """

    def sloped_function(*args: Any) -> Any:
        # Where kinks are fed by others, rounded values differ from exact ones by about a width, as do the numbers themselves.
        slopes: list[Array] = []

        def noted(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
            slopes.append(jax.lax.stop_gradient(_slope(widths[index], kind, a, b, how)))
            return _rounded(widths[index], kind, a, b, how)

        def sloped(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
            return sloped_kink(kind, a, b, how, slopes[index])

        replace_kinks(function, noted)(*args)
        return replace_kinks(function, sloped)(*args)

    return sloped_function


def on_branches(function: Callable[..., Any], which: Sequence[int]) -> Callable[..., tuple[Any, list[Array]]]:
    r"""The function $(s,x)\mapsto(f(x),c(x))$ of slopes s at its kinks `which`, and of its own arguments x.

    c are the numbers that have a kink at zero. Both values are exact; in their derivatives `max(a, b)` has
    $s\,a'+(1-s)\,b'$ and `abs(a)` $(2s-1)\,a'$. Raises UnsupportedKinks for the largest of several entries.

    >>> f = on_branches(lambda x: jnp.sum(jnp.maximum(x, 0.0)), (0,))
    >>> jax.grad(lambda x: f([jnp.array([0.25, 1.0])], x)[0])(jnp.zeros(2)).tolist()
    [0.25, 1.0]
    """

    def branch(slopes: Sequence[Array], *args: Any) -> tuple[Any, list[Array]]:
        given, seen = dict(zip(which, slopes, strict=True)), []

        def chosen(index: int, kind: str, a: Array, b: Array | None, how: Any) -> Array:
            if index not in given:
                return exact_kink(kind, a, b, how)
            if kind == "reduce_max":
                raise UnsupportedKinks("the branches of the largest of several entries are not told apart")
            seen.append(a if b is None else a - b)
            return sloped_kink(kind, a, b, how, given[index])

        return replace_kinks(function, chosen)(*args), seen

    return branch


def _rounded(width: Array, kind: str, a: Array, b: Array | None, how: Any) -> Array:
    exact = exact_kink(kind, a, b, how)
    some = jnp.where(width > 0, width, 1.0)
    if kind == "reduce_max":
        smooth = some * jax.nn.logsumexp(a / some, axis=how)
        return jnp.where((width > 0) & jnp.isfinite(exact), smooth, exact)
    x = a if b is None else a - b
    near = (width > 0) & jnp.isfinite(x)
    root = jnp.sqrt(jnp.where(near, x, 1.0) ** 2 + some**2)
    return jnp.where(near, root if b is None else b + 0.5 * (jnp.where(near, x, 0.0) + root), exact)


def _slope(width: Array, kind: str, a: Array, b: Array | None, how: Any) -> Array:
    """The share of a in the slope of `max(a, b)`, or that of every entry in the slope of the largest."""
    if kind == "reduce_max":
        short = (a - jnp.max(a, axis=how, keepdims=True)) / jnp.where(width > 0, width, 1.0)
        reach = jnp.where(width > 0, REACH, 0.0)
        return jax.nn.softmax(jnp.where(short < -reach, -jnp.inf, short), axis=how)
    x = a if b is None else a - b
    close = jnp.abs(x) <= REACH * width
    root = jnp.sqrt(jnp.where(close, x, 1.0) ** 2 + width**2)
    between = 0.5 * (1.0 + jnp.where(close, x, 1.0) / jnp.where(root > 0, root, 1.0))
    return jnp.where(close, between, jnp.where(x > 0, 1.0, 0.0))


def sloped_kink(kind: str, a: Array, b: Array | None, how: Any, slope: Array) -> Array:
    """The exact value, with given shares in the derivative; what is not finite has none."""
    exact, still = exact_kink(kind, a, b, how), jax.lax.stop_gradient

    def change(x: Array) -> Array:
        return jnp.where(jnp.isfinite(x), x - still(x), 0.0)

    if kind == "reduce_max":
        return still(exact) + jnp.sum(slope * change(a), axis=how)
    if b is None:
        return still(exact) + (2.0 * slope - 1.0) * change(a)
    return still(exact) + slope * change(a) + (1.0 - slope) * change(b)


def exact_kink(kind: str, a: Array, b: Array | None, how: Any) -> Array:
    if kind == "reduce_max":
        return jnp.max(a, axis=how)
    return jnp.abs(a) if b is None else jnp.maximum(a, b)


class _Walk:
    """One pass through a program that puts something else in the place of its kinks."""

    def __init__(self, replace: Replace) -> None:
        self.replace, self.count = replace, 0

    def run(self, closed: ClosedJaxpr, values: list[Any], moving: list[bool], asked: list[bool]) -> list[Any]:
        """The results of a program, of which those `asked` are differentiated, with respect to the operands `moving`."""
        program, consts = closed.jaxpr, closed.consts
        live = live_variables(program, asked)
        known = dict(zip([*program.constvars, *program.invars], [*consts, *values], strict=True))
        varies = {v for v, m in zip(program.invars, moving, strict=True) if m and is_float(v)}
        above: set[Var] = set()  # what is surely not negative

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, Literal) else known[atom]

        def nonnegative(atom: Any) -> bool:
            if isinstance(atom, Literal):
                return bool(np.all(np.asarray(atom.val) >= 0))
            return atom in above

        for step in program.eqns:
            operands = [read(x) for x in step.invars]
            moved = [not isinstance(x, Literal) and x in varies for x in step.invars]
            wanted = [v in live for v in step.outvars]
            result = self._step(step, operands, moved, wanted, [nonnegative(x) for x in step.invars])
            known.update(zip(step.outvars, result, strict=True))
            if any(moved) and step.primitive.name != "stop_gradient":
                varies.update(v for v in step.outvars if is_float(v))
            squared = step.primitive.name == "mul" and step.invars[0] is step.invars[-1]
            even = step.primitive.name == "integer_pow" and step.params["y"] % 2 == 0
            kept = step.primitive.name in KEEPS_SIGN and all(map(nonnegative, step.invars))
            if step.primitive.name in NONNEGATIVE or squared or even or kept:
                above.update(step.outvars)
        return [read(x) for x in program.outvars]

    def _step(
        self, step: JaxprEqn, operands: list[Any], moved: list[bool], wanted: list[bool], above: list[bool]
    ) -> list[Any]:
        name, inside = step.primitive.name, program_of(step)
        if not any(moved) or not any(wanted):
            return done(step, operands)
        if name == "jit" and step.params.get("name") == LEAKY:
            slope = operands[1] if len(operands) > 1 else leak_of(step)
            return [self._kink("max", operands[0], slope * operands[0], None)]
        if inside is not None and may_have_kinks(inside.jaxpr):
            if name not in WHOLE:
                raise UnsupportedKinks(f"a kink within {name}, which is not rounded off")
            return self.run(inside, operands, moved, wanted)
        if not is_kink(step, above):
            return done(step, operands)
        operands = [jnp.asarray(x) for x in operands]
        if name == "min":
            return [-self._kink("max", -operands[0], -operands[1], None)]
        if name == "reduce_min":
            return [-self._kink("reduce_max", -operands[0], None, step.params["axes"])]
        return [self._kink(name, operands[0], operands[1] if name == "max" else None, step.params.get("axes"))]

    def _kink(self, kind: str, a: Array, b: Array | None, how: Any) -> Array:
        index, self.count = self.count, self.count + 1
        return self.replace(index, kind, a, b, how)
