"""What a claim is held against: end states, critical points, or trajectories of one instance."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.certificates import Bound, HessianReport, Uniqueness
from nctheory.engine import Array, fast_compile, in_few_lengths, map_in_blocks, shown
from nctheory.flow import Ensemble
from nctheory.problems import Params, Problem, rounding

MAX_POINTS = 128
"""Points of curves that are predicted at a time (conventional)."""


class EndType(NamedTuple):
    """Converged seeds that ended at one value and, as far as what the symmetry leaves alone can tell, at one kind of point."""

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
    value_error: float
    """How far the critical value may be from `value`: the members' spread, their gradients to second order, rounding."""
    at: int = -1
    """Position of the end state at which the curvature was taken; -1 where none was."""
    fall: float = 0.0
    """How fast the value falls at first order off a kink that a sampled end state meets, a unit of length; 0 where it does
    not."""
    fall_told: float = 0.0
    """A slower fall is not told from none."""

    def holds(self, value: float) -> bool:
        """Whether a predicted value is this one."""
        return bool(abs(value - self.value) <= self.value_error)


class Bracket(NamedTuple):
    """Two values of a parameter with certified end states, between which an order parameter was found to change."""

    low: float
    high: float
    solves: int
    reason: str | None
    """Why the bracket is no narrower, or None."""

    @property
    def width(self) -> float:
        """The width of the bracket in the logarithm of the parameter, which is that relative to its middle."""
        return float(np.log(self.high / self.low)) if self.low > 0 and np.isfinite(self.high) else np.inf


@dataclasses.dataclass(frozen=True)
class Points:
    """All that was computed of points of one instance, before any prediction is looked at (base of two kinds)."""

    problem: Problem
    ensemble: Ensemble
    bound: Bound
    certified: np.ndarray
    """Mask of the seeds that converged to the global minimum, to `GAP_LEVEL` and rounding."""
    observed: Mapping[Any, np.ndarray]
    """The observable of each claim; the leading axis is seeds (of a claim about any point starts first, then ends)."""
    terms: Mapping[Any, np.ndarray]
    """The size of the terms that cancel in the observable, of each claim that names them."""
    sizes: Mapping[Any, float]
    """What errors are relative to where the prediction of a claim is zero."""
    sensitivity: Mapping[Any, np.ndarray]
    """The change of each claim's observable per unit of residual gradient, by seed: the largest over the sampled end states
    of the seed's type, infinite where none was sampled."""
    reports: tuple[HessianReport, ...]
    """Hessians at sampled end states."""
    types: tuple[EndType, ...]
    """The kinds of end states, by value."""
    value_rounding: np.ndarray
    """The rounding of the objective at each seed, of the size of its terms."""

    def gradient_bound(self) -> np.ndarray:
        """Gradient norms with their rounding, of the size of the terms that cancel in a gradient at a critical point.

        Those are as large as the Hessian's norm times the point's, or as the largest gradient met on the way.
        """
        top = max((float(np.max(np.abs(r.eigenvalues), initial=0.0)) for r in self.reports), default=1.0)
        norms = np.sqrt(
            sum(np.sum(np.square(x).reshape(x.shape[0], -1), axis=1) for x in jax.tree.leaves(self.ensemble.params))
        )
        ensemble = self.ensemble
        return ensemble.grad_norm + rounding(self.problem, top * norms + ensemble.peak_grad_norm)

    def predicted_by(self, predict: Callable[..., Any]) -> Any:
        """What a theorem's formula says of this problem."""
        return predict(self.problem)

    @property
    def seeds(self) -> np.ndarray:
        """The seeds that were run."""
        return self.ensemble.seeds

    @property
    def statuses(self) -> dict[str, int]:
        """Number of seeds by how they ended."""
        return self.ensemble.counts()

    @property
    def at_minimum(self) -> np.ndarray:
        """Mask of the seeds with a certificate that they are at the global minimum, which rests on nothing only tested."""
        return self.certified & self.bound.valid & (self.bound.assumes is None)

    def candidates(self, several_basins: bool) -> np.ndarray:
        """Seeds that may support a theorem: certified ones or, where other basins are part of the theory, converged ones."""
        if not np.any(self.certified):
            return np.zeros(0, int)
        return self.seeds[self.ensemble.converged if several_basins else self.certified]


