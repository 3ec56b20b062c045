"""N1: neural collapse is not optimal in deep linear chains with cross-entropy."""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import DANG_2023, GARROD_2025

CASES = ((6, 2), (4, 3))
DECAY = 3e-3


def reproduce(seeds, key):
    """Evaluate an explicit point below every collapsed one, for (K, L) = (6, 2) and (4, 3) with every decay 3e-3."""
    figures, below = [], []
    for classes, depth in CASES:
        problem = nct.deep_linear(
            widths=(classes,) * (depth + 1),
            counts=(1,) * classes,
            loss="cross_entropy",
            weight_decay=(DECAY,) * (depth + 1),
        )
        collapse, rank = nct.closed_form.deep_collapse(problem), nct.closed_form.low_rank(problem)
        minimum = nct.closed_form.minimum_from_product(problem, rank.product, rank.value, None, "N1")
        point = float(problem.objective(nct.closed_form.minimiser(problem, minimum, key)))
        ensemble = nct.solve(problem, seeds, key, scale=1.3)
        ends = ensemble.value[ensemble.converged]
        lower = int(np.sum(ends < float(collapse.value) * (1 - 1e-6)))
        figures += [
            (f"K={classes} L={depth}: neural collapse, best scale", f"{float(collapse.value):.7f}"),
            (f"K={classes} L={depth}: explicit low-rank point", f"{point:.7f}"),
            (
                f"K={classes} L={depth}: best of {seeds} seeds",
                f"{ends.min():.7f} ({lower} of {ends.size} below collapse)",
            ),
        ]
        below.append(point < float(collapse.value) * (1 - 1e-6))
    return nct.theorems.ErratumResult(all(below), "arithmetic", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N1",
        title="Deep linear networks with cross-entropy: neural collapse is globally optimal at every depth",
        published="With cross-entropy, the global minimisers of the deep linear unconstrained-feature model show neural "
        "collapse (simplex ETF) for every number of layers, as for two factors.",
        why="With L weight layers the regularisation costs the Schatten 2/(L+1) quasi-norm of the logits, which favours low "
        "rank: for K >= 6, L = 2 and for K >= 4, L >= 3 an explicit matrix of rank K/2 costs less than every multiple of the "
        "simplex ETF.",
        instead="Neural collapse is a critical point; it is optimal for L = 1.",
        convention="mean cross-entropy, decays lambda/2 for each of L+1 factors, H counted as one of them.",
        sources=(
            DANG_2023.remark(
                "The claim on cross-entropy as the catalogue reports it; its results on squared error stand."
            ),
            GARROD_2025.remark("Theorem 1, and the discussion of the contradiction in its appendix."),
        ),
        reproduce=reproduce,
        theorem="gk-deep-ce-linear",
    )
)
