"""Squared error with a linear network on given data: every critical value, and which saddles may be non-strict."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory._concrete import is_positive
from nctheory._precision import float64
from nctheory._types import Array
from nctheory.closed_form._minimum import NoClosedForm
from nctheory.problems import ChainParams, DeepLinear, segment_ranks

DISTINCT = 1e-9
"""Relative distance from which on two eigenvalues count as different."""


class DataCriticalValue(NamedTuple):
    """One entry of the list: the value at every critical point whose product projects on these directions."""

    value: float
    directions: tuple[int, ...]
    """Which eigenvectors of Sigma, 0 being that of the largest eigenvalue."""
    minimum: bool | None
    """True for the global minimum, False for strict saddles; None where the directions are the leading ones, but fewer
    than the narrowest layer lets through: a saddle, and which kind depends on the ranks of the layers (`pivot_blocks`)."""

    @property
    def rank(self) -> int:
        """Of the product."""
        return len(self.directions)


@float64
def data_critical_values(problem: DeepLinear) -> list[DataCriticalValue]:
    r"""All critical values of $\frac1{2N}|W_L\cdots W_1X-Y|_F^2$, ascending:
    $\frac1{2N}(|Y|_F^2-\sum_{i\in S}\lambda_i)$ for every set S of at most min(widths) eigenvalues of
    $\Sigma=YX^\top(XX^\top)^{-1}XY^\top$.

    At a point of that value the product is $U_SU_S^\top YX^\top(XX^\top)^{-1}$ and has rank |S|. (Baldi and Hornik 1989;
    Kawaguchi, NeurIPS 2016; Achour, Malgouyres, Gerchinovitz, JMLR 25(242), 2024; numbers unchecked; in our convention.)

    Raises NoClosedForm unless the loss is the squared error, inputs are given with invertible $XX^\top$, no layer and no
    bias is decayed or present, and Sigma has K distinct positive eigenvalues.

    >>> import numpy as np, nctheory as nct
    >>> data = {"inputs": np.eye(2), "targets": np.diag([2.0, 1.0])}
    >>> net = nct.deep_linear(widths=(2, 1, 2), loss="mse", weight_decay=(0.0, 0.0), **data)
    >>> [(one.value, one.directions) for one in nct.data_critical_values(net)]
    [(0.25, (0,)), (1.0, (1,)), (1.25, ())]
    """
    eigenvalues, total = _spectrum(problem)
    narrow, samples = min(problem.widths), problem.targets.shape[1]
    listed = []
    for rank in range(narrow + 1):
        for chosen in itertools.combinations(range(len(eigenvalues)), rank):
            value = (total - float(np.sum(eigenvalues[list(chosen)]))) / (2.0 * samples)
            leading = chosen == tuple(range(rank))
            listed.append(DataCriticalValue(value, chosen, (rank == narrow or None) if leading else False))
    return sorted(listed, key=lambda one: one.value)


def _spectrum(problem: DeepLinear) -> tuple[np.ndarray, float]:
    """Eigenvalues of Sigma, descending, and |Y|_F^2; NoClosedForm names the hypothesis that fails."""
    if problem.loss.name != "mse":
        raise NoClosedForm(f"needs loss mse, got {problem.loss.name}")
    if problem.inputs is None:
        raise NoClosedForm("needs given inputs, but the features are free")
    if problem.bias_decay is not None:
        raise NoClosedForm("needs no bias")
    for i, decay in enumerate(problem.weight_decay):
        if is_positive(decay):
            raise NoClosedForm(f"needs no decay, got weight_decay[{i}] = {float(decay)}")
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    _, singular, right = np.linalg.svd(x, full_matrices=False)
    if len(singular) < x.shape[0] or singular[-1] <= DISTINCT * singular[0]:
        raise NoClosedForm("needs X X^T invertible")
    projected = np.linalg.svd(y @ right.T, compute_uv=False) ** 2
    eigenvalues = np.concatenate([projected, np.zeros(y.shape[0] - len(projected))])
    if np.any(-np.diff(eigenvalues) <= DISTINCT * eigenvalues[0]) or eigenvalues[-1] <= DISTINCT * eigenvalues[0]:
        raise NoClosedForm(f"needs distinct positive eigenvalues of Sigma, got {eigenvalues}")
    return eigenvalues, float(np.sum(y**2))


def pivot_blocks(problem: DeepLinear, params: ChainParams) -> Float[Array, ""]:
    r"""The least number, over all pivots i > j, of complementary blocks that have the rank r of the whole product.

    The blocks of a pivot are $W_L\cdots W_{i+1}$, $W_{i-1}\cdots W_{j+1}$ and $W_{j-1}\cdots W_1$, an empty one being the
    identity of its layer. A point is tightened when the number is at least 1: then, if its product has the leading
    directions, its Hessian has no negative eigenvalue. NaN where a rank is in doubt (see `segment_ranks`).
    (Achour, Malgouyres, Gerchinovitz, JMLR 25(242), 2024, number unchecked.)

    >>> import jax.numpy as jnp, numpy as np, nctheory as nct
    >>> data = {"inputs": np.eye(2), "targets": np.diag([2.0, 1.0])}
    >>> net = nct.deep_linear(widths=(2, 2, 2, 2), loss="mse", weight_decay=(0.0,) * 3, **data)
    >>> half = jnp.diag(jnp.array([1.0, 0.0]))
    >>> float(pivot_blocks(net, nct.ChainParams((half,) * 3, None, None)))
    1.0
    """
    depth = problem.depth
    flat = iter(segment_ranks(problem, params))
    ranks = {(begin, end): next(flat) for begin in range(1, depth + 1) for end in range(begin, depth + 1)}

    def block(begin: int, end: int) -> Array:
        return ranks[begin, end] if begin <= end else jnp.asarray(1.0 * problem.widths[begin - 1])

    rank = ranks[1, depth]
    counts = [jnp.asarray(3.0)]
    for i in range(2, depth + 1):
        for j in range(1, i):
            three = jnp.stack([block(i + 1, depth), block(j + 1, i - 1), block(1, j - 1)])
            counts.append(jnp.where(jnp.any(jnp.isnan(three)), jnp.nan, jnp.sum(1.0 * (three == rank))))
    return jnp.where(jnp.isnan(rank), jnp.nan, jnp.min(jnp.stack(counts)))
