r"""The layer-peeled model: simplex ETF, and minority collapse at a finite ratio.

The layer-peeled model bounds the energy of classifiers and features where others pay for it. With classes of equal size
it ends in a simplex, for any number n of samples. With two sizes of classes the classifiers of the small ones come
closer as the imbalance grows, and at a finite ratio they coincide: the network cannot tell the small classes apart. The
original theorem has this in the limit; here it is an exact condition, for any K.

Problem:
    $\min_{W,H}\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ subject to $\frac1K\sum_k|w_k|^2\le E_W$ and
    $\frac1K\sum_k\frac1{n_k}\sum_i|h_{k,i}|^2\le E_H$, over $W\in\mathbb R^{K\times d}$ and the features
    $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples.
Theorem (Fang et al. 2021, Theorem 5, for R to infinity; the exact condition, its energies and R_0 are our own):
    Minimise $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ subject to $\frac1K\sum_k|w_k|^2\le E_W$ and
    $\frac1K\sum_k\frac1{n_k}\sum_i|h_{k,i}|^2\le E_H$. Every minimiser repeats its class means, and $\bar Z=W\bar H$ is
    the unique minimiser of the cross-entropy subject to $|\bar Z|_*\le K\sqrt{E_WE_H}$, with multiplier
    $\mu=|(P-I)D/N|_2>0$; $WW^\top=\sqrt{E_W/E_H}(\bar Z\bar Z^\top)^{1/2}$,
    $\bar H^\top\bar H=\sqrt{E_H/E_W}(\bar Z^\top\bar Z)^{1/2}$. Balanced: $\bar Z=\frac{K\sqrt{E_WE_H}}{K-1}S$, a
    simplex ETF. Two groups, $n_A>n_B$: within a group $p_{own}-p_{other}=(1-\mu N/n_g)_+$, so that the minority's
    classifiers and means coincide iff $n_B/N\le\mu$, that is iff $R=n_A/n_B$ is at least a finite
    $R_0(K_A,K_B,E_WE_H)$, or for given counts iff $\sqrt{E_WE_H}$ is at most $|\bar Z|_*/K$ at $\mu=n_B/N$. Below a
    second, smaller energy (for $K_A\ge2$) all group means are zero, and with them all that belongs to the minority.
Hypotheses:
    - a layer-peeled model, without a bias
    - d >= K-1, K >= 2
    - E_W, E_H > 0
    - balanced, or two groups of classes of equal size
Notation:
    Fang et al.: E_W, E_H as here, sums over n_k samples of class k; their R is n_A/n_B. P are the softmax probabilities
    of the class means, columns classes; D = diag(n_k).
Why:
    Averaging the features of a class does not raise the fit, and leaves energy over unless they coincide, with which
    the fit could be lowered. Since $|W\bar H|_*\le|W|_F|\bar H|_F$, with equality for balanced factors, what is left is
    the convex program in $\bar Z$ with $|\bar Z|_*\le K\sqrt{E_WE_H}$. Cross-entropy is strictly convex up to constants
    in the columns, whose removal lowers the nuclear norm, and its gradient $G=(P-I)D/N$ is never zero: the minimiser is
    unique, the constraint active, and $-G$ is $\mu=|G|_2>0$ times a subgradient of the nuclear norm. Unique, it does
    not change under permutations within groups: balanced it is a multiple of S. On the differences within group g $-G$
    is $(1-p_{own}+p_{other})n_g/N$ times the identity: equal to $\mu$ where the classes are apart, at most $\mu$ where
    they coincide. This is the rule and the condition $n_B/N\le\mu$. $\bar Z$ also minimises the fit plus
    $\mu|\bar Z|_*$, and $|\bar Z|_*$ falls as the price $\mu$ grows: hence the condition on the energy for given
    counts. That the condition on R has one finite threshold is seen numerically, not proved.
Checked:
    Random starts on the two spheres are followed along the gradient flow to their ends. A dual point of the convex
    program bounds the minimum from below at each end, without the formula, and the value must lie in the interval so
    certified. Within-class variability, deviations from the block structure, the group means, $p_{own}-p_{other}$, the
    gaps of weights and of means, logits, $WW^\top$, $H^\top H$ and the multiplier are compared at the certified ends,
    to what their gradients leave open; that no other minimisers exist is not certified for this model, and these are
    sampled. Two energies, of minority collapse and of vanishing group means, are located by bisection between certified
    ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a threshold outside its last bracket.
    The same check must refute minority collapse 3 % too early or too late, collapse at no finite ratio, a simplex under
    imbalance, group means that vanish together with the minority, the arithmetic mean of the energies, the root of n in
    the place of n, energies 0.1 % too large, and class and block averages off by 1e-6.
Example:
    Two classes of four samples and two of one, at an energy below that of minority collapse: the value, and the
    distance of the last two classifiers, by the theorem and at the ends of four random starts.

    >>> problem = nct.layer_peeled(counts=(4, 4, 1, 1), dim=3, energies=(1.0, 1.0))
    >>> told, ends = predict_with()(problem), nct.solve(problem, seeds=4, light=True)
    >>> bool(told.merged_at > 1.0), [round(float(value), 6) for value in (told.value, *ends.value)]
    (True, [0.446989, 0.446989, 0.446989, 0.446989, 0.446989])
    >>> minority = ends.params.weights[0][:, 2] - ends.params.weights[0][:, 3]
    >>> [round(float(gap), 5) for gap in (told.weight_gaps[1], *(minority**2).sum(axis=1))]
    [0.0, 0.0, 0.0, 0.0, 0.0]
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import FANG_2021
from proofs_numeric.imbalanced.groups import (
    factor_pair,
    group_claims,
    group_controls,
    majority_pairs,
    means_onset_claim,
    minority_collapse,
    minority_pairs,
)
from proofs_numeric.imbalanced.peeled_predictions import (
    etf,
    means_gone,
    merged_in_the_limit,
    merged_late,
    predict_with,
    without_limit,
)
from proofs_numeric.imbalanced.peeled_program import means_energy, threshold_energy, threshold_ratio
from proofs_numeric.pool import log_uniform, near, pick

ID = "layer-peeled"
# A shape is (counts, d); d = K-1 several times. Of a pair the ratios differ, so that R_0 lies between them at some energy.
BALANCED = (((5, 5, 5), 2), ((3, 3), 1), ((1, 1, 1, 1), 3))
PAIRS = ((((4, 4, 2, 2), 4), ((8, 8, 2, 2), 4)), (((3, 3, 1, 1), 3), ((10, 10, 1, 1), 3)))
SINGLE = (((9, 3, 3), 3), ((12, 2, 2, 2), 4), ((60, 3, 3), 2))


def draw_instances(key):
    """Draw balanced counts; two ratios R at one energy, with R_0 between them; near both thresholds on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for counts, dim in pick(rng, BALANCED):
        drawn += [build_instance(rng, counts, dim, energy, "balanced") for energy in (log_uniform(rng, 0.02, 0.3), 1.0)]
    (pair,), (single,) = pick(rng, PAIRS), pick(rng, SINGLE)
    common = float(np.sqrt(np.prod([threshold_energy(counts) for counts, _ in pair])))
    for counts, dim in (*pair, single):
        critical = threshold_energy(counts)
        drawn.append(
            build_instance(rng, counts, dim, critical * (1 - log_uniform(rng, 1e-3, 3e-2)), "merged, near apart")
        )
        drawn.append(build_instance(rng, counts, dim, critical * near(rng, above=True), "apart, near merged"))
        if counts != single[0]:
            drawn.append(build_instance(rng, counts, dim, common, "apart" if common > critical else "merged"))
    drawn.append(build_instance(rng, *pair[0], threshold_energy(pair[0][0]) * rng.uniform(1.5, 2.5), "apart"))
    drawn.append(build_instance(rng, *single, threshold_energy(single[0]) * log_uniform(rng, 0.05, 0.8), "merged"))
    lower = means_energy(pair[1][0])
    drawn.append(build_instance(rng, *pair[1], lower * (1 - log_uniform(rng, 1e-3, 3e-2)), "means zero"))
    drawn.append(build_instance(rng, *pair[1], lower * near(rng, above=True), "merged, means near zero"))
    return drawn


