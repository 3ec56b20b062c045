"""Squared error with free features and no bias: every global minimiser is an orthogonal frame, or zero."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022

ID = "ufm-mse-nobias"
SHAPES = ((4, 8, 5), (3, 3, 6), (7, 9, 3))  # (K, d, n); d = K once, the least that the theorem allows


def draw_instances(key):
    """For each shape: weak and moderate decay, and strength c within 3 % of 1 on either side; one far beyond."""
    rng = nct.generator(key)
    drawn = []
    for classes, dim, n in SHAPES:
        weak, moderate = np.exp(rng.uniform(np.log(0.03), np.log(0.2))), rng.uniform(0.2, 0.8)
        for strength in (weak, moderate, 1 - rng.uniform(0.01, 0.03), 1 + rng.uniform(0.01, 0.03)):
            drawn.append(instance(classes, dim, n, strength, 10.0 ** rng.uniform(-0.5, 0.5)))
    drawn.append(instance(4, 8, 5, rng.uniform(1.5, 3.0), 1.0))
    return drawn


def instance(classes, dim, n, strength, ratio):
    """The instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    product = (strength / classes) ** 2 / n
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay)
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "c": float(strength)}
    return nct.Instance(problem, shown)


def frame(problem, scale, value):
    """An orthogonal frame of any scale and value."""
    return nct.frame_minimum(problem, scale, scale, value, None, ID)


def shifted_threshold(factor):
    """The theorem with its threshold c = 1 moved to c = `factor`, its formulas continued."""

    def predict(problem):
        c = nct.collapse_strength(problem)
        inside = c < factor
        return frame(problem, jnp.where(inside, jnp.abs(1 - c), 0.0), jnp.where(inside, c - c**2 / 2, 0.5))

    return predict


def unshrunk(problem):
    """Logits that reach the targets: WH = Y, as without decay."""
    true = nct.squared_error_minimum(problem)
    return frame(problem, jnp.ones(()), true.value)


def simplex(problem):
    """A simplex ETF of the right scale instead of an orthogonal frame."""
    true = nct.squared_error_minimum(problem)
    scale = jnp.maximum(1.0 - nct.collapse_strength(problem), 0.0)
    return nct.frame_minimum(problem, scale, jnp.zeros(()), true.value, None, ID)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Squared error, balanced, no bias: the orthogonal frame",
        statement=r"""For $f=\frac1{2N}|WH-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ let
$c=K\sqrt{n\lambda_W\lambda_H}$. If $c<1$, every global minimiser has $WH=(1-c)Y$,
$WW^\top=\sqrt{\lambda_H/\lambda_W}\sqrt n(1-c)I$, $\bar H^\top\bar H=\sqrt{\lambda_W/(\lambda_Hn)}(1-c)I$, no variability
within classes, and $\min f=c-c^2/2$. If $c\ge1$ the minimiser is zero, with value $1/2$.""",
        hypotheses=("balanced classes, K >= 2", "d >= K", "lambda_W, lambda_H > 0", "no bias"),
        notation="Zhou et al. and Tirer and Bruna: fit 1/(2N)|WH-Y|^2 and decays lambda/2 as here.",
        sources=(ZHOU_2022, TIRER_2022),
        instances=draw_instances,
        predict=nct.squared_error_minimum,
        claims=nct.collapse_claims(bias=False),
        controls=(
            nct.Control("threshold low", "zero already from c = 0.97 on", shifted_threshold(0.97)),
            nct.Control("threshold high", "collapse up to c = 1.03", shifted_threshold(1.03)),
            nct.Control("unshrunk", "WH = Y", unshrunk, claims=("logits",)),
            nct.Control("simplex", "a simplex ETF", simplex, claims=("gram_weights",)),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
