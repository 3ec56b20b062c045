r"""A fixed simplex classifier: neural collapse for any class sizes.

If the classifier is not learned but fixed as a simplex, features collapse to its rows, and they all have one length, whether
a class has a thousand samples or one. No sample knows of another then: imbalance distorts neural collapse through the
classifier that the classes share, and through nothing else. The same features before a learned classifier shrink and merge
in the small classes, from three classes on: with two, it happens to have equal gaps as well.

Problem:
    $\min_H\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_H}2|H|_F^2$ over features H of N samples, for a given W with
    $WW^\top=\omega^2\frac K{K-1}S$, $S=I-11^\top/K$: rows of length $\omega$ that form a simplex.
Theorem (Yang et al. 2022, number unchecked and the paper not read; the scalar equation is our own form):
    For any class sizes the one minimiser of $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_H}2|H|_F^2$ with
    $WW^\top=\omega^2\frac K{K-1}S$ has $h_i=\ell w_{y_i}/\omega$ for every sample, so that $WH=aSY$ with
    $a=\frac K{K-1}\omega\ell$, where a > 0 is the one root of
    $\frac{(K-1)e^{-a}}{1+(K-1)e^{-a}}=N\lambda_Ha\frac{(K-1)^2}{K^2\omega^2}$, and
    $\min f=\log(1+(K-1)e^{-a})+\frac N2\lambda_H\ell^2$.
Hypotheses:
    - a given classifier whose rows form a simplex, cross-entropy of one-hot labels, no bias
    - any class counts, K >= 2
    - lambda_H > 0
Notation:
    $\ell$ is the length of the features, a the gap between the logit of the class and the others; Y are one-hot columns. Yang
    et al. bound the features' lengths in the place of the decay.
Why:
    The objective is a sum of one function of $h_i$ for each sample, cross-entropy and $\frac N2\lambda_H|h_i|^2$ over N, which
    depends on the class alone and is strictly convex: it has one minimiser. The symmetries of the simplex that leave $w_k$
    alone leave it alone too, so that it is a multiple of $w_k$, and its derivative along $w_k$ is the scalar equation. At
    a = 0 the left side is (K-1)/K > 0: there is no threshold beyond which the features vanish, for K classes of any sizes.
Checked:
    Random starts are followed along the gradient flow to their ends. The problem is strongly convex, so that at any point the
    minimum is at least $f-\frac1{2\lambda_H}|\nabla f|^2$: this certifies each end without the formula, and no other minimiser
    exists. Value, logits and all entries of H are compared at the certified ends, for class sizes of ratios up to thirty
    and strengths $N\lambda_H/\omega^2$ over five decades.
Refuted by:
    One certified end with another value, other logits or other features. The same check must refute the features that a
    learned classifier of the same size has, features that are longer in small classes, K(K-1) for (K-1)^2, lambda_H for N
    lambda_H, the same features before a classifier whose rows are orthogonal, and all of it 1e-6 off.
Example:
    Nine, three, two and one samples: the gap by the formula, and that of a sample of the first and of the last class.

    >>> problem = build_instance(np.random.default_rng(0), (9, 3, 2, 1), 3, 1.5, 0.02).problem
    >>> logits = problem.logits(jax.tree.map(lambda x: x[0], nct.solve(problem, seeds=1, light=True).params))
    >>> [round(float(x), 5) for x in (predict(problem).gap, logits[0, 0] - logits[1, 0], logits[3, -1] - logits[0, -1])]
    [2.54362, 2.54362, 2.54362]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import YANG_2022
from proofs_numeric.hypotheses import ANY_COUNTS
from proofs_numeric.imbalanced.groups import bracketed_root
from proofs_numeric.pool import log_uniform, pick

ID = "fixed-etf"
# A shape is (class sizes, d); d = K-1 in the first of each pool.
SKEWED = (((9, 3, 2, 1), 3), ((30, 1, 1), 4), ((12, 12, 1, 1, 1), 6))
SMALL, BALANCED = (((7, 1), 1), ((6, 2, 1), 2)), (((2, 2, 2), 3), ((1, 1, 1, 1, 1, 1), 5))
STRENGTHS = ((1e-4, 1e-2), (1e-2, 0.3), (0.3, 3.0), (3.0, 30.0))
"""Ranges of N lambda_H/omega^2."""
SIMPLEX = 1e-10
"""W W^T may differ from that of a simplex by this much of omega^2 (conventional: rounding)."""


class Collapsed(NamedTuple):
    """What the theorem says of the minimiser."""

    gap: jax.Array
    """a."""
    value: jax.Array
    logits: jax.Array
    features: jax.Array


def build_instance(rng, counts, dim, length, decay):
    """Build the problem of a simplex of rows of a given length, turned at random."""
    classes = len(counts)
    # An orthonormal basis of what is orthogonal to 1, with its K-1 columns turned into d dimensions.
    basis = np.linalg.svd(np.eye(classes) - 1 / classes)[0][:, : classes - 1]
    turned = np.linalg.qr(rng.normal(size=(dim, classes - 1)))[0]
    weights = length * np.sqrt(classes / (classes - 1)) * basis @ turned.T
    problem = nct.problems.fixed_classifier(weights=weights, counts=counts, feature_decay=decay)
    strength = sum(counts) * decay / length**2
    shown = {"counts": "-".join(map(str, counts)), "d": dim, "omega": length, "lambda_H": decay, "strength": strength}
    return nct.Instance(problem, shown)


def draw_instances(key):
    """Draw one shape of each pool, each with strengths from weak to strong."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for counts, dim in (*pick(rng, SKEWED), *pick(rng, SMALL), *pick(rng, BALANCED)):
        for ends in STRENGTHS:
            length = log_uniform(rng, 0.3, 5.0)
            drawn.append(build_instance(rng, counts, dim, length, log_uniform(rng, *ends) * length**2 / sum(counts)))
    return drawn


