"""The end of a polish at kinks: Newton steps on the manifold of the kinks that are met, with their slopes as multipliers.

The rounded problem's polish ends within about a width of the kinks that its minimiser meets. There the point x and the slopes
s of the kinks that are met solve $g(x,s)=0$, $c(x)=0$, and a primal-dual active-set method (Hintermüller, Ito and Kunisch
2003) does so to rounding: a kink is met while $0<s+c<1$, and lies on one side otherwise.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.engine import Array, UnsupportedKinks, fast_compile, float64, in_few_lengths, map_in_blocks, usual_block
from nctheory.flow._kinks import NEAR_ZERO
from nctheory.flow._record import Record
from nctheory.flow._stages import Stage
from nctheory.problems import Family, OnBranches, kink_entries, size, slope_derivatives, slopes_nearby

STEPS = 20
"""The most Newton steps; a handful is usual."""
AIM = 1e-11
"""Newton steps go on while the gradient, or what should vanish at a kink, is above this many units."""
FEW_UNKNOWNS = 300
"""With at most so many parameters and kinks every end is refined; of larger problems those that have not converged."""
MOST_UNKNOWNS = 1500
"""Larger problems are left as they are: the dense system would take longer than the polish."""
SHORT = 1.0
"""All steps together stay within this part of the point, or of what counts as near zero (conventional: along a flat valley
they are long, and its values tell that it is the same)."""
ON_A_SIDE = 1e-12
"""A slope within this of 0 or 1 is that of a side."""
WIDTH = 32
"""Seeds are evaluated so many at a time, by one program."""
AT_ZERO = 1e-9
"""A point within this many units of zero differs from it by rounding, if zero is stationary."""
DEPENDENT = (1e-8, 1e-5)
"""Singular values below this part of the largest count as zero: gauge directions, flat valleys, and kinks that say the same
twice. What does not settle with the first does with the second (measured)."""


class _Place(NamedTuple):
    """Some seeds on their way."""

    points: np.ndarray
    slopes: np.ndarray
    here: Any
    """An `OnBranches` of arrays with a leading axis."""
    jacobian: np.ndarray

    @property
    def sides(self) -> np.ndarray:
        """1 and 0 for kinks on one side, NaN for those that are met."""
        raised = self.slopes + self.here.arguments
        return np.where(raised >= 1.0 - ON_A_SIDE, 1.0, np.where(raised <= ON_A_SIDE, 0.0, np.nan))

    @property
    def distance(self) -> np.ndarray:
        """How far each point is off the kinks that it should meet, in units."""
        return np.max(np.abs(np.where(np.isnan(self.sides), self.here.arguments, 0.0)), axis=1)


@fast_compile
def _systems(family: Family, contexts: Array, points: Array, slopes: Array) -> tuple[OnBranches, Array]:
    def one(item: tuple[Array, Array, Array]) -> tuple[OnBranches, Array]:
        # The member is a `RoundedKinks`, whose own problem and units are asked for.
        member: Any = family.at(item[0])
        return slope_derivatives(member.problem, member.units, *item[1:])

    unknowns = points.shape[1] + slopes.shape[1]
    return map_in_blocks(one, (contexts, points, slopes), usual_block(unknowns**2))


@fast_compile
def _first_slopes(family: Family, contexts: Array, points: Array) -> Array:
    def one(item: tuple[Array, Array]) -> Array:
        member: Any = family.at(item[0])
        return slopes_nearby(member.problem, member.units, item[1], member.width)

    return map_in_blocks(one, (contexts, points), usual_block(points.shape[1]))


@float64
def refine_on_branches(family: Family, records: Record, tolerance: float) -> Record:
    """The records with their ends refined where Newton's method gets nearer to a stationary point of the same value."""
    template: Any = family.template  # a `RoundedKinks`
    try:
        unknowns = size(template) + kink_entries(template.problem)
    except UnsupportedKinks:
        return records
    wanted = np.isin(records.stage, (Stage.CONVERGED, Stage.KINK))
    if unknowns > FEW_UNKNOWNS:
        wanted = records.stage == Stage.KINK
    if unknowns > MOST_UNKNOWNS or not np.any(wanted):
        return records
    units = np.asarray(records.tolerance) / tolerance
    point, value, grad_norm, stage = (
        np.array(x) for x in (records.point, records.value, records.grad_norm, records.stage)
    )
    for dependent in DEPENDENT:
        index = np.flatnonzero(wanted & (grad_norm > AIM * units))
        if index.size == 0:
            break
        some: Record = jax.tree.map(lambda x, index=index: np.asarray(x)[index], records)
        # Steps that run away overflow, and are not taken.
        with np.errstate(over="ignore", invalid="ignore"):
            better, found = _newton(family, some, units[index], dependent)
            norms = _norms(found)
        chosen = index[better]
        point[chosen], value[chosen] = found.points[better], found.here.value[better]
        grad_norm[chosen] = norms[better]
    stage = np.where(wanted & (grad_norm <= records.tolerance), Stage.CONVERGED, stage)
    return records._replace(point=point, value=value, grad_norm=grad_norm, stage=stage)


