"""Errors of the nearest-mean classifier on finite populations, exactly: by going through all that can be drawn."""

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import Array, shown, whole_number
from nctheory.generalisation._moments import namespace, read_population

MAX_DRAWS = 2**26
"""The largest number of (sample, draw, other draw) of a pair that is gone through: half a GiB (conventional)."""


@shown()
class NearestMeanErrors(NamedTuple):
    """Probabilities that the nearest mean is not the own one; a tie counts as an error. Rows are the class of the sample."""

    pairs: Array
    """The error against each other class alone, K x K with zeros on the diagonal."""
    classes: Array
    """The error against all other classes at once, of each class."""
    total: Any
    """The mean over the classes."""
    score_mean: Array
    """The mean of the score S, the squared distance to the other mean less that to the own one, K x K (0 on the diagonal)."""
    score_variance: Array
    """The variance of S."""


@functools.cache
def draws(size: int, shots: int) -> tuple[np.ndarray, np.ndarray]:
    r"""All results of `shots` draws with replacement from `size` points: the share of each point, M x n, and probabilities.

    The order of draws does not matter to a mean: of $n^m$ sequences $\binom{n+m-1}m$ multisets are left, each with its
    multinomial probability.

    >>> shares, chances = draws(2, 2)
    >>> shares.tolist(), chances.tolist()
    ([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], [0.25, 0.5, 0.25])
    """
    counts = np.array(
        [np.bincount(some, minlength=size) for some in itertools.combinations_with_replacement(range(size), shots)]
    )
    ways = [math.factorial(shots) // math.prod(map(math.factorial, row)) for row in counts.tolist()]
    return counts / shots, np.array([way / size**shots for way in ways])


def finite_few_shot_error(
    features: Any, labels: Any, shots: int | None, classes: int | None = None
) -> NearestMeanErrors:
    r"""The exact error of the nearest-mean classifier on the population that is uniform on the samples of each class.

    A sample x of class i, and independently of it `shots` samples of every class, are drawn with replacement; x is
    assigned to the nearest of the means a, b, … of what was drawn. With None the means are those of the population.
    Features N x d may be traced by JAX. The error is no estimate: every multiset of draws is gone through, with its
    probability.

    Raises ValueError, naming the argument, as `population_moments` does, for shots below one, and where more than 2^26
    combinations of a pair would have to be gone through (`sampled_few_shot_error` estimates the error then).

    >>> points = [[0.5, 0.9], [-0.5, 0.9], [0.0, 0.0]]
    >>> one = finite_few_shot_error(points, [0, 0, 1], shots=2)
    >>> one.pairs.tolist(), one.classes.tolist(), one.total.item()
    ([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0], 0.0)
    >>> finite_few_shot_error([[1.0, 0.8], [-1.0, 0.8], [0.0, 0.0]], [0, 0, 1], shots=2).classes.tolist()
    [0.25, 0.0]
    """
    x, rows = read_population(features, labels, classes)
    xp, sizes = namespace(x), [some.size for some in rows]
    if shots is None:
        drawn = [(np.full((1, size), 1.0 / size), np.ones(1)) for size in sizes]
    else:
        number = whole_number("shots", shots)
        possible = [math.comb(size + number - 1, number) for size in sizes]
        most = max(size * a * b for size, a in zip(sizes, possible, strict=True) for b in possible)
        if most > MAX_DRAWS:
            raise ValueError(f"shots: expected at most {MAX_DRAWS} combinations of draws of a pair, got {most}")
        drawn = [draws(size, number) for size in sizes]
    x = x - xp.mean(x, axis=0)[None, :]
    points = [x[some] for some in rows]
    centres = [shares @ some for (shares, _), some in zip(drawn, points, strict=True)]
    # All squared distances from the samples of class i to the means that can be drawn of class j.
    squares = [[_squares(xp, some, others) for others in centres] for some in points]
    chances = [chance for _, chance in drawn]
    found = [_of_class(xp, i, row, chances) for i, row in enumerate(squares)]
    pairs, alone, mean, variance = (xp.stack(column) for column in zip(*found, strict=True))
    return NearestMeanErrors(pairs, alone, xp.mean(alone), mean, variance)


def _squares(xp: Any, points: Any, centres: Any) -> Any:
    return xp.sum((points[:, None, :] - centres[None, :, :]) ** 2, axis=2)


def _of_class(xp: Any, i: int, squares: list[Any], chances: list[np.ndarray]) -> tuple[Any, Any, Any, Any]:
    """Errors of the samples of class i in pairs and against all, and mean and variance of their scores."""
    own, weight = squares[i], xp.asarray(chances[i])
    within = own @ weight
    correct, zero = xp.ones(own.shape), xp.zeros(())
    columns: list[tuple[Any, Any, Any]] = []
    for j, (other, chance) in enumerate(zip(squares, map(xp.asarray, chances), strict=True)):
        if j == i:
            columns.append((zero, zero, zero))
            continue
        # The chance of a draw of class j whose mean is as near or nearer, for each sample and each draw of its own class.
        wrong = (other[:, None, :] <= own[:, :, None]).astype(float) @ chance
        # Given the sample, the draws of different classes are independent.
        correct = correct * (1.0 - wrong)
        between = other @ chance
        centre = between - within
        mean = xp.mean(centre)
        spread = (other - between[:, None]) ** 2 @ chance + (own - within[:, None]) ** 2 @ weight
        columns.append((xp.mean(wrong @ weight), mean, xp.mean(spread) + xp.mean((centre - mean) ** 2)))
    pairs, means, variances = (xp.stack(part) for part in zip(*columns, strict=True))
    # The complement is taken before the mean, so that an error of zero is exactly zero.
    return pairs, xp.mean((1.0 - correct) @ weight), means, variances
