r"""Squared error, balanced, with a bias: from the orthogonal frame to the simplex ETF.

Squared error with a bias: orthogonal frame, tilted frame or simplex ETF, by the decay of the bias.

Theorem:
    For $f=\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$ let $c=K\sqrt{n\lambda_W\lambda_H}$, $w=\lambda_b/(1+\lambda_b)$. Every global minimiser has
    $WH=[(1-c)_+S+m\,11^\top/K]\otimes1_n^\top$ with $m=(1-c/w)_+$ ($m=0$ for $\lambda_b=0$) and
    $b=\frac{1-m}{K(1+\lambda_b)}1$: a simplex ETF iff $w\le c$, an orthogonal frame in the limit $\lambda_b\to\infty$, a
    tilted frame between. With $\phi(c)=c-c^2/2$ up to 1 and $1/2$ beyond,
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
LEAST = ((2, 1, 3), (3, 2, 4))  # (K, d, n) with d = K-1, the least for a free bias


def draw_instances(key):
    """Over w = lambda_b/(1+lambda_b) and c: every regime, w close to c and c close to 1 on either side; a free bias."""
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
    for classes, dim, n in pick(rng, LEAST):
        for c in (log_uniform(rng, 1e-3, 0.2), rng.uniform(0.2, 0.8), near(rng, above=False)):
            drawn.append(instance(classes, dim, n, c, 0.0, decay_ratio(rng, c), "ETF, free bias"))
    return drawn


def instance(classes, dim, n, strength, weight, ratio, regime):
    """The instance with c = `strength`, lambda_b/(1+lambda_b) = `weight` and lambda_W / lambda_H = `ratio`."""
    decay, bias = decays(classes, n, strength, ratio), float(weight / (1 - weight))
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "lambda_b": bias}
    return nct.Instance(problem, {**shown, "c": float(strength), "w": float(weight), "regime": regime})


def with_mean(rule):
    """The theorem with another rule for m, the scale of the frame along 1; all else follows from m as in the theorem."""

    def predict(problem):
        decay = jnp.asarray(problem.bias_decay)
        c, w = nct.closed_form.collapse_strength(problem), decay / (1.0 + decay)
        mean = rule(c, w)
        true = nct.closed_form.squared_error_bias_minimum(problem)
        bias = (1.0 - mean) / (problem.classes * (1.0 + decay))
        return nct.closed_form.frame_minimum(problem, jnp.maximum(1.0 - c, 0.0), mean, true.value, bias, ID)

    return predict


def tilt(c, w):
    """m where the frame is tilted."""
    return 1.0 - c / jnp.where(w > 0, w, 1.0)


def wrong_bias(problem):
    """b = 1/K, as for a free bias, whatever its decay."""
    true = nct.closed_form.squared_error_bias_minimum(problem)
    return true._replace(bias=jnp.full((problem.classes,), 1.0 / problem.classes))


def value_of_no_bias(problem):
    """The value c - c^2/2 that the theorem without a bias has."""
    true, c = (
        nct.closed_form.squared_error_bias_minimum(problem),
        jnp.minimum(nct.closed_form.collapse_strength(problem), 1.0),
    )
    return true._replace(value=c - c**2 / 2)


def tilted(one):
    """Whether an instance lies strictly between the two classical frames."""
    return one.parameters["regime"] in ("tilted", "tilted, weak decays")


def at_bias_decay(problem, bias_decay):
    """The problem at another decay of the bias."""
    return dataclasses.replace(problem, bias_decay=np.asarray(bias_decay, np.float64))


def size_along_one(problem, params):
    """|1^T W H|, zero for a simplex ETF; of second order in W and H, so that rounding next to the threshold is not seen."""
    return jnp.linalg.norm(jnp.sum(problem.product(params), axis=0))


def around_tilt(problem):
    """Bias decays well on either side of w = c."""
    c = float(nct.closed_form.collapse_strength(problem))
    return 0.15 * c / (1 - c), 6.0 * c / (1 - c)


def bends(one):
    """Instances at which the change from the tilted frame to the simplex ETF is located."""
    return one.problem.widths[0] >= one.problem.classes and 0.1 < one.parameters["c"] < 0.8


def shrinkage(minimum):
    """c, from the scale 1 - c of the simplex."""
    return 1.0 - (minimum.product[0, 0] - minimum.product[1, 0])


def tilt_claim(predicted):
    """The claim that the frame is tilted exactly from a predicted decay of the bias on."""
    statement = r"m>0\iff\lambda_b>c/(1-c)"
    return nct.Threshold("tilt", statement, at_bias_decay, size_along_one, predicted, around_tilt, applies=bends)


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
                "lambda_b for w", "tilted from lambda_b = c on", versions=(tilt_claim(shrinkage),), applies=bends
            ),
            *nct.theorems.collapse_controls(nct.closed_form.squared_error_bias_minimum),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
