"""What a loss is computed from, found by a walk through its program: every intermediate result is rounded."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from nctheory.engine import Array

_MOVES = "broadcast_in_dim concatenate copy dynamic_slice gather iota pad reshape rev select_n slice squeeze transpose"
_CHOICES = "abs convert_element_type max min neg reduce_max reduce_min sign stop_gradient"
_EXACT = frozenset(f"{_MOVES} {_CHOICES}".split())
"""Primitives whose results are not rounded."""
_WALKED = ("jit", "pjit", "closed_call")
"""Primitives that are a program of others. Loops, and functions with a derivative of their own, count as one operation."""


def intermediate_terms(columns: Callable[[Array], Array], logits: Array) -> Array:
    r"""$T_j=\sum_r|r\,\partial\ell_j/\partial r|$ over the rounded intermediate results r of the program of `columns`, which
    makes M numbers $\ell_j$ of K x M logits, the j-th of the j-th column: to first order the rounding error of
    $\ell_j$ is at most $\varepsilon T_j$, but for sums, of which each counts as one operation.

    >>> apart = lambda z: (1.0 + z[0]) - z[0]
    >>> intermediate_terms(apart, jnp.array([[1e4]])).tolist()
    [10002.0]
    """
    program = jax.make_jaxpr(columns)(logits)

    def moved(factors: list[Array] | None) -> tuple[Array, list[Array]]:
        """The columns with every rounded result times one of the factors, and these results."""
        found: list[Array] = []

        def rounded(result: Array) -> Array:
            found.append(result)
            return result if factors is None else result * factors[len(found) - 1]

        (result,) = _walk(program, [logits], rounded)
        return result, found

    # With each result r times a factor that is 1, the derivative of sum_j w_j l_j by that factor is r sum_j w_j dl_j/dr.
    ones = [jnp.ones(x.shape, x.dtype) for x in jax.eval_shape(lambda: moved(None)[1])]
    _, pull = jax.vjp(lambda factors: moved(factors)[0], ones)

    def total(weights: Array) -> Array:
        """sum_j |w_j| T_j, since each result belongs to one column: the derivative by w_j is T_j."""
        (slopes,) = pull(weights)
        return sum((jnp.sum(jnp.abs(slope)) for slope in slopes), jnp.zeros(()))

    return jax.grad(total)(jnp.ones(logits.shape[1:], logits.dtype))


def _walk(program: ClosedJaxpr, arguments: list[Any], rounded: Callable[[Array], Array]) -> list[Any]:
    """The results of a program in which each rounded result is replaced by what `rounded` makes of it."""
    inner = program.jaxpr
    known: dict[Any, Any] = dict(zip(inner.invars, arguments, strict=True))
    known.update(zip(inner.constvars, program.consts, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for step in inner.eqns:
        name = step.primitive.name
        if name in _WALKED:
            found = _walk(step.params.get("jaxpr") or step.params["call_jaxpr"], list(map(read, step.invars)), rounded)
        else:
            # A primitive is evaluated as a program of one step, so that JAX knows its derivative.
            variables = list(dict.fromkeys(a for a in step.invars if not isinstance(a, Literal)))
            alone = inner.replace(constvars=[], invars=variables, outvars=step.outvars, eqns=[step])
            found = jaxpr_as_fun(ClosedJaxpr(alone, []))(*map(read, variables))
            # Only floats are rounded, and only by primitives that compute.
            if name not in _EXACT:
                found = [rounded(x) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in found]
        known.update(zip(step.outvars, found, strict=True))
    return [read(atom) for atom in inner.outvars]
