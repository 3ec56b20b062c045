r"""Label smoothing, balanced: the simplex ETF.

Label smoothing moves a share of the target from the right class to all K classes alike. With free features and n
samples of each class it changes nothing in the geometry: the minimiser is still a regular simplex, features and weights
alike. It only makes the simplex smaller, exactly as a stronger decay would, and less decay is needed until nothing is
learned. Smoothing and decay are therefore interchangeable here, by a formula.

Problem:
    $\min_{W,H,b}\frac1N\sum_i\mathrm{CE}(Wh_i+b,(1-\alpha)e_{y_i}+\alpha1/K)+\frac{\lambda_W}2|W|_F^2
    +\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$ over $W\in\mathbb R^{K\times d}$, the features
    $H\in\mathbb R^{d\times N}$ of $N=nK$ samples and, where there is one, the bias $b\in\mathbb R^K$.
Theorem (Zhou et al. 2022, number unchecked; the explicit probability, onset and value are our own form):
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i+b,(1-\alpha)e_{y_i}+\alpha1/K)+\frac{\lambda_W}2|W|_F^2
    +\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$ let $\kappa=\sqrt{n\lambda_W\lambda_H}$. If $K\kappa<1-\alpha$,
    every global minimiser has $WH=a^*S\otimes1_n^\top$ with $a^*=\log\frac{(K-1)p^*}{1-p^*}$,
    $p^*=1-\alpha+\alpha/K-(K-1)\kappa$, $S=I-11^\top/K$, $b$ constant (zero if $\lambda_b>0$),
    $WW^\top=\sqrt{\lambda_H/\lambda_W}\,a^*\sqrt n\,S$, $w_k=\sqrt{\lambda_Hn/\lambda_W}\,h_k$, and
    $\min f=\log(1+(K-1)e^{-a^*})+(\kappa+\alpha/K)(K-1)a^*$. If $K\kappa\ge1-\alpha$ the minimiser is zero, with value
    $\log K$.
Hypotheses:
    - cross-entropy with label smoothing, 0 <= alpha < 1
    - free features
    - balanced classes, K >= 2
    - d >= K-1
    - all decays > 0
    - a bias: none, free or decayed
Notation:
    Targets (1-alpha) e_k + alpha/K, the label's own share included; the fit is the mean over N = nK samples.
Why:
    All factorisations of $Z=WH$ cost at least $\sqrt{\lambda_W\lambda_H}|Z|_*$, so that f is at least a convex function
    of Z and b, which the permutations of the samples of a class, and of the classes with their labels, leave alone. As
    for one-hot targets, its only minimiser up to the constant of a free bias therefore has $Z=aS\otimes1_n^\top$ and b
    constant. There $|Z|_*=(K-1)\sqrt n\,|a|$, and the targets off the label, $\alpha/K$ each, add
    $\frac{\alpha}K(K-1)a$ to the cross-entropy of one-hot targets. So
    $\log(1+(K-1)e^{-a})+\frac{\alpha}K(K-1)a+\kappa(K-1)|a|$ is left to be minimised. It is convex; for $a>0$ its slope
    vanishes where $1-p=(K-1)(\kappa+\alpha/K)$, p the probability of the label. Such an $a>0$ exists iff that is less
    than $1-1/K$, the value at $a=0$, that is $K\kappa<1-\alpha$.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Logits, $WW^\top$, $H^\top H$, both norms, self-duality and the bias are compared at the certified ends, to what
    their gradients leave open. These are certified to hold at every global minimiser where strict complementarity and a
    Hessian that is positive definite off the gauge show that there is no other, and sampled elsewhere. The onset is
    located by bisection in the strength of the decays between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or an onset outside its last bracket.
    The same check must refute an onset 3 % too early or too late, the onset of plain cross-entropy, a smoothing that
    leaves the label out, no smoothing at all, an orthogonal frame in the place of the simplex, norms and the scale of
    self-duality off by 1e-6, and a bias that favours the first class.
Example:
    The value, and the squared norm of W, in closed form and at the ends of four random starts.

    >>> problem = instance(shape=(3, 2, 2), relative=0.3, alpha=0.1, ratio=2.0, bias=None).problem
    >>> minimum = nct.closed_form.label_smoothing_minimum(problem)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, *ends.value)]
    [0.72962, 0.72962, 0.72962, 0.72962, 0.72962]
    >>> [round(float(norm), 6) for norm in (minimum.weight_norm, *(ends.params.weights[0] ** 2).sum(axis=(1, 2)))]
    [3.619234, 3.619234, 3.619234, 3.619234, 3.619234]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022_LOSSES
from proofs_numeric.hypotheses import ANY_BIAS, BALANCED, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.pool import LARGE, MIDDLE, log_uniform, pick
from proofs_numeric.shallow.strength import at_strength, decay_ratio, decays, located, logit_size, strengths

ID = "ufm-ls"
# A shape is (K, d, n). In two of the small ones d = K-1, the least that the theorem allows.
SMALL = ((2, 1, 1), (2, 3, 4), (3, 2, 6))


def draw_instances(key):
    """Draw a small, a middle and a large shape: c from very weak to beyond 1-alpha; little smoothing and much."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    biased = rng.integers(3)  # At least one shape has a bias.
    for number, shape in enumerate((*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE))):
        has_bias = number == biased or rng.random() < 0.3
        for relative in strengths(rng):
            alpha = (log_uniform(rng, 1e-3, 0.15), rng.uniform(0.2, 0.9))[int(rng.integers(2))]
            bias = [0.0, 10.0 ** rng.uniform(-3, 1)][len(drawn) % 2] if has_bias else None
            drawn.append(instance(shape, relative, alpha, decay_ratio(rng, relative), bias))
    return drawn


