"""Correctness first, then time: every peer's ends are certified, then all peers are timed in turn."""

import functools
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from benchmarks.gradients import split
from benchmarks.jobs import GAP, KEY, TOLERANCE, Job, problem_of, starts
from benchmarks.machine import with_peak_memory
from benchmarks.peers import REFERENCE, Ends, Peer, Run
from benchmarks.threads import fastest_threads, with_threads

ROUNDING = 1e-4
"""Relative slack on the tolerance, because the gradient is computed once more, in another order."""
SLOW = 30.0
"""Seconds of a first run, compilation included, after which its seeds are not multiplied."""
SAME_VALUE = 1e-6
"""Relative error up to which an optimum's value without a point counts as found."""


@dataclass
class Row:
    """One peer on one job."""

    job: str
    peer: str
    seeds: int = 0
    converged: int = 0
    """Seeds whose gradient norm, computed by the engine, is within the tolerance."""
    certified: int = 0
    """Those of them at the certified minimum."""
    largest_norm: float | None = None
    """Largest gradient norm at an end."""
    evaluations: float | None = None
    """Gradient evaluations per seed."""
    flops: float = 0.0
    """Floating-point operations of the products of one evaluation."""
    compile_seconds: float | None = None
    memory_mib: float | None = None
    threads: int | None = None
    """Threads of the peer's libraries, where they were tuned."""
    seconds: list[float] = field(default_factory=list)
    """Wall time of each round."""
    cpu_seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    """Time per seed over the reference's in the same round."""
    note: str = ""
    """Why there is no time, or what is to be said against it."""

    @property
    def timed(self) -> bool:
        """Whether there is a time to show."""
        return bool(self.seconds)

    def per_seed(self, seconds: Sequence[float]) -> list[float]:
        """Milliseconds per seed, ascending."""
        return sorted(1e3 * s / self.seeds for s in seconds)

    @property
    def certified_per_second(self) -> float:
        """Seeds brought to the certified minimum in a second."""
        return self.certified / median(self.seconds)

    @property
    def evaluations_per_second(self) -> float | None:
        """Seed-steps per second."""
        return None if self.evaluations is None else self.evaluations * self.seeds / median(self.seconds)

    def share_of(self, peak: float) -> float | None:
        """Products' operations per second over the machine's peak."""
        rate = self.evaluations_per_second
        return None if rate is None else rate * self.flops / peak


@jax.jit
def _slopes(problem: nct.Problem, points: jax.Array) -> jax.Array:
    def norm(point: jax.Array) -> jax.Array:
        return jnp.linalg.norm(nct.problems.ravel(problem.value_and_grad(nct.problems.unravel(problem, point))[1]))

    return jax.lax.map(norm, points)


def engine_params(job: Job, points: np.ndarray) -> nct.problems.ChainParams:
    """Flat vectors as the engine's parameters."""
    parts = split(job, points)
    depth = len(job.widths) - 1
    return nct.problems.ChainParams(tuple(parts[:depth]), parts[depth], parts[-1][..., 0] if job.bias else None)


class Judgement(NamedTuple):
    """What the engine finds at the end points, whatever the peer says of itself."""

    norms: np.ndarray
    """Gradient norms, computed anew."""
    certified: np.ndarray
    """Converged, and above the best lower bound on the minimum by no more than the relative gap."""

    @property
    def converged(self) -> np.ndarray:
        """Gradient norm within the tolerance."""
        return self.norms <= TOLERANCE * (1 + ROUNDING)


def judge(job: Job, points: np.ndarray) -> Judgement:
    """Gradient norms and duality gaps.

    The lower bound that one point gives is off by its gradient to first order, which at a gradient norm of 1e-10 may be
    more than the gap allowed. Any point's bound is a bound for all, so each is held against the best.
    """
    problem = problem_of(job)
    with jax.enable_x64(True):
        norms = np.asarray(_slopes(problem, jnp.asarray(points)))
    bound = nct.certify(problem, engine_params(job, points))
    value = bound.lower_bound + bound.gap
    best = max(optimum(job), float(np.max(bound.lower_bound)))
    found = Judgement(norms, value - best <= GAP * np.abs(value))
    return found._replace(certified=found.certified & found.converged)


