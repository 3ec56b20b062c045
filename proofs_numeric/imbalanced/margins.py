"""What the theorems on hard margins share: their prediction, multipliers by quadrature, instances and claims."""

import itertools
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.hypotheses import ANY_COUNTS, DIM_SIMPLEX, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.pool import log_uniform


class HardMargin(NamedTuple):
    """What the theorems say of a hard-margin minimiser."""

    minimum: nct.Minimum
    multipliers: np.ndarray
    """Per column, each row c other than the target's."""
    smallest: np.ndarray
    """The least of them, which the proof needs to be positive."""
    weight_norms: np.ndarray
    """|w_k|^2."""
    feature_norms: np.ndarray
    """|h_k|^2 of the class means."""
    angles: np.ndarray
    """Cosines between the last two classifiers, and between the first and the last."""
    margins: np.ndarray
    """gamma_y (delta_y z_y - delta_c z_c), zero in the row of the target."""
    orthogonal_at: float = np.nan
    """Of STEP imbalance: the ratio of counts at which the minority's classifiers are orthogonal."""


def hard_margin_problem(rng, counts, dim, class_scale=None, label_scale=None, reduced=True):
    """Build the problem with the multipliers of the candidate optimum, and decays of any size and a ratio up to thirty.

    Balanced factors of n samples a class are as unequal as n lambda_H / lambda_W, which makes the flow stiff: at most 300.
    """
    strength, least = 10.0 ** rng.uniform(-2.0, 1.0), max(10.0**-1.5, max(counts) / 300.0)
    ratio = np.sqrt(log_uniform(rng, least, 10.0**1.5))
    unit = nct.closed_form.hard_margin_multipliers(np.asarray(counts, float), class_scale, label_scale)
    return nct.support_vector_features(
        counts=counts,
        dim=dim,
        multipliers=strength * np.asarray(unit),
        class_scale=class_scale,
        label_scale=label_scale,
        weight_decay=(float(strength * ratio), float(strength / ratio)),
        reduced=reduced,
    )


def multipliers_by_quadrature(counts, class_scale, label_scale):
    """Return the multipliers from their integral, which shows their sign; the problem has them from a polar factor."""
    return _integrals(tuple(counts.tolist()), tuple(class_scale.tolist()), tuple(label_scale.tolist()))


@lru_cache(maxsize=256)
def _integrals(*data):
    from scipy.integrate import quad

    counts, class_scale, label_scale = (np.asarray(values) for values in data)
    null, classes = 1.0 / class_scale, len(counts)
    nu = counts / (class_scale * label_scale) ** 2
    out = np.zeros((classes, classes))

    def integrand(s, c, k):  # t = s^2
        shares = np.sum(null**2 / (s**2 + nu))
        return 2.0 / np.pi / ((s**2 + nu[c]) * (s**2 + nu[k]) * shares)

    for c in range(classes):
        for k in range(c):
            pieces = [0.0, np.sqrt(nu.min()), np.sqrt(nu.max())]
            inner = sum(
                quad(integrand, a, b, args=(c, k), epsabs=0.0, epsrel=1e-12)[0]
                for a, b in itertools.pairwise(pieces)
                if b > a
            )
            outer = quad(integrand, pieces[-1], np.inf, args=(c, k), epsabs=0.0, epsrel=1e-12)[0]
            out[c, k] = out[k, c] = (null[c] * null[k]) ** 2 * (inner + outer)
    return out / label_scale[None, :] ** 2


def data_of(problem):
    """Return (counts, class scale, label scale) as NumPy arrays."""
    loss = problem.loss
    return np.asarray(nct.closed_form.class_counts(problem)), np.asarray(loss.class_scale), np.asarray(loss.label_scale)


def describe(problem, minimum):
    """Make a prediction of a `Minimum`, with norms and angles read off its Gram matrices."""
    counts, class_scale, label_scale = data_of(problem)
    targets = np.asarray(problem.targets)
    means = (targets * np.asarray(problem.multiplicity)[None, :] / counts[:, None]).T
    gram, features = np.asarray(minimum.gram_weights), means.T @ np.asarray(minimum.gram_features) @ means
    strength = float(np.sqrt(np.prod(np.asarray(problem.weight_decay))))
    multipliers = strength * multipliers_by_quadrature(counts, class_scale, label_scale)
    return HardMargin(
        minimum=minimum,
        multipliers=multipliers @ targets,
        smallest=multipliers[~np.eye(len(counts), dtype=bool)].min(),
        weight_norms=np.diag(gram),
        feature_norms=np.diag(features),
        angles=np.array([gram[k, -1] / np.sqrt(gram[k, k] * gram[-1, -1]) for k in (-2, 0)]),
        margins=1.0 - targets,
    )


def with_product(problem, means):
    """Return the prediction if the class-mean logits were `means` (K x K), with the value that belongs to them."""
    product = jnp.asarray(means) @ jnp.asarray(problem.targets)
    weighted = product * jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]
    strength = jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay)))
    value = strength * jnp.sum(jnp.linalg.svd(weighted, compute_uv=False))
    prediction = describe(problem, nct.closed_form.minimum_from_product(problem, product, value, None, "wrong"))
    _, class_scale, label_scale = data_of(problem)
    scaled = class_scale[:, None] * np.asarray(means)
    margins = (np.diag(scaled)[None, :] - scaled) * label_scale[None, :]
    return prediction._replace(margins=margins @ np.asarray(problem.targets))


