r"""Focal loss, balanced: the simplex ETF, and the jump of its scale.

The focal loss pays less attention to samples that are right already, and is not convex. With free features and n
samples of each of K classes its global minimisers are the simplex of cross-entropy all the same. But where there are
many classes the simplex does not shrink to nothing as the decay grows: it stays of a definite size, and then vanishes
at once, a first-order transition. Zero and the simplex are then both local minima, and where training ends depends on
where it starts.

Problem:
    $\min_{W,H,b}-\frac1N\sum_i(1-p_i)^\gamma\log p_i+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$, $p_i$ the softmax of $Wh_i+b$ at the label, over $W\in\mathbb R^{K\times d}$, the features
    $H\in\mathbb R^{d\times N}$ of $N=nK$ samples and, where there is one, the bias $b\in\mathbb R^K$.
Theorem (Zhou et al. 2022, number unchecked; scale, jump and the condition on the bias are our own):
    For $f=-\frac1N\sum_i(1-p_i)^\gamma\log p_i+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$, $p_i$ the softmax of $Wh_i+b$ at the label, let $\kappa=\sqrt{n\lambda_W\lambda_H}$ and,
    for logits $aS$, $p(a)=1/(1+(K-1)e^{-a})$, $\ell(a)=-(1-p)^\gamma\log p$, $G(a)=(1-p)^\gamma[(1-p)-\gamma p\log p]$.
    Every global minimiser has $WH=a^*S\otimes1_n^\top$, $b$ constant,
    $WW^\top=\sqrt{\lambda_H/\lambda_W}\,a^*\sqrt n\,S$, $w_k=\sqrt{\lambda_Hn/\lambda_W}\,h_k$ and value
    $\ell(a^*)+(K-1)\kappa a^*$, where $a^*$ is 0 or the larger root of $G(a)=(K-1)\kappa$, whichever has the lower
    value: the root iff $(K-1)\kappa<\sup_{a>0}(\ell(0)-\ell(a))/a$. Where $G$ first rises
    ($\gamma\log K\,(K-1-\gamma)>(2\gamma+1)(K-1)$, so for no $K<18$ at $\gamma=3$), $a^*$ jumps to 0, and at the jump
    both are global minimisers.
Hypotheses:
    - focal loss, gamma >= 0
    - free features
    - balanced classes, K >= 2
    - d >= K-1
    - all decays > 0
    - bias none; or free or decayed, where (K-1) kappa <= 1 or G(0) <= 1
Notation:
    Lin et al.: gamma as here, no class weights; Zhou et al.: lambdas as here, the fit is the mean over N = nK.
Why:
    Let $a_i$ be the logit of the label of sample i less the mean of its other logits. By Jensen's inequality
    $p_i\le p(a_i)$, and the loss falls in p: it is at least $\ell(a_i)$. The factors cost at least
    $\sqrt{\lambda_W\lambda_H}|WH|_*$, and pairing WH with $SY/\sqrt n$, whose spectral norm is 1, bounds that from
    below by $(K-1)\kappa$ times the mean of the $a_i$, from which a bias drops out. Without a bias $h_i$ may be
    replaced by $-h_i$ where $a_i<0$, which lowers the bound on the fit. So $f\ge\min_{a\ge0}\ell(a)+(K-1)\kappa a$, and
    equality in all steps makes WH a multiple of SY. As $\ell'=-G$, and G, which is 1 at $a\to-\infty$, rises at first
    ($\gamma>0$) and then falls to 0, that minimum is at 0 or at the larger root. With a bias some $a_i<0$ are possible,
    but for $u\le1$ the function $\ell(a)+ua$ has one minimum over all real a: at the larger root for $u=(K-1)\kappa$ if
    that is at most $G(0)$, and at 0 for $u=G(0)$ otherwise.
Checked:
    Random starts are polished without the flow. Each sample's loss is at least a function of its margin alone, and the
    decays cost at least a price for each margin; the least sum of both, searched for in that one number, bounds the
    minimum from below without convexity. This rests on the inequalities of the proof and not on the equation of the
    scale. The value must lie in the interval so certified. Logits, $WW^\top$, $H^\top H$, both norms, self-duality and
    the bias are compared at the certified ends; that there is no other global minimiser is not certified, because the
    loss is not convex, and so these are sampled. The onset is located by bisection between certified ends, for K up to
    20. Where zero and collapse are both local minima, starts of two sizes reach either.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or an onset outside its last bracket.
    The same check must refute an onset 3 % too early or too late; a continuous onset where the scale jumps; the root
    wherever it exists, although zero has a lower value; the scale of cross-entropy; a derivative that leaves the weight
    of a sample out; an orthogonal frame; norms and the scale of self-duality off by 1e-6; and a bias that favours the
    first class.
Example:
    The value, and the squared norm of W, in closed form and at the ends of four random starts.

    >>> rng = np.random.default_rng(0)
    >>> problem = instance(rng, shape=(3, 2, 2), gamma=2.0, strength=0.1, bias=None).problem
    >>> minimum = nct.closed_form.focal_minimum(problem)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, *ends.value)]
    [0.183658, 0.183658, 0.183658, 0.183658, 0.183658]
    >>> [round(float(norm), 6) for norm in (minimum.weight_norm, *(ends.params.weights[0] ** 2).sum(axis=(1, 2)))]
    [2.415725, 2.415725, 2.415725, 2.415725, 2.415725]
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import LIN_2017, ZHOU_2022_LOSSES
from proofs_numeric.hypotheses import BALANCED, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.losses.focal_scale import (
    ID,
    continued,
    ends_of_coexistence,
    gamma_ignored,
    onset,
    orthogonal_frame,
    parts,
    predict,
    slope_of_the_power_ignored,
    up_to,
)
from proofs_numeric.pool import near, pick
from proofs_numeric.shallow.strength import decay_ratio, decays, logit_size, strengths

# A shape is (K, d, n), and whether there is a bias. With these K the scale ends continuously for every gamma up to 5.
SMALL = (((2, 1, 1), True), ((2, 3, 4), False), ((3, 2, 5), True))
MIDDLE = (((4, 6, 3), True), ((5, 4, 2), True))
LARGE = (((6, 5, 12), False), ((8, 9, 3), False))
# At these (K, d, n) it jumps for gamma between 2.2 and 3.2. K = 18 is the least for which it does; these make it plain.
JUMPS = ((22, 21, 1), (26, 27, 1))
FAR_STARTS, NEAR_STARTS = 3.0, 0.2
"""Where zero and collapse are both local minima, most starts of these scales fall to collapse or to zero."""


def draw_instances(key):
    """Draw four shapes: very weak to moderate decay, about the onset and beyond; in the last one the scale jumps."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape, has_bias in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        for relative in strengths(rng):
            gamma = (0.0, rng.uniform(0.1, 1.0), rng.uniform(1.0, 5.0))[int(rng.choice(3, p=[0.1, 0.4, 0.5]))]
            bias = [0.0, 10.0 ** rng.uniform(-3, -1)][len(drawn) % 2] if has_bias else None
            drawn.append(instance(rng, shape, gamma, relative * onset(gamma, shape[0]), bias))
    (shape,) = pick(rng, JUMPS)
    gamma = rng.uniform(2.2, 3.2)
    critical = onset(gamma, shape[0])
    steep, top = ends_of_coexistence(gamma, shape[0])
    down, up = rng.uniform(0.4, 0.7, size=2)
    drawn.append(instance(rng, shape, gamma, critical - down * (critical - steep), None, FAR_STARTS))
    for above in (False, True):
        strength = near(rng, above=above) * critical
        drawn.append(instance(rng, shape, gamma, strength, None, NEAR_STARTS if above else FAR_STARTS))
    drawn.append(instance(rng, shape, gamma, critical + up * (top - critical), None, NEAR_STARTS))
    return drawn


