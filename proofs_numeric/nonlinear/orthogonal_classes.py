"""What cross-entropy with features that are not negative ends at, and wrong versions of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct


def onset(size, classes):
    """Return N lambda at which a class of some size vanishes."""
    return float(np.sqrt(size * (classes - 1) / classes))


class Prediction(NamedTuple):
    """What the theorem says of the minimisers."""

    value: jax.Array
    logits: jax.Array
    gram_features: jax.Array
    gram_weights: jax.Array
    regulariser: jax.Array
    threshold: float
    """N lambda at which the smallest class vanishes."""


def predict_with(strength=None, factor=None, on_until=1.0, same_size=False):
    """State the theorem, or a version with another lambda, another (K-1)/K, or classes on until `on_until` of the onset."""

    def predict(problem):
        counts, classes = np.asarray(problem.counts, dtype=float), problem.classes
        samples = counts.sum()
        lam_w, lam_h = problem.weight_decay[0], problem.weight_decay[1]
        lam = jnp.sqrt(lam_w * lam_h) if strength is None else strength(lam_w, lam_h)
        part = (classes - 1) / classes if factor is None else factor(classes)
        sizes = jnp.full(classes, samples / classes) if same_size else jnp.asarray(counts)
        # 1 - p_k, and the margin m_k of the classes that are on.
        wrong = samples * lam * jnp.sqrt(part / sizes)
        on = wrong < on_until * part
        margin = jnp.where(on, jnp.log((classes - 1) * (1 / jnp.where(on, wrong, 0.5) - 1)), 0.0)
        code = jnp.eye(classes) - 1 / classes
        labels = np.repeat(np.arange(classes), problem.counts)
        root = np.sqrt((classes - 1) / classes)
        lengths = jnp.sqrt(lam_w / (lam_h * counts)) * root * margin
        sides = jnp.sqrt(lam_h * counts / lam_w) / root * margin
        decay = lam * jnp.sum(np.sqrt(counts) * root * margin)
        fit = jnp.sum(counts / samples * jnp.log1p((classes - 1) * jnp.exp(-margin)))
        same = jnp.asarray(labels[:, None] == labels[None, :])
        return Prediction(
            value=fit + decay,
            logits=(code * margin[None, :])[:, labels],
            gram_features=jnp.where(same, lengths[labels][:, None], 0.0),
            gram_weights=(code * sides[None, :]) @ code.T,
            regulariser=decay,
            threshold=on_until * np.sqrt(part * counts.min()),
        )

    return predict


predict = predict_with()


def free_features(problem):
    """State that features may be negative: the minimum of the linear model."""
    linear = nct.unconstrained_features(
        counts=problem.counts, dim=problem.widths[0], loss="cross_entropy", weight_decay=tuple(problem.weight_decay)
    )
    minimum = nct.global_minimum(linear)
    return predict(problem)._replace(value=minimum.value, logits=minimum.logits, gram_features=minimum.gram_features)


def simplex_features(problem):
    """State that features are centred."""
    true = predict(problem)
    labels = np.repeat(np.arange(problem.classes), problem.counts)
    lengths = jnp.sqrt(jnp.diag(true.gram_features))
    centred = (
        (jnp.eye(problem.classes) - 1 / problem.classes)[labels][:, labels] * problem.classes / (problem.classes - 1)
    )
    return true._replace(gram_features=lengths[:, None] * centred * lengths[None, :])


def off_by(relative):
    """State everything larger by a relative error."""
    return lambda problem: jax.tree.map(lambda x: (1 + relative) * x, predict(problem))
