r"""Lower bounds for codes: linear programming in Gegenbauer polynomials, with what rounding leaves open taken off.

Let $P_k$ be the Gegenbauer polynomial of degree k in dimension d with $P_k(1)=1$, and $h=\sum_kh_kP_k$ with $h_k\ge0$ for
$k\ge1$ and $h\le f$ on $[-1,1]$. The matrices $P_k(UU^\top)$ are positive semidefinite, so that every N unit vectors have

$$\sum_{i\ne j}f(\langle u_i,u_j\rangle)\ge\sum_{i,j}h(\langle u_i,u_j\rangle)-Nh(1)\ge N^2h_0-Nh(1).$$

(Delsarte, Goethals and Seidel 1977; Yudin 1992.) The polynomial is the Hermite interpolant of f at the nodes of the quadrature
that has the weight $1/N$ at 1 and is exact to the largest degree for which it exists (Levenshtein; Boyvalenkov, Dragnev,
Hardin, Saff and Stoyanova 2016): of its degree the best for every absolutely monotone f, and tight at simplices,
cross-polytopes, polygons and the icosahedron. That $h\le f$ is not taken from the theory: it is checked on cells that cover
the interval, and excess, negative coefficients and rounding are taken off, so that a polynomial that is wrong gives a bound
that is weak, not wrong.
"""

import functools
from typing import NamedTuple

import numpy as np

from nctheory.engine import EPS, is_traced, shown, whole_number
from nctheory.problems import PairEnergy, Problem, UnitVectors

MAX_DEGREE = 21
"""Polynomials of a higher degree gain little and are known to fewer digits; those of this degree are valid all the same."""
CELLS = 4000
"""The interval is covered by this many cells and one around each node (conventional)."""


@shown()
class CodeBound(NamedTuple):
    """A lower bound on the energy of codes, and the polynomial that proves it."""

    lower_bound: float
    """A number no larger than the energy of any N unit vectors."""
    rounding: float
    """What was taken off for rounding, excess and negative coefficients: the bound of the exact interpolant is within this."""
    nodes: np.ndarray
    """The inner products at which h meets f, to second order but for -1."""
    coefficients: np.ndarray
    """$h_k$."""


def gegenbauer(degree: int, dim: int, at: np.ndarray) -> np.ndarray:
    r"""$P_0,…,P_n$ at some points of $[-1,1]$, n + 1 rows, normalised to $P_k(1)=1$.

    >>> gegenbauer(2, 3, np.array([0.5]))[:, 0].tolist()
    [1.0, 0.5, -0.125]
    """
    rows = [np.ones_like(at), at]
    for k in range(1, degree):
        rows.append(((2 * k + dim - 2) * at * rows[k] - k * rows[k - 1]) / (k + dim - 2))
    return np.stack(rows[: degree + 1])


