"""A survey on an accelerator: the records stay there, are certified there, and only numbers and the worst points come back."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._types import Array
from nctheory.certificates import certify
from nctheory.flow import Ensemble, Options, Plan, gather_ensemble, rows, status_of, told_apart
from nctheory.problems import Params, Problem, singleton, unravel

DEVICE_BLOCK = 65_536
"""Seeds whose parameters an accelerator holds at a time, by default; fewer where memory asks for it (measured)."""
COLUMNS = ("value", "grad_norm", "phase", "steps")


class Seen(NamedTuple):
    """What a block leaves behind: numbers of every seed, and the seeds to look at first."""

    columns: tuple[np.ndarray, ...]
    """Value, gradient norm, gap, its rounding, status, steps."""
    worst: Ensemble
    gap: np.ndarray
    """Of the worst."""
    reason: str | None


def worst_first(value: np.ndarray, gap: np.ndarray, converged: np.ndarray, keep: int) -> np.ndarray:
    """The first `keep` seeds to look at: those that did not converge, then those of the largest gap."""
    return np.lexsort((-gap / np.maximum(np.abs(value), np.finfo(float).tiny), converged))[:keep]


def on_accelerator(
    problem: Problem, numbers: np.ndarray, root: PRNGKeyArray, keep: int, options: Options, platform: str | None = None
) -> Iterator[Seen]:
    """The survey's blocks, each solved by one program and certified by another on what lies on the device already."""
    family = singleton(problem)
    plan = Plan(family, np.zeros((len(numbers), 0)), numbers, root, options, platform)
    for begin in plan.begins:
        count = plan.count(begin)
        records = plan.on_devices(begin)
        told = told_apart(family, records._replace(phase=np.asarray(records.phase)))
        # Asked of all of the chunk, filled up as it is: one length, one program.
        bound = certify(problem, _params(problem, records.point))
        value, grad_norm, phase, steps = (np.asarray(getattr(told, name))[:count] for name in COLUMNS)
        gap, rounding, status = bound.gap[:count], bound.gap_rounding[:count], status_of(phase)
        first = worst_first(value, gap, status == 0, keep)
        some = rows(records, first)._replace(phase=phase[first])
        worst = gather_ensemble(problem, numbers[begin : begin + count][first], some)
        plan.report(count)
        yield Seen((value, grad_norm, gap, rounding, status, steps), worst, gap[first], bound.reason)


@jax.jit
def _params(problem: Problem, points: Array) -> Params:
    return unravel(problem, points)
