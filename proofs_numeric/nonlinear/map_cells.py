"""The cells of the map: their starts, and the descent from each, in plain NumPy and SciPy."""

from functools import cache

import numpy as np

import nctheory as nct
from proofs_numeric.nonlinear.arcs import arc_network, head
from proofs_numeric.nonlinear.low_rank import Network, beside, best_triple, coded, collapsed, forward, triple
from proofs_numeric.nonlinear.relu_chains import chain
from proofs_numeric.nonlinear.relu_hexagon import CIRCULANT

RANDOM_STARTS = 2
"""The number of random starts of a cell, and of those of each structured family."""
FAMILIES = 9
"""The number of structured families (see docs/falsify.md)."""


def width_of(classes):
    """Return the width of every layer: room for the constructions, and for more."""
    told_apart = len(head(classes)[0]) if classes > 3 else 0
    return max(4 * classes // 3 + 2, told_apart)


def value_and_slope(vector, shapes, lam):
    """Return the value and the gradient at a flat point, by a backward pass."""
    factors = unpacked(vector, shapes)
    reached, logits = forward(factors)
    classes = logits.shape[0]
    off = (logits - np.eye(classes)) / classes
    value = 0.5 * classes * np.sum(off**2) + 0.5 * lam * vector @ vector
    slopes = [np.zeros(0)] * len(factors)
    back = off
    for layer in range(len(factors) - 1, 0, -1):
        slopes[layer] = back @ reached[layer - 1].T
        back = factors[layer].T @ back
        if layer > 1:
            back = back * (reached[layer - 1] > 0)
    slopes[0] = back
    return value, np.concatenate([s.ravel() for s in slopes]) + lam * vector


def unpacked(vector, shapes):
    """Return the factors of a flat point."""
    ends = np.cumsum([a * b for a, b in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(vector, ends), shapes, strict=True)]


def shapes_of(classes, depth):
    """Return the shapes of H, W_1, ..., W_L."""
    width = width_of(classes)
    return [(width, classes), *[(width, width)] * (depth - 1), (classes, width)]


def filled(network, classes, depth):
    """Return a network's factors, balanced, in the shapes of a cell; None where they do not fit or one vanishes."""
    shapes, factors = shapes_of(classes, depth), network.factors
    if any(a > c or b > d for (a, b), (c, d) in zip((f.shape for f in factors), shapes, strict=True)):
        return None
    even = network.even()
    if even is None:
        return None
    found = []
    for factor, shape in zip(even, shapes, strict=True):
        whole = np.zeros(shape)
        whole[: factor.shape[0], : factor.shape[1]] = factor
        found.append(whole)
    return found


def brought_down(factors, lam, rng, rounds=2, evaluations=2000):
    """Return the factors at the end of a quasi-Newton descent that is begun anew a few times with a little noise."""
    from scipy.optimize import minimize  # here: nothing that does not need SciPy waits for its import

    shapes = [factor.shape for factor in factors]
    vector = np.concatenate([factor.ravel() for factor in factors])
    best = vector
    for round_ in range(rounds):
        noise = 10.0 ** (-2 - round_) * np.linalg.norm(vector) / np.sqrt(vector.size)
        begun = best + noise * rng.normal(size=vector.size)
        options = {"maxiter": evaluations, "maxfun": evaluations, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 20}
        found = minimize(value_and_slope, begun, (shapes, lam), jac=True, method="L-BFGS-B", options=options).x
        if value_and_slope(found, shapes, lam)[0] < value_and_slope(best, shapes, lam)[0]:
            best = found
    return unpacked(best, shapes)


@cache
def block(classes, depth):
    """Return the known networks for exactly so many classes, by name."""
    found = {}
    if classes == 1:
        found["one class"] = collapsed(1, depth)
    if classes == 3 and depth >= 4:
        found["rank two"] = triple(depth, *best_triple(depth))
    vertices = {6: 4, 10: 5}.get(classes)
    if vertices is not None and depth >= 3:
        found["edges of a graph"] = coded("graph", vertices, depth)
    if classes == 8 and depth >= 3:
        found["bits"] = coded("bits", 3, depth)
    if classes >= 3 and depth >= 4:
        found["arc"] = arc_network(classes, depth)
    if classes == 6 and depth == 2:
        left, values, right = np.linalg.svd(CIRCULANT)
        root = np.sqrt(values)
        found["hexagon"] = Network(
            root[:, None] * right, (left * root[None, :], np.linalg.pinv(np.maximum(CIRCULANT, 0.0)))
        )
    return found


@cache
def best_blocks(classes, depth):
    """Return the cheapest networks side by side for so many classes, and their names."""
    options = []
    for last in range(1, classes + 1):
        for name, network in block(last, depth).items():
            if last == classes:
                options.append((network, (name,)))
            else:
                below, names = best_blocks(classes - last, depth)
                options.append((beside(below, network), (*names, name)))
    return min(options, key=lambda one: one[0].cost)


def structured(classes, depth, rng):
    """Yield one start of each family of the search for counterexamples: incidence matrices, codes, blocks and others."""
    width = width_of(classes)
    problem = chain((width,) * depth + (classes,), (1,) * classes, (0.1,) * (depth + 1))
    found, counts = nct.falsification.structured_starts(problem, FAMILIES, rng)
    names = list(counts) if len(found) == len(counts) == FAMILIES else ["structured"] * len(found)
    for name, vector in zip(names, found, strict=True):
        point = nct.problems.unravel(problem, vector)
        yield name, [np.asarray(factor, float) for factor in (point.features, *point.weights)]


def random_start(classes, depth, rng):
    """Return independent normal factors."""
    scale = rng.uniform(0.7, 1.5)
    return [scale * np.sqrt(2 / shape[1]) * rng.normal(size=shape) for shape in shapes_of(classes, depth)]


def starts_of(classes, depth, known, rng, first):
    """Yield the starts of a cell with their names; `known` has the best network, and its name, by classes.

    At `first` there are structured and random starts too; constructions, and what neighbours have found, always.
    """
    network, names = best_blocks(classes, depth)
    yield " + ".join(sorted(set(names) - {"one class"})) or "neural collapse", network
    yield from block(classes, depth).items()
    if first:
        for _ in range(RANDOM_STARTS):
            yield "random", random_start(classes, depth, rng)
            yield from structured(classes, depth, rng)
    if classes - 1 in known:
        fewer, name = known[classes - 1]
        yield f"{name.removesuffix(', one class more')}, one class more", beside(fewer, collapsed(1, depth))
    if classes + 1 in known:
        more, name = known[classes + 1]
        for out in rng.choice(classes + 1, size=2, replace=False):
            kept = np.delete(np.arange(classes + 1), out)
            less = Network(more.features[:, kept], (*more.weights[:-1], more.weights[-1][kept]))
            yield f"{name.removesuffix(', one class less')}, one class less", less
    if classes in known:  # at another decay
        yield known[classes][1], known[classes][0]