def build_instance(rng, counts, dim, energy, regime):
    """Build the instance with sqrt(E_W E_H) = `energy` and energies of a ratio up to a thousand."""
    ratio = 10 ** rng.uniform(-0.75, 0.75)
    energies = (float(energy * ratio), float(energy / ratio))
    problem = nct.layer_peeled(counts=counts, dim=dim, energies=energies)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "R": counts[0] / counts[-1]}
    shown.update({"E_W": energies[0], "E_H": energies[1], "regime": regime})
    if counts[0] > counts[-1]:
        sizes, _ = nct.closed_form.count_groups(counts)
        shown["R_0"] = threshold_ratio(sizes[0], sizes[1], energy)
        shown["energy over threshold"] = energy / threshold_energy(counts)
    return nct.Instance(problem, shown)


def multiplier(problem, params):
    """Return -<G, Z>/(K sqrt(E_W E_H)) with G the gradient of the mean cross-entropy in the logits."""
    logits = problem.logits(params)
    gradient = problem.loss.gradient(logits, problem.targets) / logits.shape[1]
    return -jnp.sum(gradient * logits) / problem.radius


def at_energy(problem, energy):
    """Return the problem with sqrt(E_W E_H) = `energy` and the same ratio of the energies."""
    factor = energy * problem.classes / problem.radius
    return dataclasses.replace(problem, energies=np.asarray(factor * problem.energies))


