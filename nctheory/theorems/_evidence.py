"""Everything computed on one instance before a prediction is looked at: solve, certify, observe, curvature, fidelity."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._batching import in_few_lengths, rounded_up
from nctheory._precision import EPS
from nctheory._programs import light_jit
from nctheory.certificates import GAP_LEVEL, Bound, HessianReport, certify, hessian_report, sensitivity
from nctheory.flow import Ensemble, FlowPrecision, solve, starts
from nctheory.landscape import orbit_types, search
from nctheory.problems import Params, Problem, ravel, rounding, size, unravel
from nctheory.theorems._check import SAFETY, Evidence, Level, measure_terms, observe_all, stacked_jacobian
from nctheory.theorems._theorem import Claim, Method

REFERENCE: dict[str, Any] = {"rtol": 1e-6, "switch": 1e-3}
"""The high-accuracy flow that the ordinary solve is compared with: a thousandth of the error, a later hand-over."""
SAME_VALUE, SAME_END = 1e-6, 1e-2
"""Two end states are in the same basin when values and invariants agree to these relative distances. The second is
loose because minimisers may form continuous families, along which a small error of the flow is not undone."""
MOST_LEVELS = 8
"""Values at which the Hessian is taken, the most frequent first; claims about seeds at others stay undecided."""
CHUNK = 256
LIGHT_SEEDS = 1024
"""Seeds of an instance up to which compiling takes more of a verification than running, where paths are followed or critical
points searched for (measured: the catalogue, from an empty cache and with its default seeds, took 12 minutes with light
programs and 16 with usual ones)."""
LIGHT_NUMBERS = 100_000
"""The same for solves: parameters times seeds of all instances that share a program. Measured, usual programs against light
ones: mostly above it, `ufm-ce-balanced` takes 40 s against 38 from an empty cache and 17 against 28 from a full one,
`ufm-mse-nobias` 35 against 30 from an empty one; below it, `deep-mse-linear` 79 against 70 and 26 against 51."""


class Effort(NamedTuple):
    """How hard a verification works."""

    budget: int = 200_000
    """Gradient evaluations per seed."""
    curvature_points: int = 1
    """End states at which the dense Hessian is taken, for each value at which seeds of an instance end."""
    fidelity_seeds: int = 16
    """Seeds that are run again with a high-accuracy flow, on one instance of each shape; 0 for none."""
    workers: int | None = None
    """Instances worked on at a time; by default one per core."""
    flow_precision: FlowPrecision = "float64"
    """Precision of the flow down to its first hand-over; everything after that is float64."""
    light: bool | None = None
    """Whether programs are compiled for few seeds (see `solve`); by default where there are few (see `for_work`)."""

    def for_work(self, method: Method, problems: Sequence[Problem], seeds: int) -> "Effort":
        """With `light` decided, where it is None, for problems that share a program and the seeds of each."""
        if self.light is not None or not problems:
            return self
        if method in ("census", "path"):
            return self._replace(light=seeds <= LIGHT_SEEDS)
        return self._replace(light=seeds * len(problems) * size(problems[0]) <= LIGHT_NUMBERS)


def gather(
    problem: Problem,
    claims: tuple[Claim, ...],
    seeds: Sequence[int] | np.ndarray,
    key: PRNGKeyArray,
    scale: float,
    effort: Effort,
    workers: int | None,
    progress: Callable[[int], None] | None,
    method: Method = "flow+polish",
) -> Evidence:
    """Solve, certify and observe one instance."""
    chunk = min(CHUNK, rounded_up(len(seeds)))
    if method == "census":
        ensemble = search(problem, np.asarray(seeds), key, progress=progress, light=bool(effort.light))
    else:
        ensemble = solve(
            problem,
            seeds,
            key,
            method=method,
            scale=scale,
            budget=effort.budget,
            chunk=chunk,
            workers=workers,
            progress=progress,
            flow_precision=effort.flow_precision if method == "flow+polish" else "float64",
            light=bool(effort.light),
        )
    bound = certify(problem, ensemble.params)
    noise = _value_noise(problem, ensemble, bound)
    certified = _certified(ensemble, bound, noise)
    observed = in_few_lengths(lambda points: observe_all(problem, points, claims), ensemble.params)
    terms = {}
    if any(c.terms for c in claims):
        terms = in_few_lengths(lambda points: measure_terms(problem, points, claims), ensemble.params)
    anywhere = tuple(c for c in claims if c.scope == "any point")
    if anywhere:
        start_scale = jnp.asarray(scale, jnp.float64)
        drawn = in_few_lengths(lambda numbers: starts(problem, key, numbers, start_scale), ensemble.seeds)
        points = unravel(problem, drawn)
        for name, x in in_few_lengths(lambda some: observe_all(problem, some, anywhere), points).items():
            observed[name] = np.concatenate([x, observed[name]])
        if any(c.terms for c in anywhere):
            for name, x in in_few_lengths(lambda some: measure_terms(problem, some, anywhere), points).items():
                terms[name] = np.concatenate([x, terms[name]])
    # Only such claims have a tolerance that depends on how their observable changes there.
    moving = tuple(
        c for c in claims if c.scope != "any point" and not c.enclosed and not c.of_value and c.kind != "index"
    )
    rows, begin = {}, 0
    for claim in moving:
        length = int(np.prod(observed[claim.name].shape[1:]))
        rows[claim.name] = slice(begin, begin + length)
        begin += length
    slope = float(np.max(ensemble.grad_norm[ensemble.converged], initial=0.0))
    reports: list[HessianReport] = []
    reach = {claim.name: np.full(len(ensemble.seeds), np.inf) for claim in moving}
    parts = orbit_types(problem, ensemble) if method == "census" else _by_value(ensemble, certified)
    levels = sorted((_level(problem, ensemble, certified, part) for part in parts), key=lambda level: level.value)
    frequent = sorted(range(len(levels)), key=lambda j: (not levels[j].certified, -levels[j].members.size))
    if len(anywhere) == len(claims):  # what is true at any point needs no curvature
        frequent = []
    for j in frequent[: MOST_LEVELS if method != "census" else None]:
        largest = dict.fromkeys(reach, 0.0)
        chosen = _curvature_points(ensemble, levels[j].members, effort.curvature_points, best=method == "census")
        if not chosen:
            break
        for i in chosen:
            point = jax.tree.map(lambda x, i=i: x[i], ensemble.params)
            report = hessian_report(problem, point)
            reports.append(report)
            if not report.smallest >= levels[j].smallest_curvature:  # the first one, or one more negative
                levels[j] = levels[j]._replace(
                    smallest_curvature=report.smallest,
                    resolution=report.resolution,
                    largest_curvature=report.largest,
                    at=i,
                )
            steepest = float(np.max(ensemble.grad_norm[levels[j].members]))
            drop = SAFETY * steepest**2 / max(report.softest, EPS)
            if report.nullity:  # where second order says nothing, the critical point may be as far as the origin
                drop += steepest * float(np.linalg.norm(np.asarray(ravel(point))))
            levels[j] = levels[j]._replace(slack=levels[j].slack + drop)
            if moving:
                for name, found in _reach(problem, point, report, moving, slope, rows).items():
                    largest[name] = max(largest[name], found)
        for name, found in largest.items():
            reach[name][levels[j].members] = found
    return Evidence(problem, ensemble, bound, certified, observed, reports, reach, terms, tuple(levels), noise=noise)


def _by_value(ensemble: Ensemble, certified: np.ndarray) -> list[np.ndarray]:
    """Positions of converged seeds by value; neighbours closer than `SAME_VALUE` belong together, certified ones always."""
    usable = np.flatnonzero(ensemble.converged)
    if usable.size == 0:
        return []
    order = usable[np.lexsort((ensemble.value[usable], ~certified[usable]))]
    value = ensemble.value[order]
    apart = np.abs(np.diff(value)) > SAME_VALUE * np.abs(value[1:]) + 10 * ensemble.tolerance
    return np.split(order, np.flatnonzero(apart & ~(certified[order][:-1] & certified[order][1:])) + 1)


def _level(problem: Problem, ensemble: Ensemble, certified: np.ndarray, members: np.ndarray) -> Level:
    """A level before any curvature is known."""
    values = ensemble.value[members]
    value, spread = float(np.mean(values)), float(np.ptp(values))
    # The objective is a difference of terms that may be as large as its value at zero, or anywhere else.
    noise = float(rounding(problem, np.max(np.abs(ensemble.value[ensemble.converged]))))
    return Level(value, members, bool(np.all(certified[members])), np.nan, np.nan, np.nan, spread + noise)


@light_jit
def _value_at_zero(problem: Problem) -> jax.Array:
    return jnp.asarray(problem.objective(jax.tree.map(jnp.zeros_like, problem.init(jax.random.key(0), jnp.ones(())))))


def _value_noise(problem: Problem, ensemble: Ensemble, bound: Bound) -> float:
    """Rounding of the objective's terms, which are as large as it is at zero; 0 where no value is that small."""
    small = np.abs(ensemble.value[ensemble.converged & bound.valid])
    if not np.any(small <= GAP_LEVEL):
        return 0.0
    return float(np.nan_to_num(rounding(problem, float(_value_at_zero(problem)))))


