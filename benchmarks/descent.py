"""Plain gradient descent on a batch, as NumPy and PyTorch peers run it, and the step length that suits it best."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import nctheory as nct
from benchmarks.gradients import Arrays, factors, join, numpy_gradient, split
from benchmarks.jobs import KEY, TOLERANCE, Job, problem_of, starts
from benchmarks.threads import limited

CHECK = 10
"""Steps between two looks at the gradient norm."""
PATIENCE = 20
"""Seeds get this many times the steps that the tuning seeds needed."""
LIMIT = 50_000
"""Steps after which the tuning gives up."""
STRETCH = 500
"""Steps between two looks at whether a candidate step gets anywhere."""
GRID, SHRINK = 20, 0.8
"""Number of candidate steps, and the ratio of neighbours."""


def descend(
    gradient: Callable[[Arrays], Arrays], params: Arrays, step: float, limit: int, tolerance: float = TOLERANCE
) -> tuple[list[np.ndarray], np.ndarray]:
    """Descend until every seed's gradient norm is at most `tolerance`; finished seeds leave the batch.

    Works on NumPy arrays and PyTorch tensors, and overwrites `params`. Returns end points and the number of gradients
    of each seed; a seed that is not finished after `limit` steps, or has diverged, is left where it stands.
    """
    ends = [np.array(part) for part in params]
    evaluations = np.zeros(len(ends[0]), dtype=int)
    index, count = np.arange(len(ends[0])), 0
    while index.size:
        slopes = gradient(params)
        count += 1
        if count % CHECK == 0 or count == 1:
            squares = np.asarray(sum((slope * slope).sum(axis=(-2, -1)) for slope in slopes))
            done = ~(squares > tolerance**2) | ~np.isfinite(squares) | (count >= limit)
            if done.any():
                rows, stay = np.flatnonzero(done), np.flatnonzero(~done)
                for end, part in zip(ends, params, strict=True):
                    end[index[rows]] = np.asarray(part[rows])
                evaluations[index[rows]] = count
                params, slopes = [part[stay] for part in params], [slope[stay] for slope in slopes]
                index = index[stay]
        for part, slope in zip(params, slopes, strict=True):
            part -= step * slope
    return ends, evaluations


class Step(NamedTuple):
    """A tuned step length."""

    length: float
    curvature: float
    """Largest curvature at the minimum; a step above 2 over it is unstable there."""
    needed: int
    """Most steps that a tuning seed needed; 0 where none of the candidates converged."""

    @property
    def limit(self) -> int:
        """Steps after which a descent gives up."""
        return PATIENCE * max(self.needed, 100)


def largest_curvature(job: Job) -> float:
    """Largest eigenvalue of the Hessian at an end state of the engine, by power iteration on differences of gradients."""
    ensemble = nct.solve(problem_of(job), 4, KEY, method="polish")
    best = int(np.argmin(ensemble.value))
    point = join([part[best] for part in factors(job, ensemble.params)])
    slope_of, small = numpy_gradient(job), 1e-5
    direction, largest = np.random.default_rng(0).normal(size=point.size), 0.0
    for _ in range(60):
        direction /= np.linalg.norm(direction)
        ahead, behind = (join(slope_of(split(job, point + s * small * direction))) for s in (1, -1))
        direction = (ahead - behind) / (2 * small)
        largest = float(np.linalg.norm(direction))
    return largest


def steps_needed(job: Job, length: float) -> np.ndarray | None:
    """Gradients that each of the job's tuning seeds needs with a constant step, or None where one gets nowhere."""
    slope_of = numpy_gradient(job)
    ends = [part.copy() for part in split(job, starts(job, job.tuned))]
    total, history = np.zeros(job.tuned, dtype=int), []
    while total.max() < LIMIT:
        ends, counts = descend(slope_of, [part.copy() for part in ends], length, STRETCH)
        total += counts
        norms = np.sqrt(sum((slope**2).sum(axis=(-2, -1)) for slope in slope_of(list(ends))))
        if np.all(norms <= TOLERANCE):
            return total
        history.append(norms.max())
        if not np.isfinite(history[-1]) or (len(history) > 4 and history[-1] > 0.5 * history[-5]):
            return None
    return None


@functools.cache
def best_step(job: Job) -> Step:
    """The step of a geometric grid with which the job's tuning seeds, all of them, need the fewest gradients.

    The grid begins just below the largest step that is stable at the minimum, which a script in use would not know,
    and goes down until all seeds arrive and a smaller step is no better.
    """
    curvature = largest_curvature(job)
    length = 1.96 / curvature
    best, fewest, most = length * SHRINK**GRID, None, 0
    for _ in range(GRID):
        with np.errstate(over="ignore", invalid="ignore"), limited(1):  # a step may be too long
            counts = steps_needed(job, length)
        if counts is not None:
            if fewest is not None and counts.sum() >= fewest:
                break
            best, fewest, most = length, int(counts.sum()), int(counts.max())
        length *= SHRINK
    return Step(best, curvature, most)
