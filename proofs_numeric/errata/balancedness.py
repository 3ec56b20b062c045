"""N10: balanced factors do not stay balanced under unequal weight decay, nor in a finite step of gradient descent."""

from fractions import Fraction

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ARORA_2018, DU_2018

ONE, NOUGHT = Fraction(1), Fraction(0)
IDENTITY = np.array([[ONE, NOUGHT], [NOUGHT, ONE]])
TARGETS = np.array([[NOUGHT, ONE], [NOUGHT, NOUGHT]])


def gradients(first, second, decay):
    """Compute the gradients of 1/4 |W_2 W_1 - Y|^2 + decay_1/2 |W_1|^2 + decay_2/2 |W_2|^2 in rational numbers."""
    slope = (second @ first - TARGETS) / 2
    return second.T @ slope + decay[0] * first, slope @ first.T + decay[1] * second


def imbalance(first, second):
    """Compute W_2^T W_2 - W_1 W_1^T."""
    return second.T @ second - first @ first.T


def show(matrix):
    """Write a rational matrix on one line."""
    return "[" + ", ".join("[" + ", ".join(map(str, row)) + "]" for row in matrix) + "]"


def reproduce(seeds, key):
    """Compute drift and step exactly at W_1 = W_2 = I, with inputs I, and look at certified minimisers."""
    unequal = (Fraction(1, 10), Fraction(3, 10))
    first, second = gradients(IDENTITY, IDENTITY, unequal)
    drift = -(second.T + second) + first + first.T  # This is d/dt (W_2^T W_2 - W_1 W_1^T) at W_1 = W_2 = I.
    eta = Fraction(1, 10)
    first, second = gradients(IDENTITY, IDENTITY, (NOUGHT, NOUGHT))
    after = imbalance(IDENTITY - eta * first, IDENTITY - eta * second)

    decay = tuple(map(float, unequal))
    problem = nct.problems.balanced_chain(
        nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=decay)
    )
    ensemble = nct.solve(problem, seeds, key)
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    weights, features = ensemble.params.weights[0][good], ensemble.params.features[good]
    upper = np.einsum("ski,skj->sij", weights, weights)
    lower = np.einsum("sin,sjn->sij", features, features)
    distance = np.linalg.norm(upper - lower, axis=(1, 2))
    weighted = np.linalg.norm(decay[0] * upper - decay[1] * lower, axis=(1, 2))
    figures = (
        ("W_2^T W_2 - W_1 W_1^T at W_1 = W_2 = I", show(imbalance(IDENTITY, IDENTITY))),
        ("its velocity under decays (1/10, 3/10)", show(drift)),
        ("it after one step of 1/10 without decay", show(after)),
        ("certified minimisers from balanced starts", f"{good.sum()} of {seeds}"),
        ("|W^T W - H H^T| there", f"{distance.min():.6f} to {distance.max():.6f}"),
        ("|lambda_W W^T W - lambda_H H H^T| there", f"at most {weighted.max():.1e}"),
    )
    moved = bool(np.any(drift != 0)) and bool(np.any(after != 0))
    apart = bool(good.any()) and float(distance.min()) > 0.01 and float(weighted.max()) < 1e-7
    return nct.theorems.ErratumResult(moved and apart, "certified", figures)


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N10",
        title="Balanced factors stay balanced, whatever the decays and the step",
        published="W_{l+1}^T W_{l+1} - W_l W_l^T is conserved by training with weight decay and by gradient descent.",
        why="It is conserved by the gradient flow without decay only. Unequal decays move it by -2 lambda_{l+1} "
        "W_{l+1}^T W_{l+1} + 2 lambda_l W_l W_l^T; a step of size eta adds eta^2 (G_{l+1}^T G_{l+1} - G_l G_l^T).",
        instead="Equal decays: it dies out as e^{-2 lambda t}. Any decays: lambda_{l+1} W_{l+1}^T W_{l+1} = "
        "lambda_l W_l W_l^T at critical points. A step: the exact law in `conservation`.",
        convention="fit 1/(2N)|.|^2, decays lambda/2, gradients G_l of the fit alone.",
        sources=(
            ARORA_2018.remark(
                "Their conservation law is for the flow without decay and is not at fault; the claim is a "
                "summary met around it, not its text."
            ),
            DU_2018.remark("Likewise; for gradient descent they bound the drift instead."),
        ),
        reproduce=reproduce,
        theorem="conservation",
    )
)
