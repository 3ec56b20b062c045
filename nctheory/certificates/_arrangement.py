r"""The faces of a central arrangement of hyperplanes, by exact arithmetic: which inputs lie on which side of a neuron.

The hyperplanes are $\{w:\langle w,x_i\rangle=0\}$. They cut the space into cells, whose faces are told apart by the signs of
$\langle w,x_i\rangle$. Floating-point numbers are whole multiples of powers of two, so that all signs are found with Python's
whole numbers, whatever the position of the inputs: parallel, opposite, on a common plane, or zero.
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int8

MOST_FACES = 4096
"""Arrangements of more faces are not enumerated: at every point the bound then takes tenths of a second (conventional)."""
MOST_RANK = 7
"""Inputs of higher rank have more faces: r independent ones have 3^r - 1, and others no fewer (derived)."""


class Faces(NamedTuple):
    """The faces of an arrangement but for the origin: relatively open cones, of which no two meet."""

    signs: Int8[np.ndarray, "F N"]
    """The signs of <w, x_i> for the directions w of a face."""
    inputs: Float[np.ndarray, "F N r"]
    """The inputs in coordinates of each face: their products with an orthonormal basis of what the face spans within the span
    of all inputs, filled up by zeros."""


def number_of_faces(lines: int, rank: int) -> int:
    r"""The largest number of faces, but for the origin, of so many hyperplanes whose normals span so many dimensions.

    It is reached in general position: each of the $\binom N{r-k}$ intersections of dimension k is cut by the other $n=N-r+k$
    hyperplanes into $2\sum_{j<k}\binom{n-1}j$ cells. (Buck 1943, number unchecked.)

    >>> [number_of_faces(6, rank) for rank in (1, 2, 3)], number_of_faces(4, 4) == 3**4 - 1
    ([2, 24, 122], True)
    """
    if rank == 1:
        return 2
    found = 0
    for k in range(1, rank + 1):
        others = lines - rank + k
        found += math.comb(lines, rank - k) * 2 * sum(math.comb(others - 1, j) for j in range(k))
    return found


def most_faces(inputs: Float[np.ndarray, "d N"]) -> int:
    """`number_of_faces` for the different lines on which these inputs lie, and for their rank, both found exactly.

    Inputs beyond those with which it is more than `MOST_FACES` are not looked at: then there are so many, or more.
    """
    lines: set[tuple[int, ...]] = set()
    rows: list[tuple[int, list[int]]] = []
    most = 0
    for column in _whole_columns(inputs):
        if not any(column):
            continue
        lines.add(_primitive(column))
        _extend(rows, column)
        most = number_of_faces(len(lines), len(rows))
        if most > MOST_FACES:
            break
    return most


@functools.lru_cache(maxsize=64)
def _faces_of_bytes(data: bytes, rows: int, columns: int) -> Faces:
    return _enumerated(np.frombuffer(data).reshape(rows, columns))


def faces_of(inputs: Float[np.ndarray, "d N"]) -> Faces:
    """All faces of the arrangement of these inputs; those of the last inputs asked for are remembered.

    Raises ValueError for inputs that are not finite, and where there may be more than `MOST_FACES`.

    >>> found = faces_of(np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    >>> sorted(map(tuple, found.signs.tolist()))
    [(-1, -1, -1), (-1, 0, -1), (-1, 1, -1), (0, -1, 0), (0, 1, 0), (1, -1, 1), (1, 0, 1), (1, 1, 1)]
    >>> found.inputs.shape
    (8, 3, 2)
    """
    inputs = np.ascontiguousarray(inputs, dtype=np.float64)
    if not np.all(np.isfinite(inputs)):
        raise ValueError("inputs: expected finite numbers")
    most = most_faces(inputs)
    if most > MOST_FACES:
        raise ValueError(f"inputs: expected an arrangement of at most {MOST_FACES} faces, got one of up to {most}")
    return _faces_of_bytes(inputs.tobytes(), *inputs.shape)


def _enumerated(inputs: Float[np.ndarray, "d N"]) -> Faces:
    """The faces: all cells of all intersections of hyperplanes."""
    columns = list(_whole_columns(inputs))
    rows: list[tuple[int, list[int]]] = []
    pivots = [index for index, column in enumerate(columns) if _extend(rows, column)]
    # In the coordinates a of w = sum_p a_p x_p over independent inputs, <w, x_i> is the form <h_i, a> of whole numbers.
    forms = [[_product(columns[p], column) for p in pivots] for column in columns]
    whole = [[int(i == j) for j in range(len(pivots))] for i in range(len(pivots))]
    flats: dict[int, _Flat] = {}
    if pivots:
        _cells(forms, whole, flats)
    signs, places = [], []
    for flat in flats.values():
        basis = _orthonormal([_combined(columns, pivots, one) for one in flat.basis], len(pivots))
        place = inputs.T @ basis
        for positive, negative in flat.cells:
            signs.append([(positive >> i & 1) - (negative >> i & 1) for i in range(len(columns))])
            places.append(place)
    shape = (len(signs), len(columns))
    return Faces(np.array(signs, np.int8).reshape(shape), np.array(places).reshape(*shape, len(pivots)))


class _Flat(NamedTuple):
    """An intersection of hyperplanes: a basis, and its cells as the sets of positive and of negative forms, bit by bit."""

    basis: list[list[int]]
    cells: set[tuple[int, int]]


def _cells(forms: list[list[int]], basis: list[list[int]], flats: dict[int, _Flat]) -> _Flat:
    """The cells of the flat with this basis, from those of the flats within it; all flats are kept by what vanishes on them.

    Every cell of a flat of dimension two at least is next to a cell of a hyperplane within the flat, on one of its sides.
    """
    values = [[_product(form, vector) for vector in basis] for form in forms]
    vanishing = sum(1 << i for i, value in enumerate(values) if not any(value))
    if vanishing in flats:
        return flats[vanishing]
    cells: set[tuple[int, int]] = set()
    if len(basis) == 1:
        positive, negative = (sum(1 << i for i, (x,) in enumerate(values) if side * x > 0) for side in (1, -1))
        cells = {(positive, negative), (negative, positive)}
    done = vanishing
    for i, value in enumerate(values):
        if len(basis) == 1 or done >> i & 1:
            continue
        # What vanishes with form i: t_p b_m - t_m b_p for all m but one, p, at which t = <h_i, b> is not zero.
        at = next(m for m, x in enumerate(value) if x)
        within = [
            _reduced([value[at] * x - value[m] * y for x, y in zip(basis[m], basis[at], strict=True)])
            for m in range(len(basis))
            if m != at
        ]
        hyperplane = _cells(forms, within, flats)
        # Forms that vanish on it too are multiples of form i, and have the sign of their multiple on its sides.
        alike = [j for j, other in enumerate(values) if any(other) and _vanishes(forms[j], within)]
        up, down = (sum(1 << j for j in alike if side * values[j][at] > 0) for side in (1, -1))
        done |= up | down
        for positive, negative in hyperplane.cells:
            cells |= {(positive | up, negative | down), (positive | down, negative | up)}
    flats[vanishing] = _Flat(basis, cells)
    return flats[vanishing]


def _vanishes(form: list[int], basis: list[list[int]]) -> bool:
    return not any(_product(form, vector) for vector in basis)


def _whole_columns(inputs: Float[np.ndarray, "d N"]) -> Iterator[list[int]]:
    """The inputs, each times a power of two that makes its numbers whole."""
    for column in np.asarray(inputs, np.float64).T:
        pairs = [x.as_integer_ratio() for x in column.tolist()]
        common = max((bottom for _, bottom in pairs), default=1)
        yield _reduced([top * (common // bottom) for top, bottom in pairs])


def _product(one: list[int], other: list[int]) -> int:
    return sum(x * y for x, y in zip(one, other, strict=True))


def _reduced(vector: list[int]) -> list[int]:
    """The vector divided by what all its numbers have in common."""
    common = math.gcd(*vector)
    return [x // common for x in vector] if common > 1 else vector


def _primitive(vector: list[int]) -> tuple[int, ...]:
    """The shortest vector of whole numbers on a line, the first of them positive that is not zero."""
    reduced = _reduced(vector)
    first = next(x for x in reduced if x)
    return tuple(x if first > 0 else -x for x in reduced)


def _extend(rows: list[tuple[int, list[int]]], vector: list[int]) -> bool:
    """Whether a vector is independent of these rows, to which it is then added, by elimination in whole numbers."""
    left = vector
    for at, row in rows:
        left = _reduced([row[at] * x - left[at] * y for x, y in zip(left, row, strict=True)])
    if any(left):
        rows.append((next(i for i, x in enumerate(left) if x), left))
    return any(left)


def _combined(columns: list[list[int]], pivots: list[int], coordinates: list[int]) -> list[int]:
    """The vector with these coordinates in terms of the independent inputs."""
    rows = zip(*(columns[p] for p in pivots), strict=True)
    return [_product(list(row), coordinates) for row in rows]


def _orthonormal(vectors: list[list[int]], width: int) -> np.ndarray:
    """An orthonormal basis d x width of their span, filled up by zeros: by Gram and Schmidt in whole numbers, then rounded."""
    orthogonal: list[list[int]] = []
    for vector in vectors:
        left = vector
        for other in orthogonal:
            size, along = _product(other, other), _product(left, other)
            left = _reduced([size * x - along * y for x, y in zip(left, other, strict=True)])
        orthogonal.append(left)
    found = np.zeros((len(vectors[0]), width))
    for index, vector in enumerate(orthogonal):
        largest = max(map(abs, vector))
        unit = np.array([x / largest for x in vector])  # each quotient is correctly rounded
        found[:, index] = unit / np.linalg.norm(unit)
    return found


__all__ = ["MOST_FACES", "Faces", "faces_of", "most_faces", "number_of_faces"]
