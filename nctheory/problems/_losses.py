"""Losses on logits, with the convex conjugate that the duality certificate needs."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory._types import Array, Scalar

Logits = Float[Array, "K M"]
Columns = Float[Array, "M"]


class Loss(eqx.Module):
    r"""A loss $\ell(z, y)$ on one column of logits, evaluated on all columns at once.

    A convex loss that defines `conjugate` and `recentre` gets a duality certificate on two-factor chains; a user's own
    loss needs only `value` and `gradient`. `shift_invariant` says that adding a constant to a column changes nothing.
    `convex` False keeps a loss from duality; where it is not False, losses that are not the library's own are tested.

    A loss for one-hot targets that is not convex gets a certificate of another kind where it has a *profile*
    $\varphi$: $\ell(z,y)\ge\varphi(m)$ for $m=z_y-\mathrm{mean}_{j\ne y}z_j$, non-negative, non-increasing, concave up to
    `profile_inflection` and convex beyond, with $-\varphi'\to$ `profile_far_slope` as $m\to-\infty$, and $-\varphi'$ at least
    that large below the inflection.
    """

    name: ClassVar[str]
    has_conjugate: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = False
    convex: ClassVar[bool | None] = None
    has_profile: ClassVar[bool] = False
    profile_far_slope: ClassVar[float] = 0.0

    @abc.abstractmethod
    def value(self, logits: Logits, targets: Logits) -> Columns:
        r"""$\ell(z_j, y_j)$ for every column j."""

    @abc.abstractmethod
    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        r"""$\nabla_z \ell(z_j, y_j)$ for every column j."""

    def check_targets(self, targets: Logits) -> None:
        """Raise ValueError where this loss cannot have these targets; by default any will do."""

    def encode(self, one_hot: Logits) -> Logits:
        """Targets that this loss makes of one-hot labels (label smoothing changes them)."""
        return one_hot

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        r"""$\ell^*(u_j, y_j) = \sup_z \langle u_j, z\rangle - \ell(z, y_j)$, for u in its domain."""
        raise NotImplementedError(f"{self.name} defines no convex conjugate")

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        r"""Move a dual point inside the domain of $\ell^*$ so that $\sum_j q_j u_j = 0$ (a free bias needs it)."""
        raise NotImplementedError(f"{self.name} defines no convex conjugate")

    def profile(self, margin: Array, classes: int) -> Array:
        r"""$\varphi(m)$, entrywise."""
        raise NotImplementedError(f"{self.name} defines no profile")

    def profile_slope(self, margin: Array, classes: int) -> Array:
        r"""$\varphi'(m)$, entrywise."""
        raise NotImplementedError(f"{self.name} defines no profile")

    def profile_inflection(self, classes: int) -> Scalar:
        r"""Where $\varphi$ turns from concave to convex; -inf for a convex profile."""
        raise NotImplementedError(f"{self.name} defines no profile")


class MeanSquaredError(Loss):
    r"""$\ell(z, y) = \tfrac12 |z - y|^2$, conjugate $\tfrac12|u|^2 + \langle u, y\rangle$ on all of space."""

    name: ClassVar[str] = "mse"
    convex: ClassVar[bool | None] = True
    has_conjugate: ClassVar[bool] = True

    def value(self, logits: Logits, targets: Logits) -> Columns:
        return 0.5 * jnp.sum((logits - targets) ** 2, axis=0)

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return logits - targets

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        return jnp.sum(0.5 * dual**2 + dual * targets, axis=0)

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        return dual - (dual @ weights)[:, None]


class CrossEntropy(Loss):
    r"""$\ell(z, y) = \log\sum_k e^{z_k} - \langle y, z\rangle$ for a target distribution y (one-hot or smoothed).

    With smoothing $\alpha$ the targets are $(1-\alpha) e_k + \alpha/K$. The conjugate is
    $\sum_k p_k \log p_k$ with $p = u + y$ in the simplex, and infinite elsewhere.
    """

    name: ClassVar[str] = "cross_entropy"
    convex: ClassVar[bool | None] = True
    has_conjugate: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    smoothing: Scalar

    def encode(self, one_hot: Logits) -> Logits:
        return (1.0 - self.smoothing) * one_hot + self.smoothing / one_hot.shape[0]

    def value(self, logits: Logits, targets: Logits) -> Columns:
        # Relative to the logits' largest entry: adding a constant to a column must not cost digits.
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=0, keepdims=True))
        return jnp.log(jnp.sum(jnp.exp(shifted), axis=0)) - jnp.sum(targets * shifted, axis=0)

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return jax.nn.softmax(logits, axis=0) - targets

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        return jnp.sum(jax.scipy.special.xlogy(*(self._simplex(dual + targets),) * 2), axis=0)

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        # Mix every column with one common distribution w until the weighted means agree: p' = (1 - t) p + t w with
        # t the smallest value for which w = (mean(y) - (1 - t) mean(p)) / t has no negative entry. Exact at any point.
        probabilities = self._simplex(dual + targets)
        mean_p, mean_y = probabilities @ weights, targets @ weights
        keep = jnp.min(jnp.where(mean_p > mean_y, mean_y / jnp.where(mean_p > 0, mean_p, 1.0), 1.0))
        correction = jnp.maximum(mean_y - keep * mean_p, 0.0)
        return self._simplex(keep * probabilities + correction[:, None]) - targets

    @staticmethod
    def _simplex(p: Logits) -> Logits:
        p = jnp.maximum(p, 0.0)
        return p / jnp.sum(p, axis=0, keepdims=True)


def mse() -> MeanSquaredError:
    r"""Squared error $\tfrac12|z-y|^2$.

    >>> mse().name
    'mse'
    """
    return MeanSquaredError()


def label_smoothing(alpha: float) -> CrossEntropy:
    r"""Cross-entropy against $(1-\alpha)e_k + \alpha/K$; `alpha` in [0, 1).

    Raises ValueError outside that range.

    >>> float(label_smoothing(0.1).smoothing)
    0.1
    """
    if not 0.0 <= alpha < 1.0:
        raise ValueError(f"alpha: expected a smoothing in [0, 1), got {alpha}")
    return CrossEntropy(smoothing=np.asarray(alpha, dtype=np.float64))


def as_loss(loss: str | Loss) -> Loss:
    """Resolve a loss given by name.

    >>> as_loss("cross_entropy").name
    'cross_entropy'
    """
    if isinstance(loss, Loss):
        return loss
    if loss == "mse":
        return mse()
    if loss == "cross_entropy":
        return label_smoothing(0.0)
    expected = "'mse', 'cross_entropy', label_smoothing(alpha), focal(gamma) or a Loss"
    raise ValueError(f"loss: expected {expected}, got {loss!r}")
