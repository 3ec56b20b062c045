r"""Cross-entropy, imbalanced: blocks and minority collapse.

Cross-entropy with classes of different sizes: classes of one size stay symmetric among each other, but not with the
rest. As the decay grows the classes of the smallest size collapse into one, at a sharp threshold that depends on the
number n of their own samples and on the total: the network no longer tells them apart at all. The larger classes follow
at thresholds of their own. This is minority collapse, and the theorem says from which decay on it happens, for any K.

Problem:
    $\min_{W,H}\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W\in\mathbb R^{K\times d}$ and the features $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples.
Theorem (Hong and Ling 2024, number unchecked; all formulas and the third threshold are our own):
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with groups of $K_g$
    classes of $n_g$ samples let $\lambda=\sqrt{\lambda_W\lambda_H}$, $D=\mathrm{diag}(n_k)$. Every global minimiser
    repeats its class means ($H=\bar H\otimes$ repeats), and $\bar Z=W\bar H$, which is unique, does not change when
    classes of one group are permuted: $\bar z_{kl}=B_{gh}+\delta_g1[k=l]$ for k in group g, l in group h. Within a
    group $p_{own}-p_{other}=(1-N\lambda/\sqrt{n_g})_+$, so that its classes share one classifier and one mean iff
    $n_g\le N^2\lambda_W\lambda_H$ (minority collapse, for $K_g\ge2$);
    $|w_k-w_l|^2=2\sqrt{\lambda_Hn_g/\lambda_W}\,\delta_g$ and
    $|\bar h_k-\bar h_l|^2=2\sqrt{\lambda_W/(\lambda_Hn_g)}\,\delta_g$. The minimiser is zero iff
    $N\lambda\ge|(11^\top/K-I)D^{1/2}|_2$. The value is
    $\sum_k\frac{n_k}N\mathrm{CE}(\bar z_k,k)+\lambda|\bar ZD^{1/2}|_*$ at the minimiser of that convex program, which
    groups reduce to $\delta$ and the $G\times G$ group means. Of two groups with at least two classes in the majority,
    all group means are zero from a further threshold on, which lies below that of zero: there the majority's classes
    are still apart.
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
Why:
    Averaging the features of a class lowers f unless they coincide, and the cheapest factors of $\bar Z$ cost
    $\lambda|\bar ZD^{1/2}|_*$: a convex program in $\bar Z$ is left. Its minimiser is unique (cross-entropy is strictly
    convex up to a constant in each column, and removing these constants lowers the nuclear norm), so that permutations
    within groups leave it alone: it has the stated form. The gradient of the fit in $\bar ZD^{1/2}$ is
    $(P-I)D^{1/2}/N$, P the softmax of the columns. On the differences $e_k-e_l$ within group g both matrices are
    multiples of the identity, $\delta_g\sqrt{n_g}$ and $-(1-p_{own}+p_{other})\sqrt{n_g}/N$, and optimality asks that
    minus the second is $\lambda$ where $\delta_g>0$, and at most $\lambda$ where $\delta_g=0$, that is where
    $p_{own}=p_{other}$. This is the rule for $p_{own}-p_{other}$ and the threshold. The gaps of W and H are read off
    $WW^\top=\sqrt{\lambda_H/\lambda_W}(\bar ZD\bar Z^\top)^{1/2}$ and its counterpart. Zero is optimal iff the gradient
    at zero, where $P=11^\top/K$, has norm at most $\lambda$; group means of zero, iff the same holds of the gradient in
    them.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Within-class variability, deviations from the block structure, the group means, $p_{own}-p_{other}$, the gaps of
    weights and of means, logits, decay term, $WW^\top$ and $H^\top H$ are compared at the certified ends, to what their
    gradients leave open. They are certified to hold at every global minimiser where strict complementarity and a
    Hessian that is positive definite off the gauge show that there is no other, and sampled elsewhere. Three thresholds
    are located by bisection between certified ends: of minority collapse, of vanishing group means, and of zero.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a threshold outside its last bracket.
    The same check must refute collapse of the minority or of the majority 3 % too early or too late, zero 3 % too
    early, group means that vanish together with the minority, n in the place of its root, the arithmetic mean of the
    decays, a simplex ETF of classifiers, thresholds 0.1 % too late, and class and block averages off by 1e-6.
Example:
    Two classes of four samples and two of one, beyond minority collapse: the value, and $p_{own}-p_{other}$ in either
    group by the rule $(1-N\lambda/\sqrt{n_g})_+$ and at the end of a random start.

    >>> decay = (0.12, 0.12)
    >>> problem = nct.unconstrained_features(counts=(4, 4, 1, 1), dim=3, loss="cross_entropy", weight_decay=decay)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (nct.global_minimum(problem).value, *ends.value)]
    [1.246235, 1.246235, 1.246235, 1.246235, 1.246235]
    >>> p = np.exp((ends.params.weights[0] @ ends.params.features)[0])
    >>> p = p / p.sum(axis=0)
    >>> rule = [max(1 - 10 * 0.12 / n**0.5, 0.0) for n in (4, 1)]
    >>> [round(float(gap), 5) for gap in (*rule, abs(p[0, 0] - p[1, 0]), abs(p[2, 8] - p[3, 8]))]
    [0.4, 0.0, 0.4, 0.0]
"""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HONG_2024
from proofs_numeric.hypotheses import ANY_COUNTS, DIM_SIMPLEX, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.imbalanced.groups import (
    group_claims,
    group_controls,
    means_onset,
    zero_onset,
)
from proofs_numeric.imbalanced.hong_ling_predictions import (
    arithmetic,
    etf,
    means_merged,
    merged_early,
    moved,
    predict_with,
    thresholds,
    zero_early,
)
from proofs_numeric.pool import log_uniform, near, pick

