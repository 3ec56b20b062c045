r"""Squared error, imbalanced, free bias: centred targets, soft-thresholded.

With squared error and a free bias the sizes of the classes enter through the covariance of their labels alone. The bias
takes over the frequencies of the classes; each principal direction of what is left is learned if it is stronger than
the decay, shrunk by it, and lost otherwise. So there is a ladder of thresholds, one for each of K - 1 directions, in
the place of the single one of balanced classes, and whole directions are lost, not classes, whatever n.

Problem:
    $\min_{W,H,b}\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W\in\mathbb R^{K\times d}$, the features $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples with one-hot labels
    Y, and the bias $b\in\mathbb R^K$.
Theorem (Tirer and Bruna 2022, Zhou et al. 2022, number unchecked, for equal counts; any counts are our own):
    For $f=\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with counts
    $n=(n_1,\dots,n_K)$ let $\lambda=\sqrt{\lambda_W\lambda_H}$, $D=\mathrm{diag}(n)$ and
    $Y_c=Y-\frac1Nn1^\top=U\mathrm{diag}(\sigma)V^\top$, so that $\sigma_i^2$ are the $K-1$ non-zero eigenvalues of
    $D-nn^\top/N$. Every global minimiser has $b=n/N$, $WH=U\mathrm{diag}(s)V^\top$ with $s_i=(\sigma_i-N\lambda)_+$ for
    the $d$ largest $\sigma_i$ and $0$ for the others, $WW^\top=\sqrt{\lambda_H/\lambda_W}\,U\mathrm{diag}(s)U^\top$,
    $H^\top H=\sqrt{\lambda_W/\lambda_H}\,V\mathrm{diag}(s)V^\top$, $H=\sqrt{\lambda_W/\lambda_H}\,W^\top UV^\top$, and
    $\min f=\sum_{s_i>0}(\frac N2\lambda^2+\lambda s_i)+\sum_{s_i=0}\frac{\sigma_i^2}{2N}$.
Hypotheses:
    - squared error
    - free features
    - any class counts, K >= 2
    - all decays > 0
    - a free bias
    - any d; where not all sigma_i > N lambda fit into d, no tie of them at that cut
Notation:
    lambda_W, lambda_H belong to the fit 1/(2N)|.|^2. U V^T = (Y_c Y_c^T)^{+1/2} Y_c.
Why:
    The best bias is the mean of the columns of $Y-Z$, $Z=WH$, and leaves the centred $Z-Y$ in the fit. Taking the mean
    of its columns from H lowers the decay and leaves the fit alone, so that $H1=0$ at a minimum, $b=Y1/N=n/N$, and Y
    may be replaced by $Y_c$; $Y_cY_c^\top=D-nn^\top/N$. The factors cost at least $\lambda|Z|_*$ (`red-nuclear`), and
    by von Neumann's inequality $|Z-Y_c|_F^2\ge\sum_i(s_i-\sigma_i)^2$: f is at least
    $\sum_i[\frac1{2N}(s_i-\sigma_i)^2+\lambda s_i]$ with at most d positive $s_i$. Each summand has its minimum at
    $(\sigma_i-N\lambda)_+$, where it is $\frac N2\lambda^2+\lambda s_i$ or $\frac{\sigma_i^2}{2N}$, and gains
    $\frac1{2N}(\sigma_i-N\lambda)_+^2$ over $s_i=0$: the d largest are on. Equality asks for common singular vectors,
    which gives Z, and for balanced factors, $W=(\lambda_H/\lambda_W)^{1/4}U\mathrm{diag}(s)^{1/2}Q$ and
    $H=(\lambda_W/\lambda_H)^{1/4}Q^\top\mathrm{diag}(s)^{1/2}V^\top$, from which the rest is read off.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program and a sum
    of scalar problems bound the minimum from below, and the value must lie in the interval so certified. Logits,
    $WW^\top$, $H^\top H$, the singular values of both factors, the bias, and the alignment of H with $W^\top UV^\top$
    are compared at the certified ends, to what their gradients leave open. These are certified to hold at every global
    minimiser where strict complementarity and a Hessian that is positive definite off the gauge show that there is no
    other, and sampled elsewhere. The balance of the factors is compared at all converged ends, and sampled. The largest
    and the least $\sigma$ that can be on are located as thresholds, by bisection between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a threshold outside its last bracket.
    The same check must refute directions lost 3 % too early or too late, targets that are not centred, the arithmetic
    mean of the decays, directions that are never lost, the uniform bias of equal classes, directions beyond the feature
    dimension, thresholds 0.1 % too late, and alignment, Gram matrices, singular values and decays off by 1e-6.
Example:
    Two classes of three samples and of one: the value, and the bias of the first class, in closed form and at the ends
    of four random starts.

    >>> problem = nct.unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1), bias=0.0)
    >>> told, ends = predict(problem), nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (told.value, *ends.value)]
    [0.102474, 0.102474, 0.102474, 0.102474, 0.102474]
    >>> [round(float(bias[0]), 6) for bias in (told.bias, *ends.params.bias)]
    [0.75, 0.75, 0.75, 0.75, 0.75]
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022
from proofs_numeric.hypotheses import ANY_COUNTS, FREE_BIAS, FREE_FEATURES, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.imbalanced.mse_predictions import arithmetic, predict, spectrum, uniform_bias, variant
from proofs_numeric.pool import log_uniform, near, pick
from proofs_numeric.thresholds import DISTINCT

ID = "ufm-mse-bias-imbalanced"
# A shape is (counts, d). Tied directions at d = K-1, one sample a class, two classes and a ratio of a hundred are among them.
SMALL = (((1, 1), 1), ((9, 1), 3), ((1, 1, 1), 2), ((100, 1), 1))
MIDDLE = (((5, 3, 2, 1), 5), ((4, 4, 1, 1), 3), ((20, 6, 1, 1, 1), 4))
LARGE = (((12, 9, 5, 3, 2, 1), 6), ((120, 30, 6, 1), 3), ((5, 5, 4, 3, 3, 2, 1, 1), 9))
NARROW = (((5, 3, 2, 1), 2), ((8, 4, 2, 2, 1), 3))


def draw_instances(key):
    """Draw for each shape very weak and weak decay, N lambda near a sigma on either side, and beyond all of them."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for counts, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        sigma = spectrum(counts)
        drawn.append(build_instance(rng, counts, dim, sigma[-1] * log_uniform(rng, 5e-4, 1e-2), "all on"))
        drawn.append(build_instance(rng, counts, dim, sigma[-1] * log_uniform(rng, 1e-2, 0.5), "all on"))
        different = np.flatnonzero(np.append(np.diff(sigma) < -DISTINCT * sigma[0], True))
        for i in sorted({0, int(rng.choice(different))}):
            drawn.append(build_instance(rng, counts, dim, sigma[i] * near(rng, above=False), "just on"))
            drawn.append(build_instance(rng, counts, dim, sigma[i] * (1 + log_uniform(rng, 1e-3, 3e-2)), "just off"))
    drawn.append(build_instance(rng, *MIDDLE[0], spectrum(MIDDLE[0][0])[0] * log_uniform(rng, 1.3, 30.0), "all off"))
    for counts, dim in pick(rng, NARROW):
        for share in (log_uniform(rng, 1e-3, 0.5), rng.uniform(0.6, 0.9)):
            drawn.append(build_instance(rng, counts, dim, spectrum(counts)[-1] * share, "narrow"))
    return drawn


