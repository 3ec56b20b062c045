"""One claim on one instance: residuals against tolerances that are derived, seed by seed."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._batching import map_in_blocks
from nctheory._precision import EPS
from nctheory.certificates import GAP_LEVEL, Bound, HessianReport
from nctheory.flow import Ensemble
from nctheory.problems import Params, Problem, ravel, size, unravel
from nctheory.theorems._theorem import Claim

SAFETY = 2.0
"""Factor on the first-order sensitivity; covers its second-order remainder."""


class Evidence(NamedTuple):
    """All that was computed on one instance, before any prediction is looked at."""

    problem: Problem
    ensemble: Ensemble
    bound: Bound
    certified: np.ndarray
    """Converged, and at the global minimum to `GAP_LEVEL`."""
    observed: dict[str, np.ndarray]
    """By claim; leading axis seeds (starts first, then ends, where the scope is any point)."""
    reports: list[HessianReport]
    """Hessians at sampled end states."""
    reach: dict[str, float]
    """By claim: change of the observable per unit of residual gradient, the largest over the sampled end states."""


class Check(NamedTuple):
    """A claim held against one prediction on one instance; arrays over the seeds in its scope."""

    seeds: np.ndarray
    residual: np.ndarray
    tolerance: np.ndarray
    scale: float
    """Norm of the prediction."""
    resolution: np.ndarray
    """Error in the prediction that this seed would have caught, in whatever direction."""

    @property
    def violated(self) -> np.ndarray:
        """Seeds that refute the prediction."""
        return self.residual > self.tolerance

    @property
    def decided(self) -> bool:
        """Whether there is a seed to speak of, with a finite tolerance."""
        return self.seeds.size > 0 and bool(np.all(np.isfinite(self.tolerance)))


@partial(jax.jit, static_argnames="claims")
def observe_all(problem: Problem, params: Params, claims: tuple[Claim, ...]) -> dict[str, jax.Array]:
    """Every claim's observable at every point of a batch."""
    one = lambda point: {c.name: jnp.asarray(c.observe(problem, point)) for c in claims}  # noqa: E731
    return map_in_blocks(one, params)


@partial(jax.jit, static_argnames="claims")
def stacked_jacobian(problem: Problem, point: Params, claims: tuple[Claim, ...]) -> jax.Array:
    """Jacobian of all observables at one point, rows in the order of the claims."""

    def flat(vector: jax.Array) -> jax.Array:
        params = unravel(problem, vector)
        return jnp.concatenate([jnp.ravel(jnp.asarray(c.observe(problem, params))) for c in claims])

    vector = ravel(point)
    _, push = jax.linearize(flat, vector)
    return map_in_blocks(push, jnp.eye(vector.size)).T


def rounding(problem: Problem, scale: np.ndarray | float) -> Any:
    """Rounding error of a quantity of the given size computed from all parameters."""
    return 8 * EPS * np.sqrt(size(problem)) * (np.abs(scale) + EPS)


def check_claim(claim: Claim, evidence: Evidence, predicted: np.ndarray) -> Check:
    r"""Hold one claim against a prediction.

    Tolerance of an observable with Jacobian J at an end state with gradient g and Hessian A:
    $2\,|JA^+|_2\,(|g|+\epsilon_g)+\epsilon_f$, pseudo-inverse off the gauge, the $\epsilon$ bounding rounding. A claim
    about the minimum is checked against $[\text{lower bound},\text{value}]$, with rounding as its tolerance.
    """
    if claim.enclosed:
        return _check_enclosure(claim, evidence, float(predicted))
    observed, ensemble = evidence.observed[claim.name], evidence.ensemble
    predicted = np.asarray(predicted, dtype=np.float64)
    if predicted.shape != observed.shape[1:] and predicted.shape != ():
        raise ValueError(
            f"predicted: claim {claim.name!r} observes shape {observed.shape[1:]}, predicted has {predicted.shape}"
        )
    difference = (observed - predicted).reshape(observed.shape[0], -1)
    if claim.kind == "equality":
        residual = np.linalg.norm(difference, axis=1)
    else:
        residual = np.max(difference if claim.kind == "upper" else -difference, axis=1)
    scale = np.linalg.norm(observed.reshape(observed.shape[0], -1), axis=1) + np.linalg.norm(predicted)
    noise = rounding(evidence.problem, scale)
    if claim.scope == "any point":
        seeds = np.concatenate([ensemble.seeds, ensemble.seeds])
        finite = np.isfinite(residual)
        residual, noise = residual[finite], noise[finite]
        return Check(seeds[finite], residual, noise, float(np.linalg.norm(predicted)), np.abs(residual) + noise)
    mask = evidence.certified if claim.scope == "minimisers" else ensemble.converged
    gradient = ensemble.grad_norm + _gradient_noise(evidence)
    tolerance = SAFETY * evidence.reach[claim.name] * gradient + noise
    # NaN in an observable is a violation, not a pass.
    residual = np.where(np.isnan(residual), np.inf, residual)
    residual, tolerance = residual[mask], tolerance[mask]
    norm = float(np.linalg.norm(predicted))
    return Check(ensemble.seeds[mask], residual, tolerance, norm, np.abs(residual) + tolerance)


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
    noise = rounding(evidence.problem, np.abs(value) + abs(predicted))
    # A seed without a certificate can refute (a value below the predicted minimum), but it cannot support.
    refutes = np.isfinite(value) & (outside > noise) & (bounded | (predicted > value))
    speaks = evidence.certified | refutes
    resolution = np.where(evidence.certified, np.maximum(value - lower, 0.0), np.inf) + noise
    return Check(ensemble.seeds[speaks], outside[speaks], noise[speaks], abs(predicted), resolution[speaks])