@shown()
@dataclasses.dataclass(frozen=True)
class EndStates(Points):
    """The points at which the flow (or the polish) ended, from random starts."""

    uniqueness: Uniqueness | None = None
    """Whether the certified minimiser is the only one up to the gauge; None where there is none."""
    brackets: Mapping[Any, Bracket] = dataclasses.field(default_factory=dict)
    """Where each threshold was located, by the `location` of its claim; only on those instances where it was sought."""
    search_needed: int = 0
    """Seeds from which on the best point found may stand for the minimum, where there is no certificate."""

    @property
    def best_found(self) -> bool:
        """Whether the best point found stands for the minimum, because there is no certificate."""
        return not bool(np.any(self.bound.valid))

    @property
    def search_too_short(self) -> bool:
        """Whether what no seed found may yet be there."""
        return self.best_found and len(self.seeds) < self.search_needed


@shown()
@dataclasses.dataclass(frozen=True)
class CriticalPoints(Points):
    """Critical points of every index, from a search."""


@shown()
@dataclasses.dataclass(frozen=True)
class Trajectories:
    """Whole paths from random starts, observed on the way."""

    problem: Problem
    spec: Any
    """The `TrajectorySpec` by which they were followed."""
    seeds: np.ndarray
    status: np.ndarray
    """`Status` codes."""
    sound: np.ndarray
    """Mask of the seeds that were followed to the end and keep what the process conserves."""
    observed: Mapping[Any, np.ndarray]
    """The observable of each claim: seeds x times x …, or with several initial scales seeds x scales x … at the last time."""
    errors: Mapping[Any, np.ndarray]
    """The error that the process itself makes in each claim's observable, seeds x times (or scales)."""
    terms: Mapping[Any, np.ndarray]
    starts: Params
    values: np.ndarray
    """Objective at the end of each path."""
    drift: float
    """Largest relative drift of what the flow conserves; NaN where nothing is known to be."""
    dissipation: float
    """Largest relative error of the balance of energy; NaN of anything but a flow."""

    def predicted_by(self, predict: Callable[..., Any]) -> Any:
        """What a theorem's formula says of each path, with a leading axis."""
        times = np.asarray(self.spec.times, np.float64)
        return in_few_lengths(lambda some: _predict_paths(self.problem, some, times, predict=predict), self.starts)

    @property
    def statuses(self) -> dict[str, int]:
        """Number of seeds by how they ended."""
        from nctheory.flow import Status

        return {status.name.lower(): int(np.sum(self.status == status)) for status in Status}

    @property
    def at_minimum(self) -> np.ndarray:
        """No path is certified to be at a minimum."""
        return np.zeros(self.seeds.size, bool)

    def candidates(self, several_basins: bool) -> np.ndarray:
        """Seeds that may support a theorem: those of sound paths."""
        return self.seeds[self.sound]


@shown()
@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Points that training passes, for laws about every point: none of them is an end state of anything."""

    problem: Problem
    seeds: np.ndarray
    steps: tuple[int, ...]
    """The numbers of training steps after which every seed was looked at."""
    followed: np.ndarray
    """Mask of the seeds whose training stayed finite."""
    observed: Mapping[Any, np.ndarray]
    """The observable of each claim at all checkpoints: those of all seeds at the first of the steps, then at the next."""
    terms: Mapping[Any, np.ndarray]
    """The size of the terms that cancel in the observable, of each claim that names them."""
    sizes: Mapping[Any, float]
    """What errors are relative to where the prediction of a claim is zero."""

    def predicted_by(self, predict: Callable[..., Any]) -> Any:
        """What a theorem's formula says of this problem."""
        return predict(self.problem)

    @property
    def statuses(self) -> dict[str, int]:
        """Number of seeds by how training went; none is looked at for convergence."""
        trained = int(np.sum(self.followed))
        return {"converged": 0, "trained": trained, "diverged": len(self.seeds) - trained}

    @property
    def at_minimum(self) -> np.ndarray:
        """No checkpoint is certified to be at a minimum."""
        return np.zeros(self.seeds.size, bool)

    def candidates(self, several_basins: bool) -> np.ndarray:
        """Seeds that may support a theorem: those whose training stayed finite."""
        return self.seeds[self.followed]


Evidence = EndStates | CriticalPoints | Trajectories | Checkpoints


@partial(fast_compile, static_argnames="predict")
def _predict_paths(problem: Problem, starts: Params, times: Array, predict: Callable[..., Any]) -> Any:
    # A path asks for as many matrices as it has times.
    block = max(1, MAX_POINTS // times.shape[0])
    return map_in_blocks(lambda start: predict(problem, start, times), starts, block)


__all__ = ["Bracket", "Checkpoints", "CriticalPoints", "EndStates", "EndType", "Evidence", "Points", "Trajectories"]
