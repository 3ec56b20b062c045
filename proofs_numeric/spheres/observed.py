"""What is observed of classifiers on features of fixed length, and hypotheses that theorems about them share."""

import dataclasses

import numpy as np

import nctheory as nct

DECAYED = nct.Hypothesis(
    "features of fixed length, a decayed classifier, cross-entropy of one-hot labels, no bias",
    lambda i: (
        isinstance(i.problem, nct.problems.SphericalFeatures)
        and i.problem.classifier == "decay"
        and i.problem.loss.name == "cross_entropy"
        and float(getattr(i.problem.loss, "smoothing", 1.0)) == 0.0
        and float(i.problem.size) > 0.0
    ),
)
BALANCED_CLASSES = nct.Hypothesis("balanced classes, K >= 2", lambda i: len(set(i.problem.counts)) == 1)
DIM_OF_SIMPLEX = nct.Hypothesis("d >= K-1, d >= 2", lambda i: i.problem.dim >= max(i.problem.classes - 1, 2))


def logits(problem, params):
    """Return W H, one column per sample."""
    return problem.logits(params)


def gram_weights(problem, params):
    """Return W W^T."""
    weights = problem.factor_pair(params)[0]
    return weights @ weights.T


def gram_features(problem, params):
    """Return H^T H over all samples."""
    features = problem.factor_pair(params)[1]
    return features.T @ features


def at_decay(problem, decay):
    """Return the problem with another decay of the classifier."""
    return dataclasses.replace(problem, size=np.asarray(decay))


def geometry_claims():
    """Claim value, logits and both Gram matrices, for predictions with these fields."""
    return (
        nct.GlobalValue("value", r"\min f", lambda p: p.value),
        nct.Equality("logits", r"WH", logits, lambda p: p.logits),
        nct.Equality("gram_weights", r"WW^\top", gram_weights, lambda p: p.gram_weights),
        nct.Equality("gram_features", r"H^\top H", gram_features, lambda p: p.gram_features),
    )
