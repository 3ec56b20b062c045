"""The verdict from the cases: results of all claims, controls and instances, the outcome, the worst case."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import environment
from nctheory.theorems._judge import (
    Case,
    Gathered,
    all_controls,
    claim_result,
    instance_result,
    required_claims,
    supporting_seeds,
)
from nctheory.theorems._reasons import headline, reasons, supports
from nctheory.theorems._results import ClaimResult, WorstCase
from nctheory.theorems._run import Run
from nctheory.theorems._statistics import failure_bound
from nctheory.theorems._theorem import Theorem
from nctheory.theorems._verdict import Outcome, Verdict
from nctheory.theorems.claims import LEVELS


def compose_verdict(
    theorem: Theorem,
    cases: Sequence[Case],
    outside: Mapping[str, Gathered],
    run: Run,
    key: int | PRNGKeyArray,
    seconds: float,
    *,
    partial: bool,
    quick: bool,
    file: str | None,
) -> Verdict:
    """What the cases say of the theorem; a `partial` run of one instance is held against no control."""
    # Each claim is put together over all cases; controls are only asked of a whole run.
    claims = tuple(claim_result(claim, cases) for claim in theorem.claims)
    controls = () if partial else all_controls(theorem, cases, outside)
    against = reasons(theorem, cases, claims, controls, partial=partial, quick=quick)
    # One violation refutes, whatever else is in doubt; one doubt leaves the theorem undecided.
    outcome: Outcome = "refuted" if against.refuting else "inconclusive" if against.doubtful else "holds"
    instances = tuple(instance_result(theorem, case) for case in cases)
    # An instance supports the theorem where no claim fails and enough of its seeds support it.
    supporting = [int(supporting_seeds(theorem, case).size) for case in cases]
    whole = sum(supports(theorem, case) for case in cases)
    told = [claim for claim in claims if claim.instances]
    return _verdict(
        theorem, run, key, seconds,
        outcome=outcome,
        reasons=against.refuting + against.doubtful,
        # The evidence of the theorem is that of its weakest claim.
        evidence=min((claim.evidence for claim in told), key=LEVELS.index, default="sampled"),  # pyright: ignore
        headline=headline(claims),
        seeds_run=sum(row.seeds for row in instances),
        converged=sum(row.statuses["converged"] for row in instances),
        certified=sum(row.certified for row in instances),
        supporting=sum(supporting),
        instances_supporting=whole,
        # Formula and basins are two probabilities: one trial is an instance for the first, a seed of one instance for the
        # second.
        formula_bound=failure_bound(len(cases) - whole, len(cases)),
        basin_bound=max(
            (failure_bound(row.seeds - good, row.seeds) for row, good in zip(instances, supporting, strict=True)),
            default=1.0,
        ),
        resolution=_coarsest(claims),
        fidelity_same=sum(case.fidelity[0] for case in cases),
        fidelity_compared=sum(case.fidelity[1] for case in cases),
        worst=_worst(theorem, cases, run, shown_key(key), file),
        claims=claims,
        controls=controls,
        instances=instances,
    )  # fmt: skip


def failed_verdict(theorem: Theorem, reason: str, run: Run, key: int | PRNGKeyArray, seconds: float) -> Verdict:
    """The verdict of a run in which the engine contradicted itself: nothing is said of the theorem."""
    return _verdict(
        theorem, run, key, seconds,
        outcome="engine error", reasons=(reason,), evidence="sampled", headline="no claim was decided", seeds_run=0,
        converged=0, certified=0, supporting=0, instances_supporting=0, formula_bound=1.0, basin_bound=1.0,
        resolution=np.nan, fidelity_same=0, fidelity_compared=0, worst=None, claims=(), controls=(), instances=(),
    )  # fmt: skip


def _verdict(theorem: Theorem, run: Run, key: int | PRNGKeyArray, seconds: float, **found) -> Verdict:
    return Verdict(
        theorem=theorem.id,
        title=theorem.title,
        statement=theorem.statement,
        hypotheses=tuple(hypothesis.text for hypothesis in theorem.hypotheses),
        sources=theorem.sources,
        method=theorem.method.name,
        facts=theorem.method.facts(),
        precision=run.options.flow_precision if theorem.method.name == "solve" else "float64",
        seeds_per_instance=len(run.seeds),
        key=shown_key(key),
        environment=environment(),
        seconds=seconds,
        **found,
    )


def shown_key(key: int | PRNGKeyArray) -> int | str:
    """The key as a verdict shows it."""
    return key if isinstance(key, int) else str(np.asarray(jax.random.key_data(key)).tolist())


def _coarsest(claims: Sequence[ClaimResult]) -> float:
    """The relative error that the run sees in every equality."""
    seen = [c.resolution for c in claims if not np.isnan(c.resolution) and c.kind != "threshold"]
    return max(seen, default=np.nan)


def _worst(theorem: Theorem, cases: Sequence[Case], run: Run, key: int | str, file: str | None) -> WorstCase | None:
    best: WorstCase | None = None
    for case in cases:
        for claim in required_claims(theorem, case):
            check = case.checks[claim.name]
            if check.seeds.size == 0 or (best is not None and check.tolerance_ratio <= best.tolerance_ratio):
                continue
            # Over all claims and cases the seed with the largest residual over tolerance is kept.
            at = int(np.argmax(check.residual / np.maximum(check.tolerance, np.finfo(np.float64).tiny)))
            seed = int(check.seeds[at])
            # What rests on a search, or fails, is reproduced by the very run: beside other seeds one may end a step of the
            # polish earlier. All else is shown by the one seed.
            whole = bool(np.any(check.conditional) or np.any(check.violated))
            numbered = np.array_equal(run.seeds, np.arange(len(run.seeds)))
            which = f"--seeds {len(run.seeds)}" if whole and numbered else f"--seed {seed}"
            best = WorstCase(
                claim=claim.name,
                instance=case.index,
                seed=seed,
                residual=float(check.residual[at]),
                tolerance=float(check.tolerance[at]),
                tolerance_ratio=check.tolerance_ratio,
                parameters=dict(case.instance.parameters),
                command=f"nctheory verify {file or theorem.id} --instance {case.index} {which} --key {key}",
            )
    return best


__all__ = ["compose_verdict", "failed_verdict", "shown_key"]
