r"""Twice as many classes as dimensions: the cross-polytope.

With more than d+1 classes there is no room for a simplex. For K = 2d the classes settle at the corners of a cross-polytope:
each class has one opposite class and is orthogonal to all others, features and classifiers alike, at every temperature.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ over $|w_k|=\omega$ and $|h_i|=\rho$ in $\mathbb R^d$, $\tau=\omega\rho$.
Theorem (own; codes of Alcala et al. 2026, number unchecked, in the limit):
    For $K=2d$ classes of equal size the minimum of $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ is
    $\log(1+(K-2)e^{-\tau}+e^{-2\tau})$, and at it $w_k/\omega=h_i/\rho$ for every sample of class k are the corners of a
    cross-polytope.
Hypotheses:
    - classifier and features on spheres, cross-entropy of one-hot labels
    - K = 2d, balanced classes
Notation:
    tau multiplies inner products of unit vectors; temperatures of contrastive losses are 1/tau.
Why:
    That the corners are best in the limit of large tau follows from Radon's theorem (K >= d+2 points have a margin of at
    most 1). At finite tau the statement is seen numerically, not proved: with W = H, if energies of pairs alone counted,
    Cohn and Kumar's theorem would give it.
Checked:
    Random starts are followed along the gradient flow to their ends. No certificate is known, and the best value found
    stands for the minimum. Sorted inner products and the distance of features from their classifiers are compared there.
Refuted by:
    A lower value at any end, or a best end with other inner products. The same check must refute the value of a simplex,
    that of orthogonal classes, values 1e-6 off, and features a millionth off their classifiers.
Example:
    The octahedron at tau = 2: the value by the formula, and at the ends of three random starts.

    >>> problem = open_spheres(6, 3, 1, 2.0)
    >>> ends = nct.solve(problem, seeds=3, light=True)
    >>> [round(float(x), 6) for x in (THEOREM.predict(problem).value, *ends.value)]
    [0.444466, 0.444466, 0.444466, 0.444466]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import ALCALA_2026, COHN_2007
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.orthoplex import (
    OpenSpheres,
    code_value,
    gap_of_duality,
    inner_products,
    open_spheres,
    strength_of,
)
from proofs_numeric.thresholds import SEARCH_OF_STRUCTURES

ID = "orthoplex-exact"
# A shape is (K, d, n).
SHAPES = ((4, 2, 1), (4, 2, 2), (6, 3, 1), (6, 3, 2), (8, 4, 1))


class Code(NamedTuple):
    """What the theorem says of the minimiser."""

    value: jax.Array
    products: jax.Array
    duality: jax.Array


def draw_instances(key):
    """Draw three shapes, each with tau from weak to hard."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim, samples in pick(rng, SHAPES, 3):
        for low, high in ((0.3, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 10.0)):
            tau = log_uniform(rng, low, high)
            problem = open_spheres(classes, dim, samples, tau)
            drawn.append(nct.Instance(problem, {"K": classes, "d": dim, "n": samples, "tau": tau}))
    return drawn


def stated(problem, products):
    """State the code with these inner products, K x K."""
    labels = problem.labels
    return Code(
        code_value(products, strength_of(problem)), jnp.sort(jnp.asarray(products[:, labels]).ravel()), jnp.zeros(())
    )


def predict(problem):
    """State the cross-polytope."""
    dim = problem.dim
    return stated(problem, np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.eye(dim)))


def simplex(problem):
    """State a simplex."""
    classes = problem.classes
    return stated(problem, (classes * np.eye(classes) - 1) / (classes - 1))


def duality(factor=1.0):
    """Claim that every feature over its length is `factor` times its classifier over its own."""

    def observe(problem, params):
        features = problem.factor_pair(params)[1]
        return gap_of_duality(problem, params) + (1.0 - factor) * features / problem.radius

    def size(problem, params):
        return jnp.sqrt(jnp.asarray(float(len(problem.labels))))

    return nct.Equality("duality", r"w_{y_i}/\omega-h_i/\rho", observe, lambda p: p.duality, size=size, terms=size)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, OpenSpheres) and i.problem.loss.name == "cross_entropy",
            lambda i: i.problem.classes == 2 * i.problem.dim and len(set(i.problem.counts)) == 1,
        ),
        sources=(
            ALCALA_2026.remark("Their abstract: limit figures for d+2 <= K <= 2d. Finite tau is our own."),
            COHN_2007.remark("Cross-polytopes minimise energies of pairs."),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.Solve(search=SEARCH_OF_STRUCTURES // 2),
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("inner_products", r"w_k^\top h_i/\tau\text{ sorted}", inner_products, lambda p: p.products),
            duality(),
        ),
        controls=(
            nct.Control("simplex", "a simplex, for which there is no room", simplex, ("value", "inner_products")),
            nct.Control(
                "orthogonal classes",
                "all classes orthogonal",
                lambda problem: stated(problem, np.eye(problem.classes)),
                ("value", "inner_products"),
            ),
            nct.Control(
                "1e-6 off",
                "the value larger by a relative 1e-6",
                lambda problem: predict(problem)._replace(value=(1 + 1e-6) * predict(problem).value),
                ("value",),
            ),
            nct.Control(
                "duality 1e-6 off", "features 1e-6 longer than their classifiers", versions=(duality(1 + 1e-6),)
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
