r"""Margins at collapse, and the exact test error under noise.

At collapse every class mean is equally far from all its decision boundaries, and no arrangement of as many means of the same
mean square length has its nearest boundary further away. So for a test sample that is a class mean with isotropic noise the
error is known exactly, as one integral. With more classes than a simplex has corners the means cannot do better than those of
a cross-polytope.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with n samples of each of K
    classes; test samples $\mu_k+s\epsilon$ of the class means $\mu_k$ of H, $\epsilon\sim N(0,I_d)$. For more classes than
    d+1: $\min\sum_{i\ne j}e^{\beta\langle u_i,u_j\rangle}$ over unit vectors $u_k$, which are means.
Theorem (Rankin 1955, number unchecked, for unit vectors; the error is classical, both in our own words):
    Let $r^2=\frac1K\sum_k|\mu_k|^2$. For any K points $\min_{j\ne k}\frac12|\mu_j-\mu_k|\le r\sqrt{\frac K{2(K-1)}}$, and
    for $K\ge d+2$ in a ball of radius R it is at most $\frac R{\sqrt2}$, which any K of the 2d corners of a
    cross-polytope attain. The minimisers of the first problem are not zero if $K\sqrt{n\lambda_W\lambda_H}<1$; then
    $\frac{\langle w_k-w_j,\mu_k\rangle}{|w_k-w_j|}=r\sqrt{\frac K{2(K-1)}}$ for all $j\ne k$, and the test error of
    every class is $1-\int\phi(z-\alpha)\Phi(z)^{K-1}dz$ with $\alpha=\frac rs\sqrt{\frac K{K-1}}$. Those of the second with
    $K=2d$ attain $\frac1{\sqrt2}$.
Hypotheses:
    - cross-entropy of balanced classes with free features and no bias, or a pair energy of unit vectors
    - d >= K-1 and a decay below the onset; for unit vectors K = 2d >= d+2
    - all decays positive
Notation:
    Papyan et al. 2020 call half the squared distance of a mean from its nearest boundary the error exponent. In bounds of
    codes the first sentence is the simplex bound, the second the orthoplex bound.
Why:
    $\sum_{j<k}|\mu_j-\mu_k|^2\le K\sum_k|\mu_k|^2$, so that the least of $\frac{K(K-1)}2$ squares is at most
    $\frac{2K}{K-1}r^2$. Of d+2 vectors two have a non-negative inner product, and then $|\mu_j-\mu_k|^2\le2R^2$. At collapse
    W is parallel to the means and these are a simplex ETF, all of whose distances are equal. A simplex is equivalent, but for
    a direction in which all means agree, to K orthogonal means at distance $\alpha s$ from the origin, whose noises are
    independent: the right one must be the largest. Of all equally long means these have the least error in K-1 dimensions
    (Pastore 2023). Of means of one mean square length they do not: with seven classes or more and strong noise two antipodal
    means and all others at zero are better (Steiner 1994; here erratum N39).
Checked:
    Random starts are followed to ends whose values are certified to be minima, without the formula. There the distances are
    those of the trained classifier's boundaries, and the error is an orthant probability of the K-1 normal variables that its
    differences of logits are, integrated variable by variable, at three noises. The bounds are held against every start too.
Refuted by:
    One certified end with another distance or error, or one start whose means lie further apart than the bounds. The same
    check must refute half the distance from the origin and $\frac12\sqrt{K/(K-1)}$, orthogonal means, the sum of the errors of
    pairs, and one class more.
Example:
    Four classes and noise of 0.6 of the length of the means: distance and error, and one less the orthant probability.

    >>> from proofs_numeric.generalisation.boundaries import orthant
    >>> with jax.enable_x64(True):
    ...     limits, correlation = jnp.full(3, simplex_margin(4) / 0.6), 0.5 * (jnp.eye(3) + 1.0)
    ...     right = float(jax.jit(orthant)(limits, correlation))
    >>> [round(x, 5) for x in (simplex_margin(4), simplex_error(4, 0.6), 1.0 - right)]
    [0.8165, 0.19314, 0.19314]
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import PASTORE_2023, RANKIN_1955, STEINER_1994
from proofs_numeric.bibliography_of_observations import PAPYAN_2020
from proofs_numeric.conserved.vector_field import rounding_unit
from proofs_numeric.generalisation.boundaries import (
    ACCURACY,
    NOISES,
    apart,
    boundaries,
    is_vectors,
    margins,
    noise_errors,
    number_of,
)
from proofs_numeric.hypotheses import BALANCED, DIM_SIMPLEX, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.shallow.strength import decay_ratio, decays

ID = "nc-margins"
SHAPES = ((2, 1, 3), (3, 4, 2), (4, 3, 2))
"""K, d and n; an orthant of more than three variables is too many to integrate one by one."""
POLYTOPES = ((4, 2), (6, 3))
"""K and d."""


class Prediction(NamedTuple):
    """What the theorem says of the minimiser, and of any means."""

    margin: jax.Array
    """Of each class over r."""
    errors: jax.Array
    """Of each class at each noise."""
    most: jax.Array
    """The largest that the least of all distances from boundaries may be, over r."""


def collapsed(classes, dim, n, strength, ratio):
    """Build the instance whose decays are `strength` of those at the onset."""
    decay = decays(classes, n, strength, ratio)
    problem = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="cross_entropy", weight_decay=decay)
    return nct.Instance(problem, {"K": classes, "d": dim, "n": n, "c": strength, "ratio": ratio})


def polytope(number, dim, sharpness):
    """Build the instance of unit vectors."""
    energy = nct.problems.exponential_energy(vectors=number, sharpness=sharpness)
    problem = nct.problems.unit_vectors(energy, dim=dim)
    return nct.Instance(problem, {"K": number, "d": dim, "beta": sharpness})


def draw_instances(key):
    """Draw for each shape decays that are weak, moderate and near the onset, and soft and hard polytopes."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in SHAPES:
        for ends in ((1e-3, 1e-2), (1e-2, 0.2), (0.2, 0.9)):
            strength = log_uniform(rng, *ends)
            drawn.append(collapsed(*shape, strength, decay_ratio(rng, strength)))
    for number, dim in pick(rng, POLYTOPES):
        drawn += [polytope(number, dim, log_uniform(rng, *ends)) for ends in ((0.2, 1.0), (1.0, 5.0))]
    return drawn


