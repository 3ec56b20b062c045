"""Codes of five classes in three dimensions: two with the same margin, of which a finite temperature prefers one."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import ALCALA_2026, JIANG_2024
from proofs_numeric.spheres.gnc_softmax_code import margin
from proofs_numeric.spheres.orthoplex import (
    bipyramid,
    bipyramid_value,
    equal_height,
    local_range,
    open_spheres,
    pyramid,
    pyramid_at,
    pyramid_heights,
    pyramid_value,
    transition,
)

CONVENTION = (
    "Mean cross-entropy, all |w_k| and |h_i| fixed, tau their product; rho(W) = min_k dist(w_k, hull of the others)."
)


def distances(code):
    """Return all distances between points, sorted."""
    differences = code[:, None] - code[None]
    return np.sort(np.linalg.norm(differences, axis=2)[np.triu_indices(len(code), 1)])


def reproduce_unique(seeds, key):
    """Compute margins and distances of the bipyramid and of the pyramid with its square on the equator."""
    codes = {"triangular bipyramid": bipyramid(), "square pyramid": pyramid(0.0)}
    figures, margins = [("classes, dimension", "5, 3")], []
    for name, code in codes.items():
        margins.append(float(margin(code)))
        shown = ", ".join(f"{x:.6f}" for x in distances(code))
        figures.append((f"margin of the {name}, and all distances", f"{margins[-1]:.6f}; {shown}"))
    least = [distances(code)[0] for code in codes.values()]
    apart = np.max(np.abs(distances(bipyramid()) - distances(pyramid(0.0))))
    same = max(abs(x - 1) for x in margins) < 1e-6 and abs(least[0] - least[1]) < 1e-9
    return nct.theorems.ErratumResult(bool(same and apart > 0.1), "arithmetic", tuple(figures))


def reproduce_equal(seeds, key):
    """Compare both codes at several tau, with the lowest of random starts, and compute where the better one changes."""
    figures, apart = [], True
    for tau in (3.0, 6.5, 7.0, 9.0):
        found, first, second = lowest(tau, seeds, key), bipyramid_value(tau), pyramid_value(tau)
        figures.append(
            (
                f"bipyramid, best pyramid, lowest of {seeds} random starts at tau = {tau:g}",
                f"{first:.7g}, {second:.7g}, {found:.7g}",
            )
        )
        apart = apart and abs(first / second - 1) > 1e-3 and abs(found / min(first, second) - 1) < 1e-6
    begins, ends = local_range()
    figures.append(("tau at which both cost the same", f"{transition():.5f}"))
    figures.append(("range of tau in which both are local minima", f"{begins:.4f}, {ends:.4f}"))
    return nct.theorems.ErratumResult(bool(apart), "sampled", tuple(figures))


def reproduce_dual(seeds, key):
    """Solve beyond the transition, and compare classifiers with features at the best ends, and with the best W = H."""
    figures, apart = [], True
    for tau in (7.0, 8.0):
        problem = open_spheres(5, 3, 1, tau)
        ends = nct.solve(problem, seeds, key)
        best = int(np.argmin(np.where(ends.converged, ends.value, np.inf)))
        point = jax.tree.map(lambda x, best=best: x[best], ends.params)
        with jax.enable_x64(True):
            weights, features = (np.asarray(one) for one in problem.factor_pair(point))
            equal = float(pyramid_at(jnp.full(2, equal_height(tau)), jnp.asarray(tau)))
        distance = float(np.max(np.linalg.norm(weights / tau - features.T, axis=1)))
        slope, gain = float(ends.grad_norm[best]), equal - float(ends.value[best])
        heights = ", ".join(f"{x:.8f}" for x in pyramid_heights(tau))
        figures.append((f"heights of the squares of W and H at tau = {tau:g}", heights))
        figures.append(
            ("largest distance of a classifier from its feature, gradient there", f"{distance:.3e}, {slope:.1e}")
        )
        figures.append(("best pyramid with W = H, and how far the end lies below it", f"{equal:.12g}, {gain:.2e}"))
        apart = apart and distance > 1e-5 and slope < 1e-9 and gain > 1e-12
    return nct.theorems.ErratumResult(bool(apart), "sampled", tuple(figures))


def lowest(tau, seeds, key):
    """Return the lowest value of random starts."""
    ends = nct.solve(open_spheres(5, 3, 1, tau), seeds, key)
    return float(np.min(ends.value[ends.converged], initial=np.inf))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N8",
        title="The softmax code is unique",
        published="For d+2 <= K <= 2d the code of largest margin is unique, up to rotations and relabelling.",
        why="Both a triangular bipyramid and a square pyramid keep every one of five points at a distance of 1 from the hull "
        "of the others.",
        instead="It is a simplex and unique for K <= d+1, and has a margin of 1 for d+2 <= K <= 2d (gnc-softmax-code), which "
        "several codes attain: for K = 5, d = 3 two that differ in all but their margin and least distance.",
        convention=CONVENTION,
        sources=(
            JIANG_2024.remark("Margins and codes; the claim is met around the subject and not a sentence of theirs."),
            ALCALA_2026.remark("Their abstract: all figures for d+2 <= K <= 2d."),
        ),
        reproduce=reproduce_unique,
        theorem="gnc-softmax-code",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N27",
        title="Two codes of the same margin are equally good",
        published="Whichever code of the largest margin training finds, the loss is the same.",
        why="It is the same in the limit of zero temperature only. At a finite one the sum over all pairs counts, and the "
        "pyramid lowers it further by moving its square below the equator.",
        instead="For K = 5, d = 3 the bipyramid is the minimum for tau < 6.88507 and the pyramid for larger tau "
        "(orthoplex-temperature); around it the other one is a local minimum, in which a run may stay.",
        convention=CONVENTION,
        sources=(
            ALCALA_2026.remark("Their abstract is about the limit; the claim is a continuation to finite temperature."),
        ),
        reproduce=reproduce_equal,
        theorem="orthoplex-temperature",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N37",
        title="On spheres every feature ends at its classifier",
        published="At the minimisers of cross-entropy on spheres w_k = h_k, up to lengths, for any number of classes and at "
        "any temperature.",
        why="The objective is not symmetric under the exchange of W and H: each column of logits is normalised by itself. In "
        "the pyramid nothing else ties the heights of both squares together.",
        instead="They coincide where the code is a simplex or a cross-polytope, and in the bipyramid. For K = 5, "
        "d = 3 and tau > 6.88507 they differ by some ten-thousandths (orthoplex-temperature), less at lower temperature.",
        convention=CONVENTION,
        sources=(
            JIANG_2024.remark(
                "Self-duality is a theorem of theirs in the limit, for codes that are also Tammes codes."
            ),
        ),
        reproduce=reproduce_dual,
        theorem="orthoplex-temperature",
    )
)