def _norms(place: _Place) -> np.ndarray:
    return np.linalg.norm(place.here.gradient, axis=1)


def _newton(family: Family, records: Record, unit: np.ndarray, dependent: float) -> tuple[np.ndarray, _Place]:
    """Newton's ends of all records, and which of them are better than what they began with."""
    contexts = np.asarray(records.context)
    slopes = in_few_lengths(lambda rows: _first_slopes(family, *rows), (contexts, records.point))
    place = _evaluated(family, contexts, np.asarray(records.point), slopes)
    live = np.ones(len(unit), bool)
    for _ in range(STEPS):
        off = np.maximum(_norms(place) / unit, place.distance)
        settled = np.all(np.isnan(place.sides) | (np.abs(place.slopes - place.sides) <= ON_A_SIDE), axis=1)
        live &= (~settled | (off > AIM)) & np.isfinite(off)
        if not np.any(live):
            break
        at = np.flatnonzero(live)
        points, slopes = place.points.copy(), place.slopes.copy()
        for i in at:
            points[i], slopes[i] = _step(place, int(i), dependent)
        part = _evaluated(family, contexts[at], points[at], slopes[at])
        place = jax.tree.map(lambda whole, new, at=at: _put(whole, at, new), place, part)
    place = _at_the_origin(family, contexts, place, records)
    # An end is taken if the slopes lie between the two sides', all other kinks keep theirs, and it is nearer to stationary
    # at a value that differs by no more than the gradient explains.
    sides = place.sides
    kept = np.where(
        np.isnan(sides), (place.slopes >= 0) & (place.slopes <= 1), np.abs(place.slopes - sides) <= ON_A_SIDE
    )
    met = place.distance <= 100 * AIM
    moved = np.linalg.norm(place.points - records.point, axis=1)
    near = moved <= SHORT * np.maximum(np.linalg.norm(records.point, axis=1), NEAR_ZERO * records.length)
    allowed = 1e-12 * np.abs(records.value) + 10.0 * records.grad_norm * moved
    level = np.abs(place.here.value - records.value) <= allowed
    return np.all(kept, axis=1) & met & near & level & (_norms(place) < records.grad_norm), place


def _at_the_origin(family: Family, contexts: np.ndarray, place: _Place, records: Record) -> _Place:
    """The ends that differ from zero by rounding, where that is stationary and no higher, put there."""
    at = np.flatnonzero(np.linalg.norm(place.points, axis=1) <= AT_ZERO * records.length)
    if at.size == 0:
        return place
    zero = _evaluated(family, contexts[at], np.zeros_like(place.points[at]), place.slopes[at])
    fits = (_norms(zero) <= _norms(place)[at]) & (zero.here.value <= place.here.value[at] * (1.0 + AIM))
    zero = jax.tree.map(lambda x: x[fits], zero)
    return jax.tree.map(lambda whole, new: _put(whole, at[fits], new), place, zero)


def _evaluated(family: Family, contexts: np.ndarray, points: np.ndarray, slopes: np.ndarray) -> _Place:
    parts = []
    for begin in range(0, len(points), WIDTH):
        # The last part is filled up, so that one program serves all.
        index = np.minimum(np.arange(begin, begin + WIDTH), len(points) - 1)
        found = _systems(family, contexts[index], points[index], slopes[index])
        parts.append(jax.tree.map(lambda x, begin=begin: np.asarray(x)[: len(points) - begin], found))
    here, jacobian = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    return _Place(points, slopes, here, jacobian)


def _put(whole: np.ndarray, at: np.ndarray, new: np.ndarray) -> np.ndarray:
    changed = np.array(whole)
    changed[at] = new
    return changed


def _step(place: _Place, i: int, dependent: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of the active-set method at seed i: g + g_x dx + g_s ds = 0, c + c_x dx = 0 where kinks are met."""
    parameters, jacobian, sides = place.points.shape[1], place.jacobian[i], place.sides[i]
    met = np.isnan(sides)
    # Slopes off the kinks jump to those of their sides.
    jump = np.where(met, 0.0, np.where(met, 0.0, np.nan_to_num(sides)) - np.where(met, 0.0, place.slopes[i]))
    by_slope = jacobian[:parameters, parameters:]
    used = np.concatenate([np.ones(parameters, bool), met])
    right = -np.concatenate([place.here.gradient[i] + by_slope @ jump, place.here.arguments[i][met]])
    if not (np.all(np.isfinite(right)) and np.all(np.isfinite(jacobian))):
        return place.points[i], place.slopes[i]
    try:
        step = np.linalg.lstsq(jacobian[np.ix_(used, used)], right, rcond=dependent)[0]
    except np.linalg.LinAlgError:  # a decomposition that does not converge leaves its seed where it is
        return place.points[i], place.slopes[i]
    slopes = place.slopes[i] + jump
    slopes[met] += step[parameters:]
    return place.points[i] + step[:parameters], slopes