def build_instance(rng, counts, dim, threshold, regime):
    """Build the instance with N lambda = `threshold` and decays of a ratio up to a thousand."""
    ratio = 10 ** rng.uniform(-1.5, 1.5)
    product = (threshold / sum(counts)) ** 2
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(counts=counts, dim=dim, loss="mse", weight_decay=decay, bias=0.0)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "N lambda": float(threshold)}
    return nct.Instance(problem, {**shown, "lambda_W": decay[0], "lambda_H": decay[1], "regime": regime})


def aligned(scale):
    """Claim that H is `scale` times what W makes of the targets."""

    def alignment(problem, params):
        left, _, right = nct.closed_form.class_target_spectrum(problem.counts, reduced=False)
        ratio = scale * jnp.sqrt(problem.weight_decay[0] / problem.weight_decay[1])
        return params.features - ratio * params.weights[0].T @ jnp.asarray(left @ right)

    return nct.Equality(
        "alignment",
        r"H-\sqrt{\lambda_W/\lambda_H}W^\top UV^\top=0",
        alignment,
        lambda m: jnp.zeros(()),
        size=lambda problem, params: jnp.sqrt(jnp.sum(params.features**2)),
    )


def at_threshold(problem, threshold):
    """Return the problem with N lambda = `threshold` and the same ratio of the decays."""
    factor = threshold / (sum(problem.counts) * nct.closed_form.decay_strength(problem))
    return dataclasses.replace(problem, weight_decay=np.asarray(factor * problem.weight_decay))


