"""From the evidence on all instances to a verdict: claims, controls, power, worst case."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nctheory.closed_form import NoClosedForm
from nctheory.theorems._check import Check, Evidence, Level, check_claim
from nctheory.theorems._theorem import PATH_KINDS, Claim, Control, Instance, Prediction, Theorem
from nctheory.theorems._verdict import ClaimResult, ControlResult, InstanceResult, ReachedValue

SHIFT = 10.0
"""The engine's own control moves each prediction by this many times the error that it resolves."""
SUPPORT_NEEDED = 0.95
"""Share of an instance's seeds that must support the theorem before it can hold."""
FOUND_NEEDED = 0.5
"""The same of a census: the gradient norm may also fall towards infinity, where nothing is to be found. How often it does
depends on the data; what it leaves out shows in the values of the list that were not found."""


class Case(NamedTuple):
    """One instance with its evidence and the theorem's claims held against it."""

    index: int
    instance: Instance
    evidence: Evidence
    prediction: Prediction
    checks: dict[str, Check]
    fidelity: tuple[int, int]
    several_basins: bool


def hold_claims(theorem: Theorem, evidence: Evidence, prediction: Prediction) -> dict[str, Check]:
    """Every claim of a theorem against one prediction."""
    return {c.name: check_claim(c, evidence, np.asarray(c.predicted(prediction))) for c in theorem.claims}


def supporting_seeds(case: Case) -> np.ndarray:
    """Seeds that are certified and violate no claim, provided every claim could be decided.

    Where local minima are part of the theory, converged seeds, provided that some seed is certified.
    """
    evidence = case.evidence
    if not all(check.decided for check in case.checks.values()) or not np.any(evidence.certified):
        return np.zeros(0, dtype=int)
    good = evidence.ensemble.seeds[evidence.ensemble.converged if case.several_basins else evidence.certified]
    for check in case.checks.values():
        good = np.setdiff1d(good, check.seeds[check.violated])
        if evidence.course is not None:  # of paths a claim may leave seeds out, about which it cannot say anything yet
            good = np.intersect1d(good, check.seeds)
    return good


def missing(claim: Claim, case: Case) -> int:
    """Number of values on a complete list at which no seed ended."""
    listed = np.atleast_1d(np.asarray(claim.predicted(case.prediction), dtype=np.float64))
    return sum(not any(level.holds(value) for level in case.evidence.levels) for value in listed[np.isfinite(listed)])


def claim_result(claim: Claim, cases: Sequence[Case]) -> ClaimResult:
    """One claim over all cases."""
    checks = [case.checks[claim.name] for case in cases if case.checks[claim.name].decided]
    return ClaimResult(
        name=claim.name,
        statement=claim.statement,
        kind=claim.kind,
        scope=claim.scope,
        instances=len(checks),
        checked=sum(check.seeds.size for check in checks),
        violations=sum(int(np.sum(check.violated)) for check in checks),
        margin=max((largest_margin(check) for check in checks), default=np.inf),
        largest_tolerance=max((float(np.max(check.tolerance)) for check in checks), default=np.inf),
        power=max((power(check) for check in checks if check.scale > 0), default=np.nan),
    )


def largest_margin(check: Check) -> float:
    """Largest residual over tolerance; 0 for no seeds."""
    if check.seeds.size == 0:
        return 0.0
    return float(np.max(np.maximum(check.residual, 0.0) / np.maximum(check.tolerance, np.finfo(np.float64).tiny)))


def power(check: Check) -> float:
    """Relative error in the prediction from which on at least one seed would refute it, in the worst direction."""
    return float(np.min(check.resolution) / check.scale)


def control_result(control: Control, theorem: Theorem, grounds: Sequence[tuple[Instance, Evidence]]) -> ControlResult:
    """Whether the same check refutes a wrong version of the theorem."""
    names = control.claims or tuple(claim.name for claim in theorem.claims)
    margins = []
    for instance, evidence in grounds:
        if not control.applies(instance):
            continue
        try:
            prediction = evidence.predicted_by(control.predict)
        except NoClosedForm:
            continue
        checks = [
            check_claim(claim, evidence, predicted)
            for claim in theorem.claims
            if claim.name in names and _says_something(claim, predicted := np.asarray(claim.predicted(prediction)))
        ]
        margins.append(max((largest_margin(c) for c in checks if c.decided), default=0.0))
    return _control(control.name, control.wrong, margins, needs_all=False)


def _says_something(claim: Claim, predicted: np.ndarray) -> bool:
    """Whether a wrong version predicts numbers at all: of a path, one that does not is not refuted by that."""
    return claim.scope != "path" or bool(np.all(np.isfinite(predicted)))


def shifted_control(theorem: Theorem, cases: Sequence[Case]) -> ControlResult:
    """The engine's own control: each prediction moved by ten times the smallest error that the check resolves.

    It must be refuted on every instance."""
    margins = []
    for case in cases:
        for claim in theorem.claims:
            check = case.checks[claim.name]
            if not check.decided:
                continue
            original = np.asarray(claim.predicted(case.prediction), dtype=np.float64)
            moved = _shift(claim, case, original, SHIFT * float(np.min(check.resolution)))
            margins.append(largest_margin(check_claim(claim, case.evidence, moved)))
    wrong = f"every prediction moved by {SHIFT:g} times what the derived tolerance resolves"
    return _control("shifted", wrong, margins, needs_all=True)


