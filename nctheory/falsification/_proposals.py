"""What is tried next: fresh draws, neighbours of the tightest trials, both sides of predicted thresholds, corners."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.falsification._changes import located_change
from nctheory.falsification._edits import facts
from nctheory.falsification._lines import DISTANCES as RELATIVE
from nctheory.falsification._lines import Boundary, boundaries
from nctheory.falsification._places import Place, answers_to_moves, drawn_places, instance_at
from nctheory.falsification._records import TrialRecord
from nctheory.falsification._trial import thresholds_at
from nctheory.problems import shape_of, size
from nctheory.theorems import Theorem

SEGMENTS = 8
"""Segments between two draws of one shape that are searched for a change of the predicted structure in a round."""
DISTANCES = (3e-4, 1e-4, 1e-3, 3e-3)
"""Parts of the segment at which a threshold is tried, on both sides, from the most telling on (conventional)."""
TIGHTEST = 4
"""The trials of a round whose neighbours are tried: of each claim the tightest, as many at the most."""


class Change(NamedTuple):
    """A place where the predicted structure changes."""

    below: dict[str, Any]
    """What is shown of the instance just before it."""
    above: dict[str, Any]


class Proposals(NamedTuple):
    """The places of one round, in order, and the changes of structure that were located for it."""

    places: Iterable[Place]
    """Of the first round they are found as they are asked for."""
    changes: list[Change]
    """Filled as the places are found."""
    locating: frozenset[Place] = frozenset()
    """The places at which the theorem's thresholds are located: one for each shape of a draw and each threshold."""


def propose(
    theorem: Theorem,
    root: PRNGKeyArray,
    round_: int,
    records: Sequence[TrialRecord],
    late: Callable[[], bool] = lambda: False,
) -> Proposals:
    """The places of a round: a function of the key and of the records of the rounds before it.

    Round 0 are the instances that `verify` takes, and after the first of each shape both sides of the boundaries on a line
    through it, at relative distances of 1e-4 to 1e-1. Then rounds near what was found (neighbours of the tightest trials, and
    both sides of predicted thresholds) and fresh draws take turns; round 2 is of corners: fewest classes, samples and units.
    Once it is `late` no more thresholds are looked for.
    """
    if round_ == 0 or (round_ > 2 and round_ % 2 == 0):
        drawn = drawn_places(theorem, root, round_)
        places, instances = _one_shape_first(drawn), dict(drawn)
        locating = _locating_places(theorem, places, instances)
        if round_:
            return Proposals(places, [], locating)
        changes: list[Change] = []
        return Proposals(_first_round(theorem, root, places, instances, locating, changes, late), changes, locating)
    rng = np.random.default_rng([*np.asarray(jax.random.key_data(root)).ravel().tolist(), round_])
    if round_ == 2:
        return Proposals(_corners(theorem, root), [])
    places, changes = _both_sides(theorem, root, round_, rng, late)
    return Proposals(places + _neighbours(theorem, root, records, rng), changes)


def _one_shape_first(drawn: list[tuple[Place, Any]]) -> list[Place]:
    """One instance of each shape first, from small to large, then the others in the same order."""
    groups: dict[Any, list[tuple[int, Place]]] = {}
    for place, instance in drawn:
        groups.setdefault(shape_of(instance.problem), []).append((size(instance.problem), place))
    ordered = sorted(groups.values(), key=lambda group: group[0][0])
    return [group[0][1] for group in ordered] + [place for group in ordered for _, place in group[1:]]


def _locating_places(theorem: Theorem, places: list[Place], instances: dict[Place, Any]) -> frozenset[Place]:
    """For each shape and each threshold of the claims, the second place to which it applies, or the only one.

    The second, because thresholds wait until each shape was tried.
    """
    fitting: dict[Any, list[Place]] = {}
    for place in places:
        for threshold in _locations(theorem, instances[place]):
            fitting.setdefault((threshold, shape_of(instances[place].problem)), []).append(place)
    return frozenset(some[:2][-1] for some in fitting.values())


def _locations(theorem: Theorem, instance: Any) -> set[Any]:
    """The thresholds that are located at an instance."""
    return {claim.location for claim in thresholds_at(theorem, instance)}


