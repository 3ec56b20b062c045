r"""Cross-entropy, features that are not negative: classes are orthogonal, and vanish one by one.

Where a ReLU keeps the features from being negative, classes cannot oppose each other: with cross-entropy and any class
sizes their means are orthogonal. Each class then minds its own decay. Its length depends on its own size alone, and as the
decay grows the classes vanish one by one, the smallest first, at a threshold of their own, whereas without the ReLU a class
of a size that no other has never vanishes before the means do. In the usual geometry of neural collapse there is no simplex
in the features; it is in the classifier that each class is held against the mean.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(W\sigma(h_i),y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W\in\mathbb R^{K\times d}$ and the features $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples, $\sigma$ a ReLU.
Theorem (Dang et al. 2024, number unchecked; these formulas and the proof by duality are our own):
    Let $f=\frac1N\sum_i\mathrm{CE}(W\sigma(h_i),y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$,
    $\lambda=\sqrt{\lambda_W\lambda_H}$, $1-p_k=N\lambda\sqrt{\frac{K-1}{Kn_k}}$ and
    $m_k=\log\big((K-1)\frac{p_k}{1-p_k}\big)$ if this is positive, else 0. Every global minimiser has the class means
    $z_k=m_k(e_k-\frac1K)$, mutually orthogonal features of $|\sigma(h_k)|^2=\sqrt{\frac{\lambda_W(K-1)}{\lambda_Hn_kK}}m_k$,
    $WW^\top=\sum_k\sqrt{\frac{\lambda_Hn_kK}{\lambda_W(K-1)}}m_k(e_k-\frac1K)(e_k-\frac1K)^\top$, and
    $\min f=\sum_k\frac{n_k}N\log(1+(K-1)e^{-m_k})+\lambda\sqrt{\frac{n_k(K-1)}K}m_k$. Class k vanishes exactly where
    $n_k\le N^2\lambda_W\lambda_H\frac K{K-1}$.
Hypotheses:
    - cross-entropy of one-hot labels
    - free features behind a ReLU, one layer
    - any class counts, K >= 2
    - d >= K
    - all decays > 0
    - no bias
Notation:
    Dang et al.: lambdas as here, features bounded below by zero; with a decay that is what the ReLU gives.
Why:
    The Gram matrix B of the features is positive semidefinite and has no negative entry. With the fit's slope G in the logits
    the decays and the linear part of the fit are at least $\frac12\langle B,\lambda_HI-G^\top G/\lambda_W\rangle$, so that
    $-\mathrm{fit}^*(G)$ is a lower bound as soon as $\lambda_W\lambda_HI-G^\top G$ is the sum of a positive semidefinite
    matrix and one without negative entries. At the point stated $g_i=-\frac1N(1-p_k)\frac K{K-1}(e_k-\frac1K)$ for a sample of
    class k: products between classes are negative and may be left out, and the block of class k has the eigenvalue
    $n_k|g_i|^2=\frac{n_k}{N^2}(1-p_k)^2\frac K{K-1}$. It is $\lambda^2$ where the class is on, which gives $p_k$, and less
    where all its probabilities are $\frac1K$.
Checked:
    Random starts are followed along the flow that slides on the kinks to their ends, where the least subgradient vanishes.
    The dual above, at whatever slope an end has, bounds the minimum from below without the formula: the value lies in the
    interval so certified. Logits, Gram matrices and the decay terms are compared at the certified ends, to what their
    gradients leave open along the manifold of the kinks met (sampled: uniqueness is not certified there). The threshold of
    the smallest class is located by bisection between certified ends, where classes differ in size.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a threshold outside its bracket. The same
    check must refute a threshold without K/(K-1), one 3 % too early or too late, features that may be negative, the simplex in
    the features, the arithmetic mean of the decays, one size for all classes, everything 1e-6 off, and in the bisection a
    threshold 0.1 % off.
Example:
    The value by the formula, and at the best of eight random starts the value, its lower bound and the cosine of two classes.

    >>> problem = nct.deep_nonlinear(
    ...     widths=(4, 3), counts=(8, 4, 2), loss="cross_entropy", weight_decay=(0.02, 0.02), nonnegative_features=True
    ... )
    >>> ends = nct.solve(problem, seeds=8)
    >>> best = int(np.argmin(ends.value))
    >>> lower = nct.certify(problem, ends.params).lower_bound[best]
    >>> [round(float(value), 6) for value in (predict(problem).value, ends.value[best], lower)]
    [0.395865, 0.395865, 0.395865]
    >>> features = np.maximum(ends.params.features[best], 0.0)
    >>> bool(abs(features[:, 0] @ features[:, 8]) < 1e-9)
    True
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import DANG_2024
from proofs_numeric.hypotheses import ANY_COUNTS, DIM_CLASSES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.orthogonal_classes import (
    free_features,
    off_by,
    onset,
    predict,
    predict_with,
    simplex_features,
)
from proofs_numeric.pool import log_uniform, near, pick

ID = "dang-relu-ce"
# A shape is (counts, d). Two classes, a sample a class, equal classes, a class larger than all others.
SMALL = (((3, 1), 2), ((2, 1), 3))
SEVERAL = (((4, 2, 1), 3), ((3, 3, 1), 4))
MORE = (((6, 2, 2, 1), 5), ((4, 3, 2, 2), 4), ((2, 2, 2, 2), 4))


def draw_instances(key):
    """Draw for each shape a weak decay, one near the smallest class's threshold on either side, between, and beyond all."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for counts, dim in (*pick(rng, SMALL), *pick(rng, SEVERAL), *pick(rng, MORE)):
        first, last = (onset(n, len(counts)) for n in (min(counts), max(counts)))
        strengths = [(first * log_uniform(rng, 0.05, 0.7), "all apart")]
        strengths += [
            (first * near(rng, above=False, closest=3e-3), "below"),
            (first * near(rng, above=True, closest=1e-3), "above"),
        ]
        if first < last:
            strengths.append((np.sqrt(first * last) * rng.uniform(0.95, 1.05), "some vanish"))
        strengths.append((last * rng.uniform(1.05, 1.5), "zero"))
        drawn += [build_instance(rng, counts, dim, *one) for one in strengths]
    return drawn


