r"""Cross-entropy, balanced: the simplex ETF.

Cross-entropy with free features: every global minimiser is a simplex ETF, of a known scale, or zero.

Theorem:
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i+b,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$ let $\kappa=\sqrt{n\lambda_W\lambda_H}$, $c=K\kappa$. If $c<1$, every global minimiser has
    $WH=a^*S\otimes1_n^\top$ with $a^*=\log(1/\kappa-K+1)$ and $S=I-11^\top/K$, $b$ constant (zero if $\lambda_b>0$),
    $WW^\top=\sqrt{\lambda_H/\lambda_W}\,a^*\sqrt n\,S$, $w_k=\sqrt{\lambda_Hn/\lambda_W}\,h_k$, and
    $\min f=\log(1+(K-1)e^{-a^*})+\kappa(K-1)a^*$. If $c\ge1$ the minimiser is zero, with value $\log K$.
Hypotheses:
    - cross-entropy of one-hot labels
    - free features
    - balanced classes, K >= 2
    - d >= K-1
    - all decays > 0
    - a bias: none, free or decayed
Notation:
    Zhu et al.: lambda_W, lambda_H, lambda_b as here; their fit is the mean over N = nK samples.
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021
from proofs_numeric.hypotheses import ANY_BIAS, BALANCED, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.pool import pick
from proofs_numeric.shallow.strength import decay_ratio, decays, onset_at_one, strengths

ID = "ufm-ce-balanced"
SMALL = ((2, 1, 1), (2, 3, 4), (3, 2, 6))  # (K, d, n); d = K-1 twice, the least that the theorem allows
MIDDLE = ((4, 8, 5), (4, 3, 3), (5, 7, 2))
LARGE = ((6, 6, 12), (8, 10, 3), (10, 12, 4))


def draw_instances(key):
    """One small, one middle and one large shape, each with very weak to moderate decay, c on either side of 1 and far."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    biased = rng.integers(3)  # at least one shape has a bias
    for number, (classes, dim, n) in enumerate((*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE))):
        has_bias = number == biased or rng.random() < 0.3
        for strength in strengths(rng):
            bias = [0.0, 10.0 ** rng.uniform(-3, 1)][len(drawn) % 2] if has_bias else None
            drawn.append(instance(classes, dim, n, strength, decay_ratio(rng, strength), bias))
    return drawn


def instance(classes, dim, n, strength, ratio, bias):
    """The instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    decay = decays(classes, n, strength, ratio)
    problem = nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss="cross_entropy", weight_decay=decay, bias=bias
    )
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "c": float(strength)}
    return nct.Instance(problem, {**shown, "bias": "none" if bias is None else float(bias)})


def scaled(problem, scale):
    """A simplex ETF of any logit scale, with the value that the true formula gives at that scale."""
    kappa = nct.closed_form.collapse_strength(problem) / problem.classes
    rest = problem.classes - 1
    value = jnp.log1p(rest * jnp.exp(-scale)) + kappa * rest * scale
    return nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID)


def shifted_threshold(factor):
    """The theorem with its threshold c = 1 moved to c = `factor`."""

    def predict(problem):
        strength = nct.closed_form.collapse_strength(problem)
        classes = problem.classes
        scale = jnp.log(jnp.maximum(classes / strength - classes + 1.0, 0.1))
        return scaled(problem, jnp.where(strength < factor, scale, 0.0))

    return predict


def off_by_one(problem):
    """a* with K in the place of K-1."""
    classes, strength = problem.classes, nct.closed_form.collapse_strength(problem)
    return scaled(problem, jnp.log(jnp.maximum(classes / strength - classes, 1.0)))


def orthogonal_frame(problem):
    """Orthogonal class directions of the right scale instead of a simplex."""
    true = nct.closed_form.cross_entropy_minimum(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    wrong = nct.closed_form.frame_minimum(problem, scale, scale, true.value, None, ID)
    return wrong


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: float(i.problem.loss.smoothing) == 0.0,
            FREE_FEATURES,
            BALANCED,
            DIM_SIMPLEX,
            POSITIVE_DECAYS,
            ANY_BIAS,
        ),
        sources=(ZHU_2021.remark("The explicit a* and threshold are our own form of it."),),
        instances=draw_instances,
        predict=nct.closed_form.cross_entropy_minimum,
        claims=(*nct.theorems.collapse_claims(), onset_at_one()),
        controls=(
            nct.Control("threshold low", "zero already from c = 0.97 on", shifted_threshold(0.97)),
            nct.Control("threshold high", "collapse up to c = 1.03", shifted_threshold(1.03)),
            nct.Control("off by one", "a* = log(1/kappa - K)", off_by_one, claims=("value", "logits", "weight_norm")),
            nct.Control("orthogonal frame", "orthogonal class directions", orthogonal_frame, claims=("gram_weights",)),
            nct.Control("onset at 1.001", "zero from c = 1.001 on", versions=(onset_at_one(1.001),)),
            *nct.theorems.collapse_controls(nct.closed_form.cross_entropy_minimum),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
