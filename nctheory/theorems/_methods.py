"""How the evidence of an instance comes about: by solving, by a census, or by integrating."""

import dataclasses
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates import GAP_LEVEL, Bound, Uniqueness, certify, unique_minimiser
from nctheory.engine import in_few_lengths
from nctheory.flow import Ensemble, solve, start_vectors
from nctheory.landscape import search
from nctheory.problems import Problem, unravel, value_rounding
from nctheory.theorems._end_types import MAX_TYPES, Examined, examine
from nctheory.theorems._engine_error import contradiction
from nctheory.theorems._evidence import CriticalPoints, EndStates
from nctheory.theorems._instance import Instance
from nctheory.theorems._locate import locate_threshold
from nctheory.theorems._observe import measured, typical_size
from nctheory.theorems._run import Run
from nctheory.theorems._thresholds import MIN_SEARCH
from nctheory.theorems.claims import Claim, PathClaim


@final
@dataclasses.dataclass(frozen=True)
class Solve:
    """Seeds are followed from random starts to end states: along the gradient flow (`flow`), or by the polish alone.

    Each end state that can be is certified to be the global minimum. Where no certificate is known the best point found stands
    for it, once at least `search` seeds were tried; before that what no seed found may yet be there, and refutes nothing.
    """

    flow: bool = True
    search: int | None = None
    """The number of those seeds, by default `MIN_SEARCH`; where it is given a quick run takes at least as many."""

    few_seeds_are_light: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The method in words."""
        return "solve" if self.flow else "solve without the flow"

    def accepts(self, claim: Claim, theorem: str) -> None:
        """Raise ValueError for a claim about paths."""
        _no_path(claim, theorem, "Solve")

    def gather(self, claims: tuple[Claim, ...], instance: Instance, run: Run) -> EndStates:
        """Solve, certify and observe one instance."""
        problem = instance.problem
        ensemble = solve(
            problem,
            run.seeds,
            run.key,
            method="flow+polish" if self.flow else "polish",
            scale=run.scale,
            budget=run.options.budget,
            chunk=run.width,
            devices=run.devices,
            workers=run.workers,
            progress=run.progress,
            flow_precision=run.options.flow_precision if self.flow else "float64",
            light=run.light,
        )
        return self.evidence_at(claims, instance, ensemble, run)

    def evidence_at(self, claims: tuple[Claim, ...], instance: Instance, ensemble: Ensemble, run: Run) -> EndStates:
        """Certify and observe the end states of one instance, wherever their seeds started."""
        problem = instance.problem
        parts = _at_points(problem, claims, ensemble, run, most=MAX_TYPES, best=False)
        brackets = {claim.location: locate_threshold(claim, problem, run) for claim in run.locate}
        # Uniqueness is asked of seeds with a proper certificate alone, not of those that are only the best found.
        unique = _uniqueness(problem, ensemble, parts["certified"] & parts["bound"].valid, parts.pop("examined"))
        return EndStates(
            problem, ensemble, **parts, uniqueness=unique, brackets=brackets, search_needed=self.search or MIN_SEARCH
        )

    def facts(self) -> str:
        """What is done and to which precision."""
        way = "gradient flow, then polished" if self.flow else "polished from random starts"
        return (
            f"end states: {way} to a gradient norm of 1e-10 (1e-5 at kinks); minimum certified by a relative gap of 1e-9 and "
            "rounding"
        )


@final
@dataclasses.dataclass(frozen=True)
class Census:
    """Critical points of every index, by a search on the gradient norm from many starts."""

    few_seeds_are_light: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The method in words."""
        return "census"

    def accepts(self, claim: Claim, theorem: str) -> None:
        """Raise ValueError for a claim about paths."""
        _no_path(claim, theorem, "Census")
        if claim.location is not None:
            raise ValueError(
                f"method: theorem {theorem!r} locates a threshold ({claim.name!r}), which needs Solve(...)"
            )

    def gather(self, claims: tuple[Claim, ...], instance: Instance, run: Run) -> CriticalPoints:
        """Search for critical points of one instance, certify and observe them."""
        problem = instance.problem
        ensemble = search(problem, run.seeds, run.key, progress=run.progress, light=run.light)
        parts = _at_points(problem, claims, ensemble, run, most=None, best=True)
        del parts["examined"]
        return CriticalPoints(problem, ensemble, **parts)

    def facts(self) -> str:
        """What is done and to which precision."""
        return "critical points: gradient norm lowered to 1e-10; one Hessian for each orbit type, off the gauge"


def _no_path(claim: Claim, theorem: str, method: str) -> None:
    if isinstance(claim, PathClaim):
        raise ValueError(f"method: {method} of theorem {theorem!r} with a claim about paths, {claim.name!r}")


