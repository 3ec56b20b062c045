"""The cheapest factorisation of a given matrix: the problem behind the nuclear norm."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import EPS, Array, Scalar, float64, untraced, whole_number
from nctheory.problems._base import Params, Problem
from nctheory.problems._constructors import _decay, _matrix
from nctheory.problems._gauge import skew_basis
from nctheory.problems._scales import ORDINARY, Scales


class MinimalFactorisation(Problem):
    r"""$\min_{WH = Z} \frac{\lambda_W}2|W|_F^2 + \frac{\lambda_H}2|H|_F^2$ for a fixed Z of rank r and inner width d >= r.

    It is searched over the fibre itself: W = U A with U an orthonormal basis of the range of Z and A (r x d) of full
    row rank, and H = A^+ U^T Z, which is the H of least norm for that W. Any other factorisation costs more.
    """

    target: Float[Array, "K N"]
    """Z."""
    coordinates: Float[Array, "r N"]
    """U^T Z."""
    basis: Float[Array, "K r"]
    """U."""
    weight_decay: Float[Array, "2"]
    """(lambda_W, lambda_H)."""
    dim: int = eqx.field(static=True)
    """The inner width d."""

    def characteristic_scales(self) -> Scales:
        """The scales of ordinary numbers: the decays, which may differ by orders of magnitude, tell no size of a factor."""
        return ORDINARY

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        shape = (self.basis.shape[1], self.dim)
        return scale * jax.random.normal(key, shape, jnp.float64) / jnp.sqrt(1.0 * self.dim)

    def factor_pair(self, params: Params) -> tuple[Float[Array, "K d"], Float[Array, "d N"]]:
        """(W, H) with W H = Z."""
        # A has full row rank, so that A^+ = A^T (A A^T)^{-1}.
        features = params.T @ jnp.linalg.solve(params @ params.T, self.coordinates)
        return self.basis @ params, features

    def objective(self, params: Params) -> Scalar:
        weights, features = self.factor_pair(params)
        return 0.5 * (self.weight_decay[0] * jnp.sum(weights**2) + self.weight_decay[1] * jnp.sum(features**2))

    def value_terms(self, params: Params) -> Scalar:
        r"""The objective and $\lambda_H\||A|^\top|X|\|_F^2$ with $X=(AA^\top)^{-1}U^\top Z$: the system for X is
        solved exactly for a matrix that is off $AA^\top$ relatively to its terms, and $|H|^2$ changes by
        $-X^\top\,\delta(AA^\top)\,X$.
        """
        # H = A^T X, so that |A|^T |X| is the size of the terms of H.
        solved = jnp.linalg.solve(params @ params.T, self.coordinates)
        return self.objective(params) + self.weight_decay[1] * jnp.sum((jnp.abs(params).T @ jnp.abs(solved)) ** 2)

    def invariants(self, params: Params) -> Float[Array, "r r"]:
        """W W^T in the coordinates of the basis."""
        return params @ params.T

    def gauge_tangents(self, params: Params) -> Params:
        return params @ jnp.asarray(skew_basis(self.dim))

    def lower_bound(self, params: Params) -> Scalar:
        r"""By duality it is $\langle Q, Z\rangle$ with $|Q|_2 \le \sqrt{\lambda_W\lambda_H}$, since
        $|\langle Q, WH\rangle| \le \lambda |W|_F |H|_F \le$ the objective. Q is the multiplier that stationarity in W
        gives at `params`, $\lambda_W W (H^\top)^+$, scaled into the ball.
        """
        weights, features = self.factor_pair(params)
        return nuclear_bound(self.target, weights, features, self.weight_decay)


def nuclear_bound(
    target: Float[Array, "K N"], weights: Float[Array, "K d"], features: Float[Array, "d N"], decay: Float[Array, "2"]
) -> Scalar:
    r"""$\langle Q,Z\rangle$ for Q the multiplier $\lambda_W W(H^\top)^+$ scaled into the ball
    $|Q|_2\le\sqrt{\lambda_W\lambda_H}$, less its rounding error.
    """
    dual = decay[0] * weights @ jnp.linalg.pinv(features.T)
    # The spectral norm is rounded up, so that Q lies in the ball.
    norm = jnp.linalg.norm(dual, ord=2) * (1.0 + 8 * sum(dual.shape) * EPS)
    radius = jnp.sqrt(decay[0] * decay[1])
    # The bound is the sum of these terms, less what rounding can do to it; zero is a bound whatever Q is.
    terms = jnp.where(norm > 0, radius / jnp.where(norm > 0, norm, 1.0), 0.0) * dual * target
    bound = jnp.sum(terms) - 4 * dual.size * EPS * jnp.sum(jnp.abs(terms))
    return jnp.where(jnp.isfinite(bound), jnp.maximum(bound, 0.0), 0.0)


def matrix_and_range(target: np.ndarray | Array) -> tuple[Float[np.ndarray, "K N"], Float[np.ndarray, "K r"]]:
    """The target as an array with an orthonormal basis of its range; ValueError unless it is a matrix other than zero."""
    z = np.asarray(_matrix("target", target, rows=np.shape(target)[0] if np.ndim(target) == 2 else -1, what="K"))
    left, singular, _ = np.linalg.svd(z, full_matrices=False)
    # A singular value counts that is above the rounding of the largest.
    rank = int(np.sum(singular > singular[0] * max(z.shape) * EPS)) if singular[0] > 0 else 0
    if rank == 0:
        raise ValueError("target: expected a matrix that is not zero")
    return z, left[:, :rank]


@untraced()
@float64
def minimal_factorisation(
    target: np.ndarray | Array, *, dim: int, weight_decay: tuple[float, float]
) -> MinimalFactorisation:
    r"""The problem $\min_{WH=Z}\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$, whose value is
    $\sqrt{\lambda_W\lambda_H}\,|Z|_*$ (lemma `red-nuclear`).

    `target` Z is K x N and not zero; `dim` is the inner width d, at least rank Z; `weight_decay` (lambda_W, lambda_H),
    both positive. Raises ValueError, naming the argument, otherwise.

    >>> import numpy as np
    >>> minimal_factorisation(np.diag([2.0, 1.0]), dim=3, weight_decay=(0.1, 0.2)).basis.shape
    (2, 2)
    """
    z, basis = matrix_and_range(target)
    rank = basis.shape[1]
    width = whole_number("dim", dim)
    if len(weight_decay) != 2 or not all(
        float(_decay(f"weight_decay[{i}]", w)) > 0 for i, w in enumerate(weight_decay)
    ):
        raise ValueError(f"weight_decay: expected two positive decays (lambda_W, lambda_H), got {tuple(weight_decay)}")
    if width < rank:
        raise ValueError(f"dim: expected at least rank(target)={rank}, got {width}; no factorisation W H = Z exists")
    return MinimalFactorisation(
        target=z,
        coordinates=basis.T @ z,
        basis=basis,
        weight_decay=np.asarray(weight_decay, dtype=np.float64),
        dim=width,
    )
