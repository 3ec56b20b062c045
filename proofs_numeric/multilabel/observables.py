"""What is observed of features with several tags: logits, bias, and how features lie to the sums over their tags."""

import jax.numpy as jnp

import nctheory as nct


def centred_logits(problem, params):
    """Take the constant of each column, which the loss ignores, from the logits."""
    logits = problem.logits(params)
    return logits - jnp.mean(logits, axis=0, keepdims=True)


def centred_bias(problem, params):
    """Return b, without its mean where that is free."""
    if params.bias is None:
        return jnp.zeros(problem.classes)
    return params.bias - jnp.where(jnp.asarray(problem.bias_decay) == 0.0, jnp.mean(params.bias), 0.0)


def tag_sums(problem, params, first=1.0):
    """Sum the rows of W over the tags of every sample, that of the first class with a weight: d x N."""
    weights = jnp.where(jnp.arange(problem.classes) == 0, first, 1.0)
    return params.weights[0].T @ (weights[:, None] * jnp.asarray(problem.targets))


def off_tag_sum(problem, params, first=1.0):
    """Return |v|^2 h - <h, v> v for every sample, v the sum over its tags; it is zero where they are parallel."""
    v, h = tag_sums(problem, params, first), params.features
    return jnp.sum(v**2, axis=0)[None, :] * h - jnp.sum(v * h, axis=0)[None, :] * v


def off_weighted_sum(problem, params):
    """Return the same with the first class's row of W larger by a relative 1e-6."""
    return off_tag_sum(problem, params, first=1 + 1e-6)


def size_of_tag_sums(problem, params):
    """Return the Frobenius norm of |v|^2 h."""
    v, h = tag_sums(problem, params), params.features
    return jnp.sqrt(jnp.sum(jnp.sum(v**2, axis=0) ** 2 * jnp.sum(h**2, axis=0)))


def logit_column(problem, params):
    """Return |W||H|/sqrt N, the size of a typical column of the logits."""
    columns = params.features.shape[1]
    return jnp.sqrt(jnp.sum(params.weights[0] ** 2) * jnp.sum(params.features**2) / columns)


def tag_direction(observe, statement):
    """Claim that features are parallel to the sums over their tags, by an observable that then vanishes."""
    return nct.Equality("tag_direction", statement, observe, lambda p: jnp.zeros(()), size=size_of_tag_sums)