def _class_means(problem, params):
    weights = jnp.asarray(problem.targets) * jnp.asarray(problem.multiplicity)[None, :]
    return params.features @ (weights / jnp.sum(weights, axis=1, keepdims=True)).T


def _implied(problem, params):
    """Return the multipliers that a point implies, for the sum over samples, without clipping at zero."""
    total = jnp.sum(jnp.asarray(problem.multiplicity))
    return problem.loss.unclipped(problem.logits(params), jnp.asarray(problem.targets)) / total


def _implied_terms(problem, params):
    """Measure what cancels in an implied multiplier: the stored one, the penalty, and the penalty times the margin's terms."""
    targets, loss = jnp.asarray(problem.targets), problem.loss
    penalty = jnp.asarray(loss.penalty) @ targets
    sizes = loss.margin_terms(problem.logits(params), targets)
    weights, features = params.weights[0], params.features
    # A logit is a sum of products as large as the norms of its row and its column.
    products = jnp.linalg.norm(weights, axis=1)[:, None] * jnp.linalg.norm(features, axis=0)[None, :]
    return jnp.max(penalty * (1.0 + sizes + loss.margin_terms(products, targets))) / jnp.sum(
        jnp.asarray(problem.multiplicity)
    )


def _smallest(problem, params):
    return jnp.min(jnp.where(jnp.asarray(problem.targets) > 0, jnp.inf, _implied(problem, params)))


def _angles(problem, params):
    weights = params.weights[0]
    gram = weights @ weights.T
    return jnp.stack([gram[k, -1] / jnp.sqrt(gram[k, k] * gram[-1, -1]) for k in (-2, 0)])


HYPOTHESES = (
    nct.Hypothesis(
        "hard margins, by their augmented Lagrangian", lambda i: nct.losses.is_loss(i.problem.loss, "margin_penalty")
    ),
    FREE_FEATURES,
    DIM_SIMPLEX,
    ANY_COUNTS,
    POSITIVE_DECAYS,
    NO_BIAS,
)


CLAIMS = (
    nct.GlobalValue("value", r"\min f", lambda p: p.minimum.value),
    nct.Equality(
        "logits",
        "WH",
        lambda problem, x: problem.product(x),
        lambda p: p.minimum.logits,
    ),
    nct.Equality(
        "margins",
        r"\gamma_y(\delta_yz_y-\delta_cz_c)=1",
        lambda problem, x: problem.loss.margins(problem.logits(x), jnp.asarray(problem.targets)),
        lambda p: p.margins,
    ),
    nct.Equality(
        "multipliers",
        "a_{ck}",
        _implied,
        lambda p: p.multipliers,
        terms=_implied_terms,
    ),
    nct.Equality(
        "smallest multiplier",
        r"\min_{c\ne k}a_{ck}>0",
        _smallest,
        lambda p: p.smallest,
        terms=_implied_terms,
        moves_like=_implied,
    ),
    nct.Equality(
        "gram_weights",
        r"WW^\top",
        lambda problem, x: x.weights[0] @ x.weights[0].T,
        lambda p: p.minimum.gram_weights,
    ),
    nct.Equality(
        "gram_features",
        r"H^\top H",
        lambda problem, x: x.features.T @ x.features,
        lambda p: p.minimum.gram_features,
    ),
    nct.Equality(
        "weight_norms",
        r"|w_k|^2",
        lambda problem, x: jnp.sum(x.weights[0] ** 2, axis=1),
        lambda p: p.weight_norms,
    ),
    nct.Equality(
        "feature_norms",
        r"|h_k|^2",
        lambda problem, x: jnp.sum(_class_means(problem, x) ** 2, axis=0),
        lambda p: p.feature_norms,
    ),
    nct.Equality(
        "angles",
        r"\cos(w_{K-1},w_K),\;\cos(w_1,w_K)",
        _angles,
        lambda p: p.angles,
    ),
)


def margin_controls(predict):
    """Build the wrong versions of the claims that no wrong formula of a theorem need touch: all by a relative 1e-6."""

    def heavier(problem):
        found = predict(problem)
        minimum = found.minimum
        return found._replace(
            minimum=minimum._replace(
                gram_weights=(1 - 1e-6) * minimum.gram_weights, gram_features=(1 + 1e-6) * minimum.gram_features
            ),
            weight_norms=(1 - 1e-6) * found.weight_norms,
            feature_norms=(1 + 1e-6) * found.feature_norms,
        )

    def priced(problem):
        found = predict(problem)
        return found._replace(
            multipliers=(1 + 1e-6) * found.multipliers,
            smallest=(1 + 1e-6) * found.smallest,
            angles=(1 + 1e-6) * found.angles,
            margins=(1 + 1e-6) * found.margins,
        )

    return (
        nct.Control(
            "a decay 1e-6 off",
            "W W^T and |w_k|^2 smaller, H^T H and |h_k|^2 larger by a relative 1e-6",
            heavier,
            ("gram_weights", "gram_features", "weight_norms", "feature_norms"),
        ),
        nct.Control(
            "multipliers 1e-6 off",
            "multipliers, angles and margins larger by a relative 1e-6",
            priced,
            ("multipliers", "smallest multiplier", "angles", "margins"),
        ),
    )