def build_instance(rng, counts, dim, strength, regime):
    """Build the instance with N lambda = `strength` and decays of a ratio up to ten."""
    ratio = 10 ** rng.uniform(-0.5, 0.5)
    lam = strength / sum(counts)
    problem = nct.deep_nonlinear(
        widths=(dim, len(counts)),
        counts=counts,
        loss="cross_entropy",
        weight_decay=(lam * ratio, lam / ratio),
        nonnegative_features=True,
    )
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "N lambda": float(strength)}
    return nct.Instance(problem, {**shown, "regime": regime})


def unequal(instance):
    """Tell whether classes differ in size: equal ones vanish all at once, where next to no start has all of them on."""
    return len(set(instance.problem.counts)) > 1


def threshold_claim(moved=1.0):
    """Claim where the smallest class vanishes, or that it does so elsewhere."""
    return nct.Threshold(
        "onset", r"n_k\le N^2\lambda_W\lambda_H\frac K{K-1}", at_strength, margin_of_the_smallest,
        lambda p: moved * p.threshold, far_around, applies=unequal,
    )  # fmt: skip


class NearFrames(nct.problems.DeepNonlinear):
    """The same model started near orthogonal classes: close below its onset few random starts have the smallest class on.

    Which of its end states is the minimum is for the certificate to say.
    """

    def init(self, key, scale):
        """Start with one direction a class, all on, with a few per cent of noise."""
        labels = np.repeat(np.arange(self.classes), np.asarray(self.counts))
        features = jnp.zeros((self.widths[0], len(labels))).at[labels, np.arange(len(labels))].set(1.0)
        weights = (
            jnp.zeros((self.classes, self.widths[0]))
            .at[:, : self.classes]
            .set(jnp.eye(self.classes) - 1 / self.classes)
        )
        noise = super().init(key, 0.05)
        return nct.problems.ChainParams((weights + noise.weights[0],), features + jnp.asarray(noise.features), None)


