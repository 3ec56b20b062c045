"""N14 and N16: the nuclear-norm certificate fails beyond two factors, and logits need not be diagonal at a tie."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025, DANG_2023
from proofs_numeric.bibliography_of_networks import HAEFFELE_2015


def reproduce_certificate(seeds, key):
    """Find local minima of three factors with zero gradient, positive Hessian and values above the minimum."""
    problem = nct.deep_linear(widths=(3, 3, 3), counts=(4, 2, 1), loss="mse", weight_decay=(0.05,) * 3)
    minimum = nct.closed_form.imbalanced_deep_mse_minimum(problem)
    ensemble = nct.solve(problem, seeds, key, scale=1.5)
    bound = nct.certify(problem, ensemble.params)
    done = ensemble.converged & ~bound.closed(ensemble.value) & (ensemble.value > float(minimum.value) * (1 + 1e-6))
    figures = [("minimum, certified", f"{float(np.max(bound.lower_bound)):.7f}")]
    found = []
    for value in np.unique(np.round(ensemble.value[done], 7)):
        members = np.flatnonzero(done & (np.abs(ensemble.value - value) < 1e-6))
        i = members[0]
        point = jax.tree.map(lambda x, i=i: x[i], ensemble.params)
        report = nct.hessian_report(problem, point)
        below = report.index == 0 and report.nullity == 0
        figures.append(
            (
                f"local minimum, value {value:.7f}",
                f"{members.size} of {seeds} seeds; gradient {ensemble.grad_norm[i]:.0e}, smallest eigenvalue "
                f"{report.smallest:+.5f} off the gauge, relative gap {bound.gap[i] / ensemble.value[i]:.3f}",
            )
        )
        found.append(below)
    return nct.theorems.ErratumResult(bool(found) and all(found), "certified", tuple(figures))


def reproduce_tie(seeds, key):
    """Solve counts (10, 5, 5, 2), d = 2, where the second direction is any unit vector of two equal classes' span."""
    counts, depth = (10, 5, 5, 2), 2
    problem = nct.deep_linear(widths=(2, 2, 4), counts=counts, loss="mse", weight_decay=(0.02,) * 3)
    ensemble = nct.solve(problem, seeds, key, scale=1.5)
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    with jax.enable_x64(True):
        logits = np.asarray(jax.vmap(problem.logits)(jax.tree.map(jnp.asarray, ensemble.params)))[good]
        strength = depth * 22 / 5 * np.sqrt(22 * 0.02**3)
        root = float(nct.closed_form.largest_root(jnp.asarray(strength), depth))
    means = np.stack([logits[:, :, a:b].mean(axis=2) for a, b in ((0, 10), (10, 15), (15, 20), (20, 22))], axis=2)
    block, scale = means[:, 1:3, 1:3], root**depth / (1 + root**depth)
    off = np.abs(block[:, 0, 1])
    idempotent = np.linalg.norm(block @ block - scale * block, axis=(1, 2))
    figures = (
        ("certified seeds", f"{good.sum()} of {seeds}"),
        ("off-diagonal entry of the tied block", f"{off.min():.4f} to {off.max():.4f}"),
        ("trace of the tied block", f"{np.trace(block, axis1=1, axis2=2).mean():.8f}, predicted {scale:.8f}"),
        ("distance of the block from scale times a projector", f"{idempotent.max():.1e}"),
    )
    rotated = bool(good.any()) and float(off.max()) > 0.1 * scale and float(idempotent.max()) < 1e-6
    return nct.theorems.ErratumResult(rotated, "certified", figures)


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N14",
        title="A gradient condition on the product proves globality for any number of factors",
        published="A critical point of the factorised problem is global if the product satisfies the optimality condition of "
        "the convex relaxation, as for two factors; with three or more factors first and second order suffice.",
        why="With three or more factors the penalty on the product is a Schatten quasi-norm, which is not convex: points with "
        "zero gradient and positive Hessian off the gauge lie above the minimum.",
        instead="Two factors: the duality certificate. More, with squared error: the separable bound (`nctheory.certify`).",
        convention="fit 1/(2N)|Z-Y|^2, decays lambda/2.",
        sources=(
            HAEFFELE_2015.remark(
                "Their certificate is for two factors (positively homogeneous pairs); it is not at fault."
            ),
            CHEN_2025.remark("Lists the local minimisers of deep chains."),
        ),
        reproduce=reproduce_certificate,
        theorem="dang-mse-imb",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N16",
        title="The logits are diagonal also when d < K",
        published="For squared error and widths d below K every global minimiser has diagonal class-mean logits, with the d "
        "largest classes on.",
        why="Where the rank cut falls between classes of equal size, the on-part of their block is a multiple of any "
        "projector of the right rank: the minimisers form a continuous family, and almost none of them is diagonal.",
        instead="Value and spectrum as stated; the tied block is x^M/(1+x^M) times a projector.",
        convention="fit 1/(2N)|W_M...W_1 H - Y|^2, decays lambda/2, M = 2.",
        sources=(DANG_2023.remark("The case d < K as the catalogue reports it; the tie is our observation."),),
        reproduce=reproduce_tie,
        theorem="dang-mse-imb",
    )
)
