"""Claims about paths on one instance: whole curves, orders of convergence, limits."""

from typing import Any

import numpy as np

from nctheory.problems import rounding
from nctheory.theorems._grounds import SAFETY, Check, Evidence
from nctheory.theorems._theorem import Claim

RESOLVED = 0.1
"""Tolerance of an order or limit, relative to the prediction, or of a curve, relative to its largest size, beyond which a path
tells nothing."""
ENDS = 3
"""Ends from which an exponential limit is extrapolated. Two would do if there were one exponential; where there are two, the
curve may cross its limit, and the change from one end to the next vanishes there."""
CONFIDENCE = 1.0 - 1e-4
"""Of the interval of a regressed order, seed by seed."""


def check_path(claim: Claim, evidence: Evidence, predicted: np.ndarray) -> Check:
    """Hold a claim of kind "trajectory", "order" or "limit" against a prediction with a leading axis seeds.

    The tolerance of a curve is, time by time, twice the error that the process was found to make there, and rounding; that
    of an order is the confidence interval of the regression, and of a limit twice its change when the extrapolation has
    one order less, or begins from an earlier end (the largest of these), each with what the errors of the single
    observations make of it. Seeds whose order or limit is not known to `RESOLVED`, or whose curve is not known to that part of
    its largest size, are left out, and support nothing; a curve that is off by more than even that is a violation.
    """
    mask = evidence.certified & ~_comparison_lost(claim, evidence)
    observed, error = evidence.observed[claim.name][mask], evidence.errors[claim.name][mask]
    predicted = np.broadcast_to(predicted, (mask.size, *predicted.shape[1:]))[mask] if predicted.ndim else predicted
    size = _size(observed)
    terms = evidence.terms.get(claim.name, np.zeros((mask.size, 1)))[mask]
    if claim.kind == "trajectory":
        if predicted.shape not in (observed.shape, ()):
            raise ValueError(
                f"predicted: claim {claim.name!r} observes shape {observed.shape[1:]} of a path, predicted has "
                f"{predicted.shape[1:]}"
            )
        residual = _size(observed - predicted)
        height = _size(np.broadcast_to(predicted, observed.shape))
        tolerance = SAFETY * error + rounding(evidence.problem, size + height + terms)
        scale = float(np.max(height, initial=0.0))
    else:
        noise = SAFETY * error + rounding(evidence.problem, size + terms)
        found, spread = (_order if claim.kind == "order" else _limit)(claim, evidence, observed, noise)
        if predicted.shape not in (found.shape, ()):
            raise ValueError(
                f"predicted: claim {claim.name!r} expects one number a path, predicted has {predicted.shape[1:]}"
            )
        residual, tolerance = np.abs(found - predicted)[:, None], spread[:, None]
        scale = float(np.max(np.abs(predicted), initial=0.0))
    # NaN in an observable is a violation, not a pass.
    unknown = np.isnan(residual) | np.isnan(tolerance)
    residual, tolerance = np.where(unknown, np.inf, residual), np.where(unknown, 0.0, tolerance)
    worst = np.argmax(residual / np.maximum(tolerance, np.finfo(float).tiny), axis=1)[:, None]
    pick = lambda table: np.take_along_axis(table, worst, axis=1)[:, 0]  # noqa: E731
    # An error of this size at all times is caught, whatever its direction.
    resolution = np.max(residual + tolerance, axis=1, initial=0.0)
    found = Check(evidence.ensemble.seeds[mask], pick(residual), pick(tolerance), scale, resolution)
    if claim.kind == "trajectory":
        largest = np.max(size + terms, axis=1, initial=0.0)
        known = (np.max(np.where(unknown, 0.0, tolerance), axis=1) <= RESOLVED * largest) | found.violated
    else:
        largest = scale if scale > 0 else np.max(size, axis=1, initial=0.0)
        known = found.tolerance <= RESOLVED * largest
    return Check(found.seeds[known], found.residual[known], found.tolerance[known], scale, resolution[known])


