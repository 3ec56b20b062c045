"""The compiled program of a block of chains, and the chain itself, which can be a part of other programs."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nctheory.engine import Array, fast_compile, shown
from nctheory.problems import Params, Problem, unravel
from nctheory.sampling._schemes import ChainState, Numbers, Scheme, advance, begin

Observe = Callable[[Any, Params], Any]


@shown()
class Running(NamedTuple):
    """Moments over the steps of one chain: how many were counted, their mean, and the sum of centred squares."""

    count: Array
    mean: Any
    squares: Any


@shown()
class Chain(NamedTuple):
    """What is kept of one chain."""

    points: Array
    """The points at the stops, stops x P."""
    values: Any
    """What was observed there."""
    state: ChainState
    """Where it ended."""
    running: Running | None
    """Moments of what was observed over the steps that were counted; None where they were not asked for."""


def follow_chain(
    problem: Problem,
    scheme: Scheme,
    numbers: Numbers,
    words: Array,
    start: Array,
    stops: Array,
    observe: Observe,
    counted: tuple[Array, Array] | None = None,
) -> Chain:
    """One chain of a process from a vector, seen after `stops` steps each; it can be traced.

    `words` are those of its random numbers, a row of `chain_words`. Of `counted`, (b, e), the moments of what is observed are
    taken over the steps b + e, b + 2e, and so on.
    """
    state = begin(problem, scheme, numbers, words, jnp.asarray(start))
    running = None
    if counted is not None:
        nothing = jax.tree.map(jnp.zeros_like, observe(problem, unravel(problem, state.point)))
        running = Running(jnp.zeros((), stops.dtype), nothing, nothing)

    def step(i: Array, carry: tuple[ChainState, Running | None]) -> tuple[ChainState, Running | None]:
        now = advance(problem, scheme, numbers, words, carry[0], i)
        if counted is None:
            return now, None
        first, every = counted
        wanted = (i + 1 > first) & ((i + 1 - first) % every == 0)
        counted_in = partial(_with_point, problem, observe, carry[1], now.point)
        return now, jax.lax.cond(wanted, counted_in, lambda: carry[1])

    def to_next(carry: tuple[Any, Array], upto: Array) -> tuple[tuple[Any, Array], Any]:
        inner = jax.lax.fori_loop(carry[1], upto, step, carry[0])
        point = inner[0].point
        return (inner, upto), (point, observe(problem, unravel(problem, point)))

    first = jnp.zeros((), stops.dtype)
    ((state, running), _), (points, values) = jax.lax.scan(to_next, ((state, running), first), jnp.asarray(stops))
    return Chain(points, values, state, running)


def _with_point(problem: Problem, observe: Observe, running: Running | None, point: Array) -> Running:
    return add(running, observe(problem, unravel(problem, point)))


def add(running: Running | None, value: Any) -> Running:
    """The moments with one more value (Welford 1962): no difference of large sums is taken."""
    assert running is not None
    count = running.count + 1
    off = jax.tree.map(lambda x, mean: x - mean, value, running.mean)
    mean = jax.tree.map(lambda m, d: m + d / count.astype(d.dtype), running.mean, off)
    squares = jax.tree.map(lambda s, d, x, m: s + d * (x - m), running.squares, off, value, mean)
    return Running(count, mean, squares)


@partial(fast_compile, static_argnames=("scheme", "observe"))
def chain_block(
    problem: Problem,
    numbers: Numbers,
    words: Array,
    starts: Array,
    stops: Array,
    counted: tuple[Array, Array] | None,
    scheme: Scheme,
    observe: Observe,
) -> Chain:
    """A block of chains side by side; a root of the gradient noise is theirs together, other hyperparameters are a chain's."""

    def one(own: Numbers, word: Array, start: Array) -> Chain:
        return follow_chain(problem, scheme, own, word, start, stops, observe, counted)

    axes = Numbers(0, 0, 0, None)  # pyright: ignore[reportArgumentType]
    return jax.vmap(one, in_axes=(axes, 0, 0))(numbers, words, starts)
