"""`compare_protocols`: the share of seeds at the global minimum against gradients spent, for several protocols."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import float64, is_finite, untraced, whole_number
from nctheory.flow import as_key, as_seeds
from nctheory.problems import Problem, size
from nctheory.protocols._landscape import landscape_of
from nctheory.protocols._named import find_protocol, usual_protocols, usual_restarts
from nctheory.protocols._program import check_protocol, run_protocol, steps_within
from nctheory.protocols._protocol import Protocol
from nctheory.protocols._reference import polished, reference, searched
from nctheory.protocols._result import ProtocolComparison
from nctheory.protocols._single import Restarts
from nctheory.theorems import Instance

FIRST_CHECKPOINT = 64
"""The first checkpoint is the budget over this, or the first step of the dearest protocol (conventional)."""


@untraced()
@float64
def compare_protocols(
    problem: Problem | Instance,
    protocols: Sequence[Protocol | str] | None = None,
    budget: int = 2000,
    seeds: int | Sequence[int] | np.ndarray = 64,
    key: int | PRNGKeyArray = 0,
    *,
    checkpoints: int = 5,
    scale: float | None = None,
    search: int = 64,
    polish_budget: int = 20_000,
    chunk: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ProtocolComparison:
    """Give each seed of each protocol the same number of gradients, and count the seeds at the global minimum.

    The `budget` is that of a seed, all its walkers together. At `checkpoints` numbers of gradients, evenly spaced in their
    logarithm up to the budget, the seed's answer (the one point of lowest value among what its protocol proposes) is polished
    by `nctheory.solve_from`, and counts where the polish converged at the global minimum. The polish is the same for all
    protocols, one of one point a seed and checkpoint, with at most `polish_budget` gradients; it goes on with nothing, and its
    cost is told beside (`ProtocolComparison.polish`). A schedule, as of a temperature, runs over the whole budget, so that a
    checkpoint before the end shows it half way.

    The global minimum is the lowest value of any polished end, those of `search` random starts among them. It is "certified"
    where the lower bound of `nctheory.certify` meets it, or meets the value of the minimiser that a theorem has for the
    problem; and else "best known".

    Args:
        problem: the landscape; an `Instance` of a theorem brings the scale of its starts.
        protocols: protocols or their names (`nctheory.protocols.PROTOCOLS`), by default all; restarts, of 1, 4, 16
            and 64 descents, are added where none are given.
        budget: gradients of a seed.
        seeds: number of seeds, or their numbers; seed i begins at the same points in every protocol.
        key: random key.
        checkpoints: how many, the budget itself included.
        scale: scale of the starts (default: the instance's, else 1).
        search: random starts that are solved beforehand, for the minimum and for the unit of steps.
        polish_budget: gradients of one polish at the most.
        chunk: seeds that run at a time.
        progress: is called with a line before each part.

    Raises:
        ValueError: an argument out of range, an unknown or wrong protocol, two of one name, or a problem of which no descent
            converges.

    >>> import nctheory as nct
    >>> model = nct.deep_linear(widths=(2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1))
    >>> told = nct.compare_protocols(model, ["annealing"], budget=60, seeds=8, checkpoints=2, search=4)
    >>> told.reference.evidence, told.protocols[4], told.share[:, -1].tolist(), told.winner
    ('certified', 'annealing', [1.0, 1.0, 1.0, 1.0, 1.0], 'none told apart')
    """
    if isinstance(problem, Instance):
        scale = problem.scale if scale is None else scale
        problem = problem.problem
    if not isinstance(problem, Problem):
        raise ValueError(f"problem: expected a Problem or an Instance of a theorem, got {type(problem).__name__}")
    spend = whole_number("budget", budget)
    number = whole_number("checkpoints", checkpoints)
    starts, most = whole_number("search", search), whole_number("polish_budget", polish_budget)
    numbers, root = as_seeds(seeds), as_key(key)
    chosen = _chosen(protocols, spend)
    if scale is not None and not (is_finite(scale) and scale > 0):
        raise ValueError(f"scale: expected a positive number, got {scale!r}")
    extent = 1.0 if scale is None else float(scale)

    say = progress or (lambda line: None)
    # The minimum and the unit of steps come from a search of its own, which no protocol is charged for.
    say(f"search: {starts} starts")
    before = searched(problem, starts, root, extent, most)
    landscape = landscape_of(problem, extent, root, minima=before.points[before.converged])
    for one in chosen:
        check_protocol(landscape, one, spend)
    at = checkpoints_of(spend, max(one.opening + one.cost for one in chosen), number)
    shape = (len(at), len(numbers))
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("value", "converged", "steps", "rounding", "answered", "spent")
    }
    ended = [before]
    # Each protocol spends the budget; its answers at every checkpoint are polished, as many of each protocol.
    for one in chosen:
        say(f"{one.name}: {spend} gradients of {len(numbers)} seeds")
        run = run_protocol(landscape, one, at, numbers, root, chunk=chunk)
        ends = polished(problem, run.points.reshape(-1, size(problem)), most)
        for name in ("value", "converged", "steps", "rounding"):
            parts[name].append(getattr(ends, name).reshape(shape))
        parts["answered"].append(run.values)
        parts["spent"].append(run.spent)
        ended.append(ends)
    # The minimum is the lowest converged end of all, and what reached it is told by the rounding of values.
    sure = [one.converged for one in ended]
    values = np.concatenate([one.value[mask] for one, mask in zip(ended, sure, strict=True)])
    points = np.concatenate([one.points[mask] for one, mask in zip(ended, sure, strict=True)])
    least = reference(problem, values, points)
    value, converged, steps, rounding, answered, spent = (np.stack(part) for part in parts.values())
    return ProtocolComparison(
        protocols=tuple(one.name for one in chosen),
        restarts=sum(isinstance(one, Restarts) for one in chosen),
        gradients=at,
        found=converged & least.reached(value, rounding),
        value=value,
        converged=converged,
        answered=answered,
        spent=spent,
        polish=steps.mean(axis=2),
        reference=least,
        scale=extent,
        key=key if isinstance(key, int) else str(key),
    )


def checkpoints_of(budget: int, first: int, number: int) -> np.ndarray:
    """So many numbers of gradients, evenly spaced in their logarithm, from the first step that all can pay to the budget.

    >>> checkpoints_of(6400, 10, 3).tolist(), checkpoints_of(100, 10, 1).tolist()
    ([100, 800, 6400], [100])
    """
    begin = min(max(budget // FIRST_CHECKPOINT, first), budget)
    return np.unique(np.round(np.geomspace(begin, budget, number)).astype(int)) if number > 1 else np.array([budget])


def _chosen(protocols: Sequence[Protocol | str] | None, budget: int) -> tuple[Protocol, ...]:
    """The protocols that are asked for, restarts first; ValueError for a budget that does not pay one step of each."""
    if isinstance(protocols, str | Protocol):
        raise ValueError(f"protocols: expected a list of protocols or names, got {protocols!r}")
    given = usual_protocols() if protocols is None else tuple(protocols)
    made = [find_protocol(one) if isinstance(one, str) else one for one in given]
    for one in made:
        if not isinstance(one, Protocol):
            raise ValueError(f"protocols: expected instances of nctheory.protocols.Protocol or names, got {one!r}")
    rivals = [one for one in made if isinstance(one, Restarts)] or list(usual_restarts())
    chosen = (*rivals, *(one for one in made if not isinstance(one, Restarts)))
    names = [one.name for one in chosen]
    if len(set(names)) != len(names):
        raise ValueError(f"protocols: expected names that differ, got {', '.join(names)}")
    for one in chosen:
        if steps_within(one, budget) < 1:
            least = one.opening + one.cost
            raise ValueError(f"budget: expected at least {least} gradients, one step of {one.name}, got {budget}")
    return chosen
