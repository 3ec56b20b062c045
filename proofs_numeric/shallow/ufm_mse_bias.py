r"""Squared error, balanced, with a bias: from the orthogonal frame to the simplex ETF.

Whether squared error ends in a simplex or in orthogonal directions depends on how dear the bias is. A cheap bias takes
over the mean of the outputs, and the K classes, n samples each, form a simplex; a dear one leaves it to the features,
which are orthogonal only in the limit. Between the two stands a tilted frame, which is neither, up to a sharp
threshold. The two classical theorems are the two ends of one formula.

Problem:
    $\min_{W,H,b}\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$
    over $W\in\mathbb R^{K\times d}$, the features $H\in\mathbb R^{d\times N}$ of $N=nK$ samples with one-hot labels Y,
    and the bias $b\in\mathbb R^K$.
Theorem (Zhou et al. 2022, for a free bias Tirer and Bruna 2022, number unchecked; the closed form is our own):
    For $f=\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2 +\frac{\lambda_b}2|b|^2$ let
    $c=K\sqrt{n\lambda_W\lambda_H}$, $w=\lambda_b/(1+\lambda_b)$. Every global minimiser has
    $WH=[(1-c)_+S+m\,11^\top/K]\otimes1_n^\top$ with $m=(1-c/w)_+$ ($m=0$ for $\lambda_b=0$) and
    $b=\frac{1-m}{K(1+\lambda_b)}1$: for $c<1$ a simplex ETF iff $w\le c$, an orthogonal frame in the limit
    $\lambda_b\to\infty$, a tilted frame between. With $\phi(c)=c-c^2/2$ up to 1 and $1/2$ beyond,
    $\min f=\frac{K-1}K\phi(c)+\frac wK\phi(c/w)$.
Hypotheses:
    - squared error
    - free features
    - balanced classes, K >= 2
    - a bias, free or decayed
    - d >= K (K-1 for a free bias)
    - all decays > 0
Notation:
    Zhou et al.: lambda_W, lambda_H, lambda_b as here; Tirer and Bruna have lambda_b = 0.
Why:
    All factorisations of $Z=WH$ cost at least $\lambda|Z|_*$, $\lambda=\sqrt{\lambda_W\lambda_H}$, so that f is at
    least a convex function of Z and b with one minimiser. (The logits are unique, because the fit is strictly convex in
    them. So is a decayed b. A free b takes the row means of Z, and their removal lowers the nuclear norm.) The
    permutations of classes and of samples therefore leave it alone: $Z=(sS+m11^\top/K)\otimes1_n^\top$, $b=\frac uK1$
    and $\lambda|Z|_*=\frac cK[(K-1)|s|+|m|]$. The objective is now
    $\frac{K-1}K[\frac12(s-1)^2+c|s|]+\frac1K[\frac12(m+u-1)^2+\frac{\lambda_b}2u^2+c|m|]$: s is 1 less c, or zero; the
    least over u is $\frac w2(1-m)^2+c|m|$, at $u=(1-m)/(1+\lambda_b)$, whose minimum in m is at $1-c/w$, or zero.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Logits, $WW^\top$, $H^\top H$, both norms, self-duality and the bias are compared at the certified ends, to what
    their gradients leave open. These are certified to hold at every global minimiser where strict complementarity and a
    Hessian that is positive definite off the gauge show that there is no other, and sampled elsewhere. Two thresholds
    are located by bisection between certified ends: the decay from which on all is zero, and the decay of the bias at
    which the frame begins to tilt.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a threshold outside its last bracket.
    The same check must refute a tilt that begins 3 % too early or too late, or at a bias decay of c; a simplex, or an
    orthogonal frame, at every decay of the bias; the bias of the free case; the value of the theorem without a bias; an
    onset 0.1 % too late; and norms, the scale of self-duality and the bias off by 1e-6.
Example:
    The value, and the first entry of the bias, in closed form and at the ends of four random starts, for a tilted
    frame.

    >>> problem = instance(classes=3, dim=3, n=2, strength=0.3, weight=0.6, ratio=2.0, regime="tilted").problem
    >>> minimum = nct.closed_form.squared_error_bias_minimum(problem)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, *ends.value)]
    [0.245, 0.245, 0.245, 0.245, 0.245]
    >>> [round(float(bias[0]), 6) for bias in (minimum.bias, *ends.params.bias)]
    [0.066667, 0.066667, 0.066667, 0.066667, 0.066667]
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.pool import LARGE, MIDDLE, SMALL, log_uniform, near, pick
from proofs_numeric.shallow.strength import CLOSEST_ZERO, decay_ratio, decays, onset_at_one

ID = "ufm-mse-bias"
# These shapes (K, d, n) have d = K-1, the least that the theorem allows for a free bias.
MINIMAL = ((2, 1, 3), (3, 2, 4))


def draw_instances(key):
    """Draw w = lambda_b/(1+lambda_b) and c in every regime, w next to c and c next to 1 on either side; a free bias."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, n in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        # A bias decay above 32, or one far above the others, is too stiff for the flow.
        moderate, large = rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.7)
        pairs = (
            (log_uniform(rng, 0.03, 0.15), 1 - log_uniform(rng, 0.03, 0.3), "near OF"),
            (log_uniform(rng, 1e-3, 1e-2), log_uniform(rng, 3e-2, 0.3), "tilted, weak decays"),
            (moderate, moderate + (1 - moderate) * rng.uniform(0.2, 0.6), "tilted"),
            (large, large * near(rng, above=True), "tilted, near ETF"),
            (large, large * near(rng, above=False), "ETF, near tilted"),
            (moderate, moderate * log_uniform(rng, 1e-3, 0.5), "ETF"),
            (near(rng, above=False), rng.uniform(0.1, 0.9), "ETF, near zero"),
            (near(rng, above=True, closest=CLOSEST_ZERO), rng.uniform(0.1, 0.9), "zero, near ETF"),
        )
        drawn += [instance(classes, dim, n, c, w, decay_ratio(rng, c), regime) for c, w, regime in pairs]
    for classes, dim, n in pick(rng, MINIMAL):
        for c in (log_uniform(rng, 1e-3, 0.2), rng.uniform(0.2, 0.8), near(rng, above=False)):
            drawn.append(instance(classes, dim, n, c, 0.0, decay_ratio(rng, c), "ETF, free bias"))
    return drawn


