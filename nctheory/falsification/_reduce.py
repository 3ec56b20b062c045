"""From a violation to a counterexample worth printing: the smallest instance, the roundest numbers, evaluated anew."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.closed_form import NoClosedForm
from nctheory.falsification._edits import facts
from nctheory.falsification._optimisers import lbfgs, value_and_gradient
from nctheory.falsification._places import Place, instance_at
from nctheory.falsification._records import Effort, Violation
from nctheory.falsification._starts import Known, leaf_shapes, structured_starts
from nctheory.falsification._trial import found_violations, run_trial
from nctheory.flow import Ensemble, Status
from nctheory.problems import Problem, scales_of, unravel
from nctheory.theorems import Case, GlobalValue, Instance, Run, Solve, Theorem, VerifyOptions, judge_case

DIGITS = range(1, 13)
"""The significant digits to which a point's numbers are rounded, from the fewest on."""
KEPT = 0.5
"""The part of a violation that must be left after rounding (conventional)."""


class Found(NamedTuple):
    """A violation with the instance at which it was seen."""

    place: Place
    instance: Instance
    number: int
    """The number of the trial, which its random starts come from."""
    violation: Violation
    digits: int | None = None


def reduced(theorem: Theorem, root: PRNGKeyArray, found: Found, effort: Effort, late: Callable[[], bool]) -> Found:
    """The same claim violated at the smallest instance that is tried before it is `late`.

    Rounder decays are tried first, then fewer classes, samples and units, from the fewest on. A value below the predicted one
    is looked for by L-BFGS alone, other violations by a trial of their own; the violating point, cut to size, is a start.
    """
    tried = set()
    again = True
    while again and not late():
        again = False
        for edit in _smaller(found.instance.problem):
            place = found.place.edit(*edit)
            if late() or edit in tried:
                continue
            tried.add(edit)
            now = _violated_at(theorem, root, found, place, effort, late)
            if now is not None:
                found, again = now, True
                break
    return found


def _violated_at(
    theorem: Theorem, root: PRNGKeyArray, found: Found, place: Place, effort: Effort, late: Callable[[], bool]
) -> Found | None:
    """The violation of the same claim at another place; None where there is none."""
    instance = instance_at(theorem, root, place)
    if instance is None:
        return None
    point = found.violation.point
    known = [] if point is None else [Known(leaf_shapes(found.instance.problem), point)]
    told = lower_value(theorem, found.violation, found.instance.problem)
    if told is not None:
        return _lower_at(theorem, found, place, instance, effort, known, late)
    locate = any(one.location is not None for one in theorem.claims if one.name == found.violation.claim)
    done = run_trial(theorem, instance, place, found.number, 0, root, effort, known, late, locate=locate)
    same = [one for one in done.violations if one.claim == found.violation.claim]
    return Found(place, instance, found.number, same[0]) if same else None


def lower_value(theorem: Theorem, violation: Violation, problem: Problem) -> float | None:
    """The predicted minimum, where the violation is a value below it; None of other violations."""
    claim = next(one for one in theorem.claims if one.name == violation.claim)
    if violation.point is None or not isinstance(claim, GlobalValue) or not isinstance(theorem.method, Solve):
        return None
    told = float(claim.prediction(problem, theorem.predict(problem)))
    return told if violation.value < told else None


def _lower_at(
    theorem: Theorem,
    found: Found,
    place: Place,
    instance: Instance,
    effort: Effort,
    known: list[Known],
    late: Callable[[], bool],
) -> Found | None:
    """A value below the predicted minimum at another place, by L-BFGS from structured starts; None where there is none."""
    rng = np.random.default_rng([found.number, len(place.edits)])
    claim = next(one for one in theorem.claims if one.name == found.violation.claim)
    try:
        told = float(claim.prediction(instance.problem, theorem.predict(instance.problem)))
    except NoClosedForm:
        return None
    vectors = structured_starts(instance.problem, effort.structured, rng, known)[0]
    best, least = None, np.inf
    for vector in vectors:
        end = lbfgs(instance.problem, vector)
        value = value_and_gradient(instance.problem, end)[0]
        if value < least:
            best, least = end, value
        if late():
            break
    if best is None or not least < told:
        return None
    case = judged_points(theorem, instance, best[None], found.number)
    same = [one for one in found_violations(theorem, case) if one.claim == claim.name]
    return Found(place, instance, found.number, same[0]) if same else None


def _smaller(problem: Problem) -> Iterator[tuple[Any, ...]]:
    """Edits that make a problem smaller or rounder."""
    known = facts(problem)
    yield from (("digits", digits) for digits in (1, 2))
    yield from (("classes", classes) for classes in range(2, known.get("K", 0)))
    yield from (("samples", samples) for samples in (1, 2) if samples < known.get("n", 0))
    yield from (("width", width) for width in range(max(1, known.get("K", 1) - 1), known.get("d", 0)))


def rounded(theorem: Theorem, found: Found) -> Found:
    """The point with its numbers rounded to the fewest digits that leave half of a violated value's distance."""
    point, was = found.violation.point, found.violation
    told = lower_value(theorem, was, found.instance.problem)
    if told is None or point is None:
        return found
    for digits in DIGITS:
        near = np.array([float(f"{x:.{digits - 1}e}") for x in point])
        if told - value_and_gradient(found.instance.problem, near)[0] < KEPT * (told - was.value):
            continue
        case = judged_points(theorem, found.instance, near[None], found.number)
        same = [one for one in found_violations(theorem, case) if one.claim == was.claim]
        if same:
            return found._replace(violation=same[0], digits=digits)
    return found


def judged_points(theorem: Theorem, instance: Instance, vectors: np.ndarray, number: int = 0) -> Case:
    """The theorem's claims held against given points, as they are: nothing is moved."""
    assert isinstance(theorem.method, Solve)
    problem, count = instance.problem, len(vectors)
    pairs = [value_and_gradient(problem, vector) for vector in vectors]
    norms = np.array([float(np.linalg.norm(gradient)) for _, gradient in pairs])
    tolerance = float(1e-10 * scales_of(problem).gradient)
    zeros = np.zeros(count, int)
    status = np.where(norms <= tolerance, int(Status.CONVERGED), int(Status.STALLED)).astype(np.int8)
    ensemble = Ensemble(
        np.arange(count), np.array([value for value, _ in pairs]), norms, status, unravel(problem, vectors), zeros,
        np.zeros(count), zeros, norms, tolerance,
    )  # fmt: skip
    run = Run(jax.random.key(0), np.arange(count), VerifyOptions(fidelity_seeds=0, workers=1, light=True), workers=1)
    return judge_case(theorem, number, instance, theorem.method.evidence_at(theorem.claims, instance, ensemble, run))


__all__ = ["Found", "judged_points", "reduced", "rounded"]
