"""Energies of unit vectors: functions of their Gram matrix, convex where a certificate is to be had."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.engine import Array, Scalar, as_array, float64, is_traced, whole_number
from nctheory.problems._constructors import _counts
from nctheory.problems._rounding_terms import intermediate_terms

Gram = Float[Array, "m m"]


class Energy(eqx.Module):
    r"""A function F of the Gram matrix $G=UU^\top$ of m unit vectors.

    A user's own energy needs `vectors` and `value`; `convex` True says that F is convex in G, on which the certificate of
    `unit_vectors` rests; of a user's energy that is tested, and `Bound.assumes` says so. Array fields are numbers of the
    energy, so that energies that differ in these share programs.
    """

    convex: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def vectors(self) -> int:
        """m."""

    @abc.abstractmethod
    def value(self, gram: Gram) -> Scalar:
        """F at a symmetric matrix with a unit diagonal."""

    def value_and_gradient(self, gram: Gram) -> tuple[Scalar, Gram]:
        """F and its symmetric gradient C, with dF = <C, dG>."""
        value, slope = jax.value_and_grad(self.value)(gram)
        return value, 0.5 * (slope + slope.T)

    def gradient(self, gram: Gram) -> Gram:
        """C alone."""
        return self.value_and_gradient(gram)[1]

    def terms(self, gram: Gram) -> Scalar:
        r"""The size of what F is computed from: its rounding error is a few $\varepsilon$ times this."""
        inside = intermediate_terms(
            lambda flat: jnp.asarray(self.value(flat.reshape(gram.shape)))[None], gram.reshape(-1, 1)
        )
        return jnp.abs(self.value(gram)) + jnp.sum(jnp.where(jnp.isfinite(inside), inside, 0.0))

    def size(self) -> float | Array:
        """The order of magnitude of a difference of F between points in general position; by default 1."""
        return 1.0


class PairEnergy(Energy):
    r"""$\sum_{i\ne j}e^{\beta(\langle u_i,u_j\rangle-t_0)}$: an absolutely monotone potential of inner products.

    With $\beta\to\infty$ its minimisers are the codes of largest least distance (Tammes).
    """

    convex: ClassVar[bool] = True
    number: int = eqx.field(static=True)
    """m."""
    sharpness: Scalar
    r"""$\beta>0$."""
    origin: Scalar
    """The inner product at which a pair counts 1."""

    @property
    def vectors(self) -> int:
        return self.number

    def value(self, gram: Gram) -> Scalar:
        others = 1.0 - jnp.eye(self.number)
        return jnp.sum(others * jnp.exp(self.sharpness * (gram - self.origin)))

    def size(self) -> float | Array:
        xp: Any = jnp if is_traced(self.sharpness) or is_traced(self.origin) else np
        return self.number * (self.number - 1) * xp.exp(-self.sharpness * self.origin)


class SupervisedContrastive(Energy):
    r"""The supervised contrastive loss of one batch with all its vectors, the mean over anchors i of
    $-\frac1{n_{y_i}-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{e^{g_{ip}/\tau}}{\sum_{a\ne i}e^{g_{ia}/\tau}}$.

    With counts (2, …, 2) it is NT-Xent of m/2 instances with two views. An anchor that is alone in its class has no positive
    and no term of its own; the mean is over all anchors.
    """

    convex: ClassVar[bool] = True
    counts: tuple[int, ...] = eqx.field(static=True)
    """(n_1, …, n_K)."""
    temperature: Scalar
    r"""$\tau>0$."""

    @property
    def vectors(self) -> int:
        return sum(self.counts)

    @property
    def labels(self) -> np.ndarray:
        """The class of every vector."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def value(self, gram: Gram) -> Scalar:
        same = (self.labels[:, None] == self.labels[None, :]) & ~np.eye(self.vectors, dtype=bool)
        positives = same / np.maximum(same.sum(axis=1, keepdims=True), 1)
        # The anchor itself is left out of the sum by a logit of -inf.
        logits = jnp.where(jnp.asarray(np.eye(self.vectors, dtype=bool)), -jnp.inf, gram / self.temperature)
        normaliser = jax.scipy.special.logsumexp(logits, axis=1)
        pulled = jnp.sum(jnp.asarray(positives) * gram, axis=1) / self.temperature
        return jnp.sum(jnp.where(jnp.asarray(same.any(axis=1)), normaliser - pulled, 0.0)) / self.vectors


class TiedCrossEntropy(Energy):
    r"""Cross-entropy whose classifiers are its features, the mean over i of
    $\log(1+\sum_{j\ne i}e^{(\langle u_j,u_i\rangle-1)/\tau})$ (Lu and Steinerberger 2022, equation number unchecked)."""

    convex: ClassVar[bool] = True
    number: int = eqx.field(static=True)
    """m, the number of classes."""
    temperature: Scalar
    r"""$\tau>0$."""

    @property
    def vectors(self) -> int:
        return self.number

    def value(self, gram: Gram) -> Scalar:
        others = 1.0 - jnp.eye(self.number)
        return jnp.mean(jnp.log1p(jnp.sum(others * jnp.exp((gram - 1.0) / self.temperature), axis=1)))


class PairedSigmoid(Energy):
    r"""The sigmoid loss of pairs (SigLIP), $\frac1N\sum_{ij}\log(1+e^{-y_{ij}(t\langle u_i,v_j\rangle+b)})$.

    $y_{ii}=1$ and $y_{ij}=-1$ for $i\ne j$; the first N vectors are the $u_i$, the others the $v_j$.
    """

    convex: ClassVar[bool] = True
    pairs: int = eqx.field(static=True)
    """N."""
    scale: Scalar
    """t > 0, the inverse temperature."""
    bias: Scalar
    """b."""

    @property
    def vectors(self) -> int:
        return 2 * self.pairs

    def value(self, gram: Gram) -> Scalar:
        signs = jnp.asarray(2.0 * np.eye(self.pairs) - 1.0)
        logits = self.scale * gram[: self.pairs, self.pairs :] + self.bias
        return jnp.sum(jax.nn.softplus(-signs * logits)) / self.pairs


def positive(name: str, value: object) -> Array:
    """A positive finite number as an array leaf; tracers pass."""
    try:
        leaf = as_array(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a number, got {value!r}") from error
    if leaf.shape != ():
        raise ValueError(f"{name}: expected a scalar, got shape {leaf.shape}")
    if not is_traced(leaf) and not (np.isfinite(leaf) and leaf > 0.0):
        raise ValueError(f"{name}: expected a finite number above 0, got {leaf}")
    return leaf


def _finite(name: str, value: object) -> Array:
    leaf = as_array(value)
    if leaf.shape != () or not (is_traced(leaf) or np.isfinite(leaf)):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return leaf


@float64
def exponential_energy(*, vectors: int, sharpness: float | Scalar, origin: float | Scalar = 0.0) -> PairEnergy:
    r"""$\sum_{i\ne j}e^{\beta(\langle u_i,u_j\rangle-t_0)}$ over `vectors` unit vectors; `sharpness` is $\beta$, above 0, and
    `origin` $t_0$. Raises ValueError, naming the argument, otherwise.

    >>> import numpy as np
    >>> float(exponential_energy(vectors=2, sharpness=1.0).value(np.eye(2)))
    2.0
    """
    return PairEnergy(
        whole_number("vectors", vectors, least=2), positive("sharpness", sharpness), _finite("origin", origin)
    )


@float64
def supervised_contrastive(*, counts: Sequence[int], temperature: float | Scalar) -> SupervisedContrastive:
    r"""The supervised contrastive loss of one batch with n_k vectors of class k; NT-Xent with counts (2, …, 2).

    Raises ValueError, naming the argument, for counts below 1, no class with two vectors, or a temperature not above 0.

    >>> supervised_contrastive(counts=(2, 2, 2), temperature=0.5).vectors
    6
    """
    checked = _counts(counts)
    if max(checked) < 2:
        raise ValueError(f"counts: expected a class with at least two vectors, which have a positive, got {checked}")
    return SupervisedContrastive(checked, positive("temperature", temperature))


@float64
def tied_cross_entropy(*, classes: int, temperature: float | Scalar = 1.0) -> TiedCrossEntropy:
    r"""The mean over i of $\log(1+\sum_{j\ne i}e^{(\langle u_j,u_i\rangle-1)/\tau})$, one unit vector a class.

    Raises ValueError, naming the argument, for fewer than two classes or a temperature not above 0.

    >>> import numpy as np
    >>> round(float(tied_cross_entropy(classes=2).value(np.eye(2))), 6) == round(float(np.log1p(np.exp(-1.0))), 6)
    True
    """
    return TiedCrossEntropy(whole_number("classes", classes, least=2), positive("temperature", temperature))


@float64
def paired_sigmoid(*, pairs: int, scale: float | Scalar, bias: float | Scalar = 0.0) -> PairedSigmoid:
    r"""The sigmoid loss of N pairs; `scale` is t, above 0, the inverse of a temperature, and `bias` is b, any number.

    Raises ValueError, naming the argument, otherwise.

    >>> paired_sigmoid(pairs=3, scale=2.0).vectors
    6
    """
    return PairedSigmoid(whole_number("pairs", pairs, least=2), positive("scale", scale), _finite("bias", bias))
