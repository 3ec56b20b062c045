"""Tsitouras' method with its stages written out: diffrax's loop over them reads and writes all seven slopes in each."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp

from nctheory.flow._vectors import Point

TABLEAU = diffrax.Tsit5.tableau


class UnrolledTsit5(diffrax.AbstractAdaptiveSolver):
    """The steps of `diffrax.Tsit5`, to rounding; its state is the slope at the start of a step.

    >>> import jax.numpy as jnp
    >>> term, half = diffrax.ODETerm(lambda t, y, args: -y), jnp.asarray(0.5)
    >>> ends = []
    >>> for solver in (UnrolledTsit5(), diffrax.Tsit5()):
    ...     state = solver.init(term, 0.0, half, jnp.ones(2), None)
    ...     end, error, *_ = solver.step(term, 0.0, half, jnp.ones(2), None, state, False)
    ...     ends.append(jnp.stack([end, error]))
    >>> bool(jnp.allclose(*ends, rtol=1e-5, atol=1e-7))
    True
    """

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., diffrax.LocalLinearInterpolation]] = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        return 5

    def error_order(self, terms: Any) -> Any:
        return diffrax.Tsit5().error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Point:
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Point, made_jump: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        h = t1 - t0
        slopes, y1 = [solver_state], y0
        for row, node in zip(TABLEAU.a_lower, TABLEAU.c, strict=True):
            moved = _combined(row, slopes)
            y1 = jax.tree.map(lambda y, change: y + h * change, y0, moved)
            slopes.append(terms.vf(t0 + node * h, y1, args))
        # The last stage is the solution, and its slope the first of the next step.
        error = jax.tree.map(lambda change: h * change, _combined(TABLEAU.b_error, slopes))
        return y1, error, {"y0": y0, "y1": y1}, slopes[-1], diffrax.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)


def _combined(weights: Any, slopes: list[Point]) -> Point:
    """The slopes' sum with these weights."""

    def total(*parts: Any) -> Any:
        terms = [float(w) * part for w, part in zip(weights, parts, strict=True)]
        return sum(terms[1:], jnp.asarray(terms[0]))

    return jax.tree.map(total, *slopes)
