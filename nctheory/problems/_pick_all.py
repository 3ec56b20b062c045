"""Multi-label classification with the pick-all-label loss: one cross-entropy for every tag of a sample."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.engine import Array, Scalar, float64, whole_number
from nctheory.problems._chain import DeepLinear
from nctheory.problems._constructors import deep_linear
from nctheory.problems._losses import Columns, Logits, Loss


class PickAllLabel(Loss):
    r"""$\ell(z,y)=\sum_{k\in S}\mathrm{CE}(z,k)=m\log\sum_ke^{z_k}-\langle y,z\rangle$ for a set S of m tags, y its indicator.

    The conjugate is $m\sum_kp_k\log p_k$ with $p=(u+y)/m$ in the simplex, and infinite elsewhere. With one tag a sample it is
    cross-entropy.
    """

    name: ClassVar[str] = "pick_all_label"
    convex: ClassVar[bool | None] = True
    has_conjugate: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True

    def check_targets(self, targets: Float[np.ndarray, "K M"]) -> None:
        """ValueError unless every column is the indicator of at least one and fewer than K tags."""
        if np.any((targets != 0) & (targets != 1)):
            raise ValueError(f"targets: {self.name} expects entries 0 and 1, the indicators of the tags")
        sizes = targets.sum(axis=0)
        wrong = np.flatnonzero((sizes < 1) | (sizes >= targets.shape[0]))
        if wrong.size:
            raise ValueError(
                f"targets: {self.name} expects at least one and fewer than K={targets.shape[0]} tags in a column, got "
                f"{int(sizes[wrong[0]])} in column {wrong[0]}"
            )

    def value(self, logits: Logits, targets: Logits) -> Columns:
        # Relative to the logits' largest entry: adding a constant to a column must not cost digits.
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=0, keepdims=True))
        tags = jnp.sum(targets, axis=0)
        return tags * jnp.log(jnp.sum(jnp.exp(shifted), axis=0)) - jnp.sum(targets * shifted, axis=0)

    def value_terms(self, logits: Logits, targets: Logits) -> Columns:
        # As for cross-entropy, with the number of tags in front of the logarithm.
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=0, keepdims=True))
        logarithm, tags = jnp.log(jnp.sum(jnp.exp(shifted), axis=0)), jnp.sum(targets, axis=0)
        weights = tags[None, :] * jnp.exp(shifted - logarithm[None, :]) + targets
        return tags * (1.0 + logarithm) + jnp.sum(weights * jnp.abs(shifted), axis=0)

    def gradient(self, logits: Logits, targets: Logits) -> Logits:
        return jnp.sum(targets, axis=0, keepdims=True) * jax.nn.softmax(logits, axis=0) - targets

    def conjugate(self, dual: Logits, targets: Logits) -> Columns:
        tags = jnp.sum(targets, axis=0)
        # This is m sum_k p_k log p_k with p = (u + y)/m, brought into the simplex against rounding.
        return tags * jnp.sum(jax.scipy.special.xlogy(*(self._simplex(dual + targets),) * 2), axis=0)

    def conjugate_terms(self, dual: Logits, targets: Logits) -> Columns:
        return jnp.sum(targets, axis=0) + jnp.abs(self.conjugate(dual, targets))

    def into_domain(self, dual: Logits, targets: Logits) -> Logits:
        return jnp.sum(targets, axis=0, keepdims=True) * self._simplex(dual + targets) - targets

    def recentre(self, dual: Logits, targets: Logits, weights: Columns) -> Logits:
        # As for cross-entropy, with the tags of a column as its weight: mix all columns with one common distribution until
        # sum_j q_j m_j p_j = sum_j q_j y_j.
        tags = jnp.sum(targets, axis=0)
        mass = weights * tags / jnp.sum(weights * tags)
        probabilities = self._simplex(dual + targets)
        mean_p, mean_y = probabilities @ mass, targets @ weights / jnp.sum(weights * tags)
        # The share of p that is kept is the largest for which mean(y) - keep mean(p) has no negative entry.
        keep = jnp.min(jnp.where(mean_p > mean_y, mean_y / jnp.where(mean_p > 0, mean_p, 1.0), 1.0))
        correction = jnp.maximum(mean_y - keep * mean_p, 0.0)
        return tags[None, :] * self._simplex(keep * probabilities + correction[:, None]) - targets

    @staticmethod
    def _simplex(p: Logits) -> Logits:
        p = jnp.maximum(p, 0.0)
        return p / jnp.sum(p, axis=0, keepdims=True)


def pick_all_label() -> PickAllLabel:
    r"""The pick-all-label loss, for `deep_linear(targets=…)` with the indicators of the tags as columns.

    >>> pick_all_label().name
    'pick_all_label'
    """
    return PickAllLabel()


def tag_indicators(tags: Sequence[Iterable[int]], classes: int) -> Float[Array, "K N"]:
    """One column per sample, 1 at its tags and 0 elsewhere.

    Raises ValueError, naming the sample, for a tag outside 0 … K-1, one given twice, no tag, or all K.

    >>> tag_indicators([{0}, {1, 2}], 3).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    columns = np.zeros((classes, len(tags)))
    for i, given in enumerate(tags):
        chosen = list(given)
        for k in chosen:
            if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 0 <= k < classes:
                raise ValueError(f"tags[{i}]: expected whole numbers from 0 to {classes - 1}, got {k!r}")
        if len(set(chosen)) != len(chosen) or not 1 <= len(chosen) < classes:
            raise ValueError(f"tags[{i}]: expected 1 to {classes - 1} different tags, got {chosen}")
        columns[chosen, i] = 1.0
    return columns


@float64
def multi_label_features(
    *,
    tags: Sequence[Iterable[int]],
    dim: int,
    weight_decay: Sequence[Scalar],
    bias: Scalar | None = None,
    classes: int | None = None,
) -> DeepLinear:
    r"""The unconstrained-feature model $Z=WH+b1^\top$ of multi-label classification with the pick-all-label loss.

    `tags` holds the set of tags of every sample, numbers from 0 to K-1; `classes` is K, by default one more than the largest
    tag; `dim` d; `weight_decay` (lambda_W, lambda_H); `bias` None (no bias), 0.0 (free) or lambda_b > 0. Objective:
    $\frac1N\sum_i\sum_{k\in S_i}\mathrm{CE}(z_i,k)+\frac{\lambda_W}2|W|^2+\frac{\lambda_H}2|H|^2(+\frac{\lambda_b}2|b|^2)$.

    Raises ValueError, naming the argument, for bad input.

    >>> model = multi_label_features(tags=[{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}], dim=2, weight_decay=(0.01, 0.01))
    >>> model.widths, model.targets.shape
    ((2, 3), (3, 6))
    """
    listed = [tuple(one) for one in tags]
    if not listed or not any(listed):
        raise ValueError("tags: expected at least one sample with a tag, got none")
    try:
        largest = max(int(k) for one in listed for k in one)
    except (TypeError, ValueError):
        raise ValueError("tags: expected a set of whole numbers for every sample") from None
    number = whole_number("classes", classes) if classes is not None else largest + 1
    width = whole_number("dim", dim)
    if len(weight_decay) != 2:
        raise ValueError(f"weight_decay: expected (lambda_W, lambda_H), got {len(weight_decay)} values")
    return deep_linear(
        widths=(width, number),
        targets=tag_indicators(listed, number),
        loss=pick_all_label(),
        weight_decay=weight_decay,
        bias=bias,
    )
