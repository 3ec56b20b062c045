r"""Multi-label, pick-all-label loss: simplex ETF and tag-wise averages.

Multi-label classification with the pick-all-label loss: a simplex ETF, features that are scaled sums over tags.

Theorem:
    For $f=\frac1N\sum_i\sum_{k\in S_i}\mathrm{CE}(Wh_i+b,k)+\frac{\lambda_W}2|W|_F^2
    +\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$, where for every $m$ all sets of $m$ tags occur equally often (for
    some $m$ perhaps never), $N_m$ samples with $m$ tags, let $\lambda=\sqrt{\lambda_W\lambda_H}$. Every global minimiser has
    $WW^\top=w^2(I-11^\top/K)$, $h_i=C_m\sum_{k\in S_i}w_k$ for $|S_i|=m$, so that $Wh_i=a_m(1_{S_i}-m/K)$ with
    $a_m=C_mw^2$, and $b$ constant (zero if $\lambda_b>0$). The $a_m\ge0$ are the unique minimiser of
    $\sum_m\frac{N_m}Nm\log(m+(K-m)e^{-a_m})+\lambda((K-1)\sum_mN_m\frac{m(K-m)}Ka_m^2)^{1/2}$, whose value is $\min f$, and
    $w^4=\frac{\lambda_H}{\lambda_W}\sum_mN_ma_m^2\frac{m(K-m)}{K(K-1)}$. All $a_m$ are positive if
    $N^2\lambda_W\lambda_H<\sum_mN_m\frac{m(K-m)}{K(K-1)}$, and all are zero otherwise.
Hypotheses:
    - pick-all-label loss
    - all sets of m tags equally often, for each m that occurs; 1 <= m < K
    - free features
    - d >= K-1
    - all decays > 0
    - a bias: none, free or decayed
Notation:
    The fit is a mean over samples, each with the sum over its tags; w_k are the rows of W, m is the number of tags of
    a sample (its multiplicity), N the number of samples, not of tags.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import LI_2024
from proofs_numeric.hypotheses import ANY_BIAS, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.multilabel.tag_instances import LARGE, MIDDLE, SMALL, instance
from proofs_numeric.multilabel.tag_observables import (
    balanced_tags,
    centred_bias,
    centred_logits,
    has_bias,
    logit_column,
    more_than_one_tag,
    near,
    off_tag_sum,
    off_weighted_sum,
    several,
    tag_direction,
    tag_sums,
)
from proofs_numeric.pool import pick
from proofs_numeric.shallow.strength import logit_size, strengths

ID = "mlab-pal"


class Prediction(NamedTuple):
    """The minimum, for every sample <h, sum of its tags' classifiers>, and the lambda from which on the minimum is zero."""

    minimum: nct.Minimum
    products: jax.Array
    onset: jax.Array


def draw_instances(key):
    """One small, one middle and one large group: lambda from very weak to beyond the onset, multiplicities in turn."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, copies, biased in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        first = int(rng.integers(len(copies)))
        for i, relative in enumerate(strengths(rng)):
            bias = [0.0, 10.0 ** rng.uniform(-3, 1)][i % 2] if biased else None
            drawn.append(instance(rng, classes, dim, copies[(first + i) % len(copies)], relative, bias))
    return drawn


def with_scales(rule=lambda problem, found: found.scales):
    """The theorem with other scales a_m; the value is the objective's at them, all else follows as in the theorem."""

    def wrong(problem):
        found = nct.closed_form.tag_scales(problem)
        scales = jnp.where(found.samples > 0, rule(problem, found), 0.0)
        minimum = nct.closed_form.tag_frame_minimum(
            problem, found.samples, scales, program(problem, found.samples, scales), ID
        )
        targets = jnp.asarray(problem.targets)
        products = jnp.sum(minimum.product * targets, axis=0)
        return Prediction(minimum, products, found.onset)

    return wrong


predict = with_scales()


