"""Mutants that every theorem has: numbers, observations, lists, thresholds and tolerances."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.mutants._kept import Kept, Outcome, fresh, judged, predictions, same
from nctheory.theorems import Claim, MemberOf, Theorem, Threshold, Trajectories

NUMBER, MOVED, LOOSE = 1e-6, 1e-3, 1e4
"""Relative changes of a predicted number and of a threshold; the factor on tolerances."""

NUMBERS = (jax.Array, np.ndarray, float, np.floating)


class Mutant(NamedTuple):
    """One mutant: what it is, and how it is judged."""

    theorem: str
    family: str
    what: str
    judge: Callable[[], Outcome]
    equivalent: str | None = None
    """Why it is no different from the original; None where it is."""
    wrong: Callable[[], AbstractContextManager[Theorem]] | None = None
    """The wrong theorem, within a context in which it is wrong; None where the theorem is right and the judge is wrong."""


def of_theorem(kept: Kept) -> Iterator[Mutant]:
    """All generic mutants of a theorem."""
    yield from _numbers(kept)
    for claim in kept.theorem.claims:
        yield from _of_claim(kept, claim)
    yield _tolerances(kept)


def _numbers(kept: Kept) -> Iterator[Mutant]:
    """Every number of the prediction larger by a relative 1e-6, one leaf at a time.

    A number that is read only by claims which say that they see less is moved until what they are told moves by twice what
    they must see.
    """
    theorem, case = kept.theorem, kept.cases[0]
    prediction = case.evidence.predicted_by(theorem.predict)
    paths = jax.tree_util.tree_flatten_with_path(prediction)[0]
    original = predictions(kept, theorem)
    for number, (path, leaf) in enumerate(paths):
        if not isinstance(leaf, NUMBERS):
            continue
        name = jax.tree_util.keystr(path).strip(".[]'") or "prediction"
        changed, by = fresh(theorem, _with_leaf(theorem.predict, number, NUMBER)), NUMBER
        moved = predictions(kept, changed)
        alike = same(moved, original)
        claims = [c for one in kept.cases for c in theorem.claims if c.applies(one.instance)]
        reading = [(c, a, b) for c, a, b in zip(claims, moved, original, strict=True) if not same([a], [b])]
        if reading and all(c.resolution > NUMBER for c, _, _ in reading):
            by = min(2.0 * c.resolution * NUMBER / _relative(a, b) for c, a, b in reading)
            changed = fresh(theorem, _with_leaf(theorem.predict, number, by))
        yield Mutant(
            theorem.id, "number", f"{name} times 1 + {by:.3g}", lambda changed=changed: judged(kept, changed),
            "no claim reads it, or it is zero" if alike else None, lambda changed=changed: nullcontext(changed),
        )  # fmt: skip


def _relative(moved: np.ndarray, original: np.ndarray) -> float:
    """How much a prediction moved, relative to its size."""
    finite = np.isfinite(moved) & np.isfinite(original)
    size = float(np.linalg.norm(original[finite]))
    return float(np.linalg.norm((moved - original)[finite])) / size if size > 0 else np.inf


def _with_leaf(predict: Callable[..., Any], number: int, by: float) -> Callable[..., Any]:
    def mutated(*arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(predict(*arguments))
        if number < len(leaves) and isinstance(leaves[number], NUMBERS):  # another branch may predict other things
            leaves[number] = leaves[number] * (1.0 + by)
        return jax.tree.unflatten(structure, leaves)

    return mutated


def _of_claim(kept: Kept, claim: Claim) -> Iterator[Mutant]:
    """An observation of nothing, a list with an invented entry, a threshold moved."""
    theorem = kept.theorem
    if isinstance(claim, Threshold):
        for sign in (1.0, -1.0):
            moved = _claim_with(claim, lambda value, sign=sign: value * (1.0 + sign * MOVED))
            changed = _replaced(theorem, claim, moved)
            yield Mutant(
                theorem.id, "threshold", f"{claim.name} times {1 + sign * MOVED:g}",
                lambda changed=changed: judged(kept, changed), None, lambda changed=changed: nullcontext(changed),
            )  # fmt: skip
        return
    if isinstance(claim, MemberOf):
        padded = _claim_with(claim, lambda value: np.append(np.atleast_1d(value), 1.37 * np.nanmax(value)))
        changed = _replaced(theorem, claim, padded)
        yield Mutant(
            theorem.id, "list padded", f"{claim.name} with an invented entry",
            lambda: judged(kept, changed, lambda evidence: _renamed(evidence, claim, padded)),
            None if claim.complete else f"its list need not be complete: {claim.because}", lambda: nullcontext(changed),
        )  # fmt: skip
    if claim.kind == "global value":
        return  # the objective is the engine's
    nothing: Any = dataclasses.replace(claim, observe=_nothing(claim))  # pyright: ignore[reportCallIssue]
    changed_too = _replaced(theorem, claim, nothing)
    yield Mutant(
        theorem.id, "observation", f"{claim.name} observes 0",
        lambda: judged(kept, changed_too, lambda evidence: _emptied(evidence, claim, nothing)),
        None, lambda: nullcontext(changed_too),
    )  # fmt: skip


def _claim_with(claim: Any, change: Callable[[Any], Any]) -> Any:
    predicted = claim.predicted
    return dataclasses.replace(claim, predicted=lambda found: change(np.asarray(predicted(found), float)))


def _nothing(claim: Any) -> Callable[..., Any]:
    observe = claim.observe
    return lambda *arguments: 0.0 * jnp.asarray(observe(*arguments))


def _replaced(theorem: Theorem, claim: Claim, other: Claim) -> Theorem:
    return dataclasses.replace(theorem, claims=tuple(other if one is claim else one for one in theorem.claims))


_BY_CLAIM = ("observed", "terms", "sizes", "sensitivity", "errors")


def _renamed(evidence: Any, claim: Claim, other: Claim) -> Any:
    """The evidence with what is known of a claim known of another too."""
    tables = {}
    for name in _BY_CLAIM:
        table = getattr(evidence, name, None)
        if table is not None and claim in table:
            tables[name] = {**table, other: table[claim]}
    return dataclasses.replace(evidence, **tables)


def _emptied(evidence: Any, claim: Claim, other: Claim) -> Any:
    """The evidence as it would have been had the claim observed 0 everywhere."""
    same_tables = _renamed(evidence, claim, other)
    tables = {"observed": {**same_tables.observed, other: 0.0 * same_tables.observed[other]}}
    for name in ("sensitivity", "errors"):
        table = getattr(same_tables, name, None)
        if table is not None and other in table:
            tables[name] = {**table, other: np.where(np.isfinite(table[other]), 0.0, table[other])}
    return dataclasses.replace(same_tables, **tables)


def _tolerances(kept: Kept) -> Mutant:
    """All derived tolerances times 1e4."""

    def loosened(evidence: Any) -> Any:
        if isinstance(evidence, Trajectories):
            return dataclasses.replace(evidence, errors={c: LOOSE * x for c, x in evidence.errors.items()})
        return dataclasses.replace(
            evidence,
            sensitivity={c: LOOSE * x for c, x in evidence.sensitivity.items()},
            value_rounding=LOOSE * evidence.value_rounding,
        )

    outcome = judged(kept, kept.theorem, loosened)
    still = outcome.outcome == "holds"
    return Mutant(
        kept.theorem.id, "tolerances", f"derived tolerances times {LOOSE:g}", lambda: outcome,
        "every claim still sees the error that it says it must" if still else None,
    )  # fmt: skip


__all__ = ["Mutant", "of_theorem"]
