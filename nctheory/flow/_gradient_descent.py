"""`gradient_descent`: whole paths of many seeds by gradient descent in finite steps."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import EPS, as_key, check_flag, float64, is_finite, untraced
from nctheory.flow._path_blocks import as_paths, distances, flat_starts, in_blocks, observer, unknown
from nctheory.flow._path_program import Followed, descent_block
from nctheory.flow._path_types import Paths
from nctheory.problems import Params, Problem, size


@untraced()
@float64
def gradient_descent(
    problem: Problem,
    params: Params,
    steps: Sequence[int] | Sequence[float] | np.ndarray,
    rule: float | Any,
    *,
    observe: Callable[[Any, Params], Any] | None = None,
    batch: int | None = None,
    key: int | PRNGKeyArray = 0,
    compare: bool = True,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    light: bool = False,
) -> Paths:
    """Gradient descent in finite steps from each of `params` (leading axis seeds), observed after given numbers of `steps`.

    `rule` is a step size, for plain gradient descent, or an optax gradient transformation (momentum, Adam, …). With `batch`
    each step sees that many columns (samples), drawn with replacement, in the place of all: stochastic gradients, whose draws
    are those of `key` and of the seed's position. This is another process than the flow, and its `Paths.times` are
    numbers of steps. With `compare` the error is how far what is observed moves when the start is moved, relatively, by
    the rounding unit times the number of steps.

    Raises ValueError, naming the argument, for steps that do not increase and a step size that is not positive.

    >>> import nctheory as nct, optax
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> begin = nct.starts(model, seeds=3)
    >>> paths = gradient_descent(model, begin, [10, 500], optax.sgd(0.3, momentum=0.9), observe=lambda p, x: p.objective(x))
    >>> paths.values.shape, bool((paths.values[:, 1] < paths.values[:, 0]).all())
    ((3, 2), True)
    """
    at = np.asarray(steps)
    whole = at.ndim == 1 and at.size > 0 and np.issubdtype(at.dtype, np.integer)
    if not whole or at[0] < 0 or np.any(np.diff(at) <= 0):
        raise ValueError(f"steps: expected whole numbers that increase from 0 or later, got {steps!r}")
    plain = isinstance(rule, int | float | np.floating)
    if plain and not (is_finite(rule) and rule > 0):
        raise ValueError(f"rule: expected a positive step size or an optax transformation, got {rule}")
    if not plain and not (hasattr(rule, "init") and hasattr(rule, "update")):
        raise ValueError(f"rule: expected a positive step size or an optax transformation, got {rule!r}")
    if batch is not None and not (is_finite(batch) and batch >= 1):
        raise ValueError(f"batch: expected at least 1 column, got {batch}")
    check_flag("light", light)
    root = as_key(key)
    flat, bad = flat_starts(problem, params)
    keys = np.asarray(jax.random.key_data(jax.random.split(root, len(flat))))

    def follow(vectors: np.ndarray, tell: Callable[[int], None] | None) -> Followed:
        def block(some: Any) -> Followed:
            return descent_block(
                problem, some[0], jax.random.wrap_key_data(some[1]), at, np.asarray(float(rule) if plain else 0.0),
                observe=observer(observe), rule=None if plain else rule, batch=batch, light=light,
            )  # fmt: skip

        return in_blocks(block, (vectors, keys), size(problem), workers, tell)

    found = follow(flat, progress)
    if not compare:
        return as_paths(at, found, unknown(found.values), bad)
    noise = np.random.default_rng(17).normal(size=flat.shape)
    moved = follow(flat * (1.0 + EPS * (1.0 + at[-1]) * noise), None)
    return as_paths(at, found, distances(found.values, moved.values, np.zeros(len(flat))), bad)