ID = "hong-ling-ce"
# A shape is (counts, d); d = K-1 several times.
SMALL = (((9, 1), 1), ((1, 1), 2), ((40, 3), 3))
TWO_GROUPS = (((6, 6, 2, 2), 4), ((8, 8, 3, 3, 3), 5), ((12, 12, 2, 2), 3))
SINGLE = (((9, 2, 2, 2), 3), ((12, 3, 3), 3), ((100, 2, 2), 2))
OTHER = (((5, 5, 3, 3, 1), 4), ((10, 5, 5, 2, 1, 1), 5), ((50, 50, 10, 2, 2), 5))


def draw_instances(key):
    """Draw two classes, two groups, a majority of one class, more groups; near every threshold on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for counts, dim in pick(rng, SMALL):
        drawn.append(build_instance(rng, counts, dim, np.sqrt(counts[-1]) * log_uniform(rng, 3e-3, 0.3), "two classes"))
        drawn.append(
            build_instance(rng, counts, dim, zero_onset(counts, counts) * near(rng, above=False), "two classes")
        )
    for counts, dim in pick(rng, TWO_GROUPS):
        small, between, large = np.sqrt(counts[-1]), means_onset(counts, counts), np.sqrt(counts[0])
        drawn.append(build_instance(rng, counts, dim, small * log_uniform(rng, 3e-3, 0.3), "all apart"))
        for at, name in ((small, "minority"), (between, "group means"), (large, "majority")):
            drawn.append(build_instance(rng, counts, dim, at * near(rng, above=False), f"below {name}"))
            drawn.append(build_instance(rng, counts, dim, at * (1 + log_uniform(rng, 1e-3, 3e-2)), f"above {name}"))
    for counts, dim in pick(rng, SINGLE):
        total = zero_onset(counts, counts)
        weak = np.sqrt(counts[-1]) * log_uniform(rng, 0.03, 0.7)
        drawn.append(build_instance(rng, counts, dim, weak, "single majority"))
        drawn.append(build_instance(rng, counts, dim, total * near(rng, above=False), "single majority, below zero"))
        drawn.append(
            build_instance(rng, counts, dim, total * (1 + log_uniform(rng, 1e-3, 3e-2)), "single majority, above zero")
        )
    for counts, dim in pick(rng, OTHER):
        middle = np.sqrt(sorted(set(counts))[1])
        for at in (
            log_uniform(rng, 0.03, 0.3),
            middle * near(rng, above=False),
            middle * (1 + log_uniform(rng, 1e-3, 3e-2)),
        ):
            drawn.append(build_instance(rng, counts, dim, at, "more groups"))
    return drawn


def build_instance(rng, counts, dim, strength, regime):
    """Build the instance with N lambda = `strength` and decays of a ratio up to a thousand."""
    ratio = 10 ** rng.uniform(-1.5, 1.5)
    product = (strength / sum(counts)) ** 2
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(counts=counts, dim=dim, loss="cross_entropy", weight_decay=decay)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "N lambda": float(strength)}
    shown.update({"lambda_W": decay[0], "lambda_H": decay[1], "regime": regime})
    return nct.Instance(problem, shown)


def regime(*words):
    """Select instances whose regime is one of `words`."""
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
