"""What a claim is held against: the evidence of one instance; and what comes of it."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from nctheory._batching import in_few_lengths, map_in_blocks
from nctheory._programs import light_jit
from nctheory._types import Array
from nctheory.certificates import Bound, HessianReport
from nctheory.flow import Ensemble
from nctheory.problems import Params, Problem
from nctheory.theorems._theorem import Course, Prediction

SAFETY = 2.0
"""Factor on the first-order sensitivity; covers its second-order remainder."""


MATRICES = 128
"""Points of curves that are predicted at a time. On a CPU LAPACK's routines, called by JAX on a thousand matrices at once,
share them out over the very threads that call them, and wait for each other for ever when two calls run at a time (0.10)."""


class Level(NamedTuple):
    """Converged seeds that ended at one value."""

    value: float
    members: np.ndarray
    """Positions in the ensemble."""
    certified: bool
    """Whether it is the global minimum, by certificate or, without one, as the best value found."""
    smallest_curvature: float
    """Smallest Hessian eigenvalue off the gauge at a sampled end state; NaN where none was sampled."""
    resolution: float
    """Eigenvalues closer to zero are not told from zero."""
    largest_curvature: float
    """Largest size of an eigenvalue there."""
    slack: float
    """How far the critical value may be from `value`: the members' spread, their gradients to second order, rounding."""
    at: int = -1
    """Position of the end state at which the curvature was taken; -1 where none was."""

    def holds(self, value: float) -> bool:
        """Whether a predicted value is this one."""
        return bool(abs(value - self.value) <= self.slack)


class Evidence(NamedTuple):
    """All that was computed on one instance, before any prediction is looked at."""

    problem: Problem
    ensemble: Ensemble
    bound: Bound
    certified: np.ndarray
    """Converged, and at the global minimum to `GAP_LEVEL`."""
    observed: dict[str, np.ndarray]
    """By claim; leading axis seeds (starts first, then ends, where the scope is any point)."""
    reports: list[HessianReport]
    """Hessians at sampled end states."""
    reach: dict[str, np.ndarray]
    """By claim and seed: change of the observable per unit of residual gradient, the largest over the sampled end states
    of the seed's level; infinite where none was sampled."""
    terms: dict[str, np.ndarray]
    """By claim that names them: size of the terms that cancel in the observable."""
    levels: tuple[Level, ...]
    """The distinct values at which converged seeds ended, ascending."""
    course: Course | None = None
    """Of paths: how they were followed; `observed` then has the axes seeds x times (or rungs of the ladder) x …."""
    errors: Mapping[str, np.ndarray] = MappingProxyType({})
    """Of paths, by claim: error of the process itself, seeds x times (or rungs)."""
    starts: Params = None
    """Of paths: where they began."""
    drift: float = np.nan
    """Of paths: largest relative drift of what the flow conserves."""
    dissipation: float = np.nan
    """Of paths of a flow: largest relative error of the balance of energy."""
    noise: float = 0.0
    """Rounding of a value close to zero, within which a gap is none."""

    def predicted_by(self, predict: Callable[..., Prediction]) -> Prediction:
        """What a theorem's formula says of this problem; of paths for every seed, with a leading axis."""
        if self.course is None:
            return predict(self.problem)
        times = np.asarray(self.course.times, np.float64)
        return in_few_lengths(lambda some: _predict_paths(self.problem, some, times, predict=predict), self.starts)


class Check(NamedTuple):
    """A claim held against one prediction on one instance; arrays over the seeds in its scope."""

    seeds: np.ndarray
    residual: np.ndarray
    tolerance: np.ndarray
    scale: float
    """Norm of the prediction."""
    resolution: np.ndarray
    """Error in the prediction that this seed would have caught, in whatever direction."""

    @property
    def violated(self) -> np.ndarray:
        """Seeds that refute the prediction."""
        return self.residual > self.tolerance

    @property
    def decided(self) -> bool:
        """Whether there is a seed to speak of, with a finite tolerance."""
        return self.seeds.size > 0 and bool(np.all(np.isfinite(self.tolerance)))


@partial(light_jit, static_argnames="predict")
def _predict_paths(problem: Problem, starts: Params, times: Array, predict: Callable[..., Prediction]) -> Prediction:
    block = max(1, MATRICES // times.shape[0])
    return map_in_blocks(lambda start: predict(problem, start, times), starts, block)
