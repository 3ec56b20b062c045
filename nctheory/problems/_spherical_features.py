"""Classifiers on features of fixed length: on spheres, of fixed norm, decayed, or given."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, as_array, float64, whole_number
from nctheory.problems._base import Problem
from nctheory.problems._constructors import _counts
from nctheory.problems._energies import positive
from nctheory.problems._gauge import ChainParams, skew_basis
from nctheory.problems._losses import Loss, as_loss
from nctheory.problems._own_loss import check_loss
from nctheory.problems._scales import ORDINARY, Scales
from nctheory.problems._unit_vectors import check_directions, radial_part, rotation_part, unit_rows

KINDS = ("sphere", "norm", "decay", "fixed")
"""What holds the classifier: every row on a sphere, the whole of it on one, its decay, or that it is given."""


class SphericalFeatures(Problem):
    r"""$\min\frac1N\sum_i\ell(Wh_i,y_i)$ over features of length $|h_i|=\rho$, and over a classifier W that is held in one of
    four ways: $|w_k|=\omega$ in every row ("sphere"), $|W|_F=\omega$ ("norm"), $+\frac{\lambda}2|W|_F^2$ ("decay"), or given
    ("fixed").

    What lies on a sphere is searched by free vectors that are divided by their lengths, which are a symmetry as rotations
    are. Random starts have the lengths 1, from which the flow is the Riemannian one but for units; where the classifier is
    decayed, its own entries are normal, of the start's scale.
    """

    counts: tuple[int, ...] = eqx.field(static=True)
    """The number of samples of each class."""
    dim: int = eqx.field(static=True)
    """The number d of features."""
    classifier: str = eqx.field(static=True)
    """One of `KINDS`."""
    loss: Loss
    """The loss on logits."""
    radius: Scalar
    r"""$\rho$."""
    size: Scalar
    r"""$\omega$, or $\lambda$ where the classifier is decayed; 1 where it is given."""
    given: Float[Array, "K d"] | None
    """W where it is given."""

    @property
    def classes(self) -> int:
        """K."""
        return len(self.counts)

    @property
    def labels(self) -> np.ndarray:
        """The class of every sample."""
        return np.repeat(np.arange(self.classes), self.counts)

    @property
    def class_shares(self) -> Float[Array, " K"]:
        """The part of every class in the mean, n_k/N."""
        counts = np.asarray(self.counts, float)
        return jnp.asarray(counts / counts.sum())

    @property
    def targets(self) -> Float[Array, "K N"]:
        """What the loss makes of one-hot columns."""
        return jnp.asarray(self.loss.encode(jnp.eye(self.classes)))[:, self.labels]

    def characteristic_scales(self) -> Scales:
        """Lengths are 1, and labels have no unit."""
        return ORDINARY

    def init(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """Independent uniform directions; a decayed classifier has normal entries of the given scale."""
        rows, samples = self.classes, len(self.labels)
        draw = jax.random.normal(key, ((rows + samples), self.dim), jnp.float64)
        weights, features = draw[:rows], draw[rows:]
        weights = {
            "sphere": unit_rows(weights),
            "norm": weights / jnp.linalg.norm(weights),
            "decay": jnp.asarray(scale) * weights,
            "fixed": weights,
        }[self.classifier]
        features = unit_rows(features).T + 0.0 * jnp.asarray(scale)
        return ChainParams(() if self.classifier == "fixed" else (weights,), features, None)

    def check_domain(self, params: ChainParams, name: str) -> None:
        """Zero vectors have no direction."""
        check_directions(f"{name}.features", np.swapaxes(np.asarray(params.features), -1, -2))
        if self.classifier == "sphere":
            check_directions(f"{name}.weights[0]", params.weights[0])
        elif self.classifier == "norm":
            (weights,) = params.weights
            check_directions(f"{name}.weights[0]", weights.reshape((*np.shape(weights)[:-2], -1)))

    def factor_pair(self, params: ChainParams) -> tuple[Float[Array, "K d"], Float[Array, "d N"]]:
        """(W, H) as the losses see them."""
        free = jnp.asarray(params.features)
        features = self.radius * unit_rows(free.T).T
        if self.given is not None:
            return jnp.asarray(self.given), features
        (weights,) = params.weights
        if self.classifier == "sphere":
            weights = self.size * unit_rows(weights)
        elif self.classifier == "norm":
            weights = self.size * weights / jnp.linalg.norm(weights)
        return weights, features

    def logits(self, params: ChainParams) -> Float[Array, "K N"]:
        """W H, one column per sample."""
        weights, features = self.factor_pair(params)
        return weights @ features

    def penalty(self, weights: Float[Array, "K d"]) -> Scalar:
        """What the classifier itself costs."""
        return 0.5 * self.size * jnp.sum(weights**2) if self.classifier == "decay" else jnp.zeros(())

    def objective(self, params: ChainParams) -> Scalar:
        weights, features = self.factor_pair(params)
        return jnp.mean(self.loss.value(weights @ features, self.targets)) + self.penalty(weights)

    def value_and_grad(self, params: ChainParams) -> tuple[Scalar, ChainParams]:
        (weights, features), pull = jax.vjp(self.factor_pair, params)
        logits = weights @ features
        slope = self.loss.gradient(logits, self.targets) / logits.shape[1]
        decay = self.size * weights if self.classifier == "decay" else 0.0
        value = jnp.mean(self.loss.value(logits, self.targets)) + self.penalty(weights)
        return value, pull((slope @ features.T + decay, weights.T @ slope))[0]

    def value_terms(self, params: ChainParams) -> Scalar:
        """As for a chain: the loss's terms, and the logits' rounding relative to the terms of the product."""
        weights, features = self.factor_pair(params)
        logits = weights @ features
        slope, size = jnp.abs(self.loss.gradient(logits, self.targets)), jnp.abs(weights) @ jnp.abs(features)
        fit = jnp.mean(self.loss.value_terms(logits, self.targets) + jnp.sum(slope * size, axis=0))
        return fit + 3.0 * self.penalty(weights)

    def invariants(self, params: ChainParams) -> Float[Array, "K N"]:
        return self.logits(params)

    def orbit_invariants(self, params: ChainParams) -> Float[Array, " n"]:
        """The singular values of W and H, and the logits by size: no relabelling of classes of one size changes them."""
        weights, features = self.factor_pair(params)
        values = [jnp.linalg.svd(factor, compute_uv=False) for factor in (weights, features)]
        return jnp.concatenate([*values, jnp.sort((weights @ features).ravel())])

    def canonical(self, params: ChainParams) -> ChainParams:
        """The directions with lengths 1."""
        weights, features = params.weights, jnp.asarray(params.features)
        if self.classifier == "sphere":
            weights = (unit_rows(weights[0]),)
        elif self.classifier == "norm":
            weights = (weights[0] / jnp.linalg.norm(weights[0]),)
        return ChainParams(weights, unit_rows(features.T).T, None)

    def gauge_tangents(self, params: ChainParams) -> ChainParams:
        """The lengths of what lies on spheres, and rotations between W and H where W is free."""
        features = jnp.asarray(params.features)
        lengths = jnp.eye(features.shape[1])[:, None, :] * features[None]
        if self.classifier == "fixed":
            return ChainParams((), lengths, None)
        (weights,), skew = params.weights, jnp.asarray(skew_basis(self.dim))
        blocks = [(weights[None] @ skew, -skew @ features[None]), (jnp.zeros((len(lengths), *weights.shape)), lengths)]
        scaled = {"sphere": jnp.eye(self.classes)[:, :, None] * weights[None], "norm": weights[None]}.get(
            self.classifier
        )
        if scaled is not None:
            blocks.append((scaled, jnp.zeros((len(scaled), *features.shape))))
        above, below = (jnp.concatenate(parts) for parts in zip(*blocks, strict=True))
        return ChainParams((above,), below, None)

    def gauge_penalty(self, params: ChainParams, vector: ChainParams) -> ChainParams:
        """The forms of `radial_part` and `rotation_part`, the rows of W and the columns of H being one family of vectors."""
        features, moved = (jnp.asarray(one.features).T for one in (params, vector))
        lengths = radial_part(features, moved)
        if self.classifier == "fixed":
            return ChainParams((), lengths.T, None)
        (weights,), (step,) = params.weights, vector.weights
        turned = rotation_part(jnp.concatenate([weights, features]), jnp.concatenate([step, moved]))
        along = turned[: self.classes]
        if self.classifier == "sphere":
            along += radial_part(weights, step)
        elif self.classifier == "norm":
            along += radial_part(weights.reshape(1, -1), step.reshape(1, -1)).reshape(weights.shape)
        return ChainParams((along,), (turned[self.classes :] + lengths).T, None)


@float64
def spherical_features(
    *,
    counts: Sequence[int],
    dim: int,
    loss: str | Loss = "cross_entropy",
    temperature: float | Scalar = 1.0,
    radius: float | Scalar = 1.0,
    weight_radius: float | Scalar | None = None,
    weight_norm: float | Scalar | None = None,
    weight_decay: float | Scalar | None = None,
    weights: Any = None,
) -> SphericalFeatures:
    r"""$\min\frac1N\sum_i\ell(Wh_i/T,y_i)$ over features of length $\rho$, without a bias.

    `counts` (n_1, …, n_K); `dim` d, at least 2; `temperature` T; `radius` $\rho$. Exactly one of the others says what W is:
    `weight_radius` $\omega$ with $|w_k|=\omega$ for every class (the product of spheres of Yaras et al. 2022, whose $\tau$ is
    $\rho\omega/T$), `weight_norm` $\omega$ with $|W|_F=\omega$, `weight_decay` $\lambda$ with $\frac\lambda2|W|_F^2$ in the
    objective (features behind a LayerNorm without gain lie on the sphere of radius $\sqrt d$ of the d-1 dimensions across
    (1, …, 1)), or `weights`, a given K x d matrix.

    Raises ValueError, naming the argument, for a radius, norm, temperature or decay that is not above 0, d below 2, none or
    several of the four, or a matrix of another shape.

    >>> import nctheory as nct
    >>> model = nct.problems.spherical_features(counts=(2,) * 3, dim=2, temperature=0.5, weight_radius=1.0)
    >>> ends = nct.solve(model, seeds=4)
    >>> bound = nct.certify(model, ends.params)
    >>> bool(bound.closed(ends.value).all())
    True
    """
    checked, width = _counts(counts), whole_number("dim", dim, least=2)
    if len(checked) < 2:
        raise ValueError(f"counts: expected at least two classes, got {len(checked)}")
    held = {"sphere": weight_radius, "norm": weight_norm, "decay": weight_decay, "fixed": weights}
    kinds = [kind for kind, value in held.items() if value is not None]
    names = ("weight_radius", "weight_norm", "weight_decay", "weights")
    if len(kinds) != 1:
        said = [name for name, value in zip(names, held.values(), strict=True) if value is not None]
        raise ValueError(f"{', '.join(names)}: expected exactly one of these, got {' and '.join(said) or 'none'}")
    resolved, cold = as_loss(loss), positive("temperature", temperature)
    check_loss(resolved, np.asarray(resolved.encode(np.eye(len(checked)))))
    size, given, length = as_array(1.0), None, positive("radius", radius) / cold
    if weights is not None:
        given = as_array(weights)
        if given.shape != (len(checked), width):
            raise ValueError(f"weights: expected K x d = {len(checked)} x {width}, got shape {given.shape}")
    elif weight_decay is not None:
        size = positive("weight_decay", weight_decay)
    else:
        size = positive(names[("sphere", "norm").index(kinds[0])], held[kinds[0]])
    return SphericalFeatures(checked, width, kinds[0], resolved, as_array(length), size, given)
