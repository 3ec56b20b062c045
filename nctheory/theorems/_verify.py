"""`verify`: one theorem, all its instances, to a verdict."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from threadpoolctl import threadpool_limits

from nctheory.engine import float64, release_programs, untraced
from nctheory.flow import as_key, as_seeds, check_devices
from nctheory.problems import shape_of, size
from nctheory.theorems._compose import compose_verdict, failed_verdict
from nctheory.theorems._engine_error import EngineError
from nctheory.theorems._evidence import EndStates, Evidence
from nctheory.theorems._fidelity import flow_fidelity
from nctheory.theorems._instance import Instance
from nctheory.theorems._judge import Case, Gathered, judge_case
from nctheory.theorems._registry import find_theorem
from nctheory.theorems._run import Run, VerifyOptions, cores, instance_key
from nctheory.theorems._theorem import Control, Theorem
from nctheory.theorems._verdict import Verdict

QUICK_DIVISOR = 8
"""A quick run takes the seeds of a theorem divided by this (conventional)."""
Numbered = tuple[int, Instance]


@untraced()
@float64
def verify(
    theorem: str | Theorem,
    seeds: int | list[int] | None = None,
    key: int | PRNGKeyArray = 0,
    *,
    instance: int | None = None,
    quick: bool = False,
    options: VerifyOptions = VerifyOptions(),
    devices: Sequence[Any] | None = None,
    progress: Callable[[int], None] | None = None,
    file: str | None = None,
) -> Verdict:
    """Check a theorem on all its instances, from `seeds` random starts each (by default as many as the theorem asks for).

    Each seed is solved, certified without the theorem's formula, and held against each claim with a derived tolerance;
    each control must be refuted by the same check, and each claim must refute some control and its own wrong version. The
    outcome is "refuted" when a claim fails on a seed (in extended precision too), "inconclusive" when a control survives, a
    claim cannot see what it must or too few seeds support an instance, "engine error" when the engine contradicts itself, else
    "holds". `quick` takes an eighth of the seeds on instances of as few shapes as between them every control applies to.
    `instance` picks one instance, `seeds` may list seed numbers: that is how a worst case is reproduced. `progress` is called
    with numbers of finished seeds; `file` is the theorem file to be named in the reproducing command.

    Raises ValueError for an unknown theorem, seeds below 1, an instance out of range, or a theorem whose own instances are
    outside its hypotheses.

    >>> import nctheory as nct
    >>> verdict = nct.verify("ufm-mse-nobias", seeds=2, instance=0)
    >>> verdict.outcome, verdict.evidence
    ('holds', 'certified')
    """
    began = time.perf_counter()
    chosen = theorem if isinstance(theorem, Theorem) else find_theorem(theorem)
    if seeds is None:
        seeds = quick_seeds(chosen) if quick else chosen.seeds
    root = as_key(key)
    check_devices(devices)
    run = Run(root, as_seeds(seeds), options, None if devices is None else tuple(devices), progress)

    number = 0

    def pick(drawn: list[Numbered]) -> list[Numbered]:
        nonlocal number
        number = len(drawn)
        if instance is None:
            return covering_instances(chosen, drawn) if quick else drawn
        return [pair for pair in drawn if pair[0] == instance]

    # The instances are drawn by a key of their own; only those that are picked are held against the hypotheses.
    drawn = chosen.draw_some(jax.random.fold_in(root, 0), pick)
    if not drawn:
        raise ValueError(f"instance: expected 0 to {number - 1} for {chosen.id}, got {instance}")
    partial = instance is not None
    try:
        cases, outside = gather_cases(chosen, drawn, run, beyond=not partial)
    except EngineError as error:
        return failed_verdict(chosen, str(error), run, key, time.perf_counter() - began)
    seconds = time.perf_counter() - began
    return compose_verdict(chosen, cases, outside, run, key, seconds, partial=partial, quick=quick, file=file)


def quick_seeds(theorem: Theorem) -> int:
    """Seeds of an instance in a quick run: an eighth, or what a search without certificates asks for."""
    least = getattr(theorem.method, "search", None) or 1
    return max(1, theorem.seeds // QUICK_DIVISOR, min(least, theorem.seeds))


def gather_cases(
    theorem: Theorem, drawn: Sequence[Numbered], run: Run, *, beyond: bool
) -> tuple[list[Case], dict[str, Gathered]]:
    """Evidence and checks on every instance, and `beyond` the hypotheses where controls ask for it.

    Instances of one shape share their compiled programs, and are worked on one after the other.
    """
    # Instances of one shape make one job, and so does each control with instances of its own.
    groups: dict[object, list[Numbered]] = {}
    for index, one in drawn:
        groups.setdefault(shape_of(one.problem), []).append((index, one))
    elsewhere = [control for control in theorem.controls if beyond and control.outside is not None]
    run = run.change(workers=1 if len(groups) + len(elsewhere) > 1 else None)
    # The dense eigenproblems are small: several BLAS threads in several Python threads only wait for each other.
    workers = min(run.options.workers or cores(), len(groups) + len(elsewhere))
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as executor:
        of_groups = [executor.submit(float64(_group_cases), theorem, group, run) for group in groups.values()]
        of_controls = [executor.submit(float64(_gather_outside), theorem, control, run) for control in elsewhere]
        cases = sorted((case for job in of_groups for case in job.result()), key=lambda case: case.index)
        outside = {control.name: job.result() for control, job in zip(elsewhere, of_controls, strict=True)}
    return cases, outside


def _group_cases(theorem: Theorem, group: list[Numbered], run: Run) -> list[Case]:
    """The instances of one shape, solved and judged one after the other by the same compiled programs."""
    release_programs()
    options = run.options.for_work(
        theorem.method.few_seeds_are_light, [one.problem for _, one in group], len(run.seeds)
    )
    # Thresholds are located, and the flow is held against a finer one, on one instance of each shape alone.
    middle = len(group) // 2
    located = _locating(theorem, group, middle)
    found = []
    for position, (index, one) in enumerate(group):
        mine = run.change(
            options=options,
            key=instance_key(run.key, index),
            scale=start_scale(theorem, one),
            locate=tuple(located.get(position, ())),
        )
        evidence = gather_evidence(theorem, one, mine)
        fidelity = (0, 0)
        if isinstance(evidence, EndStates) and position == middle and getattr(theorem.method, "flow", False):
            fidelity = flow_fidelity(evidence.problem, evidence.ensemble, mine, options.fidelity_seeds)
        found.append(judge_case(theorem, index, one, evidence, fidelity))
    return found


def _locating(theorem: Theorem, group: Sequence[Numbered], middle: int) -> dict[int, list[Any]]:
    """The position of a group at which each threshold is located: of those to which it applies, and most of the controls that
    name it, the one nearest to the middle."""

    def usefulness(claim: Any, position: int) -> tuple[int, int]:
        one = group[position][1]
        controls = [control for control in theorem.controls if control.claims and claim.name in control.claims]
        return -sum(control.applies(one) for control in controls), abs(position - middle)

    located: dict[int, list[Any]] = {}
    places = set()
    for claim in theorem.claims:
        place = claim.location
        if place is None or place in places:
            continue
        fitting = [i for i, (_, one) in enumerate(group) if claim.applies(one)]
        if fitting:
            places.add(place)
            located.setdefault(min(fitting, key=lambda i, claim=claim: usefulness(claim, i)), []).append(claim)
    return located


def _gather_outside(theorem: Theorem, control: Control, run: Run) -> Gathered:
    """Evidence on the instances of a control outside the hypotheses."""
    assert control.outside is not None
    # Of a quick run too: rare minima are what such a control is about. Paths differ from the first seed on.
    few = theorem.method.name == "integrate"
    seeds = run.seeds if few else as_seeds(theorem.seeds)
    found = []
    for one in control.outside(jax.random.fold_in(run.key, 2)):
        mine = run.change(
            seeds=seeds,
            key=jax.random.fold_in(run.key, 3),
            scale=start_scale(theorem, one),
            options=run.options.for_work(theorem.method.few_seeds_are_light, [one.problem], len(seeds)),
            progress=None,
        )
        found.append((one, gather_evidence(theorem, one, mine)))
    return found


def start_scale(theorem: Theorem, instance: Instance) -> float:
    """Scale of the starts of an instance."""
    return theorem.init_scale if instance.scale is None else instance.scale


def gather_evidence(theorem: Theorem, instance: Instance, run: Run) -> Evidence:
    """The evidence of one instance, by the theorem's method."""
    return theorem.method.gather(theorem.observed_claims, instance, run)


