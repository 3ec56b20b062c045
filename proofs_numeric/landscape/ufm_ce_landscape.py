r"""Cross-entropy, balanced: a benign landscape.

Cross-entropy with free features: every critical point is a global minimiser or a strict saddle.

Theorem:
    For $f$ of `ufm-ce-balanced` and $d\ge K-1$ every critical point is a global minimiser or a strict
    saddle: it has a direction of negative curvature.
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
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, POSITIVE_DECAYS
from proofs_numeric.landscape.benign import NO_OR_FREE_BIAS, below, claims, draw, minima_at, slightly_lower

ID = "ufm-ce-landscape"
# (K, d, n, bias), in the reduced form; d = K-1 in some, below the paper's hypothesis d > K.
POOLS = (
    ((2, 1, 1, None), (2, 3, 4, 0.0)),
    ((3, 2, 2, None), (3, 4, 3, 0.0)),
    ((4, 3, 1, None), (4, 5, 50, 0.0), (5, 4, 2, None)),
)


class Values(NamedTuple):
    """The values at which critical points are said to be minimisers."""

    stationary_values: jax.Array


def draw_instances(key):
    """Weak and moderate decay, and close to the threshold, for one shape of each pool."""
    return draw(key, POOLS, "cross_entropy")


def narrow(key):
    """Free bias and d < K-1: spurious local minima."""
    full = nct.unconstrained_features(
        counts=(5,) * 10, dim=3, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0
    )
    return [nct.Instance(nct.problems.reduce_to_class_means(full), {"K": 10, "d": 3, "n": 5, "bias": "free"})]


def best_found(problem):
    """The least value at which many descents end, as the only one of minimisers."""
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
                "Their hypothesis is d > K. That d >= K-1 suffices is ours: rank-deficient points have a null direction of "
                "descent, and points of rank K-1 satisfy the duality certificate."
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
                applies=below,
            ),
            nct.Control(
                "zero only",
                "every critical point but zero is a strict saddle",
                minima_at(lambda p: jnp.atleast_1d(jnp.log(1.0 * p.classes))),
                claims=("benign",),
                applies=below,
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