def instance(shape, relative, alpha, ratio, bias):
    """Build the instance with c = K sqrt(n lambda_W lambda_H) = `relative` times the threshold 1 - alpha."""
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
    """Return the closed form, and the threshold 1 - alpha on c."""
    return located(nct.closed_form.label_smoothing_minimum(problem), 1.0 - jnp.asarray(problem.loss.smoothing))


def true_probability(kappa, classes, alpha):
    """Return p* of the theorem."""
    return 1 - alpha + alpha / classes - (classes - 1) * kappa


def true_threshold(alpha):
    """Return the theorem's threshold on c."""
    return 1 - alpha


def with_rule(probability=true_probability, threshold=true_threshold):
    """State the theorem with another p*, of kappa, K and alpha, or another threshold on c, of alpha."""

    def wrong(problem):
        classes, alpha = problem.classes, jnp.asarray(problem.loss.smoothing)
        strength = nct.closed_form.collapse_strength(problem)
        kappa, rest = strength / classes, classes - 1
        p = jnp.clip(probability(kappa, classes, alpha), 1e-3, 1 - 1e-12)
        scale = jnp.where(strength < threshold(alpha), jnp.log(rest * p / (1 - p)), 0.0)
        value = jnp.log1p(rest * jnp.exp(-scale)) + (kappa + alpha / classes) * rest * scale
        return located(nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID), threshold(alpha))

    return wrong


def orthogonal_frame(problem):
    """Predict orthogonal class directions of the right scale instead of a simplex."""
    true = predict(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    return located(nct.closed_form.frame_minimum(problem, scale, scale, true.value, None, ID), true.onset)


def around_onset(problem):
    """Name strengths well on either side of the onset, whatever alpha up to 0.9."""
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
                with_rule(threshold=lambda alpha: 0.97 * (1 - alpha)),
            ),
            nct.Control(
                "threshold high",
                "collapse, its formula continued, up to c = 1.03 (1-alpha)",
                with_rule(threshold=lambda alpha: 1.03 * (1 - alpha)),
            ),
            nct.Control(
                "smoothing over the others",
                "targets (1-alpha) e_k + alpha/(K-1) off the label: p* = 1 - alpha - (K-1) kappa",
                with_rule(lambda kappa, classes, alpha: 1 - alpha - (classes - 1) * kappa),
                claims=("logits", "weight_norm"),
            ),
            nct.Control(
                "threshold of cross-entropy",
                "collapse up to c = 1 whatever alpha, its formula continued",
                with_rule(threshold=lambda alpha: 1.0 + 0 * alpha),
            ),
            nct.Control(
                "smoothing ignored",
                "p* = 1 - (K-1) kappa as without smoothing",
                with_rule(lambda kappa, classes, alpha: 1 - (classes - 1) * kappa),
                claims=("logits",),
            ),
            nct.Control("orthogonal frame", "orthogonal class directions", orthogonal_frame, claims=("gram_weights",)),
            *nct.theorems.collapse_controls(predict),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
