"""The layer-peeled model: cross-entropy with classifiers and features of bounded energy in the place of weight decay."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import EPS, Array, Scalar, float64, whole_number
from nctheory.problems._base import Problem
from nctheory.problems._constructors import _counts
from nctheory.problems._gauge import ChainParams, skew_basis
from nctheory.problems._losses import CrossEntropy, as_loss
from nctheory.problems._scales import ORDINARY, Scales

SHRINKS = (1.0, 0.5)
"""The multiples of the loss gradient at which the dual is evaluated; every multiple in [0, 1] is feasible."""


class LayerPeeled(Problem):
    r"""$\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ subject to $\frac1K\sum_k|w_k|^2\le E_W$ and
    $\frac1K\sum_k\frac1{n_k}\sum_i|h_{k,i}|^2\le E_H$.

    It is searched on both spheres: $W=\sqrt{KE_W}\,W'/|W'|$ and $H=\sqrt{KE_H}\,A\,\mathrm{diag}(n_{y_i})^{1/2}/|A|$ with
    W' and A free. Minimisers lie there: the gradient of cross-entropy in the logits is never zero, so that in the equivalent
    convex program $|Z\,\mathrm{diag}(n_{y_i})^{-1/2}|_*\le K\sqrt{E_WE_H}$ the constraint is active; this norm is at
    most $|W||H\,\mathrm{diag}(n_{y_i})^{-1/2}|$, and so both energies are spent.
    """

    counts: tuple[int, ...] = eqx.field(static=True)
    """The number of samples of each class."""
    dim: int = eqx.field(static=True)
    """The number d of features."""
    loss: CrossEntropy
    """Cross-entropy."""
    energies: Float[Array, "2"]
    """(E_W, E_H)."""

    @property
    def classes(self) -> int:
        """K."""
        return len(self.counts)

    @property
    def labels(self) -> np.ndarray:
        """The class of every sample."""
        return np.repeat(np.arange(self.classes), self.counts)

    @property
    def targets(self) -> Float[Array, "K N"]:
        """One-hot columns."""
        return jnp.asarray(np.eye(self.classes)[:, self.labels])

    @property
    def roots(self) -> Float[Array, "N"]:
        """sqrt(n_k) of the class of every sample."""
        return jnp.asarray(np.sqrt(np.asarray(self.counts, dtype=float))[self.labels])

    @property
    def radius(self) -> Scalar:
        r"""$K\sqrt{E_WE_H}$, the nuclear norm allowed to the class-mean logits."""
        return self.classes * jnp.sqrt(self.energies[0] * self.energies[1])

    def characteristic_scales(self) -> Scales:
        """The energies say how large the factors are, and labels have no unit."""
        return ORDINARY

    def init(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """W and H are uniform on spheres; W' and A have norm `scale`, which the flow keeps and which sets its speed."""
        rows, samples = self.classes, len(self.labels)
        draw = jax.random.normal(key, ((rows + samples) * self.dim,), jnp.float64)
        weights, features = jnp.split(draw, [rows * self.dim])
        unit = [scale * x / jnp.linalg.norm(x) for x in (weights, features)]
        return ChainParams((unit[0].reshape(rows, self.dim),), unit[1].reshape(self.dim, samples), None)

    def factor_pair(self, params: ChainParams) -> tuple[Float[Array, "K d"], Float[Array, "d N"]]:
        """(W, H), which spend their energies in full."""
        (weights,), features = params.weights, jnp.asarray(params.features)
        # So |W|^2 = K E_W, and sum_i |h_i|^2/n_{y_i} = K E_H, whatever W' and A are.
        radii = jnp.sqrt(self.classes * jnp.asarray(self.energies))
        weights = radii[0] * weights / jnp.linalg.norm(weights)
        return weights, radii[1] * features * self.roots[None, :] / jnp.linalg.norm(features)

    def logits(self, params: ChainParams) -> Float[Array, "K N"]:
        """W H, one column per sample."""
        weights, features = self.factor_pair(params)
        return weights @ features

    def objective(self, params: ChainParams) -> Scalar:
        return jnp.mean(self.loss.value(self.logits(params), self.targets))

    def value_terms(self, params: ChainParams) -> Scalar:
        """As for a chain: the loss's terms, and the logits' rounding relative to the terms of the product."""
        weights, features = self.factor_pair(params)
        logits = weights @ features
        # A logit is rounded relative to |W||H|, which moves the loss by its slope.
        slope, size = jnp.abs(self.loss.gradient(logits, self.targets)), jnp.abs(weights) @ jnp.abs(features)
        return jnp.mean(self.loss.value_terms(logits, self.targets) + jnp.sum(slope * size, axis=0))

    def invariants(self, params: ChainParams) -> Float[Array, "K N"]:
        return self.logits(params)

    def gauge_tangents(self, params: ChainParams) -> ChainParams:
        """Rotations between W' and A, and the scalings of either."""
        (weights,), features = params.weights, jnp.asarray(params.features)
        # W' and A count by their directions alone, so that besides the rotations either may be scaled.
        skew = jnp.asarray(skew_basis(self.dim))
        zero = jnp.zeros_like(weights)[None], jnp.zeros_like(features)[None]
        return ChainParams(
            (jnp.concatenate([-weights[None] @ skew, weights[None], zero[0]]),),
            jnp.concatenate([skew @ features[None], zero[1], features[None]]),
            None,
        )

    def lower_bound(self, params: ChainParams) -> Scalar:
        r"""Weak duality: for U with columns in the domain of the conjugate, $G=U/N$ and $\rho=K\sqrt{E_WE_H}$,
        $-\rho\,|G\,\mathrm{diag}(n_{y_i})^{1/2}|_2-\frac1N\sum_i\mathrm{CE}^*(u_i,y_i)$ is at most the minimum.

        Any $|W|^2\le KE_W$ and H within their energies have $|Z\,\mathrm{diag}(n_{y_i})^{-1/2}|_*\le\rho$, so that
        $\langle G,Z\rangle$ is at least minus the first term. U is the loss gradient at `params`, at which the bound is
        tight where `params` is a minimiser; a bound on rounding is subtracted. (Our own form.)
        """
        logits, targets = self.logits(params), self.targets
        dual = self.loss.gradient(logits, targets)
        # U is the loss gradient, moved into the domain of the conjugate against rounding; 0 lies in the domain too.
        dual = self.loss.into_domain(jnp.where(jnp.all(jnp.isfinite(dual)), dual, 0.0), targets)
        samples = dual.shape[1]
        # This is |G diag(n_{y_i})^{1/2}|_2 for G = U/N, rounded up.
        norm = jnp.linalg.norm(dual * self.roots[None, :] / samples, ord=2) * (1.0 + 8 * sum(dual.shape) * EPS)

        def value(shrink: float) -> Scalar:
            # At a multiple of U the dual value is -mean CE*(u_i, y_i) - rho |G diag(n_{y_i})^{1/2}|_2, less its rounding.
            conjugate, terms = (f(shrink * dual, targets) for f in (self.loss.conjugate, self.loss.conjugate_terms))
            price = shrink * self.radius * norm
            rounding = 8 * (self.classes + samples**0.5) * EPS * (jnp.mean(terms) + price)
            return -jnp.mean(conjugate) - price - rounding

        # Zero is a bound whatever the point: cross-entropy is positive.
        return jnp.maximum(jnp.max(jnp.stack([value(shrink) for shrink in SHRINKS])), 0.0)