def program(problem, samples, scales):
    """The value at scales a_m."""
    classes = problem.classes
    m = np.arange(1.0, classes)
    fit = jnp.sum(samples / jnp.sum(samples) * m * jnp.log(m + (classes - m) * jnp.exp(-scales)))
    norm = jnp.sqrt((classes - 1) * jnp.sum(samples * m * (classes - m) / classes * scales**2))
    return fit + nct.closed_form.decay_strength(problem) * norm


def first_scale(scales):
    """The scale of the least multiplicity that occurs."""
    return scales[jnp.argmax(scales > 0)]


def common(problem, found):
    """One C for all multiplicities: that of the least."""
    return jnp.where(found.scales > 0, first_scale(found.scales), 0.0)


def averaged(problem, found):
    """Plain averages: h_S the mean of its tags' single-label features, C_m falling as 1/m."""
    m = jnp.arange(1.0, problem.classes)
    return common(problem, found) * m[jnp.argmax(found.scales > 0)] / m


def single_label(problem, found):
    """a = log(1/kappa - K + 1) with kappa = sqrt(N/K) lambda, the formula of one tag a sample, for every m."""
    kappa = jnp.sqrt(jnp.sum(found.samples) / problem.classes) * nct.closed_form.decay_strength(problem)
    scale = jnp.log(jnp.maximum(1 / kappa - problem.classes + 1, 1.0))
    return jnp.full(found.scales.shape, scale)


def moved_onset(factor):
    """Zero from `factor` times the onset on; between the two what stands on the other side of it at equal distance."""

    def rule(problem, found):
        lam = nct.closed_form.decay_strength(problem)
        other = _with_strength(problem, jnp.minimum(lam, found.onset**2 / lam))
        return jnp.where(lam < factor * found.onset, nct.closed_form.tag_scales(other).scales, 0.0)

    return rule


def _with_strength(problem, lam):
    """The problem at another lambda."""
    return nct.deep_linear(
        widths=problem.widths,
        targets=problem.targets,
        loss=problem.loss,
        weight_decay=(float(lam), float(lam)),
        bias=problem.bias_decay,
    )


def tags_counted(problem):
    """The onset with the number of tags for the number of samples."""
    true, targets = predict(problem), jnp.asarray(problem.targets)
    return true._replace(onset=true.onset * targets.shape[1] / jnp.sum(targets))


def heavier(problem):
    """H^T H and |H|^2 larger, |W|^2 smaller by a relative 1e-6, as if a decay were."""
    true = predict(problem)
    off = true.minimum._replace(
        gram_features=(1 + 1e-6) * true.minimum.gram_features,
        feature_norm=(1 + 1e-6) * true.minimum.feature_norm,
        weight_norm=(1 - 1e-6) * true.minimum.weight_norm,
    )
    return true._replace(minimum=off)


def orthogonal_frame(problem):
    """Orthogonal rows of W instead of a simplex, of the same norm."""
    true = predict(problem)
    gram = true.minimum.weight_norm / problem.classes * jnp.eye(problem.classes)
    return true._replace(minimum=true.minimum._replace(gram_weights=gram))


def favoured(problem):
    """b larger by 1e-6 for the first class."""
    true = predict(problem)
    return true._replace(minimum=true.minimum._replace(bias=jnp.where(jnp.arange(problem.classes) == 0, 1e-6, 0.0)))


def at_decay(problem, lam):
    """The problem at another lambda = sqrt(lambda_W lambda_H), of the same ratio of the decays."""
    return dataclasses.replace(
        problem, weight_decay=np.asarray(lam / nct.closed_form.decay_strength(problem) * problem.weight_decay)
    )


