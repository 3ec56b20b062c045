"""Rules of extended precision for products and factorisations of matrices, by mpmath on each matrix of a batch.

What a factorisation leaves open (signs of vectors, a basis of an eigenspace) is mpmath's choice and may differ from LAPACK's.
Where one fails, or a matrix is not finite, the outcome is NaN, as in JAX.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nctheory.engine._extended_numbers import NotExtended, Numbers, is_real, rule

Params = dict[str, Any]


@rule("dot_general")
def _dot_general(numbers: Numbers, params: Params, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    (left_sum, right_sum), (left_batch, right_batch) = params["dimension_numbers"]
    # Both factors become stacks of matrices, the axes summed over last, so that every entry is an inner product of two rows.
    a, rows = _as_batch(left, left_batch, left_sum)
    b, cols = _as_batch(right, right_batch, right_sum)
    shape = (*(left.shape[axis] for axis in left_batch), *rows, *cols)
    if not (is_real(left) or is_real(right)):
        return np.einsum("bmk,bnk->bmn", a, b).reshape(shape)
    # Each entry is rounded once; mpmath's own sum of products is three times as fast as NumPy's.
    dot = numbers.mp.fdot
    entries = (dot(x, y) for xs, ys in zip(a.tolist(), b.tolist(), strict=True) for x in xs for y in ys)
    return numbers.packed(entries, shape)


def _as_batch(x: np.ndarray, batch: Sequence[int], summed: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """A factor with one axis each for the batch, for what remains and for the sum; and the shape of what remains."""
    free = [axis for axis in range(x.ndim) if axis not in (*batch, *summed)]
    sizes = [[x.shape[axis] for axis in axes] for axes in (batch, free, summed)]
    return x.transpose([*batch, *free, *summed]).reshape([math.prod(s) for s in sizes]), tuple(sizes[1])


def _each(
    numbers: Numbers, factorise: Callable[[Any], Sequence[Any]], x: np.ndarray, *shapes: tuple[int, ...]
) -> list[np.ndarray]:
    """The factors of each matrix of a batch, as arrays of these shapes; NaN where they cannot be had.

    Those of a matrix without entries are identities, whatever of them is not empty.
    """
    batch = x.shape[:-2]
    found: list[list[np.ndarray]] = [[] for _ in shapes]
    for matrix in x.reshape(math.prod(batch), *x.shape[-2:]):
        try:
            finite = all(map(numbers.mp.isfinite, matrix.ravel()))
            factors = factorise(matrix) if finite and matrix.size else None
            if not matrix.size:
                factors = [map(numbers.mp.mpf, np.eye(*s).ravel() if len(s) == 2 else []) for s in shapes]
        except (RuntimeError, ValueError, ZeroDivisionError):  # no convergence, or not positive definite
            factors = None
        for out, shape, i in zip(found, shapes, range(len(shapes)), strict=True):
            out.append(numbers.filled(shape, math.nan) if factors is None else numbers.packed(factors[i], shape))
    # Where the batch is empty there is no matrix to take the shape from.
    stacked = [np.stack(out) if out else numbers.filled((0, *s), 0) for out, s in zip(found, shapes, strict=True)]
    return [out.reshape(*batch, *shape) for out, shape in zip(stacked, shapes, strict=True)]


def _all_of_it(name: str, params: Params) -> None:
    if params.get("subset_by_index") is not None:
        raise NotExtended(f"{name} of a part of the spectrum: no rule in extended precision")


@rule("eigh")
def _eigh(numbers: Numbers, params: Params, x: np.ndarray) -> Sequence[np.ndarray]:
    _all_of_it("eigh", params)
    n = x.shape[-1]
    triangle = np.tril_indices(n)

    def factorise(matrix: np.ndarray) -> Sequence[Any]:
        # The triangle that counts is the lower one of `half`, and its mirror image completes the symmetric matrix.
        half = matrix if params["lower"] else matrix.T
        whole = half.T.copy()  # only one triangle counts
        whole[triangle] = half[triangle]
        values, vectors = numbers.mp.eigsy(numbers.mp.matrix(whole.tolist()))
        # The primitive has the eigenvectors first, mpmath the eigenvalues.
        return vectors, values

    return _each(numbers, factorise, x, (n, n), (n,))


@rule("svd")
def _svd(numbers: Numbers, params: Params, x: np.ndarray) -> Sequence[np.ndarray]:
    _all_of_it("svd", params)
    full, (rows, cols) = params["full_matrices"], x.shape[-2:]
    least = min(rows, cols)

    def factorise(matrix: np.ndarray) -> Sequence[Any]:
        of = numbers.mp.matrix(matrix.tolist())
        if not params["compute_uv"]:
            return (numbers.mp.svd_r(of, compute_uv=False),)
        # The primitive's order is s, U, V^T, and mpmath's U, s, V^T.
        left, values, right = numbers.mp.svd_r(of, full_matrices=full)
        return values, left, right

    shapes = [(least,), (rows, rows if full else least), (cols if full else least, cols)]
    return _each(numbers, factorise, x, *(shapes if params["compute_uv"] else shapes[:1]))


@rule("qr")
def _qr(numbers: Numbers, params: Params, x: np.ndarray) -> Sequence[np.ndarray]:
    if params.get("pivoting"):
        raise NotExtended("qr with pivoting: no rule in extended precision")
    rows, cols = x.shape[-2:]
    inner = rows if params["full_matrices"] else min(rows, cols)

    def factorise(matrix: np.ndarray) -> Sequence[Any]:
        of = numbers.mp.matrix(matrix.tolist())
        mode = "full" if params["full_matrices"] else "skinny"
        if rows >= cols:
            return numbers.mp.qr(of, mode=mode)
        # With more columns than rows, Q is that of the leading square block, and R = Q^T A, zero below its diagonal.
        unitary, _ = numbers.mp.qr(of[:, :rows], mode=mode)  # mpmath wants no more columns than rows
        upper = unitary.T * of
        for i in range(1, rows):
            upper[i, :i] = 0 * upper[i, :i]
        return unitary, upper

    return _each(numbers, factorise, x, (rows, inner), (inner, cols))


@rule("cholesky")
def _cholesky(numbers: Numbers, params: Params, x: np.ndarray) -> np.ndarray:
    n = x.shape[-1]

    def factorise(matrix: np.ndarray) -> Sequence[Any]:
        return (numbers.mp.cholesky(numbers.mp.matrix(matrix.tolist())),)

    return _each(numbers, factorise, x, (n, n))[0]


@rule("lu")
def _lu(numbers: Numbers, params: Params, x: np.ndarray) -> Sequence[np.ndarray]:
    rows, cols = x.shape[-2:]
    batch, least = x.shape[:-2], min(rows, cols)
    factors = x.reshape(math.prod(batch), rows, cols).copy()
    pivots = np.zeros((len(factors), least), dtype=np.int32)
    order = np.tile(np.arange(rows, dtype=np.int32), (len(factors), 1))
    # Elimination with partial pivots works in place: L, without its unit diagonal, comes to lie below the diagonal of U.
    for matrix, swaps, line in zip(factors, pivots, order, strict=True):
        for k in range(least):
            # The pivot is the largest entry of column k on or below the diagonal, and the first of equals.
            at = k + max(range(rows - k), key=lambda i: abs(matrix[k + i, k]))
            swaps[k] = at
            for array in (matrix, line):
                array[[k, at]] = array[[at, k]]
            # The multipliers are l_i = a_ik/a_kk, and the rest becomes a_ij - l_i a_kj; a column of zeros needs none.
            if matrix[k, k]:
                matrix[k + 1 :, k] = numbers.map("div", matrix[k + 1 :, k], matrix[k : k + 1, k])
                matrix[k + 1 :, k + 1 :] -= matrix[k + 1 :, k : k + 1] * matrix[k : k + 1, k + 1 :]
    return factors.reshape(x.shape), pivots.reshape(*batch, least), order.reshape(*batch, rows)


@rule("triangular_solve")
def _triangular_solve(numbers: Numbers, params: Params, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lower, transposed = params["lower"], params["transpose_a"]
    if not params["left_side"]:  # X op(A) = B is op(A)^T X^T = B^T
        b, transposed = b.swapaxes(-1, -2), not transposed
    if transposed:
        a, lower = a.swapaxes(-1, -2), not lower
    n = a.shape[-1]
    out = b.copy()
    # Substitution gives x_i = (b_i - sum_j a_ij x_j)/a_ii over the j already known, from the first row on, or from the last.
    for i in range(n) if lower else reversed(range(n)):
        known = slice(0, i) if lower else slice(i + 1, n)
        rest = out[..., i : i + 1, :]
        for j in range(n)[known]:
            rest = rest - a[..., i : i + 1, j : j + 1] * out[..., j : j + 1, :]
        out[..., i : i + 1, :] = (
            rest if params["unit_diagonal"] else numbers.map("div", rest, a[..., i : i + 1, i : i + 1])
        )
    return out if params["left_side"] else out.swapaxes(-1, -2)
