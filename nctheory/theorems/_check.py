"""One claim on one instance: residuals against tolerances that are derived, seed by seed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._batching import map_in_blocks
from nctheory._programs import light_jit
from nctheory.certificates import GAP_LEVEL
from nctheory.problems import Params, Problem, ravel, rounding, unravel
from nctheory.theorems._grounds import SAFETY, Check, Evidence, Level
from nctheory.theorems._path_check import check_path
from nctheory.theorems._theorem import PATH_KINDS, Claim

FLAT = 1e-6
"""Negative curvature below this part of the largest is none: a saddle that is strict in name only."""
UNCLEAR = 100.0
"""Multiple of the resolution up to which a negative curvature may be that of a critical point next to the one meant: within
a continuum of critical points some are tightened or degenerate, and their neighbours are not."""
HINT = 0.1
"""Part of the resolution beyond which a negative curvature is no rounding error, though its sign is not certain."""


@partial(light_jit, static_argnames="claims")
def observe_all(problem: Problem, params: Params, claims: tuple[Claim, ...]) -> dict[str, jax.Array]:
    """Every claim's observable at every point of a batch."""
    one = lambda point: {c.name: jnp.asarray(c.observe(problem, point)) for c in claims}  # noqa: E731
    return map_in_blocks(one, params)


@partial(light_jit, static_argnames="claims")
def measure_terms(problem: Problem, params: Params, claims: tuple[Claim, ...]) -> dict[str, jax.Array]:
    """Size of the cancelling terms at every point of a batch, for the claims that name them."""
    named = [(c.name, c.terms) for c in claims if c.terms is not None]
    return map_in_blocks(lambda point: {name: jnp.asarray(f(problem, point)) for name, f in named}, params)


@partial(light_jit, static_argnames="claims")
def stacked_jacobian(problem: Problem, point: Params, claims: tuple[Claim, ...]) -> jax.Array:
    """Jacobian of all observables at one point, rows in the order of the claims."""

    def flat(vector: jax.Array) -> jax.Array:
        params = unravel(problem, vector)
        return jnp.concatenate([jnp.ravel(jnp.asarray(c.observe(problem, params))) for c in claims])

    vector = ravel(point)
    _, push = jax.linearize(flat, vector)
    return map_in_blocks(push, jnp.eye(vector.size)).T


def check_claim(claim: Claim, evidence: Evidence, predicted: np.ndarray) -> Check:
    r"""Hold one claim against a prediction.

    Tolerance of an observable with Jacobian J at an end state with gradient g and Hessian A:
    $2\,|JA^+|_2\,(|g|+\epsilon_g)+\epsilon_f$, pseudo-inverse off the gauge, the $\epsilon$ bounding rounding. A claim
    about the minimum is checked against $[\text{lower bound},\text{value}]$, with rounding as its tolerance.
    """
    if claim.enclosed:
        return _check_enclosure(claim, evidence, float(predicted))
    if claim.kind in PATH_KINDS:
        return check_path(claim, evidence, np.asarray(predicted, np.float64))
    if claim.kind == "index":
        return _check_index(claim, evidence, np.asarray(predicted, dtype=np.float64))
    observed, ensemble = evidence.observed[claim.name], evidence.ensemble
    predicted = np.asarray(predicted, dtype=np.float64)
    if claim.kind == "member":
        predicted = np.atleast_1d(predicted)
        predicted = predicted[np.isfinite(predicted)]
        if predicted.size == 0:
            raise ValueError(f"predicted: claim {claim.name!r} expects a list with at least one finite value, got none")
        if observed.ndim != 1 or predicted.ndim != 1:
            raise ValueError(
                f"predicted: claim {claim.name!r} holds one number a seed against a list, got {observed.shape[1:]} and "
                f"{predicted.shape}"
            )
        predicted = predicted[np.argmin(np.abs(observed[:, None] - predicted[None, :]), axis=1)]
    elif predicted.shape != observed.shape[1:] and predicted.shape != ():
        raise ValueError(
            f"predicted: claim {claim.name!r} observes shape {observed.shape[1:]}, predicted has {predicted.shape}"
        )
    difference = (observed - predicted).reshape(observed.shape[0], -1)
    if claim.kind in ("equality", "member"):
        residual = np.linalg.norm(difference, axis=1)
    else:
        residual = np.max(difference if claim.kind == "upper" else -difference, axis=1)
    norm = float(np.linalg.norm(predicted) if claim.kind != "member" else np.max(np.abs(predicted), initial=0.0))
    scale = np.linalg.norm(observed.reshape(observed.shape[0], -1), axis=1) + norm
    noise = rounding(evidence.problem, scale + evidence.terms.get(claim.name, 0.0))
    if claim.scope == "any point":
        seeds = np.concatenate([ensemble.seeds, ensemble.seeds])
        finite = np.isfinite(residual)
        residual, noise = residual[finite], noise[finite]
        return Check(seeds[finite], residual, noise, norm, np.abs(residual) + noise)
    mask = evidence.certified if claim.scope == "minimisers" else ensemble.converged
    gradient = ensemble.grad_norm + _gradient_noise(evidence)
    if claim.of_value:
        tolerance = np.full(residual.shape, np.inf)
        for level in evidence.levels:
            tolerance[level.members] = level.slack + noise[level.members]
    else:
        tolerance = SAFETY * evidence.reach[claim.name] * gradient + noise
    # NaN in an observable is a violation, not a pass.
    residual = np.where(np.isnan(residual), np.inf, residual)
    residual, tolerance = residual[mask], tolerance[mask]
    return Check(ensemble.seeds[mask], residual, tolerance, norm, np.abs(residual) + tolerance)


