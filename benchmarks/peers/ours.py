"""nctheory itself: the polish alone, the default solve, and all that one instance of a verification does."""

from collections.abc import Callable

import jax
import numpy as np

import nctheory as nct
from benchmarks.gradients import factors, join
from benchmarks.jobs import KEY, Job, problem_of
from benchmarks.peers import REFERENCE, Ends, Peer, Prepared
from nctheory.certificates._hessian import DENSE_LIMIT
from nctheory.theorems import EndStates, Run, judge_case


def _ends(job: Job, ensemble: nct.Ensemble) -> Ends:
    return Ends(join(factors(job, ensemble.params)), float(np.mean(ensemble.steps)))


def prepare_solve(method: str, workers: int | None = None) -> Callable[[Job], Prepared]:
    """`nct.solve` with one method; by default as many workers as there are cores."""

    def prepare(job: Job) -> Prepared:
        problem = problem_of(job)
        return Prepared(lambda seeds: _ends(job, nct.solve(problem, seeds, KEY, method=method, workers=workers)))

    return prepare


def prepare_verification(job: Job) -> Prepared:
    """Default solve, certificate, observables, curvature at one end state, and the theorem's claims held."""
    theorem, instance = nct.theorems.find_theorem(job.theorem or ""), nct.Instance(problem_of(job), {})

    def run(seeds: int) -> Ends:
        one = Run(jax.random.key(KEY), np.arange(seeds), scale=theorem.init_scale)
        evidence = theorem.method.gather(theorem.observed_claims, instance, one)
        assert isinstance(evidence, EndStates)
        checks = judge_case(theorem, 0, instance, evidence).checks
        refuted = any(bool(check.violated.any()) for check in checks.values())
        return _ends(job, evidence.ensemble)._replace(refuted=refuted)

    return Prepared(run)


def _batch(job: Job) -> int:
    return min(256, max(4, job.seeds // 4))


def _verified(job: Job) -> int:
    return min(256, job.seeds)  # the default of `nctheory verify`


def _unverifiable(job: Job) -> str | None:
    if job.theorem is None:
        return "no theorem of the catalogue covers it"
    return f"dense Hessian of {job.parameters} parameters" if job.parameters > DENSE_LIMIT else None


PEERS = [
    Peer(REFERENCE, prepare_solve("polish"), _batch, compiles=True),
    Peer("ours: polish, one worker", prepare_solve("polish", workers=1), _batch, compiles=True),
    Peer("ours: default (flow+polish)", prepare_solve("flow+polish"), _batch, compiles=True),
    Peer("ours: verification", prepare_verification, _verified, unfit=_unverifiable, compiles=True),
]
