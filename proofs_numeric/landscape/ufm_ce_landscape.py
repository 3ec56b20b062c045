r"""Cross-entropy, balanced: a benign landscape.

The model in which neural collapse was first explained is not convex, and yet there is no bad minimum in it. With
cross-entropy and as many dimensions as a simplex of K corners needs, every critical point is either the collapsed
global minimum or a saddle with a way down that the curvature shows. So it is no wonder that descents end in collapse.
In fewer dimensions, and with a free bias, there can be other minima.

Problem:
    $\min_{W,H,b}\frac1N\sum_i\mathrm{CE}(Wh_i+b,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W\in\mathbb R^{K\times d}$, the features $H\in\mathbb R^{d\times N}$ of $N=nK$ samples and, where there is one, a
    free bias $b\in\mathbb R^K$.
Theorem (Zhu et al. 2021, number unchecked; the case d = K-1 is our own):
    For $f$ of `ufm-ce-balanced` and $d\ge K-1$ every critical point is a global minimiser or a strict saddle: it has a
    direction of negative curvature.
Hypotheses:
    - cross-entropy of one-hot labels
    - free features
    - balanced classes, K >= 2
    - d >= K-1 (the paper: d > K)
    - all decays > 0
    - no bias or a free one
Notation:
    As in ufm-ce-balanced; one column for each class mean, whose critical points are those of the full problem with
    features that agree within classes.
Why:
    Let G be the gradient of the fit in the logits. As in `cert-haeffele-vidal`, a critical point is global if
    $|G|_2\le\lambda=\sqrt{\lambda_W\lambda_H}$ (the free bias adds $G1=0$, which is the condition for b in the convex
    problem), and a strict saddle if $|G|_2>\lambda$ and some unit vector a has $Wa=0$ and $H^\top a=0$. There the
    balance $\lambda_WW^\top W=\lambda_HHH^\top$ makes the null spaces of W and of $H^\top$ the same, so that only a W
    of rank d lacks such a vector. The columns of G sum to zero, as do those of $W=-GH^\top/\lambda_W$: the rank of W is
    at most K-1. If it is smaller, it is below d, and the vector is there. If it is K-1, then $G=-\lambda UV^\top+G'$
    with $U^\top G'=0$ and the columns of U spanning all that is orthogonal to 1, so that $G'=0$ and $|G|_2=\lambda$.
Checked:
    A census lowers the norm of the gradient from random starts of many kinds, and so ends at critical points of every
    index. For each type of end the smallest eigenvalue of the Hessian off the gauge is computed: it must be negative
    unless the value is the minimum. The minimum in closed form must lie in the interval that a dual point of the
    nuclear-norm program certifies, and the balance of the factors is observed at every end. The value is certified; the
    rest is sampled, because critical points that no start reached are not excluded.
Refuted by:
    A critical point above the minimum without negative curvature, or one at the minimum with some. The same check must
    refute that zero is a local minimiser too, or the only one; that the landscape is benign for d below K-1 with a free
    bias; a minimum lower by 1e-8; and a balance with one decay off by 1e-6.
Example:
    Three classes in the plane: the minimum in closed form and the value at zero, and the critical points that a census
    finds, with their number of negative eigenvalues.

    >>> problem = nct.unconstrained_features(counts=(1, 1, 1), dim=2, loss="cross_entropy", weight_decay=(0.1, 0.1))
    >>> round(float(nct.closed_form.cross_entropy_minimum(problem).value), 6), round(float(np.log(3)), 6)
    (0.639032, 1.098612)
    >>> [(round(row.value, 6), row.index) for row in nct.census(problem, starts=50).rows]
    [(0.639032, 0), (0.824528, 1), (0.847899, 2), (1.098612, 4)]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.landscape.benign import (
    NO_OR_FREE_BIAS,
    below_onset,
    claims,
    draw_strengths,
    minima_at,
    slightly_lower,
)

ID = "ufm-ce-landscape"
# A shape is (K, d, n, bias), in the reduced form; in some d = K-1, which is below the paper's hypothesis d > K.
POOLS = (
    ((2, 1, 1, None), (2, 3, 4, 0.0)),
    ((3, 2, 2, None), (3, 4, 3, 0.0)),
    ((4, 3, 1, None), (4, 5, 50, 0.0), (5, 4, 2, None)),
)


class Values(NamedTuple):
    """The values at which critical points are said to be minimisers."""

    stationary_values: jax.Array


def draw_instances(key):
    """Draw weak and moderate decays, and some close to the threshold, for one shape of each pool."""
    return draw_strengths(key, POOLS, "cross_entropy")


def narrow(key):
    """Build a problem with a free bias and d < K-1, which has spurious local minima."""
    full = nct.unconstrained_features(
        counts=(5,) * 10, dim=3, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0
    )
    return [nct.Instance(nct.problems.reduce_to_class_means(full), {"K": 10, "d": 3, "n": 5, "bias": "free"})]


def best_found(problem):
    """Predict the least value at which many descents end, as the only one of minimisers."""
    ends = nct.solve(problem, 48)
    return Values(jnp.atleast_1d(np.min(ends.value[ends.converged])))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy"),
            FREE_FEATURES,
            BALANCED,
            lambda i: i.problem.widths[0] >= i.problem.classes - 1,
            POSITIVE_DECAYS,
            NO_OR_FREE_BIAS,
        ),
        sources=(
            ZHU_2021.remark(
                "Their hypothesis is d > K; d = K is also in arXiv 2407.10702 (Geometric Analysis of Unconstrained Feature "
                "Models with d=K). That d >= K-1 suffices is ours: rank-deficient points have a null direction of descent, "
                "and points of rank K-1 satisfy the duality certificate."
            ),
        ),
        instances=draw_instances,
        predict=minima_at(lambda problem: jnp.atleast_1d(nct.closed_form.cross_entropy_minimum(problem).value)),
        claims=claims(),
        controls=(
            nct.Control(
                "zero too",
                "zero is a local minimiser as well",
                minima_at(
                    lambda p: jnp.stack([nct.closed_form.cross_entropy_minimum(p).value, jnp.log(1.0 * p.classes)])
                ),
                claims=("benign",),
                applies=below_onset,
            ),
            nct.Control(
                "zero only",
                "every critical point but zero is a strict saddle",
                minima_at(lambda p: jnp.atleast_1d(jnp.log(1.0 * p.classes))),
                claims=("benign",),
                applies=below_onset,
            ),
            nct.Control(
                "narrow with a free bias",
                "benign for d < K-1 with a free bias as well (N22): K = 10, d = 3, minimum 0.2073384",
                best_found,
                claims=("benign",),
                outside=narrow,
            ),
            *slightly_lower(),
        ),
        several_basins=True,
        seeds=256,
        method=nct.Census(),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