def simplex_error(classes, noise):
    """Return the error of a simplex of unit length at this noise."""
    return nct.generalisation.exact_nearest_mean_error(math.sqrt(2.0 * classes / (classes - 1)), noise, classes)


def orthogonal_error(classes, noise):
    """Return that of orthogonal means."""
    return nct.generalisation.exact_nearest_mean_error(math.sqrt(2.0), noise, classes)


def union_error(classes, noise):
    """Return the sum over the other classes of the errors of pairs."""
    pair = nct.generalisation.exact_nearest_mean_error(math.sqrt(2.0 * classes / (classes - 1)), noise)
    return (classes - 1) * pair


def simplex_margin(classes):
    """Return the square root of K/(2(K-1))."""
    return math.sqrt(0.5 * classes / (classes - 1))


def predict_with(margin=None, error=simplex_error, most=None):
    """Predict the true margins and errors, or wrong ones as functions of K (and the noise)."""

    def predict(problem):
        classes = number_of(problem)
        true = math.sqrt(0.5) if is_vectors(problem) else simplex_margin(classes)
        row = [error(classes, noise) for noise in NOISES]
        return Prediction(
            jnp.full(classes, true if margin is None else margin(classes)),
            jnp.asarray(np.tile(row, (classes, 1))),
            jnp.asarray(true if most is None else most(classes)),
        )

    return predict