def _certified(ensemble: Ensemble, bound: Bound, noise: float) -> np.ndarray:
    """Converged seeds at the global minimum: by the gap, or where no bound exists by the best value found.

    Where the minimum is zero, to the `noise` that its terms leave.
    """
    if np.any(bound.valid):
        near = bound.closed(ensemble.value) | (bound.valid & (np.abs(bound.gap) <= noise))
        return ensemble.converged & near
    if not np.any(ensemble.converged):
        return np.zeros_like(ensemble.converged)
    best = np.min(ensemble.value[ensemble.converged])
    return ensemble.converged & (ensemble.value <= best + GAP_LEVEL * abs(best))


def _curvature_points(ensemble: Ensemble, usable: np.ndarray, wanted: int, best: bool) -> list[int]:
    """Of some end states the one with the largest gradient (or the smallest, if the `best`), and others spread over them."""
    if usable.size == 0 or wanted < 1:
        return []
    usable = np.sort(usable)
    first = usable[(np.argmin if best else np.argmax)(ensemble.grad_norm[usable])]
    spread = usable[np.linspace(0, usable.size - 1, min(wanted, usable.size)).astype(int)]
    return list(dict.fromkeys([int(first), *spread.tolist()]))[:wanted]


def _reach(
    problem: Problem,
    point: Params,
    report: HessianReport,
    claims: tuple[Claim, ...],
    slope: float,
    rows: dict[str, slice],
) -> dict[str, float]:
    """Sensitivity of every observable at an end state, where no seed of the instance has a gradient above `slope`.

    The Jacobian is taken a second time one such gradient's reach away, in a random direction: an observable that is
    quadratic in the parameters has a vanishing Jacobian at zero, and only the second one sees its change.
    """
    vector = np.asarray(ravel(point))
    direction = np.random.default_rng(11).normal(size=vector.shape)
    distance = slope / max(report.softest, EPS)
    away = unravel(problem, vector + distance * direction / np.linalg.norm(direction))
    jacobians = [np.asarray(stacked_jacobian(problem, x, claims)) for x in (point, away)]
    return {name: max(sensitivity(report, j[part]) for j in jacobians) for name, part in rows.items()}


