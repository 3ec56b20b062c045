"""A network of three classes and four layers in fractions, and a bound of neural collapse: a proof by one forward pass."""

from fractions import Fraction
from itertools import pairwise

import numpy as np

PIECES = 4000
"""The number of pieces of the half-line over which neural collapse is bounded from below in rational arithmetic."""


def product(left, right):
    """Return the product of two matrices of fractions."""
    return [
        [sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in zip(*right, strict=True)]
        for row in left
    ]


def scaled(number, matrix):
    """Return a multiple of a matrix of fractions."""
    return [[number * x for x in row] for row in matrix]


def squares(matrix):
    """Return the sum of the squared entries."""
    return sum(x * x for row in matrix for x in row)


def fractions(matrix, digits=100):
    """Return a matrix of fractions near one of floating-point numbers."""
    return [[Fraction(round(digits * float(x)), digits) for x in row] for row in matrix]


def inverse(matrix):
    """Return the inverse of a 2 x 2 matrix of fractions."""
    (a, b), (c, d) = matrix
    determinant = a * d - b * c
    return [[d / determinant, -b / determinant], [-c / determinant, a / determinant]]


def rational_network():
    """Return a network of three classes and four layers with rational entries that puts out the identity exactly.

    It is that of `relu-rank2` at p = 1.07, q = 1.09, m = 0.11 and tau = 1.2, with W_1 and the root of M rounded to two digits
    and their partners solved for.
    """
    p, q, m, tau = Fraction(107, 100), Fraction(109, 100), Fraction(11, 100), Fraction(6, 5)
    before = [[p, q, Fraction(0)], [p, Fraction(0), q]]
    left, values, _ = np.linalg.svd(np.array(before, float), full_matrices=False)
    first = fractions(left * np.sqrt(values)[None, :])
    features = product(inverse(first), before)
    low, high = tau * p, tau * q
    m0 = 1 / (2 * low)
    even, odd = float(np.sqrt(np.sqrt(2) * float(m0))), float(np.sqrt(2 * float(m)))
    root = fractions(0.5 * np.array([[even + odd, even - odd], [even - odd, even + odd]]))
    linear = product([[m0, m0], [m, -m], [-m, m]], inverse(root))
    out = [[-m0, -m0], [1 / high - m, m], [m, 1 / high - m]]
    size = Fraction(round(100 * float((float(squares(out)) / 4) ** 0.25)), 100)
    hidden = [*root, [size, -size], [-size, size]]
    last = [row + [x / size for x in extra] for row, extra in zip(linear, out, strict=True)]
    return features, (first, [[tau, Fraction(0)], [Fraction(0), tau]], hidden, last)


def rational_cost(stretch, lam):
    """Return in fractions the objective of `rational_network` with every factor times `stretch`, and whether Z is w I."""
    features, weights = rational_network()
    reached = scaled(stretch, features)
    decay = squares(reached)
    for index, weight in enumerate(weights):
        weight = scaled(stretch, weight)
        decay += squares(weight)
        reached = product(weight, reached)
        if index + 1 < len(weights):
            reached = [[max(x, Fraction(0)) for x in row] for row in reached]
    exact = all(x == (stretch**5 if i == j else 0) for i, row in enumerate(reached) for j, x in enumerate(row))
    fit = sum((x - (i == j)) ** 2 for i, row in enumerate(reached) for j, x in enumerate(row)) / 6
    return fit + lam / 2 * decay, exact


def collapse_above(level, b, depth):
    r"""Tell, in fractions, whether $\frac12(\frac1{x^L+1}+bx)$ is above a level for every x >= 0.

    On a piece it is at least what its first summand is at the right end and its second at the left one.
    """
    last = 2 * level / b
    ends = [last * Fraction(i, PIECES) for i in range(PIECES + 1)]
    return all((1 / (right**depth + 1) + b * left) / 2 > level for left, right in pairwise(ends))
