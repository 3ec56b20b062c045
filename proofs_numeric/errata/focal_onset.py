"""N21: with the focal loss and many classes the scale jumps to zero, and at the jump two minimisers coexist."""

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022_LOSSES

GAMMA, MANY, FEW = 3.0, 100, 24
STARTS = {"collapsed": 3.0, "zero": 0.2}
"""The scale of the starts that fall to either minimiser."""


def reproduce(seeds, key):
    """Compute the scalars at K = 100, and send seeds to both certified minimisers at the jump for K = 24, d = 23."""
    with jax.enable_x64(True):
        figures = [(f"K = {MANY}, gamma = {GAMMA:g}: {name}", value) for name, value in scalars(MANY)]
        critical = float(nct.closed_form.focal_onset(GAMMA, FEW))
        steep, scale = (float(x) for x in (nct.closed_form.focal_strength(0.0, GAMMA, FEW), jump(FEW)))
    decay = critical / (FEW - 1)
    problem = nct.unconstrained_features(
        counts=(1,) * FEW, dim=FEW - 1, loss=nct.losses.focal(GAMMA), weight_decay=(decay, decay)
    )
    figures.append((f"K = {FEW}: G(0), and the jump at (K-1) kappa", f"{steep:.6f}, {critical:.6f}"))
    values, counted = {}, {}
    for name, starts in STARTS.items():
        ensemble = nct.solve(problem, seeds, key, scale=starts, method="polish")
        good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
        logits = np.einsum("skd,sdn->skn", ensemble.params.weights[0], ensemble.params.features)
        size = np.linalg.norm(logits, axis=(1, 2)) / np.sqrt(FEW - 1)  # For |a S| = a sqrt(K-1).
        there = good & (np.abs(size - (scale if name == "collapsed" else 0.0)) < 1e-6)
        counted[name], values[name] = int(there.sum()), ensemble.value[there]
        shown = f"{there.sum()} of {seeds} seeds certified"
        if there.any():
            shown += f", a = {np.mean(size[there]):.9f}, value {np.mean(ensemble.value[there]):.15f}"
        figures.append((f"K = {FEW}, at the jump, starts of scale {starts:g}: the {name} minimiser", shown))
        if name == "collapsed":
            elsewhere = np.unique(np.round(ensemble.value[ensemble.converged & ~good], 7))
            figures.append(("other critical points met (some classes collapsed to zero): values", f"{elsewhere.size}"))
    both = all(counted.values())
    if both:
        apart = abs(float(np.mean(values["collapsed"])) - float(np.mean(values["zero"])))
        figures.append(("difference of their values", f"{apart:.1e}"))
        both = apart < 1e-12
    return nct.theorems.ErratumResult(both and jump(MANY) > 2.0, "certified", tuple(figures))


def jump(classes):
    """Find the scale a* just below the jump."""
    with jax.enable_x64(True):
        return float(nct.closed_form.focal_scales(nct.closed_form.focal_onset(GAMMA, classes), GAMMA, classes)[2])


def scalars(classes):
    """Compute G at zero and its largest value, the jump, and the scale there, by formulas alone."""
    grid = np.linspace(0.0, 5.0, 20_001)
    strengths = np.asarray(nct.closed_form.focal_strength(grid, GAMMA, classes))
    critical, scale = float(nct.closed_form.focal_onset(GAMMA, classes)), jump(classes)
    at_jump = float(nct.closed_form.focal_value(scale, GAMMA, classes)) + critical * scale
    return [
        ("G(0) and max G", f"{strengths[0]:.6f}, {strengths.max():.6f}"),
        ("a* jumps to 0 at (K-1) kappa", f"{critical:.6f}, from a* = {scale:.6f}"),
        (
            "values of a* and of 0 there",
            f"{at_jump:.12f}, {float(nct.closed_form.focal_value(0.0, GAMMA, classes)):.12f}",
        ),
    ]


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N21",
        title="The focal loss has one collapsed minimiser for every decay, and it shrinks to zero continuously",
        published="Focal loss belongs to the losses for which phi(t) + c|t| has a unique minimiser for every c > 0, so that "
        "the global minimisers are the collapsed solutions, up to rotation one of them for every decay.",
        why="(1-p)^gamma [(1-p) - gamma p log p] is not monotone in p: it rises up to some p_0, so that for 1/K < p_0 two "
        "values of the scale, zero one of them, are local minima over a range of decays, and at one decay both are global.",
        instead="The root of lowest value, and zero beyond the jump, as in ufm-focal. The claim holds where "
        "gamma log K (K-1-gamma) <= (2 gamma+1)(K-1): for gamma = 3 up to K = 17.",
        convention="fit -(1/N) sum (1-p)^gamma log p, decays lambda/2, kappa = sqrt(n lambda_W lambda_H), logits a S.",
        sources=(
            ZHOU_2022_LOSSES.remark(
                "Their abstract says that the only global minimisers are neural collapse solutions, focal loss included; the "
                "condition on phi is given as it was reported, its wording in the paper unchecked."
            ),
        ),
        reproduce=reproduce,
        theorem="ufm-focal",
    )
)
