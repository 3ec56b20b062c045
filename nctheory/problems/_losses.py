"""Losses on logits, with the convex conjugate that the duality certificate needs."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from nctheory.engine import Array, Scalar, as_array, float64, is_traced
from nctheory.problems._rounding_terms import intermediate_terms

Logits = Float[Array, "K M"]
Columns = Float[Array, "M"]


class Loss(eqx.Module):
    r"""A loss $\ell(z, y)$ on one column of logits, evaluated on all columns at once.

    A user's own loss needs only `value`: `gradient` is derived from it, and `name` is that of the class; a `gradient` of its
    own is tried against that once. A convex loss gets a duality certificate on chains of at most two factors, by its tangents;
    by `conjugate`, `recentre` and `into_domain`, where it defines them, that is cheaper, and with a free bias tighter at
    points far from a minimiser. `shift_invariant` says that adding a constant to a column changes nothing. `convex` False
    keeps a loss from duality; where it is not False, losses that are not the library's own are tested.

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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    @property
    def label(self) -> str:
        """What messages call it: its name, or the class of a user's own, whatever that is called."""
        return self.name if is_loss(self, self.name) else type(self).__name__

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        r"""$\nabla_z \ell(z_j, y_j)$ for every column j; by default that of `value`, by automatic differentiation."""
        return jax.grad(lambda z: jnp.sum(self.value(z, targets)))(logits)

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        r"""The size of what `value` is computed from: its rounding error is a few $\varepsilon$ times this, column by column.

        By default it is $2|\ell|+\sum_k|\partial_k\ell||z_k|$, what a relative rounding of the value and of every logit does
        to it to first order, and the same of every intermediate result in the program of `value` (where that is finite). So
        a loss that is a difference of larger terms is known to be one; cross-entropy's value at confident logits, for
        instance, is as small as one likes, while the logarithm's argument is rounded next to 1.

        >>> import jax.numpy as jnp
        >>> z, y = jnp.array([[20.0], [0.0]]), jnp.array([[1.0], [0.0]])
        >>> loss = as_loss("cross_entropy")
        >>> bool(loss.value(z, y)[0] < 1e-8), bool(loss.value_terms(z, y)[0] >= 1.0)
        (True, True)
        """
        # The terms are those of the value, of every logit, and of the intermediate results of `value`.
        slope = jnp.sum(jnp.abs(self.gradient(logits, targets) * logits), axis=0)
        inside = intermediate_terms(lambda z: self.value(z, targets), logits)
        return 2.0 * jnp.abs(self.value(logits, targets)) + slope + jnp.where(jnp.isfinite(inside), inside, 0.0)

    def check_targets(self, targets: Logits) -> None:
        """Raise ValueError where this loss cannot have these targets; by default any will do."""

    def encode(self, one_hot: Logits) -> Logits:
        """The targets that this loss makes of one-hot labels (label smoothing changes them)."""
        return one_hot

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        r"""$\ell^*(u_j, y_j) = \sup_z \langle u_j, z\rangle - \ell(z, y_j)$, for u in its domain."""
        raise NotImplementedError(f"{self.name} defines no convex conjugate")

    def conjugate_terms(self, dual: Logits, targets: Logits) -> Columns:
        r"""The size of what `conjugate` is computed from, as `value_terms` is that of `value`; by default $1+|\ell^*|$."""
        return 1.0 + jnp.abs(self.conjugate(dual, targets))

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        r"""Move a dual point inside the domain of $\ell^*$ so that $\sum_j q_j u_j = 0$ (a free bias needs it)."""
        raise NotImplementedError(f"{self.name} defines no convex conjugate")

    def into_domain(self, dual: Logits, targets: Logits) -> Logits | None:
        r"""A point of the domain of $\ell^*$ near `dual`: `dual` itself, up to rounding, where it lies in it.

        It is None where the domain is not known. Without it the duality certificate takes the loss's gradients only, and its
        gap is of first order in the distance from a minimiser, not of second.
        """
        return None

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

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        # A relative rounding of z and of y moves |z - y|^2 / 2 by |z - y| times their sizes.
        apart = jnp.abs(logits - targets)
        return jnp.sum(apart * (0.5 * apart + jnp.abs(logits) + jnp.abs(targets)), axis=0)

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return logits - targets

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        return jnp.sum(0.5 * dual**2 + dual * targets, axis=0)

    def conjugate_terms(self, dual: Logits, targets: Logits) -> Columns:
        return jnp.sum(0.5 * dual**2 + jnp.abs(dual * targets), axis=0)

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        return dual - (dual @ weights / jnp.sum(weights))[:, None]

    def into_domain(self, dual: Logits, targets: Logits) -> Logits:
        return dual


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

    def check_targets(self, targets: Logits) -> None:
        # The conjugate takes targets for distributions: p = u + y lies in the simplex. A user's kind of it may do otherwise.
        ours = is_loss(self, "cross_entropy")
        if ours and (np.any(targets < 0) or not np.allclose(targets.sum(axis=0), 1.0, rtol=0, atol=1e-12)):
            raise ValueError("targets: cross-entropy expects columns that are probability distributions")

    def encode(self, one_hot: Logits) -> Logits:
        return (1.0 - self.smoothing) * one_hot + self.smoothing / one_hot.shape[0]

    def value(self, logits: Logits, targets: Logits) -> Columns:
        # Relative to the logits' largest entry: adding a constant to a column must not cost digits.
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=0, keepdims=True))
        return jnp.log(jnp.sum(jnp.exp(shifted), axis=0)) - jnp.sum(targets * shifted, axis=0)

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        # S = sum_k e^(z_k - max z) is at least 1 and rounded as such, which moves log S by the unit; a rounding of the
        # shifted logits moves log S by their mean under the softmax, and <y, z> by their mean under y.
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=0, keepdims=True))
        logarithm = jnp.log(jnp.sum(jnp.exp(shifted), axis=0))
        means = jnp.sum((jnp.exp(shifted - logarithm[None, :]) + targets) * jnp.abs(shifted), axis=0)
        return 1.0 + logarithm + means

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return jax.nn.softmax(logits, axis=0) - targets

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        # With s the sum of the others' p, the likeliest label has p = 1 - s, and its term is (1 - s) log(1 - s).
        others, missing = self._others(dual, targets)
        entropy = jnp.sum(jax.scipy.special.xlogy(others, others), axis=0)
        return entropy + jax.scipy.special.xlog1py(1.0 - missing, -missing)

    def conjugate_terms(self, dual: Logits, targets: Logits) -> Columns:
        # The likeliest label's term is at most s in size, and each p is rounded relative to itself.
        others, missing = self._others(dual, targets)
        return missing + jnp.sum(others + jnp.abs(jax.scipy.special.xlogy(others, others)), axis=0)

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        # Mix every column with one common distribution w until the weighted means agree: p' = (1 - t) p + t w with
        # t the smallest value for which w = (mean(y) - (1 - t) mean(p)) / t has no negative entry. Exact at any point, and
        # written in u = p - y and its mean, the drift: a difference of probabilities would lose the digits of small ones.
        drift, mean_y = (dual @ weights) / jnp.sum(weights), (targets @ weights) / jnp.sum(weights)
        excess = jnp.maximum(drift, 0.0)
        mixed = jnp.max(excess / jnp.where(excess > 0, mean_y + excess, 1.0))
        common = jnp.maximum(mixed * mean_y - (1.0 - mixed) * drift, 0.0)
        return (1.0 - mixed) * dual + (common[:, None] - mixed * targets)

    def into_domain(self, dual: Logits, targets: Logits) -> Logits:
        # The entry of the likeliest label is minus the sum of the others, which are small where the label's is nearly 1.
        top = _largest(targets)
        others = jnp.where(top, 0.0, jnp.maximum(dual, -targets))
        mass = jnp.sum(jnp.where(top, 0.0, others + targets), axis=0)[None, :]
        # Where the others' p sum to more than 1, they are scaled back to the simplex.
        others = jnp.where((mass > 1.0) & ~top, (others + targets) / jnp.maximum(mass, 1.0) - targets, others)
        return jnp.where(top, -jnp.sum(others, axis=0)[None, :], others)

    def _others(self, dual: Logits, targets: Logits) -> tuple[Logits, Columns]:
        """The probabilities p = u + y but for the likeliest label's, and their sum, of which that one is the rest."""
        others = jnp.where(_largest(targets), 0.0, jnp.maximum(dual + targets, 0.0))
        total = jnp.sum(others, axis=0)
        return others / jnp.maximum(total, 1.0)[None, :], jnp.minimum(total, 1.0)


