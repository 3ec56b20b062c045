"""The lower bound of a strongly convex problem: decayed features before a given classifier."""

import jax.numpy as jnp

from nctheory.certificates._loss_points import loss_at
from nctheory.engine import EPS, Scalar
from nctheory.problems import ChainParams, FixedClassifier


def fixed_classifier_bound(problem: FixedClassifier, params: ChainParams) -> Scalar:
    r"""$f(H)-\frac1{2\lambda_H}|\nabla f(H)|_F^2$, a lower bound at any H, with the rounding of the gradient taken off.

    With a convex loss $f-\frac{\lambda_H}2|\cdot|^2$ is convex, so that
    $f(H')\ge f(H)+\langle\nabla f(H),H'-H\rangle+\frac{\lambda_H}2|H'-H|_F^2$, whose least value over H' this is.
    """
    value, slope = problem.value_and_grad(params)
    weights, features, targets = jnp.abs(problem.given), jnp.abs(jnp.asarray(params.features)), problem.targets
    # What the gradient is rounded relative to: with |W||H| the terms of the logits, and those of the loss's own gradient.
    here = loss_at(problem.loss, targets, problem.logits(params))
    terms = here.size + jnp.einsum("mkl,lm->km", jnp.abs(here.hessian), weights @ features)
    sizes = weights.T @ terms / targets.shape[1] + problem.feature_decay * features
    lost = 2 * (problem.classes + problem.dim + 4) * EPS * jnp.linalg.norm(sizes)
    return value - (jnp.linalg.norm(slope.features) + lost) ** 2 / (2 * problem.feature_decay)


__all__ = ["fixed_classifier_bound"]
