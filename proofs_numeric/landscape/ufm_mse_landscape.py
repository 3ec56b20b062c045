r"""Squared error, balanced: a benign landscape.

Squared error with free features: every critical point is a global minimiser or a strict saddle.

Theorem:
    For $f$ of `ufm-mse-nobias` with $d\ge K$, and with a free bias for $d\ge K-1$, every critical point is a
    global minimiser or a strict saddle: it has a direction of negative curvature.
Hypotheses:
    - squared error
    - free features
    - balanced classes, K >= 2
    - d >= K without a bias, d >= K-1 with a free one (the paper: d > K)
    - all decays > 0
    - no bias or a free one
Notation:
    As in ufm-mse-nobias; one column for each class mean.
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, POSITIVE_DECAYS, SQUARED_ERROR
from proofs_numeric.landscape.benign import NO_OR_FREE_BIAS, below, claims, draw, minima_at, slightly_lower

ID = "ufm-mse-landscape"
# (K, d, n, bias), in the reduced form; d = K in some without a bias, below the paper's d > K, and d = K-1 with a free one.
POOLS = (
    ((2, 2, 1, None), (2, 1, 3, 0.0)),
    ((3, 3, 2, None), (3, 4, 3, 0.0)),
    ((4, 4, 1, None), (4, 3, 50, 0.0)),
)


def draw_instances(key):
    """Weak and moderate decay, and close to the threshold, for one shape of each pool."""
    return draw(key, POOLS, "mse")


def critical_values(problem):
    """Those of the complete list: each singular direction of the targets on or off."""
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
                "Their hypothesis is d > K. That less suffices is ours: the critical points are listed (cjw-dmf with two "
                "factors), and only the one with every direction above the threshold on is not a strict saddle."
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
                applies=below,
            ),
            nct.Control(
                "zero only",
                "every critical point but zero is a strict saddle",
                minima_at(lambda problem: critical_values(problem)[-1:]),
                claims=("benign",),
                applies=below,
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
