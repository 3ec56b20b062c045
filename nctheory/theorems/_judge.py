"""The judge: claims and controls held against the evidence of every instance, and what comes of it as results."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nctheory.closed_form import NoClosedForm
from nctheory.theorems._evidence import EndStates, EndType, Evidence, Points, Trajectories
from nctheory.theorems._instance import Instance
from nctheory.theorems._recheck import rechecked
from nctheory.theorems._results import ClaimResult, ControlResult, InstanceResult, LocatedThreshold, ReachedValue
from nctheory.theorems._theorem import Control, Theorem
from nctheory.theorems.claims import LEVELS, Check, Claim

Gathered = Sequence[tuple[Instance, Evidence]]


class Case(NamedTuple):
    """One instance with its evidence and the theorem's claims held against it."""

    index: int
    instance: Instance
    evidence: Evidence
    prediction: Any
    checks: dict[str, Check]
    """The check of each claim, by its name; violations that vanish in extended precision are withdrawn."""
    rechecks: dict[str, str]
    """What the violations of a claim came to in extended precision, in words, by its name."""
    fidelity: tuple[int, int]
    several_basins: bool


def hold_claims(claims: Sequence[Claim], evidence: Evidence, prediction: Any) -> dict[str, Check]:
    """The checks of some claims against one prediction, by name."""
    return {c.name: c.check(evidence, c.prediction(evidence.problem, prediction)) for c in claims}


def judge_case(
    theorem: Theorem, index: int, instance: Instance, evidence: Evidence, fidelity: tuple[int, int] = (0, 0)
) -> Case:
    """The theorem's claims held against one instance, their violations evaluated anew in extended precision."""
    # Only now, with the evidence gathered, is the prediction computed.
    prediction = evidence.predicted_by(theorem.predict)
    claims = [claim for claim in theorem.claims if claim.applies(instance)]
    checks, notes = hold_claims(claims, evidence, prediction), {}
    for claim in claims:
        # A violation in float64 is a suspicion: it refutes only if it stands with many digits.
        check = checks[claim.name]
        if check.decided and np.any(check.violated):
            checks[claim.name], notes[claim.name] = rechecked(claim, check, evidence, theorem.predict, index)
    return Case(index, instance, evidence, prediction, checks, notes, fidelity, theorem.several_basins)


def required(claim: Claim, case: Case) -> bool:
    """Whether the claim must have something to say of this instance: a threshold is located on some instances only."""
    if not claim.applies(case.instance):
        return False
    place = claim.location
    return place is None or (isinstance(case.evidence, EndStates) and place in case.evidence.brackets)


def required_claims(theorem: Theorem, case: Case) -> list[Claim]:
    """The claims that must have something to say of an instance."""
    return [claim for claim in theorem.claims if required(claim, case)]


def refuting_violations(claim: Claim, case: Case) -> np.ndarray:
    """Mask of a check's violations that refute: those that rest on a search wait until that was long enough."""
    check = case.checks[claim.name]
    short = isinstance(case.evidence, EndStates) and case.evidence.search_too_short
    return check.violated & ~(np.asarray(check.conditional) & short)


def supporting_seeds(theorem: Theorem, case: Case) -> np.ndarray:
    """Seeds at which every claim was decided and none fails, among those that may support the theorem at all.

    What a claim could not observe (a value that is not finite) supports nothing.
    """
    good = case.evidence.candidates(case.several_basins)
    for claim in required_claims(theorem, case):
        check = case.checks[claim.name]
        # Where one claim could not be decided, no seed supports the theorem as a whole.
        if not check.decided:
            return np.zeros(0, int)
        good = np.setdiff1d(good, np.concatenate([check.seeds[check.violated], check.unknown]))
    return good