@light_jit
def _invariants(problem: Problem, points: Params) -> jax.Array:
    return jnp.asarray(jax.vmap(problem.invariants)(points))


def flow_fidelity(
    problem: Problem, ensemble: Ensemble, key: PRNGKeyArray, scale: float, count: int, effort: Effort
) -> tuple[int, int]:
    """(same, compared): how many of the first `count` converged seeds end where a high-accuracy flow ends.

    Ends are compared by `problem.invariants`. The reference has 10^-3 of the local error, and first
    tries to hand over at a thirtieth of the gradient; seeds on which it does not converge are not compared.
    """
    chosen = np.flatnonzero(ensemble.converged)[:count]
    if chosen.size == 0:
        return 0, 0
    chunk = min(CHUNK, rounded_up(len(ensemble.seeds)))  # as in the solve itself, whose compiled program is used again
    reference = solve(
        problem,
        ensemble.seeds[chosen],
        key,
        scale=scale,
        budget=10 * effort.budget,
        chunk=chunk,
        workers=1,
        light=bool(effort.light),
        **REFERENCE,
    )
    ours, theirs = (
        np.asarray(in_few_lengths(lambda some: _invariants(problem, some), points))
        for points in (jax.tree.map(lambda x: x[chosen], ensemble.params), reference.params)
    )
    usable = reference.converged
    distance = np.linalg.norm((ours - theirs).reshape(chosen.size, -1), axis=1)
    extent = np.linalg.norm(theirs.reshape(chosen.size, -1), axis=1) + np.sqrt(ensemble.tolerance)
    value = ensemble.value[chosen]
    same = (distance <= SAME_END * extent) & (np.abs(value - reference.value) <= SAME_VALUE * np.abs(value))
    return int(np.sum(same & usable)), int(np.sum(usable))
