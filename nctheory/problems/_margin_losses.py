"""Losses of margins: the penalty whose minimum is that of a hard-margin problem, and vector-scaling cross-entropy."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import Array, Scalar
from nctheory.problems._losses import Columns, Logits, Loss


class MarginLoss(Loss):
    r"""A loss of the margins $m_c=\gamma_y(\delta_yz_y-\delta_cz_c)$, $c\ne y$, of a column with one-hot target y.

    `class_scale` is $\delta$ and `label_scale` $\gamma$, one positive number per class. A gradient in the logits is
    $-\sum_ct_c\,\partial m_c$ for one vector t, so that conjugates are functions of t, read off the entries $c\ne y$ of a
    dual point. `MarginPenalty` and `VectorScaling` share these parts.
    """

    has_conjugate: ClassVar[bool] = True

    class_scale: Float[Array, "K"]
    label_scale: Float[Array, "K"]

    def margins(self, logits: Logits, targets: Logits) -> Logits:
        """m_c for every column; zero in the row of the target."""
        scaled = self.class_scale[:, None] * logits
        return (jnp.sum(targets * scaled, axis=0)[None, :] - scaled) * (self.label_scale @ targets)[None, :]

    def margin_terms(self, logits: Logits, targets: Logits) -> Logits:
        r"""The size of what each margin is a difference of, $\gamma_y(\delta_y|z_y|+\delta_c|z_c|)$."""
        scaled = jnp.abs(self.class_scale[:, None] * logits)
        return (jnp.sum(targets * scaled, axis=0)[None, :] + scaled) * (self.label_scale @ targets)[None, :]

    def from_slopes(self, slopes: Logits, targets: Logits) -> Logits:
        r"""The gradient in the logits when the loss falls by `slopes` $t_c\ge0$ per unit of margin $m_c$."""
        # -sum_c t_c dm_c has the entries gamma_y delta_c t_c at c and -gamma_y delta_y sum_c t_c at y.
        signed = slopes - targets * jnp.sum(slopes, axis=0)[None, :]
        return self.class_scale[:, None] * signed * (self.label_scale @ targets)[None, :]

    def slopes(self, dual: Logits, targets: Logits) -> Logits:
        """The t of a dual point, clipped at zero against rounding; zero in the row of the target."""
        # The entry c != y of a gradient is gamma_y delta_c t_c.
        scale = self.class_scale[:, None] * (self.label_scale @ targets)[None, :]
        return jnp.maximum((1.0 - targets) * dual / scale, 0.0)

    def into_domain(self, dual: Logits, targets: Logits) -> Logits:
        return self.from_slopes(self.slopes(dual, targets), targets)


class MarginPenalty(MarginLoss):
    r"""$\ell(z,y)=\sum_{c\ne y}\frac1{2\rho_{cy}}([A_{cy}+\rho_{cy}(1-m_c)]_+^2-A_{cy}^2)$: an augmented Lagrangian of
    $m_c\ge1$ with fixed multipliers A >= 0 and penalties rho > 0 (Rockafellar 1973, number unchecked).

    It is convex, and at most 0 wherever all margins are at least 1: whatever A, a regularised minimum of the loss is a lower
    bound on that of the hard-margin problem, and equal to it for the multipliers of a hard-margin optimum.
    Its conjugate is $\sum_c(t_c-A_c)^2/(2\rho_c)-t_c$ for t >= 0.
    """

    name: ClassVar[str] = "margin_penalty"

    multipliers: Float[Array, "K K"]
    penalty: Float[Array, "K K"]
    """rho, by class c and label y."""

    def _columns(self, targets: Logits) -> tuple[Logits, Logits]:
        return jnp.asarray(self.multipliers) @ targets, jnp.asarray(self.penalty) @ targets

    def unclipped(self, logits: Logits, targets: Logits) -> Logits:
        """A + rho (1 - m), off the target row: the multipliers that a point implies, where they are positive."""
        multipliers, penalty = self._columns(targets)
        return (1.0 - targets) * (multipliers + penalty * (1.0 - self.margins(logits, targets)))

    def value(self, logits: Logits, targets: Logits) -> Columns:
        multipliers, penalty = self._columns(targets)
        gap = (1.0 - targets) * (1.0 - self.margins(logits, targets))
        # [A + rho g]_+^2 - A^2 as a product: the difference of squares would lose the digits of a small violation.
        slope = jnp.maximum(multipliers + penalty * gap, 0.0)
        inside = gap * (multipliers + 0.5 * penalty * gap)
        return jnp.sum(jnp.where(slope > 0, inside, -0.5 * multipliers**2 / penalty) * (1.0 - targets), axis=0)

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        # The product in its absolute terms, and the slope times what 1 - m is a difference of.
        multipliers, penalty = self._columns(targets)
        gap = 1.0 - self.margins(logits, targets)
        slope = jnp.maximum(multipliers + penalty * gap, 0.0)
        inside = jnp.abs(gap) * (multipliers + 0.5 * penalty * jnp.abs(gap))
        terms = jnp.where(slope > 0, inside, 0.5 * multipliers**2 / penalty)
        return jnp.sum((1.0 - targets) * (terms + slope * (1.0 + self.margin_terms(logits, targets))), axis=0)

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return self.from_slopes(jnp.maximum(self.unclipped(logits, targets), 0.0), targets)

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        multipliers, penalty = self._columns(targets)
        slopes = self.slopes(dual, targets)
        return jnp.sum((1.0 - targets) * (0.5 * (slopes - multipliers) ** 2 / penalty - slopes), axis=0)

    def conjugate_terms(self, dual: Logits, targets: Logits) -> Columns:
        multipliers, penalty = self._columns(targets)
        slopes = self.slopes(dual, targets)
        # A relative rounding of t and A moves (t - A)^2/(2 rho) by |t - A| (t + A)/rho.
        apart = jnp.abs(slopes - multipliers) * (slopes + multipliers) / penalty
        return jnp.sum((1.0 - targets) * (apart + slopes), axis=0)


class ShiftPenalty(MarginPenalty):
    """`MarginPenalty` with equal class scales, whose margins ignore a constant added to the logits."""

    shift_invariant: ClassVar[bool] = True


class VectorScaling(MarginLoss):
    r"""$\ell(z,y)=\omega\log(1+\sum_{c\ne y}e^{\iota_c-\iota_y-m_c})$: cross-entropy with scaled and adjusted logits.

    With all scales 1 and no offset iota this is omega times cross-entropy; with offsets it is logit adjustment (Menon et
    al. 2021), with class scales the VS loss (Kini et al. 2021), with label scales LDT. It keeps its relative
    accuracy where the loss is tiny, so that decays may be as small as one likes: $1/\lambda$ is put into omega.
    Its conjugate is $\omega\,(\sum_cp_c\log p_c+(1-\sum_cp_c)\log(1-\sum_cp_c)-\sum_cp_c(\iota_c-\iota_y))$ with
    $p=t/\omega$.
    """

    name: ClassVar[str] = "vector_scaling"

    offset: Float[Array, "K"]
    weight: Scalar
    """omega."""

    def _exponents(self, logits: Logits, targets: Logits) -> Logits:
        offset = jnp.asarray(self.offset)[:, None]
        # x_c = iota_c - iota_y - m_c, and -inf for the label, which has no term in the sum.
        exponents = offset - jnp.sum(targets * offset, axis=0)[None, :] - self.margins(logits, targets)
        return jnp.where(targets > 0, -jnp.inf, exponents)

    def value(self, logits: Logits, targets: Logits) -> Columns:
        exponents = self._exponents(logits, targets)
        top = jax.lax.stop_gradient(jnp.maximum(jnp.max(exponents, axis=0), 0.0))
        # log(1 + sum e^x) = top + log(e^-top + sum e^(x - top)); the first branch keeps a tiny loss to full precision.
        small = jnp.log1p(jnp.sum(jnp.exp(jnp.minimum(exponents, 0.0)), axis=0))
        large = top + jnp.log(jnp.exp(-top) + jnp.sum(jnp.exp(exponents - top[None, :]), axis=0))
        return self.weight * jnp.where(top > 0, large, small)

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        # Relative to the value, and the probabilities times what each exponent is a difference of.
        offset = jnp.abs(jnp.asarray(self.offset))[:, None]
        size = offset + jnp.sum(targets * offset, axis=0)[None, :] + self.margin_terms(logits, targets)
        moved = jnp.sum(self._probabilities(logits, targets) * size, axis=0)
        return 4.0 * self.value(logits, targets) + self.weight * moved

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return self.from_slopes(self.weight * self._probabilities(logits, targets), targets)

    def _probabilities(self, logits: Logits, targets: Logits) -> Logits:
        """The probabilities of the classes other than the label; zero in its row."""
        exponents = self._exponents(logits, targets)
        # The probabilities do not depend on the largest exponent, and the derivative of a maximum is 0/0 in programs that
        # compute what it is compared with twice, once with products contracted into sums.
        top = jax.lax.stop_gradient(jnp.maximum(jnp.max(exponents, axis=0), 0.0))[None, :]
        # p_c = e^{x_c} / (1 + sum e^x), with both parts relative to the largest exponent.
        parts = jnp.exp(exponents - top)
        return parts / (jnp.exp(-top) + jnp.sum(parts, axis=0)[None, :])

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        probabilities = self.slopes(dual, targets) / self.weight
        offset = jnp.asarray(self.offset)[:, None]
        shift = offset - jnp.sum(targets * offset, axis=0)[None, :]
        # Rounding may push the sum beyond 1 by an ulp.
        total = jnp.minimum(jnp.sum(probabilities, axis=0), 1.0)
        safe = jnp.where(probabilities > 0, probabilities, 1.0)
        entropy = jnp.sum(probabilities * (jnp.log(safe) - shift), axis=0)
        rest = jnp.where(total < 1, 1.0 - total, 1.0)
        return self.weight * (entropy + rest * jnp.where(total < 1, jnp.log1p(-jnp.where(total < 1, total, 0.0)), 0.0))

    def conjugate_terms(self, dual: Logits, targets: Logits) -> Columns:
        probabilities = self.slopes(dual, targets) / self.weight
        offset = jnp.abs(jnp.asarray(self.offset))[:, None]
        shift = offset + jnp.sum(targets * offset, axis=0)[None, :]
        # The terms are p |log p|, p (|iota_c| + |iota_y|), and a multiple of p for p itself and for the entropy of the rest.
        logarithm = jnp.abs(jnp.log(jnp.where(probabilities > 0, probabilities, 1.0)))
        return self.weight * jnp.sum(probabilities * (2.0 + logarithm + shift), axis=0)

    def into_domain(self, dual: Logits, targets: Logits) -> Logits:
        slopes = self.slopes(dual, targets)
        # The domain is t >= 0 with sum_c t_c <= omega.
        return self.from_slopes(slopes / jnp.maximum(jnp.sum(slopes, axis=0) / self.weight, 1.0)[None, :], targets)