def _energy(name: str, value: float | Scalar) -> Array:
    """A positive finite scalar as an array leaf; tracers pass."""
    leaf = jnp.asarray(value, dtype=jnp.float64)
    if leaf.shape != ():
        raise ValueError(f"{name}: expected a scalar, got shape {leaf.shape}")
    try:
        number = float(leaf)
    except TypeError:  # a tracer
        return leaf
    if not (np.isfinite(number) and number > 0.0):
        raise ValueError(f"{name}: expected a finite positive energy, got {number}")
    return leaf


@float64
def layer_peeled(*, counts: Sequence[int], dim: int, energies: Sequence[float | Scalar]) -> LayerPeeled:
    r"""The layer-peeled model of Fang, He, Long, Su (PNAS 2021; equation number unchecked), without a bias:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ over $\frac1K\sum_k|w_k|^2\le E_W$,
    $\frac1K\sum_k\frac1{n_k}\sum_i|h_{k,i}|^2\le E_H$.

    `counts` (n_1, …, n_K), at least two classes; `dim` d; `energies` (E_W, E_H), both positive. Raises ValueError, naming
    the argument, otherwise.

    >>> model = layer_peeled(counts=(4, 4, 1), dim=3, energies=(1.0, 2.0))
    >>> model.classes, round(float(model.radius), 4)
    (3, 4.2426)
    """
    checked = _counts(counts)
    if len(checked) < 2:
        raise ValueError(f"counts: expected at least two classes, got {len(checked)}")
    if len(energies) != 2:
        raise ValueError(f"energies: expected (E_W, E_H), got {len(energies)} values")
    leaves = [_energy(f"energies[{i}]", energy) for i, energy in enumerate(energies)]
    loss = as_loss("cross_entropy")
    assert isinstance(loss, CrossEntropy)
    return LayerPeeled(counts=checked, dim=whole_number("dim", dim), loss=loss, energies=jnp.stack(leaves))
