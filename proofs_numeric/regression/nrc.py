r"""Regression: neural regression collapse.

Neural regression collapse: squared error with real targets, free features and a free bias.

Theorem:
    For $f=\frac1{2M}|WH+b1^\top-Y|_F^2+\frac{\lambda_H}{2M}|H|_F^2+\frac{\lambda_W}2|W|_F^2$ with real
    targets $Y\in\mathbb R^{n\times M}$ of mean $\bar y$ and covariance $\Sigma=\frac1M(Y-\bar Y)(Y-\bar Y)^\top\succ0$,
    eigenvalues $\lambda_j$, let $c=\lambda_W\lambda_H$. Every global minimiser has $b=\bar y$,
    $WW^\top=\sqrt{\lambda_H/\lambda_W}(\Sigma^{1/2}-\sqrt cI)_+$ with the positive part taken in the eigenbasis of $\Sigma$,
    $H=\sqrt{\lambda_W/\lambda_H}W^\top\Sigma^{-1/2}(Y-\bar Y)$, and
    $\min f=\sum_{\lambda_j\ge c}(\frac c2+\sqrt c(\sqrt{\lambda_j}-\sqrt c))+\sum_{\lambda_j<c}\frac{\lambda_j}2$.
    For $c<\lambda_{min}$ the residual is $-\sqrt c\,\Sigma^{-1/2}(Y-\bar Y)$, and NRC1-NRC3 hold exactly; for
    $c>\lambda_{max}$ the minimiser is $(0,0,\bar y)$. At every critical point $\lambda_H|H|^2=M\lambda_W|W|^2$.
Hypotheses:
    - squared error
    - free features
    - real targets, not class labels
    - Sigma positive definite
    - d >= n
    - all decays > 0
    - a free bias
Notation:
    Andriopoulos et al. divide lambda_H by M: their (lambda_W, lambda_H) is weight_decay = (lambda_W, lambda_H/M).
    Their n x M targets are K x N here, M the number of samples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ANDRIOPOULOS_2024
from proofs_numeric.hypotheses import FREE_BIAS, FREE_FEATURES, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.pool import near as near_one
from proofs_numeric.regression.observables import (
    alignment,
    alignment_claim,
    all_on,
    balance_claim,
    collapse_measures,
    direction_claim,
    middle,
    near,
    norm_balance,
    off_alignment,
    off_balance,
    several_on,
)
from proofs_numeric.regression.targets import draw_targets, make, moments, strength
from proofs_numeric.shallow.strength import CLOSEST_ZERO

ID = "nrc"
SMALL = ((1, 1, 7), (1, 3, 10), (2, 2, 9), (2, 3, 200))  # (n, d, M); d = n often, the least that the theorem allows
LARGE = ((3, 4, 12), (3, 3, 40), (4, 5, 20))


class Prediction(NamedTuple):
    """The minimum, and the paper's further statements about it."""

    minimum: nct.Minimum
    residual: jax.Array
    thresholds: jax.Array
    """The c at which each direction goes off, from large to small."""
    measures: jax.Array | float = 0.0
    """NRC1, NRC2, NRC3 where all directions are on."""