def _derivatives(coefficients: np.ndarray, dim: int, at: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of h of some order, and a bound on its rounding error: P_k^(j) is P_{k-j} of dimension d + 2j, times
    its value at 1."""
    degree = len(coefficients) - 1
    if order > degree:
        return np.zeros_like(at), np.zeros_like(at)
    k = np.arange(order, degree + 1)
    at_one = np.ones(len(k))
    for i in range(order):
        at_one *= (k - i) * (k + dim - 2.0 + i) / (dim - 1.0 + 2 * i)
    terms = coefficients[order:] * at_one
    values = terms @ gegenbauer(degree - order, dim + 2 * order, at)
    # No P_k exceeds 1. A value of the recurrence is off by 3.1 (k + 1) eps at most (measured up to degree 21, in dimensions 2
    # to 44), for which more than twice as much is allowed, and what the sum and the factors add.
    error = EPS * np.sum((8.0 * (k + 1.0) + 4.0 * degree) * np.abs(terms))
    return values, np.full_like(at, error)


def design_size(strength: int, dim: int) -> int:
    """The least number of points that a design of this strength may have: the Delsarte-Goethals-Seidel bound.

    >>> [design_size(strength, 3) for strength in (1, 2, 3, 4, 5)]
    [2, 4, 6, 9, 12]
    """
    from math import comb

    half = (strength + 1) // 2
    if strength % 2:
        return 2 * comb(dim + half - 2, dim - 1)
    return comb(dim + half, dim) - comb(dim + half - 2, dim) if half else 1


def quadrature_nodes(vectors: int, dim: int) -> tuple[np.ndarray, bool]:
    r"""The nodes inside of $(-1,1)$ of the quadrature with the weight $1/N$ at 1, and whether -1 is a node too.

    The nodes are those of Gauss's rule for the functional $p\mapsto\int p-p(1)/N$, or with -1 for
    $p\mapsto\int(1+t)p-2p(1)/N$.

    >>> nodes, ends = quadrature_nodes(6, 3)
    >>> bool(np.allclose(nodes, [-1.0, 0.0])), ends
    (True, False)
    """
    from scipy.linalg import eigh
    from scipy.special import roots_jacobi

    strength = 1
    while strength < MAX_DEGREE and design_size(strength + 1, dim) <= vectors:
        strength += 1
    inner, with_end = (strength + 1) // 2, strength % 2 == 0
    points, weights = roots_jacobi(inner + 2, 0.5 * (dim - 3), 0.5 * (dim - 3))
    points, weights = np.append(points, 1.0), np.append(weights / weights.sum(), -1.0 / vectors)
    if with_end:
        weights = weights * (1.0 + points)
    basis = gegenbauer(max(inner - 1, 1), dim, points)[:inner]
    nodes = eigh((basis * weights * points) @ basis.T, (basis * weights) @ basis.T, eigvals_only=True)
    return np.clip(np.asarray(nodes), -1.0, 1.0), with_end


def interpolant(vectors: int, dim: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes and Gegenbauer coefficients of the Hermite interpolant of $e^{\beta(t-1)}$."""
    nodes, with_end = quadrature_nodes(vectors, dim)
    degree = 2 * len(nodes) - 1 + with_end
    identity = np.eye(degree + 1)
    values = gegenbauer(degree, dim, nodes).T
    slopes = np.stack([_derivatives(row, dim, nodes, 1)[0] for row in identity], axis=1)
    f = np.exp(sharpness * (nodes - 1.0))
    rows, right = [values, slopes], [f, sharpness * f]
    if with_end:
        rows.append(gegenbauer(degree, dim, np.array([-1.0])).T)
        right.append(np.exp(np.array([-2.0 * sharpness])))
        nodes = np.append(-1.0, nodes)
    matrix, told = np.concatenate(rows), np.concatenate(right)
    # One step of refinement by the residual, and small coefficients are no more exact than the largest.
    found = np.linalg.lstsq(matrix, told, rcond=None)[0]
    found = found + np.linalg.lstsq(matrix, told - matrix @ found, rcond=None)[0]
    return nodes, found


def excess(coefficients: np.ndarray, dim: int, nodes: np.ndarray, sharpness: float) -> float:
    r"""A number that $h-e^{\beta(t-1)}$ nowhere exceeds on $[-1,1]$, by Taylor's formula on cells.

    With $g=h-f$ and $|t-c|\le r$ it is $g(c)+g'(c)(t-c)+\frac12M(t-c)^2$ at most, where M is at least $g''$ on the cell: from
    the derivatives of g at c, up to one more than the degree of h, and those of f alone beyond.
    """
    grid = np.linspace(-1.0, 1.0, CELLS + 1)
    centres = np.unique(np.concatenate([0.5 * (grid[1:] + grid[:-1]), nodes]))
    edges = np.concatenate([[-1.0], 0.5 * (centres[1:] + centres[:-1]), [1.0]])
    below, above = np.maximum(centres - edges[:-1], 0.0), np.maximum(edges[1:] - centres, 0.0)
    # The edges are rounded, and the cells made a little larger so that they still cover the interval.
    radius = np.maximum(below, above) * (1 + 8 * EPS) + 4 * EPS
    f = np.exp(sharpness * (centres - 1.0))
    value, error = _derivatives(coefficients, dim, centres, 0)
    slope, slope_error = _derivatives(coefficients, dim, centres, 1)
    # The sizes of all derivatives of g at c, and beyond the degree of h that of f, bound the change of g'' over the cell.
    bend, power = np.zeros_like(centres), np.ones_like(centres)
    for order in range(2, len(coefficients) + 1):
        higher, higher_error = _derivatives(coefficients, dim, centres, order)
        change = higher - sharpness**order * f
        slack = higher_error + 4 * EPS * (2 * sharpness + order) * sharpness**order * f
        power = power if order == 2 else power * radius / (order - 2)
        bend = bend + power * ((change if order == 2 else np.abs(change)) + slack)
    rest = radius / max(len(coefficients) - 1, 1)
    bend = bend + power * rest * sharpness ** (len(coefficients) + 1) * f * np.exp(sharpness * radius) * (1 + 64 * EPS)
    rise, tilt = value - f + error + 4 * EPS * (2 * sharpness + 1) * f, slope - sharpness * f
    tilted = slope_error + 4 * EPS * (sharpness + 1) * sharpness * f
    most = rise
    for side, reach in ((tilt, above), (-tilt, below)):
        side, reach = side + tilted, np.where(reach > 0, reach * (1 + 8 * EPS) + 4 * EPS, 0.0)
        # The quadratic has its maximum over one side of the cell at an end of it, or inside where it is concave enough.
        most = np.maximum(most, rise + side * reach + 0.5 * bend * reach**2)
        turns = (side > 0) & (-bend * reach > side)
        most = np.maximum(most, rise + np.where(turns, 0.5 * side**2 / np.where(turns, -bend, 1.0), 0.0))
    return float(np.max(most))


@functools.lru_cache(maxsize=256)
def _bound(vectors: int, dim: int, sharpness: float) -> CodeBound:
    """The bound for the potential $e^{\beta(t-1)}$, whose largest value is 1."""
    nodes, found = interpolant(vectors, dim, sharpness)
    lost = max(excess(found, dim, nodes, sharpness), 0.0)
    negative = float(np.sum(np.maximum(-found[1:], 0.0)))
    at_one = float(np.sum(found))
    rounded = 8 * len(found) * EPS * (vectors**2 * abs(found[0]) + vectors * np.sum(np.abs(found)))
    taken = float(vectors * (vectors - 1) * lost + vectors**2 * negative + rounded)
    return CodeBound(vectors**2 * float(found[0]) - vectors * at_one - taken, taken, nodes, found)


def delsarte_bound(vectors: int, dim: int, sharpness: float, origin: float = 0.0) -> CodeBound:
    r"""A lower bound on $\sum_{i\ne j}e^{\beta(\langle u_i,u_j\rangle-t_0)}$ over all N unit vectors in $\mathbb R^d$.

    `vectors` is N, at least 2, `dim` d, at least 2, `sharpness` $\beta>0$, `origin` $t_0$. What rounding leaves open is taken
    off. Tight, to that, at simplices, cross-polytopes, the icosahedron and polygons of at most 22 corners. Raises ValueError,
    naming the argument, otherwise.

    >>> octahedron = delsarte_bound(6, 3, 1.0)
    >>> round(octahedron.lower_bound, 9), round(float(24.0 + 6.0 * np.exp(-1.0)), 9), octahedron.rounding < 1e-12
    (26.207276647, 26.207276647, True)
    """
    number, space = whole_number("vectors", vectors, least=2), whole_number("dim", dim, least=2)
    beta, at = float(sharpness), float(origin)
    if not (np.isfinite(beta) and beta > 0.0):
        raise ValueError(f"sharpness: expected a finite number above 0, got {sharpness}")
    if not np.isfinite(at):
        raise ValueError(f"origin: expected a finite number, got {origin}")
    found = _bound(number, space, beta)
    with np.errstate(over="ignore", invalid="ignore"):
        factor = float(np.exp(beta * (1.0 - at)))
        scaled = 4 * EPS * (beta * abs(1.0 - at) + 1.0) * abs(factor * found.lower_bound)
        lower, taken = factor * found.lower_bound - scaled, factor * found.rounding + scaled
        coefficients = factor * found.coefficients
    if not np.isfinite(lower):
        # The numbers are out of range, and that the sum is positive is all that is left.
        lower, taken = 0.0, 0.0
    # A sum of positive terms is positive whatever the polynomial says.
    return CodeBound(max(float(lower), 0.0), float(taken), found.nodes, coefficients)


def problem_bound(problem: Problem) -> CodeBound | None:
    """The bound that a problem has whatever the point: that of a code with a `PairEnergy`; None for others."""
    energy = problem.energy if isinstance(problem, UnitVectors) else None
    if type(energy) is not PairEnergy or is_traced(energy.sharpness) or is_traced(energy.origin):
        return None
    assert isinstance(problem, UnitVectors)
    return delsarte_bound(energy.number, problem.dim, float(energy.sharpness), float(energy.origin))
