"""What is observed of a model with several labels a sample, and which instances claims and controls speak of."""

from math import comb

import jax.numpy as jnp
import numpy as np

import nctheory as nct


def centred_logits(problem, params):
    """Logits without the constant of each column, which the loss ignores."""
    logits = problem.logits(params)
    return logits - jnp.mean(logits, axis=0, keepdims=True)


def centred_bias(problem, params):
    """b, without its mean where that is free."""
    if params.bias is None:
        return jnp.zeros(problem.classes)
    return params.bias - jnp.where(jnp.asarray(problem.bias_decay) == 0.0, jnp.mean(params.bias), 0.0)


def tag_sums(problem, params, first=1.0):
    """Of every sample the sum of its tags' rows of W, that of the first class with a weight: d x N."""
    weights = jnp.where(jnp.arange(problem.classes) == 0, first, 1.0)
    return params.weights[0].T @ (weights[:, None] * jnp.asarray(problem.targets))


def off_tag_sum(problem, params, first=1.0):
    """|v|^2 h - <h, v> v for every sample, v the sum over its tags; zero where they are parallel."""
    v, h = tag_sums(problem, params, first), params.features
    return jnp.sum(v**2, axis=0)[None, :] * h - jnp.sum(v * h, axis=0)[None, :] * v


def off_weighted_sum(problem, params):
    """The same with the first class's row of W larger by a relative 1e-6."""
    return off_tag_sum(problem, params, first=1 + 1e-6)


def size_of_tag_sums(problem, params):
    """The Frobenius norm of |v|^2 h."""
    v, h = tag_sums(problem, params), params.features
    return jnp.sqrt(jnp.sum(jnp.sum(v**2, axis=0) ** 2 * jnp.sum(h**2, axis=0)))


def logit_column(problem, params):
    """|W||H|/sqrt N, a typical column of the logits."""
    columns = params.features.shape[1]
    return jnp.sqrt(jnp.sum(params.weights[0] ** 2) * jnp.sum(params.features**2) / columns)


def tag_direction(observe, statement):
    """The claim that features are parallel to the sums over their tags, by an observable that then vanishes."""
    return nct.Equality("tag_direction", statement, observe, lambda p: jnp.zeros(()), size=size_of_tag_sums)


def balanced_tags(one):
    """Whether for every m that occurs all sets of m tags occur equally often, and 1 <= m < K."""
    targets = np.asarray(one.problem.targets)
    classes, sizes = targets.shape[0], targets.sum(axis=0)
    if not np.all((sizes >= 1) & (sizes < classes)):
        return False
    for m in np.unique(sizes):
        _, often = np.unique(targets[:, sizes == m], axis=1, return_counts=True)
        if often.size != comb(classes, int(m)) or np.ptp(often) > 0:
            return False
    return True


def has_bias(one):
    """Whether there is a bias."""
    return one.problem.bias_decay is not None


def near(above):
    """Instances within 3 % of the onset, on one side."""
    return lambda instance: (
        abs(instance.parameters["relative"] - 1) < 0.04 and above == (instance.parameters["relative"] > 1)
    )


def several(instance):
    """More than one multiplicity, and not zero."""
    return instance.parameters["multiplicities"] > 1 and instance.parameters["relative"] < 1


def more_than_one_tag(instance):
    """Whether some sample has more than one tag, and the minimiser is not zero."""
    return instance.parameters["relative"] < 1 and instance.parameters["most tags"] > 1