def at_strength(problem, strength):
    """Return the problem at another N lambda, with the same ratio of the decays."""
    decay = np.asarray(problem.weight_decay)
    moved = decay * strength / sum(problem.counts) / np.sqrt(decay[0] * decay[1])
    fields = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
    return NearFrames(**{**fields, "weight_decay": moved})


def margin_of_the_smallest(problem, params):
    """Return the logit of the smallest class less the mean of the others, at its first sample."""
    smallest = int(np.argmin(problem.counts))
    logits = problem.logits(params)[:, sum(problem.counts[:smallest])]
    return logits[smallest] - (jnp.sum(logits) - logits[smallest]) / (problem.classes - 1)


def far_around(problem):
    """Name values of N lambda on either side of the onset."""
    first = onset(min(problem.counts), problem.classes)
    return 0.5 * first, 1.6 * first


def in_regime(*names):
    """Select instances of some regimes."""
    return lambda instance: instance.parameters["regime"] in names


ALONE = nct.Hypothesis(
    "free features behind a ReLU, one layer",
    lambda i: i.problem.inputs is None and i.problem.activations == ("relu",) and i.problem.depth == 1,
)

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            nct.Hypothesis(
                "cross-entropy of one-hot labels", lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy")
            ),
            ALONE,
            ANY_COUNTS,
            DIM_CLASSES,
            POSITIVE_DECAYS,
            NO_BIAS,
        ),
        sources=(
            DANG_2024.remark(
                "Their abstract: orthogonal class means of lengths that depend on the sizes, a classifier aligned with scaled "
                "and centred means, exact thresholds of collapse. The formulas here and the certificate are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("logits", r"W\sigma(H)", lambda problem, params: problem.logits(params), lambda p: p.logits),
            nct.Equality(
                "gram_features",
                r"\sigma(H)^\top\sigma(H)",
                lambda problem, params: problem.layers(params)[0].T @ problem.layers(params)[0],
                lambda p: p.gram_features,
            ),
            nct.Equality(
                "gram_weights",
                r"WW^\top",
                lambda problem, params: params.weights[0] @ params.weights[0].T,
                lambda p: p.gram_weights,
            ),
            nct.Equality(
                "regulariser",
                r"\frac{\lambda_W}2|W|^2+\frac{\lambda_H}2|H|^2",
                lambda problem, params: problem.regulariser(params),
                lambda p: p.regulariser,
            ),
            threshold_claim(),
        ),
        controls=(
            nct.Control(
                "threshold without K/(K-1)",
                "a class vanishes where n_k <= N^2 lambda_W lambda_H",
                predict_with(factor=lambda classes: 1.0),
                ("value", "logits", "onset"),
            ),
            nct.Control(
                "threshold low",
                "classes vanish at 0.97 of the onset",
                predict_with(on_until=0.97),
                ("logits",),
                in_regime("below"),
            ),
            nct.Control(
                "threshold high",
                "the formula goes on to 1.03 of the onset",
                predict_with(on_until=1.03),
                ("logits",),
                in_regime("above"),
            ),
            nct.Control("features of any sign", "the minimum without the ReLU", free_features, ("value",)),
            nct.Control("simplex", "features of classes oppose each other", simplex_features, ("gram_features",)),
            nct.Control(
                "arithmetic mean",
                "(lambda_W + lambda_H)/2 in the place of lambda",
                predict_with(strength=lambda w, h: 0.5 * (w + h)),
                ("value", "logits"),
            ),
            nct.Control(
                "one size",
                "N/K in the place of n_k",
                predict_with(same_size=True),
                ("logits", "gram_weights"),
                unequal,
            ),
            nct.Control(
                "1e-6 off",
                "everything larger by a relative 1e-6",
                off_by(1e-6),
                ("value", "logits", "gram_features", "gram_weights", "regulariser"),
            ),
            nct.Control("threshold 0.1 % off", "the threshold larger by 0.1 %", versions=(threshold_claim(1.001),)),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