def draw_orthogonal(key):
    """Draw a classifier whose rows are orthogonal, of one length."""
    rng = nct.theorems.numpy_rng(key)
    length = log_uniform(rng, 0.5, 2.0)
    weights = length * np.linalg.qr(rng.normal(size=(5, 5)))[0][:4]
    decay = log_uniform(rng, 1e-2, 0.3) * length**2 / 15
    problem = nct.problems.fixed_classifier(weights=weights, counts=(9, 3, 2, 1), feature_decay=decay)
    return [nct.Instance(problem, {"counts": "9-3-2-1", "d": 5, "omega": length, "lambda_H": decay})]


def length_of(problem):
    """Return omega, the length of the first row."""
    return float(np.linalg.norm(np.asarray(problem.given)[0]))


def stated(problem, gap, factor=1.0, parts=None):
    """State the collapsed features with any gap, times a factor, and for each class times a part of the length."""
    classes, omega, samples = problem.classes, length_of(problem), sum(problem.counts)
    length = gap * (classes - 1) / (classes * omega)
    parts = jnp.ones(classes) if parts is None else jnp.asarray(parts)
    columns = factor * parts[None, :] * jnp.asarray(problem.given).T * length / omega
    value = jnp.log1p((classes - 1) * jnp.exp(-gap)) + 0.5 * samples * problem.feature_decay * length**2
    logits = (factor * gap * parts[None, :] * (jnp.eye(classes) - 1 / classes))[:, problem.labels]
    return Collapsed(jnp.asarray(gap), factor * value, logits, columns[:, problem.labels])


def gap_at(problem, stiffness=1.0):
    """Return the root of the scalar equation, whose right side is multiplied by `stiffness`."""
    rest, samples = problem.classes - 1, sum(problem.counts)
    slope = stiffness * samples * float(problem.feature_decay) * (rest / (problem.classes * length_of(problem))) ** 2

    def equation(a):
        return slope * a - rest * np.exp(-a) / (1 + rest * np.exp(-a))

    return bracketed_root(equation, 0.0, 1.0 / slope)


