r"""LayerNorm features, balanced: the simplex at every decay.

Behind a LayerNorm all features have one length, and only the classifier pays for its size. With classes of equal size the
minimiser is a simplex again, features and classifiers alike, but nothing ever collapses to zero: features cannot shrink,
and a classifier that is a little off zero always gains more than it pays. However strong the decay, all K classes stay
apart.

Problem:
    $\min_{W,H}\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2$ over $W\in\mathbb R^{K\times d}$ and features
    with $|h_i|=\rho$ of $N=nK$ samples.
Theorem (model of Sukenik, Lampert and Mondelli 2025, number unchecked; the scalar equation is our own form):
    With $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2$, $|h_i|=\rho$ and $S=I-11^\top/K$ every global
    minimiser has $WH=aS\otimes1_n^\top$, $WW^\top=\frac{a^2(K-1)}{K\rho^2}S$ and $H^\top
    H=\frac{K\rho^2}{K-1}S\otimes1_n1_n^\top$, where $a>0$ is the one minimiser of
    $\log(1+(K-1)e^{-a})+\lambda_Wa^2\frac{(K-1)^2}{2K\rho^2}$, which is $\min f$. In particular
    $|W|_F=\frac{a(K-1)}{\rho\sqrt K}>0$ for every $\lambda_W$.
Hypotheses:
    - features of fixed length, a decayed classifier, cross-entropy of one-hot labels, no bias
    - balanced classes, K >= 2
    - d >= K-1, d >= 2
Notation:
    rho is the square root of the width for a LayerNorm without gain; lambda_W belongs to a mean over samples.
Why:
    The objective is convex in the Gram matrix of the rows of W and the columns of H together, so that some minimiser is
    invariant under permutations of the samples of a class and of classes: $H^\top H$ and $WW^\top$ are multiples of the
    stated matrices plus multiples of $11^\top$, which cost or gain nothing but length. A simplex of length $\rho$ has the
    largest differences. The scalar function is strictly convex with the slope $-\frac{K-1}K<0$ at zero: its minimiser is
    positive.
Checked:
    Random starts are followed along the gradient flow to their ends. An eigenvalue bounds the minimum from below at each
    end, without the formula, and the value must lie in the interval so certified. Logits, $WW^\top$, $H^\top H$ and $|W|_F$
    are compared at the certified ends, to what their gradients leave open; decays go from a thousandth of $\rho^2$ to 2.5
    times it. For K = 3, d = 2 and small decays some starts end in local minima, and that shape is not drawn.
Refuted by:
    One certified end at which any of these differs by more than its tolerance. The same check must refute the threshold of
    free features with equal decays, beyond which all is zero; K for K-1 in the cost; orthogonal features; norms 1e-6 off.
Example:
    Four classes at a decay of 10 and length 2: the scale by the formula, and at the ends of four random starts.

    >>> problem = nct.problems.spherical_features(counts=(1,) * 4, dim=3, radius=2.0, weight_decay=10.0)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> scales = ends.params.weights[0] @ (ends.params.features / np.linalg.norm(ends.params.features, axis=1, keepdims=True))
    >>> [round(float(x), 4) for x in (predict(problem).scale, *(2.0 * (scales[:, 0, 0] - scales[:, 1, 0])))]
    [0.1289, 0.1289, 0.1289, 0.1289, 0.1289]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import SUKENIK_2025
from proofs_numeric.imbalanced.groups import bracketed_root
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.observed import BALANCED_CLASSES, DECAYED, DIM_OF_SIMPLEX, geometry_claims

ID = "ln-balanced"
# A shape is (K, d, n); d = K-1 in two of the larger ones. For K = 3, d = 2 there are local minima at small decays as well.
SMALL = ((3, 3, 2), (2, 2, 4), (3, 5, 3))
LARGE = ((4, 3, 2), (5, 4, 1), (6, 8, 2))


class Simplex(NamedTuple):
    """What the theorem says of the minimiser."""

    scale: jax.Array
    """a."""
    value: jax.Array
    logits: jax.Array
    gram_weights: jax.Array
    gram_features: jax.Array
    weight_norm: jax.Array


def draw_instances(key):
    """Draw a small and a larger shape, each with decays over four decades in units of rho^2."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, n in (*pick(rng, SMALL), *pick(rng, LARGE)):
        for low, high in ((1e-3, 1e-2), (1e-2, 0.1), (0.1, 0.5), (0.5, 1.0), (1.0, 2.5)):
            radius, part = log_uniform(rng, 0.5, 3.0), log_uniform(rng, low, high)
            decay = part * radius**2
            problem = nct.problems.spherical_features(counts=(n,) * classes, dim=dim, radius=radius, weight_decay=decay)
            shown = {"K": classes, "d": dim, "n": n, "rho": radius, "lambda_W": decay, "lambda_W/rho^2": part}
            drawn.append(nct.Instance(problem, shown))
    return drawn


