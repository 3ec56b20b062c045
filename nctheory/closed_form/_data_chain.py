"""Squared error with a linear network on given data: every critical value, and which saddles may be non-strict."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._minimum import NoClosedForm
from nctheory.closed_form._require import require
from nctheory.closed_form._thresholds import DISTINCT_EIGENVALUES, NONZERO_SINGULAR_VALUE, ZERO_SINGULAR_VALUE
from nctheory.engine import Array, float64, shown, untraced
from nctheory.problems import RANK_DOUBT, RANK_TOLERANCE, ChainParams, DeepLinear, ravel, segment_ranks


@shown()
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
        """The rank of the product."""
        return len(self.directions)


@untraced()
@float64
def data_critical_values(problem: DeepLinear) -> list[DataCriticalValue]:
    r"""All critical values of $\frac1{2N}|W_L\cdots W_1X-Y|_F^2$, ascending:
    $\frac1{2N}(|Y|_F^2-\sum_{i\in S}\lambda_i)$ for every set S of at most min(widths) eigenvalues of
    $\Sigma=YX^\top(XX^\top)^{-1}XY^\top$.

    At a point of that value the product is $U_SU_S^\top YX^\top(XX^\top)^{-1}$ and has rank |S|. (Baldi and Hornik 1989;
    Kawaguchi, NeurIPS 2016; Achour, Malgouyres, Gerchinovitz, JMLR 25(242), 2024; numbers unchecked; in our convention.)

    Raises NoClosedForm unless the loss is the squared error, inputs are given with invertible $XX^\top$, no layer and no
    bias is decayed or present, and Sigma has K distinct positive eigenvalues. There must be at least two layers: with one
    only the least-squares solution is critical.

    >>> import numpy as np, nctheory as nct
    >>> data = {"inputs": np.eye(2), "targets": np.diag([2.0, 1.0])}
    >>> net = nct.deep_linear(widths=(2, 1, 2), loss="mse", weight_decay=(0.0, 0.0), **data)
    >>> [(one.value, one.directions) for one in nct.closed_form.data_critical_values(net)]
    [(0.25, (0,)), (1.0, (1,)), (1.25, ())]
    """
    eigenvalues, total = _spectrum(problem)
    # The value of a set S of eigenvectors is (|Y|^2 - sum of lambda_i over S)/2N.
    narrow, samples = min(problem.widths), problem.targets.shape[1]
    listed = []
    for rank in range(narrow + 1):
        for chosen in itertools.combinations(range(len(eigenvalues)), rank):
            value = (total - float(np.sum(eigenvalues[list(chosen)]))) / (2.0 * samples)
            # The leading min(widths) directions are the global minimum, fewer leading ones a saddle of unknown kind, all
            # else is strict.
            leading = chosen == tuple(range(rank))
            listed.append(DataCriticalValue(value, chosen, (rank == narrow or None) if leading else False))
    return sorted(listed, key=lambda one: one.value)


def _spectrum(problem: DeepLinear) -> tuple[np.ndarray, float]:
    """Eigenvalues of Sigma, descending, and |Y|_F^2; NoClosedForm names the hypothesis that fails."""
    require(problem, loss="mse", inputs="given", bias="none", decay="zero")
    # With X = U S V^T the matrix X^T(XX^T)^{-1}X is VV^T, so that Sigma = (YV)(YV)^T: its eigenvalues are squares of
    # singular values.
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    _, singular, right = np.linalg.svd(x, full_matrices=False)
    if len(singular) < x.shape[0] or singular[-1] <= DISTINCT_EIGENVALUES * singular[0]:
        raise NoClosedForm("needs X X^T invertible")
    projected = np.linalg.svd(y @ right.T, compute_uv=False) ** 2
    eigenvalues = np.concatenate([projected, np.zeros(y.shape[0] - len(projected))])
    # The last gap is that of the least eigenvalue from zero, which must be positive.
    gaps = np.append(-np.diff(eigenvalues), eigenvalues[-1])
    if np.any(gaps <= DISTINCT_EIGENVALUES * eigenvalues[0]):
        raise NoClosedForm(f"needs distinct positive eigenvalues of Sigma, got {eigenvalues}")
    return eigenvalues, float(np.sum(y**2))


@float64
def pivot_blocks(problem: DeepLinear, params: ChainParams) -> Float[Array, ""]:
    r"""The least number, over all pivots i > j, of complementary blocks that have the rank r of the whole product.

    The blocks of a pivot are $W_L\cdots W_{i+1}$, $W_{i-1}\cdots W_{j+1}$ and $W_{j-1}\cdots W_1\Sigma_{XY}$, an empty
    product of layers being the identity; where both outer ones have a higher rank, $W_{j-1}\cdots W_1\Sigma_{XY}W_L\cdots
    W_{i+1}$ counts in their place. A point is tightened when the number is at least 1: then, if its product has the leading
    directions, its Hessian has no negative eigenvalue. Without $\Sigma_{XY}=XY^\top$, which matters where layers act on
    inputs that no target is correlated with, that would be false. It is NaN where a rank is in doubt: a singular value counts
    as zero up to `ZERO_SINGULAR_VALUE` times the least that the gradient may leave open of it, and not as zero from
    `NONZERO_SINGULAR_VALUE` times the most on.
    (Achour, Malgouyres, Gerchinovitz, JMLR 25(242), 2024, number unchecked; the rule in this form is our derivation.)

    >>> import jax.numpy as jnp, numpy as np, nctheory as nct
    >>> data = {"inputs": np.eye(2), "targets": np.diag([2.0, 1.0])}
    >>> net = nct.deep_linear(widths=(2, 2, 2, 2), loss="mse", weight_decay=(0.0,) * 3, **data)
    >>> half = jnp.diag(jnp.array([1.0, 0.0]))
    >>> float(pivot_blocks(net, nct.problems.ChainParams((half,) * 3, None, None)))
    1.0
    """
    # Each factor is divided by its norm, or by a length below which it counts as zero, so that ranks are told relatively.
    depth, weights = problem.depth, params.weights
    shortest = RANK_TOLERANCE * problem.characteristic_scales().length
    sizes = [jnp.maximum(jnp.linalg.norm(w), shortest) for w in weights]
    cross = jnp.asarray(problem.inputs) @ jnp.asarray(problem.targets * problem.column_weight[None, :]).T
    size = jnp.linalg.norm(cross)
    # Where factors vanish the gradient is at least bilinear in them, and a product of L-1 of them where all vanish together:
    # what it leaves open of a factor lies between the roots of these degrees.
    slope = jnp.linalg.norm(ravel(problem.value_and_grad(params)[1])) / jnp.where(size > 0, size, 1.0)
    degree = max(depth - 1, 2)

    def segment(begin: int, end: int) -> _Block:
        """W_end ... W_begin over the norms of its factors."""
        product, sensitivity = jnp.eye(problem.widths[begin - 1]), jnp.zeros(())
        for layer in range(begin, end + 1):
            product, sensitivity = weights[layer - 1] @ product / sizes[layer - 1], sensitivity + 1.0 / sizes[layer - 1]
        return _Block(product, sensitivity)

    rank = segment_ranks(problem, params)[depth - 1]  # of (1, depth)

    def full(block: _Block, left_open: Array) -> Array:
        """Whether the block has rank r; it cannot have a lower rank than the product."""
        singular = jnp.linalg.svd(block.product, compute_uv=False)
        # A singular value counts as zero up to what is left open of the block to first order, within bounds.
        zero = jnp.clip(left_open * block.sensitivity, RANK_DOUBT * RANK_TOLERANCE, RANK_TOLERANCE)
        return jnp.all(jnp.where(jnp.arange(1.0 * singular.size) >= rank, singular < zero, True)).astype(float)

    # Of each pivot (i, j) there are the blocks above i, between i and j, and below j, the last with Sigma_XY behind it.
    pivots = []
    for i in range(2, depth + 1):
        for j in range(1, i):
            above, below = segment(i + 1, depth), segment(1, j - 1)
            seen = _Block(below.product @ cross / jnp.where(size > 0, size, 1.0), below.sensitivity)
            joint = _Block(seen.product @ above.product, seen.sensitivity + above.sensitivity)
            pivots.append((above, segment(j + 1, i - 1), seen, joint))

    def least(left_open: Array) -> Array:
        # The inner block counts up to 1, the two outer ones up to 2, or else their joint product up to 1; without pivots 3
        # is left.
        counts: list[Array] = [jnp.asarray(3.0)]
        for pivot in pivots:
            above, inner, seen, joint = (full(block, left_open) for block in pivot)
            counts.append(inner + jnp.maximum(above + seen, joint))
        return jnp.min(jnp.stack(counts))

    # The ranks are in no doubt where a narrow and a wide notion of zero give the same count.
    fewest = least(ZERO_SINGULAR_VALUE * jnp.sqrt(slope))
    most = least(NONZERO_SINGULAR_VALUE * slope ** (1.0 / degree))
    return jnp.where(jnp.isnan(rank) | (fewest != most), jnp.nan, most)


class _Block(NamedTuple):
    product: Array
    sensitivity: Array
    """The change of the product per unit of change of a layer, to first order."""
