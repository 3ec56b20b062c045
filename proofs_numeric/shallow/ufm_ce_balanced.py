"""Cross-entropy with free features: every global minimiser is a simplex ETF, of a known scale, or zero."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021

ID = "ufm-ce-balanced"
# (K, d, n), and whether there is a bias: d = K-1 once, the least dimension that the theorem allows.
SHAPES = (((4, 8, 5), True), ((3, 2, 6), False), ((8, 10, 3), True))


def draw_instances(key):
    """For each shape: weak decay, moderate decay, and strength c within 3 % of 1 on either side; one far beyond."""
    rng = nct.generator(key)
    drawn = []
    for (classes, dim, n), has_bias in SHAPES:
        weak, moderate = np.exp(rng.uniform(np.log(0.03), np.log(0.2))), rng.uniform(0.2, 0.8)
        below, above = 1 - rng.uniform(0.01, 0.03), 1 + rng.uniform(0.01, 0.03)
        for strength in (weak, moderate, below, above):
            bias = [0.0, 10.0 ** rng.uniform(-3, -1)][len(drawn) % 2] if has_bias else None
            drawn.append(instance(classes, dim, n, strength, 10.0 ** rng.uniform(-0.5, 0.5), bias))
    drawn.append(instance(4, 8, 5, rng.uniform(1.5, 3.0), 1.0, 0.0))
    return drawn


def instance(classes, dim, n, strength, ratio, bias):
    """The instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    product = (strength / classes) ** 2 / n
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss="cross_entropy", weight_decay=decay, bias=bias
    )
    shown = {"K": classes, "d": dim, "n": n, "lambda_W": decay[0], "lambda_H": decay[1], "c": float(strength)}
    return nct.Instance(problem, {**shown, "bias": "none" if bias is None else float(bias)})


def scaled(problem, scale):
    """A simplex ETF of any logit scale, with the value that the true formula gives at that scale."""
    kappa = nct.collapse_strength(problem) / problem.classes
    rest = problem.classes - 1
    value = jnp.log1p(rest * jnp.exp(-scale)) + kappa * rest * scale
    return nct.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID)


def shifted_threshold(factor):
    """The theorem with its threshold c = 1 moved to c = `factor`."""

    def predict(problem):
        strength = nct.collapse_strength(problem)
        classes = problem.classes
        scale = jnp.log(jnp.maximum(classes / strength - classes + 1.0, 0.1))
        return scaled(problem, jnp.where(strength < factor, scale, 0.0))

    return predict


def off_by_one(problem):
    """a* with K in the place of K-1."""
    classes, strength = problem.classes, nct.collapse_strength(problem)
    return scaled(problem, jnp.log(jnp.maximum(classes / strength - classes, 1.0)))


def orthogonal_frame(problem):
    """Orthogonal class directions of the right scale instead of a simplex."""
    true = nct.cross_entropy_minimum(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    wrong = nct.frame_minimum(problem, scale, scale, true.value, None, ID)
    return wrong


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Cross-entropy, balanced: the simplex ETF",
        statement=r"""For $f=\frac1N\sum_i\mathrm{CE}(Wh_i+b,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
+\frac{\lambda_b}2|b|^2$ let $\kappa=\sqrt{n\lambda_W\lambda_H}$, $c=K\kappa$. If $c<1$, every global minimiser has
$WH=a^*S\otimes1_n^\top$ with $a^*=\log(1/\kappa-K+1)$ and $S=I-11^\top/K$, $b$ constant (zero if $\lambda_b>0$),
$WW^\top=\sqrt{\lambda_H/\lambda_W}\,a^*\sqrt n\,S$, $w_k=\sqrt{\lambda_Hn/\lambda_W}\,h_k$, and
$\min f=\log(1+(K-1)e^{-a^*})+\kappa(K-1)a^*$. If $c\ge1$ the minimiser is zero, with value $\log K$.""",
        hypotheses=("balanced classes, K >= 2", "d >= K-1", "lambda_W, lambda_H > 0", "bias none, free or decayed"),
        notation="Zhu et al.: lambda_W, lambda_H, lambda_b as here; their fit is the mean over N = nK samples.",
        sources=(ZHU_2021.remark("The explicit a* and threshold are our own form of it."),),
        instances=draw_instances,
        predict=nct.cross_entropy_minimum,
        claims=nct.collapse_claims(),
        controls=(
            nct.Control("threshold low", "zero already from c = 0.97 on", shifted_threshold(0.97)),
            nct.Control("threshold high", "collapse up to c = 1.03", shifted_threshold(1.03)),
            nct.Control("off by one", "a* = log(1/kappa - K)", off_by_one, claims=("value", "logits", "weight_norm")),
            nct.Control("orthogonal frame", "orthogonal class directions", orthogonal_frame, claims=("gram_weights",)),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