def around_onset(problem):
    """Values of lambda well on either side of any onset: it is at most 1/2 (N_m m(K-m) <= N K^2/4), and here above 1/N."""
    return 0.2 / problem.targets.shape[1], 2.0


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "pick_all_label"),
            balanced_tags,
            FREE_FEATURES,
            DIM_SIMPLEX,
            POSITIVE_DECAYS,
            ANY_BIAS,
        ),
        sources=(
            LI_2024.remark(
                "For the geometry: simplex ETF, h_S a scaled sum over tags. The scalar program, its uniqueness and the "
                "common threshold are our own: averaging over the permutations of the classes leaves the convex program in "
                "the logits with one singular value, so that its nuclear norm is a Euclidean norm of the a_m."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.minimum.value),
            nct.Equality("logits", r"WH+b1^\top", centred_logits, lambda p: p.minimum.logits),
            nct.Equality(
                "gram_weights", r"WW^\top", lambda p, x: x.weights[0] @ x.weights[0].T, lambda p: p.minimum.gram_weights
            ),
            nct.Equality(
                "gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda p: p.minimum.gram_features
            ),
            tag_direction(off_tag_sum, r"h_i\parallel\sum_{k\in S_i}w_k"),
            nct.Equality(
                "tag_scale",
                r"\langle h_i,\sum_{k\in S_i}w_k\rangle=a_mm(K-m)/K",
                lambda problem, params: jnp.sum(tag_sums(problem, params) * params.features, axis=0),
                lambda p: p.products,
            ),
            nct.Equality(
                "weight_norm", r"|W|_F^2", lambda p, x: jnp.sum(x.weights[0] ** 2), lambda p: p.minimum.weight_norm
            ),
            nct.Equality(
                "feature_norm", r"|H|_F^2", lambda p, x: jnp.sum(x.features**2), lambda p: p.minimum.feature_norm
            ),
            nct.Equality("bias", r"b", centred_bias, lambda p: p.minimum.bias, size=logit_column, applies=has_bias),
            nct.Threshold(
                "onset",
                r"WH=0\iff N^2\lambda_W\lambda_H\ge\sum_mN_m\frac{m(K-m)}{K(K-1)}",
                at_decay,
                logit_size,
                lambda p: p.onset,
                around_onset,
            ),
        ),
        controls=(
            nct.Control(
                "threshold low",
                "zero from 0.97 of the onset on",
                with_scales(moved_onset(0.97)),
                applies=near(above=False),
            ),
            nct.Control(
                "threshold high", "not zero up to 1.03", with_scales(moved_onset(1.03)), applies=near(above=True)
            ),
            nct.Control(
                "one scale",
                "the same C_m for all multiplicities",
                with_scales(common),
                claims=("logits", "tag_scale", "gram_features"),
                applies=several,
            ),
            nct.Control(
                "plain averages",
                "h_S the plain average of its tags' features, C_m proportional to 1/m",
                with_scales(averaged),
                claims=("logits", "tag_scale", "gram_features"),
                applies=several,
            ),
            nct.Control(
                "single-label formula",
                "a_m = log(1/kappa - K + 1) for every m",
                with_scales(single_label),
                claims=("logits", "value"),
                applies=more_than_one_tag,
            ),
            nct.Control(
                "tags counted", "N the number of tags in the onset", tags_counted, ("onset",), more_than_one_tag
            ),
            nct.Control("orthogonal frame", "orthogonal rows of W", orthogonal_frame, claims=("gram_weights",)),
            nct.Control(
                "a decay 1e-6 off",
                "H^T H and |H|^2 larger, |W|^2 smaller by a relative 1e-6",
                heavier,
                claims=("gram_features", "feature_norm", "weight_norm"),
            ),
            nct.Control(
                "first class heavier",
                "the first row of W larger by a relative 1e-6 in the sums over tags",
                applies=more_than_one_tag,
                versions=(tag_direction(off_weighted_sum, r"h_i\parallel\sum_{k\in S_i}w_k+10^{-6}[1\in S_i]w_1"),),
            ),
            nct.Control("a favoured class", "b larger by 1e-6 for the first class", favoured, ("bias",), has_bias),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
