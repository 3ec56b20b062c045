"""Families of features from which structured starts are built: a matrix with one column for each class."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "d K"]
Family = Callable[[int, int, np.random.Generator], Features]
"""Features of `dim` numbers for `classes` classes; they have fewer rows than `dim` where that is enough."""


def one_hot(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Neural collapse behind a ReLU: one direction for each class (directions are shared where there are fewer)."""
    return np.eye(min(dim, classes))[:, np.arange(classes) % min(dim, classes)]


def low_rank(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Non-negative random features of a random rank below that of neural collapse."""
    rank = int(rng.integers(1, max(2, min(dim, classes))))
    return rng.exponential(size=(dim, rank)) @ rng.exponential(size=(rank, classes)) / rank


def arc(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Classes in random order on a quarter of a circle: rank two, and every class an extreme point of the cone's section."""
    angles = np.linspace(0.0, 0.5 * np.pi, classes) if classes > 1 else np.zeros(1)
    angles = np.clip(angles + 0.1 * rng.normal(size=classes) / classes, 0.0, 0.5 * np.pi)
    points = np.stack([np.cos(angles), np.sin(angles)])[: min(dim, 2)]
    return points[:, rng.permutation(classes)]


def incidence(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Classes as edges of a graph: the incidence matrix of the smallest complete graph with as many edges.

    Where the complete graph has more edges than there are classes, a random subset of them is taken; where there are more
    vertices than rows, the edges of the largest complete graph that fits are taken several times.

    >>> incidence(5, 10, np.random.default_rng(0)).sum(axis=0).tolist() == [2.0] * 10
    True
    """
    vertices = next(v for v in range(2, classes + 3) if v * (v - 1) // 2 >= classes)
    if vertices > dim:
        vertices = max(dim, 2)
    first, second = np.triu_indices(vertices, 1)
    chosen = np.resize(rng.permutation(len(first)), classes)
    edges = np.zeros((vertices, classes))
    edges[first[chosen], np.arange(classes)] = edges[second[chosen], np.arange(classes)] = 1.0
    return edges[:dim]


def complement(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """The incidence of classes and the vertices that their edges do not meet."""
    return 1.0 - incidence(dim, classes, rng)


def line_graph(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Classes as vertices of the line graph of a complete graph: the adjacency matrix, with or without loops."""
    edges = incidence(classes, classes, rng)
    adjacent = (edges.T @ edges > 0).astype(float) - rng.integers(2) * np.eye(classes)
    return adjacent[:dim]


def simplex(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """The centred simplex, of rank K - 1."""
    return (np.eye(classes) - 1.0 / classes)[: min(dim, classes)]


def orthoplex(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Classes in random pairs of opposite directions, of rank K/2."""
    half = min(dim, -(-classes // 2))
    signs = np.where(np.arange(classes) < -(-classes // 2), 1.0, -1.0)
    points = np.eye(half)[:, np.arange(classes) % half] * signs
    return points[:, rng.permutation(classes)]


def blocks(dim: int, classes: int, rng: np.random.Generator) -> Features:
    """Two families side by side, each for a part of the classes, in spaces of their own."""
    if classes < 3 or dim < 3:
        return one_hot(dim, classes, rng)
    part = int(rng.integers(2, classes))
    families = [low_rank, arc, incidence, one_hot]
    upper = families[rng.integers(len(families))](max(1, min(part, dim - 1)), part, rng)
    lower = families[rng.integers(len(families))](dim - len(upper), classes - part, rng)
    found = np.zeros((len(upper) + len(lower), classes))
    found[: len(upper), :part], found[len(upper) :, part:] = upper, lower
    return found


FAMILIES: dict[str, Family] = {
    "low rank": low_rank,
    "arc of rank two": arc,
    "incidence of a graph": incidence,
    "complement of an incidence": complement,
    "line graph": line_graph,
    "orthoplex": orthoplex,
    "simplex": simplex,
    "blocks": blocks,
    "one direction a class": one_hot,
}
"""The families by name, in the order in which they are tried."""


__all__ = ["FAMILIES", "Family", "Features"]
