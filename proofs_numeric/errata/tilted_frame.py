"""N19: with a decayed bias the frame is neither orthogonal nor a simplex."""

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022


def reproduce(seeds, key):
    """Measure how far both classical frames are from every certified minimiser, for K = 4, c = 0.3, lambda_b = 1."""
    classes, n, strength = 4, 5, 0.3
    decay = strength / classes / np.sqrt(n)
    problem = nct.unconstrained_features(
        counts=(n,) * classes, dim=6, loss="mse", weight_decay=(decay, decay), bias=1.0
    )
    ensemble = nct.solve(problem, seeds, key)
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    with jax.enable_x64(True):
        frames = {"orthogonal frame": np.eye(classes), "simplex ETF": np.asarray(nct.closed_form.simplex_etf(classes))}
    distances = {}
    for name, frame in frames.items():
        gram = np.einsum("skd,sjd->skj", ensemble.params.weights[0], ensemble.params.weights[0])[good]
        unit = gram / np.linalg.norm(gram, axis=(1, 2), keepdims=True)
        distances[name] = np.linalg.norm(unit - frame / np.linalg.norm(frame), axis=(1, 2))
    figures = [("certified seeds", f"{good.sum()} of {seeds}")]
    figures += [
        (f"distance of W W^T to the {name}", f"{d.min():.6f} to {d.max():.6f}") for name, d in distances.items()
    ]
    far = bool(good.any()) and all(d.min() > 0.01 for d in distances.values())
    return nct.theorems.ErratumResult(far, "certified", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N19",
        title="Squared error with a bias always ends in an orthogonal frame or a simplex ETF",
        published="With squared error and a regularised bias, global minimisers are an orthogonal frame or a simplex ETF.",
        why="For 0 < lambda_b < infinity and w = lambda_b/(1+lambda_b) > c the class means are tilted: scale 1-c on the "
        "simplex and 1-c/w along the constant vector, two different numbers.",
        instead="The three regimes of ufm-mse-bias.",
        convention="fit 1/(2N)|WH + b1^T - Y|^2, decays lambda/2, c = K sqrt(n lambda_W lambda_H).",
        sources=(
            ZHOU_2022.remark("The theorem on a regularised bias; the claim is a summary met around it, not its text."),
        ),
        reproduce=reproduce,
        theorem="ufm-mse-bias",
    )
)
