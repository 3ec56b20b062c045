"""Multi-label classification with the pick-all-label loss: a simplex ETF, and features that are scaled sums over tags."""

from contextlib import suppress
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._decays import root_of_product, root_of_ratio
from nctheory.closed_form._geometry import simplex_etf
from nctheory.closed_form._minimum import Minimum, NoClosedForm, closed_form
from nctheory.closed_form._require import require
from nctheory.engine import Array, Scalar, bisect, float64, shown
from nctheory.problems import DeepLinear

BISECTIONS = 80


@shown()
class TagScales(NamedTuple):
    """What the theorem says of each multiplicity m = 1, …, K-1; `scales` are 0 for multiplicities that do not occur."""

    samples: Float[Array, "m"]
    """N_m, the number of samples with m tags."""
    scales: Float[Array, "m"]
    """a_m: the logits of a sample with tags S are a_m (1_S - m/K)."""
    value: Scalar
    """The least value of the objective."""
    onset: Scalar
    """The lambda = sqrt(lambda_W lambda_H) from which on the minimiser is zero."""


@float64
def tag_scales(problem: DeepLinear) -> TagScales:
    r"""The logit scales $a_m$ at the minimum, from the convex program below.

    $$\min_a\sum_m\tfrac{N_m}Nm\log(m+(K-m)e^{-a_m})+\lambda\Big((K-1)\sum_mN_m\tfrac{m(K-m)}Ka_m^2\Big)^{1/2}.$$

    The norm is Euclidean, so that the $a_m$ vanish together, from
    $\lambda=\frac1N(\sum_mN_m\frac{m(K-m)}{K(K-1)})^{1/2}$ on; below it $\mu a_m(me^{a_m}+K-m)=1$ with one $\mu$ for all m.
    Raises NoClosedForm, naming the hypothesis that fails.

    >>> import nctheory as nct
    >>> model = nct.multi_label_features(tags=[{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}], dim=2, weight_decay=(0.1, 0.1))
    >>> found = nct.closed_form.tag_scales(model)
    >>> found.samples.tolist(), bool(found.scales[0] > found.scales[1] > 0)
    ([3.0, 3.0], True)
    """
    decay = jnp.asarray(problem.weight_decay)
    return _solve(jnp.asarray(_samples(problem)), root_of_product(decay), problem.classes)


def _samples(problem: DeepLinear) -> Array:
    """N_m for m = 1, …, K-1, after checking the hypotheses."""
    width = problem.classes - 1, "K-1"
    require(problem, loss="pick_all_label", inputs="free", depth=1, width=width, decay="positive")
    with suppress(jax.errors.TracerArrayConversionError):  # of a tracer the hypothesis is the caller's
        _needs_balance(np.asarray(problem.targets), np.asarray(problem.multiplicity))
    # N_m is the number of columns of m tags, each counted with its multiplicity.
    tags = jnp.sum(jnp.asarray(problem.targets), axis=0)
    has = tags[None, :] == jnp.arange(1.0, problem.classes)[:, None]
    return has.astype(float) @ jnp.asarray(problem.multiplicity)


def _needs_balance(targets: np.ndarray, multiplicity: np.ndarray) -> None:
    """All tag sets of the same size must occur equally often."""
    classes = targets.shape[0]
    # Each distinct tag set has a weight; of each size m that occurs, all binomial(K, m) sets must have the same.
    sets, place = np.unique(targets.T, axis=0, return_inverse=True)
    often = np.bincount(np.ravel(place), weights=multiplicity)
    sizes = sets.sum(axis=1).astype(int)
    for m in np.unique(sizes):
        total = int(np.prod([(classes - i) / (i + 1) for i in range(m)]).round())
        here = often[sizes == m]
        if here.size < total or np.ptp(here) > 0:
            least = here.min() if here.size == total else 0
            raise NoClosedForm(
                f"needs all {total} sets of {m} tags equally often, got from {least:g} to {here.max():g} times"
            )


@partial(jax.jit, static_argnames="classes")
def _solve(samples: Float[Array, "m"], strength: Scalar, classes: int) -> TagScales:
    # The price of a_m^2 under the root is (K-1) N_m m(K-m)/K, and the onset the root of the prices' sum over N(K-1).
    sizes = jnp.arange(1.0, classes)
    total = jnp.sum(samples)
    share = samples / total
    price = (classes - 1) * samples * sizes * (classes - sizes) / classes
    onset = jnp.sqrt(jnp.sum(price)) / (total * (classes - 1))
    active = strength < onset
    # Beyond the onset the search is for nothing; it must only stay finite.
    lam = jnp.where(active, strength, 0.5 * onset)

    def at(log_mu: Array) -> Array:
        """The a_m with mu a (m e^a + K - m) = 1, rising on the left in log a."""

        def missing(log_a: Array) -> Array:
            return -(log_mu + log_a + jnp.logaddexp(jnp.log(sizes) + jnp.exp(log_a), jnp.log(classes - sizes)))

        # In log a, where the left-hand side log mu + log a + log(m e^a + K - m) rises.
        return jnp.exp(bisect(missing, jnp.full(sizes.shape, -60.0), jnp.full(sizes.shape, 5.0), BISECTIONS))

    def missing_norm(log_mu: Array) -> Array:
        """What mu times the norm at the a_m of this mu lacks of its value at the minimum; it rises with mu."""
        norm = jnp.sqrt(jnp.sum(price * at(log_mu) ** 2))
        # At the minimum mu |a| = lambda N (K-1)/K, where |a| is the norm of the program: mu is bisected in its logarithm.
        return lam * total * (classes - 1) / classes - jnp.exp(log_mu) * norm

    found = at(bisect(missing_norm, jnp.full((), -80.0), jnp.full((), 50.0), BISECTIONS))
    # A multiplicity that does not occur has no logits; at or beyond the onset all scales are zero.
    present = samples > 0

    def objective(scales: Array) -> Scalar:
        fit = jnp.sum(share * sizes * jnp.log(sizes + (classes - sizes) * jnp.exp(-scales)))
        return fit + lam * jnp.sqrt(jnp.sum(price * scales**2))

    scales = jnp.where(present, found, 0.0)
    value = jnp.where(active, objective(jnp.where(present, scales, 1.0)), jnp.sum(share * sizes) * jnp.log(classes))
    return TagScales(samples, jnp.where(active, scales, 0.0), value, onset)


