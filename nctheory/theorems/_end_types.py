"""The kinds of end states of one instance: told apart by value and invariants, each with one Hessian."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.certificates import HessianReport, hessian_report
from nctheory.flow import Ensemble
from nctheory.landscape import orbit_types
from nctheory.problems import Problem, ravel
from nctheory.theorems._evidence import EndType
from nctheory.theorems._observe import sensitivities
from nctheory.theorems._thresholds import SAFETY

MAX_TYPES = 8
"""Types of end states of a solve at which the Hessian is taken, certified ones and the most frequent first; claims about seeds
of other types stay undecided (conventional)."""


class Examined(NamedTuple):
    """The types with their curvature, the Hessians, and the sensitivity of every claim's observable by seed."""

    types: tuple[EndType, ...]
    reports: tuple[HessianReport, ...]
    sensitivity: dict[Any, np.ndarray]


def examine(
    problem: Problem,
    ensemble: Ensemble,
    certified: np.ndarray,
    value_rounding: np.ndarray,
    claims: Sequence[Any],
    rows: Sequence[int],
    *,
    most: int | None,
    points: int,
    best: bool,
    curvature: bool = True,
) -> Examined:
    """Types of the converged end states; Hessians at `points` of each of the `most` first types.

    `claims` are those whose tolerance depends on how their observable (of `rows` entries) changes. Of each type the Hessian is
    taken where the gradient is largest, or smallest if the `best`.
    """
    # The steepest gradient of the instance says how far about an end state a second Jacobian is taken.
    slope = float(np.max(ensemble.grad_norm[ensemble.converged], initial=0.0))
    parts = orbit_types(problem, ensemble)
    types = sorted((_type(ensemble, certified, value_rounding, part) for part in parts), key=lambda one: one.value)
    sensitivity = {claim: np.full(len(ensemble.seeds), np.inf) for claim in claims}
    reports: list[HessianReport] = []
    # Certified types first, then the most frequent ones: of the `most` first Hessians are taken.
    order = sorted(range(len(types)), key=lambda j: (not types[j].certified, -types[j].members.size))
    for j in order[:most] if curvature else []:
        largest = dict.fromkeys(claims, 0.0)
        chosen = _chosen(ensemble, types[j].members, points, best)
        if not chosen:
            break
        for i in chosen:
            point = jax.tree.map(lambda x, i=i: x[i], ensemble.params)
            report = hessian_report(problem, point)
            reports.append(report)
            if report.steepness > types[j].fall:
                types[j] = types[j]._replace(fall=report.steepness, fall_told=report.told)
            if not report.smallest >= types[j].smallest_curvature:  # the first one, or one more negative
                types[j] = types[j]._replace(
                    smallest_curvature=report.smallest,
                    resolution=report.resolution,
                    largest_curvature=report.largest,
                    at=i,
                )
            steepest = float(np.max(ensemble.grad_norm[types[j].members]))
            # f(x) - f(x*) = g^T A^+ g / 2 <= |g|^2 / (2 softest) to second order; with SAFETY for 1/2 it covers the remainder.
            drop = SAFETY * steepest**2 / report.softest
            if report.nullity:  # where second order says nothing, the critical point may be as far as the origin
                drop += steepest * float(np.linalg.norm(np.asarray(ravel(point))))
            types[j] = types[j]._replace(value_error=types[j].value_error + drop)
            for claim, found in sensitivities(problem, point, report, claims, rows, slope).items():
                largest[claim] = max(largest[claim], found)
        for claim, found in largest.items():
            # A type's seeds share the largest sensitivity that was found at its sampled end states.
            sensitivity[claim][types[j].members] = found
    return Examined(tuple(types), tuple(reports), sensitivity)


def _type(ensemble: Ensemble, certified: np.ndarray, value_rounding: np.ndarray, members: np.ndarray) -> EndType:
    """A type before any curvature is known."""
    values = ensemble.value[members]
    # Before any curvature is known the value error is the members' spread and their largest rounding.
    error = float(np.ptp(values)) + float(np.max(value_rounding[members]))
    return EndType(float(np.mean(values)), members, bool(np.all(certified[members])), np.nan, np.nan, np.nan, error)


def _chosen(ensemble: Ensemble, members: np.ndarray, wanted: int, best: bool) -> list[int]:
    """The member with the largest gradient (or the smallest, if the `best`), and others spread over the type."""
    if members.size == 0 or wanted < 1:
        return []
    members = np.sort(members)
    first = members[(np.argmin if best else np.argmax)(ensemble.grad_norm[members])]
    spread = members[np.linspace(0, members.size - 1, min(wanted, members.size)).astype(int)]
    return list(dict.fromkeys([int(first), *spread.tolist()]))[:wanted]


__all__ = ["MAX_TYPES", "Examined", "examine"]
