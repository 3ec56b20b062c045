"""The training of many seeds in segments of steps, each of them one call of one program."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, fast_compile, in_float64, map_in_blocks, shown
from nctheory.measures import within_class_variability
from nctheory.networks._network import Network
from nctheory.networks._optimisers import Rule, update
from nctheory.problems import Params, size

ON_ACCELERATOR = 2**26
"""The parameters of all seeds that go at a time on an accelerator."""


class Plan(NamedTuple):
    """All that the training of a seed depends on beside the network and its start."""

    rule: Rule
    rate: float
    steps: int
    batch: int | None
    key: Any


class State(NamedTuple):
    """Where the training of some seeds stands, with a leading axis over them."""

    point: Params
    memory: Any
    step: np.ndarray


@shown()
class Seen(NamedTuple):
    """What a network is at one point, each an array over seeds."""

    value: Any
    fit: Any
    grad_norm: Any
    error: Any
    nc1: Any


def begin(network: Network, plan: Plan, points: Params) -> State:
    """The state of seeds that have not moved yet."""
    count = len(jax.tree.leaves(points)[0])
    memory = jax.vmap(plan.rule.transformation.init)(points)
    return State(points, jax.tree.map(np.asarray, memory), np.zeros(count, np.int64))


def seeds_at_a_time(network: Network) -> int:
    """How many seeds one call trains; it depends on the network alone, so that a seed's numbers never depend on the others."""
    if jax.default_backend() == "cpu":
        return network.side_by_side
    return max(1, ON_ACCELERATOR // (4 * size(network)))


def advance(
    network: Network, plan: Plan, state: State, seeds: np.ndarray, upto: int, workers: int | None,
    rows: tuple[Array, Array] | None,
) -> State:  # fmt: skip
    """The state of all seeds after `upto` steps; a seed that is further already stays where it is.

    `rows` are the samples `by_rows`, where there are minibatches.
    """
    wide = seeds_at_a_time(network)
    pieces = [np.minimum(np.arange(first, first + wide), len(seeds) - 1) for first in range(0, len(seeds), wide)]
    keys = _keys(plan.key, seeds)

    @in_float64  # settings of JAX are those of a thread
    def run(index: np.ndarray) -> State:
        some = jax.tree.map(lambda x: x[index], state)
        if np.all(some.step >= upto):
            return some
        point, memory = _segment(
            network, rows, some.point, some.memory, keys[index], some.step, np.asarray(upto), np.asarray(plan.steps),
            np.asarray(plan.rate), rule=plan.rule, batch=plan.batch, light=False,
        )  # fmt: skip
        point, memory = jax.tree.map(np.asarray, (point, memory))
        return State(point, memory, np.maximum(some.step, upto))

    threads = workers or (os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1)
    with ThreadPoolExecutor(max(1, min(threads, len(pieces)))) as pool:
        parts = list(pool.map(run, pieces))
    return jax.tree.map(lambda *xs: np.concatenate(xs)[: len(seeds)], *parts)


def _keys(key: PRNGKeyArray, seeds: np.ndarray) -> Array:
    """The key of each seed's minibatches, by its number."""
    return jax.vmap(partial(jax.random.fold_in, key))(np.asarray(seeds, np.uint32))


@partial(fast_compile, static_argnames=("rule", "batch"))
def _segment(
    network: Network, rows: tuple[Array, Array] | None, points: Params, memories: Any, keys: Array, steps: Array, upto: Array,
    last: Array, rate: Array, rule: Rule, batch: int | None,
) -> tuple[Params, Any]:  # fmt: skip
    """Every seed from its own step up to another one of `last` steps in all."""

    def one(item: tuple[Any, ...]) -> tuple[Params, Any]:
        point, memory, key, begun = item

        def step(i: Array, carry: tuple[Params, Any]) -> tuple[Params, Any]:
            drawn = network
            if batch is not None and rows is not None:
                drawn = network.of_rows(rows, network.drawn(jax.random.fold_in(key, i), batch))
            # Where the decay is decoupled the gradient is that of the fit alone.
            gradient = jax.grad(drawn.fit)(carry[0]) if rule.decoupled else drawn.value_and_grad(carry[0])[1]
            left = (last - i).astype(float) / last.astype(float)
            return update(rule, gradient, carry[1], carry[0], network.decays(), rate, left)

        return jax.lax.fori_loop(begun, upto, step, (point, memory))

    items = (points, memories, keys, steps)
    if jax.default_backend() == "cpu" and keys.shape[0] == 1:
        return jax.lax.map(one, items)
    return jax.vmap(one)(items)


@fast_compile
def look(network: Network, points: Params) -> Seen:
    """Objective, fit, norm of the gradient, training error, and nc1 of the last features of each seed."""
    labels = jnp.argmax(jnp.asarray(network.targets), axis=0)

    def one(point: Params) -> Seen:
        value, slope = network.value_and_grad(point)
        norm = jnp.sqrt(sum((jnp.sum(x**2) for x in jax.tree.leaves(slope)), jnp.zeros(())))
        *_, features, logits = network.layers(point)
        wrong = (jnp.argmax(logits, axis=0) != labels).astype(float)
        nc1 = within_class_variability(features, labels, network.classes)
        fit = jnp.mean(network.loss.value(logits, jnp.asarray(network.targets)))
        return Seen(jnp.asarray(value), fit, norm, jnp.mean(wrong), nc1)

    return map_in_blocks(one, points, 1)


def segments(steps: int, stops: Sequence[int], parts: int) -> list[int]:
    """The numbers of steps at which training is interrupted: all of `stops`, `parts` others evenly, and the end.

    >>> segments(10, (3,), 2)
    [3, 5, 10]
    """
    evenly = [round(steps * i / parts) for i in range(1, parts)]
    return sorted({*(stop for stop in (*stops, *evenly) if 0 < stop < steps), steps})
