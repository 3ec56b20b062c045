"""N11 and N15: zero is a local minimum of deep regularised chains, and the global one beyond the onset."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025, DANG_2023, ZHU_2021

DECAY = 0.05


def zero_point(problem):
    """Set all parameters to zero."""
    return jax.tree.map(jnp.zeros_like, problem.init(jax.random.key(0), 1.0))


def reproduce_origin(seeds, key):
    """Find the smallest Hessian eigenvalue at zero for 2, 3, 4 factors, and seeds that start small and end there."""
    figures, minimum_at = [], {}
    with jax.enable_x64(True):
        for factors in (2, 3, 4):
            problem = nct.deep_linear(
                widths=(3,) * factors, counts=(2,) * 3, loss="mse", weight_decay=(DECAY,) * factors
            )
            report = nct.hessian_report(problem, zero_point(problem))
            ensemble = nct.solve(problem, seeds, key, scale=0.1)
            there = ensemble.converged & (np.abs(ensemble.value - 0.5) < 1e-9)
            minimum = float(nct.global_minimum(problem).value)
            figures.append(
                (
                    f"{factors} factors",
                    f"smallest eigenvalue {report.smallest:+.6f}; {there.sum()} of {ensemble.converged.sum()} seeds of "
                    f"scale 0.1 end at zero, value 0.5; minimum {minimum:.6f}",
                )
            )
            minimum_at[factors] = report.smallest
    local = minimum_at[2] < 0 and all(abs(minimum_at[f] - DECAY) < 1e-12 for f in (3, 4))
    return nct.theorems.ErratumResult(local, "certified", tuple(figures))


def reproduce_strong(seeds, key):
    """Solve three problems 3 % beyond their onset: the certified minimiser is zero, whatever a collapsed point costs."""
    figures, zeros = [], []
    cases = {
        "cross-entropy, K sqrt(n lW lH) = 1.03": ("cross_entropy", (6, 4), 1.03 / 4 / np.sqrt(5)),
        "squared error, K sqrt(n lW lH) = 1.03": ("mse", (6, 4), 1.03 / 4 / np.sqrt(5)),
        "squared error, M = 3, b = 1.03 onset": ("mse", (4, 4, 4, 4), deep_decay(1.03)),
    }
    for name, (loss, widths, decay) in cases.items():
        problem = nct.deep_linear(widths=widths, counts=(5,) * 4, loss=loss, weight_decay=(decay,) * len(widths))
        ensemble = nct.solve(problem, seeds, key, scale=0.5)
        good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
        size = max(float(np.max(np.abs(x[good]), initial=0.0)) for x in jax.tree.leaves(ensemble.params))
        figures.append((name, f"{good.sum()} of {seeds} seeds certified, largest parameter {size:.1e}"))
        zeros.append(bool(good.any()) and size < 1e-5)
    return nct.theorems.ErratumResult(all(zeros), "certified", tuple(figures))


def deep_decay(relative):
    """Find the common decay of four factors at which b is `relative` times the onset, for 4 classes of 5 samples."""
    depth, samples, n = 3, 20, 5
    strength = relative * nct.closed_form.onset(depth) * n / (depth * samples)
    return float((strength**depth / samples) ** (1 / (depth + 1)))


CONVENTION = "mean over samples of 1/2|z-y|^2 or cross-entropy, decays lambda/2 for every factor."

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N11",
        title="The origin is a strict saddle at every depth",
        published="With weight decay, zero is a strict saddle of the chain whatever the number of its factors.",
        why="With three or more factors the fit is of third order at zero, so that the Hessian there is the decay alone: "
        "zero is a local minimum, and small starts end in it.",
        instead="Two factors: a strict saddle below the onset. Three or more: a local minimum, with Hessian lambda_l.",
        convention=CONVENTION + " Chen, Jiang, Wang have no 1/2, so that their Hessian is twice as large.",
        sources=(
            CHEN_2025.remark("Used for the corrected statement; the claim is met as a generalisation of two factors."),
        ),
        reproduce=reproduce_origin,
        theorem="dang-mse-imb",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N15",
        title="The regularised minimiser is collapsed for every decay",
        published="For every positive weight decay the global minimisers show neural collapse.",
        why="Beyond an explicit decay the minimiser is zero: K sqrt(n lambda_W lambda_H) >= 1 for two balanced factors, "
        "b_k >= (M-1)^((M-1)/M)/M for a class in a chain of M layers.",
        instead="The onsets of ufm-ce-balanced, ufm-mse-nobias and dang-mse-imb.",
        convention=CONVENTION,
        sources=(
            ZHU_2021.remark("The claim is a reading of such theorems without their scale; the scale may be zero."),
            DANG_2023.remark("States the onsets for squared error."),
        ),
        reproduce=reproduce_strong,
        theorem="ufm-ce-balanced",
    )
)
