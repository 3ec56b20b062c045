r"""Networks of ReLUs below neural collapse: features of low rank from which one more ReLU makes one direction a class.

Every network here puts out the identity on one sample a class. Its cost R is half the sum of the squared factors, in the best
distribution over them; what it costs at any decays and any number of samples follows from R alone.
"""

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np

import nctheory as nct

NOTHING = 1e-9
"""An eigenvalue of a code below this is zero (derived: they are multiples of 1/4)."""


class Network(NamedTuple):
    """A chain that puts out the identity: X_0 = H, X_l = max(W_l X_{l-1}, 0), and W_L X_{L-1} = I."""

    features: np.ndarray
    weights: tuple[np.ndarray, ...]

    @property
    def factors(self):
        """H, W_1, ..., W_L."""
        return (self.features, *self.weights)

    @property
    def cost(self):
        """R, half the sum of the squares once all factors are rescaled to equal norms."""
        squares = np.array([0.5 * np.sum(factor**2) for factor in self.factors])
        return float(len(squares) * np.exp(np.mean(np.log(squares))))

    def outputs(self):
        """The outputs of a forward pass."""
        return forward(self.factors)[1]

    def even(self):
        """The factors rescaled to equal norms, with the same outputs; None where one vanishes."""
        sizes = np.array([np.linalg.norm(factor) for factor in self.factors])
        if not np.all(sizes > 0):
            return None
        scales = np.exp(np.mean(np.log(sizes))) / sizes
        return [scale * factor for scale, factor in zip(scales, self.factors, strict=True)]


def forward(factors):
    """Return the features of every layer and the logits; `factors` are H, W_1, ..., W_L."""
    reached = [factors[0]]
    for weight in factors[1:-1]:
        reached.append(np.maximum(weight @ reached[-1], 0.0))
    return reached, factors[-1] @ reached[-1]


def objective(factors, lam):
    """Return the value by a forward pass."""
    _, logits = forward(factors)
    classes = logits.shape[0]
    fit = np.sum((logits - np.eye(classes)) ** 2) / (2 * classes)
    return float(fit + 0.5 * lam * sum(np.sum(factor**2) for factor in factors))


def strength_at(cost, depth, lam):
    r"""Return $b=L(2\lambda R/F)^{F/L}$ for a network of cost R at one sample a class and equal decays."""
    return depth * (2 * lam * cost / (depth + 1)) ** ((depth + 1) / depth)


def value_at(b, depth):
    r"""Return the least of $\frac12g_b(x)$ over $x\ge0$: $\frac12$ where zero is best."""
    x = float(nct.closed_form.largest_root(np.asarray(b, float), depth))
    return 0.5 * min(1.0, float(nct.closed_form.relative_cost(x, b, depth))) if x > 0 else 0.5


def collapsed(classes, depth):
    """Return neural collapse, one direction a class in every layer: R = K(L+1)/2."""
    return Network(np.eye(classes), (np.eye(classes),) * depth)


def beside(first, second):
    """Return two networks side by side, each for its own classes."""

    def block(a, b):
        return np.block([[a, np.zeros((a.shape[0], b.shape[1]))], [np.zeros((b.shape[0], a.shape[1])), b]])

    return Network(*_paired(block, first, second))


def _paired(block, first, second):
    pairs = [block(a, b) for a, b in zip(first.factors, second.factors, strict=True)]
    return pairs[0], tuple(pairs[1:])


def triple_cost(depth, p, q, m, tau):
    r"""$\sqrt{2p^2+q^2}+q+(L-3)\tau^2+\frac{\sqrt2}{2P}+2|m|+2\sqrt2\sqrt{\frac1{4P^2}+(\frac1Q-m)^2+m^2}$, $P=\tau^{L-3}p$,
    $Q=\tau^{L-3}q$: the cost of `triple` as it stands."""
    low, high = tau ** (depth - 3) * p, tau ** (depth - 3) * q
    unit = np.sqrt(1 / (4 * low**2) + (1 / high - m) ** 2 + m**2)
    below = np.sqrt(2 * p**2 + q**2) + q + (depth - 3) * tau**2
    return below + np.sqrt(2) / (2 * low) + 2 * abs(m) + 2 * np.sqrt(2) * unit


@cache
def best_triple(depth):
    """Return the p, q, m, tau at which `triple` costs least."""
    from scipy.optimize import minimize  # here: nothing that does not need SciPy waits for its import

    start = np.array([1.1338, 1.2177, 0.1129, 1.0])
    found = minimize(lambda x: triple_cost(depth, *x), start, method="BFGS", options={"gtol": 1e-11})
    return tuple(found.x.tolist())


