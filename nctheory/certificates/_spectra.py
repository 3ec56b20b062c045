"""Functions of a matrix's spectrum by products alone, where a device factorises many matrices one after the other.

A GPU finds the eigenvalues of many matrices of up to 32 rows at a time, and those of larger ones each by itself, thousands of
small launches for a batch; products of many matrices it does at once, of any size. What a certificate needs of a spectrum does
not ask for eigenvectors: an upper bound of a norm, and a dual point that need not be exact, because any is feasible once it is
scaled. On a CPU the factorisations are quicker and stay.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import EPS, Array, Scalar

Square = Float[Array, "M M"]
FACTORISED = 32
"""Matrices of more rows than this are factorised on a CPU only (conventional: cuSOLVER's batched Jacobi method ends there)."""
SQUARINGS = 44
"""The trace of the 2^44-th power gives the norm to ln M/2^44, less than its rounding (derived)."""
SIGN_STEPS, ROOT_STEPS = 60, 40
"""Newton and Schulz's steps; each brings an eigenvalue near zero 1.5 times, or in the root 2.25 times, as far away: from 1e-10
and from 1e-13 to one (derived)."""


def by_products_where_larger(
    matrix: Square, factorised: Callable[[Square], Any], by_products: Callable[[Square], Any]
) -> Any:
    """What `factorised` makes of a symmetric matrix, and of one of more than `FACTORISED` rows elsewhere than on a CPU what
    `by_products` makes of it."""
    if matrix.shape[0] <= FACTORISED:
        return factorised(matrix)
    return jax.lax.platform_dependent(matrix, cpu=factorised, default=by_products)


def largest_by_products(matrix: Square) -> Scalar:
    r"""An upper bound on the largest eigenvalue of a symmetric matrix whose largest eigenvalue is its spectral norm.

    With $S_0=A/t_0$, $S_{j+1}=S_j^2/t_{j+1}$ and $t_j$ the trace of what it divides, $|S_j|_2\le1$, so that

    $$ |A|_2=t_0\prod_{j=1}^k t_j^{2^{-j}}\,|S_k|_2^{2^{-k}}\le t_0\prod_{j=1}^k t_j^{2^{-j}}, $$

    which is too large by a factor of at most $M^{2^{-k}}$; here $t_0=|A|_F$, so that A need not be positive semidefinite. The
    product $S_j^2$ is rounded by at most $\frac12M\varepsilon|S_j|_F^2=\frac12M\varepsilon t_{j+1}$ in norm, and its norm is
    $t_{j+1}|S_{j+1}|_2\ge t_{j+1}t_{j+2}$. So the logarithm is off by at most $\sum_j2^{-j}M\varepsilon/t_j$ with something to
    spare, which is added to it. Zero for a matrix of zeros.

    >>> round(float(largest_by_products(jnp.diag(jnp.array([3.0, 1.0, 2.0])))), 5)
    3.0
    """
    rows = matrix.shape[0]
    length = jnp.sqrt(jnp.sum(matrix**2))

    def squared(step: Array, state: tuple[Square, Scalar]) -> tuple[Square, Scalar]:
        unit, logarithm = state
        square = unit @ unit
        trace = jnp.trace(square)
        weight = 0.5 ** (step + 1.0)
        return square / trace, logarithm + weight * (jnp.log(trace) + 2 * rows * EPS / trace)

    unit = matrix / jnp.where(length > 0, length, 1.0)
    _, logarithm = jax.lax.fori_loop(0, SQUARINGS, squared, (unit, jnp.zeros(())))
    return jnp.where(length > 0, length * jnp.exp(logarithm) * (1.0 + 4 * rows * EPS), 0.0)


def contraction_by_products(gram: Square) -> Square:
    r"""$\min(1,B^{-1/2})$ of a positive semidefinite B, the factor that cuts singular values $b^{1/2}$ at one.

    With the sign S of $B-1$ and the projector $P=(1+S)/2$ it is $1-P+P(BP+1-P)^{-1/2}$, both functions by Newton and Schulz's
    steps, $X\leftarrow\frac12X(3-X^2)$. Next to b = 1 the sign comes slowly, and does not matter. It is exact to about 1e-10
    for eigenvalues up to some 1e12; beyond that it is whatever it is.

    >>> cut = contraction_by_products(jnp.diag(jnp.array([4.0, 0.25])))
    >>> [round(float(cut[i, i]), 5) for i in range(2)]
    [0.5, 1.0]
    """
    one = jnp.eye(gram.shape[0], dtype=gram.dtype)
    above = gram - one
    length = jnp.sqrt(jnp.sum(above**2))

    def towards_sign(_: Array, x: Square) -> Square:
        return 0.5 * x @ (3.0 * one - x @ x)

    start = above / jnp.where(length > 0, length, 1.0)
    projector = 0.5 * (one + jax.lax.fori_loop(0, SIGN_STEPS, towards_sign, start))
    # Eigenvalues b above one are kept, all others become one; the coupled steps are X <- X T, Z <- T Z, T = (3 - Z X)/2.
    kept = gram @ projector + one - projector
    size = jnp.sqrt(jnp.sum(kept**2))

    def towards_root(_: Array, state: tuple[Square, Square]) -> tuple[Square, Square]:
        x, z = state
        turn = 0.5 * (3.0 * one - z @ x)
        return x @ turn, turn @ z

    _, root = jax.lax.fori_loop(0, ROOT_STEPS, towards_root, (kept / size, one))
    cut = one - projector + projector @ root / jnp.sqrt(size)
    return 0.5 * (cut + cut.T)
