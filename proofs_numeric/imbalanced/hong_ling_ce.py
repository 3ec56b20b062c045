r"""Cross-entropy, imbalanced: blocks and minority collapse.

Cross-entropy under imbalance: block structure, minority collapse at a sharp threshold, and the value.

Theorem:
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with groups
    of $K_g$ classes of $n_g$ samples let $\lambda=\sqrt{\lambda_W\lambda_H}$, $D=\mathrm{diag}(n_k)$. Every global minimiser
    repeats its class means ($H=\bar H\otimes$ repeats), and $\bar Z=W\bar H$, which is unique, does not change when classes of
    one group are permuted: $\bar z_{kl}=B_{gh}+\delta_g1[k=l]$ for k in group g, l in group h. Within a group
    $p_{own}-p_{other}=(1-N\lambda/\sqrt{n_g})_+$, so that its classes share one classifier and one mean iff
    $n_g\le N^2\lambda_W\lambda_H$ (minority collapse, for $K_g\ge2$);
    $|w_k-w_l|^2=2\sqrt{\lambda_Hn_g/\lambda_W}\,\delta_g$ and $|\bar h_k-\bar
    h_l|^2=2\sqrt{\lambda_W/(\lambda_Hn_g)}\,\delta_g$. The minimiser is zero iff $N\lambda\ge|(11^\top/K-I)D^{1/2}|_2$. The
    value is $\sum_k\frac{n_k}N\mathrm{CE}(\bar z_k,k)+\lambda|\bar ZD^{1/2}|_*$ at the minimiser of that convex program,
    which groups reduce to $\delta$ and the $G\times G$ group means. Of two groups with at least two classes in the
    majority, all group means are zero from a further threshold on, which lies below that of zero: there the majority's
    classes are still apart.
Hypotheses:
    - cross-entropy of one-hot labels
    - free features
    - any class counts, K >= 2
    - d >= K-1
    - all decays > 0
    - no bias
Notation:
    Hong and Ling treat classes in clusters of equal size; lambda_W, lambda_H belong to a mean over samples. p are the
    softmax probabilities on samples of a class: of the class itself and of another class of its group.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HONG_2024
from proofs_numeric.hypotheses import ANY_COUNTS, DIM_SIMPLEX, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.imbalanced.groups import (
    group_claims,
    group_controls,
    means_onset,
    means_onset_claim,
    minority_collapse,
    zero_onset,
)
from proofs_numeric.imbalanced.hong_ling_predictions import (
    arithmetic,
    etf,
    means_merged,
    merged_early,
    moved,
    predict_with,
    zero_early,
)
from proofs_numeric.pool import log_uniform, near, pick

ID = "hong-ling-ce"
# (counts, d); d = K-1 several times.
SMALL = (((9, 1), 1), ((1, 1), 2), ((40, 3), 3))
TWO_GROUPS = (((6, 6, 2, 2), 4), ((8, 8, 3, 3, 3), 5), ((12, 12, 2, 2), 3))
SINGLE = (((9, 2, 2, 2), 3), ((12, 3, 3), 3), ((100, 2, 2), 2))
OTHER = (((5, 5, 3, 3, 1), 4), ((10, 5, 5, 2, 1, 1), 5), ((50, 50, 10, 2, 2), 5))


def draw_instances(key):
    """Two classes, two groups, a majority of one class, more groups; near every threshold on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for counts, dim in pick(rng, SMALL):
        drawn.append(make(rng, counts, dim, np.sqrt(counts[-1]) * log_uniform(rng, 3e-3, 0.3), "two classes"))
        drawn.append(make(rng, counts, dim, zero_onset(counts, counts) * near(rng, above=False), "two classes"))
    for counts, dim in pick(rng, TWO_GROUPS):
        small, between, large = np.sqrt(counts[-1]), means_onset(counts, counts), np.sqrt(counts[0])
        drawn.append(make(rng, counts, dim, small * log_uniform(rng, 3e-3, 0.3), "all apart"))
        for at, name in ((small, "minority"), (between, "group means"), (large, "majority")):
            drawn.append(make(rng, counts, dim, at * near(rng, above=False), f"below {name}"))
            drawn.append(make(rng, counts, dim, at * (1 + log_uniform(rng, 1e-3, 3e-2)), f"above {name}"))
    for counts, dim in pick(rng, SINGLE):
        total = zero_onset(counts, counts)
        drawn.append(make(rng, counts, dim, np.sqrt(counts[-1]) * log_uniform(rng, 0.03, 0.7), "single majority"))
        drawn.append(make(rng, counts, dim, total * near(rng, above=False), "single majority, below zero"))
        drawn.append(make(rng, counts, dim, total * (1 + log_uniform(rng, 1e-3, 3e-2)), "single majority, above zero"))
    for counts, dim in pick(rng, OTHER):
        middle = np.sqrt(sorted(set(counts))[1])
        for at in (
            log_uniform(rng, 0.03, 0.3),
            middle * near(rng, above=False),
            middle * (1 + log_uniform(rng, 1e-3, 3e-2)),
        ):
            drawn.append(make(rng, counts, dim, at, "more groups"))
    return drawn


