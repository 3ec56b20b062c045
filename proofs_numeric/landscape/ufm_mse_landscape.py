r"""Squared error, balanced: a benign landscape.

Squared error has the same good fortune as cross-entropy: with free features, n samples of each of K classes and enough
dimensions, every critical point is either a global minimum or a saddle with a way down that the curvature shows. Here
the critical points can even be listed, as each direction of the labels is on or off, and only the one with every
worthwhile direction on is no saddle. Collapse is then what every descent must come to, not only the best point there
is.

Problem:
    $\min_{W,H,b}\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over $W\in\mathbb
    R^{K\times d}$, the features $H\in\mathbb R^{d\times N}$ of $N=nK$ samples and, where there is one, a free bias
    $b\in\mathbb R^K$; Y are the labels.
Theorem (Zhou et al. 2022, Lemma B.1; the free bias with d = K-1 is our own):
    For $f$ of `ufm-mse-nobias` with $d\ge K$, and with a free bias for $d\ge K-1$, every critical point is a global
    minimiser or a strict saddle: it has a direction of negative curvature.
Hypotheses:
    - squared error
    - free features
    - balanced classes, K >= 2
    - d >= K without a bias, d >= K-1 with a free one
    - all decays > 0
    - no bias or a free one
Notation:
    As in ufm-mse-nobias; one column for each class mean.
Why:
    The critical points are those of `cjw-dmf` with two factors, because a free bias only centres the targets. Each of
    the directions of Y, K without a bias and K-1 with a free one, is on at its only root or off, and here all have the
    same strength, $\sqrt n$ against $\lambda N$ with $\lambda=\sqrt{\lambda_W\lambda_H}$. For $c=N\lambda/\sqrt n\ge1$
    only zero is critical, and so the minimiser. For $c<1$ the value falls with every direction that is on, and d is
    large enough for all of them, which is the global minimum. If one is off, the gradient of the fit in the logits has
    the singular value $\sqrt n/N>\lambda$ along it, and the rank is below d: the point is a strict saddle by
    `cert-haeffele-vidal`, as some unit vector a has $Wa=0$ and $H^\top a=0$, which is all that is needed of d there.
Checked:
    A census lowers the norm of the gradient from random starts of many kinds, and so ends at critical points of every
    index. For each type of end the smallest eigenvalue of the Hessian off the gauge is computed: it must be negative
    unless the value is the minimum. The minimum in closed form must lie in the interval that a dual point of the
    nuclear-norm program certifies, and the balance of the factors is observed at every end. The value is certified; the
    rest is sampled, because critical points that no start reached are not excluded.
Refuted by:
    A critical point above the minimum without negative curvature, or one at the minimum with some. The same check must
    refute that points with one direction off are local minima too, or that only zero is one; a minimum lower by 1e-8;
    and a balance with one decay off by 1e-6.
Example:
    Three classes: the list of critical values, and the critical points that a census finds, with their number of
    negative eigenvalues.

    >>> problem = nct.problems.class_mean_chain(sizes=(1,) * 3, widths=(3, 3), loss="mse", weight_decay=(0.1, 0.1))
    >>> [round(float(value), 6) for value in critical_values(problem)]
    [0.255, 0.336667, 0.418333, 0.5]
    >>> [(round(row.value, 6), row.index) for row in nct.census(problem, starts=50).rows]
    [(0.255, 0), (0.336667, 1), (0.418333, 4), (0.5, 9)]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.landscape.benign import (
    NO_OR_FREE_BIAS,
    below_onset,
    claims,
    draw_strengths,
    minima_at,
    slightly_lower,
)

ID = "ufm-mse-landscape"
# A shape is (K, d, n, bias), in the reduced form; in some d = K without a bias, or K-1 with one: the paper has d > K.
POOLS = (
    ((2, 2, 1, None), (2, 1, 3, 0.0)),
    ((3, 3, 2, None), (3, 4, 3, 0.0)),
    ((4, 4, 1, None), (4, 3, 50, 0.0)),
)


def draw_instances(key):
    """Draw weak and moderate decays, and some close to the threshold, for one shape of each pool."""
    return draw_strengths(key, POOLS, "mse")


def critical_values(problem):
    """List all critical values: each singular direction of the targets is on or off."""
    return jnp.asarray([one.value for one in nct.closed_form.critical_points(problem)])


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            FREE_FEATURES,
            BALANCED,
            lambda i: i.problem.widths[0] >= i.problem.classes - (i.problem.bias_decay is not None),
            POSITIVE_DECAYS,
            NO_OR_FREE_BIAS,
        ),
        sources=(
            ZHOU_2022.remark(
                "For d at least the number of outputs, as Andriopoulos et al. 2024 restate it (their Lemma D.1). That with a "
                "free bias d = K-1 suffices is ours: the critical points are listed (cjw-dmf with two factors), and only "
                "the one with every direction above the threshold on is not a strict saddle.",
                number="Lemma B.1",
            ),
        ),
        instances=draw_instances,
        predict=minima_at(lambda problem: jnp.atleast_1d(nct.global_minimum(problem).value)),
        claims=claims(),
        controls=(
            nct.Control(
                "one direction less",
                "critical points with one direction off are local minima as well",
                minima_at(lambda problem: critical_values(problem)[:2]),
                claims=("benign",),
                applies=below_onset,
            ),
            nct.Control(
                "zero only",
                "every critical point but zero is a strict saddle",
                minima_at(lambda problem: critical_values(problem)[-1:]),
                claims=("benign",),
                applies=below_onset,
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