def predict(problem):
    """State the theorem."""
    return stated(problem, gap_at(problem))


def with_equation(stiffness):
    """State it with another factor in the scalar equation."""
    return lambda problem: stated(problem, gap_at(problem, stiffness(problem)))


def learned(problem):
    r"""State the logits of a learned classifier, whose decay is such that with balanced classes it would be the given one.

    A learned classifier has $\lambda_W|W|^2=\lambda_H|H|^2$, with $|W|^2=K\omega^2$ and $|H|^2=N\ell^2$ here.
    """
    told = predict(problem)
    squares = jnp.sum(told.features**2)
    decay = float(problem.feature_decay * squares / (problem.classes * length_of(problem) ** 2))
    chain = nct.unconstrained_features(
        counts=problem.counts,
        dim=problem.classes,
        loss="cross_entropy",
        weight_decay=(decay, float(problem.feature_decay)),
    )
    return told._replace(logits=nct.closed_form.imbalanced_cross_entropy_minimum(chain).logits)


def longer(problem):
    """State features whose squared lengths fall with the root of the class size, with the mean square of the theorem."""
    counts = np.asarray(problem.counts, float)
    parts = counts**-0.25
    return stated(problem, gap_at(problem), parts=parts / np.sqrt(np.sum(counts * parts**2) / counts.sum()))


def unequal(instance):
    """Tell whether class sizes differ."""
    return len(set(instance.problem.counts)) > 1


def matters(instance):
    """Tell whether class sizes would matter before a learned classifier: they differ, and there are more than two classes."""
    return unequal(instance) and len(instance.problem.counts) > 2


def is_simplex(instance):
    """Tell whether the classifier is given, its rows form a simplex, and the loss is cross-entropy."""
    problem = instance.problem
    if not isinstance(problem, nct.problems.FixedClassifier) or problem.loss.name != "cross_entropy":
        return False
    gram, classes = np.asarray(problem.given) @ np.asarray(problem.given).T, problem.classes
    simplex = gram[0, 0] * (classes * np.eye(classes) - 1) / (classes - 1)
    plain = float(getattr(problem.loss, "smoothing", 1.0)) == 0.0
    return plain and gram[0, 0] > 0 and bool(np.all(np.abs(gram - simplex) <= SIMPLEX * gram[0, 0]))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(is_simplex, ANY_COUNTS, lambda i: float(i.problem.feature_decay) > 0),
        sources=(
            YANG_2022.remark(
                "As it is known from other papers: with a fixed simplex classifier features collapse to it also where class "
                "sizes differ. The decayed form, the scalar equation and the certificate are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("logits", r"WH=aSY", lambda problem, params: problem.logits(params), lambda p: p.logits),
            nct.Equality(
                "features", r"h_i=\ell w_{y_i}/\omega", lambda problem, params: params.features, lambda p: p.features
            ),
        ),
        controls=(
            nct.Control(
                "learned classifier",
                "logits as before a learned classifier of the same size",
                learned,
                ("logits",),
                matters,
            ),
            nct.Control(
                "longer in small classes",
                "lengths that fall with the class size",
                longer,
                ("logits", "features"),
                unequal,
            ),
            nct.Control(
                "K(K-1)", "K(K-1) in the place of (K-1)^2", with_equation(lambda p: p.classes / (p.classes - 1))
            ),
            nct.Control("lambda_H", "lambda_H in the place of N lambda_H", with_equation(lambda p: 1 / sum(p.counts))),
            nct.Control(
                "orthogonal rows",
                "the same before a classifier of orthogonal rows",
                claims=("value", "logits", "features"),
                outside=draw_orthogonal,
            ),
            nct.Control("1e-6 off", "all larger by a relative 1e-6", lambda p: stated(p, gap_at(p), factor=1 + 1e-6)),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
