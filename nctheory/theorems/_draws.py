"""The random generator of instances, and the same draws moved a little: neighbours of instances."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import shown


@shown()
class Move(NamedTuple):
    """A move of all the continuous draws of a sampler towards others: a draw u of a uniform law becomes (1-t) u + t v."""

    seed: int
    """The seed of the draws v."""
    part: float
    """t, from 0 (no move) to 1."""


_MOVES: contextvars.ContextVar[tuple[Move, ...]] = contextvars.ContextVar("moves", default=())


@contextlib.contextmanager
def moved_draws(moves: tuple[Move, ...]) -> Iterator[None]:
    """Within it `numpy_rng` gives generators whose uniform and normal draws are moved, in this context alone.

    Whole numbers, choices and permutations stay what they were, and with them the shapes that a sampler picks: what it
    draws are neighbours of the instances of the same key, within its own law.
    """
    token = _MOVES.set(tuple(moves))
    try:
        yield
    finally:
        _MOVES.reset(token)


class _MovedGenerator(np.random.Generator):
    """A generator that takes the draws of its own stream, and moves those of continuous laws."""

    def __init__(self, seed: list[int], moves: tuple[Move, ...]) -> None:
        super().__init__(np.random.PCG64(seed))
        self._towards = [(move.part, np.random.default_rng([move.seed, *seed])) for move in moves]

    def _unit(self, size: Any) -> Any:
        """Uniform on [0, 1): a point between two such draws."""
        drawn = super().random(size)
        for part, other in self._towards:
            drawn = (1.0 - part) * drawn + part * other.random(size)
        return drawn

    def _standard(self, size: Any) -> Any:
        """Standard normal: two such draws mixed with weights whose squares add up to one."""
        drawn = super().standard_normal(size)
        for part, other in self._towards:
            mixed = (1.0 - part) * drawn + part * other.standard_normal(size)
            drawn = mixed / np.hypot(1.0 - part, part)
        return drawn

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return self._unit(size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        low, high = np.asarray(low, float), np.asarray(high, float)
        shape = np.broadcast_shapes(low.shape, high.shape) or None if size is None else size
        drawn = low + (high - low) * self._unit(shape)
        return float(drawn) if shape is None else drawn

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return self._standard(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        loc, scale = np.asarray(loc, float), np.asarray(scale, float)
        shape = np.broadcast_shapes(loc.shape, scale.shape) or None if size is None else size
        drawn = loc + scale * self._standard(shape)
        return float(drawn) if shape is None else drawn


def numpy_rng(key: PRNGKeyArray) -> np.random.Generator:
    """A NumPy generator seeded by a JAX key, for drawing instances.

    >>> import jax
    >>> bool(numpy_rng(jax.random.key(0)).integers(10) == numpy_rng(jax.random.key(0)).integers(10))
    True
    """
    seed = np.asarray(jax.random.key_data(key)).ravel().tolist()
    moves = _MOVES.get()
    return _MovedGenerator(seed, moves) if moves else np.random.default_rng(seed)


__all__ = ["Move", "moved_draws", "numpy_rng"]