def far_around(problem):
    """Name energies on either side of every threshold."""
    return 0.02, 8.0


def has_minority_pairs(instance):
    """Whether there is a minority, of at least two classes: balanced classes never merge."""
    return len(set(instance.problem.counts)) > 1 and minority_pairs(instance)


def thresholds(factor=1.0):
    """Make the claims about both thresholds, each multiplied by `factor`."""
    return (
        minority_collapse(
            r"p_{own}=p_{other}\iff\sqrt{E_WE_H}\le|\bar Z|_*/K\text{ at }\mu=n_{min}/N",
            at_energy,
            lambda p: factor * p.merged_at,
            far_around,
            applies=has_minority_pairs,
        ),
        means_onset_claim(r"\text{group means vanish}", at_energy, lambda p: factor * p.means_at, far_around),
    )


def gram(index):
    """Return W W^T or H^T H."""

    def observe(problem, params):
        factor = factor_pair(problem, params)[index]
        return factor @ factor.T if index == 0 else factor.T @ factor

    return observe


def regime(*words):
    """Select instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


MERGED = ("merged", "merged, near apart", "merged, means near zero")

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, nct.problems.LayerPeeled),
            lambda i: i.problem.dim >= i.problem.classes - 1 >= 1,
            lambda i: bool(np.all(np.asarray(i.problem.energies) > 0)),
            lambda i: len(set(i.problem.counts)) <= 2,
        ),
        sources=(
            FANG_2021.remark(
                "The model, the balanced ETF, and coinciding minority classifiers as R grows (in their theorem in the limit). "
                "The convex program, the exact condition and R_0 are our own; that |Z|_* at mu = n_B/N grows with R, as "
                "log R in the end, so that R_0 is finite and one, was seen numerically. Number and wording were read in a "
                "picture of the theorem in public notes; the finite R of their Finding 2 is an observation.",
                number="Theorem 5",
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            *group_claims(r"p_{own}-p_{other}=(1-\mu N/n_g)_+"),
            nct.Equality(
                "logits",
                r"WH",
                lambda p, x: p.logits(x),
                lambda p: p.logits,
            ),
            nct.Equality(
                "gram_weights",
                r"WW^\top",
                gram(0),
                lambda p: p.gram_weights,
            ),
            nct.Equality(
                "gram_features",
                r"H^\top H",
                gram(1),
                lambda p: p.gram_features,
            ),
            nct.Equality(
                "multiplier",
                r"\mu",
                multiplier,
                lambda p: p.multiplier,
            ),
            *thresholds(),
        ),
        controls=(
            nct.Control(
                "threshold high",
                "minority merged up to 1.03 times the threshold energy",
                predict_with(edit=merged_late),
                ("weight_gaps", "feature_gaps"),
                regime("apart, near merged"),
            ),
            nct.Control(
                "threshold low",
                "minority apart, by the formula continued, down to 0.97 times the threshold energy",
                predict_with(separation_of=without_limit),
                ("separation",),
                regime("merged, near apart"),
            ),
            nct.Control(
                "only in the limit",
                "minority classifiers coincide as R tends to infinity, at no finite R",
                predict_with(edit=merged_in_the_limit),
                ("weight_gaps",),
                lambda instance: regime(*MERGED)(instance) and majority_pairs(instance),
            ),
            nct.Control(
                "ETF under imbalance",
                "a simplex ETF whatever the counts",
                predict_with(edit=etf),
                ("logits", "weight_gaps"),
                lambda instance: not regime("balanced")(instance),
            ),
            nct.Control(
                "all or nothing",
                "group means zero wherever the minority is merged",
                predict_with(edit=means_gone),
                ("group_means",),
                regime(*MERGED),
            ),
            nct.Control(
                "arithmetic mean",
                "nuclear norm K (E_W + E_H)/2",
                predict_with(radius_of=lambda problem: problem.classes * float(np.mean(problem.energies))),
            ),
            nct.Control(
                "root of n",
                "p_own - p_other = 1 - mu N/sqrt(n_g), as with weight decay",
                predict_with(separation_of=lambda strength, n, problem: np.maximum(1 - strength / np.sqrt(n), 0.0)),
                ("separation",),
            ),
            nct.Control("thresholds 0.1 % off", "both larger by 0.1 %", versions=thresholds(1.001)),
            *group_controls(),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