def claim_result(claim: Claim, cases: Sequence[Case]) -> ClaimResult:
    """One claim over all cases."""
    mine = [case for case in cases if required(claim, case)]
    told = [case for case in mine if case.checks[claim.name].decided]
    checks = [case.checks[claim.name] for case in told]
    # The evidence of a claim is that of its weakest instance.
    level = min((check.level for check in checks), key=LEVELS.index, default="sampled")
    certified = [check for check in checks if LEVELS.index(check.level) >= LEVELS.index("certified")]
    # Of an equality the coarsest resolution counts, of an inequality the least distance from its bound.
    sizes = [check.relative_resolution for check in checks if not np.isnan(check.relative_resolution)]
    violations = sum(int(np.sum(refuting_violations(claim, case))) for case in told)
    moved = [_refutes_wrong_version(claim, case) for case in told]
    return ClaimResult(
        name=claim.name,
        statement=claim.statement,
        kind=claim.kind,
        about=claim.about,
        evidence=level,
        why=next((check.reason for check in checks if check.level == level and check.reason), None),
        instances=len(checks),
        checked=sum(check.seeds.size for check in checks),
        certified_instances=len(certified),
        certified_seeds=sum(check.seeds.size for check in certified),
        violations=violations,
        tolerance_ratio=max((check.tolerance_ratio for check in checks), default=np.inf),
        largest_tolerance=max((float(np.max(check.tolerance)) for check in checks), default=np.inf),
        asked_resolution=claim.resolution,
        because=claim.because,
        resolution=np.nan if claim.inequality else max(sizes, default=np.nan),
        slack=min(sizes, default=np.nan) if claim.inequality else np.nan,
        moved=claim.wrong_version,
        moved_refuted=sum(moved),
        measured=not claim.rounds or any(bool(np.any(check.residual != 0.0)) for check in checks),
        recheck="; ".join(dict.fromkeys(case.rechecks[claim.name] for case in mine if claim.name in case.rechecks)),
    )


def _refutes_wrong_version(claim: Claim, case: Case) -> bool:
    """Whether the claim's own wrong versions are refuted at an instance, in every direction."""
    # The wrong versions are moved by the claim's resolution, relative to the size that its check found.
    evidence, check = case.evidence, case.checks[claim.name]
    predicted = claim.prediction(evidence.problem, case.prediction)
    return all(
        bool(np.any(claim.check(evidence, moved).violated)) for moved in claim.wrong(evidence, predicted, check.scale)
    )


def control_result(control: Control, theorem: Theorem, gathered: Gathered) -> ControlResult:
    """Whether the same check refutes a wrong version of the theorem, and which claims do."""
    ratios: list[float] = []
    refuting: dict[str, None] = {}
    for instance, evidence in gathered:
        # Instances outside the hypotheses were drawn for this control alone; others it may not apply to.
        if control.outside is None and not control.applies(instance):
            continue
        found = _of_control(control, theorem, instance, evidence)
        if found is None:
            continue
        # One claim that refutes the wrong version on one instance is enough; its name is told.
        ratios.append(max(found.values(), default=0.0))
        refuting.update({name: None for name, ratio in found.items() if ratio > 1.0})
    hit = sum(ratio > 1.0 for ratio in ratios)
    return ControlResult(
        name=control.name,
        wrong=control.wrong,
        claims=tuple(refuting),
        status="not run" if not ratios else "refuted" if hit else "not refuted",
        applicable=len(ratios),
        refuted_on=hit,
        tolerance_ratio=max(ratios, default=0.0),
    )


def _of_control(control: Control, theorem: Theorem, instance: Instance, evidence: Evidence) -> dict[str, float] | None:
    """Residual over tolerance of each claim that the control names, at one instance; None where it predicts nothing."""
    try:
        prediction = evidence.predicted_by(control.predict or theorem.predict)
    except NoClosedForm:
        return None  # a control that predicts nothing is not refuted by that
    found = {}
    for claim in theorem.claims:
        if (control.claims and claim.name not in control.claims) or not claim.applies(instance):
            # Each claim that the control names is held, in the version of the control, against the control's own prediction,
            # if it has one.
            continue
        version = control.version_of(claim)
        predicted = version.prediction(evidence.problem, prediction)
        # A wrong version that predicts no numbers of a path is not refuted by that.
        if isinstance(evidence, Trajectories) and not np.all(np.isfinite(predicted)):
            continue
        check = version.check(evidence, predicted)
        if check.decided:
            found[claim.name] = check.tolerance_ratio
    return found


