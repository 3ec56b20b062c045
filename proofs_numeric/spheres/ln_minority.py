r"""LayerNorm features, imbalanced: minority collapse from a finite ratio on.

Features of one length are thought to protect small classes, because no feature can shrink. They do not: where the
classifier is decayed, two small classes share one classifier and one feature from an exact decay on. But unlike free
features, which always merge before all is zero, they do so only where the large classes have more than K-1 times as many
samples. Below a second decay the order of the angles reverses: there the small classes lie farther apart than the large
ones.

Problem:
    $\min_{W,H}\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2$ over $W\in\mathbb R^{K\times d}$ and features
    with $|h_i|=\rho$, of $K_a$ classes of $n_a$ and $K_b\ge2$ classes of $n_b<n_a$ samples.
Theorem (own; model of Sukenik, Lampert and Mondelli 2025, number unchecked):
    A global minimiser of $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2$, $|h_i|=\rho$, repeats one feature
    for each class, and with an axis $\hat e$ and the centred unit vectors $e_k'$ of the classes of each group, all
    orthogonal between groups, $w_k=\pm K_hs\hat e+p_g\,e_k'$ and $h_k=\pm\rho\cos\theta_g\hat
    e+\rho\sin\theta_g\sqrt{K_g/(K_g-1)}e_k'$ for k in group g, h the other one; the five numbers minimise the f that is
    left. The minority is merged, $p_b=\theta_b=0$, iff $\lambda_W\gamma/\rho^2\ge n_b/N$ with $\gamma=-(p-e_k)^\top Wh_k$
    of a minority sample at the best merged point. If $n_a>(K-1)n_b$ this is so from a finite decay on, if $n_a\le(K-1)n_b$
    at no decay. For $K_a\ge2$ the cosine within the minority is below that within the majority for small decays and above
    it from an exact decay on.
Hypotheses:
    - features of fixed length, a decayed classifier, cross-entropy of one-hot labels, no bias
    - two groups of classes of equal size, at least two classes in the smaller one
    - d >= K-1, d >= 2
Notation:
    lambda_W belongs to a mean over N samples; rho is the square root of the width for a LayerNorm without gain.
Why:
    With G the Gram matrix of the rows of W and the columns of H the objective is convex in G, and may be averaged over
    permutations within groups: W and H split into the two spaces of differences within the groups and the average of each
    group. The classifiers' averages sum to zero, so that they lie on one axis. With $m_g=n_gK_g/N$, the probabilities
    $P_g,O_g$ of another class of its own and of the other group, the conditions of stationarity in $p_g$ and in $\theta_g$
    tend, as both tend to zero, to $p_gq_g=\frac{m_g\rho^2}{\lambda_W(K_g-1)}\sin^2\theta_g$,
    $q_g=\rho\sin\theta_g\sqrt{K_g/(K_g-1)}$, and $\lambda_WKK_aO_bs/\rho=n_b/N$, whose left-hand side is
    $\lambda_W\gamma/\rho^2$. Conversely, on differences of minority classes the dual matrix of the merged point is
    $\frac{n_b}N\big(\frac\gamma{2\rho^2}-\frac{n_b}{2N\lambda_W}\big)$ times the identity: the merged point is optimal iff
    this is not negative. That the condition is monotone in the decay, that it can be met iff $n_a>(K-1)n_b$ (its two sides
    agree to first order in $1/\lambda_W$ there) and that the angles cross once are seen numerically, not proved.
Checked:
    Random starts are followed along the gradient flow to their ends. An eigenvalue bounds the minimum from below at each
    end, without the formula, and the value must lie in the interval so certified. Logits, $WW^\top$, $H^\top H$ and the
    cosines within both groups are compared at the certified ends, to what their gradients leave open, on both sides of the
    threshold and close to it, and far beyond it where the ratio is too small. Both decays are located by bisection between
    certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a decay outside its last bracket. The
    same check must refute collapse 3 % too early or too late, collapse at too small a ratio, a simplex whatever the counts,
    a minority whose angles are never wider, and both decays larger by 0.1 %.
Example:
    Two classes of R samples and two of one, $\rho=2$: the ratio from which on they merge at $\lambda_W=0.3$, and the cosines
    within both groups for R = 30 and $\lambda_W=0.003$, in theory and at the ends of two starts.

    >>> from proofs_numeric.spheres.ln_program import merging_ratio
    >>> round(merging_ratio((2, 2), 0.3, 2.0), 4)
    22.9747
    >>> problem = nct.problems.spherical_features(counts=(30, 30, 1, 1), dim=3, radius=2.0, weight_decay=0.003)
    >>> ends = nct.solve(problem, seeds=2, light=True)
    >>> units = ends.params.features / np.linalg.norm(ends.params.features, axis=1, keepdims=True)
    >>> [round(float(x), 4) for x in (predict(problem).cosines[1], *(units[:, :, 60] * units[:, :, 61]).sum(axis=1))]
    [-0.3825, -0.3825, -0.3825]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import SUKENIK_2025
from proofs_numeric.pool import log_uniform, near, pick
from proofs_numeric.spheres.ln_angles import around_crossing, around_merging, group_cosines, minority_angle, wider
from proofs_numeric.spheres.ln_program import (
    Group,
    cosines,
    crossing_decay,
    matrices,
    merged_blocks,
    merging_decay,
    minimum,
    stationary,
)
from proofs_numeric.spheres.observed import DECAYED, DIM_OF_SIMPLEX, at_decay, geometry_claims

ID = "ln-minority"
# A shape is (classes of the majority, of the minority, samples a class of each, d); d = K-1 in the first ones.
PAIRS = ((2, 2, 8, 1, 3), (2, 2, 12, 2, 5), (2, 3, 8, 1, 5), (3, 2, 6, 1, 5))
SINGLE = ((1, 2, 9, 1, 3), (1, 3, 8, 1, 4))
SMALL_RATIO = ((2, 2, 3, 2, 3), (2, 2, 2, 1, 4), (2, 3, 3, 1, 5))


class Prediction(NamedTuple):
    """What the theorem says of the minimiser."""

    value: jax.Array
    logits: jax.Array
    gram_weights: jax.Array
    gram_features: jax.Array
    cosines: jax.Array
    merging: float
    crossing: float


def group_of(problem, decay=None):
    """Return the numbers of a problem."""
    counts = problem.counts
    first = counts.count(counts[0])
    sizes = (first, len(counts) - first)
    numbers = (float(counts[0]), float(counts[-1]))
    return Group(sizes, numbers, float(problem.size) if decay is None else decay, float(problem.radius))


def merges(problem):
    """Tell whether the ratio is large enough for a finite threshold."""
    return problem.counts[0] > (problem.classes - 1) * problem.counts[-1]


def draw_instances(key):
    """Draw shapes with decays from far below the threshold to beyond it, and ratios for which there is none."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in (*pick(rng, PAIRS), *pick(rng, SINGLE)):
        radius = log_uniform(rng, 0.5, 3.0)
        at = merging_decay(group_of(build_instance(shape, radius, 1.0, "").problem)._replace(decay=0.0))
        for factor, name in (
            (near(rng, above=False, closest=1e-3), "apart, near merged"),
            (near(rng, above=True, closest=1e-3), "merged, near apart"),
            (rng.uniform(1.2, 2.0), "merged"),
            (log_uniform(rng, 1e-3, 0.02), "apart"),
            (log_uniform(rng, 0.1, 0.7), "apart"),
        ):
            drawn.append(build_instance(shape, radius, at * factor, name))
    for shape in pick(rng, SMALL_RATIO):
        radius = log_uniform(rng, 0.5, 3.0)
        for part in (log_uniform(rng, 1e-3, 0.1), rng.uniform(1.0, 1.5)):
            drawn.append(build_instance(shape, radius, part * radius**2, "never merged"))
    return drawn


