r"""Codes in three dimensions in the limit of low temperature: the largest one-vs-rest margin, and the largest least angle.

Both are maximisations with smooth constraints, solved by sequential quadratic programming from a start near an optimum:
of $t$ with $\langle w_k-w_j,h_k\rangle\ge t$ for all $j\ne k$ (the margin, $h_k$ the normal of the plane that separates $w_k$
from the others), and of $-c$ with $\langle w_k,w_j\rangle\le c$; all vectors of length 1.
"""

import functools

import numpy as np

STEPS = 200
"""The most steps of the quadratic programs (conventional: from the ends of a descent they take some tens)."""
STARTS = 24
"""Random starts of the search for the code of the largest least angle (measured: at every K up to 12 several reach it)."""
SHARPNESS = (5.0, 20.0, 80.0)
"""The sharpness of the smooth energy at which a random start is settled, step by step (conventional)."""


def solve_program(start, constraints, jacobian, squares):
    """Maximise the last variable under constraints(x) >= 0 with all rows of the others, x dim, of length 1."""
    from scipy.optimize import minimize

    last = np.eye(len(start))[-1]

    def lengths(x):
        return np.sum(x[:-1].reshape(-1, squares) ** 2, axis=1) - 1.0

    def of_lengths(x):
        rows = x[:-1].reshape(-1, squares)
        found = np.zeros((len(rows), len(x)))
        for i, row in enumerate(rows):
            found[i, i * squares : (i + 1) * squares] = 2 * row
        return found

    result = minimize(
        lambda x: -x[-1], start, jac=lambda x: -last, method="SLSQP", options={"maxiter": STEPS, "ftol": 1e-15},
        constraints=[
            {"type": "ineq", "fun": constraints, "jac": jacobian},
            {"type": "eq", "fun": lengths, "jac": of_lengths},
        ],
    )  # fmt: skip
    return result.x


def widest_margin(weights, features):
    """Return the unit vectors, K x d, of the largest one-vs-rest margin near unit classifiers and normals, K x d each."""
    number, dim = weights.shape
    own, other = np.nonzero(~np.eye(number, dtype=bool))
    places = np.arange(len(own))

    def split(x):
        both = x[:-1].reshape(2 * number, dim)
        return both[:number], both[number:]

    def constraints(x):
        w, h = split(x)
        return np.sum((w[own] - w[other]) * h[own], axis=1) - x[-1]

    def jacobian(x):
        w, h = split(x)
        found = np.zeros((len(own), 2 * number, dim))
        found[places, own] += h[own]
        found[places, other] -= h[own]
        found[places, number + own] += w[own] - w[other]
        return np.concatenate([found.reshape(len(own), -1), -np.ones((len(own), 1))], axis=1)

    start = np.concatenate([weights.ravel(), features.ravel(), [0.0]])
    start[-1] = np.min(constraints(start))
    code = split(solve_program(start, constraints, jacobian, dim))[0]
    return code / np.linalg.norm(code, axis=1, keepdims=True)


def widest_angle(code):
    """Return the unit vectors, K x d, of the largest least angle near a code."""
    number, dim = code.shape
    one, other = np.triu_indices(number, 1)
    places = np.arange(len(one))

    def constraints(x):
        rows = x[:-1].reshape(number, dim)
        return -np.sum(rows[one] * rows[other], axis=1) - x[-1]

    def jacobian(x):
        rows = x[:-1].reshape(number, dim)
        found = np.zeros((len(one), number, dim))
        found[places, one] -= rows[other]
        found[places, other] -= rows[one]
        return np.concatenate([found.reshape(len(one), -1), -np.ones((len(one), 1))], axis=1)

    start = np.append(code.ravel(), 0.0)
    start[-1] = np.min(constraints(start))
    found = solve_program(start, constraints, jacobian, dim)[:-1].reshape(number, dim)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def largest_cosine(code):
    """Return the cosine of the least angle."""
    gram = code @ code.T
    return float(np.max(gram[~np.eye(len(code), dtype=bool)]))


@functools.lru_cache(maxsize=16)
def best_of_starts(number, dim=3, starts=STARTS):
    """Return the codes of the locally largest least angles that random starts reach, each value once, the best first."""
    from scipy.optimize import minimize

    rng, found = np.random.default_rng(number), []
    one, other = np.triu_indices(number, 1)

    def energy(x, sharpness):
        rows = x.reshape(number, dim)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        units = rows / norms
        products = np.sum(units[one] * units[other], axis=1)
        top = products.max()
        parts = np.exp(sharpness * (products - top))
        share, slope = parts / parts.sum(), np.zeros_like(units)
        np.add.at(slope, one, share[:, None] * units[other])
        np.add.at(slope, other, share[:, None] * units[one])
        slope = (slope - np.sum(slope * units, axis=1, keepdims=True) * units) / norms
        return top + np.log(parts.sum()) / sharpness, slope.ravel()

    for _ in range(starts):
        x = rng.normal(size=(number, dim)).ravel()
        for sharpness in SHARPNESS:
            x = minimize(energy, x, args=(sharpness,), jac=True, method="BFGS").x
        rows = x.reshape(number, dim)
        found.append(widest_angle(rows / np.linalg.norm(rows, axis=1, keepdims=True)))
    found.sort(key=largest_cosine)
    kept = found[:1]
    for code in found:
        if largest_cosine(code) > largest_cosine(kept[-1]) + 1e-6:
            kept.append(code)
    return kept
