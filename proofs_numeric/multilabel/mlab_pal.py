r"""Multi-label, pick-all-label loss: simplex ETF and tag-wise averages.

A sample may carry several of K tags, and pays for each of them. With free features the classifier ends in the same
regular simplex as with one tag a sample, and the feature of a sample is the sum of its tags' directions, scaled by a
number that depends on how many tags there are. It is not their plain average. These numbers, the value, and the one
decay from which on everything is zero, come from a convex problem in at most K-1 numbers.

Problem:
    $\min_{W,H,b}\frac1N\sum_i\sum_{k\in S_i}\mathrm{CE}(Wh_i+b,k)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$ over $W\in\mathbb R^{K\times d}$, the features $H\in\mathbb R^{d\times N}$ of N samples
    with tags $S_i\subset\{1,\dots,K\}$ and, where there is one, the bias $b\in\mathbb R^K$.
Theorem (Li et al. 2024, number unchecked, for the geometry; the program of the scales and the onset are our own):
    For $f=\frac1N\sum_i\sum_{k\in S_i}\mathrm{CE}(Wh_i+b,k)+\frac{\lambda_W}2|W|_F^2
    +\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$, where for every $m$ all sets of $m$ tags occur equally often (for
    some $m$ perhaps never), $N_m$ samples with $m$ tags, let $\lambda=\sqrt{\lambda_W\lambda_H}$. Every global
    minimiser has $WW^\top=w^2(I-11^\top/K)$, $h_i=C_m\sum_{k\in S_i}w_k$ for $|S_i|=m$, so that $Wh_i=a_m(1_{S_i}-m/K)$
    with $a_m=C_mw^2$, and $b$ constant (zero if $\lambda_b>0$). The $a_m\ge0$ are the unique minimiser of
    $\sum_m\frac{N_m}Nm\log(m+(K-m)e^{-a_m})+\lambda((K-1)\sum_mN_m\frac{m(K-m)}Ka_m^2)^{1/2}$, whose value is $\min f$,
    and $w^4=\frac{\lambda_H}{\lambda_W}\sum_mN_ma_m^2\frac{m(K-m)}{K(K-1)}$. All $a_m$ are positive if
    $N^2\lambda_W\lambda_H<\sum_mN_m\frac{m(K-m)}{K(K-1)}$, and all are zero otherwise.
Hypotheses:
    - pick-all-label loss
    - all sets of m tags equally often, for each m that occurs; 1 <= m < K
    - free features
    - d >= K-1
    - all decays > 0
    - a bias: none, free or decayed
Notation:
    The fit is a mean over samples, each with the sum over its tags; w_k are the rows of W, m is the number of tags of a
    sample (its multiplicity), N the number of samples, not of tags.
Why:
    All factorisations of $Z=WH$ cost at least $\lambda|Z|_*$, so that f is at least a convex function of Z and b, which
    the permutations of the tags leave alone (the samples being permuted along). As in the case of one tag, its only
    minimiser up to the constant of a free bias therefore has b constant and a column $a_m(1_S-m/K)$ for each sample
    with the m tags S: the loss is strictly convex up to constants in a column, and these columns sum to zero. Then
    $ZZ^\top$ commutes with all permutations and is a multiple of $I-11^\top/K$: the K-1 singular values of Z that may
    differ from zero are equal, so that $|Z|_*=\sqrt{K-1}\,|Z|_F$ is a norm of the $a_m$, which gives the program. Its
    first term is strictly convex and falls in each $a_m$ everywhere. So a minimiser other than zero has all $a_m>0$,
    and zero is one iff the dual norm of the slopes at zero is at most $\lambda$. The cheapest factorisations of Z have
    the stated Gram matrix, and H lies in the row space of W: $H=w^{-2}W^\top Z$.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Logits, $WW^\top$, $H^\top H$, both norms, the direction of every feature, its product with the sum of its tags'
    rows, and the bias are compared at the certified ends, to what their gradients leave open. These are certified to
    hold at every global minimiser where strict complementarity and a Hessian that is positive definite off the gauge
    show that there is no other, and sampled elsewhere. The onset is located by bisection in the strength of the decays
    between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or an onset outside its last bracket.
    The same check must refute an onset 3 % too early or too late, or one that counts tags in the place of samples; one
    scale for all numbers of tags; plain averages; the formula of one tag a sample; orthogonal rows of W; a first class
    that is heavier by 1e-6 in the sums over tags; norms off by 1e-6; and a bias that favours the first class.
Example:
    Two samples with each of three tags and one with each pair: the value, and the scales of one tag and of two, in
    closed form and at the ends of four random starts.

    >>> rng = np.random.default_rng(0)
    >>> problem = instance(rng, classes=3, dim=2, copies={1: 2, 2: 1}, relative=0.3, bias=None).problem
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (nct.global_minimum(problem).value, *ends.value)]
    [1.061026, 1.061026, 1.061026, 1.061026, 1.061026]
    >>> logits = ends.params.weights[0] @ ends.params.features
    >>> [round(float(scale), 5) for scale in nct.closed_form.tag_scales(problem).scales]
    [2.00824, 1.65506]
    >>> (logits.max(axis=1) - logits.min(axis=1))[:, [0, -1]].round(5).tolist()
    [[2.00824, 1.65506], [2.00824, 1.65506], [2.00824, 1.65506], [2.00824, 1.65506]]
"""

