"""What the theorem on hard margins under imbalance predicts, and the wrong versions of it."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.imbalanced.margins import describe, with_product


def predict_with(root=np.sqrt, mixed=lambda a, b, r: np.sqrt((r * b + a) / (a + b)), fraction=None):
    """State the theorem; on STEP counts take norms and angles from its table, with singular values by `root` and `mixed`.

    In units of sqrt(n_min): root(R) for differences within the majority (a classes), mixed(a, b, R) between the groups, 1
    within the minority (b classes). `fraction` puts another share of majority classes into the table.
    """

    def predict(problem):
        prediction = describe(problem, nct.closed_form.seli_minimum(problem))
        counts = np.asarray(nct.closed_form.class_counts(problem))
        large, small, classes = counts[0], counts[-1], len(counts)
        a = int(np.sum(counts == large))
        b = classes - a
        if np.sum(counts == small) != b or large == small:
            return prediction
        share_a, share_b = (a, b) if fraction is None else (fraction * classes, (1 - fraction) * classes)
        ratio = large / small
        top, mid = root(ratio), mixed(share_a, share_b, ratio)
        # Squared entries of the direction between the groups, on a majority and on a minority class.
        on_a, on_b = share_b / (classes * share_a), share_a / (classes * share_b)
        unit = np.sqrt(small) * np.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
        weights = [unit * (top * (1 - 1 / share_a) + mid * on_a), unit * ((1 - 1 / share_b) + mid * on_b)]
        turn = 1.0 / unit  # H^T H is the pseudo-inverse of W W^T
        features = [turn * ((1 - 1 / share_a) / top + on_a / mid), turn * ((1 - 1 / share_b) + on_b / mid)]
        within = (-1 / share_b + mid * on_b) / ((1 - 1 / share_b) + mid * on_b) if b > 1 else prediction.angles[0]
        return prediction._replace(
            weight_norms=np.repeat(weights, (a, b)),
            feature_norms=np.repeat(features, (a, b)),
            angles=np.array([within, -unit * mid / classes / np.sqrt(weights[0] * weights[1])]),
            orthogonal_at=orthogonal_at(share_a, share_b),
        )

    return predict


def orthogonal_at(majority, minority):
    """Return the R at which the minority's classifiers are orthogonal: there the singular value between the groups is K/a."""
    classes = majority + minority
    return (classes**3 / majority**2 - majority) / minority


def etf(problem):
    """Predict a simplex ETF of classifiers, of the right total size, whatever the imbalance."""
    prediction = predict_with()(problem)
    gram = np.asarray(nct.closed_form.simplex_etf(problem.classes)) * np.trace(prediction.minimum.gram_weights)
    return prediction._replace(
        minimum=prediction.minimum._replace(gram_weights=gram / (problem.classes - 1)),
        weight_norms=np.full(problem.classes, np.trace(gram) / (problem.classes - 1) / problem.classes),
    )


def minority_collapse(problem):
    """Predict coinciding minority classifiers, all else as it is."""
    prediction = predict_with()(problem)
    return prediction._replace(angles=prediction.angles * np.array([0.0, 1.0]) + np.array([1.0, 0.0]))


def larger_minority_margins(problem):
    """Predict margins that grow as 1/sqrt(n_k), as those of label-dependent temperatures."""
    counts = np.asarray(nct.closed_form.class_counts(problem))
    return with_product(
        problem, nct.closed_form.hard_margin_logits(problem.classes, None, np.sqrt(counts / counts.mean()))
    )


def balanced_multipliers(problem):
    """Predict multipliers as if all classes were as large as the largest: 1/(K sqrt(n_max)) throughout."""
    prediction = predict_with()(problem)
    counts = np.asarray(nct.closed_form.class_counts(problem))
    strength = jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay)))
    equal = strength / (problem.classes * np.sqrt(counts.max()))
    return prediction._replace(smallest=equal, multipliers=equal * (1.0 - np.asarray(problem.targets)))
