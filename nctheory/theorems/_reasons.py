"""Everything that speaks against a theorem, or leaves it undecided, in words; and the evidence in words."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nctheory.theorems._evidence import CriticalPoints, EndStates
from nctheory.theorems._judge import Case, refuting_violations, required_claims, supporting_seeds
from nctheory.theorems._narrow import narrow_reason
from nctheory.theorems._results import ClaimResult, ControlResult
from nctheory.theorems._theorem import Theorem
from nctheory.theorems._thresholds import MIN_SUPPORT, MIN_SUPPORT_OF_CENSUS
from nctheory.theorems.claims import LEVELS


@dataclasses.dataclass(frozen=True)
class Reasons:
    """What speaks against the outcome "holds", in words."""

    refuting: tuple[str, ...]
    doubtful: tuple[str, ...]


def needed_share(case: Case) -> float:
    """Share of an instance's seeds that must support the theorem."""
    return MIN_SUPPORT_OF_CENSUS if isinstance(case.evidence, CriticalPoints) else MIN_SUPPORT


def supports(theorem: Theorem, case: Case) -> bool:
    """Whether an instance supports the theorem: no claim fails there, and enough seeds support it."""
    # One violation that refutes is enough; what waits for a longer search does not count here.
    if any(np.any(refuting_violations(claim, case)) for claim in required_claims(theorem, case)):
        return False
    return supporting_seeds(theorem, case).size >= needed_share(case) * len(case.evidence.seeds)


def reasons(
    theorem: Theorem,
    cases: Sequence[Case],
    claims: Sequence[ClaimResult],
    controls: Sequence[ControlResult],
    *,
    partial: bool,
    quick: bool,
) -> Reasons:
    """Everything that speaks against the theorem, and everything that leaves it undecided.

    A partial run (one instance) is not asked to refute every control, to see every claim or to find every value of a list.
    """
    refuting = [
        f"claim {c.name!r} fails on {c.violations} of {c.checked} seeds"
        + (f" ({_first(c.recheck)})" if c.recheck else "")
        for c in claims
        if c.violations
    ]
    refuting += filter(None, [narrow_reason(theorem, {c.name for c in claims if c.violations})])
    doubtful = []
    if not partial:
        doubtful += [f"control {c.name!r} was {c.status}" for c in controls if not c.refuted]
        answered = {name for control in controls if control.refuted for name in control.claims}
        doubtful += [
            f"claim {c.name!r} is refuted by no control of the theorem's own" for c in claims if c.name not in answered
        ]
        doubtful += [_unseen(c) for c in claims if c.instances and not c.seen]
        doubtful += [f"claim {c.name!r} was decided on no instance" for c in claims if not c.instances]
        doubtful += [
            f"claim {c.name!r} observes exactly what is predicted, to the last bit of every seed: nothing is measured"
            for c in claims
            if c.instances and not c.measured
        ]
    for case in cases:
        doubtful += _of_case(theorem, case, whole=not (partial or quick))
    return Reasons(tuple(refuting), tuple(dict.fromkeys(doubtful)))


def _first(recheck: str) -> str:
    """What came of the first instance that was evaluated anew, and of how many others it is told elsewhere."""
    first, *others = recheck.split("; ")
    return first + (f"; and on {len(others)} more instance{'s' if len(others) > 1 else ''}" if others else "")


def _unseen(claim: ClaimResult) -> str:
    if claim.resolution > claim.asked_resolution:
        return (
            f"claim {claim.name!r} must see a relative error of {claim.asked_resolution:g}; this run sees "
            f"{claim.resolution:.2g} on its worst instance"
        )
    return f"claim {claim.name!r} does not refute {claim.moved} ({claim.moved_refuted} of {claim.instances} instances)"


def _of_case(theorem: Theorem, case: Case, whole: bool) -> list[str]:
    """What leaves one instance undecided; only a `whole` search is asked to find every value of a list without witnesses."""
    doubtful, evidence = [], case.evidence
    mine = required_claims(theorem, case)
    undecided = [claim.name for claim in mine if not case.checks[claim.name].decided]
    for claim in mine:
        if whole or getattr(claim, "witness", None) is not None:
            # Entries of a predicted list that no seed ended at leave the instance undecided.
            count = claim.missing(evidence, claim.prediction(evidence.problem, case.prediction))
            if count:
                doubtful.append(
                    f"instance {case.index}: {count} values on the list of claim {claim.name!r} do not occur"
                )
        check = case.checks[claim.name]
        waiting = int(np.sum(check.violated)) - int(np.sum(refuting_violations(claim, case)))
        if waiting:
            assert isinstance(evidence, EndStates)
            doubtful.append(
                f"instance {case.index}: claim {claim.name!r} fails at the best point of {len(evidence.seeds)} seeds, which "
                f"is no certified minimum; a search of at least {evidence.search_needed} seeds is asked for"
            )
    # Too few supporting seeds are told only where no claim fails, since a failure is told anyway.
    total, support = len(evidence.seeds), supporting_seeds(theorem, case).size
    if undecided:
        told = [claim for claim in mine if claim.name in undecided]
        endless = [c.name for c in told if not np.all(np.isfinite(c.prediction(evidence.problem, case.prediction)))]
        why = f": the prediction of {', '.join(endless)} is not finite" if endless else ""
        doubtful.append(f"instance {case.index}: claims {', '.join(undecided)} could not be decided{why}")
    elif support < needed_share(case) * total and not any(np.any(case.checks[c.name].violated) for c in mine):
        good = case.evidence.candidates(case.several_basins).size
        others = [f", {number} {name}" for name, number in evidence.statuses.items() if number and name != "converged"]
        doubtful.append(
            f"instance {case.index}: {support} of {total} seeds support it ({evidence.statuses['converged']} converged, "
            f"{good} of them where the theorem speaks{''.join(others)})"
        )
    return doubtful


def headline(claims: Sequence[ClaimResult]) -> str:
    """The evidence of each claim, the strongest first: how, on how many seeds of how many instances."""
    parts = []
    for level in reversed(LEVELS):
        # Claims of one level and of the same counts share a line.
        rows: dict[tuple[int, int, int, int], list[str]] = {}
        for claim in claims:
            if claim.evidence == level and claim.instances:
                counts = (claim.certified_seeds, claim.checked, claim.certified_instances, claim.instances)
                rows.setdefault(counts, []).append(claim.name)
        for (sure, checked, where, instances), names in rows.items():
            if level == "sampled" and sure:
                told = f"{checked} seeds of {instances} instances, certified on {where} of these"
            elif level == "sampled":
                told = f"{checked} seeds of {instances} instances"
            else:
                told = f"{sure} of {checked} seeds, {where} of {instances} instances"
            parts.append(f"{', '.join(names)} {level} ({told})")
    return "; ".join(parts) or "no claim was decided"


__all__ = ["Reasons", "headline", "needed_share", "reasons", "supports"]