def make(rng, counts, dim, strength, regime):
    """The instance with N lambda = `strength` and decays of a ratio up to a thousand."""
    ratio = 10 ** rng.uniform(-1.5, 1.5)
    product = (strength / sum(counts)) ** 2
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(counts=counts, dim=dim, loss="cross_entropy", weight_decay=decay)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "N lambda": float(strength)}
    shown.update({"lambda_W": decay[0], "lambda_H": decay[1], "regime": regime})
    return nct.Instance(problem, shown)


def at_strength(problem, strength):
    """The problem with N lambda = `strength` and the same ratio of the decays."""
    factor = strength / (sum(problem.counts) * nct.closed_form.decay_strength(problem))
    return dataclasses.replace(problem, weight_decay=np.asarray(factor * problem.weight_decay))


def logit_size(problem, params):
    """|W H|."""
    return jnp.linalg.norm(problem.product(params))


def far_around(problem):
    """Strengths on either side of every threshold."""
    return 0.1, 2.0 * float(np.sqrt(sum(problem.counts)))


def thresholds(factor=1.0):
    """The claims about the three thresholds, each multiplied by `factor`."""
    return (
        minority_collapse(
            r"p_{own}=p_{other}\iff N\lambda\ge\sqrt{n_{min}}", at_strength, lambda p: factor * p.merged_at, far_around
        ),
        means_onset_claim(r"\text{group means vanish}", at_strength, lambda p: factor * p.means_at, far_around),
        nct.Threshold(
            "zero",
            r"WH=0\iff N\lambda\ge|(11^\top/K-I)D^{1/2}|_2",
            at_strength,
            logit_size,
            lambda p: factor * p.zero_at,
            far_around,
        ),
    )


def regime(*words):
    """Instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: float(i.problem.loss.smoothing) == 0.0,
            FREE_FEATURES,
            ANY_COUNTS,
            DIM_SIMPLEX,
            POSITIVE_DECAYS,
            NO_BIAS,
        ),
        sources=(
            HONG_2024.remark(
                "Their abstract: features collapse to class means, angles depend on the sizes, and the threshold of minority "
                "collapse is sharp. All formulas here, the third threshold and the proof by duality are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.minimum.value),
            *group_claims(r"p_{own}-p_{other}=(1-N\lambda/\sqrt{n_g})_+"),
            nct.Equality(
                "logits",
                r"WH",
                lambda p, x: p.logits(x),
                lambda p: p.minimum.logits,
            ),
            nct.Equality(
                "regulariser",
                r"\frac{\lambda_W}2|W|^2+\frac{\lambda_H}2|H|^2=\lambda|\bar ZD^{1/2}|_*",
                lambda problem, params: problem.regulariser(params),
                lambda p: p.regulariser,
            ),
            nct.Equality(
                "gram_weights",
                r"WW^\top",
                lambda p, x: x.weights[0] @ x.weights[0].T,
                lambda p: p.minimum.gram_weights,
            ),
            nct.Equality(
                "gram_features",
                r"H^\top H",
                lambda p, x: x.features.T @ x.features,
                lambda p: p.minimum.gram_features,
            ),
            *thresholds(),
        ),
        controls=(
            nct.Control(
                "minority threshold low",
                "the minority collapses from N lambda = 0.97 sqrt(n_g) on",
                predict_with(separation_of=moved(0.97), shrink=merged_early),
                ("separation", "weight_gaps"),
                regime("below minority"),
            ),
            nct.Control(
                "minority threshold high",
                "the formula holds up to N lambda = 1.03 sqrt(n_g)",
                predict_with(separation_of=moved(1.03)),
                ("separation",),
                regime("above minority"),
            ),
            nct.Control(
                "majority threshold low",
                "the majority collapses from N lambda = 0.97 sqrt(n_g) on",
                predict_with(separation_of=moved(0.97), shrink=merged_early),
                ("separation", "weight_gaps"),
                regime("below majority"),
            ),
            nct.Control(
                "majority threshold high",
                "the formula holds up to N lambda = 1.03 sqrt(n_g)",
                predict_with(separation_of=moved(1.03)),
                ("separation",),
                regime("above majority"),
            ),
            nct.Control(
                "zero early",
                "zero from 0.97 times the spectral norm on",
                zero_early(0.97),
                ("logits", "value"),
                regime("single majority, below zero"),
            ),
            nct.Control(
                "one collapse for all",
                "group means vanish where the minority collapses",
                predict_with(shrink=means_merged),
                ("group_means",),
                regime("above minority", "below group means"),
            ),
            nct.Control(
                "n for root n",
                "p_own - p_other = 1 - N lambda/n_g",
                predict_with(
                    separation_of=lambda strength, n: jnp.maximum(1 - strength / n, 0.0), merged_at=lambda n: n
                ),
                ("separation", "minority collapse"),
            ),
            nct.Control(
                "arithmetic mean", "(lambda_W + lambda_H)/2 instead of lambda", predict_with(strength=arithmetic)
            ),
            nct.Control("ETF", "W W^T a simplex ETF", etf, ("gram_weights",), regime("all apart", "below minority")),
            nct.Control("thresholds 0.1 % off", "all three larger by 0.1 %", versions=thresholds(1.001)),
            *group_controls(),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
