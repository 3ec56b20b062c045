r"""Cross-entropy, balanced: the simplex ETF.

A classifier that may choose the last features of its n samples of each of K classes freely, and pays for the size of
features and weights, ends in perfect symmetry: the features of a class coincide, and the K classes point to the corners
of a regular simplex, features and weights alike. This is neural collapse in the model in which it was first explained.
How large the simplex is, and from which decay on nothing at all is learned, follows from a single number.

Problem:
    $\min_{W,H,b}\frac1N\sum_i\mathrm{CE}(Wh_i+b,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    +\frac{\lambda_b}2|b|^2$ over $W\in\mathbb R^{K\times d}$, the features $H\in\mathbb R^{d\times N}$ of $N=nK$
    samples and, where there is one, the bias $b\in\mathbb R^K$.
Theorem (Zhu et al. 2021, number unchecked; the explicit scale and onset are our own form):
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
Why:
    All factorisations of $Z=WH$ cost at least $\lambda|Z|_*$, $\lambda=\sqrt{\lambda_W\lambda_H}$, so that f is at
    least a convex function of Z and b. Averaging over the permutations of the samples of a class, and of the classes
    with their labels, does not raise it, nor does dropping constants from the columns of Z: some minimiser has
    $Z=aS\otimes1_n^\top$ and b constant. It is the only one: cross-entropy is strictly convex up to a constant in each
    column, and $Z-\beta1^\top+1v^\top$ with the same logits up to such constants ($\beta\perp1$) has a strictly larger
    nuclear norm unless $\beta=0$ and $v=0$, because $Z1=0$ and $1^\top Z=0$. There $|Z|_*=(K-1)\sqrt n\,|a|$, and
    $\log(1+(K-1)e^{-a})+\kappa(K-1)|a|$ is convex with its minimum at 0 iff $K\kappa\ge1$, and else where the
    probability of each wrong class is $\kappa$. The cheapest factorisations of this Z, which has rank K-1 at most, have
    the stated Gram matrices.
Checked:
    Random starts are followed along the gradient flow to their ends. A dual point of the nuclear-norm program bounds
    the minimum from below at each end, without the formula, and the value must lie in the interval so certified.
    Logits, $WW^\top$, $H^\top H$, both norms, self-duality and the bias are compared at the certified ends, to what
    their gradients leave open. These are certified to hold at every global minimiser where strict complementarity and a
    Hessian that is positive definite off the gauge show that there is no other, and sampled elsewhere. The onset is
    located by bisection in the strength of the decays between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or an onset outside its last bracket.
    The same check must refute an onset 3 % too early or too late, one 0.1 % too late in the bisection, K in the place
    of K-1 in the scale, an orthogonal frame in the place of the simplex, norms and the scale of self-duality off by
    1e-6, and a bias that favours the first class.
Example:
    The value, and the squared norm of W, in closed form and at the ends of four random starts.

    >>> problem = instance(classes=3, dim=2, n=2, strength=0.3, ratio=2.0, bias=None).problem
    >>> minimum = nct.closed_form.cross_entropy_minimum(problem)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, *ends.value)]
    [0.639032, 0.639032, 0.639032, 0.639032, 0.639032]
    >>> [round(float(norm), 6) for norm in (minimum.weight_norm, *(ends.params.weights[0] ** 2).sum(axis=(1, 2)))]
    [4.158883, 4.158883, 4.158883, 4.158883, 4.158883]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021
from proofs_numeric.hypotheses import ANY_BIAS, BALANCED, DIM_SIMPLEX, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.pool import pick
from proofs_numeric.shallow.strength import decay_ratio, decays, onset_at_one, strengths

ID = "ufm-ce-balanced"
# A shape is (K, d, n). In two of the small ones d = K-1, the least that the theorem allows.
SMALL = ((2, 1, 1), (2, 3, 4), (3, 2, 6))
MIDDLE = ((4, 8, 5), (4, 3, 3), (5, 7, 2))
LARGE = ((6, 6, 12), (8, 10, 3), (10, 12, 4))


def draw_instances(key):
    """Draw a small, a middle and a large shape, each with very weak to moderate decay, c about 1 and far beyond."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    biased = rng.integers(3)  # At least one shape has a bias.
    for number, (classes, dim, n) in enumerate((*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE))):
        has_bias = number == biased or rng.random() < 0.3
        for strength in strengths(rng):
            bias = [0.0, 10.0 ** rng.uniform(-3, 1)][len(drawn) % 2] if has_bias else None
            drawn.append(instance(classes, dim, n, strength, decay_ratio(rng, strength), bias))
    return drawn


def instance(classes, dim, n, strength, ratio, bias):
    """Build the instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    decay = decays(classes, n, strength, ratio)
    problem = nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss="cross_entropy", weight_decay=decay, bias=bias
    )
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "c": float(strength)}
    return nct.Instance(problem, {**shown, "bias": "none" if bias is None else float(bias)})


def scaled(problem, scale):
    """Predict a simplex ETF of any logit scale, with the value that the objective has at that scale."""
    kappa = nct.closed_form.collapse_strength(problem) / problem.classes
    rest = problem.classes - 1
    value = jnp.log1p(rest * jnp.exp(-scale)) + kappa * rest * scale
    return nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID)


def shifted_threshold(factor):
    """Move the theorem's threshold c = 1 to c = `factor`."""

    def predict(problem):
        strength = nct.closed_form.collapse_strength(problem)
        classes = problem.classes
        scale = jnp.log(jnp.maximum(classes / strength - classes + 1.0, 0.1))
        return scaled(problem, jnp.where(strength < factor, scale, 0.0))

    return predict


def off_by_one(problem):
    """Put K in the place of K-1 in a*."""
    classes, strength = problem.classes, nct.closed_form.collapse_strength(problem)
    return scaled(problem, jnp.log(jnp.maximum(classes / strength - classes, 1.0)))


def orthogonal_frame(problem):
    """Predict orthogonal class directions of the right scale instead of a simplex."""
    true = nct.closed_form.cross_entropy_minimum(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    return nct.closed_form.frame_minimum(problem, scale, scale, true.value, None, ID)


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
