"""A survey on an accelerator: the records stay there, are certified there, and only numbers and the worst points come back."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.certificates import certify
from nctheory.engine import Array
from nctheory.flow import ChunkPlan, Ensemble, Options, Status, diagnose, gather_ensemble, status_of, take_records
from nctheory.problems import Params, Problem, as_family, unravel

DEVICE_BLOCK = 65_536
"""Seeds whose parameters an accelerator holds at a time, by default; fewer where memory asks for it (conventional)."""
COLUMNS = ("value", "grad_norm", "stage", "steps")


class Seen(NamedTuple):
    """What a block leaves behind: numbers of every seed, and the seeds to look at first."""

    columns: tuple[np.ndarray, ...]
    """Value, gradient norm, gap, its rounding, status, steps."""
    worst: Ensemble
    gap: np.ndarray
    """The duality gaps of the worst seeds."""
    reason: str | None


def worst_first(value: np.ndarray, gap: np.ndarray, converged: np.ndarray, keep: int) -> np.ndarray:
    """The first `keep` seeds to look at: those that did not converge, then those of the largest gap."""
    # The second key of `lexsort` is the first in importance: False, not converged, comes before True.
    return np.lexsort((-gap / np.maximum(np.abs(value), np.finfo(float).tiny), converged))[:keep]


def on_accelerator(
    problem: Problem,
    numbers: np.ndarray,
    root: PRNGKeyArray,
    keep: int,
    options: Options,
    *,
    block: int | None = None,
    platform: str | None = None,
) -> Iterator[Seen]:
    """The survey's blocks, each solved by one program and certified by another on what lies on the device already.

    They are of one length, the last being filled up, so that each program is compiled once.
    """
    # All seeds are of one problem, so that they share one context.
    family, contexts = as_family([problem])
    contexts = np.repeat(contexts, len(numbers), axis=0)
    plan = ChunkPlan(family, contexts, numbers, root, options, platform, DEVICE_BLOCK if block is None else block)
    for begin in plan.begins:
        count = plan.count(begin)
        records = plan.on_devices(begin)
        # Ends that the solver leaves open are told apart by `diagnose`; the bound needs the points alone.
        told = diagnose(family, records._replace(stage=np.asarray(records.stage)))
        bound = certify(problem, _points(problem, records.point, count))
        value, grad_norm, stage, steps = (np.asarray(getattr(told, name))[:count] for name in COLUMNS)
        gap, rounding, status = bound.gap[:count], bound.gap_rounding[:count], status_of(stage)
        first = worst_first(value, gap, status == Status.CONVERGED, keep)
        some = take_records(records, first)._replace(stage=stage[first])
        worst = gather_ensemble(problem, numbers[begin : begin + count][first], some)
        plan.report(count)
        yield Seen((value, grad_norm, gap, rounding, status, steps), worst, gap[first], bound.reason)


@jax.jit
def _points(problem: Problem, points: Array, count: Array | int) -> Params:
    """The first points, filled up with the last of them: what was not solved is not certified either."""
    return unravel(problem, points[jnp.minimum(jnp.arange(points.shape[0]), count - 1)])
