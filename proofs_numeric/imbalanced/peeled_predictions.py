"""What the theorem on the layer-peeled model predicts, and the wrong versions of it."""

from typing import Any, NamedTuple

import numpy as np

import nctheory as nct
from proofs_numeric.imbalanced.peeled_program import means_energy, program, solve_multiplier, threshold_energy


class Prediction(NamedTuple):
    """What the theorem says; vectors are over the groups of at least two classes."""

    value: Any
    logits: Any
    means: Any
    separation: Any
    weight_gaps: Any
    feature_gaps: Any
    gram_weights: Any
    gram_features: Any
    multiplier: Any
    merged_at: float
    """sqrt(E_W E_H) up to which the minority's classifiers coincide."""
    means_at: float
    """sqrt(E_W E_H) up to which all group means are zero."""


def predict_with(radius_of=None, separation_of=None, edit=None):
    """State the theorem, or other rules for the nuclear norm and for p_own - p_other, or an edited `Grouped`."""

    def predict(problem):
        counts = problem.counts
        sizes, values = (np.asarray(x) for x in nct.closed_form.count_groups(counts))
        radius = float(problem.radius if radius_of is None else radius_of(problem))
        mu = solve_multiplier(counts, radius)
        found = program(counts, mu)
        if edit is not None:
            found = edit(found, problem)
        rule = separation_of or (lambda strength, n, problem: np.maximum(1 - strength / n, 0.0))
        apart, more = np.asarray(rule(mu * sum(counts), values * 1.0, problem)), sizes > 1
        labels = np.repeat(np.arange(len(counts)), counts)
        logits = np.asarray(found.logits(nct.closed_form.count_groups(counts)[0]))
        left, singular, right = np.linalg.svd(logits)
        turn = float(np.sqrt(problem.energies[0] / problem.energies[1]))
        features = (right.T * singular) @ right / turn
        return Prediction(
            value=found.fit,
            logits=logits[:, labels],
            means=found.means,
            separation=apart[more],
            weight_gaps=2 * turn * found.gaps[more],
            feature_gaps=2 / turn * found.gaps[more],
            gram_weights=turn * (left * singular) @ left.T,
            gram_features=features[labels][:, labels],
            multiplier=mu,
            merged_at=threshold_energy(counts),
            means_at=means_energy(counts) if sizes[0] > 1 and len(sizes) == 2 else np.nan,
        )

    return predict


def etf(found, problem):
    """Predict a simplex ETF of the nuclear norm allowed."""
    sizes = np.asarray(nct.closed_form.count_groups(problem.counts)[0], dtype=float)
    scale = float(problem.radius) / (problem.classes - 1)
    means = scale * (np.diag(1 / sizes) - 1 / problem.classes)
    return found._replace(gaps=np.full(sizes.size, scale) * (sizes > 1), means=means)


def merged_late(found, problem):
    """Set the minority's gap to zero up to 1.03 times the threshold energy."""
    energy = float(problem.radius) / problem.classes
    zero = np.array([False] * (found.gaps.size - 1) + [energy < 1.03 * threshold_energy(problem.counts)])
    return found._replace(gaps=np.where(zero, 0.0, found.gaps))


def merged_in_the_limit(found, problem):
    """Set the minority's gap to that of the majority over R: zero only for infinite R."""
    gaps = np.array(found.gaps)
    gaps[-1] = gaps[0] * min(problem.counts) / max(problem.counts)
    return found._replace(gaps=gaps)


def without_limit(strength, n, problem):
    """Continue the formula for p_own - p_other to 0.97 times the threshold energy."""
    near = float(problem.radius) / problem.classes > 0.97 * threshold_energy(problem.counts)
    return 1 - strength / n if near else np.maximum(1 - strength / n, 0.0)


def means_gone(found, problem):
    """Set group means to zero for every merged minority."""
    return found._replace(means=0.0 * found.means)
