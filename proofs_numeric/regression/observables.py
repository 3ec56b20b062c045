"""What is observed of a model with real targets, and which instances claims and controls speak of."""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.regression.targets import moments, strength


def alignment(problem, params, factor=1.0):
    """H - sqrt(lambda_W/lambda_H) W^T Sigma^(-1/2) (Y - mean)."""
    decay, samples = jnp.asarray(problem.weight_decay), problem.targets.shape[1]
    scale = factor * jnp.sqrt(decay[0] / (samples * decay[1]))
    return params.features - scale * params.weights[0].T @ moments(problem).white


def off_alignment(problem, params):
    """The same with the scale larger by a relative 1e-6."""
    return alignment(problem, params, 1 + 1e-6)


def feature_size(problem, params):
    """|H|."""
    return jnp.sqrt(jnp.sum(params.features**2))


def alignment_claim(observe):
    """H = sqrt(lambda_W/lambda_H) W^T Sigma^(-1/2) (Y - mean), by an observable that then vanishes."""
    statement = r"H-\sqrt{\lambda_W/\lambda_H}W^\top\Sigma^{-1/2}(Y-\bar Y)=0"
    return nct.Equality("alignment", statement, observe, lambda p: jnp.zeros(()), size=feature_size)


def norm_balance(problem, params, factor=1.0):
    """lambda_H |H|^2 - M lambda_W |W|^2 over M."""
    decay = jnp.asarray(problem.weight_decay)
    return decay[1] * jnp.sum(params.features**2) - factor * decay[0] * jnp.sum(params.weights[0] ** 2)


def off_balance(problem, params):
    """The same with lambda_W larger by a relative 1e-6."""
    return norm_balance(problem, params, 1 + 1e-6)


def decayed_size(problem, params):
    """lambda_H |H|^2 / M."""
    return jnp.asarray(problem.weight_decay)[1] * jnp.sum(params.features**2)


def balance_claim(observe):
    """The balance of the two norms at critical points, by an observable that then vanishes."""
    statement = r"\lambda_H|H|^2=M\lambda_W|W|^2"
    zero = lambda p: jnp.zeros(())  # noqa: E731
    return nct.Equality("norm_balance", statement, observe, zero, "critical points", size=decayed_size)


def at_product(problem, c):
    """The problem with lambda_W lambda_H = c in the paper's sense, of the same ratio."""
    return dataclasses.replace(
        problem, weight_decay=np.asarray(np.sqrt(c / float(strength(problem))) * problem.weight_decay)
    )


def direction_claim(name, statement, index, applies):
    """The claim that one direction of Sigma, counted from the largest or the smallest, is off exactly from c = lambda_j on."""

    def size_along(problem, params):
        return jnp.linalg.norm(moments(problem).vectors[:, index] @ problem.product(params))

    def around(problem):
        eigenvalue = float(moments(problem).eigenvalues[index])
        return 0.15 * eigenvalue, 6.0 * eigenvalue

    return nct.Threshold(
        name, statement, at_product, size_along, lambda p: p.thresholds[index], around, applies=applies
    )


def collapse_measures(problem, params):
    """NRC1, NRC2 and NRC3, which are relative errors."""
    found, weights, features = moments(problem), params.weights[0], params.features
    covariance = (found.vectors * found.eigenvalues[None, :]) @ found.vectors.T
    measures = (
        nct.measures.principal_subspace_error(features, problem.classes),
        nct.measures.weight_subspace_error(weights, features),
        nct.measures.regression_gram_distance(weights, covariance, strength(problem)),
    )
    return jnp.stack(measures)


def middle(instance):
    """Whether some but not all directions are on."""
    return instance.parameters["regime"].startswith("middle")


def all_on(instance):
    """Whether all directions are on."""
    return instance.parameters["regime"].startswith("c < min")


def several_on(instance):
    """Whether all directions are on, and there are two or more."""
    return all_on(instance) and instance.problem.classes > 1


def near(instance):
    """Whether c is within 3 % of an eigenvalue."""
    return instance.parameters["regime"].endswith("near")
