"""The statements of regression collapse as claims, and versions of them that are wrong on purpose."""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.regression.targets import moments, strength


def alignment(problem, params, factor=1.0):
    """Return H - sqrt(lambda_W/lambda_H) W^T Sigma^(-1/2) (Y - mean), its scale times `factor`."""
    decay, samples = jnp.asarray(problem.weight_decay), problem.targets.shape[1]
    scale = factor * jnp.sqrt(decay[0] / (samples * decay[1]))
    return params.features - scale * params.weights[0].T @ moments(problem).white


def off_alignment(problem, params):
    """Return the same with the scale larger by a relative 1e-6."""
    return alignment(problem, params, 1 + 1e-6)


def feature_size(problem, params):
    """Return |H|."""
    return jnp.sqrt(jnp.sum(params.features**2))


def alignment_claim(observe):
    """Claim that H = sqrt(lambda_W/lambda_H) W^T Sigma^(-1/2) (Y - mean), by an observable that then vanishes."""
    statement = r"H-\sqrt{\lambda_W/\lambda_H}W^\top\Sigma^{-1/2}(Y-\bar Y)=0"
    return nct.Equality("alignment", statement, observe, lambda p: jnp.zeros(()), size=feature_size)


def norm_balance(problem, params, factor=1.0):
    """Return lambda_H |H|^2 - M lambda_W |W|^2 over M, the second term times `factor`."""
    decay = jnp.asarray(problem.weight_decay)
    return decay[1] * jnp.sum(params.features**2) - factor * decay[0] * jnp.sum(params.weights[0] ** 2)


def off_balance(problem, params):
    """Return the same with lambda_W larger by a relative 1e-6."""
    return norm_balance(problem, params, 1 + 1e-6)


def decayed_size(problem, params):
    """Return lambda_H |H|^2 / M."""
    return jnp.asarray(problem.weight_decay)[1] * jnp.sum(params.features**2)


def balance_claim(observe):
    """Claim the balance of the two norms at critical points, by an observable that then vanishes."""
    statement = r"\lambda_H|H|^2=M\lambda_W|W|^2"
    zero = lambda p: jnp.zeros(())  # noqa: E731
    return nct.Equality("norm_balance", statement, observe, zero, "critical points", size=decayed_size)


def at_product(problem, c):
    """Return the problem with lambda_W lambda_H = c in the paper's sense, of the same ratio."""
    return dataclasses.replace(
        problem, weight_decay=np.asarray(np.sqrt(c / float(strength(problem))) * problem.weight_decay)
    )


def direction_claim(name, statement, index, applies):
    """Claim that one direction of Sigma, counted from either end of its spectrum, is off exactly from its c on."""

    def size_along(problem, params):
        return jnp.linalg.norm(moments(problem).vectors[:, index] @ problem.product(params))

    def around(problem):
        eigenvalue = float(moments(problem).eigenvalues[index])
        return 0.15 * eigenvalue, 6.0 * eigenvalue

    return nct.Threshold(
        name, statement, at_product, size_along, lambda p: p.thresholds[index], around, applies=applies
    )


def collapse_measures(problem, params):
    """Return NRC1, NRC2 and NRC3, which are relative errors."""
    found, weights, features = moments(problem), params.weights[0], params.features
    covariance = (found.vectors * found.eigenvalues[None, :]) @ found.vectors.T
    measures = (
        nct.measures.principal_subspace_error(features, problem.classes),
        nct.measures.weight_subspace_error(weights, features),
        nct.measures.regression_gram_distance(weights, covariance, strength(problem)),
    )
    return jnp.stack(measures)


def middle(instance):
    """Tell whether some but not all directions are on."""
    return instance.parameters["regime"].startswith("middle")


def several_on(instance):
    """Tell whether all directions are on, and there are two or more."""
    return all_on(instance) and instance.problem.classes > 1


def near(instance):
    """Tell whether c is within 3 % of an eigenvalue."""
    return instance.parameters["regime"].endswith("near")


def all_on(instance):
    """Tell whether all directions are on: c is below every eigenvalue of the covariance.

    It is asked of the problem, whose decays a search moves.
    """
    problem = instance.problem
    targets, decay = np.asarray(problem.targets), np.asarray(problem.weight_decay)
    least = np.linalg.eigvalsh(np.cov(targets, bias=True).reshape(len(targets), len(targets)))[0]
    return bool(decay[0] * decay[1] * targets.shape[1] < least)


def claims():
    """List the paper's statements, each about what the gauge leaves alone or, for H and W together, moves alike."""
    return (
        nct.GlobalValue("value", r"\min f", lambda p: p.minimum.value),
        nct.Equality(
            "logits",
            r"WH+b1^\top",
            lambda p, x: p.logits(x),
            lambda p: p.minimum.logits,
        ),
        nct.Equality(
            "gram_weights",
            r"WW^\top=\sqrt{\lambda_H/\lambda_W}(\Sigma^{1/2}-\sqrt cI)_+",
            lambda p, x: x.weights[0] @ x.weights[0].T,
            lambda p: p.minimum.gram_weights,
        ),
        nct.Equality(
            "gram_features",
            r"H^\top H",
            lambda p, x: x.features.T @ x.features,
            lambda p: p.minimum.gram_features,
        ),
        alignment_claim(alignment),
        nct.Equality(
            "bias",
            r"b=\bar y",
            lambda p, x: x.bias,
            lambda p: p.minimum.bias,
        ),
        nct.Equality(
            "residual",
            r"WH+b1^\top-Y",
            lambda p, x: p.logits(x) - p.targets,
            lambda p: p.residual,
        ),
        balance_claim(norm_balance),
        nct.Equality(
            "nrc",
            r"\mathrm{NRC1}=\mathrm{NRC2}=\mathrm{NRC3}=0",
            collapse_measures,
            lambda p: jnp.broadcast_to(p.measures, (3,)),
            size=lambda problem, params: jnp.ones(()),
            applies=all_on,
        ),
        direction_claim("largest", r"u_1^\top W=0\iff c\ge\lambda_{max}", 0, lambda i: True),
        direction_claim("second", r"u_2^\top W=0\iff c\ge\lambda_2", 1, lambda i: i.problem.classes > 1),
        direction_claim("smallest", r"u_n^\top W=0\iff c\ge\lambda_{min}", -1, lambda i: i.problem.classes > 2),
    )
