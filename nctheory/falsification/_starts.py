"""The structured starts of one problem: families of features, and what earlier trials ended at."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.falsification._chain_starts import ChainShape, as_params, chain_shape, chain_start, fitted
from nctheory.falsification._codes import FAMILIES
from nctheory.falsification._optimisers import Vectors
from nctheory.problems import Problem, ravel, template

NEIGHBOUR, RESIZED, JOINED, LEAVES = (
    "minimiser at neighbouring numbers",
    "minimiser with classes, samples or units taken away or added",
    "two smaller minimisers side by side",
    "matrices of low rank",
)


class Known(NamedTuple):
    """The lowest end that an earlier trial came to."""

    shapes: tuple[tuple[int, ...], ...]
    """Those of the leaves of its parameters."""
    vector: np.ndarray


def leaf_shapes(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """The shapes of the leaves of a problem's parameters."""
    return tuple(tuple(leaf.shape) for leaf in jax.tree.leaves(template(problem)))


def structured_starts(
    problem: Problem, count: int, rng: np.random.Generator, known: Sequence[Known] = ()
) -> tuple[Vectors, dict[str, int]]:
    """Starts of every family that the problem has, in turn, as flat vectors; and how many there are of each.

    Chains have the families of `FAMILIES`; other problems random matrices of low rank in the place of each matrix. Ends of
    earlier trials are taken over where the numbers of leaves agree: as they are (moved a little), cut or filled up with
    zeros, or two of them as blocks.
    """
    makers: list[tuple[str, Any]] = []
    shape, like = chain_shape(problem), template(problem)
    if shape is None:
        makers += [(LEAVES, lambda: _low_rank_leaves(problem, rng))] * 2
    else:

        def of_family(name: str, shape: ChainShape = shape) -> np.ndarray:
            return np.asarray(ravel(as_params(like, chain_start(shape, name, rng))))

        makers += [(name, partial(of_family, name)) for name in FAMILIES]
    makers += _from_known(problem, rng, known)
    found, counts = [], dict[str, int]()
    for number in range(count):
        name, make = makers[number % len(makers)]
        vector = np.asarray(make(), np.float64)
        if np.all(np.isfinite(vector)):
            found.append(vector)
            counts[name] = counts.get(name, 0) + 1
    size = sum(int(np.prod(one)) for one in leaf_shapes(problem))
    return np.asarray(found).reshape(len(found), size), counts


def _from_known(problem: Problem, rng: np.random.Generator, known: Sequence[Known]) -> list[tuple[str, Any]]:
    """Makers of starts from what earlier trials ended at."""
    shapes = leaf_shapes(problem)
    same = [one for one in known if one.shapes == shapes]
    other = [one for one in known if one.shapes != shapes and [len(s) for s in one.shapes] == [len(s) for s in shapes]]
    smaller = [
        one for one in other if all(np.all(np.less_equal(a, b)) for a, b in zip(one.shapes, shapes, strict=True))
    ]
    makers: list[tuple[str, Any]] = []
    if same:
        makers.append((NEIGHBOUR, lambda: _moved(_one_of(same, rng).vector, rng)))
    if other:
        makers.append((RESIZED, lambda: _moved(_resized(_one_of(other, rng), shapes), rng)))
    if smaller:
        makers.append((JOINED, lambda: _moved(_joined(_one_of(smaller, rng), _one_of(smaller, rng), shapes), rng)))
    return makers


def _one_of(known: Sequence[Known], rng: np.random.Generator) -> Known:
    return known[int(rng.integers(len(known)))]


def _moved(vector: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A point with noise, so that what is zero does not stay so."""
    size = np.sqrt(np.mean(vector**2)) * np.exp(rng.uniform(np.log(1e-4), np.log(0.3)))
    return vector + size * rng.normal(size=vector.shape)


def _leaves(one: Known) -> list[np.ndarray]:
    cuts = np.cumsum([int(np.prod(shape)) for shape in one.shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(one.vector, cuts), one.shapes, strict=True)]


def _resized(one: Known, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """The leaves cut, or filled up with zeros."""
    return np.concatenate([fitted(leaf, shape).ravel() for leaf, shape in zip(_leaves(one), shapes, strict=True)])


def _joined(one: Known, other: Known, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Two points as blocks: the first at the beginning of every axis, the second behind it, as far as there is room."""
    parts = []
    for first, second, shape in zip(_leaves(one), _leaves(other), shapes, strict=True):
        whole = fitted(first, shape)
        room = tuple(max(0, wide - used) for wide, used in zip(shape, first.shape, strict=True))
        if whole.ndim:
            whole[tuple(slice(used, None) for used in first.shape)] = fitted(second, room)
        parts.append(whole.ravel())
    return np.concatenate(parts)


def _low_rank_leaves(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """A start of the problem's own law, each matrix replaced by its best approximation of a random lower rank."""
    with jax.enable_x64(True):
        drawn = problem.init(jax.random.key(int(rng.integers(2**31))), np.float64(1.0))
    parts = []
    for leaf in jax.tree.leaves(drawn):
        leaf = np.asarray(leaf, np.float64)
        if leaf.ndim == 2 and min(leaf.shape) > 1:
            left, values, right = np.linalg.svd(leaf, full_matrices=False)
            values[int(rng.integers(1, values.size)) :] *= 1e-3
            leaf = (left * values) @ right
        parts.append(leaf.ravel())
    return np.concatenate(parts)


__all__ = ["Known", "leaf_shapes", "structured_starts"]
