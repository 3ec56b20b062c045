r"""Label smoothing, balanced: the simplex ETF.

Label smoothing with free features: the simplex ETF of cross-entropy at a shifted decay, or zero.

Theorem:
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i+b,(1-\alpha)e_{y_i}+\alpha1/K)+\frac{\lambda_W}2|W|_F^2
    +\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$ let $\kappa=\sqrt{n\lambda_W\lambda_H}$. If $K\kappa<1-\alpha$, every
    global minimiser has $WH=a^*S\otimes1_n^\top$ with $a^*=\log\frac{(K-1)p^*}{1-p^*}$, $p^*=1-\alpha+\alpha/K-(K-1)\kappa$,
    $S=I-11^\top/K$, $b$ constant (zero if $\lambda_b>0$), $WW^\top=\sqrt{\lambda_H/\lambda_W}\,a^*\sqrt n\,S$,
    $w_k=\sqrt{\lambda_Hn/\lambda_W}\,h_k$, and $\min f=\log(1+(K-1)e^{-a^*})+(\kappa+\alpha/K)(K-1)a^*$. If
    $K\kappa\ge1-\alpha$ the minimiser is zero, with value $\log K$.
Hypotheses:
    - cross-entropy with label smoothing, 0 <= alpha < 1
    - free features
    - balanced classes, K >= 2
    - d >= K-1
    - all decays > 0
    - a bias: none, free or decayed
Notation:
    Targets (1-alpha) e_k + alpha/K, the label's own share included; the fit is the mean over N = nK samples.
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022_LOSSES
from proofs_numeric.hypotheses import ANY_BIAS, BALANCED, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.pool import LARGE, MIDDLE, log_uniform, pick
from proofs_numeric.shallow.strength import at_strength, decay_ratio, decays, located, logit_size, strengths

ID = "ufm-ls"
SMALL = ((2, 1, 1), (2, 3, 4), (3, 2, 6))  # (K, d, n); d = K-1 twice, the least that the theorem allows


def draw_instances(key):
    """One small, one middle and one large shape: c from very weak to beyond 1-alpha; little smoothing and much."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    biased = rng.integers(3)  # at least one shape has a bias
    for number, shape in enumerate((*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE))):
        has_bias = number == biased or rng.random() < 0.3
        for relative in strengths(rng):
            alpha = (log_uniform(rng, 1e-3, 0.15), rng.uniform(0.2, 0.9))[int(rng.integers(2))]
            bias = [0.0, 10.0 ** rng.uniform(-3, 1)][len(drawn) % 2] if has_bias else None
            drawn.append(instance(shape, relative, alpha, decay_ratio(rng, relative), bias))
    return drawn


def instance(shape, relative, alpha, ratio, bias):
    """The instance with c = K sqrt(n lambda_W lambda_H) = `relative` times the threshold 1 - alpha."""
    classes, dim, n = shape
    decay = decays(classes, n, relative * (1 - alpha), ratio)
    problem = nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss=nct.losses.label_smoothing(float(alpha)), weight_decay=decay, bias=bias
    )
    shown = {"K": classes, "d": dim, "n": n, "alpha": float(alpha), "lambda_W": decay[0], "lambda_H": decay[1]}
    return nct.Instance(
        problem, {**shown, "c/(1-alpha)": float(relative), "bias": "none" if bias is None else float(bias)}
    )


def predict(problem):
    """The closed form, and the threshold 1 - alpha on c."""
    return located(nct.closed_form.label_smoothing_minimum(problem), 1.0 - jnp.asarray(problem.loss.smoothing))


def with_rule(probability, threshold):
    """The theorem with another p*, of kappa, K and alpha, or another threshold on c, of alpha."""

    def wrong(problem):
        classes, alpha = problem.classes, jnp.asarray(problem.loss.smoothing)
        strength = nct.closed_form.collapse_strength(problem)
        kappa, rest = strength / classes, classes - 1
        p = jnp.clip(probability(kappa, classes, alpha), 1e-3, 1 - 1e-12)
        scale = jnp.where(strength < threshold(alpha), jnp.log(rest * p / (1 - p)), 0.0)
        value = jnp.log1p(rest * jnp.exp(-scale)) + (kappa + alpha / classes) * rest * scale
        return located(nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID), threshold(alpha))

    return wrong


def true_probability(kappa, classes, alpha):
    """p* of the theorem."""
    return 1 - alpha + alpha / classes - (classes - 1) * kappa


def true_threshold(alpha):
    """c of the theorem's threshold."""
    return 1 - alpha


def orthogonal_frame(problem):
    """Orthogonal class directions of the right scale instead of a simplex."""
    true = predict(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    return located(nct.closed_form.frame_minimum(problem, scale, scale, true.value, None, ID), true.onset)


def around_onset(problem):
    """Strengths well on either side of the onset, whatever alpha up to 0.9."""
    return 0.03, 4.0


ONSET = nct.Threshold(
    "onset", r"WH=0\iff K\kappa\ge1-\alpha", at_strength, logit_size, lambda found: found.onset, around_onset
)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy") and 0 <= float(i.problem.loss.smoothing) < 1,
            FREE_FEATURES,
            BALANCED,
            DIM_SIMPLEX,
            POSITIVE_DECAYS,
            ANY_BIAS,
        ),
        sources=(ZHOU_2022_LOSSES.remark("The explicit p*, its threshold and the value are our own form of it."),),
        instances=draw_instances,
        predict=predict,
        claims=(*nct.theorems.collapse_claims(), ONSET),
        controls=(
            nct.Control(
                "threshold low",
                "zero already from c = 0.97 (1-alpha) on",
                with_rule(true_probability, lambda alpha: 0.97 * (1 - alpha)),
            ),
            nct.Control(
                "threshold high",
                "collapse, its formula continued, up to c = 1.03 (1-alpha)",
                with_rule(true_probability, lambda alpha: 1.03 * (1 - alpha)),
            ),
            nct.Control(
                "smoothing over the others",
                "targets (1-alpha) e_k + alpha/(K-1) off the label: p* = 1 - alpha - (K-1) kappa",
                with_rule(lambda kappa, classes, alpha: 1 - alpha - (classes - 1) * kappa, true_threshold),
                claims=("logits", "weight_norm"),
            ),
            nct.Control(
                "threshold of cross-entropy",
                "collapse up to c = 1 whatever alpha, its formula continued",
                with_rule(true_probability, lambda alpha: 1.0 + 0 * alpha),
            ),
            nct.Control(
                "smoothing ignored",
                "p* = 1 - (K-1) kappa as without smoothing",
                with_rule(lambda kappa, classes, alpha: 1 - (classes - 1) * kappa, true_threshold),
                claims=("logits",),
            ),
            nct.Control("orthogonal frame", "orthogonal class directions", orthogonal_frame, claims=("gram_weights",)),
            *nct.theorems.collapse_controls(predict),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
