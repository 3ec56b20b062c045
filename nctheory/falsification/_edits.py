"""Edits of an instance: a class, samples or units less, rounder or other decays; what is shown of it follows."""

import dataclasses
from typing import Any

import numpy as np

from nctheory.problems import DeepLinear, DeepNonlinear, Problem
from nctheory.theorems import Instance, Theorem

Edit = tuple[str | int | float, ...]
"""The name of an edit and its numbers: ("classes", K), ("samples", n), ("width", d), ("digits", m), ("decays", seed, size),
("scale", logarithm of the factor)."""


def edited(theorem: Theorem, instance: Instance, edits: tuple[Edit, ...]) -> Instance | None:
    """The instance after some edits; None where one has nothing to change, leads out of the theorem's hypotheses, or
    where there are none.

    What is shown of an instance is changed with it where it can be recognised (K, n, N, L, d, tuples of counts or widths,
    and decays), and left out where it is computed from something else.
    """
    for edit in edits:
        problem = _problem(instance.problem, edit)
        if problem is None:
            return None
        instance = dataclasses.replace(
            instance, problem=problem, parameters=_parameters(instance.parameters, instance.problem, problem)
        )
    if not edits:
        return instance
    # Of a theorem without a hypothesis its sampler alone tells what it is about.
    if not theorem.hypotheses:
        return None
    # A hypothesis, or a claim's own condition, that needs what can no longer be shown takes the instance away.
    try:
        inside = all(hypothesis.holds(instance) for hypothesis in theorem.hypotheses)
        for claim in theorem.claims:
            claim.applies(instance)
    except Exception:
        return None
    return instance if inside else None


def _problem(problem: Problem, edit: Edit) -> Problem | None:
    kind = edit[0]
    if kind in ("digits", "decays", "scale"):
        return _with_decays(problem, edit)
    # Of subclasses it is not known what else depends on the shapes.
    if type(problem) not in (DeepLinear, DeepNonlinear):
        return None
    assert isinstance(problem, DeepLinear | DeepNonlinear)
    if problem.counts is None or problem.inputs is not None:
        return None
    number = int(edit[1])
    if kind == "width":
        widths = (*(min(width, number) for width in problem.widths[:-1]), problem.widths[-1])
        return None if widths == problem.widths or number < 1 else dataclasses.replace(problem, widths=widths)
    targets = np.asarray(problem.targets)
    if not np.all((targets == 0) | (targets == 1)) or len(problem.counts) != len(targets):
        return None
    labels = np.argmax(targets, axis=0)
    if kind == "classes":
        if not 2 <= number < len(problem.counts):
            return None
        return _columns(problem, labels < number, problem.counts[:number])
    # A class keeps its first samples; one column a class stands for as many samples as are left.
    if number >= max(problem.counts) or number < 1:
        return None
    counts = tuple(min(count, number) for count in problem.counts)
    if getattr(problem, "reduced_form", False):
        assert isinstance(problem, DeepLinear)
        kept = np.asarray(counts, float)
        return dataclasses.replace(problem, counts=counts, multiplicity=kept, column_weight=kept / kept.sum())
    place = np.array([np.sum(labels[:j] == label) for j, label in enumerate(labels)])
    return _columns(problem, place < number, counts)


def _columns(problem: DeepLinear | DeepNonlinear, keep: np.ndarray, counts: tuple[int, ...]) -> Problem:
    """The problem on some columns and the first classes."""
    classes = len(counts)
    change: dict[str, Any] = {
        "targets": np.asarray(problem.targets)[:classes, keep],
        "counts": counts,
        "widths": (*problem.widths[:-1], classes),
    }
    if isinstance(problem, DeepLinear):
        weight = np.asarray(problem.column_weight)[keep]
        change |= {"column_weight": weight / weight.sum(), "multiplicity": np.asarray(problem.multiplicity)[keep]}
    return dataclasses.replace(problem, **change)


def _with_decays(problem: Problem, edit: Edit) -> Problem | None:
    """Decays rounded to some digits, or multiplied by one number, or by random ones (by one where they are equal)."""
    decay = getattr(problem, "weight_decay", None)
    if decay is None or not dataclasses.is_dataclass(problem):
        return None
    before = np.asarray(decay, float)
    if edit[0] == "digits":
        after = np.vectorize(lambda x: float(f"{x:.{int(edit[1]) - 1}e}"))(before)
    elif edit[0] == "scale":
        after = before * np.exp(float(edit[1]))
    else:
        rng = np.random.default_rng(int(edit[1]))
        equal = before.size > 0 and np.ptp(before) <= 1e-12 * np.max(np.abs(before))
        after = before * np.exp(float(edit[2]) * rng.normal(size=() if equal else before.shape))
    return None if np.array_equal(before, after) else dataclasses.replace(problem, weight_decay=after)


def facts(problem: Problem) -> dict[str, int]:
    """What names of shown parameters usually mean, of a chain."""
    found: dict[str, int] = {}
    counts, widths = getattr(problem, "counts", None), getattr(problem, "widths", None)
    if widths:
        found |= {"K": widths[-1], "L": len(widths) - 1}
        found |= {"d": max(widths[:-1])} if len(widths) > 1 else {}  # a problem of one's own may have one width
    if counts:
        found |= {"K": len(counts), "N": sum(counts), "n": max(counts)}
    return found


def _parameters(shown: Any, before: Problem, after: Problem) -> dict[str, Any]:
    """What is shown of an instance, after an edit."""
    was, now = facts(before), facts(after)
    numbers = [np.ravel(np.asarray(getattr(one, "weight_decay", ()), float)) for one in (before, after)]
    shapes = [[getattr(one, name, None) for name in ("counts", "widths")] for one in (before, after)]
    found: dict[str, Any] = {}
    for name, value in shown.items():
        if isinstance(value, str):
            found[name] = value
        elif np.ndim(value) > 0:
            # A tuple is compared as one; an array would be compared number by number.
            if tuple(np.ravel(value)) in shapes[0]:
                found[name] = shapes[1][shapes[0].index(tuple(np.ravel(value)))]
        elif name in was and value == was[name]:
            found[name] = now[name]
        elif value in numbers[0].tolist():
            found[name] = float(numbers[1][numbers[0].tolist().index(value)])
    # Where none of the decays was shown as it is, those that an edit has changed are shown by their numbers.
    if not np.array_equal(numbers[0], numbers[1]) and not any(isinstance(value, float) for value in found.values()):
        found |= {f"decay_{number}": float(one) for number, one in enumerate(numbers[1])}
    return found


__all__ = ["Edit", "edited", "facts"]