def _size(x: np.ndarray) -> np.ndarray:
    """Norms of what was observed, seeds x times."""
    return np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=2)


def _comparison_lost(claim: Claim, evidence: Evidence) -> np.ndarray:
    """Seeds of which nothing can be said because the run that their error is estimated by was lost."""
    observed = _size(evidence.observed[claim.name])
    return np.any(np.isnan(evidence.errors[claim.name]) & ~np.isnan(observed), axis=1)


def _order(claim: Claim, evidence: Evidence, sizes: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of log size over log rung, and half its confidence interval, per seed."""
    from scipy.special import stdtrit

    assert evidence.course is not None
    x = np.log(np.asarray(evidence.course.ladder))
    x = x - x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        y, slack = np.log(sizes), noise / sizes
    weights = x / np.sum(x**2)
    slope = y @ weights
    rest = y - y.mean(axis=1, keepdims=True) - slope[:, None] * x
    deviation = np.sqrt(np.sum(rest**2, axis=1) / (x.size - 2) / np.sum(x**2))
    half = float(stdtrit(x.size - 2, 0.5 * (1.0 + CONFIDENCE))) * deviation + slack @ np.abs(weights)
    return slope, half


def _limit(claim: Claim, evidence: Evidence, curve: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve extrapolated, and how far that may be off, per seed."""
    assert evidence.course is not None
    times = np.asarray(evidence.course.times, float)
    vanishing: Any = claim.vanishing
    if vanishing == "geometric":
        return _geometric(claim, times, curve, noise)
    x = np.asarray(vanishing(times), float)
    # Points at which what vanishes is once, twice, …, sixteen times as large as at the end.
    chosen = [int(np.argmin(np.abs(np.log(x / (2.0**k * x[-1]))))) for k in range(5)]
    if len(set(chosen)) < 5:
        raise ValueError(f"times: claim {claim.name!r} wants to see where 16 times the distance is left, got {times}")

    def extrapolated(points: list[int]) -> tuple[np.ndarray, np.ndarray]:
        at = x[points]
        weights = np.array([np.prod([b / (b - a) for b in np.delete(at, i)]) for i, a in enumerate(at)])
        return curve[:, points] @ weights, noise[:, points] @ np.abs(weights)

    (found, slack), (less, _), (sooner, _) = (extrapolated(chosen[a:b]) for a, b in ((0, 4), (0, 3), (1, 5)))
    return found, SAFETY * np.maximum(np.abs(found - less), np.abs(found - sooner)) + slack


def _geometric(claim: Claim, times: np.ndarray, curve: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Aitken's extrapolation of a curve whose distance from its limit is, in the end, one exponential."""
    if times.size < ENDS + 2 or not np.allclose(np.diff(times)[-ENDS - 1 :], times[-1] - times[-2], rtol=1e-9):
        raise ValueError(f"times: claim {claim.name!r} needs {ENDS + 2} evenly spaced times at the end, got {times}")

    def limit(end: int) -> tuple[np.ndarray, np.ndarray]:
        a, b, c = (curve[:, end - k] for k in (2, 1, 0))
        ratio = np.where(b != a, (c - b) / np.where(b != a, b - a, 1.0), 0.0)
        ratio = np.clip(ratio, -0.95, 0.95)
        return c + (c - b) * ratio / (1.0 - ratio), noise[:, end] * (1.0 + np.abs(ratio)) / (1.0 - np.abs(ratio)) ** 2

    (last, slack), *before = (limit(end) for end in range(times.size - 1, times.size - 1 - ENDS, -1))
    moved = [np.abs(last - sooner) for sooner, _ in before]
    return last, SAFETY * np.max([*moved, np.abs(last - curve[:, -1])], axis=0) + slack


__all__ = ["CONFIDENCE", "RESOLVED", "check_path"]
