"""Instances of theorems whose landscapes can be descended."""

import dataclasses

import jax

from nctheory.certificates import certify
from nctheory.engine import float64, whole_number
from nctheory.flow import starts
from nctheory.problems import template
from nctheory.theorems import Instance, Theorem, find_theorem

DESCENDED = ("solve", "solve without the flow", "census")
"""The methods whose instances are landscapes; those of others are paths, trainings and experiments."""


@float64
def protocol_instance(theorem: Theorem | str, instance: int | None = None, key: int = 0) -> tuple[int, Instance]:
    """An instance of a theorem, and its number; by default the first of most factors among those with a certificate.

    Raises ValueError for a theorem that is unknown or has no landscape to descend, and for an instance that is not there.

    >>> number, instance = protocol_instance("deep-mse-linear")
    >>> instance.parameters["M"] >= 4
    True
    """
    known = find_theorem(theorem) if isinstance(theorem, str) else theorem
    if known.method.name not in DESCENDED:
        raise ValueError(
            f"theorem: expected one about end states or critical points, whose landscape can be descended, got {known.id!r}, "
            f"which is examined by {known.method.name!r}"
        )
    drawn = known.draw(jax.random.fold_in(jax.random.key(whole_number("key", key, least=0)), 0))
    if instance is not None:
        number = whole_number("instance", instance, least=0)
        if number >= len(drawn):
            raise ValueError(f"instance: expected 0 to {len(drawn) - 1} for {known.id}, got {number}")
        return number, _with_scale(known, drawn[number])
    depths = [len(jax.tree.leaves(template(one.problem))) for one in drawn]
    # One bound a candidate, from the deepest on, until one is finite.
    for number in sorted(range(len(drawn)), key=lambda i: -depths[i]):
        problem = drawn[number].problem
        if certify(problem, starts(problem, 1)).valid[0]:
            return number, _with_scale(known, drawn[number])
    return 0, _with_scale(known, drawn[0])


def _with_scale(theorem: Theorem, instance: Instance) -> Instance:
    """The instance with the scale of its starts, which is the theorem's where it has none of its own."""
    return instance if instance.scale is not None else dataclasses.replace(instance, scale=theorem.init_scale)