def covering_instances(theorem: Theorem, drawn: Sequence[Numbered]) -> list[Numbered]:
    """Instances of few shapes such that each claim and each control applies to some of them.

    First the shape to which the most apply, of equals the one of middling size, then what it leaves open.
    """
    shapes: dict[object, list[Numbered]] = {}
    for index, one in drawn:
        shapes.setdefault(shape_of(one.problem), []).append((index, one))
    parts = [*theorem.claims, *(control for control in theorem.controls if control.outside is None)]
    # A shape covers the claims and controls that apply to one of its instances.
    covers = {
        shape: {i for i, part in enumerate(parts) if any(part.applies(one) for _, one in group)}
        for shape, group in shapes.items()
    }
    sizes = {shape: size(group[0][1].problem) for shape, group in shapes.items()}
    middling = float(np.median(list(sizes.values())))
    wanted = set[int]().union(*covers.values())
    # The covering is greedy: of the shapes left the one that covers most of what is still open is taken.
    chosen: list[object] = []
    while not chosen or wanted:
        left = [shape for shape in shapes if shape not in chosen]
        best = max(left, key=lambda shape: (len(covers[shape] & wanted), -abs(sizes[shape] - middling)))
        chosen.append(best)
        wanted -= covers[best]
    return sorted((pair for shape in chosen for pair in shapes[shape]), key=lambda pair: pair[0])


__all__ = ["covering_instances", "gather_cases", "gather_evidence", "quick_seeds", "start_scale", "verify"]