def _at_points(
    problem: Problem, claims: tuple[Claim, ...], ensemble: Ensemble, run: Run, *, most: int | None, best: bool
) -> dict[str, Any]:
    """What the two kinds of evidence about points have in common."""
    bound = certify(problem, ensemble.params)
    rounded = value_rounding(problem, ensemble.params)
    drawn = in_few_lengths(
        lambda some: start_vectors(problem, run.key, some, jnp.asarray(run.scale, jnp.float64)), ensemble.seeds
    )
    begun = unravel(problem, drawn)
    # Bounds at end states and at starts must lie below every value that was found; else the engine contradicts itself.
    contradiction(problem, ensemble, bound, rounded, begun)
    certified = _certified(ensemble, bound)
    # Not every claim is evaluated at points, and not each of these has a tolerance that depends on how it changes there.
    seen = tuple(claim for claim in claims if claim.observer is not None)
    # All functions are evaluated by one program, which serves for the ends and for the starts.
    wanted = [(claim.observer, claim.terms_of, claim.size_of) for claim in seen]
    functions = tuple(dict.fromkeys(f for row in wanted for f in row if f is not None))
    at_ends = dict(zip(functions, measured(problem, ensemble.params, functions), strict=True))
    at_starts = dict(zip(functions, measured(problem, begun, functions), strict=True))
    observed, terms, sizes = {}, {}, {}
    for claim, (observer, terms_of, size_of) in zip(seen, wanted, strict=True):
        assert observer is not None
        observed[claim] = _at(observer, at_starts, at_ends, claim.anywhere)
        if terms_of is not None:
            terms[claim] = _at(terms_of, at_starts, at_ends, claim.anywhere)
        # An observable that vanishes where it ought to has no size there; what a claim names may be larger there.
        sizes[claim] = typical_size(at_starts[size_of or observer])
        if size_of is not None:
            sizes[claim] = max(sizes[claim], typical_size(at_ends[size_of]))
    anywhere = tuple(claim for claim in seen if claim.anywhere)
    moving = tuple(claim for claim in seen if claim.moves)
    rows = [_entries(problem, ensemble, claim, observed) for claim in moving]
    # Types of end states, and Hessians at some of each, give the sensitivities; where all claims are about any point none is
    # needed.
    examined = examine(
        problem, ensemble, certified, rounded, moving, rows,
        most=most, points=run.options.curvature_points, best=best, curvature=len(anywhere) < len(claims),
    )  # fmt: skip
    return {
        "bound": bound,
        "certified": certified,
        "observed": observed,
        "terms": terms,
        "sizes": sizes,
        "sensitivity": examined.sensitivity,
        "reports": examined.reports,
        "types": examined.types,
        "value_rounding": rounded,
        "examined": examined,
    }


def _entries(problem: Problem, ensemble: Ensemble, claim: Claim, observed: dict[Claim, np.ndarray]) -> int:
    """The number of entries of what a claim is differentiated as."""
    if claim.changes_with is claim.observer:
        return int(np.prod(observed[claim].shape[1:]))
    assert claim.changes_with is not None
    point = jax.tree.map(lambda x: x[0], ensemble.params)
    return int(np.prod(jax.eval_shape(claim.changes_with, problem, point).shape))


Table = dict[Any, np.ndarray]


def _at(function: Any, at_starts: Table, at_ends: Table, anywhere: bool) -> np.ndarray:
    """Values at the ends, and of claims about any point at the starts before them."""
    return np.concatenate([at_starts[function], at_ends[function]]) if anywhere else at_ends[function]


def _certified(ensemble: Ensemble, bound: Bound) -> np.ndarray:
    """Converged seeds at the global minimum: by the gap, or where no bound exists by the best value found."""
    if np.any(bound.valid):
        return ensemble.converged & bound.closed(ensemble.value)
    if not np.any(ensemble.converged):
        return np.zeros_like(ensemble.converged)
    best = np.min(ensemble.value[ensemble.converged])
    return ensemble.converged & (ensemble.value <= best + GAP_LEVEL * abs(best))


def _uniqueness(problem: Problem, ensemble: Ensemble, certified: np.ndarray, examined: Examined) -> Uniqueness | None:
    """Whether the certified minimiser at which the Hessian was taken is the only one, up to the gauge."""
    for one in examined.types:
        if one.certified and one.at >= 0 and certified[one.at]:
            # The report is the one taken at that very end state, which its smallest curvature tells.
            report = next((r for r in examined.reports if r.smallest == one.smallest_curvature), None)
            if report is not None:
                return unique_minimiser(problem, jax.tree.map(lambda x, at=one.at: x[at], ensemble.params), report)
    return None


__all__ = ["Census", "Solve"]
