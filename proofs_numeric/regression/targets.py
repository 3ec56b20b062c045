"""What theorems on regression share: targets of a given covariance, its moments, and the paper's c."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

GAP = 2.2
"""Neighbouring eigenvalues of Sigma have this ratio before they are moved at random, and stay farther apart than the
windows at c."""


class Moments(NamedTuple):
    """The moments of targets: mean, eigenvalues (descending) and eigenvectors of Sigma, Sigma^(-1/2) (Y - mean)."""

    mean: jax.Array
    eigenvalues: jax.Array
    vectors: jax.Array
    white: jax.Array


def moments(problem):
    """Compute the moments of a problem's targets."""
    y = jnp.asarray(problem.targets)
    mean = jnp.mean(y, axis=1)
    centred = y - mean[:, None]
    values, vectors = jnp.linalg.eigh(centred @ centred.T / y.shape[1])
    values, vectors = values[::-1], vectors[:, ::-1]
    return Moments(mean, values, vectors, (vectors / jnp.sqrt(values)[None, :]) @ vectors.T @ centred)


def strength(problem):
    """Return c = lambda_W lambda_H in the paper's sense, whose lambda_H is M times ours."""
    decay = jnp.asarray(problem.weight_decay)
    return decay[0] * decay[1] * problem.targets.shape[1]


def draw_targets(rng, n, samples):
    """Draw targets of a mean off zero and a covariance that is not diagonal, and its eigenvalues (descending)."""
    eigenvalues = np.sort(GAP ** np.arange(n) * np.exp(rng.uniform(-0.2, 0.2, size=n)))[::-1] * np.exp(rng.normal())
    frame = np.linalg.qr(rng.normal(size=(n, n)))[0]
    raw = rng.normal(size=(n, samples))
    raw -= raw.mean(axis=1, keepdims=True)
    white = np.linalg.solve(np.linalg.cholesky(raw @ raw.T / samples), raw)
    return (frame * np.sqrt(eigenvalues)[None, :]) @ white + rng.normal(size=(n, 1)), eigenvalues


def make(rng, dim, targets, c, regime):
    """Build the instance with lambda_W lambda_H = c (the paper's lambda_H) and a ratio from 1/30 to 30, not near 1."""
    n, samples = targets.shape
    ratio = 10 ** (rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.0 if regime.startswith("c > max") else 1.5))
    lam_w, lam_h = float(np.sqrt(c * ratio)), float(np.sqrt(c / ratio))
    problem = nct.deep_linear(
        widths=(dim, n), targets=targets, loss="mse", weight_decay=(lam_w, lam_h / samples), bias=0.0
    )
    shown = {"n": n, "d": dim, "M": samples, "c": float(c), "lambda_W": lam_w, "paper's lambda_H": lam_h}
    return nct.Instance(problem, {**shown, "regime": regime})
