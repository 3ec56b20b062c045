"""N5: the transition to zero is continuous with one hidden layer, and jumps with more; the claim has them exchanged."""

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ERSOY_2025, ZIYIN_2022
from proofs_numeric.conserved.vector_field import product
from proofs_numeric.deep.heights import jump, threshold
from proofs_numeric.deep.ziyin_phase import build

VARIANCE, DECAY = 1.3, 0.4
"""Of the inputs, and of every layer."""
DISTANCES = (3e-2, 3e-3, 3e-4)
"""Relative distances of the signal from the threshold, on both sides."""
SMALL = 1e-6
"""A certified height below this is zero (conventional)."""


def certified_height(hidden, signal, seeds, key):
    """Return the height of certified minimisers, NaN where there are none, and their number."""
    problem = build(hidden, VARIANCE, (DECAY,) * (hidden + 1), signal, np.eye(3))
    ensemble = nct.solve(problem, seeds, key, method="polish")
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    heights = np.linalg.norm(np.asarray(jax.vmap(product)(ensemble.params))[:, 0], axis=1)[good]
    return (float(np.median(heights)) if good.any() else np.nan), int(good.sum())


def reproduce(seeds, key):
    """Close in on the threshold from both sides, and see whether the height above it tends to zero."""
    figures, last = [], {}
    for hidden in (1, 2, 3):
        onset = float(threshold(hidden, VARIANCE, DECAY))
        shown = []
        for distance in DISTANCES:
            below, above = (certified_height(hidden, onset * (1 + side * distance), seeds, key) for side in (-1, 1))
            shown.append(f"{below[0]:.6f} | {above[0]:.6f} at {distance:g} ({below[1]} and {above[1]} certified)")
            last[hidden] = (below[0], above[0])
        told = f"s_c = {float(jump(hidden, VARIANCE, DECAY)):.6f}" if hidden > 1 else "no jump"
        figures.append((f"{hidden} hidden, e_c = {onset:.5f}, {told}: below | above", "; ".join(shown)))
    # Continuous: the height is of the order of the distance. A jump: it is that of the jump, from a certified zero.
    continuous = last[1][0] < SMALL and last[1][1] < 2.0 * DISTANCES[-1]
    jumps = all(last[d][0] < SMALL and last[d][1] > float(jump(d, VARIANCE, DECAY)) for d in (2, 3))
    return nct.theorems.ErratumResult(continuous and jumps, "certified", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N5",
        title="The transition is of first order with one hidden layer, and of second order with more",
        published="As regularisation grows, networks with a single hidden layer reach the trivial state by a first-order "
        "transition, and networks with two or more hidden layers by a second-order transition.",
        why="With D hidden layers the decay costs s^(2/(D+1)) for a map of norm s: with one that is linear in s and competes "
        "with the signal's linear gain, so that s grows from zero; with more it is steeper than any gain at zero, which stays "
        "a local minimum, so that the global one jumps.",
        instead="Second order with one hidden layer, at e = gamma; first order with more, at e_c with the height s_c, as in "
        "ziyin-phase and in Ziyin and Ueda.",
        convention="(1/2N)|Wx-y|^2, one output, decays lambda/2 for every layer; a = 1.3, gamma = 0.4, e the signal. At a "
        "fixed signal the transition in the decay is the same one.",
        sources=(
            ERSOY_2025.remark(
                "The abstract of version 1 says so of neural networks. The introduction of version 2 cites Ziyin and Ueda for "
                "the orders as they are here; read were both."
            ),
            ZIYIN_2022.remark("The orders as they are here."),
        ),
        reproduce=reproduce,
        theorem="ziyin-phase",
    )
)
