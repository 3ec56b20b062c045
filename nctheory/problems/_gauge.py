"""The symmetry of a linear chain: its group, its tangent directions, its action."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._types import Array

if TYPE_CHECKING:
    from nctheory.problems._chain import DeepLinear


class ChainParams(NamedTuple):
    """Parameters of a chain: `weights` (W_1, …, W_L), `features` H or None, `bias` b or None."""

    weights: tuple[Array, ...]
    features: Array | None
    bias: Array | None


def internal_spaces(problem: DeepLinear) -> tuple[int, ...]:
    """Indices l of the spaces R^{d_l} between two free factors, on each of which O(d_l) acts.

    >>> from nctheory import unconstrained_features
    >>> internal_spaces(unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(0.1, 0.1)))
    (0,)
    """
    return tuple(range(0 if problem.inputs is None else 1, problem.depth))


def skew_basis(dim: int) -> np.ndarray:
    """A basis of the skew-symmetric matrices, shape (d(d-1)/2, d, d)."""
    rows, cols = np.triu_indices(dim, 1)
    basis = np.zeros((len(rows), dim, dim))
    basis[np.arange(len(rows)), rows, cols] = 1.0
    basis[np.arange(len(rows)), cols, rows] = -1.0
    return basis


def chain_tangents(problem: DeepLinear, params: ChainParams) -> ChainParams:
    """All gauge tangent vectors at `params`, stacked on a leading axis (they may be linearly dependent)."""
    blocks = []
    zero = jax.tree.map(jnp.zeros_like, params)
    for space in internal_spaces(problem):
        below = problem.lowest(params) if space == 0 else params.weights[space - 1]

        def tangent(skew: Array, space: int = space, below: Array = below) -> ChainParams:
            weights = list(zero.weights)
            weights[space] = -params.weights[space] @ skew
            if space == 0:
                return ChainParams(tuple(weights), skew @ below, zero.bias)
            weights[space - 1] = skew @ below
            return ChainParams(tuple(weights), zero.features, zero.bias)

        blocks.append(jax.vmap(tangent)(jnp.asarray(skew_basis(problem.widths[space]))))
    if params.bias is not None and problem.loss.shift_invariant:
        free = jnp.where(problem.bias_decay == 0.0, 1.0, 0.0)
        shift = zero._replace(bias=free * jnp.ones_like(params.bias))
        blocks.append(jax.tree.map(lambda x: x[None], shift))
    if not blocks:
        return jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), params)
    return jax.tree.map(lambda *xs: jnp.concatenate(xs), *blocks)


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
        q = jax.random.orthogonal(sub, problem.widths[space], dtype=jnp.float64)
        weights[space] = weights[space] @ q.T
        if space == 0:
            features = q @ problem.lowest(params)
        else:
            weights[space - 1] = q @ weights[space - 1]
    return params._replace(weights=tuple(weights), features=features)
