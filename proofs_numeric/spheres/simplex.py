"""Simplices of unit vectors: their Gram matrices, what is observed of a minimiser, and wrong versions of its geometry."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.spheres.observed import geometry_claims


class Frame(NamedTuple):
    """What a theorem says of a minimiser whose classifiers and features are frames of K directions."""

    value: jax.Array
    logits: jax.Array
    gram_weights: jax.Array
    gram_features: jax.Array


def directions(classes: int) -> np.ndarray:
    """Return the Gram matrix of a regular simplex of unit vectors, K/(K-1) (I - 11^T/K)."""
    return (classes * np.eye(classes) - 1.0) / (classes - 1)


def orthogonal(classes: int) -> np.ndarray:
    """Return the Gram matrix of an orthogonal frame."""
    return np.eye(classes)


def bound(classes: int, product: jax.Array) -> jax.Array:
    r"""Return $\log(1+(K-1)e^{-\frac K{K-1}p})$ at the product p of the lengths of a classifier and a feature."""
    return jnp.log1p((classes - 1) * jnp.exp(-classes / (classes - 1) * product))


def frame(problem, frame_of=directions, row=None, exponent=bound) -> Frame:
    """Return a frame of given lengths; `row` is the length of a classifier, by default the one that is held."""
    classes, radius = problem.classes, problem.radius
    length = problem.size if row is None else row
    member = np.eye(classes)[:, problem.labels]
    gram = jnp.asarray(frame_of(classes))
    return Frame(
        exponent(classes, length * radius),
        length * radius * gram @ member,
        length**2 * gram,
        member.T @ (radius**2 * gram) @ member,
    )


def duality(problem, params, stretch=1.0) -> jax.Array:
    """Return w_k/omega minus the class means over rho."""
    weights, features = problem.factor_pair(params)
    member = np.eye(problem.classes)[problem.labels] / np.asarray(problem.counts, float)[None, :]
    lengths = jnp.linalg.norm(weights, axis=1, keepdims=True)
    return weights / lengths - stretch * (features @ member).T / problem.radius


def tilted(problem, params) -> jax.Array:
    """Return the same with features longer by a relative 1e-6."""
    return duality(problem, params, 1.0 + 1e-6)


def duality_size(problem, params) -> jax.Array:
    """Return the norm of the unit classifiers, whose difference from the features it is."""
    return jnp.sqrt(1.0 * problem.classes)


def self_duality(observe=duality) -> nct.Equality:
    """Claim that classifiers and features have the same directions."""
    return nct.Equality("self_duality", r"w_k/|w_k|-h_k/|h_k|", observe, lambda f: jnp.zeros(()), size=duality_size)


def frame_claims() -> tuple[nct.theorems.Claim, ...]:
    """Claim the minimum, the logits, both Gram matrices and self-duality."""
    return (*geometry_claims(), self_duality())


def frame_controls(predict, factor=1e-6) -> tuple[nct.Control, ...]:
    """List wrong versions that concern the geometry alone: entries and the scale of self-duality off by a relative 1e-6."""

    def larger(problem):
        found = predict(problem)
        return Frame(found.value, *((1 + factor) * part for part in found[1:]))

    return (
        nct.Control(
            "1e-6 larger",
            "logits and inner products larger by a relative 1e-6",
            larger,
            ("logits", "gram_weights", "gram_features"),
        ),
        nct.Control(
            "duality 1e-6 off", "features longer by a relative 1e-6 in self-duality", versions=(self_duality(tilted),)
        ),
    )


def orthogonal_control(predict_orthogonal) -> nct.Control:
    """Make the control of an orthogonal frame in the place of a simplex."""
    return nct.Control(
        "orthogonal frame",
        "orthogonal directions in the place of a simplex",
        predict_orthogonal,
        ("logits", "gram_weights", "gram_features"),
    )
