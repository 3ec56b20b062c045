r"""The supervised contrastive loss under imbalance: classes collapse, and their angles depend on the counts.

With classes of unequal size the supervised contrastive loss still makes the features of a class coincide. But its classes are
no simplex any more: what their angles are follows from a convex program with one vector a class, in which the counts are
weights. At high temperatures the small classes come closer to each other than orthogonal, while the large one has the other
side of the sphere.

Problem:
    $\min\frac1N\sum_i\frac{-1}{n_{y_i}-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{e^{\langle u_i,u_p\rangle/\tau}}
    {\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}$ over unit vectors $u_i\in\mathbb R^d$ of $N=\sum_kn_k$ samples.
Theorem (own; the loss: Khosla et al. 2020, equation number unchecked):
    For any $n_k\ge2$ and $d\ge K$ every minimiser of $\frac1N\sum_i\frac{-1}{n_{y_i}-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{
    e^{\langle u_i,u_p\rangle/\tau}}{\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}$ has equal vectors within classes, whose
    Gram matrix G is the solution of $\min\frac1N\sum_kn_k\log(n_k-1+\sum_{c\ne k}n_ce^{(G_{kc}-1)/\tau})$ over $G\succeq0$
    with $G_{kk}=1$; the minimum is that of this convex program. Every descent ends there.
Hypotheses:
    - supervised contrastive loss of one batch
    - at least two samples of every class, K >= 2
    - d >= K
Notation:
    Sums over anchors are N times ours: (6, 3, 2) at tau = 1/2 has 13.287377769.
Why:
    The loss is convex in the Gram matrix of all vectors, and does not change under permutations within classes: some minimiser
    over all Gram matrices has one product $g_k$ within each class and one $G_{kc}$ for each pair. Raising $g_k$ to 1 keeps the
    matrix positive semidefinite (that of class means gains $1-|\bar u_k|^2$ on its diagonal), needs K dimensions, and lowers
    each term $\log(n_k-1+\sum_cn_ce^{(G_{kc}-g_k)/\tau})$. What is left is the program.
Checked:
    The program is solved by Newton's method with K vectors in K dimensions. Random starts of the whole problem are followed
    along the Riemannian gradient flow. The least eigenvalue of a matrix bounds the minimum from below at each end, without the
    program, and the value must lie in the interval so certified. All inner products are compared at the certified ends, to
    what their gradients leave open. That every end has this value is sampled.
Refuted by:
    One certified end at which any of these differs, or one end with another value. The same check must refute a program whose
    classes count equally as negatives, a simplex whatever the counts, products 1e-6 off, and the same value with ten samples
    of five classes in the plane.
Example:
    Six, three and two samples at tau = 1/2: eleven times the minimum, and the cosines of classes 1-2, 1-3, 2-3.

    >>> problem = build_instance((6, 3, 2), 3, 0.5).problem
    >>> ends = nct.solve(problem, seeds=2, light=True)
    >>> [round(11 * float(value), 6) for value in (predict(problem).value, *ends.value)]
    [13.287378, 13.287378, 13.287378]
    >>> [round(float(predict(problem).gram[i, j]), 5) for i, j in ((0, 6), (0, 9), (6, 9))]
    [-0.56743, -0.55178, -0.37363]
"""

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import GRAF_2021, KHOSLA_2020
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.class_program import solved
from proofs_numeric.spheres.codes import Code, code_claims, code_controls, repeated
from proofs_numeric.spheres.graf_supcon import is_contrastive
from proofs_numeric.spheres.simplex import directions

ID = "supcon-imbalance"
# A shape is (counts, d).
POOLS = ((((6, 3, 2), 3), ((5, 2, 2), 4)), (((5, 2, 2, 2), 4), ((4, 4, 2, 2), 5)), (((7, 2), 2), ((6, 2), 3)))
TEMPERATURES = ((0.3, 0.6), (0.6, 1.2), (1.2, 2.5), (2.5, 5.0))


def build_instance(counts, dim, temperature, nonnegative=False):
    """Build the problem of given counts."""
    energy = nct.problems.supervised_contrastive(counts=counts, temperature=temperature)
    problem = nct.problems.unit_vectors(energy, dim=dim, nonnegative=nonnegative)
    return nct.Instance(problem, {"counts": "-".join(map(str, counts)), "d": dim, "tau": float(temperature)})


def draw_instances(key, nonnegative=False):
    """Draw counts of each pool, with temperatures in each quarter of the range."""
    rng = nct.theorems.numpy_rng(key)
    return [
        build_instance(*shape, log_uniform(rng, *ends), nonnegative)
        for pool in POOLS
        for shape in pick(rng, pool)
        for ends in TEMPERATURES
    ]


def narrow(key):
    """Draw five classes in the plane."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance((2, 2, 2, 2, 2), 2, log_uniform(rng, 0.5, 1.0))]


def predict_with(weighted=True):
    """Solve the program of the classes; not `weighted`, all classes count as negatives equally often."""

    def predict(problem):
        counts = problem.energy.counts
        found = solved(counts, problem.energy.temperature, weighted)
        return Code(found.value, repeated(found.cosines, counts))

    return predict


predict = predict_with()


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            is_contrastive,
            lambda i: min(i.problem.energy.counts) >= 2 and len(i.problem.energy.counts) >= 2,
            lambda i: i.problem.dim >= len(i.problem.energy.counts),
        ),
        sources=(
            KHOSLA_2020.remark("The loss. The program is our own form."),
            GRAF_2021.remark("The balanced case, which is a simplex; that is the reading which the control refutes."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=code_claims(),
        controls=code_controls(
            predict,
            lambda problem: predict_with(weighted=False)(problem).value,
            ("counts forgotten", "every other class counts N/K times as a negative"),
            ("narrow", "five classes in the plane have the value of the program", narrow),
            frame_of=directions,
        ),
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