def build_instance(shape, radius, decay, regime):
    """Build the instance of a shape."""
    first, second, many, few, dim = shape
    counts = (many,) * first + (few,) * second
    problem = nct.problems.spherical_features(counts=counts, dim=dim, radius=radius, weight_decay=decay)
    shown = {"counts": "-".join(map(str, counts)), "d": dim, "rho": radius, "lambda_W": decay, "regime": regime}
    return nct.Instance(problem, shown)


def stated(problem, blocks, merging_factor=1.0):
    """State a point of the program, with both thresholds multiplied by a factor."""
    group = group_of(problem)
    weights, features = matrices(blocks, group)
    features = features[:, problem.labels]
    pairs = group.sizes[0] > 1
    return Prediction(
        jnp.asarray(blocks.value),
        jnp.asarray(weights @ features),
        jnp.asarray(weights @ weights.T),
        jnp.asarray(features.T @ features),
        jnp.asarray(cosines(blocks, group)),
        merging_factor * merging_decay(group._replace(decay=0.0)) if merges(problem) else np.nan,
        merging_factor * crossing_decay(group._replace(decay=0.0)) if pairs else np.nan,
    )


def predict(problem):
    """State the minimiser of the program."""
    return stated(problem, minimum(group_of(problem)))


def shifted(factor):
    """Merge from `factor` times the right decay on, and not before."""

    def wrong(problem):
        group = group_of(problem)
        if group.decay >= factor * merging_decay(group._replace(decay=0.0)):
            return stated(problem, merged_blocks(group))
        both = int(group.sizes[0] > 1)
        # The separate branch at a decay at which there is one stands for the one that would be here.
        before = 0.97 * min(group.decay, merging_decay(group._replace(decay=0.0)))
        return stated(problem, stationary(group._replace(decay=before), (1, both, both, 1, 1)))

    return wrong


