"""What the theorem on imbalanced cross-entropy predicts, and the wrong versions of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.imbalanced.groups import means_onset, zero_onset


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
    """The theorem; `strength` replaces N lambda, `separation_of` the rule for p_own - p_other, `shrink` edits `Grouped`.

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
    """The further threshold where there is one, else NaN."""
    two = len(set(counts)) == 2 and counts.count(max(counts)) > 1
    return means_onset(counts, counts) if two else np.nan


def moved(factor):
    """Groups collapse when N lambda reaches `factor` sqrt(n_g)."""
    return lambda strength, n: jnp.where(strength < factor * jnp.sqrt(n), 1 - strength / jnp.sqrt(n), 0.0)


def merged_early(found, strength, counts):
    """Gaps zero already for N lambda >= 0.97 sqrt(n_g)."""
    return found._replace(gaps=np.where(strength < 0.97 * np.sqrt(counts), found.gaps, 0.0))


def means_merged(found, strength, counts):
    """Group means zero as soon as the minority has collapsed."""
    return found._replace(means=np.where(strength < np.sqrt(counts[-1]), found.means, 0.0))


def zero_early(factor):
    """The zero solution from `factor` times the true threshold on."""

    def predict(problem):
        prediction = predict_with()(problem)
        total = sum(problem.counts) * nct.closed_form.decay_strength(problem)
        if total < factor * zero_onset(problem.counts, problem.counts):
            return prediction
        return jax.tree.map(lambda x: 0.0 * x if isinstance(x, np.ndarray | jax.Array) else x, prediction)

    return predict


def etf(problem):
    """W W^T a simplex ETF of the right trace."""
    prediction = predict_with()(problem)
    frame = np.asarray(nct.closed_form.simplex_etf(problem.classes)) / (problem.classes - 1)
    gram = frame * np.trace(prediction.minimum.gram_weights)
    return prediction._replace(minimum=prediction.minimum._replace(gram_weights=gram))


def arithmetic(problem):
    """(lambda_W + lambda_H)/2 in the place of the geometric mean."""
    return 0.5 * jnp.sum(jnp.asarray(problem.weight_decay))