def instance(classes, dim, n, strength, weight, ratio, regime):
    """Build the instance with c = `strength`, lambda_b/(1+lambda_b) = `weight` and lambda_W / lambda_H = `ratio`."""
    decay, bias = decays(classes, n, strength, ratio), float(weight / (1 - weight))
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "lambda_b": bias}
    return nct.Instance(problem, {**shown, "c": float(strength), "w": float(weight), "regime": regime})


def with_mean(rule):
    """Take another rule for m, the scale of the frame along 1; all else follows from m as in the theorem."""

    def predict(problem):
        decay = jnp.asarray(problem.bias_decay)
        c, w = nct.closed_form.collapse_strength(problem), decay / (1.0 + decay)
        mean = rule(c, w)
        true = nct.closed_form.squared_error_bias_minimum(problem)
        bias = (1.0 - mean) / (problem.classes * (1.0 + decay))
        return nct.closed_form.frame_minimum(problem, jnp.maximum(1.0 - c, 0.0), mean, true.value, bias, ID)

    return predict


def tilt(c, w):
    """Return m where the frame is tilted."""
    return 1.0 - c / jnp.where(w > 0, w, 1.0)


def wrong_bias(problem):
    """Predict b = 1/K, as for a free bias, whatever its decay."""
    true = nct.closed_form.squared_error_bias_minimum(problem)
    return true._replace(bias=jnp.full((problem.classes,), 1.0 / problem.classes))


