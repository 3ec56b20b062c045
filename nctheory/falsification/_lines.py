"""Boundaries on a line of hyperparameters through an instance, and the places next to them at given relative distances.

A line is all decays multiplied by one factor, or all draws of the sampler moved towards others. A boundary is where what is
discrete of the prediction changes (which of its numbers vanish, say), where the instance leaves the theorem's hypotheses, or
where the theorem ceases to predict anything.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.falsification._changes import HALVINGS, kink_between, predicted_numbers, predicted_structure
from nctheory.falsification._places import Place, instance_at
from nctheory.theorems import Instance, Theorem

DISTANCES = (3e-4, 3e-3, 1e-4, 1e-2, 1e-1)
"""Relative distances from a boundary, on both sides of it, in the order in which they are tried (conventional: the first sees
what is off by a thousandth, and the value's own error has not yet vanished there)."""
SCALES = np.linspace(-6.0, 6.0, 13)
"""Logarithms of the factors by which decays are multiplied: between neighbours among them at most one boundary is seen."""
PARTS = np.linspace(0.0, 1.0, 9)
"""The parts of the way to other draws, likewise."""
LOOKS = 7
"""A kink is looked for on the line of scales in so many steps, which leave a part of 1e-5 of it (conventional)."""
STEP = 1e-4
"""The part of the way by which it is measured how fast the numbers change along it."""


class Boundary(NamedTuple):
    """A boundary on a line: the two ends of a bracket, and how to step away from it."""

    place_at: Callable[[float], Place]
    """The place on the line at a number."""
    low: float
    high: float
    rate: float
    """The largest relative change of a decay for a unit step along the line."""
    inside: bool
    """Whether both sides are within the hypotheses."""

    def sides(self, distance: float) -> Iterator[Place]:
        """The places on both sides at a relative distance; they need not be within the hypotheses."""
        for at in (self.low - distance / self.rate, self.high + distance / self.rate):
            yield self.place_at(at)


def boundaries(
    theorem: Theorem, root: PRNGKeyArray, place: Place, seed: int, late: Callable[[], bool]
) -> Iterator[Boundary]:
    """Boundaries on the line of scaled decays; where there is none, or no decay, on the way to the draws of `seed`."""

    def scaled(factor: float) -> Place:
        return place.edit("scale", factor) if factor else place

    def numbers(factor: float) -> np.ndarray | None:
        instance = instance_at(theorem, root, scaled(factor))
        return None if instance is None else predicted_numbers(theorem, instance.problem)

    found = list(_on_line(theorem, root, scaled, SCALES, late))
    if not any(one.inside for one in found) and not late():
        # A number that changes its formula without vanishing has a kink, which is looked for where there are instances.
        ends = _within(theorem, root, scaled)
        kink = None if ends is None else kink_between(numbers, *ends, late, LOOKS)
        rate = 0.0 if kink is None else _rate(theorem, root, scaled, kink[0], True)
        if kink is not None and rate > 0:
            found = [Boundary(scaled, *kink, rate, True), *found]
    yield from found
    if not found:
        yield from _on_line(theorem, root, lambda t: place.moved(seed, float(t)), PARTS, late)


def _within(theorem: Theorem, root: PRNGKeyArray, scaled: Callable[[float], Place]) -> tuple[float, float] | None:
    """The ends of the scales around 1 at which there are instances; None where there is but one."""
    there = [float(s) for s in SCALES if instance_at(theorem, root, scaled(float(s))) is not None]
    return (min(there), max(there)) if len(there) > 1 else None


def _on_line(
    theorem: Theorem,
    root: PRNGKeyArray,
    place_at: Callable[[float], Place],
    numbers: np.ndarray,
    late: Callable[[], bool],
) -> Iterator[Boundary]:
    def seen(at: float) -> tuple[Any, ...] | None:
        instance = instance_at(theorem, root, place_at(at))
        return None if instance is None else predicted_structure(theorem, instance.problem)

    told = []
    for at in numbers:
        if late():
            return
        told.append(seen(float(at)))
    for i in range(len(numbers) - 1):
        if told[i] == told[i + 1]:
            continue
        # The bracket is halved, and what differs from its lower end is its upper one.
        low, high = float(numbers[i]), float(numbers[i + 1])
        for _ in range(HALVINGS):
            if late():
                return
            middle = 0.5 * (low + high)
            low, high = (middle, high) if seen(middle) == told[i] else (low, middle)
        rate = _rate(theorem, root, place_at, low if told[i] is not None else high, told[i] is not None)
        if rate > 0:
            yield Boundary(place_at, low, high, rate, told[i] is not None and told[i + 1] is not None)


def _rate(theorem: Theorem, root: PRNGKeyArray, place_at: Callable[[float], Place], at: float, below: bool) -> float:
    """How fast the problem's numbers change along the line, relatively, measured on the side where there is an instance."""
    other = at - STEP if below else at + STEP
    pair = [instance_at(theorem, root, place_at(one)) for one in (at, other)]
    first, second = (None if one is None else _numbers(one) for one in pair)
    if first is None or second is None or first.shape != second.shape:
        return 0.0
    sizes = np.maximum(np.maximum(np.abs(first), np.abs(second)), np.finfo(float).tiny)
    return float(np.max(np.abs(first - second) / sizes, initial=0.0)) / STEP


def _numbers(instance: Instance) -> np.ndarray:
    """The decays of a problem, or all its real numbers where it has none."""
    decay = getattr(instance.problem, "weight_decay", None)
    leaves = [np.asarray(x) for x in jax.tree.leaves(instance.problem if decay is None else decay)]
    return np.concatenate([x.ravel() for x in leaves if x.dtype.kind == "f"] or [np.zeros(0)]).astype(float)


__all__ = ["DISTANCES", "Boundary", "boundaries"]
