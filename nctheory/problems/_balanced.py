"""A linear chain whose starts are balanced: W_{l+1}^T W_{l+1} = W_l W_l^T in every space between two free factors."""

from itertools import pairwise

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from nctheory.engine import Scalar, float64
from nctheory.problems._chain import DeepLinear
from nctheory.problems._gauge import ChainParams
from nctheory.problems._starts import Starts

SPREAD = (0.5, 1.5)
"""The range of the singular values of every factor at a start of scale 1."""


class BalancedStarts(Starts):
    r"""Random balanced points of a chain.

    With F factors, r the least of all widths, and orthonormal frames $U_0,\dots,U_F$ of r columns in the spaces between
    them, factor l is $U_l\,\mathrm{diag}(s)\,U_{l-1}^\top$: the product is $U_F\,\mathrm{diag}(s^F)\,U_0^\top$, of rank r.
    """

    def __call__(self, problem: DeepLinear, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """Haar frames; singular values uniform in `scale` times `SPREAD`."""
        # The lowest space is that of the inputs, or R^N where the features are free.
        spaces = problem.widths if problem.inputs is not None else (problem.targets.shape[1], *problem.widths)
        rank = problem.largest_rank
        for_frames, for_values = jax.random.split(key)
        # One draw serves all frames, because a random draw is expensive to compile.
        sides = [dim * rank for dim in spaces]
        draw = jax.random.normal(for_frames, (sum(sides),), jnp.float64)
        frames, begin = [], 0
        for dim, count in zip(spaces, sides, strict=True):
            # Q of a normal matrix, with signs that make the diagonal of R positive, is distributed by Haar's measure.
            orthonormal, triangle = jnp.linalg.qr(draw[begin : begin + count].reshape(dim, rank))
            frames.append(orthonormal * jnp.sign(jnp.diagonal(triangle))[None, :])
            begin += count
        low, high = SPREAD
        values = scale * jax.random.uniform(for_values, (rank,), jnp.float64, low, high)
        # Factor l is U_l diag(s) U_{l-1}^T, one s for all l: both W_{l+1}^T W_{l+1} and W_l W_l^T are U_l diag(s)^2 U_l^T.
        chain = [(upper * values[None, :]) @ lower.T for lower, upper in pairwise(frames)]
        features = None if problem.inputs is not None else chain.pop(0)
        return ChainParams(tuple(chain), features, None)


@float64
def balanced_chain(problem: DeepLinear) -> DeepLinear:
    r"""The same problem, started at balanced points.

    Raises ValueError for a chain with a bias or in the reduced form, where the features' decay differs by class.

    >>> import jax, numpy as np, nctheory as nct
    >>> plain = nct.deep_linear(widths=(3, 2, 4), counts=(2,) * 4, loss="mse", weight_decay=(0.1,) * 3)
    >>> with jax.enable_x64(True):
    ...     start = nct.problems.balanced_chain(plain).init(jax.random.key(0), 1.0)
    >>> lower, upper = (np.asarray(weight) for weight in start.weights)
    >>> bool(np.allclose(upper.T @ upper, lower @ lower.T, atol=1e-14))
    True
    """
    if problem.bias_decay is not None:
        raise ValueError("problem: expected a chain without a bias; a balanced start has none")
    if problem.reduced_form:
        raise ValueError(
            "problem: expected full samples; the reduced form decays the features of each class differently"
        )
    return problem.with_starts(BalancedStarts())
