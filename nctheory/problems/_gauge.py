"""The symmetry of a linear chain: its group, its tangent directions, its action."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, float64, is_positive, shown

if TYPE_CHECKING:
    from nctheory.problems._chain import DeepLinear


NARROW = 3
"""A space is narrow that is no wider than this many times the rows of the factor above: two products of that width with the
factor below take the place of six with as many rows."""
RANK_TOLERANCE, RANK_DOUBT = 1e-3, 1e-5
"""The relative size from which on a singular value counts, and the fraction of it below which it surely does not."""


@shown()
class ChainParams(NamedTuple):
    """The parameters of a chain: `weights` (W_1, …, W_L), `features` H or None, `bias` b or None."""

    weights: tuple[Array, ...]
    features: Array | None
    bias: Array | None


def internal_spaces(problem: DeepLinear) -> tuple[int, ...]:
    """The indices l of the spaces R^{d_l} between two free factors, on each of which O(d_l) acts.

    >>> from nctheory import unconstrained_features
    >>> internal_spaces(unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(0.1, 0.1)))
    (0,)
    """
    return tuple(range(0 if problem.inputs is None else 1, problem.depth))


def skew_basis(dim: int) -> np.ndarray:
    """A basis of the skew-symmetric matrices, the generators of rotations, shape (d(d-1)/2, d, d).

    >>> skew_basis(2).tolist()
    [[[0.0, 1.0], [-1.0, 0.0]]]
    """
    # The basis is E_ij - E_ji for i < j.
    rows, cols = np.triu_indices(dim, 1)
    basis = np.zeros((len(rows), dim, dim))
    basis[np.arange(len(rows)), rows, cols] = 1.0
    basis[np.arange(len(rows)), cols, rows] = -1.0
    return basis


def symmetric_basis(dim: int) -> np.ndarray:
    """A basis of the symmetric matrices, shape (d(d+1)/2, d, d)."""
    # The basis is E_ij + E_ji for i < j, and E_ii.
    rows, cols = np.triu_indices(dim)
    basis = np.zeros((len(rows), dim, dim))
    basis[np.arange(len(rows)), rows, cols] = basis[np.arange(len(rows)), cols, rows] = 1.0
    return basis


@float64
def undecayed(problem: DeepLinear, space: int) -> Array:
    """Whether neither factor that meets in an internal space is decayed: then all of GL(d) acts there, not only O(d)."""
    decay = jnp.asarray(problem.weight_decay)
    return (decay[space] == 0.0) & (decay[space - 1] == 0.0)


@float64
def segment_ranks(problem: DeepLinear, params: ChainParams) -> Array:
    """The rank of every product W_j … W_i of neighbouring layers (i <= j, the features first where they are free).

    Order: (1, 1), (2, 1), …, (F, 1), (2, 2), …. A singular value counts from `RANK_TOLERANCE` of the product of the norms
    of the segment's factors on; NaN where one lies between that and `RANK_DOUBT` of it.

    >>> import jax, nctheory as nct
    >>> with jax.enable_x64(True):
    ...     p = nct.deep_linear(widths=(2, 1, 2), counts=(2, 2), loss="mse", weight_decay=(0.1, 0.1, 0.1))
    ...     [int(rank) for rank in segment_ranks(p, p.init(jax.random.key(0), 1.0))]
    [2, 1, 1, 1, 1, 1]
    """
    factors = list(params.weights) if params.features is None else [problem.lowest(params), *params.weights]
    # A factor counts as no smaller than a thousandth of the unit of parameters, so that a tiny one has rank zero.
    ranks, least = [], RANK_TOLERANCE * problem.characteristic_scales().length
    for begin in range(len(factors)):
        product, size = None, jnp.ones(())
        for factor in factors[begin:]:
            product = factor if product is None else factor @ product
            size = size * jnp.maximum(jnp.linalg.norm(factor), least)
            # Singular values are relative to the product of the factors' norms; where one is doubtful, so is the rank.
            singular = jnp.linalg.svd(product, compute_uv=False) / size
            doubtful = jnp.any((singular > RANK_DOUBT * RANK_TOLERANCE) & (singular < RANK_TOLERANCE))
            ranks.append(jnp.where(doubtful, jnp.nan, jnp.sum(singular >= RANK_TOLERANCE, dtype=float)))
    return jnp.stack(ranks)


def _tangent(problem: DeepLinear, params: ChainParams, space: int, skew: Array) -> ChainParams:
    """The direction in which the generator `skew` of a rotation (or any other) in one internal space moves a point."""
    zero = jax.tree.map(jnp.zeros_like, params)
    # The rotation e^{tX} of a space leaves A e^{-tX} e^{tX} F, so that A above it moves by -AX, and F below it by XF.
    weights, features = list(zero.weights), zero.features
    weights[space] = -params.weights[space] @ skew
    if space == 0:
        features = skew @ problem.lowest(params)
    else:
        weights[space - 1] = skew @ params.weights[space - 1]
    return ChainParams(tuple(weights), features, zero.bias)


def chain_gauge_penalty(
    problem: DeepLinear, params: ChainParams, vector: ChainParams, *, direct: bool = False
) -> ChainParams:
    r"""A positive semidefinite form on the rotations' tangents, at the cost of a Hessian product.

    In a space between A above and F below let $M=v_FF^\top-A^\top v_A$ and $G=M-M^\top$, the vector's components along
    the rotations. The result is the tangent of $SG+GS$ with $S=A^\top A$, of which only $C=AG$ is ever formed; but with
    `direct` $SG+GS$ itself, in spaces so narrow that this is less work: there large factors are read half as often.
    """
    weights: list[Array] = [jnp.zeros_like(w) for w in params.weights]
    features = None if params.features is None else jnp.zeros_like(params.features)
    for space in internal_spaces(problem):
        if problem.widths[space] == 1:
            # A space of dimension one has no rotation; its rounding would be scaled up to the Hessian's size by the solver.
            continue
        above, moved_above = params.weights[space], vector.weights[space]
        below = problem.lowest(params) if space == 0 else params.weights[space - 1]
        moved_below = problem.lowest(vector) if space == 0 else vector.weights[space - 1]
        if direct and above.shape[1] <= NARROW * above.shape[0]:
            # The generator SG + GS itself: `half` is SG, and GS = -(SG)^T.
            m = moved_below @ below.T - above.T @ moved_above
            half = (above.T @ above) @ (m - m.T)
            generator = half - half.T
            weights[space] -= above @ generator
            along = generator @ below
            features = _added(features, weights, space, along)
            continue
        # C = A G = A M - A M^T, product by product from the outside, so that nothing of the space's width squared is formed.
        product, gram = above @ below, above @ above.T
        c = (above @ moved_below) @ below.T - product @ moved_below.T
        c = c - gram @ moved_above + (above @ moved_above.T) @ above
        # SG + GS = A^T C - C^T A moves the factor above by -A(SG + GS) = (A C^T) A - (A A^T) C, the one below by (SG + GS) F.
        weights[space] += (above @ c.T) @ above - gram @ c
        along = above.T @ (c @ below) - c.T @ product
        features = _added(features, weights, space, along)
    bias = None if params.bias is None else jnp.zeros_like(params.bias)
    return ChainParams(tuple(weights), features, bias)


def _added(features: Array | None, weights: list[Array], space: int, along: Array) -> Array | None:
    """The features' move, with what the factor below a space moves along the orbit; a layer's is added to `weights`."""
    if space == 0:
        return along
    weights[space - 1] += along
    return features


def chain_tangents(problem: DeepLinear, params: ChainParams) -> ChainParams:
    """All gauge tangent vectors at `params`, stacked on a leading axis (they may be linearly dependent)."""
    blocks = []
    zero = jax.tree.map(jnp.zeros_like, params)
    for space in internal_spaces(problem):
        basis = jnp.asarray(skew_basis(problem.widths[space]))
        generators = basis
        # Index -1 of the decays is that of the features, which are the factor below space 0.
        if not (is_positive(problem.weight_decay[space]) or is_positive(problem.weight_decay[space - 1])):
            # Without decay on either side every matrix generates a symmetry; skew and symmetric ones together span them all.
            free = jnp.where(undecayed(problem, space), 1.0, 0.0)  # where traced, rows of zeros do no harm
            stretches = jnp.asarray(symmetric_basis(problem.widths[space])) * free
            generators = jnp.concatenate([basis, stretches])
        blocks.append(jax.vmap(lambda one, space=space: _tangent(problem, params, space, one))(generators))
    if params.bias is not None and problem.loss.shift_invariant:
        # A bias without decay may move along 1 where the loss ignores a shift.
        free = jnp.where(problem.bias_decay == 0.0, 1.0, 0.0)
        shift = zero._replace(bias=free * jnp.ones_like(params.bias))
        blocks.append(jax.tree.map(lambda x: x[None], shift))
    if not blocks:
        return jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), params)
    return jax.tree.map(lambda *xs: jnp.concatenate(xs), *blocks)


@float64
def random_gauge(problem: DeepLinear, params: ChainParams, key: PRNGKeyArray) -> ChainParams:
    """Move `params` along its symmetry orbit by random orthogonal matrices; the logits do not change.

    >>> import jax, numpy as np, nctheory as nct
    >>> with jax.enable_x64(True):
    ...     p = nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(0.1, 0.1))
    ...     x = p.init(jax.random.key(0), 1.0)
    ...     y = random_gauge(p, x, jax.random.key(1))
    ...     bool(np.allclose(p.logits(x), p.logits(y), atol=1e-14))
    True
    """
    weights, features = list(params.weights), params.features
    for space in internal_spaces(problem):
        key, sub = jax.random.split(key)
        # A factor above the space becomes A Q^T, and the one below it QF.
        q = jax.random.orthogonal(sub, problem.widths[space], dtype=jnp.float64)
        weights[space] = weights[space] @ q.T
        if space == 0:
            features = q @ problem.lowest(params)
        else:
            weights[space - 1] = q @ weights[space - 1]
    return params._replace(weights=tuple(weights), features=features)