def accuracy(problem, params):
    """Return how far the errors may be off."""
    return ACCURACY / rounding_unit(params) * jnp.ones(())


def one_hot(problem):
    """Tell whether the loss is cross-entropy of one-hot labels, and the features free."""
    return problem.loss.name == "cross_entropy" and float(problem.loss.smoothing) == 0.0 and problem.inputs is None


def trained(instance):
    """Tell the instances with features and a classifier."""
    return not is_vectors(instance.problem)


def several(instance):
    """Tell of these those of more than two classes."""
    return trained(instance) and instance.problem.classes > 2


def vectors(instance):
    """Tell those of unit vectors."""
    return is_vectors(instance.problem)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: is_vectors(i.problem) or (one_hot(i.problem) and BALANCED.holds(i) and NO_BIAS.holds(i)),
            lambda i: (
                i.problem.vectors == 2 * i.problem.dim >= i.problem.dim + 2
                if is_vectors(i.problem)
                else DIM_SIMPLEX.holds(i) and float(nct.closed_form.collapse_strength(i.problem)) < 1
            ),
            lambda i: is_vectors(i.problem) or POSITIVE_DECAYS.holds(i),
        ),
        sources=(
            RANKIN_1955.remark(
                "Both bounds for unit vectors, from memory; the forms for other lengths are derived here."
            ),
            PAPYAN_2020.remark("The simplex ETF as the arrangement of the largest error exponent, from memory."),
            PASTORE_2023.remark("That no equally long means have a smaller error; known by its abstract, not checked."),
            STEINER_1994.remark(
                "That means of one mean square length may; known by what others say of it, derived in N39."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Equality(
                "margin",
                r"\min_{j\ne k}\langle w_k-w_j,\mu_k\rangle/(r|w_k-w_j|)",
                margins,
                lambda p: p.margin,
                moves_like=boundaries,
            ),
            nct.UpperBound(
                "largest margin",
                r"\min_{j\ne k}\tfrac12|\mu_j-\mu_k|\le r\max",
                apart,
                lambda p: p.most,
                scope="any point",
            ),
            nct.Equality(
                "test error",
                r"1-\int\phi(z-\alpha)\Phi(z)^{K-1}dz",
                noise_errors,
                lambda p: p.errors,
                applies=trained,
                terms=accuracy,
            ),
        ),
        controls=(
            nct.Control(
                "of the radius alone",
                "r sqrt(K/(K-1))/2",
                predict_with(margin=lambda k: 0.5 * math.sqrt(k / (k - 1))),
                claims=("margin",),
                applies=trained,
            ),
            nct.Control(
                "orthogonal means",
                "r/sqrt 2, as of an orthogonal frame",
                predict_with(margin=lambda k: math.sqrt(0.5), error=orthogonal_error, most=lambda k: math.sqrt(0.5)),
                claims=("margin", "largest margin", "test error"),
                applies=trained,
            ),
            nct.Control(
                "room for a simplex",
                "r sqrt(K/(2(K-1))) for K > d+1",
                predict_with(margin=simplex_margin),
                claims=("margin",),
                applies=vectors,
            ),
            nct.Control(
                "one class more",
                "K+1 for K",
                predict_with(
                    margin=lambda k: simplex_margin(k + 1),
                    error=lambda k, s: simplex_error(k + 1, s),
                    most=lambda k: simplex_margin(k + 1),
                ),
                claims=("margin", "largest margin", "test error"),
                applies=trained,
            ),
            nct.Control(
                "sum over pairs",
                r"(K-1) Phi(-D/(2s))",
                predict_with(error=union_error),
                claims=("test error",),
                applies=several,
            ),
            nct.Control(
                "1e-6 wide",
                "a bound smaller by a relative 1e-6",
                predict_with(most=lambda k: 0.999999 * math.sqrt(0.5)),
                claims=("largest margin",),
                applies=vectors,
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
