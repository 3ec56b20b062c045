r"""Focal loss, balanced: the simplex ETF, and the jump of its scale.

The focal loss with free features: a simplex ETF whose scale may end in a jump to zero.

Theorem:
    For $f=-\frac1N\sum_i(1-p_i)^\gamma\log p_i+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$, $p_i$ the softmax of $Wh_i+b$ at the label, let $\kappa=\sqrt{n\lambda_W\lambda_H}$ and, for
    logits $aS$, $p(a)=1/(1+(K-1)e^{-a})$, $\ell(a)=-(1-p)^\gamma\log p$, $G(a)=(1-p)^\gamma[(1-p)-\gamma p\log p]$. Every
    global minimiser has $WH=a^*S\otimes1_n^\top$, $b$ constant, $WW^\top=\sqrt{\lambda_H/\lambda_W}\,a^*\sqrt n\,S$,
    $w_k=\sqrt{\lambda_Hn/\lambda_W}\,h_k$ and value $\ell(a^*)+(K-1)\kappa a^*$, where $a^*$ is 0 or the larger root of
    $G(a)=(K-1)\kappa$, whichever has the lower value: the root iff $(K-1)\kappa<\max_a(\ell(0)-\ell(a))/a$. Where $G$ first
    rises ($\gamma\log K\,(K-1-\gamma)>(2\gamma+1)(K-1)$, so for no $K<18$ at $\gamma=3$), $a^*$ jumps to 0, and at the jump
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
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import LIN_2017, ZHOU_2022_LOSSES
from proofs_numeric.hypotheses import BALANCED, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.pool import near, pick
from proofs_numeric.shallow.strength import decay_ratio, decays, located, logit_size, strengths

ID = "ufm-focal"
# (K, d, n), and whether there is a bias; with these K the scale goes to zero continuously for every gamma up to 5.
SMALL = (((2, 1, 1), True), ((2, 3, 4), False), ((3, 2, 5), True))
MIDDLE = (((4, 6, 3), True), ((5, 4, 2), True))
LARGE = (((6, 5, 12), False), ((8, 9, 3), False))
# (K, d, n) at which it jumps for gamma between 2.2 and 3.2: for these K = 18 is the least, and these make the jump plain.
JUMPS = ((22, 21, 1), (26, 27, 1))
FAR_STARTS, NEAR_STARTS = 3.0, 0.2
"""Where zero and collapse are both local minima, starts of these scales fall mostly to collapse or to zero."""


def draw_instances(key):
    """Four shapes: very weak to moderate decay, about the onset and beyond; in the last one the scale jumps."""
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


def onset(gamma, classes):
    """The (K-1) kappa at which the global minimum becomes zero."""
    with jax.enable_x64(True):
        return float(nct.closed_form.focal_onset(gamma, classes))


def ends_of_coexistence(gamma, classes):
    """The (K-1) kappa between which zero and a collapsed solution are both local minima: G(0) and max G."""
    with jax.enable_x64(True):
        steps = np.asarray(nct.closed_form.focal_strength(jnp.linspace(0.0, 5.0, 20_001), gamma, classes))
    return float(steps[0]), float(np.max(steps))


def instance(rng, shape, gamma, strength, bias, starts=None):
    """The instance with (K-1) sqrt(n lambda_W lambda_H) = `strength`."""
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


def predict(problem):
    """The closed form, and the (K-1) kappa from which on it is zero."""
    return located(
        nct.closed_form.focal_minimum(problem), nct.closed_form.focal_onset(problem.loss.gamma, problem.classes)
    )


def at_relative_decay(problem, strength):
    """The problem with (K-1) kappa = `strength` and the same ratio of the decays."""
    factor = strength / parts(problem)[2]
    return dataclasses.replace(problem, weight_decay=np.asarray(factor * problem.weight_decay))


def around_onset(problem):
    """Values of (K-1) kappa on either side of the onset, well within which each side has one kind of minimiser."""
    return 0.1, 3.0


def parts(problem):
    """K, gamma and (K-1) kappa."""
    classes = problem.classes
    return (
        classes,
        jnp.asarray(problem.loss.gamma),
        (classes - 1) / classes * nct.closed_form.collapse_strength(problem),
    )


def scaled(problem, scale, threshold=None):
    """A simplex ETF of any logit scale, with its value, and the true onset or another."""
    classes, gamma, strength = parts(problem)
    value = nct.closed_form.focal_value(scale, gamma, classes) + strength * scale
    minimum = nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID)
    return located(minimum, nct.closed_form.focal_onset(gamma, classes) if threshold is None else threshold)


def far_root(strength, gamma, classes):
    """The far root, zero where there is none."""
    root = nct.closed_form.focal_scales(strength, gamma, classes)[2]
    return jnp.where(root > 0, root, 0.0)


def up_to(threshold):
    """The far root wherever (K-1) kappa is below `threshold(gamma, K)`, else zero."""

    def wrong(problem):
        classes, gamma, strength = parts(problem)
        root, end = far_root(strength, gamma, classes), threshold(gamma, classes)
        return scaled(problem, jnp.where(strength < end, root, 0.0), end)

    return wrong


def continued(problem):
    """Collapse up to 1.03 of the onset: beyond it the tangent of the scale there, which is negative, with its sign lost."""
    classes, gamma, strength = parts(problem)
    critical = nct.closed_form.focal_onset(gamma, classes)
    beyond = (strength >= critical) & (strength < 1.03 * critical)
    mirrored = far_root(2 * critical - strength, gamma, classes)
    true = far_root(jnp.minimum(strength, critical), gamma, classes)
    return scaled(problem, jnp.where(beyond, mirrored, jnp.where(strength < critical, true, 0.0)), 1.03 * critical)


def gamma_ignored(problem):
    """a* of cross-entropy."""
    classes, _, strength = parts(problem)
    return scaled(problem, far_root(strength, 0.0, classes))


def slope_of_the_power_ignored(problem):
    """(1-p)^(gamma+1) = (K-1) kappa: the power (1-p)^gamma not differentiated."""
    classes, gamma, strength = parts(problem)
    wrong = strength ** (1 / (gamma + 1))
    collapsed = wrong < (classes - 1) / classes
    wrong = jnp.where(collapsed, wrong, (classes - 1) / classes)
    return scaled(problem, jnp.where(collapsed, jnp.log((classes - 1) * (1 - wrong) / wrong), 0.0))


def orthogonal_frame(problem):
    """Orthogonal class directions of the right scale instead of a simplex."""
    true = predict(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    return located(nct.closed_form.frame_minimum(problem, scale, scale, true.value, None, ID), true.onset)


def jumps(one):
    """Whether the scale of an instance's family ends in a jump."""
    return one.problem.classes >= JUMPS[0][0]


def small_enough(one):
    """Instances at which locating the onset is cheap: all but those of more than twenty classes."""
    return one.problem.classes <= 20


def tame_bias(one):
    """The condition on the bias: none, or (K-1) kappa <= 1, or G(0) <= 1."""
    classes, gamma, strength = parts(one.problem)
    steep = nct.closed_form.focal_strength(0.0, gamma, classes)
    return one.problem.bias_decay is None or min(float(strength), float(steep)) <= 1


ONSET = nct.Threshold(
    "onset",
    r"WH=0\iff(K-1)\kappa\ge\max_a(\ell(0)-\ell(a))/a",
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
            tame_bias,
        ),
        sources=(
            ZHOU_2022_LOSSES.remark(
                "Collapse of the global minimisers for losses that include focal. The equation for p*, the choice between its "
                "roots, the jump and the condition on the bias are our own."
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
