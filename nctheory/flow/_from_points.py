"""`solve_from`: the solver from given points instead of random starts."""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import float64, is_finite, untraced
from nctheory.flow._diagnose import diagnose
from nctheory.flow._items import Method, Options
from nctheory.flow._kernel_road import Kernel, solve_by_road
from nctheory.flow._kinked import (
    COARSE_TOLERANCE,
    KINK_TOLERANCE,
    has_kinks,
    polish_rounded,
    rounded_family,
    standing_records,
)
from nctheory.flow._program import Chunk, fresh
from nctheory.flow._record import Record
from nctheory.flow._solve import gather_ensemble
from nctheory.flow._stages import Stage
from nctheory.flow._status import Ensemble
from nctheory.problems import Family, Params, Problem, as_family, ravel, read_points, scales_of


@untraced("for many members of a family there are `solve_many` and `sweep`")
@float64
def solve_from(
    problem: Problem,
    points: Params,
    *,
    tolerance: float = 1e-10,
    rtol: float = 1e-3,
    switch: float = 0.03,
    budget: int = 200_000,
    method: Method | str = "flow+polish",
    chunk: int | None = None,
    light: bool = False,
    kernel: Kernel | str = "auto",
) -> Ensemble:
    """Follow the gradient flow from each of `points` (a pytree with a leading axis) to a critical point, as `solve` does.

    "Seed" i of the ensemble is point i. `method`, `budget`, `light` and `kernel` are those of `solve`; points are worked
    on `chunk` at a time (by default all at once), by one compiled program whatever their number. Raises ValueError for a
    tolerance that is not positive, no points, and other arguments out of range.

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> ends = nct.solve(model, seeds=3)
    >>> again = solve_from(model, ends.params)
    >>> bool(abs(again.value - ends.value).max() < 1e-12)
    True
    """
    if not (is_finite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a finite positive number, got {tolerance}")
    (count,), points = read_points(problem, points, name="points")
    flat = jax.vmap(ravel)(points)
    options = Options(
        method, tolerance, rtol=rtol, switch=switch, budget=budget, chunk=chunk, light=light, kernel=kernel
    )
    options.check()
    family, contexts = as_family([problem])
    contexts, flat = np.repeat(contexts, count, axis=0), np.asarray(flat)
    if options.method == "flow" or not has_kinks(family, contexts):
        return gather_ensemble(problem, np.arange(count), _solve_smooth(family, contexts, flat, options))
    # As in `solve`: the flow of the problem with its kinks rounded off, and a polish whose rounding falls to nothing.
    rounded, wider = rounded_family(family, contexts)
    settings = options._replace(tolerance=max(tolerance, KINK_TOLERANCE)).settings()
    records = standing_records(rounded, wider, flat, settings)
    if options.method != "polish":
        begun = _solve_smooth(rounded, wider, flat, options._replace(tolerance=COARSE_TOLERANCE))
        records = begun._replace(tolerance=records.tolerance)
    found = polish_rounded(rounded, records, settings, count if chunk is None else chunk, 1)
    return gather_ensemble(problem, np.arange(count), found)


def _solve_smooth(family: Family, contexts: np.ndarray, flat: np.ndarray, options: Options) -> Record:
    """The records of points, seeds x P, at their ends, `options.chunk` at a time."""
    count, settings = len(flat), options.settings()
    width = count if options.chunk is None else options.chunk
    stage = Stage.POLISH if options.method == "polish" else Stage.FLOW
    scales = scales_of(family.at(contexts[0]))
    parts = []
    for begin in range(0, count, width):
        # Every call has the same number of points, of which those that fill it up are not live.
        number = min(width, count - begin)
        index = np.resize(np.arange(begin, begin + number), width)
        context = jnp.asarray(contexts[index])
        standing = jax.vmap(lambda point, context: fresh(point, settings, stage, context, scales))(
            jnp.asarray(flat[index]), context
        )
        some = Chunk(jnp.arange(width), jnp.arange(width) < number, context, standing)
        devices = (jax.local_devices()[0],)
        root = jax.random.key(0)  # of which nothing is drawn
        records = solve_by_road(family, root, some, settings, devices, light=options.light, kernel=options.kernel)
        parts.append(jax.tree.map(lambda x, number=number: np.asarray(x)[:number], records))
    return diagnose(family, jax.tree.map(lambda *xs: np.concatenate(xs), *parts))
