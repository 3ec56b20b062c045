"""The focal loss: cross-entropy that pays less attention to samples which are right already. Not convex."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, Scalar, bisect, float64, is_traced
from nctheory.problems._losses import Columns, Logits, Loss

BISECTIONS = 100


class Focal(Loss):
    r"""$\ell(z, y) = -(1-p_y)^\gamma\log p_y$ with $p$ the softmax of z, for one-hot targets.

    With $t=z_y-\log\sum_{j\ne y}e^{z_j}$, the logit of $p_y$, it is $\sigma(-t)^\gamma\,\mathrm{softplus}(-t)$: the powers are
    taken in logarithms, and neither end overflows or divides by zero. Its slope is $-G(t)$,
    $G=(1-p)^\gamma[(1-p)-\gamma p\log p]$, and its gradient $-G$ on the label and $G$ times the softmax of the other logits
    on these.

    By Jensen $t\le m-\log(K-1)$ with m the logit of the label minus the mean of the others, so that the profile of the
    loss is $\varphi(m)=\sigma(-t)^\gamma\,\mathrm{softplus}(-t)$ at $t=m-\log(K-1)$.
    """

    name: ClassVar[str] = "focal"
    convex: ClassVar[bool | None] = False
    shift_invariant: ClassVar[bool] = True
    has_profile: ClassVar[bool] = True
    profile_far_slope: ClassVar[float] = 1.0
    gamma: Scalar

    def value(self, logits: Logits, targets: Logits) -> Columns:
        return self._of_logit(self._label_logit(logits, targets)[0])

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        # t is rounded relative to the logits' distances from the largest of the others, the exponent gamma softplus(t)
        # relative to itself; the rest is relative to the value.
        logit, share = self._label_logit(logits, targets)
        top = jax.lax.stop_gradient(jnp.max(jnp.where(targets > 0.5, -jnp.inf, logits), axis=0, keepdims=True))
        distance = jnp.abs(logits - jnp.where(jnp.isfinite(top), top, 0.0))
        size = 1.0 + jnp.log(1.0 * logits.shape[0]) + jnp.sum((share + targets) * distance, axis=0)
        return self._of_logit(logit) * (1.0 + self.gamma * jax.nn.softplus(logit)) + self._steepness(logit) * size

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        logit, share = self._label_logit(logits, targets)
        return self._steepness(logit)[None, :] * (share - targets)

    def profile(self, margin: Array, classes: int) -> Array:
        return self._of_logit(margin - np.log(classes - 1.0))

    def profile_slope(self, margin: Array, classes: int) -> Array:
        return -self._steepness(margin - np.log(classes - 1.0))

    def profile_inflection(self, classes: int) -> Scalar:
        r"""The zero of $R(p)=-(2\gamma+1)(1-p)-\gamma\log p\,(1-(1+\gamma)p)$, as a margin.

        $dG/dp=(1-p)^{\gamma-1}R(p)$. R is convex ($R''=\gamma/p^2+\gamma(1+\gamma)/p$), infinite at 0, and zero at 1 with
        slope $(1+\gamma)^2>0$: it has exactly one zero in (0, 1), below which G rises and above which it falls. The zero
        is below $1/(1+\gamma)$, where R is negative, and above the lower end used here, where R is positive.
        """
        gamma = jnp.asarray(self.gamma)
        positive = gamma > 0
        safe = jnp.where(positive, gamma, 1.0)

        # This is R(p) at p = sigma(t), where -log p = softplus(-t) and 1 - p = sigma(-t).
        def rise(t: Array) -> Array:
            rest = jax.nn.softplus(-t) * (1.0 - (1.0 + safe) * jax.nn.sigmoid(t))
            return safe * rest - (2.0 * safe + 1.0) * jax.nn.sigmoid(-t)

        # At the lower end, a logit, R is positive, and at -log gamma, the logit of 1/(1 + gamma), it is negative.
        ends = -(7.0 + 1.0 / safe + 2.0 * jnp.log1p(safe)), -jnp.log(safe)
        # The margin is m = t + log(K - 1). With gamma = 0 the profile is that of cross-entropy, which is convex.
        return jnp.where(positive, bisect(rise, *ends, BISECTIONS), -jnp.inf) + np.log(classes - 1.0)

    def _of_logit(self, t: Array) -> Array:
        # Here (1 - p)^gamma = e^(-gamma softplus(t)), and -log p = softplus(-t).
        return jnp.exp(-self.gamma * jax.nn.softplus(t)) * jax.nn.softplus(-t)

    def _steepness(self, t: Array) -> Array:
        """G, minus the derivative in t."""
        # The bracket is (1 - p) - gamma p log p.
        bracket = jax.nn.sigmoid(-t) + self.gamma * jax.nn.sigmoid(t) * jax.nn.softplus(-t)
        return jnp.exp(-self.gamma * jax.nn.softplus(t)) * bracket

    @staticmethod
    def _label_logit(logits: Logits, targets: Logits) -> tuple[Columns, Logits]:
        """t, and the softmax over the logits that are not the label's (zero there)."""
        # t = z_y - log sum_{j != y} e^{z_j}, with all logits relative to the largest of the others, and inf for one class.
        others = jnp.where(targets > 0.5, -jnp.inf, logits)
        top = jax.lax.stop_gradient(jnp.max(others, axis=0, keepdims=True))
        top = jnp.where(jnp.isfinite(top), top, 0.0)  # a single class has no other logit
        weights = jnp.exp(others - top)
        total = jnp.sum(weights, axis=0, keepdims=True)
        label = jnp.sum(jnp.where(targets > 0.5, logits - top, 0.0), axis=0)
        alone = total == 0.0
        share = weights / jnp.where(alone, 1.0, total)
        rest = jnp.where(alone, -jnp.inf, jnp.log(jnp.where(alone, 1.0, total)))
        return label - rest[0], share


@float64
def focal(gamma: float | Scalar) -> Focal:
    r"""The focal loss $-(1-p_y)^\gamma\log p_y$; `gamma` >= 0, and 0 is cross-entropy.

    Raises ValueError for a negative or infinite `gamma`; a traced one is not checked.
    (Lin, Goyal, Girshick, He, Dollár, ICCV 2017.)

    >>> focal(2.0).name, float(focal(2.0).gamma)
    ('focal', 2.0)
    """
    if not is_traced(gamma) and not (np.isfinite(gamma) and gamma >= 0.0):
        raise ValueError(f"gamma: expected a finite focusing parameter of at least 0, got {gamma}")
    with jax.enable_x64(True):
        return Focal(gamma=jnp.asarray(gamma, dtype=jnp.float64))