@float64
def tag_frame_minimum(
    problem: DeepLinear, samples: Float[Array, "m"], scales: Float[Array, "m"], value: Scalar, theorem: str
) -> Minimum:
    r"""The minimum whose logits are $a_m(1_S-m/K)$ on a sample with tags S, for any scales a_1, …, a_{K-1}.

    $\sum_jz_jz_j^\top=s^2(I-11^\top/K)$ with $s^2=\sum_mN_ma_m^2\frac{m(K-m)}{K(K-1)}$, because all sets of m tags occur
    equally often; the rest is lemma `red-nuclear`.

    >>> import numpy as np
    >>> import nctheory as nct
    >>> tags = [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}]
    >>> model = nct.multi_label_features(tags=tags, classes=3, dim=3, weight_decay=(0.1, 0.1))
    >>> minimum = tag_frame_minimum(model, np.array([3.0, 3.0]), np.array([2.0, 1.0]), 0.5, "scales 2 and 1")
    >>> np.asarray(minimum.logits[:, [0, 3]]).round(3).T.tolist()
    [[1.333, -0.667, -0.667], [0.333, 0.333, -0.667]]
    """
    arrays = _frame(problem, jnp.asarray(samples), jnp.asarray(scales))
    bias = None if problem.bias_decay is None else jnp.zeros(problem.classes)
    return Minimum(value=value, theorem=theorem, bias=bias, **arrays)


@jax.jit
def _frame(problem: DeepLinear, samples: Float[Array, "m"], scales: Float[Array, "m"]) -> dict[str, Array]:
    classes, decay = problem.classes, jnp.asarray(problem.weight_decay)
    sizes = jnp.arange(1.0, classes)
    # All K-1 singular values of the product are s, and W W^T = sqrt(lambda_H/lambda_W) s (I - 11^T/K).
    ratio = root_of_ratio(decay)
    squared = jnp.sum(samples * scales**2 * sizes * (classes - sizes)) / (classes * (classes - 1))
    singular = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
    targets = jnp.asarray(problem.targets)
    tags = jnp.sum(targets, axis=0)
    # The logits of a sample of m tags S are a_m (1_S - m/K).
    own = (tags[:, None] == sizes[None, :]).astype(float) @ scales
    product = own[None, :] * (targets - (tags / classes)[None, :])
    spectrum = jnp.where(jnp.arange(classes) < classes - 1, singular, 0.0)
    root = jnp.where(spectrum > 0, jnp.sqrt(jnp.where(singular > 0, singular, 1.0)), 0.0)
    return {
        "logits": product,
        "product": product,
        "singular_values": spectrum,
        "gram_weights": ratio * singular * simplex_etf(classes),
        "gram_features": product.T @ product / (ratio * jnp.where(singular > 0, singular, 1.0)),
        "weight_norm": ratio * singular * (classes - 1),
        "feature_norm": singular * (classes - 1) / ratio,
        "layer_singular_values": jnp.stack([jnp.sqrt(ratio) * root, root / jnp.sqrt(ratio)]),
    }


@float64
@closed_form("mlab-pal")
def pick_all_minimum(problem: DeepLinear) -> Minimum:
    r"""The pick-all-label loss, all sets of m tags equally often for each m that occurs: $WW^\top=w^2(I-11^\top/K)$ and
    $h_S=C_m\sum_{k\in S}w_k$ with $C_m=a_m/w^2$, b = 0 (constant where it is free), $a_m$ as in `tag_scales`.

    The minimiser is zero altogether from $N^2\lambda_W\lambda_H=\sum_mN_m\frac{m(K-m)}{K(K-1)}$ on. The width must be
    d >= K-1; any bias is covered. With one tag a sample it is balanced cross-entropy.

    Li, Li, Wang, Qu, ICML 2024 (number unchecked), for the geometry; the scalar program and the threshold are our own.

    >>> import nctheory as nct
    >>> model = nct.multi_label_features(tags=[{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}], dim=2, weight_decay=(0.1, 0.1))
    >>> round(float(pick_all_minimum(model).gram_weights[0, 1] / pick_all_minimum(model).gram_weights[0, 0]), 12)
    -0.5
    """
    found = tag_scales(problem)
    return tag_frame_minimum(problem, found.samples, found.scales, found.value, "mlab-pal")