def first_direction(problem, params):
    """Return the largest singular value of W H."""
    return jnp.linalg.norm(problem.product(params), ord=2)


def last_direction(problem, params):
    """Return the least singular value of W H among the min(d, K-1) that can be positive."""
    return jnp.linalg.svd(problem.product(params), compute_uv=False)[min(problem.widths[0], problem.classes - 1) - 1]


def far_around(index):
    """Name decays on either side of sigma_i, which lies between sqrt(n_{i+1}) and sqrt(n_i)."""

    def between(problem):
        i = index(problem)
        roots = np.sqrt(np.sort(problem.counts)[::-1])
        return 0.2 * float(roots[i + 1]), 5.0 * float(roots[i])

    return between


FIRST = far_around(lambda problem: 0)
LAST = far_around(lambda problem: min(problem.widths[0], problem.classes - 1) - 1)


def thresholds(factor):
    """Make the claims about the largest and the least sigma that can be on, each multiplied by `factor`."""
    return (
        nct.Threshold(
            "onset",
            r"WH=0\iff N\lambda\ge\sigma_1",
            at_threshold,
            first_direction,
            lambda p: factor * p.sigma[0],
            FIRST,
        ),
        nct.Threshold(
            "last direction",
            r"s_r=0\iff N\lambda\ge\sigma_r,\;r=\min(d,K-1)",
            at_threshold,
            last_direction,
            lambda p: factor * p.sigma[p.rank - 1],
            LAST,
            applies=several_directions,
        ),
    )


def several_directions(instance):
    """Tell whether more than one direction can be on."""
    return min(instance.problem.widths[0], instance.problem.classes - 1) > 1


def regime(*words):
    """Select instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


def no_tie_at_cut(instance):
    """Tell whether a direction left out for want of width is smaller than the last that is kept, or both are off."""
    sigma, dim = spectrum(instance.problem.counts), instance.problem.widths[0]
    strength = float(sum(instance.problem.counts) * nct.closed_form.decay_strength(instance.problem))
    return bool(dim >= sigma.size or sigma[dim] < sigma[dim - 1] * (1 - DISTINCT) or sigma[dim - 1] <= strength)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            FREE_FEATURES,
            ANY_COUNTS,
            POSITIVE_DECAYS,
            FREE_BIAS,
            no_tie_at_cut,
        ),
        sources=(
            TIRER_2022.remark(
                "Balanced counts, free bias. The closed form for any counts, its proof (nuclear norm and von Neumann's trace "
                "inequality) and the case of small d are our own; the abstract of arXiv:2411.17278 has the singular values."
            ),
            ZHOU_2022.remark("Balanced counts."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            *nct.theorems.chain_claims(),
            nct.Equality(
                "bias",
                r"b=n/N",
                lambda problem, params: params.bias,
                lambda m: m.bias,
            ),
            aligned(1.0),
            *thresholds(1.0),
        ),
        controls=(
            nct.Control(
                "threshold low",
                "off already from N lambda = 0.97 sigma on",
                variant(lambda sigma, threshold: sigma > threshold / 0.97),
                applies=regime("just on"),
            ),
            nct.Control(
                "threshold high",
                "on up to N lambda = 1.03 sigma, the formula continued",
                variant(lambda sigma, threshold: sigma > threshold / 1.03),
                applies=regime("just off"),
            ),
            nct.Control(
                "uncentred targets",
                "the eigenvalues n_k of D in the place of those of D - n n^T/N",
                variant(centred=False),
                claims=("value", "gram_weights"),
                applies=regime("all on", "just on"),
            ),
            nct.Control("arithmetic mean", "(lambda_W + lambda_H)/2 instead of lambda", variant(strength=arithmetic)),
            nct.Control(
                "never off",
                "every direction shrunk by N lambda, with its sign",
                variant(lambda sigma, threshold: sigma > 0),
                claims=("logits",),
            ),
            nct.Control("uniform bias", "b = 1/K", uniform_bias, claims=("bias",)),
            nct.Control(
                "rank beyond d",
                "directions beyond the feature dimension on",
                variant(rank=False),
                claims=("value",),
                applies=regime("narrow"),
            ),
            nct.Control("scale 1e-6 off", "alignment with a scale larger by 1e-6", versions=(aligned(1.0 + 1e-6),)),
            nct.Control("thresholds 0.1 % off", "both larger by 0.1 %", versions=thresholds(1.001)),
            *nct.theorems.chain_controls(predict),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
