"""This diagram shows where a structure of lower rank beats neural collapse in linear chains: classes against depth."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025

DECAY = 1e-3


def model(depth, classes):
    """Build L = `depth` layers as wide as there are classes, with one column for each class and equal decays."""
    depth, classes = int(depth), int(classes)
    return nct.problems.class_mean_chain(
        sizes=(1.0,) * classes,
        widths=(classes,) * (depth + 1),
        loss="cross_entropy",
        weight_decay=(DECAY,) * (depth + 1),
    )


def missing_rank(problem, params):
    r"""Measure $1-r/(K-1)$, $r=(\sum\sigma_i)^2/\sum\sigma_i^2$ of the logits: 0 at neural collapse, NaN where all is zero."""
    singular = jnp.linalg.svd(problem.product(params), compute_uv=False)
    square = jnp.sum(singular**2)
    rank = jnp.where(square > 1e-12, jnp.sum(singular) ** 2 / jnp.where(square > 1e-12, square, 1.0), jnp.nan)
    return 1.0 - rank / (problem.classes - 1)


def critical_classes(depth):
    r"""Predict $2/(2-2^{2/(L+1)})$, from $2^{2/(L+1)}=2-2/K$, which is infinite at L = 1."""
    rest = 2.0 - 2.0 ** (2.0 / (np.asarray(depth, float) + 1.0))
    return np.where(rest > 1e-12, 2.0 / np.where(rest > 1e-12, rest, 1.0), np.inf)


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="deep-ce-rank",
        title="Neural collapse or low rank: cross-entropy, classes against depth",
        statement=r"For small decays $K/2$ blocks $\beta(1,-1;-1,1)$, of rank K/2, cost less than neural collapse, of rank "
        r"K-1, iff $2^{2/(L+1)}<2-2/K$: never for L = 1, from K = 6 on for L = 2, from K = 4 on for more layers.",
        along=nct.phase.Axis("depth", "$L$", 1.0, 4.0, step=1.0),
        across=nct.phase.Axis("classes", "$K$", 4.0, 10.0, step=2.0),
        model=model,
        measures={"missing rank": missing_rank},
        boundaries=(
            nct.phase.Boundary(
                "neural collapse to low rank", "missing rank", critical_classes, level=1e-3, ordered="above"
            ),
        ),
        hypotheses=("balanced classes, an even number of them", "no bias", "every width >= K", "small decays"),
        sources=(
            GARROD_2025.remark(
                "That low rank is better there. That the best of many starts has the rank of neural collapse elsewhere is our "
                "own observation; no certificate is known."
            ),
        ),
        certified=False,
        scale=1.3,
    )
)
