"""Evidence about paths: every seed's path followed, observed, and checked against what the process conserves."""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.flow import COARSE, Paths, PathStatus, Status, gradient_descent, gradient_flow
from nctheory.flow import starts as draw_starts
from nctheory.problems import Params, Problem
from nctheory.theorems._evidence import Trajectories
from nctheory.theorems._instance import Instance
from nctheory.theorems._run import Run
from nctheory.theorems._thresholds import MAX_DRIFT
from nctheory.theorems.claims import Claim, PathClaim

GRADIENTS_PER_STEP = 12
"""Gradients to a step of the explicit integrator."""
_TERMS = "terms of "


@final
@dataclasses.dataclass(frozen=True)
class Integrate:
    """Paths from random starts, followed as each instance's `TrajectorySpec` says, and a second time for their error."""

    few_seeds_are_light: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The method in words."""
        return "integrate"

    def accepts(self, claim: Claim, theorem: str) -> None:
        """Raise ValueError for a claim that is not about paths."""
        if not isinstance(claim, PathClaim):
            raise ValueError(f"method: Integrate of theorem {theorem!r} with a claim about points, {claim.name!r}")

    def gather(self, claims: tuple[Claim, ...], instance: Instance, run: Run) -> Trajectories:
        """Follow every seed's path, observe it, and check it against what the process conserves."""
        problem, spec = instance.problem, instance.trajectory
        if spec is None:
            raise ValueError("trajectory: an instance of a theorem about paths has no TrajectorySpec")
        chosen = tuple(claim for claim in claims if isinstance(claim, PathClaim))
        numbers = np.asarray(run.seeds)
        starts = draw_starts(problem, numbers, run.key, run.scale)
        scales = np.asarray(spec.initial_scales or (1.0,))
        # The scaled starts of a seed are paths of their own: seeds x scales, the scale varying fastest.
        begun = jax.tree.map(
            lambda x: (x[:, None] * scales.reshape(1, -1, *[1] * (x.ndim - 1))).reshape(-1, *x.shape[1:]), starts
        )
        share = None if run.progress is None else _by_seed(run.progress, scales.size)
        options: dict[str, Any] = {
            "observe": observer(chosen), "workers": run.workers, "light": run.light, "progress": share
        }  # fmt: skip
        # The budget of gradients is turned into steps of the integrator; a descent takes the steps that it is asked for.
        if spec.rate is None:
            steps = max(1, run.options.budget // GRADIENTS_PER_STEP)
            paths = gradient_flow(problem, begun, spec.times, tolerance=spec.tolerance, max_steps=steps, **options)
        else:
            paths = gradient_descent(problem, begun, np.asarray(spec.times, int), spec.rate, **options)

        def by_seed(x: np.ndarray) -> np.ndarray:
            return x.reshape(numbers.size, scales.size, *x.shape[1:])

        def table(x: np.ndarray) -> np.ndarray:
            """Seeds x times x …, or with several scales seeds x scales x … at the last time."""
            return by_seed(x)[:, :, -1] if spec.initial_scales else x

        # A seed is as sound as the worst of its paths.
        status = np.max(by_seed(_STATUS[paths.status]), axis=1)
        sound = by_seed(_sound(paths, spec.tolerance)).all(axis=1)
        return Trajectories(
            problem=problem,
            spec=spec,
            seeds=numbers,
            status=status,
            sound=sound & (status == Status.CONVERGED),
            # Curves are known by the number of their claim, because the observer's names must be texts.
            observed={claim: table(paths.values[_name(i)]) for i, claim in enumerate(chosen)},
            errors={claim: table(paths.error[_name(i)]) for i, claim in enumerate(chosen)},
            terms={claim: table(paths.values[_TERMS + _name(i)]) for i, claim in enumerate(chosen) if claim.terms},
            starts=starts,
            values=by_seed(paths.values[""])[:, 0, -1],
            drift=float(np.fmax.reduce(paths.drift)),  # NaN only where all are
            dissipation=float(np.fmax.reduce(paths.dissipation)),
        )

    def facts(self) -> str:
        """What is done and to which precision."""
        return "paths: integrated twice, the second time with thirty times the tolerance, which bounds their error"


_STATUS = np.zeros(len(PathStatus), np.int8)
_STATUS[PathStatus.STEPS_SPENT], _STATUS[PathStatus.LOST] = Status.BUDGET_SPENT, Status.DIVERGED


def _name(number: int) -> str:
    """How a claim's curve is called among the observed ones."""
    return f"claim {number}"


@cache
def observer(claims: tuple[PathClaim, ...]) -> Callable[..., Any]:
    """All observables of some claims at a point of a path; one function for the same claims, for the compiler's sake."""

    def observe(problem: Problem, params: Params, start: Params) -> dict[str, Any]:
        # All observables are evaluated by one program, and the objective with them, under the empty name.
        found = {"": problem.objective(params)}
        for number, claim in enumerate(claims):
            found[_name(number)] = jnp.asarray(claim.observe(problem, params, start))
            if claim.terms is not None:
                found[_TERMS + _name(number)] = jnp.asarray(claim.terms(problem, params))
        return found

    observe.sees_start = True  # pyright: ignore[reportFunctionMemberAccess]
    return observe


def _sound(paths: Paths, tolerance: float) -> np.ndarray:
    """Paths that keep what the flow conserves; what is not known to be conserved says nothing.

    The balance of energy, which the integrator follows as it does the point, may be off by what the steps of the coarse
    run, by which errors are estimated, may lose.
    """
    allowed = np.maximum(MAX_DRIFT, COARSE * tolerance * paths.steps)
    return (
        paths.followed
        & (np.isnan(paths.drift) | (paths.drift <= MAX_DRIFT))
        & (np.isnan(paths.dissipation) | (paths.dissipation <= allowed))
    )


def _by_seed(progress: Callable[[int], None], scales: int) -> Callable[[int], None]:
    """Progress in seeds, told in paths."""
    told = [0, 0]

    def tell(paths: int) -> None:
        told[0] += paths
        new = told[0] // scales - told[1]
        told[1] += new
        progress(new)

    return tell


__all__ = ["Integrate", "observer"]