def instance(rng, shape, gamma, strength, bias, starts=None):
    """Build the instance with (K-1) sqrt(n lambda_W lambda_H) = `strength`."""
    classes, dim, n = shape
    relative = float(strength / onset(gamma, classes))
    ratio = decay_ratio(rng, relative) if starts is None else 10.0 ** rng.uniform(-0.3, 0.3)
    decay = decays(classes, n, classes / (classes - 1) * strength, ratio)
    problem = nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss=nct.losses.focal(gamma), weight_decay=decay, bias=bias
    )
    shown = {"K": classes, "d": dim, "n": n, "gamma": float(gamma), "lambda_W": decay[0], "lambda_H": decay[1]}
    shown |= {"(K-1)kappa": float(strength), "(K-1)kappa/onset": relative}
    return nct.Instance(problem, {**shown, "bias": "none" if bias is None else float(bias)}, scale=starts)


def at_relative_decay(problem, strength):
    """Return the problem with (K-1) kappa = `strength` and the same ratio of the decays."""
    factor = strength / parts(problem)[2]
    return dataclasses.replace(problem, weight_decay=np.asarray(factor * problem.weight_decay))


def around_onset(problem):
    """Name values of (K-1) kappa well on either side of the onset, at which there is one kind of minimiser."""
    return 0.1, 3.0


