r"""The branches of a problem with kinks: what it is on either side of each, and the least element of Clarke's subdifferential.

At a point some kinks are met exactly, and the others lie on one side. Every slope s in [0, 1] at a kink that is met gives an
element $g(x,s)$ of the subdifferential; the point is stationary where the least of them vanishes. The points that meet the
same kinks form a manifold on which the problem is smooth: there $\partial_xg$ is the Hessian of a Lagrangian whose
multipliers are the slopes.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from nctheory.engine import Array, Scalar, UnsupportedKinks, fast_compile, float64, on_branches, shown
from nctheory.problems._base import Params, Problem, check_points, ravel, unravel
from nctheory.problems._rounded import candidates_of, kinks_of, units_of_kinks

MET = 1e-6
"""A kink is met where what has it is less than this part of its unit (conventional; polished ends are at 1e-12)."""
LOOSE = 1e-6
"""A slope within this of 0 or 1 is that of a side, and a weight below this part of the largest is none (conventional)."""
ROUNDS = 8
"""The most times that slopes are solved for; where kinks are fed by others the gradient is not linear in all of them."""


@shown()
class OnBranches(NamedTuple):
    """A problem at a point, with slopes s at its kinks."""

    value: Scalar
    gradient: Float[Array, " P"]
    arguments: Float[Array, " m"]
    """What has a kink at zero, in its units."""


@shown()
class Branches(NamedTuple):
    """The least element of Clarke's subdifferential at a point, and the kinks that are met there."""

    gradient: Float[np.ndarray, " P"]
    """The least element."""
    slopes: Float[np.ndarray, " m"]
    """Its slope at every kink: 0 or 1 off it, and between them where it is met."""
    met: Bool[np.ndarray, " m"]
    """Which kinks are met."""
    hessian: Float[np.ndarray, "P P"]
    r"""$\partial_xg$ at these slopes."""
    normals: Float[np.ndarray, "met P"]
    """The gradients of what has the kinks that are met, one a row."""
    loose: Bool[np.ndarray, " met"]
    """Which of these have the slope of a side, or no weight: there curvatures differ between the sides."""


def kink_places(problem: Problem) -> tuple[int, ...]:
    """The places of a problem's kinks among the candidates in its program; none where it is smooth.

    Raises UnsupportedKinks, a ValueError, for kinks whose branches are not told apart: those within loops or choices, and
    those of the largest of several entries.
    """
    kinks_of(problem)
    candidates = candidates_of(problem)
    places = tuple(i for i, (_, real) in enumerate(candidates) if real)
    for i in places:
        if candidates[i][0].kind == "reduce_max":
            raise UnsupportedKinks("the branches of the largest of several entries are not told apart")
    return places


@float64
def kink_entries(problem: Problem) -> int:
    """The number of kinks, entry by entry.

    >>> import nctheory as nct
    >>> kink_entries(nct.deep_nonlinear(widths=(4, 4, 2), counts=(1, 1), loss="mse", weight_decay=(0.1,) * 3))
    8
    """
    return sum(int(np.prod(candidates_of(problem)[i][0].shape)) for i in kink_places(problem))


def at_slopes(problem: Problem, units: Array, point: Float[Array, " P"], slopes: Float[Array, " m"]) -> OnBranches:
    """Value, gradient and kinks' arguments of a problem at a flat point with given slopes; `units` has one for each candidate.

    It is traced: `kink_places` is asked beforehand, where the problem's numbers are known.
    """
    places = kink_places(problem)
    shapes = [candidates_of(problem)[i][0].shape for i in places]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    parts = [part.reshape(shape) for part, shape in zip(jnp.split(slopes, ends), shapes, strict=True)]
    function = on_branches(problem.objective, places)
    (value, seen), gradient = jax.value_and_grad(partial(function, parts), has_aux=True)(unravel(problem, point))
    arguments = [jnp.ravel(x / units[i]) for x, i in zip(seen, places, strict=True)]
    return OnBranches(value, ravel(gradient), jnp.concatenate(arguments))


