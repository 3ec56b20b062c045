"""The features before every layer of a linear network: how they vary within classes, and how class means differ."""

import jax.numpy as jnp
import numpy as np


def balanced_labels(instance):
    """Tell whether the targets are one-hot, with as many samples of each class, two at least."""
    targets = np.asarray(instance.problem.targets)
    counts = targets.sum(axis=1)
    return set(np.unique(targets)) == {0.0, 1.0} and np.ptp(counts) == 0 and counts[0] >= 2


def members(problem):
    """Return the indicators of the classes: samples x classes, 1 where a sample is of a class."""
    return jnp.asarray(problem.targets).T


def features_by_layer(problem, params):
    """List the features before every layer, the inputs first."""
    features = [jnp.asarray(problem.inputs)]
    for weight in params.weights[:-1]:
        features.append(weight @ features[-1])
    return features


def compression(problem, params, start):
    """Return C_l = tr Sigma_W / tr Sigma_B of the features before each layer."""
    of = members(problem)
    counts = jnp.sum(of, axis=0)
    ratios = []
    for features in features_by_layer(problem, params):
        means = features @ of / counts[None, :]
        within = jnp.sum((features - means @ of.T) ** 2)
        centred = means - jnp.mean(means, axis=1, keepdims=True)
        ratios.append(within / jnp.sum(counts * jnp.sum(centred**2, axis=0)))
    return jnp.stack(ratios)


def discrimination(problem, params, start):
    """Return D_l = 1 - the largest cosine of two class means, of the features before each layer."""
    of = members(problem)
    found = []
    for features in features_by_layer(problem, params):
        means = features @ of
        means = means / jnp.sqrt(jnp.sum(means**2, axis=0, keepdims=True))
        found.append(1.0 - jnp.max(means.T @ means - 2.0 * jnp.eye(of.shape[1])))
    return jnp.stack(found)