def value_of_no_bias(problem):
    """Predict the value c - c^2/2 that the theorem without a bias has."""
    true = nct.closed_form.squared_error_bias_minimum(problem)
    c = jnp.minimum(nct.closed_form.collapse_strength(problem), 1.0)
    return true._replace(value=c - c**2 / 2)


def tilted(one):
    """Tell whether an instance lies strictly between the two classical frames."""
    return one.parameters["regime"] in ("tilted", "tilted, weak decays")


def at_bias_decay(problem, bias_decay):
    """Return the problem at another decay of the bias."""
    return dataclasses.replace(problem, bias_decay=np.asarray(bias_decay, np.float64))


def size_along_one(problem, params):
    """Measure |1^T W H|, zero for a simplex ETF.

    It is of second order in W and H, so that rounding next to the threshold is not seen.
    """
    return jnp.linalg.norm(jnp.sum(problem.product(params), axis=0))


def around_tilt(problem):
    """Name bias decays well on either side of w = c."""
    c = float(nct.closed_form.collapse_strength(problem))
    return 0.15 * c / (1 - c), 6.0 * c / (1 - c)


def has_located_tilt(one):
    """Tell whether the change from the tilted frame to the simplex ETF is located at an instance."""
    return one.problem.widths[0] >= one.problem.classes and 0.1 < one.parameters["c"] < 0.8


def shrinkage(minimum):
    """Return c, from the scale 1 - c of the simplex."""
    return 1.0 - (minimum.product[0, 0] - minimum.product[1, 0])


def tilt_claim(predicted):
    """Claim that the frame is tilted exactly from a predicted decay of the bias on."""
    statement = r"m>0\iff\lambda_b>c/(1-c)"
    return nct.Threshold(
        "tilt", statement, at_bias_decay, size_along_one, predicted, around_tilt, applies=has_located_tilt
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            FREE_FEATURES,
            BALANCED,
            lambda i: float(i.problem.bias_decay) >= 0,
            lambda i: i.problem.widths[0] >= i.problem.classes - (float(i.problem.bias_decay) == 0),
            POSITIVE_DECAYS,
        ),
        sources=(ZHOU_2022.remark("Decayed bias; the closed form is our own."), TIRER_2022.remark("Free bias.")),
        instances=draw_instances,
        predict=nct.closed_form.squared_error_bias_minimum,
        claims=(
            *nct.theorems.collapse_claims(),
            onset_at_one(),
            tilt_claim(lambda minimum: shrinkage(minimum) / (1 - shrinkage(minimum))),
        ),
        controls=(
            nct.Control(
                "threshold low",
                "simplex ETF already for w <= 1.03 c",
                with_mean(lambda c, w: jnp.where(w > 1.03 * c, jnp.maximum(tilt(c, w), 0.0), 0.0)),
            ),
            nct.Control(
                "threshold high",
                "tilted frame, its formula continued, down to w = 0.97 c",
                with_mean(lambda c, w: jnp.where(w > 0.97 * c, tilt(c, w), 0.0)),
            ),
            nct.Control(
                "always ETF",
                "a simplex ETF for every bias decay (m = 0)",
                with_mean(lambda c, w: 0.0 * c),
                claims=("gram_weights",),
                applies=tilted,
            ),
            nct.Control(
                "always OF",
                "an orthogonal frame for every finite bias decay (m = 1 - c)",
                with_mean(lambda c, w: jnp.maximum(1.0 - c, 0.0)),
                claims=("gram_weights",),
                applies=tilted,
            ),
            nct.Control("wrong bias", "b = 1/K whatever its decay", wrong_bias, claims=("bias",), applies=tilted),
            nct.Control("value without bias", "min f = c - c^2/2", value_of_no_bias, claims=("value",)),
            nct.Control("onset at 1.001", "zero from c = 1.001 on", versions=(onset_at_one(1.001),)),
            nct.Control(
                "lambda_b for w",
                "tilted from lambda_b = c on",
                versions=(tilt_claim(shrinkage),),
                applies=has_located_tilt,
            ),
            *nct.theorems.collapse_controls(nct.closed_form.squared_error_bias_minimum),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
