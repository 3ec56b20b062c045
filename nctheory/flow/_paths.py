"""`gradient_flow`: whole paths of many seeds by the true gradient flow."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import as_key, check_flag, float64, is_finite, untraced
from nctheory.flow._path_blocks import as_paths, distances, flat_starts, in_blocks, observer, unknown
from nctheory.flow._path_program import Event, Followed, flow_block
from nctheory.flow._path_types import Paths, PathStatus
from nctheory.flow._program import starts as start_vectors
from nctheory.flow._solve import as_seeds
from nctheory.problems import Params, Problem, expect_problem, size, unravel

PathMethod = Literal["auto", "explicit", "implicit"]
COARSE = 30.0
"""The error is estimated by a second run, whose tolerance is larger by this factor."""
MAX_IMPLICIT_PARAMETERS = 1000
"""An implicit method, which factors a Jacobian, is tried for at most this many parameters."""


@untraced()
@float64
def starts(
    problem: Problem,
    seeds: int | Sequence[int] | np.ndarray = 256,
    key: int | PRNGKeyArray = 0,
    scale: float = 1.0,
) -> Params:
    """The starts of `solve`, `init(fold_in(key, seed), scale)`, as a pytree with a leading axis seeds.

    Raises ValueError, naming the argument, for what `solve` refuses as a problem, seeds, a key or a scale.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(0.1, 0.1))
    >>> starts(model, seeds=5).features.shape
    (5, 3, 4)
    """
    expect_problem(problem)
    root, numbers = as_key(key), as_seeds(seeds)
    if not is_finite(scale):
        raise ValueError(f"scale: expected a finite number, got {scale!r}")
    return unravel(problem, np.asarray(start_vectors(problem, root, numbers, jnp.asarray(float(scale)))))


@untraced("`follow_flow` can be traced")
@float64
def gradient_flow(
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

    Every seed has its own adaptive steps, which end at the `times` where those are at most 64 (the methods' interpolants are
    less accurate than their steps): the local error of a step, in root mean square over the P parameters, is at most
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
    >>> paths = gradient_flow(model, nct.starts(model, seeds=3), [0.5, 1.0], observe=lambda p, x: p.objective(x))
    >>> paths.values.shape, bool((paths.values[:, 1] < paths.values[:, 0]).all()), bool((paths.dissipation < 1e-10).all())
    ((3, 2), True, True)
    """
    at = _checked_times(times)
    _check_options(problem, method, tolerance, max_steps)
    check_flag("light", light)
    flat, bad = flat_starts(problem, params)

    def run(vectors: np.ndarray, chosen: str) -> tuple[Followed, Any]:
        def follow(accuracy: float, tell: Callable[[int], None] | None) -> Followed:
            def block(some: Any) -> Followed:
                return flow_block(
                    problem, some[0], at, np.asarray(accuracy), observe=observer(observe), event=event, method=chosen,
                    max_steps=max_steps, light=light,
                )  # fmt: skip

            return in_blocks(block, (vectors,), size(problem), workers, tell)

        fine = follow(tolerance, progress)
        if not compare:
            return fine, unknown(fine.values)
        return fine, distances(fine.values, follow(COARSE * tolerance, None).values, np.asarray(tolerance * fine.steps))

    found, error = run(flat, "explicit" if method == "auto" else method)
    # The automatic choice: paths on which the explicit method spends its steps are stiff, and are computed again.
    stiff = np.flatnonzero(found.status == PathStatus.STEPS_SPENT)
    if method == "auto" and stiff.size and size(problem) <= MAX_IMPLICIT_PARAMETERS:
        again = run(flat[stiff], "implicit")

        def put(old: Any, new: Any) -> Any:
            old = np.array(old)
            old[stiff] = new
            return old

        found, error = jax.tree.map(put, (found, error), again)
    return as_paths(at, found, error, bad)


def _checked_times(times: Sequence[float] | Sequence[int] | np.ndarray) -> np.ndarray:
    """The times as an array; raises ValueError unless they are finite, increase from 0 or later, and one is after 0."""
    at = np.asarray(times, np.float64)
    if at.ndim != 1 or at.size == 0 or not np.all(np.isfinite(at)) or at[0] < 0 or np.any(np.diff(at) <= 0):
        raise ValueError(f"times: expected finite numbers that increase from 0 or later, got {times!r}")
    if at[-1] == 0:
        raise ValueError("times: expected one after 0, got none")
    return at


def _check_options(problem: Problem, method: str, tolerance: float, max_steps: int) -> None:
    """Raise ValueError, naming the argument, for one out of range."""
    if method not in ("auto", "explicit", "implicit"):
        raise ValueError(f"method: expected 'auto', 'explicit' or 'implicit', got {method!r}")
    if not (is_finite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a finite positive number, got {tolerance}")
    if not (is_finite(max_steps) and max_steps >= 1):
        raise ValueError(f"max_steps: expected at least 1, got {max_steps}")
    if method == "implicit" and size(problem) > MAX_IMPLICIT_PARAMETERS:
        raise ValueError(
            f"method: expected 'explicit' for {size(problem)} parameters, more than {MAX_IMPLICIT_PARAMETERS}"
        )
