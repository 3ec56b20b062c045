"""`verify`: one theorem, all its instances, to a verdict."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from threadpoolctl import threadpool_limits

from nctheory._environment import environment
from nctheory._precision import float64
from nctheory._programs import release_programs
from nctheory.certificates import GAP_LEVEL
from nctheory.flow import as_key, as_seeds
from nctheory.problems import shape_of
from nctheory.theorems._check import Evidence
from nctheory.theorems._evidence import Effort, flow_fidelity, gather
from nctheory.theorems._judge import (
    Case,
    claim_result,
    control_result,
    hold_claims,
    instance_result,
    largest_margin,
    reasons,
    shifted_control,
    supporting_seeds,
)
from nctheory.theorems._path_evidence import gather_paths
from nctheory.theorems._registry import find_theorem
from nctheory.theorems._statistics import failure_bound
from nctheory.theorems._theorem import Control, Instance, Theorem
from nctheory.theorems._verdict import Outcome, Verdict, WorstCase

GRADIENT_TOLERANCE = 1e-10
QUICKER = 8
"""Share of the seeds that a quick run takes."""


@float64
def verify(
    theorem: str | Theorem,
    seeds: int | list[int] | None = None,
    key: int | PRNGKeyArray = 0,
    *,
    instance: int | None = None,
    quick: bool = False,
    effort: Effort = Effort(),
    progress: Callable[[int], None] | None = None,
    file: str | None = None,
) -> Verdict:
    """Check a theorem on all its instances, from `seeds` random starts each (by default as many as the theorem asks for).

    Each seed is solved, certified without the theorem's formula, and held against each claim with a derived tolerance;
    each control must be refuted by the same check. The outcome is "refuted" when a claim fails on a seed,
    "inconclusive" when a control survives or too few seeds support an instance, else "holds". `quick` takes the instances
    of one shape only, and asks of the theorem's own controls only those that apply to some of them. `instance` picks one
    instance, `seeds` may list seed numbers: that is how a worst case is reproduced. `progress` is called with numbers of
    finished seeds; `file` is the theorem file to be named in the reproducing command.

    Raises ValueError for an unknown theorem, seeds below 1 or an instance out of range.

    >>> import nctheory as nct
    >>> verdict = nct.verify("ufm-mse-nobias", seeds=2, instance=0)
    >>> verdict.outcome, verdict.evidence
    ('holds', 'certified')
    """
    began = time.perf_counter()
    chosen = theorem if isinstance(theorem, Theorem) else find_theorem(theorem)
    if seeds is None:
        seeds = max(1, chosen.seeds // QUICKER) if quick else chosen.seeds
    numbers, root = as_seeds(seeds), as_key(key)
    drawn = list(enumerate(chosen.instances(jax.random.fold_in(root, 0))))
    if quick and instance is None:
        drawn = _of_one_shape(drawn)
    if not drawn:
        raise ValueError(f"instances: theorem {chosen.id!r} draws none")
    if instance is not None:
        if not 0 <= instance < len(drawn):
            raise ValueError(f"instance: expected 0 to {len(drawn) - 1} for {chosen.id}, got {instance}")
        drawn = [drawn[instance]]

    groups: dict[object, list[tuple[int, Instance]]] = {}
    for index, drawn_instance in drawn:
        groups.setdefault(shape_of(drawn_instance.problem), []).append((index, drawn_instance))
    workers = effort.workers or os.cpu_count() or 1
    inner = 1 if len(groups) > 1 else None

    @float64
    def run_group(group: list[tuple[int, Instance]]) -> list[Case]:
        release_programs()
        suited = effort.for_work(chosen.method, [one.problem for _, one in group], len(numbers))
        return [
            _run(chosen, index, one, numbers, root, suited, inner, progress, compare=position == len(group) // 2)
            for position, (index, one) in enumerate(group)
        ]

    def run_outside(control: Control) -> list[tuple[Instance, Evidence]]:
        assert control.outside is not None
        draws = control.outside(jax.random.fold_in(root, 2))
        # Of a quick run too: rare minima are what such a control is about. Paths differ from the first seed on.
        enough = numbers if chosen.method == "path" else as_seeds(chosen.seeds)
        drawn_key = jax.random.fold_in(root, 3)

        def evidence_of(one: Instance) -> Evidence:
            suited = effort.for_work(chosen.method, [one.problem], len(enough))
            return instance_evidence(chosen, one, enough, drawn_key, suited, inner)

        return [(one, evidence_of(one)) for one in draws]

    beyond = [] if instance is not None else [control for control in chosen.controls if control.outside is not None]

    # The dense eigenproblems are small: several BLAS threads in several Python threads only wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(min(workers, len(groups))) as pool:
        gathered = pool.map(run_group, groups.values())
        outside = dict(zip((control.name for control in beyond), pool.map(float64(run_outside), beyond), strict=True))
        cases = sorted((case for part in gathered for case in part), key=lambda c: c.index)
    return _verdict(
        chosen,
        cases,
        outside,
        numbers,
        key,
        time.perf_counter() - began,
        partial=instance is not None,
        quick=quick,
        file=file,
    )


def _of_one_shape(drawn: list[tuple[int, Instance]]) -> list[tuple[int, Instance]]:
    """The instances of the commonest shape (of the first, among equals), which share their compiled programs."""
    shapes = [shape_of(one.problem) for _, one in drawn]
    most = max(shapes, key=shapes.count)
    return [pair for pair, shape in zip(drawn, shapes, strict=True) if shape == most]


def _run(
    theorem: Theorem,
    index: int,
    instance: Instance,
    seeds: np.ndarray,
    root: PRNGKeyArray,
    effort: Effort,
    workers: int | None,
    progress: Callable[[int], None] | None,
    compare: bool,
) -> Case:
    key = instance_key(root, index)
    problem, scale = instance.problem, _scale(theorem, instance)
    evidence = instance_evidence(theorem, instance, seeds, key, effort, workers, progress)
    prediction = evidence.predicted_by(theorem.predict)
    checks = hold_claims(theorem, evidence, prediction)
    sample = effort.fidelity_seeds if compare and theorem.method == "flow+polish" else 0
    fidelity = flow_fidelity(problem, evidence.ensemble, key, scale, sample, effort)
    return Case(index, instance, evidence, prediction, checks, fidelity, theorem.several_basins)


def instance_key(root: PRNGKeyArray, index: int) -> PRNGKeyArray:
    """The key of the starts of one instance."""
    return jax.random.fold_in(jax.random.fold_in(root, 1), index)


def _scale(theorem: Theorem, instance: Instance) -> float:
    return theorem.init_scale if instance.scale is None else instance.scale


def instance_evidence(
    theorem: Theorem,
    instance: Instance,
    seeds: np.ndarray,
    key: PRNGKeyArray,
    effort: Effort,
    workers: int | None,
    progress: Callable[[int], None] | None = None,
) -> Evidence:
    scale = _scale(theorem, instance)
    if theorem.method == "path":
        if instance.course is None:
            raise ValueError(f"course: an instance of theorem {theorem.id!r}, which is about paths, has none")
        return gather_paths(
            instance.problem, instance.course, theorem.claims, seeds, key, scale, effort.budget, bool(effort.light),
            workers, progress,
        )  # fmt: skip
    return gather(instance.problem, theorem.claims, seeds, key, scale, effort, workers, progress, theorem.method)


def _verdict(
    theorem: Theorem,
    cases: list[Case],
    outside: Mapping[str, Sequence[tuple[Instance, Evidence]]],
    seeds: np.ndarray,
    key: int | PRNGKeyArray,
    seconds: float,
    partial: bool,
    quick: bool,
    file: str | None,
) -> Verdict:
    claims = tuple(claim_result(claim, cases) for claim in theorem.claims)
    # A single instance need not show up every wrong theorem (one off at the threshold only, say); the whole set must.
    grounds = [(case.instance, case.evidence) for case in cases]
    controls = [
        control_result(control, theorem, outside.get(control.name, grounds))
        for control in (() if partial else theorem.controls)
    ]
    if quick:  # a control that speaks only of instances that were left out says nothing
        controls = [control for control in controls if control.applicable]
    controls.append(shifted_control(theorem, cases))
    against = reasons(theorem, cases, claims, controls, quick or partial)
    outcome: Outcome = "refuted" if against.refuting else "inconclusive" if against.doubtful else "holds"
    instances = tuple(instance_result(case) for case in cases)
    run = sum(row.seeds for row in instances)
    supporting = sum(supporting_seeds(case).size for case in cases)
    certified = all(np.any(case.evidence.bound.valid) for case in cases)
    shown = key if isinstance(key, int) else np.asarray(jax.random.key_data(key)).tolist()
    return Verdict(
        theorem=theorem.id,
        title=theorem.title,
        statement=theorem.statement,
        hypotheses=theorem.hypotheses,
        sources=theorem.sources,
        outcome=outcome,
        reasons=against.refuting + against.doubtful,
        evidence="certified" if certified else "sampled",
        seeds_per_instance=len(seeds),
        seeds_run=run,
        converged=sum(row.statuses["converged"] for row in instances),
        certified=sum(row.certified for row in instances),
        supporting=supporting,
        failure_bound=failure_bound(run - supporting, run),
        power=max((claim.power for claim in claims if not np.isnan(claim.power)), default=np.nan),
        fidelity_same=sum(case.fidelity[0] for case in cases),
        fidelity_compared=sum(case.fidelity[1] for case in cases),
        worst=_worst(theorem, cases, str(shown), file),
        claims=claims,
        controls=tuple(controls),
        instances=instances,
        key=shown if isinstance(shown, int) else str(shown),
        gap_level=GAP_LEVEL,
        gradient_tolerance=GRADIENT_TOLERANCE,
        environment=environment(),
        seconds=seconds,
    )


def _worst(theorem: Theorem, cases: list[Case], key: str, file: str | None) -> WorstCase | None:
    best: WorstCase | None = None
    for case in cases:
        for name, check in case.checks.items():
            if check.seeds.size == 0 or (best is not None and largest_margin(check) <= best.margin):
                continue
            at = int(np.argmax(check.residual / np.maximum(check.tolerance, np.finfo(np.float64).tiny)))
            seed = int(check.seeds[at])
            best = WorstCase(
                claim=name,
                instance=case.index,
                seed=seed,
                residual=float(check.residual[at]),
                tolerance=float(check.tolerance[at]),
                margin=largest_margin(check),
                parameters=dict(case.instance.parameters),
                command=f"nctheory verify {file or theorem.id} --instance {case.index} --seed {seed} --key {key}",
            )
    return best
