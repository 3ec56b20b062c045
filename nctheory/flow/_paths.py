"""`flow` and `descend`: whole paths of many seeds, by the true gradient flow and by gradient descent."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._precision import EPS, float64
from nctheory.flow._path_program import Event, Followed, Observe, descent_block, flow_block
from nctheory.flow._path_types import Paths, PathStatus
from nctheory.flow._program import lane_count
from nctheory.flow._program import starts as flat_starts
from nctheory.flow._solve import as_key, as_seeds
from nctheory.problems import Params, Problem, size, unravel

PathMethod = Literal["auto", "explicit", "implicit"]
COARSE = 30.0
"""Factor on the tolerance of the run that the error is estimated by."""
IMPLICIT_MOST = 1000
"""Parameters up to which an implicit method, which factors a Jacobian, is tried."""


@float64
def starts(
    problem: Problem,
    seeds: int | Sequence[int] | np.ndarray = 256,
    key: int | PRNGKeyArray = 0,
    scale: float = 1.0,
) -> Params:
    """The starts of `solve`, `init(fold_in(key, seed), scale)`, as a pytree with a leading axis seeds.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(0.1, 0.1))
    >>> starts(model, seeds=5).features.shape
    (5, 3, 4)
    """
    return unravel(problem, np.asarray(flat_starts(problem, as_key(key), as_seeds(seeds), jnp.asarray(float(scale)))))


@float64
def flow(
    problem: Problem,
    params: Params,
    times: Sequence[float] | Sequence[int] | np.ndarray,
    *,
    observe: Callable[[Any, Params], Any] | None = None,
    event: Event | None = None,
    method: PathMethod | str = "auto",
    tolerance: float = 1e-11,
    max_steps: int = 10_000,
    compare: bool = True,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    light: bool = False,
) -> Paths:
    r"""Follow the gradient flow $\dot\theta=-\nabla f(\theta)$ from each of `params` (leading axis seeds), seen at `times`.

    Every seed has its own adaptive steps: the local error of a step, in root mean square over the P parameters, is at most
    $\tau(|\theta_i|+|\theta(0)|/\sqrt P)$ with $\tau$ `tolerance`. `times` increase from 0 or later; `observe(problem,
    params)` is what is kept of a point (by default all of it; state what you need, for seeds x times points are many).
    `event(problem, params)` ends a seed's path where it changes sign. `method` "explicit" is Dormand and Prince's of order
    8, "implicit" Kværnø's of order 5 for stiff problems (up to 1000 parameters); "auto" falls back on it where the explicit
    one spends `max_steps`. With `compare` each path is computed again with thirty times the tolerance, and
    `Paths.error` says how far what is observed has moved: an estimate of the integrator's error that is too large rather
    than too small. `Paths.drift` and `Paths.dissipation` check every path against what the flow conserves.

    Returns `Paths` of NumPy arrays; a bad seed never raises. Raises ValueError, naming the argument, for times that do not
    increase, and for what is out of range.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> paths = flow(model, nct.starts(model, seeds=3), [0.5, 1.0], observe=lambda p, x: p.objective(x))
    >>> paths.values.shape, bool((paths.values[:, 1] < paths.values[:, 0]).all()), bool((paths.dissipation < 1e-10).all())
    ((3, 2), True, True)
    """
    at = np.asarray(times, np.float64)
    if at.ndim != 1 or at.size == 0 or not np.all(np.isfinite(at)) or at[0] < 0 or np.any(np.diff(at) <= 0):
        raise ValueError(f"times: expected finite numbers that increase from 0 or later, got {times!r}")
    if at[-1] == 0:
        raise ValueError("times: expected one after 0, got none")
    if method not in ("auto", "explicit", "implicit"):
        raise ValueError(f"method: expected 'auto', 'explicit' or 'implicit', got {method!r}")
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a finite positive number, got {tolerance}")
    if max_steps < 1:
        raise ValueError(f"max_steps: expected at least 1, got {max_steps}")
    if method == "implicit" and size(problem) > IMPLICIT_MOST:
        raise ValueError(f"method: expected 'explicit' for {size(problem)} parameters, more than {IMPLICIT_MOST}")
    flat, bad = _flat(problem, params)

    def run(vectors: np.ndarray, chosen: str) -> tuple[Followed, Any]:
        def follow(accuracy: float, tell: Callable[[int], None] | None) -> Followed:
            def block(some: Any) -> Followed:
                return flow_block(
                    problem, some[0], at, np.asarray(accuracy), observe=_observer(observe), event=event, method=chosen,
                    max_steps=max_steps, light=light,
                )  # fmt: skip

            return _in_blocks(block, (vectors,), size(problem), workers, tell)

        fine = follow(tolerance, progress)
        if not compare:
            return fine, _unknown(fine.values)
        return fine, _distances(
            fine.values, follow(COARSE * tolerance, None).values, np.asarray(tolerance * fine.steps)
        )

    found, error = run(flat, "explicit" if method == "auto" else method)
    stiff = np.flatnonzero(found.status == PathStatus.STEPS_SPENT)
    if method == "auto" and stiff.size and size(problem) <= IMPLICIT_MOST:
        again = run(flat[stiff], "implicit")

        def put(old: Any, new: Any) -> Any:
            old = np.array(old)
            old[stiff] = new
            return old

        found, error = jax.tree.map(put, (found, error), again)
    return _paths(at, found, error, bad)


@float64
def descend(
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
    >>> paths = descend(model, begin, [10, 500], optax.sgd(0.3, momentum=0.9), observe=lambda p, x: p.objective(x))
    >>> paths.values.shape, bool((paths.values[:, 1] < paths.values[:, 0]).all())
    ((3, 2), True)
    """
    at = np.asarray(steps)
    whole = at.ndim == 1 and at.size > 0 and np.issubdtype(at.dtype, np.integer)
    if not whole or at[0] < 0 or np.any(np.diff(at) <= 0):
        raise ValueError(f"steps: expected whole numbers that increase from 0 or later, got {steps!r}")
    plain = isinstance(rule, int | float | np.floating)
    if plain and not (np.isfinite(rule) and rule > 0):
        raise ValueError(f"rule: expected a positive step size or an optax transformation, got {rule}")
    if not plain and not (hasattr(rule, "init") and hasattr(rule, "update")):
        raise ValueError(f"rule: expected a positive step size or an optax transformation, got {rule!r}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch: expected at least 1 column, got {batch}")
    flat, bad = _flat(problem, params)
    keys = np.asarray(jax.random.key_data(jax.random.split(as_key(key), len(flat))))

    def follow(vectors: np.ndarray, tell: Callable[[int], None] | None) -> Followed:
        def block(some: Any) -> Followed:
            return descent_block(
                problem, some[0], jax.random.wrap_key_data(some[1]), at, np.asarray(float(rule) if plain else 0.0),
                observe=_observer(observe), rule=None if plain else rule, batch=batch, light=light,
            )  # fmt: skip

        return _in_blocks(block, (vectors, keys), size(problem), workers, tell)

    found = follow(flat, progress)
    if not compare:
        return _paths(at, found, _unknown(found.values), bad)
    noise = np.random.default_rng(17).normal(size=flat.shape)
    moved = follow(flat * (1.0 + EPS * (1.0 + at[-1]) * noise), None)
    return _paths(at, found, _distances(found.values, moved.values, np.zeros(len(flat))), bad)


