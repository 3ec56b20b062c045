r"""Cross-entropy with itself: unit vectors that are each their own classifier form a simplex.

If the feature of every class serves as its classifier, cross-entropy becomes an energy of unit vectors that repel each other.
Their best places are the corners of a regular simplex, at every temperature. It was one of the first models in which neural
collapse was proved.

Problem:
    $\min\frac1K\sum_i\log(1+\sum_{j\ne i}e^{(\langle u_j,u_i\rangle-1)/\tau})$ over unit vectors $u_1,\ldots,u_K$ in
    $\mathbb R^d$.
Theorem (Lu and Steinerberger 2022, number unchecked; other temperatures than 1 are our own reading):
    For $d\ge K-1$ the minimum of $\frac1K\sum_i\log(1+\sum_{j\ne i}e^{(\langle u_j,u_i\rangle-1)/\tau})$ over unit vectors is
    $\log(1+(K-1)e^{-\frac K{(K-1)\tau}})$, and every minimiser is a simplex: $\langle u_i,u_j\rangle=-\frac1{K-1}$ for
    $i\ne j$. Every descent ends there.
Hypotheses:
    - cross-entropy of unit vectors that are their own classifiers
    - d >= K-1, K >= 2
Notation:
    Lu and Steinerberger: n classes, the sum over i where we have the mean, and tau = 1.
Why:
    By convexity the mean is at least $\log(1+(K-1)e^{(m-1)/\tau})$ with m the mean of $\langle u_j,u_i\rangle$ over pairs,
    with equality only where all are equal; and $K(K-1)m=|\sum_iu_i|^2-K\ge-K$.
Checked:
    Random starts are followed along the Riemannian gradient flow. The least eigenvalue of a matrix bounds the minimum from
    below at each end, without the formula, and the value must lie in the interval so certified. All inner products are
    compared at the certified ends, to what their gradients leave open. That every end has this value is sampled.
Refuted by:
    One certified end at which any of these differs, or one end with another value. The same check must refute the sum over all
    j, an orthogonal frame, products 1e-6 off, and the same value for five classes in the plane.
Example:
    Four classes at tau = 1: four times the mean by the formula, and at the ends of four random starts.

    >>> problem = build_instance(4, 3, 1.0).problem
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(4 * float(value), 5) for value in (predict(problem).value, *ends.value)]
    [2.33063, 2.33063, 2.33063, 2.33063, 2.33063]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import LU_2022
from proofs_numeric.pool import log_uniform
from proofs_numeric.spheres.codes import code_claims, code_controls, drawn, simplex_code

ID = "lu-steinerberger"
# A shape is (K, d); in the first of each pool d = K-1.
POOLS = (((3, 2), (2, 2), (3, 5)), ((5, 4), (4, 6), (6, 6)), ((9, 8), (10, 12)))
TEMPERATURES = ((0.2, 0.45), (1.0, 1.0), (0.45, 2.0), (2.0, 5.0))


def build_instance(classes, dim, temperature):
    """Build the energy of K classes."""
    energy = nct.problems.tied_cross_entropy(classes=classes, temperature=temperature)
    problem = nct.problems.unit_vectors(energy, dim=dim)
    return nct.Instance(problem, {"K": classes, "d": dim, "tau": float(temperature)})


draw_instances = drawn(build_instance, POOLS, TEMPERATURES)


def pentagon(key):
    """Draw five classes in the plane, which holds no simplex of five corners."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(5, 2, log_uniform(rng, 0.5, 1.0))]


def value_with(others=lambda classes: classes - 1):
    """State the minimum with a number of other classes."""

    def value(problem):
        classes, tau = problem.energy.vectors, problem.energy.temperature
        return jnp.log1p(others(classes) * jnp.exp(-classes / ((classes - 1) * tau)))

    return value


predict = simplex_code(value_with())

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem.energy, nct.problems.TiedCrossEntropy),
            lambda i: i.problem.dim >= i.problem.energy.vectors - 1 >= 1,
        ),
        sources=(LU_2022.remark("The theorem at tau = 1; its number and the paper itself were not read."),),
        instances=draw_instances,
        predict=predict,
        claims=code_claims(),
        controls=code_controls(
            predict,
            value_with(lambda classes: classes),
            ("K others", "K in the place of K-1 other classes"),
            ("pentagon", "five classes in the plane have the value of a simplex", pentagon),
        ),
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