import dataclasses
from itertools import combinations
from math import comb

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import LI_2024
from proofs_numeric.hypotheses import ANY_BIAS, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.multilabel.observables import (
    centred_bias,
    centred_logits,
    logit_column,
    off_tag_sum,
    off_weighted_sum,
    tag_direction,
    tag_sums,
)
from proofs_numeric.multilabel.tag_scales import (
    ID,
    averaged,
    common,
    favoured,
    heavier,
    more_than_one_tag,
    moved_onset,
    near,
    orthogonal_frame,
    predict,
    several,
    single_label,
    tags_counted,
    with_scales,
)
from proofs_numeric.pool import pick
from proofs_numeric.shallow.strength import decay_ratio, logit_size, strengths

# A group is K, d, the copies of every set of m tags (taken in turn, equally many samples), and whether there is a bias.
SMALL = (
    (2, 1, ({1: 4},), False),
    (2, 3, ({1: 1},), True),
    (3, 2, ({1: 2, 2: 1}, {1: 1, 2: 2}, {2: 3}), True),
)
MIDDLE = (
    (4, 3, ({1: 2, 2: 1}, {1: 1, 2: 1, 3: 1}), True),
    (4, 5, ({2: 2}, {1: 1, 3: 2}, {1: 3}, {1: 2, 3: 1}), True),
)
LARGE = (
    (5, 5, ({1: 2, 3: 1}, {1: 1, 2: 1, 4: 1}), True),
    (6, 7, ({1: 2, 2: 2, 5: 1}, {1: 1, 2: 2, 5: 2}), False),
    (5, 4, ({2: 20, 3: 4}, {1: 8, 3: 20}), False),
)


def draw_instances(key):
    """Draw a small, a middle and a large group: lambda from very weak to beyond the onset, multiplicities in turn."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, copies, has_bias in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        first = int(rng.integers(len(copies)))
        for i, relative in enumerate(strengths(rng)):
            bias = [0.0, 10.0 ** rng.uniform(-3, 1)][i % 2] if has_bias else None
            drawn.append(instance(rng, classes, dim, copies[(first + i) % len(copies)], relative, bias))
    return drawn


def instance(rng, classes, dim, copies, relative, bias):
    """Build the instance with lambda = `relative` times the onset."""
    samples = {m: n * comb(classes, m) for m, n in copies.items()}
    squared = sum(number * m * (classes - m) for m, number in samples.items()) / (classes * (classes - 1))
    lam, root = relative * np.sqrt(squared) / sum(samples.values()), np.sqrt(decay_ratio(rng, relative))
    decay = (float(lam * root), float(lam / root))
    tags = [one for m, n in copies.items() for one in combinations(range(classes), m) for _ in range(n)]
    problem = nct.multi_label_features(tags=tags, dim=dim, weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "copies": ", ".join(f"{n} x {m} tags" for m, n in copies.items())}
    shown |= {"lambda_W": decay[0], "lambda_H": decay[1], "bias": "none" if bias is None else float(bias)}
    shown |= {"multiplicities": len(copies), "most tags": max(copies), "relative": float(relative)}
    return nct.Instance(problem, shown)


def at_decay(problem, lam):
    """Return the problem at another lambda = sqrt(lambda_W lambda_H), of the same ratio of the decays."""
    return dataclasses.replace(
        problem, weight_decay=np.asarray(lam / nct.closed_form.decay_strength(problem) * problem.weight_decay)
    )


def around_onset(problem):
    """Name values of lambda well on either side of any onset, which here lies between 1/N and 1/2 (m(K-m) <= K^2/4)."""
    return 0.2 / problem.targets.shape[1], 2.0


def balanced_tags(one):
    """Tell whether for every m that occurs all sets of m tags occur equally often, and 1 <= m < K."""
    targets = np.asarray(one.problem.targets)
    classes, sizes = targets.shape[0], targets.sum(axis=0)
    if not np.all((sizes >= 1) & (sizes < classes)):
        return False
    for m in np.unique(sizes):
        _, often = np.unique(targets[:, sizes == m], axis=1, return_counts=True)
        if often.size != comb(classes, int(m)) or np.ptp(often) > 0:
            return False
    return True


def has_bias(one):
    """Tell whether there is a bias."""
    return one.problem.bias_decay is not None


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
                "common threshold are our own: averaging over the permutations of classes leaves the convex program "
                "in the logits with one singular value, so that its nuclear norm is a Euclidean norm of the a_m."
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