def _paths(at: np.ndarray, found: Followed, error: Any, bad: np.ndarray) -> Paths:
    status = np.where(bad, PathStatus.LOST, found.status).astype(np.int8)

    def without(x: Any) -> np.ndarray:
        return np.where(bad.reshape(-1, *[1] * (np.ndim(x) - 1)), np.nan, x)

    values, error, rest = jax.tree.map(
        without, (found.values, error, (found.drift, found.dissipation, found.event_time))
    )
    return Paths(at, values, error, status, np.where(bad, 0, found.steps), *rest)


def _distances(values: Any, others: Any, least: np.ndarray) -> Any:
    """Largest distance so far, at every time (the two curves may cross where both are off), or `least` of the size."""

    def norm(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=2)

    def one(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.maximum(np.maximum.accumulate(norm(x - y), axis=1), least[:, None] * norm(x))

    return jax.tree.map(one, values, others)


def _unknown(values: Any) -> Any:
    return jax.tree.map(lambda x: np.full(x.shape[:2], np.nan), values)


def _flat(problem: Problem, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """The starts as vectors; and which of them are not finite (they are replaced by zeros, and their paths lost)."""
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(params)]
    counts = {x.shape[0] if x.ndim else 0 for x in leaves}
    numbers = sum(x[:1].size for x in leaves)
    if len(counts) != 1 or 0 in counts or numbers != size(problem):
        raise ValueError(
            f"params: expected {size(problem)} numbers a seed and a leading axis seeds, got shapes {[x.shape for x in leaves]}"
        )
    flat = np.concatenate([x.reshape(x.shape[0], -1) for x in leaves], axis=1)
    bad = np.asarray(~np.isfinite(flat).all(axis=1))
    return np.where(bad[:, None], 0.0, flat), bad


@cache
def _observer(observe: Callable[..., Any] | None) -> Observe:
    """A function of problem, point and start; always the same object for the same `observe`, for the compiler's sake."""
    if observe is None:
        return whole_point
    if getattr(observe, "sees_start", False):
        return observe
    return partial(_without_start, observe)


def whole_point(problem: Problem, params: Params, start: Params) -> Params:
    """All parameters."""
    return params


def _without_start(observe: Callable[[Any, Params], Any], problem: Problem, params: Params, start: Params) -> Any:
    return observe(problem, params)


def _in_blocks(
    block: Callable[[Any], Any],
    items: tuple[np.ndarray, ...],
    parameters: int,
    workers: int | None,
    progress: Callable[[int], None] | None,
) -> Any:
    """`block` on a few lanes of all items at a time, on several threads; the last lanes are filled up."""
    count = len(items[0])
    lanes = lane_count(parameters, count, jax.default_backend())

    def pieces() -> Iterator[np.ndarray]:
        for begin in range(0, count, lanes):
            yield np.minimum(np.arange(begin, begin + lanes), count - 1)

    def run(index: np.ndarray) -> Any:
        with jax.enable_x64(True):
            out = jax.tree.map(np.asarray, block(tuple(x[index] for x in items)))
        if progress is not None:
            progress(int(min(lanes, count - index[0])))
        return out

    several = workers or (os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1)
    with ThreadPoolExecutor(max(1, min(several, -(-count // lanes)))) as pool:
        parts = list(pool.map(run, pieces()))
    return jax.tree.map(lambda *xs: np.concatenate(xs)[:count], *parts)
