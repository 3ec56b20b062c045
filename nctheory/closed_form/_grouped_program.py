"""The convex program of imbalanced cross-entropy for groups of equal classes, written in factors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.engine import Array, Scalar


class Factors(NamedTuple):
    """Root of every gap, and two factors of the group means in an orthonormal basis of the complement of (sqrt K_g)."""

    root: Float[Array, "G"]
    left: Float[Array, "R R"]
    right: Float[Array, "R G"]


class GroupedProgram(NamedTuple):
    """The program for groups of the given sizes, in factors: smooth, and a global minimum where it has a local one."""

    sizes: np.ndarray
    weights: Float[Array, "G"]
    """The weight of one class of each group in the fit."""
    multiplicity: Float[Array, "G"]
    strength: Scalar

    @property
    def basis(self) -> np.ndarray:
        """Orthonormal columns that span the complement of (sqrt K_g): minimisers have logits of mean zero."""
        # An SVD of the projector onto the complement lists its range first.
        unit = np.sqrt(self.sizes / self.sizes.sum())
        return np.linalg.svd(np.eye(unit.size) - np.outer(unit, unit))[0][:, : unit.size - 1]

    @property
    def price(self) -> Float[Array, "G"]:
        """Nuclear norm per unit of gap."""
        return (self.sizes - 1) * jnp.sqrt(self.multiplicity)

    def logits(self, point: Factors) -> tuple[Float[Array, "G"], Float[Array, "G G"]]:
        """Gaps and group means."""
        # The means M are diag(K)^{-1/2} B L R diag(K m)^{-1/2}: then diag(K)^{1/2} M diag(K m)^{1/2} = B L R has the norm of
        # the weighted means.
        root = np.sqrt(self.sizes)
        product = jnp.asarray(self.basis) @ point.left @ point.right
        means = product / (root[:, None] * (root * jnp.sqrt(self.multiplicity))[None, :])
        return jnp.where(self.sizes > 1, point.root**2, 0.0), means

    def probabilities(
        self, gaps: Float[Array, "G"], means: Float[Array, "G G"]
    ) -> tuple[Float[Array, "G"], Float[Array, "G G"]]:
        """On each column: the loss, and the probability of every single other class of each group (rows)."""
        eye = np.eye(self.sizes.size)
        # On a column of group h the own logit is M_hh + gap (1 - 1/K_h); the others are M_gh, minus gap/K_h within the
        # group.
        own = jnp.diagonal(means) + gaps * (1 - 1 / self.sizes)
        number = self.sizes[:, None] - eye
        # Group g has K_g other classes, its own one less; the softmax is taken relative to the own logit.
        exponents = jnp.where(number > 0, means - eye * (gaps / self.sizes)[None, :] - own[None, :], 0.0)
        top = jax.lax.stop_gradient(jnp.maximum(jnp.max(exponents, axis=0), 0.0))
        terms = jnp.exp(exponents - top[None, :])
        rest = jnp.expm1(-top) + jnp.sum(number * terms, axis=0)
        # log(e^-top + ...) + top, to full precision where the loss is small and top is 0.
        return top + jnp.log1p(rest), terms / (1.0 + rest)[None, :]

    def fit(self, gaps: Float[Array, "G"], means: Float[Array, "G G"]) -> Scalar:
        """The cross-entropy."""
        return jnp.sum(self.sizes * self.weights * self.probabilities(gaps, means)[0])

    def norm(self, point: Factors) -> Scalar:
        """Half the squares of the factors, which is the nuclear norm where they are balanced."""
        # The K_g - 1 differences of a group have the singular values gap sqrt(m_g); the means cost (|L|^2 + |R|^2)/2.
        within = jnp.sum(self.price * point.root**2)
        return within + 0.5 * (jnp.sum(point.left**2) + jnp.sum(point.right**2))

    def objective(self, point: Factors) -> Scalar:
        """What is minimised."""
        return self.fit(*self.logits(point)) + self.strength * self.norm(point)

    def unravel(self, vector: Float[Array, "P"]) -> Factors:
        """Inverse of listing the entries of the factors."""
        groups, rank = self.sizes.size, self.sizes.size - 1
        root, left, right = jnp.split(vector, [groups, groups + rank * rank])
        return Factors(root, left.reshape(rank, rank), right.reshape(rank, groups))

    def start(self) -> Float[Array, "P"]:
        """The simplex, in balanced factors; of full rank, so that no group starts collapsed."""
        ones = jnp.ones(self.sizes.size)
        if ones.size == 1:
            return ones
        # All gaps 1 and B^T diag(m)^{1/2} as the product of the factors give the simplex S, split by the roots of its
        # spectrum.
        product = jnp.asarray(self.basis).T * jnp.sqrt(self.multiplicity)[None, :]
        left, singular, right = jnp.linalg.svd(product, full_matrices=False)
        balanced = jnp.sqrt(singular)
        return jnp.concatenate([ones, jnp.ravel(left * balanced[None, :]), jnp.ravel(balanced[:, None] * right)])

    def rotations(self, point: Factors) -> Float[Array, "P T"]:
        """Directions in which the factors turn against each other, as columns."""
        # For every skew matrix T the change L -> L(I - T), R -> (I + T)R leaves L R alone to first order.
        rank = self.sizes.size - 1
        rows, cols = np.triu_indices(rank, 1)
        skew = np.zeros((rows.size, rank, rank))
        skew[np.arange(rows.size), rows, cols], skew[np.arange(rows.size), cols, rows] = 1.0, -1.0
        left = (-point.left[None] @ skew).reshape(rows.size, rank * rank)
        right = (skew @ point.right[None]).reshape(rows.size, rank * (rank + 1))
        return jnp.concatenate([jnp.zeros((rows.size, rank + 1)), left, right], axis=1).T

    def at_origin(self) -> Scalar:
        r"""$|(11^\top/K-I)\,\mathrm{diag}(q_km_k^{-1/2})|_2$: from this strength on the minimiser is zero."""
        # At zero all probabilities are 1/K: the gradient of the fit has the norm of `between` on the means, q_g m_g^{-1/2}
        # within.
        scale, unit = self.weights / jnp.sqrt(self.multiplicity), np.sqrt(self.sizes / self.sizes.sum())
        between = jnp.linalg.norm((np.outer(unit, unit) - np.eye(unit.size)) * scale[None, :], ord=2)
        return jnp.maximum(between, jnp.max(jnp.where(self.sizes > 1, scale, 0.0)))
