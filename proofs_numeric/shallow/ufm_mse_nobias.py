r"""Squared error, balanced, no bias: the orthogonal frame.

With squared error and no bias the features of the K classes, n samples each, collapse to K orthogonal directions of
equal length, and the classifier to the same directions: not to the simplex that cross-entropy ends in. All outputs are
the targets, shrunk by one common factor. From a certain decay on they are zero. It is the simplest complete description
of a global minimum in the field, and the yardstick for biases, imbalance and depth.

Problem:
    $\min_{W,H}\frac1{2N}|WH-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over $W\in\mathbb R^{K\times d}$
    and the features $H\in\mathbb R^{d\times N}$ of $N=nK$ samples with one-hot labels Y.
Theorem (Tirer and Bruna 2022, Theorem 3.1; Zhou et al. 2022, number unchecked):
    For $f=\frac1{2N}|WH-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ let $c=K\sqrt{n\lambda_W\lambda_H}$.
    If $c<1$, every global minimiser has $WH=(1-c)Y$, $WW^\top=\sqrt{\lambda_H/\lambda_W}\sqrt n(1-c)I$,
    $\bar H^\top\bar H=\sqrt{\lambda_W/(\lambda_Hn)}(1-c)I$, no variability within classes, and $\min f=c-c^2/2$. If
    $c\ge1$ the minimiser is zero, with value $1/2$.
Hypotheses:
    - squared error
    - free features
    - balanced classes, K >= 2
    - d >= K
    - all decays > 0
    - no bias
Notation:
    Zhou et al. and Tirer and Bruna: fit 1/(2N)|WH-Y|^2 and decays lambda/2 as here.
Why:
    All factorisations of $Z=WH$ cost at least $\lambda|Z|_*$, $\lambda=\sqrt{\lambda_W\lambda_H}$, and some cost no
    more, because d is at least the rank of Z. What remains is $\min_Z\frac1{2N}|Z-Y|_F^2+\lambda|Z|_*$, which is
    strictly convex. Its minimiser has the singular vectors of Y, and the singular values of Y less $N\lambda$, or zero.
    All K singular values of Y are $\sqrt n$, and $N\lambda/\sqrt n=c$: so $Z=(1-c)_+Y$. The fit there is $c^2/2$ and
    the decay costs $c(1-c)$. The cheapest factorisations have $WW^\top=\sqrt{\lambda_H/\lambda_W}(ZZ^\top)^{1/2}$ and
    $H^\top H=\sqrt{\lambda_W/\lambda_H}(Z^\top Z)^{1/2}$.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Logits, $WW^\top$, $H^\top H$, both norms and self-duality are compared at the certified ends, to what their
    gradients leave open. These are certified to hold at every global minimiser where strict complementarity and a
    Hessian that is positive definite off the gauge show that there is no other, and sampled elsewhere. The onset is
    located by bisection in the strength of the decays between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or an onset outside its last bracket.
    The same check must refute an onset 3 % too early or too late, one 0.1 % too late in the bisection, outputs that
    reach the targets, a simplex in the place of the orthogonal frame, and norms and the scale of self-duality off by
    1e-6.
Example:
    The value, and the output at the label, in closed form and at the ends of four random starts.

    >>> problem = instance(classes=3, dim=3, n=2, strength=0.3, ratio=2.0).problem
    >>> minimum = nct.closed_form.squared_error_minimum(problem)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, *ends.value)]
    [0.255, 0.255, 0.255, 0.255, 0.255]
    >>> outputs = (ends.params.weights[0] @ ends.params.features)[:, 0, 0]
    >>> [round(float(output), 6) for output in (minimum.logits[0, 0], *outputs)]
    [0.7, 0.7, 0.7, 0.7, 0.7]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022
from proofs_numeric.hypotheses import BALANCED, DIM_CLASSES, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.pool import LARGE, MIDDLE, SMALL, WIDE, pick
from proofs_numeric.shallow.strength import decay_ratio, decays, onset_at_one, strengths

ID = "ufm-mse-nobias"


def draw_instances(key):
    """Draw a small, a middle and a large shape (K, d, n), each with c from far below 1 to far beyond it."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, n in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE + WIDE)):
        drawn += [instance(classes, dim, n, c, decay_ratio(rng, c)) for c in strengths(rng)]
    return drawn


def instance(classes, dim, n, strength, ratio):
    """Build the instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    decay = decays(classes, n, strength, ratio)
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay)
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "c": float(strength)}
    return nct.Instance(problem, shown)


def frame(problem, scale, value):
    """Predict an orthogonal frame of any scale and value."""
    return nct.closed_form.frame_minimum(problem, scale, scale, value, None, ID)


def shifted_threshold(factor):
    """Move the theorem's threshold c = 1 to c = `factor`, and continue its formulas up to there."""

    def predict(problem):
        c = nct.closed_form.collapse_strength(problem)
        inside = c < factor
        return frame(problem, jnp.where(inside, jnp.abs(1 - c), 0.0), jnp.where(inside, c - c**2 / 2, 0.5))

    return predict


def unshrunk(problem):
    """Predict logits that reach the targets, WH = Y, as without decay."""
    true = nct.closed_form.squared_error_minimum(problem)
    return frame(problem, jnp.ones(()), true.value)


def simplex(problem):
    """Predict a simplex ETF of the right scale instead of an orthogonal frame."""
    true = nct.closed_form.squared_error_minimum(problem)
    scale = jnp.maximum(1.0 - nct.closed_form.collapse_strength(problem), 0.0)
    return nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), true.value, None, ID)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(SQUARED_ERROR, FREE_FEATURES, BALANCED, DIM_CLASSES, POSITIVE_DECAYS, NO_BIAS),
        sources=(
            ZHOU_2022,
            TIRER_2022.remark(
                "The number is as it is cited, with the statement, in Tirer, Huang and Niles-Weed: Perturbation Analysis of "
                "Neural Collapse (2023).",
                number="Theorem 3.1",
            ),
        ),
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
