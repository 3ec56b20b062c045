"""The relabellings of vectors that leave their Gram matrix as it is: the symmetry group of a code."""

import numpy as np
from jaxtyping import Float

from nctheory.engine import EPS, Array

SAME = EPS**0.5
"""Two inner products of unit vectors are equal if they differ by at most this (conventional)."""


def relabellings(gram: Float[Array, "m m"], tolerance: float = SAME, most: int = 10**6) -> int:
    r"""The number of permutations $\pi$ with $G_{\pi(i)\pi(j)}=G_{ij}$ for all i, j, which is the order of the symmetry group.

    For unit vectors it is that of the orthogonal maps that carry the code to itself, times the permutations of equal vectors.
    Permutations are extended one vector after another, and given up at the first pair that differs by more than `tolerance`.
    Raises ValueError for a matrix that is not square and symmetric, and where there are more than `most`.

    >>> import numpy as np
    >>> simplex, square = np.eye(4) - 0.25, np.kron(np.eye(2), [[1.0, -1.0], [-1.0, 1.0]])
    >>> relabellings(simplex), relabellings(square)
    (24, 8)
    """
    matrix = np.asarray(gram)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, atol=tolerance):
        raise ValueError(f"gram: expected a symmetric matrix, got shape {matrix.shape}")
    size = len(matrix)
    # Two vectors can be exchanged only if they see the same inner products, sorted.
    seen = np.sort(matrix, axis=1)
    alike = np.abs(seen[:, None] - seen[None]).max(axis=2) <= tolerance
    found = 0
    begun: list[tuple[int, ...]] = [()]
    while begun:
        chosen = begun.pop()
        at = len(chosen)
        if at == size:
            found += 1
            if found > most:
                raise ValueError(f"gram: more than most = {most} permutations leave it as it is")
            continue
        taken = list(chosen)
        for image in np.flatnonzero(alike[at]):
            fits = np.abs(matrix[image, taken] - matrix[at, :at]) <= tolerance
            if image not in chosen and fits.all() and abs(matrix[image, image] - matrix[at, at]) <= tolerance:
                begun.append((*chosen, int(image)))
    return found