def slope_derivatives(
    problem: Problem, units: Array, point: Float[Array, " P"], slopes: Float[Array, " m"]
) -> tuple[OnBranches, Float[Array, "n n"]]:
    """`at_slopes`, and the derivative of gradient and arguments by point and slopes, a square matrix of n = P + m rows."""
    parameters = point.shape[0]

    def residual(both: Array) -> tuple[Array, OnBranches]:
        here = at_slopes(problem, units, both[:parameters], both[parameters:])
        return jnp.concatenate([here.gradient, here.arguments]), here

    jacobian, here = jax.jacfwd(residual, has_aux=True)(jnp.concatenate([point, slopes]))
    return here, jacobian


@fast_compile
def _derivatives(problem: Problem, units: Array, point: Array, slopes: Array) -> tuple[OnBranches, Array]:
    return slope_derivatives(problem, units, point, slopes)


@float64
def branches_at(problem: Problem, params: Params) -> Branches:
    """The least element of Clarke's subdifferential at one point (no seeds axis) of a problem with kinks.

    Raises ValueError for a smooth problem, for what is not one of its points, and UnsupportedKinks as `kink_places` does.

    >>> import jax, nctheory as nct
    >>> chain = nct.deep_nonlinear(widths=(3, 3, 2), counts=(1, 1), loss="mse", weight_decay=(0.1,) * 3)
    >>> end = jax.tree.map(lambda x: x[0], nct.solve(chain, 1).params)
    >>> bool(np.linalg.norm(branches_at(chain, end).gradient) < 1e-8)
    True
    """
    from scipy.optimize import lsq_linear

    check_points(problem, params, ())
    if not kink_places(problem):
        raise ValueError(f"problem: {type(problem).__name__} has no kinks; it is smooth as it is")
    units, point = units_of_kinks(problem), np.asarray(ravel(jax.tree.map(jnp.asarray, params)))
    slopes = np.full(kink_entries(problem), 0.5)
    here, jacobian = jax.tree.map(np.asarray, _derivatives(problem, units, point, slopes))
    met = np.abs(here.arguments) <= MET
    slopes = np.where(met, 0.5, np.where(here.arguments > 0, 1.0, 0.0))
    for _ in range(ROUNDS):
        here, jacobian = jax.tree.map(np.asarray, _derivatives(problem, units, point, slopes))
        if not np.any(met):
            break
        # The least |g + (dg/ds) (s - s_0)| over slopes between 0 and 1.
        by_slope = jacobian[: len(point), len(point) :][:, met]
        found = lsq_linear(by_slope, by_slope @ slopes[met] - here.gradient, (0.0, 1.0), method="bvls").x
        moved, slopes[met] = float(np.max(np.abs(found - slopes[met]))), found
        if moved < 1e-12:
            break
    here, jacobian = jax.tree.map(np.asarray, _derivatives(problem, units, point, slopes))
    parameters = len(point)
    hessian, normals = jacobian[:parameters, :parameters], jacobian[parameters:, :parameters][met]
    weight = np.linalg.norm(jacobian[:parameters, parameters:][:, met], axis=0)
    one_sided = (slopes[met] < LOOSE) | (slopes[met] > 1.0 - LOOSE)
    return Branches(
        here.gradient, slopes, met, hessian, normals, one_sided | (weight < LOOSE * np.max(weight, initial=0.0))
    )


@float64
def hessian_on(problem: Problem, slopes: Float[np.ndarray, " m"], point: Float[np.ndarray, " P"]) -> np.ndarray:
    r"""$\partial_xg$ at a flat point with given slopes at the kinks, P x P."""
    _, jacobian = _derivatives(problem, units_of_kinks(problem), np.asarray(point), np.asarray(slopes))
    return np.asarray(jacobian)[: len(point), : len(point)]


def slopes_nearby(problem: Problem, units: Array, point: Float[Array, " P"], width: Scalar) -> Float[Array, " m"]:
    """The slopes that the problem has with its kinks rounded off over a relative `width`; it is traced, as `at_slopes`."""
    places = kink_places(problem)
    shapes = [candidates_of(problem)[i][0].shape for i in places]
    zeros = jnp.zeros(sum(int(np.prod(shape)) for shape in shapes))
    reached = at_slopes(problem, units, point, zeros).arguments
    between = 0.5 * (1.0 + reached / jnp.sqrt(reached**2 + width**2))
    return jnp.where(jnp.abs(reached) <= MET, between, jnp.where(reached > 0, 1.0, 0.0))
