"""N7: the minimiser at a finite decay is not SELI, and under imbalance it is no simplex either."""

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import THRAMPOULIDIS_2022

COUNTS, DIM = (10, 10, 1, 1), 4
DECAYS = (1e-1, 1e-2, 1e-3)
"""The values of lambda, in the convention of a sum over samples."""


def certified_ends(counts, decay, seeds, key):
    """Find class-mean logits and W W^T at the certified minimisers of cross-entropy, and count these."""
    mean = decay / sum(counts)
    problem = nct.problems.reduce_to_class_means(
        nct.unconstrained_features(counts=counts, dim=DIM, loss="cross_entropy", weight_decay=(mean, mean))
    )
    ensemble = nct.solve(problem, seeds, key, method="polish")
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    weights = ensemble.params.weights[0][good]
    return weights @ ensemble.params.features[good], np.einsum("skd,sjd->skj", weights, weights), int(good.sum())


def distance(matrices, reference):
    """Compute Frobenius distances between directions."""
    unit = matrices / np.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    return np.linalg.norm(unit - reference / np.linalg.norm(reference), axis=(1, 2))


def reproduce(seeds, key):
    """Measure distances for counts (10, 10, 1, 1), and for (5, 5, 5, 5), where the claim is true."""
    with jax.enable_x64(True):
        simplex = np.asarray(nct.closed_form.simplex_etf(len(COUNTS)))
    figures, far = [], True
    for decay in DECAYS:
        logits, gram, certified = certified_ends(COUNTS, decay, seeds, key)
        away = {"logits to SELI": distance(logits, simplex), "W W^T to the simplex ETF": distance(gram, simplex)}
        far = far and certified > 0 and min(d.min() for d in away.values()) > 0.05
        figures.append((f"lambda {decay:g}: certified seeds", f"{certified} of {seeds}"))
        figures += [
            (f"lambda {decay:g}: distance of {name}", f"{d.min():.4f} to {d.max():.4f}") for name, d in away.items()
        ]
    logits, _, certified = certified_ends((5, 5, 5, 5), DECAYS[0], seeds, key)
    near = distance(logits, simplex).max()
    figures.append((f"equal counts, lambda {DECAYS[0]:g}: distance of logits to SELI", f"at most {near:.1e}"))
    return nct.theorems.ErratumResult(bool(far and certified > 0 and near < 1e-6), "certified", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N7",
        title="SELI, or a simplex ETF, at every decay",
        published="The minimiser of regularised cross-entropy under imbalance is the simplex-encoded-labels geometry at every "
        "decay; or it is a simplex ETF as for equal counts.",
        why="SELI is the geometry of the hard margin, which the path only tends to as lambda falls to 0, with a distance of "
        "order 1/log(1/lambda). At finite lambda the margins are about log(1/lambda) - log a_ck and differ with the "
        "multipliers a_ck of the constraints.",
        instead="The margin equation and expansion of seli-ridge-path; for equal counts the direction is S at every decay.",
        convention="sum over samples of cross-entropy plus lambda/2 (|W|^2 + |H|^2), bias-free; class-mean logits, directions "
        "Z/|Z|.",
        sources=(
            THRAMPOULIDIS_2022.remark(
                "It states SELI for the hard margin and for lambda -> 0; the claim is a reading met around it, not its text."
            ),
        ),
        reproduce=reproduce,
        theorem="seli-ridge-path",
    )
)
