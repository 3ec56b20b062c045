"""Everything computed on one instance of a theorem about paths before a prediction is looked at."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.certificates import Bound
from nctheory.flow import COARSE, Ensemble, Paths, PathStatus, Status, descend, draw_starts, flow
from nctheory.problems import Params, Problem
from nctheory.theorems._grounds import Evidence
from nctheory.theorems._theorem import Claim, Course
from nctheory.theorems._verdict import path_note

MONITOR = 1e-9
"""Relative drift of a conserved quantity from which on a path is no evidence."""
EVALUATIONS = 12
"""Gradients to a step of the explicit integrator."""
_TERMS = "terms of "


def gather_paths(
    problem: Problem,
    course: Course,
    claims: tuple[Claim, ...],
    seeds: Sequence[int] | np.ndarray,
    key: PRNGKeyArray,
    scale: float,
    budget: int,
    light: bool,
    workers: int | None,
    progress: Callable[[int], None] | None,
) -> Evidence:
    """Follow every seed's path, observe it, and check it against what the process conserves."""
    numbers = np.asarray(seeds)
    starts = draw_starts(problem, numbers, key, scale)
    rungs = np.asarray(course.ladder or (1.0,))
    # Rungs of a ladder are paths of their own: seeds x rungs, the rung varying fastest.
    begun = jax.tree.map(
        lambda x: (x[:, None] * rungs.reshape(1, -1, *[1] * (x.ndim - 1))).reshape(-1, *x.shape[1:]), starts
    )
    share = None if progress is None else _by_seed(progress, rungs.size)
    options: dict[str, Any] = {
        "observe": observer(claims), "workers": workers, "light": light, "progress": share
    }  # fmt: skip
    if course.rate is None:
        paths = flow(
            problem, begun, course.times, tolerance=course.tolerance, max_steps=max(1, budget // EVALUATIONS), **options
        )
    else:
        paths = descend(problem, begun, np.asarray(course.times, int), course.rate, **options)

    def by_seed(x: np.ndarray) -> np.ndarray:
        return x.reshape(numbers.size, rungs.size, *x.shape[1:])

    def table(x: np.ndarray) -> np.ndarray:
        """Seeds x times x …, or of a ladder seeds x rungs at the last time."""
        return by_seed(x)[:, :, -1] if course.ladder else x

    sound = by_seed(_sound(paths, course.tolerance)).all(axis=1)
    status = np.max(by_seed(_STATUS[paths.status]), axis=1)
    value = by_seed(paths.values[""])[:, 0, -1]
    ensemble = Ensemble(
        seeds=numbers,
        value=value,
        grad_norm=np.zeros(numbers.size),
        status=status,
        params=starts,
        steps=by_seed(paths.steps).sum(axis=1),
        flow_time=np.full(numbers.size, float(course.times[-1])),
        handovers=np.zeros(numbers.size, int),
        peak_grad_norm=np.zeros(numbers.size),
        tolerance=course.tolerance,
    )
    none = np.full(numbers.size, -np.inf)
    bound = Bound(none, value - none, np.zeros(numbers.size, bool), path_note(paths.drift, paths.dissipation))
    return Evidence(
        problem=problem,
        ensemble=ensemble,
        bound=bound,
        certified=ensemble.converged & sound,
        observed={c.name: table(paths.values[c.name]) for c in claims},
        reports=[],
        reach={},
        terms={c.name: table(paths.values[_TERMS + c.name]) for c in claims if c.terms},
        levels=(),
        course=course,
        errors={c.name: table(paths.error[c.name]) for c in claims},
        starts=starts,
        drift=float(np.fmax.reduce(paths.drift)),  # NaN only where all are
        dissipation=float(np.fmax.reduce(paths.dissipation)),
    )


_STATUS = np.zeros(len(PathStatus), np.int8)
_STATUS[PathStatus.STEPS_SPENT], _STATUS[PathStatus.LOST] = Status.BUDGET_SPENT, Status.DIVERGED


@cache
def observer(claims: tuple[Claim, ...]) -> Callable[..., Any]:
    """All observables of some claims at a point of a path; one function for the same claims, for the compiler's sake."""

    def observe(problem: Problem, params: Params, start: Params) -> dict[str, Any]:
        found = {"": problem.objective(params)}
        for claim in claims:
            found[claim.name] = jnp.asarray(claim.observe(problem, params, start))
            if claim.terms is not None:
                found[_TERMS + claim.name] = jnp.asarray(claim.terms(problem, params))
        return found

    observe.sees_start = True  # pyright: ignore[reportFunctionMemberAccess]
    return observe


def _sound(paths: Paths, tolerance: float) -> np.ndarray:
    """Paths that keep what the flow conserves; what is not known to be conserved says nothing.

    The balance of energy, which the integrator follows as it does the point, may be off by what the steps of the coarse
    run, by which errors are estimated, may lose.
    """
    allowed = np.maximum(MONITOR, COARSE * tolerance * paths.steps)
    return (
        paths.followed
        & (np.isnan(paths.drift) | (paths.drift <= MONITOR))
        & (np.isnan(paths.dissipation) | (paths.dissipation <= allowed))
    )


def _by_seed(progress: Callable[[int], None], rungs: int) -> Callable[[int], None]:
    """Progress in seeds, told in paths."""
    told = [0, 0]

    def tell(paths: int) -> None:
        told[0] += paths
        new = told[0] // rungs - told[1]
        told[1] += new
        progress(new)

    return tell


__all__ = ["MONITOR", "gather_paths", "observer"]
