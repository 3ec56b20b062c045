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

from nctheory.engine import Array, Scalar, UnsupportedKinks, fast_compile, float64, in_few_lengths, on_branches, shown
from nctheory.problems._base import Params, Problem, ravel, scales_of, unravel
from nctheory.problems._points import read_point
from nctheory.problems._rounded import candidates_of, kinks_of, units_of_kinks

MET = 1e-6
"""A kink is met where what has it is less than this part of its unit (conventional; polished ends are at 1e-12)."""
LOOSE = 1e-6
"""A slope within this of 0 or 1 is that of a side, and a weight below this part of the largest, or of the problem's unit of
gradients, is none (conventional)."""
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
    falls: Float[np.ndarray, "met P"]
    """For each of these a unit direction that leads off it alone and in which the value falls at first order; zeros where none
    was found. Where one is, the point is no minimum, stationary in Clarke's sense though it may be."""
    steepness: Float[np.ndarray, " met"]
    """How fast the value falls in these directions, a unit of length; 0 where none was found."""
    told: float
    """A fall that is slower is not told from none: twice the least element, and what has no weight."""

    @property
    def falling(self) -> Bool[np.ndarray, " met"]:
        """Off which of the kinks that are met the value was found to fall at first order."""
        return self.steepness > 0


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
def _slopes_along(problem: Problem, units: Array, point: Array, slopes: Array, ways: Array) -> tuple[Array, Array]:
    """The derivatives of value and kinks' arguments along directions, one a row, each with slopes of its own."""

    def along(slopes: Array, way: Array) -> tuple[Array, Array]:
        def both(x: Array) -> tuple[Array, Array]:
            here = at_slopes(problem, units, x, slopes)
            return jnp.asarray(here.value), here.arguments

        return jax.jvp(both, (point,), (way,))[1]

    return jax.vmap(along)(slopes, ways)


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

    params = read_point(problem, params)
    if not kink_places(problem):
        raise ValueError(f"problem: {type(problem).__name__} has no kinks; it is smooth as it is")
    units, point = units_of_kinks(problem), np.asarray(ravel(params))
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
    heaviest = float(np.max(weight, initial=float(scales_of(problem).gradient)))
    loose = (slopes[met] < LOOSE) | (slopes[met] > 1.0 - LOOSE) | (weight < LOOSE * heaviest)
    told = 2.0 * float(np.linalg.norm(here.gradient)) + LOOSE * heaviest
    falls, steepness = _falls(problem, units, point, slopes, met, normals, told)
    return Branches(here.gradient, slopes, met, hessian, normals, loose, falls, steepness, told)


def _falls(
    problem: Problem,
    units: Array,
    point: np.ndarray,
    slopes: np.ndarray,
    met: np.ndarray,
    normals: np.ndarray,
    told: float,
) -> tuple[np.ndarray, np.ndarray]:
    """For each kink met a direction off it along which the value falls by more than `told` a unit of length, and how fast.

    Directions are both ways along the rows of the normals' pseudo-inverse: each leaves the other kinks met, to first order,
    where the normals are independent. The derivative there is that with the slopes of the sides that it leads to.
    """
    found, steepness = np.zeros_like(normals), np.zeros(len(normals))
    if not np.any(met):
        return found, steepness
    dual = np.linalg.pinv(normals).T
    lengths = np.linalg.norm(dual, axis=1, keepdims=True)
    dual = np.divide(dual, lengths, out=np.zeros_like(dual), where=lengths > 0)
    ways = np.concatenate([dual, -dual])
    sides = _sides(slopes, met, ways @ normals.T, np.linalg.norm(normals, axis=1))
    falling, reached = in_few_lengths(lambda both: _slopes_along(problem, units, point, *both), (sides, ways))
    # A kink that is fed by others may be left to another side than the normals of these slopes say: nothing is said then.
    again = _sides(slopes, met, reached[:, met], np.linalg.norm(normals, axis=1))
    fall = np.where(np.all(again == sides, axis=1), -falling, 0.0).reshape(2, -1)
    for one, way in zip(fall, (dual, -dual), strict=True):
        steeper = one > np.maximum(told, steepness)
        found[steeper], steepness[steeper] = way[steeper], one[steeper]
    return found, steepness


def _sides(slopes: np.ndarray, met: np.ndarray, moved: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The slopes off a point, one row for each way: of a kink that is left those of its side, of others those at the point."""
    sides = np.repeat(slopes[None, :], len(moved), axis=0)
    there = np.where(moved > MET * scale, 1.0, np.where(moved < -MET * scale, 0.0, slopes[met]))
    sides[:, met] = there
    return sides


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
