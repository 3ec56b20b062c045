"""Metrics of one layer from its moments and its classifier."""

from typing import Any

import numpy as np

from nctheory.measures._moments import Moments
from nctheory.measures._targets import Target
from nctheory.measures._units import normalised

EPS = float(np.finfo(np.float64).eps)


def of_moments(moments: Moments, present: np.ndarray, aim: Target, centred: bool) -> dict[str, Any]:
    """What counts, means and scatter tell."""
    held = moments.in_unit()
    counts, means, classes = moments.counts[present], held.means[present], present.size
    scatter = held.scatter[present] if len(held.scatter) == moments.classes else None
    # A mean is known to rounding of its own size, and singular values to rounding of the largest.
    known = 4.0 * EPS * np.linalg.norm(means, axis=1).max()
    # So are deviations: those of samples that are equal may be nothing but rounding.
    traces = np.where(held.traces[present] > counts * known**2, held.traces[present], 0.0)
    shifted = _centred(means, np.sqrt(classes) * known)
    left, singular, _ = np.linalg.svd(shifted.T, full_matrices=False)
    kept = singular > np.sqrt(classes) * known + EPS * max(shifted.shape) * singular.max()
    # With M = U S V^T the centred means, Sigma_B^+ / K = U S^-2 U^T, so that tr(A Sigma_B^+) / K = tr(S^-1 U^T A U S^-1).
    sharp = left[:, kept] / singular[kept]
    along = None if scatter is None else np.einsum("dr,kde,er->k", sharp, scatter, sharp, optimize=True) / counts
    shown, gram = (shifted, _centred_gram(aim.means)) if centred else (means, aim.means)
    norms = np.linalg.norm(shifted, axis=1)
    cosines = _ratio(shifted @ shifted.T, np.outer(norms, norms))[~np.eye(classes, dtype=bool)]
    pairs, directed = _pairs(means, traces / counts, scatter, counts, known)
    return {
        "nc1": float(np.einsum("dr,de,er->", sharp, held.scatter.sum(axis=0), sharp, optimize=True) / counts.sum()),
        "nc1_rank": int(kept.sum()),
        "nc1_by_class": np.full(classes, np.nan) if along is None else along,
        "trace_ratio": float(_ratio(traces.sum() / counts.sum(), np.sum(shifted**2) / classes)),
        "nc2": _gram_distance(shown @ shown.T, gram),
        "norm_spread": float(_ratio(np.std(norms), np.mean(norms))),
        "angle_spread": float(np.mean(np.abs(cosines + 1.0 / (classes - 1)))),
        "cdnv": float(np.mean(pairs)),
        "cdnv_by_class": pairs,
        "directional_cdnv": float(np.mean(directed)),
        "directional_cdnv_by_class": directed,
    }  # fmt: skip


def of_head(means: np.ndarray, weights: np.ndarray | None, aim: Target) -> dict[str, float]:
    """What the classifier's rows and the class means tell of each other."""
    names = ("nc2_weights", "nc3", "nc3_centred", "nc3_uncentred")
    if weights is None:
        return dict.fromkeys(names, np.nan)
    weights = normalised(weights)
    shifted, rows = (_centred(x, 4.0 * EPS * float(np.linalg.norm(x))) for x in (means, weights))
    apart = lambda x, y: float(np.linalg.norm(_unit(x) - _unit(y)))  # noqa: E731
    of_rows = _gram_distance(weights @ weights.T, aim.weights)
    return dict(
        zip(names, (of_rows, apart(weights, shifted), apart(rows, shifted), apart(weights, means)), strict=True)
    )


def _pairs(
    means: np.ndarray, variances: np.ndarray, scatter: np.ndarray | None, counts: np.ndarray, known: float
) -> tuple[np.ndarray, np.ndarray]:
    """CDNV and directional CDNV of each class, means over the others; class means are `known` to a distance."""
    classes = len(counts)
    plain, directed = np.zeros(classes), np.full(classes, np.nan)
    for k in range(classes):
        others = np.arange(classes) != k
        apart = means[others] - means[k]
        squared = np.sum(apart**2, axis=1)
        apart, squared = np.where(squared[:, None] > known**2, apart, 0.0), np.where(squared > known**2, squared, 0.0)
        plain[k] = np.mean(_ratio(variances[k] + variances[others], 2.0 * squared))
        if scatter is not None:
            # u^T Sigma_k u/|mu_k - mu_j|^2 has the squared distance twice below: once for the length of u.
            along = np.sum((apart @ scatter[k]) * apart, axis=1) / counts[k]
            directed[k] = np.mean(_ratio(_ratio(along, squared), squared))
    return plain, directed


def _ratio(over: Any, under: Any) -> np.ndarray:
    """A quotient that is 0 for 0/0, as metrics are at zero features, and infinite for another number over zero."""
    over, under = np.broadcast_arrays(np.asarray(over, float), np.asarray(under, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((over == 0) & (under == 0), 0.0, over / under)


def _centred(rows: np.ndarray, least: float) -> np.ndarray:
    """The rows less their mean; 0 where no more than `least` is left, which is rounding."""
    shifted = rows - rows.mean(axis=0)
    return shifted if np.linalg.norm(shifted) > least else np.zeros_like(shifted)


def _unit(x: np.ndarray) -> np.ndarray:
    """x / |x|_F, and 0 at 0."""
    x = normalised(x)
    return _ratio(x, np.linalg.norm(x))


def _gram_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two Gram matrices, each scaled to norm one."""
    return float(np.linalg.norm(_unit(one) - _unit(other)))


def _centred_gram(gram: np.ndarray) -> np.ndarray:
    """The Gram matrix of the same vectors less their mean, PGP with P = I - 11^T/K."""
    return gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
