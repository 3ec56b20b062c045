"""The cheapest factorisation of a given matrix into a chain of any length: the problem behind Schatten quasi-norms."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64, stacked, untraced, whole_number
from nctheory.problems._base import NoCertificate, Params, Problem
from nctheory.problems._constructors import _decay
from nctheory.problems._factorisation import matrix_and_range, nuclear_bound
from nctheory.problems._gauge import skew_basis
from nctheory.problems._scales import ORDINARY, Scales


class MinimalChainFactorisation(Problem):
    r"""$\min\sum_{l=1}^M\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ over $W_M\cdots W_1H=Z$, for Z of rank r.

    It is searched over the fibre itself: $W_M=UA_M$ with U an orthonormal basis of the range of Z, $W_l=A_l$ below, and
    $H=(A_M\cdots A_1)^+U^\top Z$, the H of least norm for those weights; any other factorisation costs more. Parameters
    are (A_1, …, A_M). The fibre is open: towards its edge, where the product of the A loses rank, the cost is infinite.
    """

    target: Float[Array, "K N"]
    """Z."""
    coordinates: Float[Array, "r N"]
    """U^T Z."""
    basis: Float[Array, "K r"]
    """U."""
    weight_decay: Float[Array, "F"]
    """lambda_1, …, lambda_M, lambda_H."""
    widths: tuple[int, ...] = eqx.field(static=True)
    """d_0, …, d_{M-1}."""

    @property
    def depth(self) -> int:
        """The number of weight layers M."""
        return len(self.widths)

    def characteristic_scales(self) -> Scales:
        """The scales of ordinary numbers: the decays, which may differ by orders of magnitude, tell no size of a factor."""
        return ORDINARY

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        rows = (*self.widths[1:], self.basis.shape[1])
        shapes = list(zip(rows, self.widths, strict=True))
        # One draw serves all factors, whose entries have the variance scale^2/fan-in.
        cuts = np.cumsum([a * b for a, b in shapes])
        draw = jnp.split(jax.random.normal(key, (int(cuts[-1]),), jnp.float64), cuts[:-1].tolist())
        return tuple(scale / shape[1] ** 0.5 * x.reshape(shape) for x, shape in zip(draw, shapes, strict=True))

    def factor_chain(self, params: Params) -> tuple[Array, ...]:
        """(W_1, …, W_M, H) with W_M … W_1 H = Z."""
        product = params[0]
        for factor in params[1:]:
            product = factor @ product
        # The pseudo-inverse by a QR decomposition: a Gram matrix would square the condition of a product of many factors.
        # With P = A_M … A_1 and P^T = QR it is P^+ = Q R^{-T}, so that H = Q (R^{-T} U^T Z).
        orthonormal, triangle = jnp.linalg.qr(product.T)
        features = orthonormal @ jax.scipy.linalg.solve_triangular(triangle, self.coordinates, trans="T")
        return (*params[:-1], self.basis @ params[-1], features)

    def objective(self, params: Params) -> Scalar:
        factors = self.factor_chain(params)
        return 0.5 * sum(
            (lam * jnp.sum(x**2) for lam, x in zip(self.weight_decay, factors, strict=True)), jnp.zeros(())
        )

    def value_terms(self, params: Params) -> Scalar:
        r"""The objective and $\lambda_H|H|_F\sum_i|S_i||X_i|$ over the rows of $S=|A_M|\cdots|A_1|$ and
        $X=(PP^\top)^{-1}U^\top Z$: each row of the product P of the A is rounded, and decomposed, relative to its terms, and
        $|H|^2/2$ changes by $-\langle X,\delta P\,H\rangle$.
        """
        # The product P is formed beside S, the same of absolute values.
        product, size = params[0], jnp.abs(params[0])
        for factor in params[1:]:
            product, size = factor @ product, jnp.abs(factor) @ size
        # Because PP^T = R^T R, X is R^{-1} R^{-T} U^T Z, in two triangular solves.
        triangle = jnp.linalg.qr(product.T)[1]
        inner = jax.scipy.linalg.solve_triangular(triangle, self.coordinates, trans="T")  # as long as H
        solved = jax.scipy.linalg.solve_triangular(triangle, inner)
        rows = jnp.linalg.norm(size, axis=1) * jnp.linalg.norm(solved, axis=1)
        return self.objective(params) + self.weight_decay[-1] * jnp.linalg.norm(inner) * jnp.sum(rows)

    def invariants(self, params: Params) -> Float[Array, "r r"]:
        """(W_M … W_1)(W_M … W_1)^T in the coordinates of the basis."""
        product = params[0]
        for factor in params[1:]:
            product = factor @ product
        return product @ product.T

    def gauge_tangents(self, params: Params) -> Params:
        blocks = []
        for space, width in enumerate(self.widths):
            # A rotation of the space d_l moves the factor above by -FA and that below by AF; H follows from the A_l.
            skew = jnp.asarray(skew_basis(width))
            moved = [jnp.zeros((len(skew), *x.shape)) for x in params]
            moved[space] = -params[space][None] @ skew
            if space > 0:
                moved[space - 1] = skew @ params[space - 1][None]
            blocks.append(tuple(moved))
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *blocks)

    def lower_bound(self, params: Params) -> Scalar:
        r"""With one weight layer it is, by duality, $\langle Q,Z\rangle$ with $|Q|_2\le\sqrt{\lambda_1\lambda_H}$, Q the
        multiplier at `params` scaled into that ball. With more layers the cost of the product is not convex: NoCertificate
        is raised.
        """
        if self.depth > 1:
            raise NoCertificate(
                f"{self.depth + 1} factors: the cost of a given product is a Schatten quasi-norm, which is not convex"
            )
        weights, features = self.factor_chain(params)
        return nuclear_bound(self.target, weights, features, self.weight_decay)


@untraced()
@float64
def minimal_chain_factorisation(
    target: np.ndarray | Array, *, widths: Sequence[int], weight_decay: Sequence[float]
) -> MinimalChainFactorisation:
    r"""The problem $\min_{W_M\cdots W_1H=Z}\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$.

    Its value is $\frac{M+1}2(\lambda_1\cdots\lambda_M\lambda_H)^{1/(M+1)}\sum_is_i(Z)^{2/(M+1)}$ (lemma `red-schatten`).
    `target` Z is K x N and not zero; `widths` (d_0, …, d_{M-1}) are the inner widths from H upwards, each at least
    rank Z; `weight_decay` (lambda_1, …, lambda_M, lambda_H), all positive. Raises ValueError, naming the argument,
    otherwise. Only M = 1 has a certificate.

    >>> import numpy as np
    >>> chain = minimal_chain_factorisation(np.diag([2.0, 1.0]), widths=(3, 2), weight_decay=(0.1, 0.2, 0.1))
    >>> chain.depth, chain.basis.shape
    (2, (2, 2))
    """
    z, basis = matrix_and_range(target)
    rank = basis.shape[1]
    if len(widths) == 0:
        raise ValueError("widths: expected (d_0, …, d_{M-1}) with at least one entry, got none")
    dims = tuple(whole_number(f"widths[{i}]", w) for i, w in enumerate(widths))
    decay = [_decay(f"weight_decay[{i}]", w) for i, w in enumerate(weight_decay)]
    if len(decay) != len(dims) + 1 or not all(float(lam) > 0 for lam in decay):
        raise ValueError(
            f"weight_decay: expected {len(dims) + 1} positive decays (lambda_1, …, lambda_M, lambda_H), got "
            f"{tuple(weight_decay)}"
        )
    if min(dims) < rank:
        raise ValueError(f"widths: expected at least rank(target)={rank} each, got {dims}; no factorisation exists")
    return MinimalChainFactorisation(
        target=z,
        coordinates=basis.T @ z,
        basis=basis,
        weight_decay=stacked(decay),
        widths=dims,
    )
