r"""Squared error, balanced, no bias: the orthogonal frame.

Squared error with free features and no bias: every global minimiser is an orthogonal frame, or zero.

Theorem:
    For $f=\frac1{2N}|WH-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ let
    $c=K\sqrt{n\lambda_W\lambda_H}$. If $c<1$, every global minimiser has $WH=(1-c)Y$,
    $WW^\top=\sqrt{\lambda_H/\lambda_W}\sqrt n(1-c)I$, $\bar H^\top\bar H=\sqrt{\lambda_W/(\lambda_Hn)}(1-c)I$, no variability
    within classes, and $\min f=c-c^2/2$. If $c\ge1$ the minimiser is zero, with value $1/2$.
Hypotheses:
    - squared error
    - free features
    - balanced classes, K >= 2
    - d >= K
    - all decays > 0
    - no bias
Notation:
    Zhou et al. and Tirer and Bruna: fit 1/(2N)|WH-Y|^2 and decays lambda/2 as here.
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022
from proofs_numeric.hypotheses import BALANCED, DIM_CLASSES, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.pool import LARGE, MIDDLE, SMALL, WIDE, pick
from proofs_numeric.shallow.strength import decay_ratio, decays, onset_at_one, strengths

ID = "ufm-mse-nobias"


def draw_instances(key):
    """One small, one middle and one large shape (K, d, n), each with very weak to moderate decay, c about 1 and far beyond."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, n in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE + WIDE)):
        drawn += [instance(classes, dim, n, c, decay_ratio(rng, c)) for c in strengths(rng)]
    return drawn


def instance(classes, dim, n, strength, ratio):
    """The instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    decay = decays(classes, n, strength, ratio)
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay)
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "c": float(strength)}
    return nct.Instance(problem, shown)


def frame(problem, scale, value):
    """An orthogonal frame of any scale and value."""
    return nct.closed_form.frame_minimum(problem, scale, scale, value, None, ID)


def shifted_threshold(factor):
    """The theorem with its threshold c = 1 moved to c = `factor`, its formulas continued."""

    def predict(problem):
        c = nct.closed_form.collapse_strength(problem)
        inside = c < factor
        return frame(problem, jnp.where(inside, jnp.abs(1 - c), 0.0), jnp.where(inside, c - c**2 / 2, 0.5))

    return predict


def unshrunk(problem):
    """Logits that reach the targets: WH = Y, as without decay."""
    true = nct.closed_form.squared_error_minimum(problem)
    return frame(problem, jnp.ones(()), true.value)


def simplex(problem):
    """A simplex ETF of the right scale instead of an orthogonal frame."""
    true = nct.closed_form.squared_error_minimum(problem)
    scale = jnp.maximum(1.0 - nct.closed_form.collapse_strength(problem), 0.0)
    return nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), true.value, None, ID)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(SQUARED_ERROR, FREE_FEATURES, BALANCED, DIM_CLASSES, POSITIVE_DECAYS, NO_BIAS),
        sources=(ZHOU_2022, TIRER_2022),
        instances=draw_instances,
        predict=nct.closed_form.squared_error_minimum,
        claims=(*nct.theorems.collapse_claims(bias=False), onset_at_one()),
        controls=(
            nct.Control("threshold low", "zero already from c = 0.97 on", shifted_threshold(0.97)),
            nct.Control("threshold high", "collapse up to c = 1.03", shifted_threshold(1.03)),
            nct.Control("unshrunk", "WH = Y", unshrunk, claims=("logits",)),
            nct.Control("simplex", "a simplex ETF", simplex, claims=("gram_weights",)),
            nct.Control("onset at 1.001", "zero from c = 1.001 on", versions=(onset_at_one(1.001),)),
            *nct.theorems.collapse_controls(nct.closed_form.squared_error_minimum, bias=False),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
