"""Optimisers that bring structured starts down before they are polished to a critical point, each under its own name."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from nctheory.engine import Array, fast_compile
from nctheory.problems import Problem, ravel, unravel

Vectors = Float[np.ndarray, "S P"]
LBFGS, MOMENTUM = "L-BFGS (SciPy), then polish", "gradient descent with momentum, then polish"
FLOW, POLISH = "gradient flow, then polish", "polish (Barzilai-Borwein, Newton)"
EVALUATIONS = 3000
"""Evaluations of objective and gradient per start (conventional)."""
MEMORY = 20
"""Pairs of steps and gradient changes that L-BFGS remembers (conventional)."""
RATE, FRICTION = 0.02, 0.9
"""First step of the descent with momentum, relative to the start's size over its gradient, and what is kept of a step."""


@fast_compile
def _value_and_gradient(problem: Problem, vector: Array) -> tuple[Array, Array]:
    value, gradient = problem.value_and_grad(unravel(problem, vector))
    return jnp.asarray(value), ravel(gradient)


def value_and_gradient(problem: Problem, vector: np.ndarray) -> tuple[float, np.ndarray]:
    """Objective and gradient at a vector, by one program for all problems of a shape."""
    value, gradient = _value_and_gradient(problem, vector, light=False)
    return float(value), np.asarray(gradient, np.float64)


def lbfgs(problem: Problem, start: np.ndarray) -> np.ndarray:
    """The end of SciPy's L-BFGS-B, without bounds, from a start."""

    problem = jax.tree.map(jnp.asarray, problem)  # once, and not in every evaluation

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        return value_and_gradient(problem, vector)

    options = {"maxiter": EVALUATIONS, "maxfun": EVALUATIONS, "maxcor": MEMORY, "ftol": 1e-15, "gtol": 1e-10}
    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x)


def momentum(problem: Problem, start: np.ndarray) -> np.ndarray:
    """The best point of gradient descent with momentum, whose step is halved, and its speed lost, where the value rises."""
    problem = jax.tree.map(jnp.asarray, problem)
    point, speed = start, np.zeros_like(start)
    value, gradient = value_and_gradient(problem, point)
    norm = float(np.linalg.norm(gradient))
    if not np.isfinite(norm) or norm == 0.0:
        return start
    step = RATE * max(float(np.linalg.norm(start)), 1e-3) / norm
    for _ in range(EVALUATIONS // 3):
        trial_speed = FRICTION * speed - step * gradient
        trial = point + trial_speed
        trial_value, trial_gradient = value_and_gradient(problem, trial)
        if np.isfinite(trial_value) and trial_value <= value:
            point, speed, value, gradient = trial, trial_speed, trial_value, trial_gradient
            step *= 1.02
        else:
            step, speed = 0.5 * step, np.zeros_like(start)
            if step * float(np.linalg.norm(gradient)) < 1e-13 * max(float(np.linalg.norm(point)), 1e-300):
                break
    return point


Optimiser = Callable[[Problem, np.ndarray], np.ndarray]
OPTIMISERS: dict[str, Optimiser] = {LBFGS: lbfgs, MOMENTUM: momentum, POLISH: lambda problem, start: start}
_TURN = (LBFGS, LBFGS, POLISH, LBFGS, MOMENTUM)
"""Who brings the starts down, one after the other: mostly the fastest."""


def brought_down(problem: Problem, vectors: Vectors, late: Callable[[], bool]) -> tuple[Vectors, dict[str, int]]:
    """The starts, each brought down by one of the optimisers in turn, and how many by which.

    Once `late()` they are left where they are, for the polish alone.
    """
    ends, counts = [], dict[str, int]()
    for number, vector in enumerate(vectors):
        name = POLISH if late() else _TURN[number % len(_TURN)]
        end = OPTIMISERS[name](problem, vector)
        ends.append(end if np.all(np.isfinite(end)) else vector)
        counts[name] = counts.get(name, 0) + 1
    return np.asarray(ends).reshape(vectors.shape), counts


def as_vectors(points: Any) -> Vectors:
    """Points with a leading axis as flat vectors, in the order of `ravel`."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(points)]
    return np.concatenate([leaf.reshape(leaf.shape[0], int(np.prod(leaf.shape[1:]))) for leaf in leaves], axis=1)


__all__ = ["FLOW", "OPTIMISERS", "POLISH", "as_vectors", "brought_down", "value_and_gradient"]
