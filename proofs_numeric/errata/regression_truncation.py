"""N6: between the eigenvalues of a covariance that is not diagonal, cutting off columns does not give the minimiser."""

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ANDRIOPOULOS_2024

COVARIANCE = np.array([[2.0, 1.2], [1.2, 1.0]])
STRENGTH, SAMPLES, DIM = 0.9, 8, 3


def reproduce(seeds, key):
    """Solve n = 2, d = 3, M = 8, lambda_W = lambda_H, with c = 0.9 between the eigenvalues 0.2 and 2.8 of Sigma."""
    values, vectors = np.linalg.eigh(COVARIANCE)
    targets = (vectors * np.sqrt(values)) @ _white(len(values), SAMPLES)
    lam = float(np.sqrt(STRENGTH))
    problem = nct.deep_linear(widths=(DIM, 2), targets=targets, loss="mse", weight_decay=(lam, lam / SAMPLES), bias=0.0)
    ensemble = nct.solve(problem, seeds, key)
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    figures = [("eigenvalues of Sigma, and c", f"{values[0]:.6f}, {values[1]:.6f}; {STRENGTH}")]
    above = np.sqrt(values) - np.sqrt(STRENGTH)
    figures.append(("least eigenvalue of A", f"{above[0]:.6f}: A has no real square root"))
    figures.append(("certified seeds", f"{good.sum()} of {seeds}"))
    if not good.any():
        return nct.theorems.ErratumResult(False, "certified", tuple(figures))

    found = np.einsum("skd,sjd->skj", ensemble.params.weights[0], ensemble.params.weights[0])[good]
    least = float(np.min(ensemble.value[good]))
    readings = {
        "positive part of A, first column of its root": _truncated(np.maximum(above, 0.0), vectors),
        "|A| in the place of A, first column of its root": _truncated(np.abs(above), vectors),
        "spectral positive part": (vectors * np.maximum(above, 0.0)) @ vectors.T,
    }
    distances, excess = {}, {}
    for name, gram in readings.items():
        distances[name] = float(np.max(np.linalg.norm(found - gram, axis=(1, 2))) / np.linalg.norm(found[0]))
        excess[name] = _value(problem, gram, vectors, values) - least
        figures.append((f"W W^T, {name}", f"relative distance {distances[name]:.6f}, value {excess[name]:+.6f}"))
    *literal, right = readings
    refuted = distances[right] < 1e-6 and all(distances[name] > 0.1 and excess[name] > 0.01 for name in literal)
    return nct.theorems.ErratumResult(bool(refuted), "certified", tuple(figures))


def _white(n, samples):
    """Build n rows of mean zero with the identity as covariance: cosines of whole periods."""
    angles = 2 * np.pi * np.outer(np.arange(1, n + 1), np.arange(samples)) / samples
    return np.sqrt(2) * np.cos(angles)


def _truncated(eigenvalues, vectors):
    """Compute [B^(1/2)]_1 [B^(1/2)]_1^T for B of these eigenvalues; one column, as one eigenvalue of Sigma is above c."""
    column = ((vectors * np.sqrt(eigenvalues)) @ vectors.T)[:, :1]
    return column @ column.T


def _value(problem, gram, vectors, values):
    """Compute the objective where W W^T = `gram`, H = W^T Sigma^(-1/2) Y and b = 0, as printed for equal decays."""
    eigenvalues, basis = np.linalg.eigh(gram)
    weights = np.zeros((2, DIM))
    weights[:, :2] = basis * np.sqrt(np.maximum(eigenvalues, 0.0))
    features = weights.T @ (vectors / np.sqrt(values)) @ vectors.T @ np.asarray(problem.targets)
    with jax.enable_x64(True):
        return float(problem.objective(nct.problems.ChainParams((weights,), features, np.zeros(2))))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N6",
        title="Regression between the eigenvalues: W from the first columns of a matrix square root",
        published="For lambda_min < c < lambda_max: W = (lambda_H/lambda_W)^(1/4) [A^(1/2)]_j R with "
        "A = Sigma^(1/2) - sqrt(c) I, [.]_j the columns up to the last j with lambda_j > c, zero beyond, R orthonormal rows.",
        why="A has a negative eigenvalue there, so that A^(1/2) is not a real matrix, and columns belong to coordinates of "
        "the targets, not to eigenvectors of Sigma. With the positive part of A, or |A|, for A the truncated W W^T is far "
        "from that of every certified minimiser. For a diagonal Sigma with descending entries the two agree.",
        instead="W W^T = sqrt(lambda_H/lambda_W) (Sigma^(1/2) - sqrt(c) I)_+, the positive part in the eigenbasis of Sigma.",
        convention="lambda_H is divided by the number M of samples, c = lambda_W lambda_H, Sigma the targets' covariance.",
        sources=(ANDRIOPOULOS_2024.remark("The middle regime of Theorem 4.1."),),
        reproduce=reproduce,
        theorem="nrc",
    )
)
