"""Squared error with a bias: orthogonal frame, tilted frame or simplex ETF, by the decay of the bias."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022

ID = "ufm-mse-bias"
SHAPES = ((4, 8, 5), (3, 3, 6), (5, 7, 3))  # (K, d, n)


def draw_instances(key):
    """Over w = lambda_b/(1+lambda_b) and c: each regime, w within 3 % of c on either side, c within 3 % of 1."""
    rng = nct.generator(key)
    drawn = []
    for classes, dim, n in SHAPES:
        weak, moderate = rng.uniform(0.08, 0.15), rng.uniform(0.2, 0.7)
        drawn += [
            make(rng, classes, dim, n, weak, rng.uniform(0.7, 0.8), "near OF"),
            make(rng, classes, dim, n, moderate, moderate + 0.5 * (1 - moderate) * rng.uniform(0.3, 0.9), "tilted"),
            make(rng, classes, dim, n, moderate, moderate * (1 + rng.uniform(0.01, 0.03)), "tilted, near ETF"),
            make(rng, classes, dim, n, moderate, moderate * (1 - rng.uniform(0.01, 0.03)), "ETF, near tilted"),
            make(rng, classes, dim, n, moderate, 0.0, "ETF, free bias"),
        ]
    drawn += [
        make(rng, 4, 8, 5, 1 - rng.uniform(0.01, 0.03), 0.5, "ETF, near zero"),
        make(rng, 4, 8, 5, 1 + rng.uniform(0.01, 0.03), 0.5, "zero, near ETF"),
    ]
    return drawn


def make(rng, classes, dim, n, strength, weight, regime):
    """The instance with c = `strength` and lambda_b/(1+lambda_b) = `weight`."""
    ratio, product = 10.0 ** rng.uniform(-0.5, 0.5), (strength / classes) ** 2 / n
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    bias = float(weight / (1 - weight))
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "lambda_b": bias}
    return nct.Instance(problem, {**shown, "c": float(strength), "w": float(weight), "regime": regime})


def with_mean(rule):
    """The theorem with another rule for m, the scale of the frame along 1; all else follows from m as in the theorem."""

    def predict(problem):
        decay = jnp.asarray(problem.bias_decay)
        c, w = nct.collapse_strength(problem), decay / (1.0 + decay)
        mean = rule(c, w)
        true = nct.squared_error_bias_minimum(problem)
        bias = (1.0 - mean) / (problem.classes * (1.0 + decay))
        return nct.frame_minimum(problem, jnp.maximum(1.0 - c, 0.0), mean, true.value, bias, ID)

    return predict


def tilt(c, w):
    """m where the frame is tilted."""
    return 1.0 - c / jnp.where(w > 0, w, 1.0)


def wrong_bias(problem):
    """b = 1/K, as for a free bias, whatever its decay."""
    true = nct.squared_error_bias_minimum(problem)
    return true._replace(bias=jnp.full((problem.classes,), 1.0 / problem.classes))


def tilted(instance):
    """Whether an instance lies strictly between the two classical frames."""
    return instance.parameters["regime"] == "tilted"


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Squared error, balanced, with a bias: from the orthogonal frame to the simplex ETF",
        statement=r"""For $f=\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
+\frac{\lambda_b}2|b|^2$ let $c=K\sqrt{n\lambda_W\lambda_H}$, $w=\lambda_b/(1+\lambda_b)$. Every global minimiser has
$WH=[(1-c)_+S+m\,11^\top/K]\otimes1_n^\top$ with $m=(1-c/w)_+$ ($m=0$ for $\lambda_b=0$) and
$b=\frac{1-m}{K(1+\lambda_b)}1$: a simplex ETF iff $w\le c$, an orthogonal frame in the limit $\lambda_b\to\infty$, a
tilted frame between. With $\phi(c)=c-c^2/2$ up to 1 and $1/2$ beyond,
$\min f=\frac{K-1}K\phi(c)+\frac wK\phi(c/w)$.""",
        hypotheses=(
            "balanced classes, K >= 2",
            "d >= K (K-1 for a free bias)",
            "lambda_W, lambda_H > 0, lambda_b >= 0",
        ),
        notation="Zhou et al.: lambda_W, lambda_H, lambda_b as here; Tirer and Bruna have lambda_b = 0.",
        sources=(ZHOU_2022.remark("Decayed bias; the closed form is our own."), TIRER_2022.remark("Free bias.")),
        instances=draw_instances,
        predict=nct.squared_error_bias_minimum,
        claims=nct.collapse_claims(),
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
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
