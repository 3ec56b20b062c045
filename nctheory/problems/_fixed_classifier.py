"""Free features before a classifier that is given: what is left of unconstrained features where W is not learned."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, as_array, float64, is_traced
from nctheory.problems._base import Problem
from nctheory.problems._constructors import _counts
from nctheory.problems._energies import positive
from nctheory.problems._gauge import ChainParams
from nctheory.problems._losses import Loss, as_loss
from nctheory.problems._own_loss import check_loss
from nctheory.problems._starts import normal_blocks


class FixedClassifier(Problem):
    r"""$\min_H\frac1N\sum_i\ell(Wh_i,y_i)+\frac{\lambda_H}2|H|_F^2$ over features H, for a given W, without a bias.

    No sample knows of another, and where the loss is convex the problem is strongly convex: it has one minimiser, without
    any symmetry, and every end of a descent is certified (`certify`). Parameters are `ChainParams` with no weights.
    """

    counts: tuple[int, ...] = eqx.field(static=True)
    """The number of samples of each class."""
    loss: Loss
    """The loss on logits."""
    given: Float[Array, "K d"]
    """W."""
    feature_decay: Scalar
    r"""$\lambda_H$."""

    @property
    def classes(self) -> int:
        """K."""
        return len(self.counts)

    @property
    def dim(self) -> int:
        """The number d of features."""
        return self.given.shape[1]

    @property
    def labels(self) -> np.ndarray:
        """The class of every sample."""
        return np.repeat(np.arange(self.classes), self.counts)

    @property
    def targets(self) -> Float[Array, "K N"]:
        """What the loss makes of one-hot columns."""
        return jnp.asarray(self.loss.encode(jnp.eye(self.classes)))[:, self.labels]

    def init(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """Independent normal entries of variance scale^2/d."""
        (features,) = normal_blocks(key, [(self.dim, len(self.labels))], [scale / self.dim**0.5])
        return ChainParams((), features, None)

    def logits(self, params: ChainParams) -> Float[Array, "K N"]:
        """W H, one column per sample."""
        return jnp.asarray(self.given) @ jnp.asarray(params.features)

    def regulariser(self, params: ChainParams) -> Scalar:
        """The decay of the features."""
        return 0.5 * self.feature_decay * jnp.sum(jnp.asarray(params.features) ** 2)

    def objective(self, params: ChainParams) -> Scalar:
        return jnp.mean(self.loss.value(self.logits(params), self.targets)) + self.regulariser(params)

    def value_and_grad(self, params: ChainParams) -> tuple[Scalar, ChainParams]:
        # The gradient is W^T (grad l)/N + lambda_H H.
        logits = self.logits(params)
        slope = self.loss.gradient(logits, self.targets) / logits.shape[1]
        value = jnp.mean(self.loss.value(logits, self.targets)) + self.regulariser(params)
        features = jnp.asarray(self.given).T @ slope + self.feature_decay * jnp.asarray(params.features)
        return value, ChainParams((), features, None)

    def value_terms(self, params: ChainParams) -> Scalar:
        """As for a chain: the loss's terms, and the logits' rounding relative to the terms of the product."""
        logits = self.logits(params)
        size = jnp.abs(jnp.asarray(self.given)) @ jnp.abs(jnp.asarray(params.features))
        slope = jnp.abs(self.loss.gradient(logits, self.targets))
        fit = jnp.mean(self.loss.value_terms(logits, self.targets) + jnp.sum(slope * size, axis=0))
        return fit + 3.0 * self.regulariser(params)

    def invariants(self, params: ChainParams) -> Float[Array, "K N"]:
        return self.logits(params)

    def orbit_invariants(self, params: ChainParams) -> Float[Array, " n"]:
        """The logits by size: no relabelling of samples of one class changes them."""
        return jnp.sort(self.logits(params).ravel())


@float64
def fixed_classifier(
    *,
    weights: Any,
    counts: Sequence[int],
    feature_decay: float | Scalar,
    loss: str | Loss = "cross_entropy",
) -> FixedClassifier:
    r"""$\min_H\frac1N\sum_i\ell(Wh_i,y_i)+\frac{\lambda_H}2|H|_F^2$ over free features, for a given classifier.

    `weights` W, K x d; `counts` (n_1, …, n_K); `feature_decay` $\lambda_H$. Features of fixed length before a given classifier
    are `spherical_features`.

    Raises ValueError, naming the argument, for fewer than two classes, a decay that is not above 0, or a matrix that has not
    one row per class or entries that are not finite.

    >>> import numpy as np
    >>> import nctheory as nct
    >>> model = fixed_classifier(weights=np.eye(3), counts=(4, 2, 1), feature_decay=0.01)
    >>> ends = nct.solve(model, seeds=4)
    >>> bool(nct.certify(model, ends.params).closed(ends.value).all())
    True
    """
    checked = _counts(counts)
    if len(checked) < 2:
        raise ValueError(f"counts: expected at least two classes, got {len(checked)}")
    given = as_array(weights)
    if given.ndim != 2 or given.shape[0] != len(checked) or given.shape[1] < 1:
        raise ValueError(
            f"weights: expected a matrix of K = {len(checked)} rows, one per class, got shape {given.shape}"
        )
    if not is_traced(given) and not np.all(np.isfinite(given)):
        raise ValueError("weights: expected finite entries, got some that are not")
    resolved = as_loss(loss)
    check_loss(resolved, np.asarray(resolved.encode(np.eye(len(checked)))))
    return FixedClassifier(checked, resolved, given, positive("feature_decay", feature_decay))
