r"""The supervised contrastive loss behind a ReLU: an orthogonal frame, whatever the counts.

Features behind a ReLU have no negative entries, and so no two of them are more than a right angle apart. That is all it takes
to make the supervised contrastive loss blind to imbalance: its classes are orthogonal, for any class sizes at all, where
without the ReLU their angles depend on the sizes.

Problem:
    $\min\frac1N\sum_i\frac{-1}{n_{y_i}-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{e^{\langle u_i,u_p\rangle/\tau}}
    {\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}$ over unit vectors $u_i\in\mathbb R^d$ without negative entries.
Theorem (Kini et al. 2023, number unchecked; the value is our own form):
    For any $n_k\ge2$ and $d\ge K$ the minimum of $\frac1N\sum_i\frac{-1}{n_{y_i}-1}\sum_{p\ne i,\,y_p=y_i}\log\frac{e^{\langle
    u_i,u_p\rangle/\tau}}{\sum_{a\ne i}e^{\langle u_i,u_a\rangle/\tau}}$ over non-negative unit vectors is
    $\frac1N\sum_kn_k\log(n_k-1+(N-n_k)e^{-1/\tau})$. Every minimiser has equal vectors within classes and orthogonal classes.
Hypotheses:
    - supervised contrastive loss of one batch
    - vectors without negative entries
    - at least two samples of every class, K >= 2
    - d >= K
Notation:
    Kini et al.: features normalised behind a ReLU; their loss is the sum over anchors.
Why:
    All products lie between 0 and 1. By convexity an anchor's term is at least
    $\log(n_k-1+\sum_{a:y_a\ne k}e^{(g_{ia}-\bar g_i)/\tau})$ with $\bar g_i\le1$ the mean over its class, which is least, each
    term at once, at $g_{ia}=0$ and $\bar g_i=1$; K orthogonal directions have it.
Checked:
    Random starts with $u=v^{\circ2}/|v^{\circ2}|$ are followed along the gradient flow in v. A bound by the least eigenvalue
    of a matrix, less what non-negative products allow for, certifies the minimum at each end without the formula. All inner
    products are compared at the certified ends, to what their gradients leave open. Some starts end in other minima, in which
    two classes share a direction, or one class two of them; of these the theorem does not speak.
Refuted by:
    One certified end at which any of these differs by more than its tolerance. The same check must refute the value with n_k
    in the place of n_k - 1, the cosines that the counts have without a ReLU, a simplex, and products 1e-6 off.
Example:
    Six, three and two samples at tau = 1/2: the sum over anchors by the formula, and the least of eight starts.

    >>> from proofs_numeric.spheres.supcon_imbalance import build_instance
    >>> problem = build_instance((6, 3, 2), 3, 0.5, nonnegative=True).problem
    >>> ends = nct.solve(problem, seeds=8, light=True)
    >>> [round(11 * float(value), 4) for value in (predict(problem).value, ends.value.min())]
    [15.3888, 15.3888]
"""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import KHOSLA_2020, KINI_2023
from proofs_numeric.spheres.class_program import solved
from proofs_numeric.spheres.codes import code_claims, code_controls, repeated, simplex_code
from proofs_numeric.spheres.graf_supcon import is_contrastive
from proofs_numeric.spheres.simplex import directions, orthogonal
from proofs_numeric.spheres.supcon_imbalance import draw_instances

ID = "supcon-relu"


def draw_nonnegative(key):
    """Draw counts and temperatures, with vectors in the positive orthant."""
    return draw_instances(key, nonnegative=True)


def value_with(positives=1):
    """State the minimum with n_k less a number of positives."""

    def value(problem):
        counts = np.asarray(problem.energy.counts, float)
        others = (counts.sum() - counts) * jnp.exp(-1.0 / problem.energy.temperature)
        return jnp.sum(counts * jnp.log(counts - positives + others)) / counts.sum()

    return value


predict = simplex_code(value_with(), frame_of=orthogonal)


def without_relu(problem):
    """State the cosines of the program without signs."""
    counts = problem.energy.counts
    return predict(problem)._replace(gram=repeated(solved(counts, problem.energy.temperature).cosines, counts))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            is_contrastive,
            lambda i: i.problem.nonnegative,
            lambda i: min(i.problem.energy.counts) >= 2 and len(i.problem.energy.counts) >= 2,
            lambda i: i.problem.dim >= len(i.problem.energy.counts),
        ),
        sources=(
            KINI_2023.remark("The orthogonal frame; read was the abstract. Their results on batches are not used."),
            KHOSLA_2020.remark("The loss."),
        ),
        instances=draw_nonnegative,
        predict=predict,
        claims=code_claims(ends=False),
        controls=(
            *code_controls(
                predict,
                value_with(positives=0),
                ("n positives", "n_k in the place of n_k - 1 positives"),
                frame_of=directions,
            ),
            nct.Control("no ReLU", "the cosines of the program without signs", without_relu, ("gram",)),
        ),
        several_basins=True,
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