def _check_index(claim: Claim, evidence: Evidence, listed: np.ndarray) -> Check:
    """Sign of the smallest curvature, level by level; every converged seed speaks for its level.

    Where it ought to be negative the residual is the resolution and the tolerance its size, and the reverse where it is
    positive; where it ought not to be negative the residual is its negative part and the tolerance the resolution. A point
    that ought to be a strict saddle and shows no negative curvature counts against the claim where the resolution is at most
    `FLAT` of the largest curvature, and stays undecided where it is coarser. Of a level where the observable is not finite,
    or the curvature is negative by `HINT` to `UNCLEAR` of the resolution, so that its sign is in doubt, the claim does not
    speak.
    """
    observed = evidence.observed[claim.name].reshape(len(evidence.ensemble.seeds), -1)
    listed = listed.reshape(-1, observed.shape[1])
    seeds, residual, tolerance = [np.zeros(0, int)], [np.zeros(0)], [np.zeros(0)]
    for level in evidence.levels:
        smallest, resolution = level.smallest_curvature, level.resolution
        place = observed[level.at]  # the level may be a continuum, so both are of one point
        if level.at >= 0 and not np.all(np.isfinite(place)):
            continue
        if not np.isfinite(smallest):
            pair = (0.0, np.inf)
        elif np.any(np.all(np.abs(listed - place) <= level.slack, axis=1)):
            if resolution < -smallest <= UNCLEAR * resolution:
                continue
            pair = (max(-smallest, 0.0), resolution)
        elif smallest < -resolution:
            pair = (resolution, -smallest)
        elif smallest > resolution:
            pair = (smallest, resolution)
        else:
            if smallest < -HINT * resolution:
                continue
            sharp = resolution <= FLAT * level.largest_curvature
            pair = (max(resolution, np.finfo(np.float64).tiny), max(-smallest, 0.0)) if sharp else (0.0, np.inf)
        seeds.append(evidence.ensemble.seeds[level.members])
        residual.append(np.full(level.members.size, pair[0]))
        tolerance.append(np.full(level.members.size, pair[1]))
    gathered = [np.concatenate(column) for column in (seeds, residual, tolerance)]
    return Check(gathered[0], gathered[1], gathered[2], 0.0, gathered[1] + gathered[2])


def _gradient_noise(evidence: Evidence) -> np.ndarray:
    """Rounding error of the gradient, of the size of the terms that cancel in it at a critical point.

    Those are as large as the Hessian's norm times the point's, or as the largest gradient met on the way.
    """
    top = max((float(np.max(np.abs(r.eigenvalues), initial=0.0)) for r in evidence.reports), default=1.0)
    norms = np.sqrt(
        sum(np.sum(np.square(x).reshape(x.shape[0], -1), axis=1) for x in jax.tree.leaves(evidence.ensemble.params))
    )
    return rounding(evidence.problem, top * norms + evidence.ensemble.peak_grad_norm)


def _check_enclosure(claim: Claim, evidence: Evidence, predicted: float) -> Check:
    """Any point's value is above the minimum and any point's bound below it, so every seed has a say.

    The residual is the distance of the prediction from the seed's interval, the tolerance is rounding. Without any
    bound the value of the best end states stands for the minimum, to `GAP_LEVEL`.
    """
    ensemble, bound = evidence.ensemble, evidence.bound
    value, lower = ensemble.value, bound.lower_bound
    bounded = bool(np.any(bound.valid))
    if not bounded:
        lower = value - GAP_LEVEL * np.abs(value)
    outside = np.maximum(np.maximum(predicted - value, lower - predicted), 0.0)
    noise = rounding(evidence.problem, np.abs(value) + abs(predicted) + evidence.terms.get(claim.name, 0.0))
    # A seed without a certificate can refute (a value below the predicted minimum), but it cannot support.
    refutes = np.isfinite(value) & (outside > noise) & (bounded | (predicted > value))
    speaks = evidence.certified | refutes
    resolution = np.where(evidence.certified, np.maximum(value - lower, 0.0), np.inf) + noise
    return Check(ensemble.seeds[speaks], outside[speaks], noise[speaks], abs(predicted), resolution[speaks])


__all__ = [
    "FLAT",
    "HINT",
    "SAFETY",
    "UNCLEAR",
    "Check",
    "Evidence",
    "Level",
    "check_claim",
    "measure_terms",
    "observe_all",
]
