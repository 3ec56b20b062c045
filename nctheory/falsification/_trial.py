"""One trial: one instance, solved from random and structured starts, and judged by the theorem's own judge."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.certificates import GAP_LEVEL
from nctheory.closed_form import NoClosedForm
from nctheory.falsification._optimisers import FLOW, POLISH, as_vectors, brought_down
from nctheory.falsification._places import Place
from nctheory.falsification._records import WIDTH, Effort, TrialRecord, Tried, Violation
from nctheory.falsification._starts import Known, leaf_shapes, structured_starts
from nctheory.flow import Ensemble, Status, solve_from, starts
from nctheory.problems import Problem, unravel
from nctheory.theorems import (
    Case,
    Claim,
    EndStates,
    GlobalValue,
    Instance,
    Run,
    Solve,
    Theorem,
    VerifyOptions,
    gather_evidence,
    judge_case,
    refuting_violations,
    required_claims,
    start_scale,
)

BUDGET = 6_000
"""Gradient evaluations of one start of a solve (conventional): usual ones need half of that; a trial waits for the slowest."""
FLOW_EVERY = 4
"""The trials of which one has random starts follow the gradient flow (conventional)."""
LARGEST = 20_000
"""Points with more numbers are not kept from one trial to the next."""


def run_trial(
    theorem: Theorem,
    instance: Instance,
    place: Place,
    number: int,
    round_: int,
    key: PRNGKeyArray,
    effort: Effort,
    known: Sequence[Known] = (),
    late: Callable[[], bool] = lambda: False,
    *,
    locate: bool = False,
) -> Tried:
    """Solve, judge and record one instance; the same arguments give the same trial, unless it runs `late`.

    With `locate` the thresholds of which the theorem's claims speak are located at this instance, as `verify` does once for
    each shape.

    Random starts and structured ones are judged as one ensemble, so that the best point found is the best of both.
    """
    problem = instance.problem
    run = Run(
        jax.random.fold_in(jax.random.fold_in(key, 5), number),
        np.arange(seeds_of(theorem, effort.seeds)),
        VerifyOptions(budget=BUDGET, fidelity_seeds=0, workers=1, light=True),
        scale=start_scale(theorem, instance),
        workers=1,
        locate=thresholds_at(theorem, instance) if locate else (),
    )
    counts, names = {"random": len(run.seeds)}, dict[str, int]()
    shape = str(leaf_shapes(problem))
    try:
        if isinstance(theorem.method, Solve) and any_start_will_do(theorem, problem):
            evidence, more, names = _solved(theorem, theorem.method, instance, run, number, effort, known, late)
            counts |= more
        else:
            whole = run.change(options=run.options._replace(budget=VerifyOptions().budget))
            evidence = gather_evidence(theorem, instance, whole)
            names = {theorem.method.name: len(run.seeds)}
        case = judge_case(theorem, number, instance, evidence)
    except NoClosedForm as error:
        record = TrialRecord(
            number, round_, place, dict(instance.parameters), shape, counts, names, {}, {}, (), None, None,
            f"predicts nothing: {error}",
        )  # fmt: skip
        return Tried(record, ())
    violations = found_violations(theorem, case)
    lowest, value = _lowest(evidence, problem)
    ratios = {
        claim.name: float(case.checks[claim.name].tolerance_ratio)
        for claim in required_claims(theorem, case)
        if case.checks[claim.name].decided
    }
    record = TrialRecord(
        number, round_, place, dict(instance.parameters), shape, counts, names, evidence.statuses, ratios,
        tuple(one.claim for one in violations), lowest, value,
    )  # fmt: skip
    return Tried(record, violations)


def thresholds_at(theorem: Theorem, instance: Instance) -> tuple[Claim, ...]:
    """The claims about thresholds that apply to an instance, one for each that is to be located."""
    places = {claim.location: claim for claim in theorem.claims if claim.applies(instance)}
    return tuple(claim for place, claim in places.items() if place is not None)


def any_start_will_do(theorem: Theorem, problem: Problem) -> bool:
    """Whether a theorem about end states speaks of those from any start, and not of where its own starts lead.

    The end depends on the start where parameters are not decayed, and where the problem has a law of starts of its own. A
    claim about the value of the minimum is about no start at all.
    """
    if getattr(problem, "starts", None) is not None:
        return False
    if all(isinstance(claim, GlobalValue) for claim in theorem.claims):
        return True
    decay = getattr(problem, "weight_decay", None)
    return decay is not None and bool(np.all(np.asarray(decay) > 0))


def seeds_of(theorem: Theorem, seeds: int) -> int:
    """Random starts of a trial: at least as many as a theorem without certificates asks for."""
    return max(seeds, getattr(theorem.method, "search", None) or 1)


def _solved(
    theorem: Theorem,
    method: Solve,
    instance: Instance,
    run: Run,
    number: int,
    effort: Effort,
    known: Sequence[Known],
    late: Callable[[], bool],
) -> tuple[EndStates, dict[str, int], dict[str, int]]:
    """End states from random and structured starts, by one compiled program, with the families and optimisers."""
    problem = instance.problem
    random = as_vectors(starts(problem, run.seeds, run.key, run.scale))
    rng = np.random.default_rng([*np.asarray(jax.random.key_data(run.key)).ravel().tolist(), number])
    structured, families = structured_starts(problem, effort.structured, rng, known)
    structured, names = brought_down(problem, structured, late)
    # Random starts follow the gradient flow in every fourth trial, and go by the polish alone, which is faster, in the others.
    flow = method.flow and number % FLOW_EVERY == 0
    # What the polish alone comes to may be a saddle, which no flow leads to: above the lowest value it is no evidence.
    way = FLOW if flow else POLISH
    names[way] = names.get(way, 0) + len(random)
    ensemble = followed(problem, random, flow)
    if len(structured):
        ensemble = joined(ensemble, followed(problem, structured, False))
    by_flow = np.arange(len(ensemble.seeds)) < (len(random) if flow else 0)
    return method.evidence_at(theorem.claims, instance, lowest_or(by_flow, ensemble), run), families, names


def followed(problem: Problem, vectors: np.ndarray, flow: bool) -> Ensemble:
    """The ends of points along the gradient flow and a polish, or by the polish alone; one program does both."""
    way = "flow+polish" if flow else "polish"
    return solve_from(problem, unravel(problem, vectors), budget=BUDGET, method=way, chunk=WIDTH, light=True)


def lowest_or(trusted: np.ndarray, ensemble: Ensemble) -> Ensemble:
    """The ensemble with all ends but the lowest and the trusted ones counted as stalled."""
    values = np.where(np.isfinite(ensemble.value), ensemble.value, np.inf)
    lowest = values <= np.min(values) + GAP_LEVEL * np.abs(np.min(values))
    stalled = ensemble.converged & ~lowest & ~trusted
    return ensemble._replace(status=np.where(stalled, np.int8(Status.STALLED), ensemble.status))


def joined(first: Ensemble, second: Ensemble) -> Ensemble:
    """Two ensembles as one, the seeds of the second numbered on."""
    later = second._replace(seeds=second.seeds + len(first.seeds))
    fields = {
        name: jax.tree.map(lambda *parts: np.concatenate(parts), getattr(first, name), getattr(later, name))
        for name in first._fields
        if name != "tolerance"
    }
    return Ensemble(**fields, tolerance=max(first.tolerance, second.tolerance))


def found_violations(theorem: Theorem, case: Case) -> tuple[Violation, ...]:
    """The violations of a case that refute, the worst seed of each claim."""
    found = []
    for claim in required_claims(theorem, case):
        check = case.checks[claim.name]
        hit = refuting_violations(claim, case) if check.decided else np.zeros(0, bool)
        if not np.any(hit):
            continue
        ratio = np.where(hit, check.residual / np.maximum(check.tolerance, np.finfo(float).tiny), -np.inf)
        at = int(np.argmax(ratio))
        point, value = _point(case.evidence, int(check.seeds[at]))
        note = case.rechecks.get(claim.name, "")
        found.append(
            Violation(
                claim.name,
                int(check.seeds[at]),
                float(check.residual[at]),
                float(check.tolerance[at]),
                note,
                value,
                point,
            )
        )
    return tuple(found)


def _point(evidence: Any, seed: int) -> tuple[np.ndarray | None, float]:
    """The end of a seed as a vector, with its value; None where the evidence is no end states."""
    if not isinstance(evidence, EndStates):
        return None, np.nan
    where = np.flatnonzero(evidence.ensemble.seeds == seed)
    if not where.size:
        return None, np.nan
    at = int(where[0])
    vectors = as_vectors(evidence.ensemble.params)
    return vectors[at], float(evidence.ensemble.value[at])


def _lowest(evidence: Any, problem: Problem) -> tuple[list[float] | None, float | None]:
    """The lowest end of an ensemble, where it is small enough to be kept."""
    if not isinstance(evidence, EndStates):
        return None, None
    values = np.where(np.isfinite(evidence.ensemble.value), evidence.ensemble.value, np.inf)
    at = int(np.argmin(values))
    if not np.isfinite(values[at]):
        return None, None
    vectors = as_vectors(evidence.ensemble.params)
    return (vectors[at].tolist() if vectors.shape[1] <= LARGEST else None), float(values[at])


def known_ends(records: Sequence[TrialRecord], problem: Problem, most: int = 12) -> list[Known]:
    """The lowest ends of earlier trials whose parameters have leaves of as many axes as this problem's, the latest last."""
    axes = [len(shape) for shape in leaf_shapes(problem)]
    found = []
    for record in records:
        shapes = ast.literal_eval(record.shape)
        if record.lowest is not None and [len(shape) for shape in shapes] == axes:
            found.append(Known(shapes, np.asarray(record.lowest)))
    return found[-most:]


__all__ = ["found_violations", "known_ends", "run_trial"]
