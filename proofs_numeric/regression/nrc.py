r"""Regression: neural regression collapse.

Targets that are real vectors instead of labels collapse too. With free features and a free bias the features end in the
space of the weights' rows, and the weights are given by the covariance of the targets alone: its square root, cut off
at a level that the decays set. Directions of the targets with little variance are given up one after another as the
decay grows. No classes are needed for neural collapse, only decay, and everything about the minimum can be read off the
targets.

Problem:
    $\min_{W,H,b}\frac1{2M}|WH+b1^\top-Y|_F^2+\frac{\lambda_H}{2M}|H|_F^2+\frac{\lambda_W}2|W|_F^2$ for given targets
    $Y\in\mathbb R^{n\times M}$ of M samples, over $W\in\mathbb R^{n\times d}$, the features $H\in\mathbb R^{d\times M}$
    and the bias $b\in\mathbb R^n$.
Theorem (Andriopoulos et al. 2024, Theorem 4.1, Corollary 4.2, Lemmas C.2 and D.1; written as one positive part):
    For $f=\frac1{2M}|WH+b1^\top-Y|_F^2+\frac{\lambda_H}{2M}|H|_F^2+\frac{\lambda_W}2|W|_F^2$ with real targets
    $Y\in\mathbb R^{n\times M}$ of mean $\bar y$ and covariance $\Sigma=\frac1M(Y-\bar Y)(Y-\bar Y)^\top\succ0$,
    eigenvalues $\lambda_j$, let $c=\lambda_W\lambda_H$. Every global minimiser has $b=\bar y$,
    $WW^\top=\sqrt{\lambda_H/\lambda_W}(\Sigma^{1/2}-\sqrt cI)_+$ with the positive part taken in the eigenbasis of
    $\Sigma$, $H=\sqrt{\lambda_W/\lambda_H}W^\top\Sigma^{-1/2}(Y-\bar Y)$, and $\min f=\sum_{\lambda_j\ge c}(\frac
    c2+\sqrt c(\sqrt{\lambda_j}-\sqrt c))+\sum_{\lambda_j<c}\frac{\lambda_j}2$. For $c<\lambda_{min}$ the residual is
    $-\sqrt c\,\Sigma^{-1/2}(Y-\bar Y)$, and NRC1-NRC3 hold exactly; for $c>\lambda_{max}$ the minimiser is
    $(0,0,\bar y)$. At every critical point $\lambda_H|H|^2=M\lambda_W|W|^2$.
Hypotheses:
    - squared error
    - free features
    - real targets, not class labels
    - Sigma positive definite
    - d >= n
    - all decays > 0
    - a free bias
Notation:
    Andriopoulos et al. divide lambda_H by M: their (lambda_W, lambda_H) is weight_decay = (lambda_W, lambda_H/M). Their
    n x M targets are K x N here, M the number of samples.
Why:
    The best bias for given W and H takes the row means of the residual to zero, and the removal of the row means of H
    then only lowers its decay: H has mean zero and $b=\bar y$. All factorisations of $Z=WH$ cost at least
    $\sqrt{c/M}\,|Z|_*$, and some cost no more, because d is at least n. What remains is
    $\min_Z\frac1{2M}|Z-(Y-\bar Y)|_F^2+\sqrt{c/M}\,|Z|_*$, which is strictly convex: its minimiser keeps the singular
    vectors of $Y-\bar Y$ and lowers the singular values $\sqrt{M\lambda_j}$ by $\sqrt{Mc}$, or to zero. So
    $Z=(\Sigma^{1/2}-\sqrt cI)_+\Sigma^{-1/2}(Y-\bar Y)$. The cheapest factorisations have
    $WW^\top=\sqrt{\lambda_H/(M\lambda_W)}(ZZ^\top)^{1/2}$, and H in the row space of W. The balance of the norms is the
    difference of the gradients in W and H, each paired with its own factor.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Logits, $WW^\top$, $H^\top H$, the alignment of H with W and the targets, bias, residual and, where every direction
    is on, NRC1 to NRC3 are compared at the certified ends, to what their gradients leave open. These are certified to
    hold at every global minimiser where strict complementarity and a Hessian that is positive definite off the gauge
    show that there is no other, and sampled elsewhere. The balance of the norms is sampled, at all converged ends. The
    decay at which a direction goes off is located by bisection between certified ends, for the largest, the second and
    the smallest eigenvalue.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a threshold outside its last bracket.
    The same check must refute the truncation of columns that is printed in the paper; no cut, or a cut at c in the
    place of its root; directions that go off 3 % too early or too late, or at the eigenvalues of M times the
    covariance; the paper's decay of the features read as ours; a bias of zero; NRC3 without the cut; and an alignment
    or a balance off by 1e-6.
Example:
    Two-dimensional targets of ten samples, with one direction on and one off: the value, and the squared norm of W, in
    closed form and at the ends of four random starts.

    >>> rng = np.random.default_rng(0)
    >>> targets, eigenvalues = draw_targets(rng, 2, 10)
    >>> problem = make(rng, 2, targets, c=float(np.sqrt(eigenvalues.prod())), regime="middle").problem
    >>> minimum, ends = nct.closed_form.regression_minimum(problem), nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, *ends.value)]
    [2.863671, 2.863671, 2.863671, 2.863671, 2.863671]
    >>> [round(float(norm), 5) for norm in (minimum.weight_norm, *(ends.params.weights[0] ** 2).sum(axis=(1, 2)))]
    [0.08196, 0.08196, 0.08196, 0.08196, 0.08196]
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
from proofs_numeric.regression.collapse import (
    alignment_claim,
    balance_claim,
    claims,
    middle,
    near,
    off_alignment,
    off_balance,
    several_on,
)
from proofs_numeric.regression.targets import draw_targets, make, moments, strength
from proofs_numeric.shallow.strength import CLOSEST_ZERO

ID = "nrc"
# A shape is (n, d, M). In many d = n, the least that the theorem allows.
SMALL = ((1, 1, 7), (1, 3, 10), (2, 2, 9), (2, 3, 200))
LARGE = ((3, 4, 12), (3, 3, 40), (4, 5, 20))


class Prediction(NamedTuple):
    """What the theorem says of a problem: the minimum, and the paper's further statements about it."""

    minimum: nct.Minimum
    residual: jax.Array
    thresholds: jax.Array
    """The c at which each direction goes off; they descend."""
    measures: jax.Array | float = 0.0
    """NRC1, NRC2, NRC3 where all directions are on."""