def _largest(targets: Logits) -> Bool[Array, "K M"]:
    """The first largest entry of every column."""
    # The running count of largest entries is 1 from the first of them up to the second.
    top = targets >= jnp.max(targets, axis=0, keepdims=True)
    return top & (jnp.cumsum(top, axis=0) == 1)


def mse() -> MeanSquaredError:
    r"""Squared error $\tfrac12|z-y|^2$.

    >>> mse().name
    'mse'
    """
    return MeanSquaredError()


@float64
def label_smoothing(alpha: float | Scalar) -> CrossEntropy:
    r"""Cross-entropy against $(1-\alpha)e_k + \alpha/K$; `alpha` in [0, 1).

    Raises ValueError outside that range; a traced one is not checked.

    >>> float(label_smoothing(0.1).smoothing)
    0.1
    """
    if not is_traced(alpha) and not 0.0 <= alpha < 1.0:
        raise ValueError(f"alpha: expected a smoothing in [0, 1), got {alpha}")
    return CrossEntropy(smoothing=as_array(alpha))


def is_loss(loss: Loss, name: str) -> bool:
    """Whether it is the library's own loss of that name, to which theorems and certificates apply.

    By its class, never by name alone: a user may call a loss as he likes, and a subclass may override anything.

    >>> import types
    >>> mine = types.new_class("Mine", (MeanSquaredError,), exec_body=lambda space: space.update(__module__="my_losses"))
    >>> is_loss(mse(), "mse"), is_loss(mine(), "mse"), is_loss(mse(), "cross_entropy")
    (True, False, False)
    """
    return loss.name == name and type(loss).__module__.split(".")[:2] == __name__.split(".")[:2]


def as_loss(loss: str | Loss) -> Loss:
    """The loss of a name, "mse" or "cross_entropy", or the loss itself; ValueError for anything else.

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