def triple(depth, p, q, m, tau):
    """Return the network of three classes with features of rank two up to layer L-2.

    The first class lies between the two others, on a quarter of a circle. The last hidden layer has the two features again,
    turned so that neither is negative, and two units that see the difference of the other classes from either side.
    """
    # W_1 H = (p q 0; p 0 q) by balanced halves.
    left, values, right = np.linalg.svd(np.array([[p, q, 0.0], [p, 0.0, q]]), full_matrices=False)
    features, first = np.sqrt(values)[:, None] * right, left * np.sqrt(values)[None, :]
    low, high = tau ** (depth - 3) * p, tau ** (depth - 3) * q
    # The linear part M = (m_0 m_0; m -m; -m m) = B A: A is its symmetric root, whose entries are not negative.
    m0 = 1 / (2 * low)
    even, odd = np.sqrt(np.sqrt(2) * m0), np.sqrt(2 * abs(m))
    root = 0.5 * np.array([[even + odd, even - odd], [even - odd, even + odd]])
    linear = np.array([[m0, m0], [m, -m], [-m, m]]) @ np.linalg.inv(root)
    # Each unit sees s(1, -1) or s(-1, 1) and puts out a/s, with 2 s^2 = |a|^2/s^2.
    out = np.array([[-m0, -m0], [1 / high - m, m], [m, 1 / high - m]])
    size = np.sqrt(np.linalg.norm(out[:, 0]) / np.sqrt(2))
    hidden = np.concatenate([root, size * np.array([[1.0, -1.0], [-1.0, 1.0]])])
    last = np.concatenate([linear, out / size], axis=1)
    return Network(features, (first, *[tau * np.eye(2)] * (depth - 3), hidden, last))