def instance_result(theorem: Theorem, case: Case) -> InstanceResult:
    """The row of one instance in the verdict."""
    evidence = case.evidence
    points = evidence if isinstance(evidence, Points) else None
    reports = points.reports if points is not None else ()
    drift, dissipation, gap = np.nan, np.nan, np.nan
    if points is not None:
        # Gaps are told of those seeds alone that are certified without reservation.
        at = points.at_minimum
        value, rounding = points.ensemble.value[at], points.value_rounding[at]
        # The gap beyond the rounding of the value, relative to the value.
        beyond = np.maximum(points.bound.gap[at] - rounding, 0.0)
        gap = float(np.max(beyond / np.maximum(np.abs(value), np.finfo(np.float64).tiny), initial=0.0))
    elif isinstance(evidence, Trajectories):
        drift, dissipation = evidence.drift, evidence.dissipation
    unique = evidence.uniqueness if isinstance(evidence, EndStates) else None
    return InstanceResult(
        index=case.index,
        parameters=dict(case.instance.parameters),
        seeds=len(evidence.seeds),
        statuses=evidence.statuses,
        certified=int(np.sum(evidence.at_minimum)),
        supporting=int(supporting_seeds(theorem, case).size),
        unique=unique is not None and unique.unique,
        largest_gap=gap,
        smallest_curvature=min((r.smallest for r in reports), default=np.nan),
        index_off_gauge=max((r.index for r in reports), default=0),
        nullity_off_gauge=max((r.nullity for r in reports), default=0),
        gauge_dimension=max((r.gauge_dimension for r in reports), default=0),
        tolerance_ratio=max(
            (case.checks[c.name].tolerance_ratio for c in required_claims(theorem, case)), default=np.inf
        ),
        certificate_note=points.bound.reason if points is not None else None,
        drift=drift,
        dissipation=dissipation,
        thresholds=_located(theorem, case),
        reached=_reached(points.types) if points is not None else (),
    )


def _located(theorem: Theorem, case: Case) -> tuple[LocatedThreshold, ...]:
    """The thresholds that were sought at an instance."""
    evidence, rows = case.evidence, []
    for claim in theorem.claims:
        place = claim.location
        if place is not None and isinstance(evidence, EndStates) and place in evidence.brackets:
            bracket = evidence.brackets[place]
            told = float(claim.prediction(evidence.problem, case.prediction))
            rows.append(LocatedThreshold(claim.name, bracket.low, bracket.high, told, bracket.reason))
    return tuple(rows)


def _reached(types: Sequence[EndType]) -> tuple[ReachedValue, ...]:
    """The types with those of one value put together."""
    rows: list[ReachedValue] = []
    for one in types:
        row = ReachedValue(one.value, one.members.size, one.certified, one.smallest_curvature)
        # Types of one value differ in what the symmetry leaves alone; in the table they are one row.
        if rows and one.holds(rows[-1].value):
            last = rows.pop()
            least = float(np.fmin(last.smallest_curvature, row.smallest_curvature))
            row = ReachedValue(last.value, last.seeds + row.seeds, last.minimum and row.minimum, least)
        rows.append(row)
    return tuple(rows)


def all_controls(theorem: Theorem, cases: Sequence[Case], outside: Mapping[str, Gathered]) -> tuple[ControlResult, ...]:
    """Every control of a theorem, on its own instances or on those that were drawn outside the hypotheses."""
    gathered = [(case.instance, case.evidence) for case in cases]
    return tuple(
        control_result(control, theorem, outside.get(control.name, () if control.outside else gathered))
        for control in theorem.controls
    )


__all__ = [
    "Case",
    "all_controls",
    "claim_result",
    "control_result",
    "hold_claims",
    "instance_result",
    "judge_case",
    "refuting_violations",
    "required",
    "required_claims",
    "supporting_seeds",
]
