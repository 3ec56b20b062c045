"""What a verdict says, in sentences: for terminals and the page alike."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nctheory.report._cells import located, number, parameters, share
from nctheory.theorems import DEFAULT_RESOLUTION, ClaimResult, Verdict, WorstCase


class Sentence(NamedTuple):
    """What is told, and of what."""

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def sentences(verdict: Verdict) -> list[Sentence]:
    """Evidence, both statistics, thresholds, and how all was found; none of a run in which the engine failed."""
    if not verdict.instances:
        return [Sentence("how", how(verdict))]
    told = [Sentence("evidence", verdict.headline), *statistics(verdict)]
    told += [Sentence("threshold", one) for one in thresholds(verdict)]
    told += notes(verdict.claims)
    if not verdict.controls:
        told.append(Sentence("controls", "not run, because this is a run of one instance"))
    return [*told, Sentence("how", how(verdict))]


def statistics(verdict: Verdict) -> tuple[Sentence, Sentence]:
    """The two statistics: instances are the trials of the formula, seeds of one instance those of its basins."""
    count, good = len(verdict.instances), verdict.instances_supporting
    if verdict.formula_bound < 1.0:
        formula = (
            f"fails on at most {share(verdict.formula_bound)} of instances drawn like these ({good} of {count} support it, "
            "95 %)"
        )
    else:
        formula = f"nothing is known of how often it fails ({good} of {count} instances support it)"
    if verdict.basin_bound < 1.0:
        basins = (
            f"at most {share(verdict.basin_bound)} of starts of an instance do not support it (worst instance, 95 %)"
        )
    else:
        basins = "on some instance no start supports it"
    return Sentence("formula", formula), Sentence("basins", basins)


def thresholds(verdict: Verdict) -> list[str]:
    """The located and the predicted thresholds, instance by instance, in words."""
    return [
        f"{located(one)}, predicted {one.predicted:.8g}, at instance {row.index} ({parameters(row.parameters.items())})"
        + (f"; {one.reason}" if one.reason else "")
        for row in verdict.instances
        for one in row.thresholds
    ]


def notes(claims: Sequence[ClaimResult]) -> list[Sentence]:
    """Why the evidence of claims is no stronger, why resolutions are coarser, what was evaluated anew."""
    told = _grouped("sampled only", claims, lambda c: c.why if c.evidence == "sampled" and c.instances else None)
    told += _grouped(
        "coarser resolution", claims, lambda c: c.because if c.asked_resolution > DEFAULT_RESOLUTION else None
    )
    return told + _grouped("evaluated anew", claims, lambda c: c.recheck)


def _grouped(about: str, claims: Sequence[ClaimResult], reason: Callable[[ClaimResult], str | None]) -> list[Sentence]:
    """One sentence for each reason, with the claims that share it."""
    groups: dict[str, list[str]] = {}
    for claim in claims:
        why = reason(claim)
        if why:
            groups.setdefault(why, []).append(claim.name)
    return [Sentence(about, f"{', '.join(names)}: {why}") for why, names in groups.items()]


def how(verdict: Verdict) -> str:
    """What was done, to which precision, for how long and on what."""
    parts = [
        verdict.facts,
        f"in {verdict.precision}" if verdict.precision == "float64" else f"flow in {verdict.precision}",
    ]
    if verdict.integrator_note:
        parts.append(verdict.integrator_note.removeprefix("paths: "))
    if verdict.fidelity_compared:
        parts.append(
            f"{verdict.fidelity_same} of {verdict.fidelity_compared} seeds end where a flow of a thousandth of the error ends"
        )
    on = verdict.environment
    parts.append(f"{verdict.seconds:.1f} s; jax {on.get('jax', '?')} on {on.get('device', '?')}")
    return "; ".join(parts)


def worst_case(worst: WorstCase) -> tuple[str, str, str]:
    """What the worst seed of any claim is called, its numbers, and the parameters of its instance."""
    seen = (
        f"claim {worst.claim} at instance {worst.instance}, seed {worst.seed}: residual {number(worst.residual)} "
        f"against tolerance {number(worst.tolerance)} (ratio {number(worst.tolerance_ratio)})"
    )
    word = "counterexample" if worst.tolerance_ratio > 1 else "worst case"
    return word, seen, parameters(worst.parameters.items())
