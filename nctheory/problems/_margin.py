"""Losses of margins: the penalty whose minimum is that of a hard-margin problem, and vector-scaling cross-entropy."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory._precision import float64
from nctheory._types import Array, Scalar
from nctheory.problems._chain import DeepLinear
from nctheory.problems._constructors import reduce_to_class_means, unconstrained_features
from nctheory.problems._losses import Columns, Logits, Loss


class MarginLoss(Loss):
    r"""A loss of the margins $m_c=\gamma_y(\delta_yz_y-\delta_cz_c)$, $c\ne y$, of a column with one-hot target y.

    `class_scale` is $\delta$ and `label_scale` $\gamma$, one positive number per class. A gradient in the logits is
    $-\sum_ct_c\,\partial m_c$ for one vector t, so that conjugates are functions of t, read off the entries $c\ne y$ of a
    dual point. Shared parts of `MarginPenalty` and `VectorScaling`.
    """

    has_conjugate: ClassVar[bool] = True

    class_scale: Float[Array, "K"]
    label_scale: Float[Array, "K"]

    def margins(self, logits: Logits, targets: Logits) -> Logits:
        """m_c for every column; zero in the row of the target."""
        scaled = self.class_scale[:, None] * logits
        return (jnp.sum(targets * scaled, axis=0)[None, :] - scaled) * (self.label_scale @ targets)[None, :]

    def from_slopes(self, slopes: Logits, targets: Logits) -> Logits:
        r"""The gradient in the logits when the loss falls by `slopes` $t_c\ge0$ per unit of margin $m_c$."""
        signed = slopes - targets * jnp.sum(slopes, axis=0)[None, :]
        return self.class_scale[:, None] * signed * (self.label_scale @ targets)[None, :]

    def slopes(self, dual: Logits, targets: Logits) -> Logits:
        """The t of a dual point, clipped at zero against rounding; zero in the row of the target."""
        scale = self.class_scale[:, None] * (self.label_scale @ targets)[None, :]
        return jnp.maximum((1.0 - targets) * dual / scale, 0.0)


class MarginPenalty(MarginLoss):
    r"""$\ell(z,y)=\sum_{c\ne y}\frac1{2\rho_{cy}}([A_{cy}+\rho_{cy}(1-m_c)]_+^2-A_{cy}^2)$: an augmented Lagrangian of
    $m_c\ge1$ with fixed multipliers A >= 0 and penalties rho > 0 (Rockafellar 1973, number unchecked).

    Convex, and at most 0 wherever all margins are at least 1: whatever A, a regularised minimum of the loss is a lower
    bound on that of the hard-margin problem, and equal to it for the multipliers of a hard-margin optimum.
    Its conjugate is $\sum_c(t_c-A_c)^2/(2\rho_c)-t_c$ for t >= 0.
    """

    name: ClassVar[str] = "margin_penalty"

    multipliers: Float[Array, "K K"]
    penalty: Float[Array, "K K"]

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

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return self.from_slopes(jnp.maximum(self.unclipped(logits, targets), 0.0), targets)

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        multipliers, penalty = self._columns(targets)
        slopes = self.slopes(dual, targets)
        return jnp.sum((1.0 - targets) * (0.5 * (slopes - multipliers) ** 2 / penalty - slopes), axis=0)


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

    def _exponents(self, logits: Logits, targets: Logits) -> Logits:
        offset = jnp.asarray(self.offset)[:, None]
        exponents = offset - jnp.sum(targets * offset, axis=0)[None, :] - self.margins(logits, targets)
        return jnp.where(targets > 0, -jnp.inf, exponents)

    def value(self, logits: Logits, targets: Logits) -> Columns:
        exponents = self._exponents(logits, targets)
        top = jnp.maximum(jnp.max(exponents, axis=0), 0.0)
        # log(1 + sum e^x) = top + log(e^-top + sum e^(x - top)); the first branch keeps a tiny loss to full precision.
        small = jnp.log1p(jnp.sum(jnp.exp(jnp.minimum(exponents, 0.0)), axis=0))
        large = top + jnp.log(jnp.exp(-top) + jnp.sum(jnp.exp(exponents - top[None, :]), axis=0))
        return self.weight * jnp.where(top > 0, large, small)

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        exponents = self._exponents(logits, targets)
        top = jnp.maximum(jnp.max(exponents, axis=0), 0.0)[None, :]
        parts = jnp.exp(exponents - top)
        probabilities = parts / (jnp.exp(-top) + jnp.sum(parts, axis=0)[None, :])
        return self.from_slopes(self.weight * probabilities, targets)

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


def _vector(name: str, value: Sequence[float] | Array | None, classes: int, *, positive: bool) -> Array:
    if value is None:
        return jnp.ones(classes) if positive else jnp.zeros(classes)
    vector = np.asarray(value, dtype=np.float64)
    kind = "positive" if positive else "finite"
    if vector.shape != (classes,) or not np.all(np.isfinite(vector)) or (positive and np.any(vector <= 0)):
        raise ValueError(f"{name}: expected {classes} {kind} numbers, one per class, got {vector.tolist()}")
    return jnp.asarray(vector)


@float64
def vector_scaling(
    classes: int,
    *,
    class_scale: Sequence[float] | Array | None = None,
    label_scale: Sequence[float] | Array | None = None,
    offset: Sequence[float] | Array | None = None,
    weight: float = 1.0,
) -> VectorScaling:
    r"""The loss $\omega\log(1+\sum_{c\ne y}e^{\iota_c-\iota_y-\gamma_y(\delta_yz_y-\delta_cz_c)})$ for K = `classes`.

    `class_scale` delta and `label_scale` gamma are positive (default 1), `offset` iota any (default 0), `weight` omega > 0.
    Raises ValueError otherwise.

    >>> vector_scaling(3, offset=(1.0, 0.0, 0.0)).name
    'vector_scaling'
    """
    if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
        raise ValueError(f"classes: expected a whole number of at least 2, got {classes!r}")
    if not (np.isfinite(weight) and weight > 0):
        raise ValueError(f"weight: expected a finite positive number, got {weight}")
    return VectorScaling(
        class_scale=_vector("class_scale", class_scale, classes, positive=True),
        label_scale=_vector("label_scale", label_scale, classes, positive=True),
        offset=_vector("offset", offset, classes, positive=False),
        weight=jnp.asarray(float(weight)),
    )


@float64
def support_vector_features(
    *,
    counts: Sequence[int],
    dim: int,
    multipliers: np.ndarray | Array,
    class_scale: Sequence[float] | Array | None = None,
    label_scale: Sequence[float] | Array | None = None,
    penalty: np.ndarray | Array | None = None,
    weight_decay: Sequence[float] = (1.0, 1.0),
    reduced: bool = True,
) -> DeepLinear:
    r"""The unconstrained-feature support vector machine, as an augmented Lagrangian with fixed multipliers.

    $$\min_{W,H}\tfrac{\lambda_W}2|W|^2+\tfrac{\lambda_H}2|H|^2\quad\text{s.t.}\quad
      \gamma_{y_i}(\delta_{y_i}w_{y_i}-\delta_cw_c)^\top h_i\ge1\quad(c\ne y_i).$$

    `multipliers` a (K x K, a[c, k] >= 0 for c != k, diagonal ignored) belong to the constraints of one sample of class k,
    in the Lagrangian with the sum over samples. The minimum of the problem returned is a lower bound on the program's for
    every a, and is attained at a feasible point with that value only if it **is** the program's.
    `penalty` rho > 0 has the same shape (default: the multipliers, their mean where they are zero). `counts` n_k;
    `dim` d; `reduced` takes one column per class, in which case the counts are array leaves and not static.

    Raises ValueError, naming the argument, for bad input.

    >>> import numpy as np
    >>> model = support_vector_features(counts=(2, 1), dim=2, multipliers=np.full((2, 2), 0.5))
    >>> model.loss.name, model.targets.shape
    ('margin_penalty', (2, 2))
    """
    classes = len(counts)
    if classes < 2:
        raise ValueError(f"counts: expected at least two classes, got {classes}")
    samples = float(sum(counts))
    given = _square("multipliers", multipliers, classes)
    if np.any(given < 0):
        raise ValueError(f"multipliers: expected none below 0 off the diagonal, got {given.min()}")
    if not np.any(given > 0):
        raise ValueError("multipliers: expected a positive one off the diagonal, got none")
    mean = given.sum() / (classes * (classes - 1))
    stiff = np.where(given > 0, given, mean) if penalty is None else _square("penalty", penalty, classes)
    if np.any(stiff + np.eye(classes) <= 0):
        raise ValueError(f"penalty: expected positive entries off the diagonal, got {stiff.min()}")
    scale = _vector("class_scale", class_scale, classes, positive=True)
    kind = ShiftPenalty if np.ptp(np.asarray(scale)) == 0.0 else MarginPenalty
    # The fit of a chain is a mean over samples, so that both carry a factor N.
    loss = kind(
        class_scale=scale,
        label_scale=_vector("label_scale", label_scale, classes, positive=True),
        multipliers=jnp.asarray(samples * given),
        penalty=jnp.asarray(samples * np.where(np.eye(classes) > 0, mean, stiff)),
    )
    full = unconstrained_features(counts=counts, dim=dim, loss=loss, weight_decay=weight_decay)
    if not reduced:
        return full
    # Without the static counts one compiled program serves all of them.
    return dataclasses.replace(reduce_to_class_means(full), counts=None)


def _square(name: str, value: np.ndarray | Array, classes: int) -> np.ndarray:
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.shape != (classes, classes) or not np.all(np.isfinite(matrix)):
        raise ValueError(f"{name}: expected a finite {classes} x {classes} matrix, got shape {matrix.shape}")
    return np.where(np.eye(classes) > 0, 0.0, matrix)