def jumps(one):
    """Tell whether the scale of an instance's family ends in a jump."""
    return one.problem.classes >= JUMPS[0][0]


def small_enough(one):
    """Tell whether locating the onset is cheap at an instance: it is, up to twenty classes."""
    return one.problem.classes <= 20


def bias_allowed(one):
    """Tell whether the bias is as the theorem demands: none, or (K-1) kappa <= 1, or G(0) <= 1."""
    classes, gamma, strength = parts(one.problem)
    steep = nct.closed_form.focal_strength(0.0, gamma, classes)
    return one.problem.bias_decay is None or min(float(strength), float(steep)) <= 1


ONSET = nct.Threshold(
    "onset",
    r"WH=0\iff(K-1)\kappa\ge\sup_{a>0}(\ell(0)-\ell(a))/a",
    at_relative_decay,
    logit_size,
    lambda found: found.onset,
    around_onset,
    applies=small_enough,
)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "focal") and float(i.problem.loss.gamma) >= 0,
            FREE_FEATURES,
            BALANCED,
            DIM_SIMPLEX,
            POSITIVE_DECAYS,
            bias_allowed,
        ),
        sources=(
            ZHOU_2022_LOSSES.remark(
                "Collapse of the global minimisers for losses that include focal. The equation for p*, the choice "
                "between its roots, the jump and the condition on the bias are our own."
            ),
            LIN_2017.remark("The loss."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(*nct.theorems.collapse_claims(), ONSET),
        controls=(
            nct.Control(
                "threshold low",
                "zero already from 0.97 of the onset on",
                up_to(lambda gamma, classes: 0.97 * nct.closed_form.focal_onset(gamma, classes)),
            ),
            nct.Control("threshold high", "collapse up to 1.03 of the onset, the scale continued", continued),
            nct.Control(
                "continuous onset",
                "zero from (K-1) kappa = G(0) on, where zero becomes a local minimum",
                up_to(lambda gamma, classes: nct.closed_form.focal_strength(0.0, gamma, classes)),
                applies=jumps,
            ),
            nct.Control(
                "root taken wherever it exists",
                "the root of largest p, although zero has a lower value",
                up_to(lambda gamma, classes: jnp.inf),
                applies=jumps,
            ),
            nct.Control("gamma ignored", "a* of cross-entropy", gamma_ignored, claims=("logits", "weight_norm")),
            nct.Control(
                "power not differentiated",
                "(1-p)^(gamma+1) = (K-1) kappa",
                slope_of_the_power_ignored,
                claims=("logits", "weight_norm"),
            ),
            nct.Control("orthogonal frame", "orthogonal class directions", orthogonal_frame, claims=("gram_weights",)),
            *nct.theorems.collapse_controls(predict),
        ),
        several_basins=True,
        method=nct.Solve(flow=False),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
