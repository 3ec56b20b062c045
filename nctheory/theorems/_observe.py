"""Observables of claims at many points: values, sizes of cancelling terms, and how they change about an end state."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates import HessianReport, sensitivity
from nctheory.engine import Array, fast_compile, in_few_lengths, map_in_blocks
from nctheory.problems import Params, Problem, ravel, scales_of, unravel

Observable = Callable[..., Array]


@partial(fast_compile, static_argnames="functions")
def _at_each(problem: Problem, params: Params, functions: tuple[Observable, ...]) -> list[Array]:
    return map_in_blocks(lambda point: [jnp.asarray(f(problem, point)) for f in functions], params)


def measured(problem: Problem, params: Params, functions: Sequence[Observable]) -> list[np.ndarray]:
    """Functions of problem and point at every point of a batch; leading axis seeds."""
    if not functions:
        return []
    return in_few_lengths(lambda points: _at_each(problem, points, tuple(functions)), params)


@partial(fast_compile, static_argnames="functions")
def _jacobian(problem: Problem, point: Params, functions: tuple[Observable, ...]) -> Array:
    """Jacobian of all observables at one point, rows in their order."""

    def flat(vector: Array) -> Array:
        params = unravel(problem, vector)
        return jnp.concatenate([jnp.ravel(jnp.asarray(f(problem, params))) for f in functions])

    # The linearised observables are pushed along every unit vector: these are the columns of the Jacobian.
    vector = ravel(point)
    _, push = jax.linearize(flat, vector)
    return map_in_blocks(push, jnp.eye(vector.size)).T


def sensitivities(
    problem: Problem, point: Params, report: HessianReport, claims: Sequence[Any], rows: Sequence[int], slope: float
) -> dict[Any, float]:
    """Change of every claim's observable per unit of residual gradient at an end state; `rows` are the numbers of entries
    of what each `changes_with`.

    The Jacobian is taken again one gradient `slope` (the steepest of the instance) away, in a random direction and along the
    softest curvature, where end states are off most: an observable that is quadratic in the parameters has a vanishing
    Jacobian at zero, and only these see its change.
    """
    if not claims:
        return {}
    vector = np.asarray(ravel(point))
    direction = np.random.default_rng(11).normal(size=vector.shape)
    # By Newton's estimate a gradient g leaves the end state open by |g|/(softest curvature): so far off is the second point.
    distance = slope / report.softest
    ways = [direction / np.linalg.norm(direction)]
    sizes = np.abs(report.eigenvalues)
    if np.any(sizes > report.resolution):  # else all directions are flat, or symmetries
        ways.append(report.eigenvectors[:, np.argmin(np.where(sizes > report.resolution, sizes, np.inf))])
    functions = tuple(claim.changes_with for claim in claims)
    points = (point, *(unravel(problem, vector + distance * way) for way in ways))
    jacobians = [np.asarray(_jacobian(problem, x, functions)) for x in points]
    # The rows of the Jacobian are divided among the claims, and the largest norm of J A^+ of the points counts.
    ends = np.cumsum(rows)
    parts = [slice(end - length, end) for end, length in zip(ends, rows, strict=True)]
    unit = float(scales_of(problem).gradient)
    return {
        claim: max(sensitivity(report, jacobian[part], unit) for jacobian in jacobians)
        for claim, part in zip(claims, parts, strict=True)
    }


def typical_size(values: np.ndarray) -> float:
    """The median of the norms of what was measured at many points; 0 where nothing is finite."""
    norms = np.linalg.norm(values.reshape(len(values), -1), axis=1)
    return float(np.nanmedian(norms)) if np.any(np.isfinite(norms)) else 0.0


__all__ = ["measured", "sensitivities", "typical_size"]