def best_rank_two(classes, depth):
    """Return as many triples side by side as there is room for, and neural collapse for the rest."""
    network = triple(depth, *best_triple(depth))
    found = network
    for _ in range(classes // 3 - 1):
        found = beside(found, network)
    rest = classes % 3
    return beside(found, collapsed(rest, depth)) if rest else found


def incidence(vertices):
    """Return the incidence matrix of the complete graph: classes are its edges."""
    first, second = np.triu_indices(vertices, 1)
    edges = np.zeros((vertices, len(first)))
    edges[first, np.arange(len(first))] = edges[second, np.arange(len(first))] = 1.0
    return edges


def triangles(vertices):
    """Return the network of three layers whose classes are the edges of a complete graph of at least five vertices, with a
    feature for each vertex behind the first ReLU and one for each triangle behind the second.

    A triangle adds the features of its vertices and takes off those of the others: only its own edges are above zero.
    """
    edges = incidence(vertices)
    sides = np.array([np.isin(np.arange(vertices), s) for s in itertools.combinations(range(vertices), 3)])
    weights = np.where(sides, 1.0, -1.0)
    left, values, right = np.linalg.svd(edges, full_matrices=False)
    root = np.sqrt(values)
    told_apart = np.linalg.pinv(np.maximum(weights @ edges, 0.0))
    return Network(root[:, None] * right, (left * root[None, :], weights, told_apart))


def bits(number):
    """Return the code in which each class is a word, with one of two rows on for each of its bits."""
    words = (np.arange(2**number)[None, :] >> np.arange(number)[:, None]) & 1
    return np.concatenate([words, 1 - words]).astype(float)


class Code(NamedTuple):
    r"""A matrix A of zeros and ones with w ones a column, and $T=A^\top A-(w-1)J$ with $\max(T,0)=I$.

    T acts on differences (`many` dimensions) as `difference` and on the mean as `mean`; features $(aI+bJ)A$ have no negative
    entry where their singular values in the mean and in differences have at least the ratio `ratio`.
    """

    matrix: np.ndarray
    many: int
    difference: float
    mean: float
    ratio: float


def code_of(matrix):
    """Return the numbers of a code; its rows must look alike."""
    ones = matrix.sum(axis=0)[0]
    rows = len(matrix)
    squares, vectors = np.linalg.eigh(matrix @ matrix.T)
    even = np.abs(vectors.sum(axis=0)) > NOTHING
    # The mean direction has A A^T 1 = s 1; T there is s (1 - (w-1) rows/w^2).
    top = float(squares[even].max())
    other = squares[~even & (squares > NOTHING)]
    if not np.allclose(other, other[0]):
        raise ValueError("matrix: expected one singular value for all differences")
    return Code(
        matrix, len(other), float(other[0]), top * (1 - (ones - 1) * rows / ones**2), float(np.sqrt(top / other[0]))
    )


def code_sizes(code, x):
    """Return p, q (three numbers each) and the last layer's number from their logarithms; no q where T kills the mean."""
    sizes = np.exp(np.asarray(x))
    return sizes[:3], sizes[3:6] * np.array([1.0, 1.0, abs(code.mean) > NOTHING]), sizes[6]


def code_cost(code, depth, x):
    r"""$\frac12\sum_l(kp_l^2+q_l^2)+\frac K2w^2$: the cost of `coded` from the logarithms x of its numbers."""
    p, q, last = code_sizes(code, x)
    return 0.5 * float(np.array([2, depth - 3, 1]) @ (code.many * p**2 + q**2) + code.matrix.shape[1] * last**2)


@cache
def best_code(kind, number, depth):
    """Return the logarithms of the numbers at which `coded` costs least: p and q of H and W_1, of W_2, ..., W_{L-2} and of
    W_{L-1}, and the last layer's."""
    from scipy.optimize import minimize  # here: nothing that does not need SciPy waits for its import

    code = code_of(incidence(number) if kind == "graph" else bits(number))
    many = np.array([2, depth - 3, 1])

    def products(x):
        apart = many @ x[:3] + x[6] - np.log(code.difference)
        if abs(code.mean) <= NOTHING:
            return np.array([apart, x[5]])
        return np.array([apart, many @ x[3:6] + x[6] - np.log(abs(code.mean))])

    def ratios(x):
        first = 2 * (x[3] - x[0]) - np.log(code.ratio)
        return np.array([first, first + (depth - 3) * (x[4] - x[1])])

    start = np.zeros(7)
    start[3:5] = 0.5 * np.log(code.ratio)
    found = minimize(
        lambda x: code_cost(code, depth, x),
        start,
        method="SLSQP",
        bounds=[(-8.0, 8.0)] * 7,
        constraints=({"type": "eq", "fun": products}, {"type": "ineq", "fun": ratios}),
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return tuple(feasible(code, depth, found.x).tolist())


def feasible(code, depth, x):
    """Return numbers that keep the ratios and products exactly, next to ones that do so to a solver's tolerance."""
    x = np.array(x)
    short = np.log(code.ratio) - 2 * (x[3] - x[0])
    x[3] += 0.5 * max(short, 0.0)
    if depth > 3:
        short = np.log(code.ratio) - 2 * (x[3] - x[0]) - (depth - 3) * (x[4] - x[1])
        x[4] += max(short, 0.0) / (depth - 3)
    many = np.array([2, depth - 3])
    x[2] = np.log(code.difference) - many @ x[:2] - x[6]
    if abs(code.mean) > NOTHING:
        x[5] = np.log(abs(code.mean)) - many @ x[3:5] - x[6]
    return x


def coded(kind, number, depth):
    """Return the network whose features up to layer L-2 are those of a code, and one direction a class behind them."""
    code = code_of(incidence(number) if kind == "graph" else bits(number))
    p, q, outer = code_sizes(code, best_code(kind, number, depth))
    rows = len(code.matrix)
    mean = np.full((rows, rows), 1.0 / rows)
    values, vectors = np.linalg.eigh(code.matrix @ code.matrix.T)
    kept = (values > NOTHING) & (np.abs(vectors.sum(axis=0)) < NOTHING)
    apart = vectors[:, kept] @ vectors[:, kept].T
    # The columns of the code, made orthonormal: A-bar A-bar^T is the projection on its range.
    root = np.where(values > NOTHING, 1 / np.sqrt(np.where(values > NOTHING, values, 1.0)), 0.0)
    unit = (vectors * root[None, :]) @ vectors.T @ code.matrix

    def factor(i):
        return p[i] * apart + q[i] * mean

    layers = [factor(0), *[factor(1)] * (depth - 3)]
    last = unit.T @ (p[2] * apart + np.sign(code.mean) * q[2] * mean)
    classes = code.matrix.shape[1]
    return Network(factor(0) @ unit, (*layers, last, outer * np.eye(classes)))


def evenly(network):
    """Return the network with its layers up to L-2 shared out as in a linear chain, whose features have negative entries."""
    reached = network.features
    for weight in network.weights[:-2]:
        reached = np.maximum(weight @ reached, 0.0)
    number = len(network.weights) - 1
    left, values, right = np.linalg.svd(reached, full_matrices=False)
    part = np.where(values > NOTHING, values, 0.0) ** (1 / number)
    between = [np.diag(part)] * (number - 2)
    return Network(part[:, None] * right, (*between, left * part[None, :], *network.weights[-2:]))
