"""The largest step size at which a process is stable on a quadratic, and how a quadratic is told."""

import jax
import numpy as np

from nctheory.engine import Array, fast_compile
from nctheory.problems import Problem, size, unravel

MAX_PARAMETERS = 300
"""Of at most so many parameters two Hessians are taken before a run (conventional: they cost less than the run then)."""
EQUAL = 1e-9
"""Two Hessians that differ by less, relatively, are those of a quadratic (derived: rounding of sums of 300 products is 1e-13,
and an objective whose curvature changes by less behaves as a quadratic does)."""
LIMITS = {"overdamped": "2 / L", "sgd": "2 / L", "underdamped": "2 / sqrt(L)"}
"""The limits by kind, for a largest curvature L: where |1 - eta L| reaches 1, and where a step of the leapfrog does."""


@fast_compile
def _hessians(problem: Problem, points: Array) -> Array:
    return jax.vmap(lambda point: problem.hessian(unravel(problem, point)))(points)


def quadratic_curvature(problem: Problem, start: np.ndarray) -> float | None:
    """The largest curvature of a quadratic objective; None of another objective, or of too many parameters to tell."""
    if size(problem) > MAX_PARAMETERS or not np.all(np.isfinite(start)):
        return None
    elsewhere = start + np.random.default_rng(5).normal(size=start.shape) * (1.0 + np.sqrt(np.mean(start**2)))
    here, there = np.asarray(_hessians(problem, np.stack([start, elsewhere])))
    if not np.all(np.isfinite(here)) or not np.max(np.abs(here - there)) <= EQUAL * np.max(np.abs(here)):
        return None
    return float(np.linalg.eigvalsh(0.5 * (here + here.T))[-1])


def check_step(problem: Problem, start: np.ndarray, kind: str, step_size: float) -> None:
    """Raise ValueError where a process on a quadratic diverges with this step size."""
    if kind not in LIMITS:
        return
    curvature = quadratic_curvature(problem, start)
    if curvature is None or curvature <= 0:
        return
    limit = 2.0 / (np.sqrt(curvature) if kind == "underdamped" else curvature)
    if step_size >= limit:
        raise ValueError(
            f"step_size: expected less than {limit:.6g} = {LIMITS[kind]}, beyond which {kind} chains diverge on a quadratic "
            f"of largest curvature L = {curvature:.6g}; got {step_size:.6g}"
        )