@functools.cache
def optimum(job: Job) -> float:
    """The best lower bound on the minimum from the engine's own solve of a few seeds."""
    ensemble = nct.solve(problem_of(job), min(8, job.seeds), KEY, method="polish", tolerance=0.1 * TOLERANCE)
    bound = nct.certify(problem_of(job), ensemble.params)
    return float(np.max(bound.lower_bound))


def _timed(run: Run, seeds: int) -> tuple[float, float, Ends]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    ends = run(seeds)
    return time.perf_counter() - wall, time.process_time() - cpu, ends


@dataclass
class Entry:
    """A peer that is ready to be timed."""

    row: Row
    run: Run


def prepare(job: Job, peer: Peer, target: float, most: int) -> Entry:
    """Build, compile, choose the seeds so that a run takes about `target` seconds, and check where they end."""
    row = Row(job.name, peer.name, flops=float(job.flops))
    run, probe = peer.prepare(job)
    most = min(most, peer.most(job) or most)
    batch = min(peer.batch(job), most) if peer.several else 1
    starts(job, batch)  # drawn before any clock runs
    if probe is not None:
        row.threads = fastest_threads(probe)
        run = with_threads(row.threads, run)
    (cold, _, ends), memory = with_peak_memory(lambda: _timed(run, batch))
    row.seeds, row.memory_mib, warm = batch, memory, cold
    if cold < (SLOW if peer.compiles else target):
        warm, _, ends = _timed(run, batch)
        row.compile_seconds = max(cold - warm, 0.0) if peer.compiles else None
    wanted = batch * max(1, min(round(target / warm), most // batch)) if peer.several else 1
    if wanted != batch:
        starts(job, wanted)
        (_, _, ends), more = with_peak_memory(lambda: _timed(run, wanted))
        row.seeds, row.memory_mib = wanted, max(memory, more)
    row.evaluations = ends.evaluations
    _judge(job, row, ends)
    return Entry(row, run)


def _judge(job: Job, row: Row, ends: Ends) -> None:
    if ends.points is not None:
        found = judge(job, ends.points)
        row.converged, row.certified = int(found.converged.sum()), int(found.certified.sum())
        row.largest_norm = float(found.norms.max()) if np.isfinite(found.norms).all() else None
        if row.converged < row.seeds:
            short = row.seeds - row.converged
            row.note = f"{short} of {row.seeds} seeds stop short, at gradient norms up to {found.norms.max():.1e}"
        elif row.certified < row.seeds:
            row.note = f"{row.seeds - row.certified} of {row.seeds} seeds not certified"
    elif ends.value is not None:
        error = abs(ends.value - optimum(job)) / abs(ends.value)
        row.converged = row.certified = int(error <= SAME_VALUE)
        row.note = f"value only, off by {error:.0e}"
    if ends.refuted:
        row.note = "a claim was violated"


def measure(
    job: Job, peers: Sequence[Peer], repeats: int, target: float, most: int, say: Callable[[str], None]
) -> list[Row]:
    """All peers on one job: prepared and checked one after the other, then timed in turn, `repeats` rounds.

    A peer that cannot do the job, or fails, gets a row that says so.
    """
    rows: list[Row] = []
    ready: list[Entry] = []
    for peer in peers:
        reason = peer.unfit(job)
        if reason is None:
            say(f"{job.name}: preparing {peer.name}")
            try:
                ready.append(prepare(job, peer, target, most))
                rows.append(ready[-1].row)
                continue
            except Exception as error:  # a peer's failure is a result, and must not take the others' with it
                reason = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        rows.append(Row(job.name, peer.name, note=reason))
    for number in range(repeats):
        say(f"{job.name}: round {number + 1} of {repeats}")
        shift = number % max(len(ready), 1)
        for entry in ready[shift:] + ready[:shift]:  # nobody always runs after the same neighbour first
            wall, cpu, _ = _timed(entry.run, entry.row.seeds)
            entry.row.seconds.append(wall)
            entry.row.cpu_seconds.append(cpu)
    _compare(rows)
    return rows


def _compare(rows: Sequence[Row]) -> None:
    ours = next((row for row in rows if row.peer == REFERENCE and row.timed), None)
    if ours is None:
        return
    for row in rows:
        pairs = zip(row.seconds, ours.seconds, strict=False)
        row.ratios = [(theirs / row.seeds) / (own / ours.seeds) for theirs, own in pairs]
