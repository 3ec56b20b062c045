"""`solve_from`: the solver from given points instead of random starts."""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import float64, untraced
from nctheory.flow._diagnose import diagnose
from nctheory.flow._items import Options
from nctheory.flow._program import Chunk, fresh, solve_chunk
from nctheory.flow._solve import gather_ensemble
from nctheory.flow._stages import Stage
from nctheory.flow._status import Ensemble
from nctheory.problems import Params, Problem, as_family, check_points, ravel, scales_of


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
) -> Ensemble:
    """Follow the gradient flow from each of `points` (a pytree with a leading axis) to a critical point, as `solve` does.

    "Seed" i of the ensemble is point i. Raises ValueError for a tolerance that is not positive or no points.

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> ends = nct.solve(model, seeds=3)
    >>> again = solve_from(model, ends.params)
    >>> bool(abs(again.value - ends.value).max() < 1e-12)
    True
    """
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a finite positive number, got {tolerance}")
    (count,) = check_points(problem, points, name="points")
    if count < 1:
        raise ValueError("points: expected at least one, got none")
    flat = jax.vmap(ravel)(jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), points))
    settings = Options(tolerance=tolerance, rtol=rtol, switch=switch, budget=budget).settings()
    family, contexts = as_family([problem])
    context = jnp.asarray(np.repeat(contexts, count, axis=0))
    scales = scales_of(problem)
    standing = jax.vmap(lambda point, context: fresh(point, settings, Stage.FLOW, context, scales))(flat, context)
    chunk = Chunk(jnp.arange(count), jnp.ones(count, bool), context, standing)
    records = solve_chunk(family, jax.random.key(0), chunk, settings, (jax.local_devices()[0],), light=False)
    found = diagnose(family, jax.tree.map(np.asarray, records))
    return gather_ensemble(problem, np.arange(count), found)
