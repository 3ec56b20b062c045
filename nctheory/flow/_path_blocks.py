"""The parts that paths by flow and by descent have in common: starts, blocks of lanes, errors by comparison."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from nctheory.engine import in_float64
from nctheory.flow._backend import lane_count
from nctheory.flow._path_program import Followed, Observe
from nctheory.flow._path_types import Paths, PathStatus
from nctheory.problems import Params, Problem, read_points


def as_paths(at: np.ndarray, found: Followed, error: Any, bad: np.ndarray) -> Paths:
    """The result of following: paths whose start was not finite (`bad`) are NaN, and lost."""
    status = np.where(bad, PathStatus.LOST, found.status).astype(np.int8)

    def without(x: Any) -> np.ndarray:
        return np.where(bad.reshape(-1, *[1] * (np.ndim(x) - 1)), np.nan, x)

    values, error, rest = jax.tree.map(
        without, (found.values, error, (found.drift, found.dissipation, found.event_time))
    )
    return Paths(at, values, error, status, np.where(bad, 0, found.steps), *rest)


def distances(values: Any, others: Any, least: np.ndarray) -> Any:
    """The largest distance of two paths up to each time (they may cross where both are off), at least `least` of the size."""

    def norm(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=2)

    def one(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.maximum(np.maximum.accumulate(norm(x - y), axis=1), least[:, None] * norm(x))

    return jax.tree.map(one, values, others)


def unknown(values: Any) -> Any:
    """NaN in the place of errors that were not asked for."""
    return jax.tree.map(lambda x: np.full(x.shape[:2], np.nan), values)


def flat_starts(problem: Problem, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """The starts as vectors; and which of them are not finite (they are replaced by zeros, and their paths lost)."""
    (count,), points = read_points(problem, params)
    flat = np.concatenate([x.reshape(count, -1) for x in jax.tree.leaves(points)], axis=1)
    bad = np.asarray(~np.isfinite(flat).all(axis=1))
    return np.where(bad[:, None], 0.0, flat), bad


@cache
def observer(observe: Callable[..., Any] | None) -> Observe:
    """`observe` as a function of problem, point and start; it is the same object for the same `observe`, so that programs are
    compiled once."""
    if observe is None:
        return whole_point
    if getattr(observe, "sees_start", False):
        return observe
    return partial(_without_start, observe)


def whole_point(problem: Problem, params: Params, start: Params) -> Params:
    """Observe all parameters."""
    return params


def _without_start(observe: Callable[[Any, Params], Any], problem: Problem, params: Params, start: Params) -> Any:
    return observe(problem, params)


def in_blocks(
    block: Callable[[Any], Any],
    items: tuple[np.ndarray, ...],
    parameters: int,
    workers: int | None,
    progress: Callable[[int], None] | None,
) -> Any:
    """The results of `block` on all items, a few lanes at a time and on several threads; the last lanes are filled up."""
    count = len(items[0])
    lanes = lane_count(parameters, count, jax.default_backend())

    def pieces() -> Iterator[np.ndarray]:
        for begin in range(0, count, lanes):
            yield np.minimum(np.arange(begin, begin + lanes), count - 1)

    @in_float64  # settings of JAX are those of a thread
    def run(index: np.ndarray) -> Any:
        out = jax.tree.map(np.asarray, block(tuple(x[index] for x in items)))
        if progress is not None:
            progress(int(min(lanes, count - index[0])))
        return out

    several = workers or (os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1)
    with ThreadPoolExecutor(max(1, min(several, -(-count // lanes)))) as pool:
        parts = list(pool.map(run, pieces()))
    return jax.tree.map(lambda *xs: np.concatenate(xs)[:count], *parts)