def draw_instances(key):
    """Draw a small and a large shape: c far below lambda_min, between and next to all eigenvalues, far above them."""
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
    """Return the closed form, and W H + b - Y = -(Sigma^(1/2) cut off at sqrt c) Sigma^(-1/2) (Y - mean)."""
    found = moments(problem)
    cut = jnp.minimum(jnp.sqrt(strength(problem)), jnp.sqrt(found.eigenvalues))
    residual = -(found.vectors * cut[None, :]) @ found.vectors.T @ found.white
    return Prediction(nct.closed_form.regression_minimum(problem), residual, found.eigenvalues)


def with_gram(gram_of):
    """State the theorem with another W W^T; H, the logits and the value follow from it as the theorem says."""

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
    """Take W W^T with the eigenvectors of Sigma and eigenvalues rule(sqrt lambda, sqrt c)."""

    def gram(found, c, scale):
        values = rule(jnp.sqrt(found.eigenvalues), jnp.sqrt(c))
        return scale * (found.vectors * values[None, :]) @ found.vectors.T

    return gram


def truncated(found, c, scale):
    """Take W = [A^(1/2)]_j R, the first j columns of a root; A is the positive part of Sigma^(1/2) - sqrt(c) I."""
    above = jnp.maximum(jnp.sqrt(found.eigenvalues) - jnp.sqrt(c), 0.0)
    root = (found.vectors * jnp.sqrt(above)[None, :]) @ found.vectors.T
    kept = jnp.where((jnp.arange(root.shape[0]) < jnp.sum(above > 0))[None, :], root, 0.0)
    return scale * kept @ kept.T


def uncut_measures(problem):
    """Predict NRC1-3 for a W W^T in proportion to Sigma^(1/2), without the subtraction of sqrt(c) I."""
    found, c = moments(problem), strength(problem)
    covariance = (found.vectors * found.eigenvalues[None, :]) @ found.vectors.T
    quarter = (found.vectors * found.eigenvalues[None, :] ** 0.25) @ found.vectors.T
    third = nct.measures.regression_gram_distance(quarter, covariance, c)
    return predict(problem)._replace(measures=jnp.stack([0.0 * c, 0.0 * c, third]))


def mean_zero(problem):
    """Predict b = 0."""
    true = predict(problem)
    return true._replace(minimum=true.minimum._replace(bias=jnp.zeros(problem.classes)))


def own_lambda(problem):
    """Take the paper's lambda_H for ours: these are the formulas of the problem with lambda_H times M."""
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
    """Predict thresholds at the eigenvalues of (Y - mean)(Y - mean)^T, without the factor 1/M."""
    true = predict(problem)
    return true._replace(thresholds=problem.targets.shape[1] * true.thresholds)


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
                "For lambda_min < c < lambda_max the spectral positive part replaces the paper's truncation of "
                "columns, which agrees with it for a diagonal Sigma with descending entries (erratum N6); the value is "
                "theirs too (Lemma C.2 for c < lambda_min; Lemma D.1).",
                number="Theorem 4.1, Corollary 4.2, Lemmas C.2 and D.1",
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