def _first_round(
    theorem: Theorem,
    root: PRNGKeyArray,
    places: list[Place],
    instances: dict[Place, Any],
    locating: frozenset[Place],
    changes: list[Change],
    late: Callable[[], bool],
) -> Iterator[Place]:
    """The first place of each shape, each followed by the nearest sides of its boundaries; then the other distances and the
    other places in turn.

    Where a claim is about a threshold, it is located for the first shape to which it applies (shapes go from small to large)
    before the next one is tried.
    """

    def shape(place: Place) -> Any:
        return shape_of(instances[place].problem)

    shapes = len({shape(place) for place in places})
    others, later, pending = places[shapes:], list[Place](), {claim.location for claim in theorem.claims} - {None}
    for number, place in enumerate(places[:shapes]):
        yield place
        if theorem.method.name in ("integrate", "train"):
            continue
        found = []
        for one in boundaries(theorem, root, place, number, late):
            found.append(one)
            sides = [instance_at(theorem, root, there) for there in one.sides(0.0)]
            if None not in sides:
                changes.append(Change(*(dict(side.parameters) for side in sides if side is not None)))
        yield from _next_to(theorem, root, found, RELATIVE[:1])
        later += _next_to(theorem, root, found, RELATIVE[1:])
        pending -= _locations(theorem, instances[place]) if place in locating else set()
        for one in [one for one in others if one in locating and shape(one) == shape(place)]:
            if pending & _locations(theorem, instances[one]):
                pending -= _locations(theorem, instances[one])
                others.remove(one)
                yield one
    for position in range(max(len(later), len(others))):
        yield from (*others[position : position + 1], *later[position : position + 1])


def _next_to(
    theorem: Theorem, root: PRNGKeyArray, found: Sequence[Boundary], distances: Sequence[float]
) -> Iterator[Place]:
    """Both sides of boundaries, as far as they are within the hypotheses, from the first distance on."""
    for distance in distances:
        for one in found:
            yield from (there for there in one.sides(distance) if instance_at(theorem, root, there) is not None)


def _neighbours(
    theorem: Theorem, root: PRNGKeyArray, records: Sequence[TrialRecord], rng: np.random.Generator
) -> list[Place]:
    """Neighbours of the trials with the tightest margin of each claim."""
    tight: dict[str, tuple[float, TrialRecord]] = {}
    for record in records:
        for claim, ratio in record.ratios.items():
            if np.isfinite(ratio) and ratio > tight.get(claim, (0.0, record))[0]:
                tight[claim] = (ratio, record)
    best = sorted(tight.values(), key=lambda pair: -pair[0])
    chosen = list(dict.fromkeys(record.place for _, record in best))[:TIGHTEST]
    moves = bool(chosen) and answers_to_moves(theorem, root, chosen[0])
    found = []
    for place in chosen:
        for _ in range(2):
            seed, part = int(rng.integers(2**31)), float(10.0 ** rng.uniform(-3.0, -0.3))
            found.append(place.moved(seed, part) if moves else place.edit("decays", seed, 3.0 * part))
    return found


def _both_sides(
    theorem: Theorem, root: PRNGKeyArray, round_: int, rng: np.random.Generator, late: Callable[[], bool]
) -> tuple[list[Place], list[Change]]:
    """Places on both sides of where the predicted structure changes between an instance and another of its shape."""
    if theorem.method.name in ("integrate", "train"):
        return [], []
    drawn = drawn_places(theorem, root, 0 if round_ == 1 else round_ - 1)
    if not answers_to_moves(theorem, root, drawn[0][0]):
        return [], []
    order = list(_one_shape_first(drawn))
    by_distance: list[list[Place]] = [[] for _ in DISTANCES]
    changes: list[Change] = []
    for place in order[:SEGMENTS]:
        seed = int(rng.integers(2**31))
        at = located_change(theorem, root, place, seed, late)
        if at is None:
            continue
        sides = [instance_at(theorem, root, place.moved(seed, t)) for t in at]
        if None not in sides:
            changes.append(Change(*(dict(one.parameters) for one in sides if one is not None)))
        for row, distance in zip(by_distance, DISTANCES, strict=True):
            row += [place.moved(seed, t) for t in (at[0] - distance, at[1] + distance) if 0.0 <= t <= 1.0]
    return [place for row in by_distance for place in row], changes


def _corners(theorem: Theorem, root: PRNGKeyArray) -> list[Place]:
    """Of each shape of the first draw: two classes, one sample a class, no more units than classes, and all of these."""
    found, seen = [], set()
    for place in _one_shape_first(drawn_places(theorem, root, 0)):
        instance = instance_at(theorem, root, place)
        if instance is None:
            continue
        known = facts(instance.problem)
        edits: list[tuple[Any, ...]] = [("classes", 2)] * (known.get("K", 0) > 2)
        edits += [("samples", 1)] * (known.get("n", 0) > 1)
        edits += [("width", known["K"])] * ("K" in known and known.get("d", 0) > known["K"])
        for chosen in [*((edit,) for edit in edits), tuple(edits)]:
            there = place._replace(edits=chosen)
            one = instance_at(theorem, root, there) if chosen else None
            if one is not None and shape_of(one.problem) not in seen:
                seen.add(shape_of(one.problem))
                found.append(there)
    return found


__all__ = ["Change", "Proposals", "propose"]
