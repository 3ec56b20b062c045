r"""Contrastive learning without labels is close to that with labels: by how much at most.

The contrastive loss that knows no labels pushes a sample away from all others; its supervised variant only from those of other
classes. How much the first can exceed the second is bounded, whatever the features are, by a number that falls with the number
of classes. The published bound is safe. Ascending the gap from random features shows where it ends: at features that have
collapsed to a simplex, with a smaller value, which only for two classes and many samples comes close to the bound.

Problem:
    $\max\frac1N\sum_i\log\big(1+\frac{\sum_{a\ne i,\,y_a=y_i}e^{\langle u_i,u_a\rangle/\tau}}{\sum_{y_a\ne
    y_i}e^{\langle u_i,u_a\rangle/\tau}}\big)$ over unit vectors $u_i\in\mathbb R^d$ of n samples in each of C classes: the
    decoupled contrastive loss less the negatives-only supervised one.
Theorem (Luthra et al. 2025, Theorem 1, for the bound at tau = 1; the largest gap is our own, and sampled):
    For all unit vectors $0\le\frac1N\sum_i\log\big(1+\frac{\sum_{a\ne i,\,y_a=y_i}e^{\langle
    u_i,u_a\rangle/\tau}}{\sum_{y_a\ne y_i}e^{\langle u_i,u_a\rangle/\tau}}\big)\le\log(1+\frac{e^{2/\tau}}{C-1})$. For
    $d\ge C-1$ and $\frac14\le\tau\le2$ its maximum is $\log(1+\frac{n-1}{n(C-1)}e^{\frac C{(C-1)\tau}})$, attained where each
    class is one vector and these form a simplex.
Hypotheses:
    - the gap of a contrastive loss with n >= 2 samples of each of C >= 2 classes
    - d >= C-1
    - 1/4 <= tau <= 2
Notation:
    Luthra et al.: C classes, cosine similarity, tau = 1. Positives are the same in both losses and cancel. Views of a sample
    that coincide change nothing.
Why:
    All products lie between -1 and 1, so that the fraction is at most $\frac{(n-1)e^{1/\tau}}{n(C-1)e^{-1/\tau}}$: the bound
    (with $\log(1+x)\le x$ it is $\frac{e^{2/\tau}}{C-1}$). Both extremes at once are met only by two classes at opposite
    points, and there the largest gap tends to the bound as n grows; the mean product with other classes is at best
    $-\frac1{C-1}$. That no other figure has a larger gap is not proved: the gap is not concave in the Gram matrix.
Checked:
    The gap is ascended from random starts, along the gradient flow. At starts and ends it must not exceed either number, and
    the best end must be the simplex's value, reached to rounding, with its Gram matrix. All of it is sampled.
Refuted by:
    A start or an end above either number, or a best end with another value or figure. The same check must refute the bound
    as the maximum, n in the place of n-1, a quarter of the bound, orthogonal classes, and products 1e-6 off.
Example:
    Two, three and five classes of four samples and ten of three at tau = 1: the largest gap, and the bound. The best of
    eight ascents with three classes in the plane.

    >>> from math import e, exp, log
    >>> [round(log(1 + (n - 1) / (n * (c - 1)) * exp(c / (c - 1))), 5) for c, n in ((2, 4), (3, 4), (5, 4), (10, 3))]
    [1.87821, 0.98605, 0.50346, 0.20295]
    >>> [round(log(1 + e**2 / (c - 1)), 5) for c in (2, 3, 5, 10)]
    [2.12693, 1.5464, 1.04636, 0.59939]
    >>> ends = nct.solve(build_instance(3, 4, 2, 1.0).problem, seeds=8, light=True)
    >>> round(-float(ends.value.min()), 5)
    0.98605
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import LUTHRA_2025
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.codes import repeated
from proofs_numeric.spheres.loss_gap import LossGap, loss_gap
from proofs_numeric.spheres.simplex import directions, orthogonal

ID = "cl-nscl"
# A shape is (C, n, d); in the first of each pool d = C-1.
POOLS = (((3, 4, 2), (2, 4, 3), (3, 3, 4)), ((4, 3, 3), (4, 2, 5), (5, 3, 6)))


class Gap(NamedTuple):
    """What the theorem says of the gap."""

    value: jax.Array
    """The least of the objective, which is minus the gap."""
    largest: jax.Array
    bound: jax.Array
    gram: jax.Array


def build_instance(classes, samples, dim, temperature):
    """Build the gap of C classes with n samples."""
    problem = nct.problems.unit_vectors(loss_gap(classes, samples, temperature), dim=dim)
    return nct.Instance(problem, {"C": classes, "n": samples, "d": dim, "tau": float(temperature)})


def draw_instances(key):
    """Draw two shapes of each pool, at tau = 1 and at others."""
    rng = nct.theorems.numpy_rng(key)
    return [
        build_instance(*shape, tau)
        for pool in POOLS
        for shape in pick(rng, pool, 2)
        for tau in (1.0, log_uniform(rng, 0.25, 0.5), log_uniform(rng, 0.5, 2.0))
    ]


def predict_with(samples=lambda n: n - 1, frame=directions, factor=1.0):
    """State bound and maximum; the arguments replace parts of these."""

    def predict(problem):
        classes, n, tau = problem.energy.classes, problem.energy.samples, problem.energy.temperature
        largest = jnp.log1p(samples(n) / (n * (classes - 1)) * jnp.exp(classes / ((classes - 1) * tau)))
        bound = jnp.log1p(jnp.exp(2.0 / tau) / (classes - 1))
        return Gap(-largest, largest, bound, factor * repeated(frame(classes), (n,) * classes))

    return predict


predict = predict_with()


def bound_is_met(problem):
    """State the bound as the maximum."""
    found = predict(problem)
    return found._replace(value=-found.bound)


def too_low(problem):
    """State a quarter of the bound, and nine tenths of the maximum, as bounds."""
    found = predict(problem)
    return found._replace(bound=0.25 * found.bound, largest=0.9 * found.largest)


def gap(problem, params):
    """Return the gap at a point."""
    return -problem.objective(params)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: (
                isinstance(i.problem.energy, LossGap) and min(i.problem.energy.samples, i.problem.energy.classes) >= 2
            ),
            lambda i: i.problem.dim >= i.problem.energy.classes - 1,
            lambda i: 0.25 <= float(i.problem.energy.temperature) <= 2.0,
        ),
        sources=(
            LUTHRA_2025.remark(
                "The bound log(1 + e^2/(C-1)), read on the authors' page of the project, where it is Theorem (1). The largest "
                "gap is our own, and sampled.",
                number="Theorem 1",
            ),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Solve(search=32),
        claims=(
            nct.GlobalValue("value", r"\max\mathrm{gap}", lambda g: g.value),
            nct.Equality("gram", r"UU^\top", lambda problem, params: problem.gram(params), lambda g: g.gram),
            nct.UpperBound(
                "largest",
                r"\mathrm{gap}\le\log(1+\frac{n-1}{n(C-1)}e^{C/((C-1)\tau)})",
                gap,
                lambda g: g.largest,
                scope="any point",
                terms=lambda problem, params: problem.value_terms(params),
            ),
            nct.UpperBound(
                "bound",
                r"\mathrm{gap}\le\log(1+\frac{e^{2/\tau}}{C-1})",
                gap,
                lambda g: g.bound,
                scope="any point",
                terms=lambda problem, params: problem.value_terms(params),
                resolution=0.75,
                because="how much larger than the largest gap it is, is told by that claim",
            ),
        ),
        controls=(
            nct.Control("bound is met", "the maximum is the bound", bound_is_met, ("value",)),
            nct.Control("n positives", "n in the place of n-1", predict_with(samples=lambda n: n), ("value",)),
            nct.Control("too low", "a quarter of the bound, nine tenths of the maximum", too_low, ("largest", "bound")),
            nct.Control("orthogonal", "orthogonal classes", predict_with(frame=orthogonal), ("gram",)),
            nct.Control("1e-6 larger", "products larger by a relative 1e-6", predict_with(factor=1 + 1e-6), ("gram",)),
        ),
        several_basins=True,
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