def merged(problem):
    """State the merged point."""
    return stated(problem, merged_blocks(group_of(problem)))


def simplex(problem):
    """State the angles of a simplex, of classifiers of the same norm as those of the theorem."""
    told, classes = predict(problem), problem.classes
    frame = jnp.trace(told.gram_weights) / (classes - 1) * (jnp.eye(classes) - 1 / classes)
    return told._replace(cosines=jnp.full(2, -1 / (classes - 1)), gram_weights=frame)


def has_threshold(instance):
    """Tell whether the minority merges at some decay."""
    return merges(instance.problem)


def has_majority_pairs(instance):
    """Tell whether there are two classes in the majority, and the minority merges at some decay."""
    return instance.problem.counts[0] == instance.problem.counts[1] and merges(instance.problem)


def thresholds(factor=1.0):
    """Make the claims about both decays, each multiplied by `factor`."""
    return (
        nct.Threshold(
            "minority collapse",
            r"w_k=w_l\iff\lambda_W\gamma/\rho^2\ge n_b/N",
            at_decay,
            minority_angle,
            lambda p: factor * p.merging,
            around_merging,
            applies=has_threshold,
        ),
        nct.Threshold(
            "angles cross",
            r"\cos_b<\cos_a",
            at_decay,
            wider,
            lambda p: factor * p.crossing,
            around_crossing,
            level=0.0,
            applies=has_majority_pairs,
        ),
    )


def regime(*words):
    """Select instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


def two_groups(instance):
    """Tell whether there are two sizes, the larger first, and two classes of the smaller one."""
    counts = instance.problem.counts
    ordered = counts == tuple(sorted(counts, reverse=True))
    return len(set(counts)) == 2 and ordered and counts.count(counts[-1]) >= 2


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(DECAYED, two_groups, DIM_OF_SIMPLEX),
        sources=(
            SUKENIK_2025.remark(
                "The model to which they reduce networks with LayerNorm, in their case with classes of equal size. Everything "
                "about two sizes is our own."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            *geometry_claims(),
            nct.Equality("cosines", r"\cos\angle(h_k,h_l)\text{ within groups}", group_cosines, lambda p: p.cosines),
            *thresholds(),
        ),
        controls=(
            nct.Control(
                "merged 3 % early",
                "the minority merged from 0.97 times the decay on",
                shifted(0.97),
                ("value", "logits", "cosines"),
                regime("apart, near merged"),
            ),
            nct.Control(
                "merged 3 % late",
                "the minority apart up to 1.03 times the decay",
                shifted(1.03),
                ("value", "logits", "cosines"),
                regime("merged, near apart"),
            ),
            nct.Control(
                "merged at any ratio", "the minority merged", merged, ("value", "cosines"), regime("never merged")
            ),
            nct.Control("simplex", "a simplex whatever the counts", simplex, ("cosines", "gram_weights")),
            nct.Control(
                "features 1e-6 off",
                "H^T H larger by 1e-6",
                lambda problem: predict(problem)._replace(gram_features=(1 + 1e-6) * predict(problem).gram_features),
                ("gram_features",),
            ),
            nct.Control("decays 0.1 % off", "both thresholds larger by 0.1 %", versions=thresholds(1.001)),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
