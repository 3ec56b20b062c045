"""Groups of classes of equal size: what is observed of them at an end state, and thresholds by scalar equations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct


def factor_pair(problem, params):
    """Return (W, H) of an unconstrained-feature model on full samples, or of a layer-peeled one."""
    if isinstance(problem, nct.problems.LayerPeeled):
        return problem.factor_pair(params)
    return params.weights[0], params.features


def membership(counts):
    """Return the matrix, samples by classes, that averages over each class: 1/n_k where the sample is of the class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return jnp.asarray(np.eye(len(counts))[labels] / np.asarray(counts, dtype=float)[None, :])


def averages(counts):
    """Return the matrix, groups by classes, that averages over each group: 1/K_g where the class is in the group."""
    values = nct.closed_form.count_groups(counts)[1]
    rows = np.asarray(counts)[None, :] == np.asarray(values)[:, None]
    return jnp.asarray(rows / rows.sum(axis=1, keepdims=True))


def class_mean_logits(problem, params):
    """Return W times the class means of H, K x K."""
    weights, features = factor_pair(problem, params)
    return weights @ (features @ membership(problem.counts))


def feature_norm(problem, params):
    """Return |H|."""
    return jnp.linalg.norm(factor_pair(problem, params)[1])


def within_class(scale=1.0):
    """Claim that every feature is `scale` times its class mean."""

    def residual(problem, params):
        _, features = factor_pair(problem, params)
        labels = np.repeat(np.arange(problem.classes), problem.counts)
        return features - scale * (features @ membership(problem.counts))[:, labels]

    return nct.Equality(
        "within_class", r"h_i-\bar h_{y_i}=0", residual, lambda p: jnp.zeros(()), terms=feature_norm, size=feature_norm
    )


def block_average(problem, params):
    """Return the average of the class-mean logits over the permutations of classes within groups."""
    logits, mean = class_mean_logits(problem, params), averages(problem.counts)
    member = (mean > 0).astype(float)
    size, diagonal, eye = jnp.sum(member, axis=1), mean @ jnp.diagonal(logits), jnp.eye(mean.shape[0])
    sums = member @ logits @ member.T - eye * (size * diagonal)[None, :]
    number = size[:, None] * size[None, :] - eye * size[None, :]
    others = member.T @ (sums / jnp.where(number > 0, number, 1.0)) @ member
    unit = jnp.eye(problem.classes)
    return (1.0 - unit) * others + unit * (member.T @ diagonal)[None, :]


def blocks(scale=1.0):
    """Claim that the class-mean logits are `scale` times their average over permutations within groups."""
    return nct.Equality(
        "blocks",
        r"\bar Z-\text{its group average}=0",
        lambda problem, params: class_mean_logits(problem, params) - scale * block_average(problem, params),
        lambda p: jnp.zeros(()),
        terms=logit_terms,
        size=logit_terms,
    )


def group_means(problem, params):
    """Return the mean logits of the classes of each group on the samples of each group."""
    mean = averages(problem.counts)
    return mean @ class_mean_logits(problem, params) @ mean.T


def _differences(problem, own, other):
    """Return the mean of `own` over a group minus that of `other` over its pairs, for groups of at least two classes."""
    mean = averages(problem.counts)
    member = (mean > 0).astype(float)
    size = np.asarray(nct.closed_form.count_groups(problem.counts)[0])
    pairs = jnp.einsum("gk,kl,gl->g", member, other - jnp.diag(jnp.diagonal(other)), member)
    return (mean @ own - pairs / np.maximum(size * (size - 1.0), 1.0))[size > 1]


def separation(problem, params):
    """Return p_own - p_other in every group of at least two classes, by the softmax of the class-mean logits."""
    p = jax.nn.softmax(class_mean_logits(problem, params), axis=0)
    return _differences(problem, jnp.diagonal(p), p)


def weight_gaps(problem, params):
    """Return the mean of |w_k - w_l|^2 over the pairs of a group."""
    weights, _ = factor_pair(problem, params)
    gram = weights @ weights.T
    return 2.0 * _differences(problem, jnp.diagonal(gram), gram)


def feature_gaps(problem, params):
    """Return the mean of |mean h_k - mean h_l|^2 over the pairs of a group."""
    _, features = factor_pair(problem, params)
    means = features @ membership(problem.counts)
    gram = means.T @ means
    return 2.0 * _differences(problem, jnp.diagonal(gram), gram)


def weight_terms(problem, params):
    """Measure what cancels in `weight_gaps`."""
    return jnp.sum(factor_pair(problem, params)[0] ** 2)


def feature_terms(problem, params):
    """Measure what cancels in `feature_gaps`."""
    return jnp.sum((factor_pair(problem, params)[1] @ membership(problem.counts)) ** 2)


def logit_terms(problem, params):
    """Measure what cancels in the logits and their means."""
    weights, features = factor_pair(problem, params)
    return jnp.linalg.norm(weights) * jnp.linalg.norm(features @ membership(problem.counts))