def _shift(claim: Claim, case: Case, predicted: np.ndarray, distance: float) -> np.ndarray:
    """Move a prediction by `distance` in norm, in the direction that its kind of claim forbids."""
    if claim.kind == "index":
        return np.full((1, *predicted.shape[1:]), np.nan)  # an empty list: minima ought to be saddles
    if claim.kind in PATH_KINDS:
        entries = int(np.prod(predicted.shape[2:])) if claim.kind == "trajectory" else 1
        return np.asarray(predicted + distance / np.sqrt(entries))
    if claim.kind in ("equality", "member"):
        length = 1.0 if claim.kind == "member" else np.sqrt(max(predicted.size, 1))
        direction = np.ones_like(predicted) / length
        return np.asarray(predicted + distance * direction)
    observed = case.evidence.observed[claim.name]
    if claim.scope != "any point":
        evidence = case.evidence
        observed = observed[evidence.certified if claim.scope == "minimisers" else evidence.ensemble.converged]
    return np.asarray(np.nanmax(observed) - distance if claim.kind == "upper" else np.nanmin(observed) + distance)


def _control(name: str, wrong: str, margins: list[float], needs_all: bool) -> ControlResult:
    hit = sum(margin > 1.0 for margin in margins)
    refuted = bool(margins) and (hit == len(margins) if needs_all else hit > 0)
    return ControlResult(
        name=name,
        wrong=wrong,
        refuted=refuted,
        applicable=len(margins),
        refuted_on=hit,
        margin=(min if needs_all else max)(margins, default=0.0),
    )


def instance_result(case: Case) -> InstanceResult:
    """The row of one instance in the verdict."""
    ensemble, bound = case.evidence.ensemble, case.evidence.bound
    certified = case.evidence.certified
    reports = case.evidence.reports
    beyond = np.maximum(bound.gap[certified] - case.evidence.noise, 0.0)
    gaps = beyond / np.maximum(np.abs(ensemble.value[certified]), np.finfo(np.float64).tiny)
    return InstanceResult(
        index=case.index,
        parameters=dict(case.instance.parameters),
        seeds=len(ensemble.seeds),
        statuses=ensemble.counts(),
        certified=int(np.sum(certified & bound.valid)),
        supporting=int(supporting_seeds(case).size),
        largest_gap=float(np.max(gaps, initial=0.0)),
        smallest_curvature=min((r.smallest for r in reports), default=np.nan),
        index_off_gauge=max((r.index for r in reports), default=0),
        nullity_off_gauge=max((r.nullity for r in reports), default=0),
        gauge_dimension=max((r.gauge_dimension for r in reports), default=0),
        margin=max((largest_margin(check) for check in case.checks.values()), default=np.inf),
        certificate_note=bound.reason,
        drift=case.evidence.drift,
        dissipation=case.evidence.dissipation,
        levels=_reached(case.evidence.levels),
    )


def _reached(levels: Sequence[Level]) -> tuple[ReachedValue, ...]:
    """The levels with those of one value put together (a census tells types apart that have the same value)."""
    rows: list[ReachedValue] = []
    for level in levels:
        row = ReachedValue(level.value, level.members.size, level.certified, level.smallest_curvature)
        if rows and level.holds(rows[-1].value):
            last = rows.pop()
            least = float(np.fmin(last.smallest_curvature, row.smallest_curvature))
            row = ReachedValue(last.value, last.seeds + row.seeds, last.minimum, least)
        rows.append(row)
    return tuple(rows)


@dataclasses.dataclass(frozen=True)
class Reasons:
    """Grounds against `holds`."""

    refuting: tuple[str, ...]
    doubtful: tuple[str, ...]


def reasons(
    theorem: Theorem,
    cases: Sequence[Case],
    claims: Sequence[ClaimResult],
    controls: Sequence[ControlResult],
    partial: bool,
) -> Reasons:
    """Everything that speaks against the theorem, and everything that leaves it undecided.

    A partial run is not asked to find every value of a complete list.
    """
    refuting = [f"claim {c.name!r} fails on {c.violations} of {c.checked} seeds" for c in claims if c.violations]
    doubtful = [f"control {c.name!r} was not refuted" for c in controls if not c.refuted]
    needed = FOUND_NEEDED if theorem.method == "census" else SUPPORT_NEEDED
    for case in cases:
        for claim in theorem.claims:
            if claim.complete and not partial and (lost := missing(claim, case)):
                doubtful.append(
                    f"instance {case.index}: {lost} values on the list of claim {claim.name!r} were not found"
                )
        undecided = [name for name, check in case.checks.items() if not check.decided]
        total, support = len(case.evidence.ensemble.seeds), supporting_seeds(case).size
        if undecided:
            doubtful.append(f"instance {case.index}: claims {', '.join(undecided)} could not be decided")
        elif support < needed * total and not any(c.violated.any() for c in case.checks.values()):
            certified, converged = case.evidence.certified.sum(), case.evidence.ensemble.converged.sum()
            doubtful.append(
                f"instance {case.index}: {support} of {total} seeds support it "
                f"({converged} converged, {certified} of them at a certified minimum)"
            )
    return Reasons(tuple(refuting), tuple(doubtful))