def scale_at(problem, factor):
    """Return the root of the slope of the scalar function, whose cost is multiplied by `factor`."""
    rest, stiffness = problem.classes - 1, factor * stiffness_of(problem)

    def slope(a):
        return stiffness * a - rest * np.exp(-a) / (1 + rest * np.exp(-a))

    return bracketed_root(slope, 0.0, 1.0 / stiffness + 1.0)


def stiffness_of(problem):
    """Return lambda_W (K-1)^2/(K rho^2)."""
    return float(problem.size) * (problem.classes - 1) ** 2 / (problem.classes * float(problem.radius) ** 2)


def simplex_at(problem, scale):
    """State a simplex with any scale of the logits."""
    classes, labels = problem.classes, problem.labels
    rest, radius = classes - 1, float(problem.radius)
    centred = jnp.eye(classes) - 1 / classes
    return Simplex(
        jnp.asarray(scale),
        jnp.log1p(rest * jnp.exp(-scale)) + 0.5 * stiffness_of(problem) * scale**2,
        scale * centred[:, labels],
        scale**2 * rest / (classes * radius**2) * centred,
        radius**2 * classes / rest * centred[labels][:, labels],
        jnp.asarray(scale * rest / (radius * np.sqrt(classes))),
    )


def predict(problem):
    """State the simplex of the theorem."""
    return simplex_at(problem, scale_at(problem, 1.0))


def zero_beyond_threshold(problem):
    """Carry over the threshold of free features with a decay equal to that of W: zero iff K sqrt(n) lambda_W >= 1."""
    told = predict(problem)
    gone = problem.classes * np.sqrt(problem.counts[0]) * float(problem.size) >= 1.0
    return simplex_at(problem, jnp.where(gone, 0.0, told.scale))


def beyond_threshold(instance):
    """Tell whether that threshold is passed."""
    problem = instance.problem
    return problem.classes * np.sqrt(problem.counts[0]) * float(problem.size) >= 1.0


def orthogonal(problem):
    """State orthogonal features."""
    labels = problem.labels
    squared = jnp.asarray(problem.radius) ** 2
    return predict(problem)._replace(gram_features=squared * jnp.eye(problem.classes)[labels][:, labels])


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(DECAYED, BALANCED_CLASSES, DIM_OF_SIMPLEX),
        sources=(
            SUKENIK_2025.remark(
                "Their abstract: deep regularised ResNets and transformers with LayerNorm reduce to an unconstrained-feature "
                "model and their global optima are approximately collapsed. The scalar equation is our own."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            *geometry_claims(),
            nct.Equality(
                "weight_norm",
                r"|W|_F=\frac{a(K-1)}{\rho\sqrt K}",
                lambda problem, params: jnp.linalg.norm(params.weights[0]),
                lambda p: p.weight_norm,
            ),
        ),
        controls=(
            nct.Control(
                "threshold of free features",
                "zero from K sqrt(n) lambda_W = 1 on",
                zero_beyond_threshold,
                ("value", "logits", "gram_weights", "weight_norm"),
                beyond_threshold,
            ),
            nct.Control(
                "K for K-1",
                "the cost with K^2 in the place of (K-1)^2",
                lambda problem: simplex_at(problem, scale_at(problem, (problem.classes / (problem.classes - 1)) ** 2)),
                ("value", "logits"),
            ),
            nct.Control("orthogonal features", "features orthogonal", orthogonal, ("gram_features",)),
            nct.Control(
                "1e-6 off",
                "norm of W and H^T H larger by 1e-6",
                lambda problem: predict(problem)._replace(
                    weight_norm=(1 + 1e-6) * predict(problem).weight_norm,
                    gram_features=(1 + 1e-6) * predict(problem).gram_features,
                ),
                ("weight_norm", "gram_features"),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