def probability_terms(problem, params):
    """Measure what cancels in `separation`: numbers of order 1."""
    return jnp.ones(())


def bracketed_root(function, low, high):
    """Return the root between two points of opposite sign, to rounding."""
    from scipy.optimize import brentq

    root: Any = brentq(function, low, high, xtol=1e-15, rtol=np.float64(1e-15))
    return float(root)


def zero_onset(counts, multiplicity):
    """Return the N lambda from which on zero is the minimiser: the spectral norm of (11^T/K - I) diag(n_k/sqrt(m_k))."""
    scale = np.asarray(counts, dtype=float) / np.sqrt(multiplicity)
    return float(np.linalg.norm((np.eye(len(counts)) - 1 / len(counts)) * scale[None, :], ord=2))


def means_onset(counts, multiplicity):
    """Return the N lambda from which on all group means are zero, where gaps within the majority may remain.

    With all means zero the gaps obey scalar equations, and zero means are optimal iff the spectral norm of the gradient in
    them is at most the decay.
    """
    sizes, values = (np.asarray(x, dtype=float) for x in nct.closed_form.count_groups(counts))
    order = [list(counts).index(int(n)) for n in values]
    scale = values / np.sqrt(np.asarray(multiplicity, dtype=float)[order])

    def excess(strength):
        masses = np.outer(sizes, np.ones(sizes.size)) / sizes.sum()
        for g, k in enumerate(sizes):
            wanted = 1 - strength / scale[g]
            if k > 1 and wanted > 0:
                gap = bracketed_root(lambda x, k=k, w=wanted: separation_at_gap(x, k, sizes.sum()) - w, 0.0, 200.0)
                column = sizes * np.exp(gap / k)
                column[g] = np.exp(gap) + k - 1
                masses[:, g] = column / column.sum()
        gradient = (masses - np.eye(sizes.size)) * np.sqrt(sizes)[None, :] / np.sqrt(sizes)[:, None]
        return np.linalg.norm(gradient * scale[None, :], ord=2) - strength

    return bracketed_root(excess, 1e-2 * scale.min(), scale.max())


def separation_at_gap(gap, size, classes):
    """Return p_own - p_other of a group of `size` classes with that gap, when all group means are zero."""
    return -np.expm1(-gap) / (1 + (size - 1) * np.exp(-gap) + (classes - size) * np.exp(gap / size - gap))


def has_pairs(instance):
    """Tell whether some group has at least two classes."""
    return len(set(instance.problem.counts)) < len(instance.problem.counts)


def minority_pairs(instance):
    """Tell whether the classes of the least count are at least two."""
    return instance.problem.counts.count(min(instance.problem.counts)) > 1


def majority_pairs(instance):
    """Tell whether the classes of the largest count are at least two."""
    return instance.problem.counts.count(max(instance.problem.counts)) > 1


def has_further_onset(instance):
    """Tell whether there are two groups and two classes in the majority: group means vanish before these merge."""
    counts = instance.problem.counts
    return len(set(counts)) == 2 and counts.count(max(counts)) > 1


def minority_separation(problem, params):
    """Return p_own - p_other in the group of the least count."""
    return separation(problem, params)[-1]


def largest_mean(problem, params):
    """Return the largest entry of the group means."""
    return jnp.max(jnp.abs(group_means(problem, params)))


def minority_collapse(statement, at, predicted, between, applies=minority_pairs):
    """Claim that the least group merges at a predicted value of the parameter of `at`."""
    return nct.Threshold("minority collapse", statement, at, minority_separation, predicted, between, applies=applies)


def means_onset_claim(statement, at, predicted, between):
    """Claim that all group means vanish at a predicted value of the parameter of `at`."""
    return nct.Threshold("means vanish", statement, at, largest_mean, predicted, between, applies=has_further_onset)


def group_claims(rule):
    """Make the claims of both models on blocks, for predictions with means, separation, weight_gaps and feature_gaps."""
    return (
        within_class(),
        blocks(),
        nct.Equality(
            "group_means",
            r"\text{group means of }\bar Z",
            group_means,
            lambda p: p.means,
            terms=logit_terms,
            size=logit_terms,
        ),
        nct.Equality(
            "separation", rule, separation, lambda p: p.separation, terms=probability_terms, applies=has_pairs
        ),
        nct.Equality(
            "weight_gaps", r"|w_k-w_l|^2", weight_gaps, lambda p: p.weight_gaps, terms=weight_terms, applies=has_pairs
        ),
        nct.Equality(
            "feature_gaps",
            r"|\bar h_k-\bar h_l|^2",
            feature_gaps,
            lambda p: p.feature_gaps,
            terms=feature_terms,
            applies=has_pairs,
        ),
    )


def group_controls():
    """Build wrong versions of what vanishes by symmetry: class means and block averages larger by a relative 1e-6."""
    versions = (within_class(1.0 + 1e-6), blocks(1.0 + 1e-6))
    return (nct.Control("averages 1e-6 off", "class means and block averages larger by 1e-6", versions=versions),)
