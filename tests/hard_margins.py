"""Hard-margin problems with random scales."""

from typing import Any

import jax
import numpy as np

import nctheory as nct


def scales(counts, class_wise, label_wise, rng):
    draw = lambda wanted: np.exp(rng.uniform(-1, 1, size=len(counts))) if wanted else np.ones(len(counts))  # noqa: E731
    return draw(class_wise), draw(label_wise)


def flat_objective(problem, unit=1.0) -> Any:
    """Value and gradient for scipy, in units of `unit`."""

    @jax.jit
    def both(vector):
        value, gradient = problem.value_and_grad(nct.problems.unravel(problem, vector))
        return value / unit, nct.problems.ravel(gradient) / unit

    return lambda vector: (lambda pair: (float(pair[0]), np.asarray(pair[1])))(both(vector))
