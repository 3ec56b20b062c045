"""What the theorem on imbalanced cross-entropy predicts, its thresholds, and the wrong versions of it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.imbalanced.groups import means_onset, means_onset_claim, minority_collapse, zero_onset


class Prediction(NamedTuple):
    """What the theorem says, as vectors over the groups of at least two classes where not said otherwise."""

    minimum: nct.Minimum
    means: Any
    separation: Any
    weight_gaps: Any
    feature_gaps: Any
    regulariser: Any
    merged_at: float
    """N lambda at which the least group merges."""
    means_at: float
    """N lambda at which all group means vanish."""
    zero_at: float
    """N lambda at which the minimiser becomes zero."""


def predict_with(strength=None, separation_of=None, shrink=None, merged_at=np.sqrt):
    """State the theorem; `strength` replaces lambda, `separation_of` the rule for p_own - p_other, `shrink` edits `Grouped`.

    `merged_at` is the N lambda at which a group of classes of n samples merges.
    """

    def predict(problem):
        sizes, counts = nct.closed_form.count_groups(problem.counts)
        total = sum(problem.counts)
        true = nct.closed_form.decay_strength(problem)
        lam = true if strength is None else strength(problem)
        minimum = nct.closed_form.imbalanced_cross_entropy_minimum(problem)
        found = nct.closed_form.grouped_cross_entropy(sizes, [float(n) for n in counts], lam)
        if shrink is not None:
            found = shrink(found, total * true, np.asarray(counts))
        if strength is not None or shrink is not None:
            labels = np.repeat(np.arange(problem.classes), problem.counts)
            product = np.asarray(found.logits(sizes))[:, labels]
            minimum = nct.closed_form.minimum_from_product(problem, product, found.value, None, "hong-ling-ce")
        n, more = np.asarray(counts, dtype=float), np.asarray(sizes) > 1
        rule = separation_of or (lambda strength, n: jnp.maximum(1 - strength / jnp.sqrt(n), 0.0))
        ratio = jnp.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
        scale = ratio * np.sqrt(n)
        return Prediction(
            minimum=minimum,
            means=found.means,
            separation=rule(total * lam, n)[more],
            weight_gaps=(2 * scale * found.gaps)[more],
            feature_gaps=(2 * found.gaps / scale)[more],
            regulariser=lam * found.norm,
            merged_at=float(merged_at(n[-1])),
            means_at=means_at(problem.counts),
            zero_at=zero_onset(problem.counts, problem.counts),
        )

    return predict


def means_at(counts):
    """Return the further threshold where there is one, else NaN."""
    two = len(set(counts)) == 2 and counts.count(max(counts)) > 1
    return means_onset(counts, counts) if two else np.nan


def moved(factor):
    """Let groups collapse when N lambda reaches `factor` sqrt(n_g)."""
    return lambda strength, n: jnp.where(strength < factor * jnp.sqrt(n), 1 - strength / jnp.sqrt(n), 0.0)


def merged_early(found, strength, counts):
    """Set gaps to zero already for N lambda >= 0.97 sqrt(n_g)."""
    return found._replace(gaps=np.where(strength < 0.97 * np.sqrt(counts), found.gaps, 0.0))


def means_merged(found, strength, counts):
    """Set group means to zero as soon as the minority has collapsed."""
    return found._replace(means=np.where(strength < np.sqrt(counts[-1]), found.means, 0.0))


def zero_early(factor):
    """Predict the zero solution from `factor` times the true threshold on."""

    def predict(problem):
        prediction = predict_with()(problem)
        total = sum(problem.counts) * nct.closed_form.decay_strength(problem)
        if total < factor * zero_onset(problem.counts, problem.counts):
            return prediction
        return jax.tree.map(lambda x: 0.0 * x if isinstance(x, np.ndarray | jax.Array) else x, prediction)

    return predict


def etf(problem):
    """Predict a W W^T that is a simplex ETF of the right trace."""
    prediction = predict_with()(problem)
    frame = np.asarray(nct.closed_form.simplex_etf(problem.classes)) / (problem.classes - 1)
    gram = frame * np.trace(prediction.minimum.gram_weights)
    return prediction._replace(minimum=prediction.minimum._replace(gram_weights=gram))


def arithmetic(problem):
    """Return (lambda_W + lambda_H)/2 in the place of the geometric mean."""
    return 0.5 * jnp.sum(jnp.asarray(problem.weight_decay))


def at_strength(problem, strength):
    """Return the problem with N lambda = `strength` and the same ratio of the decays."""
    factor = strength / (sum(problem.counts) * nct.closed_form.decay_strength(problem))
    return dataclasses.replace(problem, weight_decay=np.asarray(factor * problem.weight_decay))


def logit_size(problem, params):
    """Return |W H|."""
    return jnp.linalg.norm(problem.product(params))


def far_around(problem):
    """Name strengths on either side of every threshold."""
    return 0.1, 2.0 * float(np.sqrt(sum(problem.counts)))


def thresholds(factor=1.0):
    """Make the claims about the three thresholds, each multiplied by `factor`."""
    return (
        minority_collapse(
            r"p_{own}=p_{other}\iff N\lambda\ge\sqrt{n_{min}}", at_strength, lambda p: factor * p.merged_at, far_around
        ),
        means_onset_claim(r"\text{group means vanish}", at_strength, lambda p: factor * p.means_at, far_around),
        nct.Threshold(
            "zero",
            r"WH=0\iff N\lambda\ge|(11^\top/K-I)D^{1/2}|_2",
            at_strength,
            logit_size,
            lambda p: factor * p.zero_at,
            far_around,
        ),
    )
