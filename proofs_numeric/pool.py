"""The pool of shapes from which instances are drawn: a key picks some of them, so that few programs are ever compiled."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SMALL = ((2, 2, 1), (2, 3, 4))
"""(K, d, n) of two classes, and of one sample a class."""
MIDDLE = ((4, 8, 5), (4, 4, 3), (5, 7, 2))
LARGE = ((6, 6, 12), (8, 9, 10), (10, 12, 4))
"""More classes, and up to a hundred samples or so."""
WIDE = ((4, 6, 60),)
"""A few hundred samples."""


def pick(rng: np.random.Generator, pool: Sequence[T], number: int = 1) -> list[T]:
    """Different members of a pool, in its order."""
    return [pool[i] for i in sorted(rng.choice(len(pool), size=min(number, len(pool)), replace=False))]


def shapes(rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """One small, one middle and one large shape (K, d, n) with d >= K."""
    return [*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)]


def near(rng: np.random.Generator, above: bool, closest: float = 1e-4) -> float:
    """1 plus (or minus) a distance that is log-uniform between `closest` and 3e-2."""
    distance = float(np.exp(rng.uniform(np.log(closest), np.log(3e-2))))
    return 1 + distance if above else 1 - distance


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Between `low` and `high`, uniform in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
