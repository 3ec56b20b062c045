"""The memory of the polish at kinks: its direction is that of Nocedal's two loops on the pairs that were kept."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.flow import _kinks


def two_loops(gradient, pairs, scale):
    """The product H g by Nocedal's recursion, pairs (s, y) from the oldest to the newest."""
    q, shares = gradient.copy(), []
    for s, y in reversed(pairs):
        shares.append((s @ q) / (s @ y))
        q = q - shares[-1] * y
    q = scale * q
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        q = q + (share - (y @ q) / (s @ y)) * s
    return q


def blank(size):
    """A lane with an empty memory."""
    number, nothing = jnp.zeros(()), jnp.asarray(0)
    record: Any = None
    table = jnp.zeros((_kinks.MEMORY, _kinks.MEMORY))
    return _kinks._Lane(
        record, jnp.zeros(size), jnp.zeros(size), number, jnp.ones(()), number, number, nothing, nothing,
        jnp.zeros((2 * _kinks.MEMORY, size)), nothing, nothing, table, table, jnp.asarray(False),
    )  # fmt: skip


def test_the_direction_is_that_of_two_loops_whatever_was_kept(rng):
    size = 30
    curvature = rng.normal(size=(size, size))
    curvature = curvature @ curvature.T + np.eye(size)
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    with jax.enable_x64(True):
        lane, gradient = blank(size), rng.normal(size=size)
        remember, direct = jax.jit(_kinks._remembered), jax.jit(_kinks._direction)
        for turn in range(3 * _kinks.MEMORY):
            step = rng.normal(size=size)
            change = curvature @ step + 0.1 * rng.normal(size=size)
            if turn % 7 == 3:
                change = -change  # the gradient changes against the step: the pair is left out
            if turn == _kinks.MEMORY + 5:  # the memory is dropped
                lane, kept = lane._replace(known=jnp.asarray(0)), []
            taken = turn % 5 != 4
            lane = lane._replace(direction=jnp.asarray(step), gradient=jnp.asarray(gradient - change))
            now = jnp.asarray(gradient)
            lane, products = remember(lane, now, now, jnp.asarray(taken))
            if taken and step @ change > 0:
                kept = [*kept, (step, change)][-_kinks.MEMORY :]
            assert int(lane.known) == len(kept)
            direction, slope = direct(now, lane, products, jnp.asarray(1.0))
            if kept:
                s, y = kept[-1]
                scale = (s @ y) / (y @ y)
            else:
                scale = min(0.1 * size**0.5 / np.linalg.norm(gradient), 1.0)
            told = -two_loops(gradient, kept, scale)
            assert np.linalg.norm(np.asarray(direction) - told) < 1e-9 * np.linalg.norm(told), turn
            assert abs(float(slope) - told @ gradient) < 1e-9 * abs(told @ gradient)
            gradient = rng.normal(size=size)


def test_a_lane_that_is_not_taken_keeps_its_pairs(rng):
    with jax.enable_x64(True):
        lane = blank(5)._replace(direction=jnp.asarray(rng.normal(size=5)), gradient=jnp.zeros(5))
        now = jnp.asarray(rng.normal(size=5))
        after, _ = _kinks._remembered(lane, now, now, jnp.asarray(False))
        assert np.array_equal(after.pairs, lane.pairs)
        assert int(after.newest) == int(lane.newest)