def draw_instances(key):
    """A small and a large shape: c far below lambda_min, between each pair of eigenvalues, close to each, far above all."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for n, dim, samples in (*pick(rng, SMALL), *pick(rng, LARGE)):
        targets, eigenvalues = draw_targets(rng, n, samples)
        drawn.append(make(rng, dim, targets, eigenvalues[-1] * log_uniform(rng, 1e-4, 1e-2), "c < min"))
        drawn.append(make(rng, dim, targets, eigenvalues[-1] * rng.uniform(0.02, 0.4), "c < min"))
        drawn.append(make(rng, dim, targets, eigenvalues[0] * log_uniform(rng, 1.3, 30.0), "c > max"))
        for i in range(n):
            targets, eigenvalues = draw_targets(rng, n, samples)
            inner, outer = ("c > max" if i == 0 else "middle"), ("c < min" if i == n - 1 else "middle")
            closest = CLOSEST_ZERO if i == 0 else 1e-4
            drawn.append(make(rng, dim, targets, eigenvalues[i] * near_one(rng, False), outer + ", near"))
            drawn.append(make(rng, dim, targets, eigenvalues[i] * near_one(rng, True, closest), inner + ", near"))
            if i > 0:
                between = np.sqrt(eigenvalues[i] * eigenvalues[i - 1])
                drawn.append(make(rng, dim, targets, between, "middle"))
    return drawn


def predict(problem):
    """The closed form, and W H + b - Y = -(Sigma^(1/2) cut off at sqrt c) Sigma^(-1/2) (Y - mean)."""
    found = moments(problem)
    cut = jnp.minimum(jnp.sqrt(strength(problem)), jnp.sqrt(found.eigenvalues))
    residual = -(found.vectors * cut[None, :]) @ found.vectors.T @ found.white
    return Prediction(nct.closed_form.regression_minimum(problem), residual, found.eigenvalues)


def with_gram(gram_of):
    """The theorem with another W W^T; H, the logits and the value follow from it as the theorem says."""

    def wrong(problem):
        found, decay = moments(problem), jnp.asarray(problem.weight_decay)
        samples, c = problem.targets.shape[1], strength(problem)
        gram = gram_of(found, c, jnp.sqrt(samples * decay[1] / decay[0]))
        ratio = decay[0] / (samples * decay[1])
        residual = jnp.sqrt(ratio) * gram @ found.white + found.mean[:, None] - jnp.asarray(problem.targets)
        norm = jnp.trace(gram)
        minimum = nct.closed_form.regression_minimum(problem)._replace(
            gram_weights=gram,
            gram_features=ratio * found.white.T @ gram @ found.white,
            logits=residual + jnp.asarray(problem.targets),
            value=jnp.sum(residual**2) / (2 * samples) + decay[0] * norm,
        )
        return Prediction(minimum, residual, found.eigenvalues)

    return wrong


def spectral(rule):
    """W W^T with the eigenvectors of Sigma and eigenvalues rule(sqrt lambda, sqrt c)."""

    def gram(found, c, scale):
        values = rule(jnp.sqrt(found.eigenvalues), jnp.sqrt(c))
        return scale * (found.vectors * values[None, :]) @ found.vectors.T

    return gram


def truncated(found, c, scale):
    """W = [A^(1/2)]_j R, the first j columns of a square root; A is the positive part of Sigma^(1/2) - sqrt(c) I."""
    above = jnp.maximum(jnp.sqrt(found.eigenvalues) - jnp.sqrt(c), 0.0)
    root = (found.vectors * jnp.sqrt(above)[None, :]) @ found.vectors.T
    kept = jnp.where((jnp.arange(root.shape[0]) < jnp.sum(above > 0))[None, :], root, 0.0)
    return scale * kept @ kept.T


def uncut_measures(problem):
    """NRC1-3 of a W W^T in proportion to Sigma^(1/2), without the subtraction of sqrt(c) I."""
    found, c = moments(problem), strength(problem)
    covariance = (found.vectors * found.eigenvalues[None, :]) @ found.vectors.T
    quarter = (found.vectors * found.eigenvalues[None, :] ** 0.25) @ found.vectors.T
    third = nct.measures.regression_gram_distance(quarter, covariance, c)
    return predict(problem)._replace(measures=jnp.stack([0.0 * c, 0.0 * c, third]))


def mean_zero(problem):
    """b = 0."""
    true = predict(problem)
    return true._replace(minimum=true.minimum._replace(bias=jnp.zeros(problem.classes)))


def own_lambda(problem):
    """The paper's lambda_H taken for ours: the formulas of the problem with lambda_H times M."""
    lam_w, lam_h = (float(x) for x in problem.weight_decay)
    samples = problem.targets.shape[1]
    return predict(
        nct.deep_linear(
            widths=problem.widths,
            targets=problem.targets,
            loss="mse",
            weight_decay=(lam_w, samples * lam_h),
            bias=0.0,
        )
    )


def summed(problem):
    """Thresholds at the eigenvalues of (Y - mean)(Y - mean)^T, without the factor 1/M."""
    true = predict(problem)
    return true._replace(thresholds=problem.targets.shape[1] * true.thresholds)


def claims():
    """The paper's statements, each about what the gauge leaves alone or, for H and W together, moves alike."""
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


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            FREE_FEATURES,
            lambda i: i.problem.counts is None,
            lambda i: float(moments(i.problem).eigenvalues[-1]) > 0,
            lambda i: i.problem.widths[0] >= i.problem.classes,
            POSITIVE_DECAYS,
            FREE_BIAS,
        ),
        sources=(
            ANDRIOPOULOS_2024.remark(
                "For lambda_min < c < lambda_max the spectral positive part replaces the paper's truncation of columns, which "
                "agrees with it for a diagonal Sigma with descending entries (erratum N6); value and proof there are ours."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=claims(),
        controls=(
            nct.Control(
                "column truncation",
                "the printed form: the first j columns of A^(1/2), with its positive part for A",
                with_gram(truncated),
                claims=("value", "gram_weights", "logits"),
                applies=middle,
            ),
            nct.Control(
                "no cut",
                "Sigma^(1/2) - sqrt(c) I also where it is not positive",
                with_gram(spectral(lambda root, c: root - c)),
                claims=("gram_weights",),
                applies=middle,
            ),
            nct.Control(
                "threshold low",
                "off already from c = 0.97 lambda_j on",
                with_gram(spectral(lambda root, c: jnp.where(c**2 < 0.97 * root**2, root - c, 0.0))),
                applies=near,
            ),
            nct.Control(
                "threshold high",
                "on up to c = 1.03 lambda_j, the formula continued",
                with_gram(spectral(lambda root, c: jnp.where(c**2 < 1.03 * root**2, jnp.abs(root - c), 0.0))),
                applies=near,
            ),
            nct.Control(
                "c for its root",
                "Sigma^(1/2) - c I",
                with_gram(spectral(lambda root, c: jnp.maximum(root - c**2, 0.0))),
                claims=("gram_weights",),
            ),
            nct.Control(
                "M left out", "the paper's lambda_H taken as ours", own_lambda, claims=("value", "gram_weights")
            ),
            nct.Control("no bias", "b = 0", mean_zero, claims=("bias",)),
            nct.Control("NRC3 uncut", "W W^T in proportion to Sigma^(1/2)", uncut_measures, ("nrc",), several_on),
            nct.Control("alignment 1e-6 off", "its scale larger by 1e-6", versions=(alignment_claim(off_alignment),)),
            nct.Control("balance 1e-6 off", "lambda_W larger by 1e-6", versions=(balance_claim(off_balance),)),
            nct.Control(
                "covariance without 1/M",
                "directions off from the eigenvalues of M Sigma on",
                summed,
                claims=("largest", "second", "smallest"),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
