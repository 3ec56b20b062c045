r"""The supervised contrastive loss, balanced: classes collapse to a simplex.

The supervised contrastive loss has no classifier. Features of a class attract each other, features of other classes repel. In
one batch with all samples, with classes of equal size, its minimum is that of cross-entropy: the features of a class coincide,
and the classes are the corners of a regular simplex, at every temperature.

Problem:
    $\min\frac1N\sum_i\frac{-1}{n-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{e^{\langle u_i,u_p\rangle/\tau}}
    {\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}$ over unit vectors $u_i\in\mathbb R^d$ of $N=nK$ samples in one batch.
Theorem (Graf et al. 2021, number unchecked):
    For $n\ge2$ and $d\ge K-1$ the minimum of $\frac1N\sum_i\frac{-1}{n-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{e^{\langle
    u_i,u_p\rangle/\tau}}{\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}$ is $\log(n-1+(N-n)e^{-\frac K{(K-1)\tau}})$, and
    every minimiser has equal vectors within classes, these a simplex: $\langle u_i,u_j\rangle=-\frac1{K-1}$ between classes.
    Every descent ends there.
Hypotheses:
    - supervised contrastive loss of one batch
    - balanced classes of at least two samples, K >= 2
    - d >= K-1
Notation:
    Graf et al.: features of length rho, which is $1/\sqrt\tau$ here; their loss is the sum over i, N times ours.
Why:
    By convexity an anchor's term is at least $\log((n-1)+(N-n)e^{m_i/\tau})$ with $m_i$ the mean of $g_{ia}$ over other
    classes less that over its own, and the mean over anchors is at least this at the mean m. Let s be the sum of all vectors
    and P that of the products of pairs within classes, at most $N(n-1)$. Then
    $m=\frac{|s|^2-N-P}{N(N-n)}-\frac P{N(n-1)}$ is at least its value at $s=0$, $P=N(n-1)$, which is $-\frac K{K-1}$.
Checked:
    Random starts are followed along the Riemannian gradient flow. The least eigenvalue of a matrix bounds the minimum from
    below at each end, without the formula, and the value must lie in the interval so certified. All inner products are
    compared at the certified ends, to what their gradients leave open. That every end has this value is sampled.
Refuted by:
    One certified end at which any of these differs, or one end with another value. The same check must refute n in the place
    of n-1, an orthogonal frame, products 1e-6 off, and the same value for five classes in the plane.
Example:
    Four classes of three at tau = 1: the sum by the formula, $12\log(2+9e^{-4/3})$, and at the ends of four random starts.

    >>> problem = build_instance(4, 3, 3, 1.0).problem
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(12 * float(value), 4) for value in (predict(problem).value, *ends.value)]
    [17.7037, 17.7037, 17.7037, 17.7037, 17.7037]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import GRAF_2021, KHOSLA_2020
from proofs_numeric.pool import log_uniform
from proofs_numeric.spheres.codes import code_claims, code_controls, drawn, simplex_code

ID = "graf-supcon"
# A shape is (K, n, d); in the first of each pool d = K-1.
POOLS = (((3, 3, 2), (2, 4, 2), (3, 2, 4)), ((4, 3, 3), (4, 2, 5), (5, 3, 6)), ((6, 2, 5), (5, 4, 4)))
TEMPERATURES = ((0.2, 0.45), (0.45, 1.0), (1.0, 2.2), (2.2, 5.0))


def build_instance(classes, n, dim, temperature):
    """Build K classes of n samples."""
    energy = nct.problems.supervised_contrastive(counts=(n,) * classes, temperature=temperature)
    problem = nct.problems.unit_vectors(energy, dim=dim)
    return nct.Instance(problem, {"K": classes, "n": n, "d": dim, "tau": float(temperature)})


draw_instances = drawn(build_instance, POOLS, TEMPERATURES)


def narrow(key):
    """Draw five classes in the plane, which holds no simplex of five corners."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(5, 2, 2, log_uniform(rng, 0.5, 1.0))]


def value_with(positives=lambda n: n - 1):
    """State the minimum with a number of positives."""

    def value(problem):
        counts, tau = problem.energy.counts, problem.energy.temperature
        classes, n = len(counts), counts[0]
        return jnp.log(positives(n) + n * (classes - 1) * jnp.exp(-classes / ((classes - 1) * tau)))

    return value


predict = simplex_code(value_with())


def is_contrastive(instance):
    """Say whether the energy is the supervised contrastive loss of one batch."""
    return isinstance(instance.problem.energy, nct.problems.SupervisedContrastive)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            is_contrastive,
            lambda i: len(set(i.problem.energy.counts)) == 1 and min(i.problem.energy.counts) >= 2,
            lambda i: i.problem.dim >= len(i.problem.energy.counts) - 1 >= 1,
        ),
        sources=(
            GRAF_2021.remark(
                "The bound and its equality; theirs is for batches, of which we have one with all samples."
            ),
            KHOSLA_2020.remark("The loss, in the form with the mean outside of the logarithm."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=code_claims(),
        controls=code_controls(
            predict,
            value_with(lambda n: n),
            ("n positives", "n in the place of n-1 positives"),
            ("narrow", "five classes in the plane have the value of a simplex", narrow),
        ),
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
