r"""Contrastive learning of instances: two views coincide, and the instances form a simplex.

The contrastive loss of two views an instance knows no classes. Its minimum is neural collapse all the same, with instances in
the place of classes: both views of an instance get the same feature, and the instances lie as far apart from each other as
they all can at once. That takes as many dimensions as there are instances, less one; with fewer, the minimum is higher and
has another figure, six instances in space an octahedron.

Problem:
    $\min\frac1{2n}\sum_i\log\frac{\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}{e^{\langle u_i,u_{i'}\rangle/\tau}}$ over unit
    vectors in $\mathbb R^d$, two views of each of n instances, i' the other view of i (NT-Xent).
Theorem (own form; the loss: Chen et al. 2020, equation number unchecked):
    For $d\ge n-1$ the minimum of
    $\frac1{2n}\sum_i\log\frac{\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}{e^{\langle u_i,u_{i'}\rangle/\tau}}$ is
    $\log(1+(2n-2)e^{-\frac n{(n-1)\tau}})$; every minimiser has both views equal and $UU^\top$ that of a simplex of n corners.
    In every d this is a lower bound. Every descent ends at the minimum.
Hypotheses:
    - NT-Xent: two views of every instance, all in one batch
    - d >= n-1, n >= 2
Notation:
    Chen et al.: N instances, 2N views, tau as here.
Why:
    It is the supervised contrastive loss of n classes of two (`graf-supcon`). For each anchor,
    $\log(1+\sum_ae^{(g_{ia}-g_{ii'})/\tau})\ge\log(1+(2n-2)e^{m_i/\tau})$ with $m_i$ the mean of $g_{ia}-g_{ii'}$ over
    the 2n-2 negatives, and by convexity the mean over anchors is at least this at the mean of $m_i$. With $s=\sum_iu_i$ the
    sum of all $g_{ia}$ with $a\ne i,i'$ is $|s|^2-2n-P$, P the sum of the positive products. So the mean of $m_i$ is at least
    $-\frac{2n+P}{2n(2n-2)}-\frac P{2n}\ge-\frac n{n-1}$, with equality only for $P=2n$: the views coincide.
Checked:
    Random starts are followed along the Riemannian gradient flow. The least eigenvalue of a matrix bounds the minimum from
    below at each end, without the formula, and the value must lie in the interval so certified. All inner products are
    compared at the certified ends, to what their gradients leave open, over a factor of 25 in temperature. That every end has
    this value is sampled.
Refuted by:
    One certified end at which any of these differs, or one end with another value. The same check must refute 2n-1 terms in
    the place of 2n-2, an orthogonal frame, products 1e-6 off, and the same value for six instances in space.
Example:
    Six instances at tau = 1/2: in five dimensions the simplex, in three an octahedron, with
    $\log(1+8e^{-1/\tau}+2e^{-2/\tau})$.

    >>> import numpy as np
    >>> simplex, octahedron = (build_instance(6, d, 0.5).problem for d in (5, 3))
    >>> round(float(predict(simplex).value), 6), round(float(np.log(1 + 8 * np.exp(-2.0) + 2 * np.exp(-4.0))), 6)
    (0.645625, 0.751092)
    >>> [round(float(nct.solve(problem, seeds=8, light=True).value.min()), 6) for problem in (simplex, octahedron)]
    [0.645625, 0.751092]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import CHEN_2020
from proofs_numeric.pool import log_uniform
from proofs_numeric.spheres.codes import code_claims, code_controls, drawn, simplex_code

ID = "ntxent-simplex"
# A shape is (n, d); in the first of each pool d = n-1.
POOLS = (((3, 2), (2, 2), (3, 4)), ((5, 4), (4, 6), (5, 8)), ((6, 5), (7, 8)))
TEMPERATURES = ((0.2, 0.45), (0.45, 1.0), (1.0, 2.2), (2.2, 5.0))


def build_instance(instances, dim, temperature):
    """Build n instances with two views each."""
    energy = nct.problems.supervised_contrastive(counts=(2,) * instances, temperature=temperature)
    problem = nct.problems.unit_vectors(energy, dim=dim)
    return nct.Instance(problem, {"n": instances, "d": dim, "tau": float(temperature)})


draw_instances = drawn(build_instance, POOLS, TEMPERATURES)


def octahedron(key):
    """Draw six instances in three dimensions."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(6, 3, log_uniform(rng, 0.4, 0.8))]


def value_with(negatives=lambda instances: 2 * instances - 2):
    """State the minimum with a number of negatives."""

    def value(problem):
        number, tau = len(problem.energy.counts), problem.energy.temperature
        return jnp.log1p(negatives(number) * jnp.exp(-number / ((number - 1) * tau)))

    return value


predict = simplex_code(value_with())

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: (
                isinstance(i.problem.energy, nct.problems.SupervisedContrastive) and set(i.problem.energy.counts) == {2}
            ),
            lambda i: i.problem.dim >= len(i.problem.energy.counts) - 1 >= 1,
        ),
        sources=(CHEN_2020.remark("The loss. That its minimum is this simplex, and the value, is our own form."),),
        instances=draw_instances,
        predict=predict,
        claims=code_claims(),
        controls=code_controls(
            predict,
            value_with(lambda instances: 2 * instances - 1),
            ("2n-1 terms", "2n-1 negatives in the place of 2n-2"),
            ("octahedron", "six instances in three dimensions have the value of a simplex", octahedron),
        ),
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
