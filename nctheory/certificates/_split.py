"""Coordinates that split the gauge directions at a point from all others, by Householder reflections."""

from typing import Any

import numpy as np

DEPENDENT = 1e-6
"""A pivot below this part of the longest tangent counts as zero."""


class Split:
    r"""An orthogonal Q whose first columns span the tangents of the symmetry orbit, one flat direction a row of `tangents`.

    Q is the product of k Householder reflections and never formed: in the compact form $Q=I-VTV^T$ with
    $T^{-1}=\mathrm{diag}(1/\tau)+\mathrm{striu}(V^TV)$ (Puglisi 1992, number unchecked) it turns m columns of length P in
    4 P k m operations, where Q itself would take 2 P^2 m.
    """

    def __init__(self, tangents: np.ndarray) -> None:
        parameters = tangents.shape[1]
        self._reflectors, self._inverse, self._pivots = np.zeros((parameters, 0)), np.zeros((0, 0)), np.zeros(0)
        if tangents.shape[0] == 0 or not np.any(tangents):
            return
        from scipy.linalg import qr  # here and below: nothing that does not need SciPy waits for its import

        # Householder QR with column pivoting; the reflectors and their triangle in the compact form.
        packed: Any = qr(tangents.T, mode="raw", pivoting=True)
        (factor, tau), triangle = packed[0], packed[1]
        self._pivots = np.abs(np.diag(triangle))
        used = np.flatnonzero(tau)
        lower = np.tril(factor[:, : tau.size], -1) + np.eye(parameters, tau.size)
        self._reflectors = np.ascontiguousarray(lower[:, used])
        self._inverse = np.diag(1.0 / tau[used]) + np.triu(self._reflectors.T @ self._reflectors, 1)

    def rank(self, floor: float) -> int:
        """The dimension of the tangents' span; what is shorter than `floor` is zero."""
        return int(np.sum(self._pivots > max(DEPENDENT * self._pivots[0], floor))) if self._pivots.size else 0

    def turned(self, matrix: np.ndarray) -> np.ndarray:
        """The matrix Q^T A Q for a symmetric A; the block after the first `rank` rows and columns is A off the gauge."""
        return self._apply(self._apply(matrix, transposed=True).T, transposed=True)

    def lifted(self, coordinates: np.ndarray, rank: int) -> np.ndarray:
        """The columns in the flat parameter space that have these coordinates off the gauge."""
        return self._apply(np.concatenate([np.zeros((rank, coordinates.shape[1])), coordinates]), transposed=False)

    def _apply(self, matrix: np.ndarray, transposed: bool) -> np.ndarray:
        """The product Q M = M - V T (V^T M), or Q^T M with T^T in its place."""
        from scipy.linalg import solve_triangular

        inner = self._reflectors.T @ matrix
        solved = solve_triangular(self._inverse, inner, trans=int(transposed)) if inner.size else inner
        return matrix - self._reflectors @ solved
