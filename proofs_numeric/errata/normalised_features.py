"""N24: features of one length, as behind a LayerNorm, do not keep imbalance from the geometry."""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import SUKENIK_2025
from proofs_numeric.spheres.ln_program import merging_ratio

RATIO, RADIUS = 30, 2.0


def certified_cosines(decay, seeds, key):
    """Return the cosines between both classes of the majority, and of the minority, at certified minimisers."""
    counts = (RATIO, RATIO, 1, 1)
    problem = nct.problems.spherical_features(counts=counts, dim=4, radius=RADIUS, weight_decay=decay)
    ends = nct.solve(problem, seeds, key)
    good = ends.converged & nct.certify(problem, ends.params).closed(ends.value)
    features = np.asarray(ends.params.features)[good]
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    first, second = (
        np.sum(units[:, :, i] * units[:, :, j], axis=1) for i, j in ((0, RATIO), (2 * RATIO, 2 * RATIO + 1))
    )
    return first, second


def reproduce(seeds, key):
    """Solve two classes of thirty samples and two of one at two decays, certify, and compare the angles with a simplex."""
    figures, apart = [("classes, samples of each, length", f"4, {RATIO}-{RATIO}-1-1, {RADIUS:g}")], True
    for decay in (0.3, 0.003):
        first, second = certified_cosines(decay, seeds, key)
        figures.append((f"seeds certified to be minimisers at decay {decay:g}", f"{len(second)} of {seeds}"))
        if not len(second):
            return nct.theorems.ErratumResult(False, "certified", tuple(figures))
        figures.append(
            (
                f"cosines within majority and minority at decay {decay:g}, a simplex has -0.333333",
                f"{np.median(first):.6f}, {np.median(second):.6f}",
            )
        )
        apart = apart and bool(np.min(np.abs(second + 1 / 3)) > 0.04)
    ratio = merging_ratio((2, 2), 0.3, RADIUS)
    figures.append(("ratio of samples from which on the minority coincides at decay 0.3", f"{ratio:.4f}"))
    return nct.theorems.ErratumResult(apart, "certified", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N24",
        title="Normalised features make the geometry independent of imbalance",
        published="Where features are normalised, as by a LayerNorm, no feature can shrink, and classes of any sizes end in "
        "the same simplex.",
        why="The decay of the classifier is still shared by all classes, and the angles of the features are free: with enough "
        "samples in the large classes the small ones share one feature and one classifier; at small decays they lie farther "
        "apart than a simplex has it.",
        instead="The angles depend on sizes and decay. Two small classes coincide iff lambda_W gamma/rho^2 >= n_b/N "
        "(ln-minority), which some decay meets iff n_a > (K-1) n_b. Of equal sizes the claim is right (ln-balanced), and of "
        "logits in a ball too (N20).",
        convention="Mean cross-entropy, lambda_W/2 |W|^2, all |h_i| = rho, no bias.",
        sources=(
            SUKENIK_2025.remark(
                "Their results are for classes of equal size; the claim is a continuation met around the subject, not theirs."
            ),
        ),
        reproduce=reproduce,
        theorem="ln-minority",
    )
)
