"""Evidence gathered once, and the outcome of a mutated theorem on it."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.theorems import (
    Case,
    Run,
    Theorem,
    VerifyOptions,
    claim_result,
    compose_verdict,
    covering_instances,
    gather_cases,
    judge_case,
    quick_seeds,
)


class Kept(NamedTuple):
    """A theorem with all that was gathered on the instances of a quick run."""

    theorem: Theorem
    cases: list[Case]
    outside: dict[str, Any]
    run: Run
    key: int


class Outcome(NamedTuple):
    """What the judge said of a mutant."""

    outcome: str
    why: str


def keep(theorem: Theorem, key: int = 0, seeds: int | None = None) -> Kept:
    """Gather the evidence of a quick run of a theorem."""
    root = jax.random.key(key)
    run = Run(root, np.arange(seeds or quick_seeds(theorem)), VerifyOptions(fidelity_seeds=0))
    drawn = theorem.draw_some(jax.random.fold_in(root, 0), partial(covering_instances, theorem))
    cases, outside = gather_cases(theorem, drawn, run, beyond=True)
    return Kept(theorem, cases, outside, run, key)


Change = Callable[[Any], Any]


def judged(kept: Kept, theorem: Theorem, change: Change = lambda evidence: evidence) -> Outcome:
    """The outcome of a theorem on kept evidence; claims first, because most mutants fail there."""
    cases = [
        judge_case(theorem, case.index, case.instance, change(case.evidence), case.fidelity) for case in kept.cases
    ]
    for claim in theorem.claims:
        result = claim_result(claim, cases)
        if result.violations:
            return Outcome("refuted", f"claim {claim.name!r} fails on {result.violations} seeds")
        if not (result.seen and result.measured):
            return Outcome("inconclusive", f"claim {claim.name!r} does not see what it must")
    outside = {
        name: [(instance, change(evidence)) for instance, evidence in grounds] for name, grounds in kept.outside.items()
    }
    verdict = compose_verdict(theorem, cases, outside, kept.run, 0, 0.0, partial=False, quick=True, file=None)
    return Outcome(verdict.outcome, "; ".join(verdict.reasons[:2]))


def predictions(kept: Kept, theorem: Theorem) -> list[np.ndarray]:
    """What every claim of a theorem predicts on every kept instance."""
    found = []
    for case in kept.cases:
        prediction = case.evidence.predicted_by(theorem.predict)
        found += [c.prediction(case.evidence.problem, prediction) for c in theorem.claims if c.applies(case.instance)]
    return found


def same(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    """Whether two lists of predictions are equal to the last bit."""
    return all(a.shape == b.shape and np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def fresh(theorem: Theorem, predict: Callable[..., Any]) -> Theorem:
    """The theorem with another formula, under a name of its own, so that no compiled program of the original serves it."""
    return dataclasses.replace(theorem, predict=lambda *arguments: predict(*arguments))


__all__ = ["Kept", "Outcome", "fresh", "judged", "keep", "predictions", "same"]
