"""Where an instance comes from: which draw of the theorem's sampler, how its numbers are moved, and what is edited."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import shown
from nctheory.falsification._edits import Edit, edited
from nctheory.theorems import Instance, Move, Theorem, moved_draws


@shown()
class Place(NamedTuple):
    """The place of an instance in a search: the same place of the same key is the same instance."""

    draw: int
    """The number of the draw; 0 are the instances that `verify` takes with this key."""
    index: int
    """The number of the instance in that draw."""
    moves: tuple[Move, ...] = ()
    """How the sampler's continuous draws are moved."""
    edits: tuple[Edit, ...] = ()

    def moved(self, seed: int, part: float) -> "Place":
        """A neighbour: all draws moved a part of the way to others."""
        return self._replace(moves=(*self.moves, Move(seed, part)))

    def edit(self, *edit: Any) -> "Place":
        """The place after one more edit."""
        return self._replace(edits=(*self.edits, edit))

    def plain(self) -> list[Any]:
        """Lists and numbers, for JSON."""
        return [self.draw, self.index, [list(move) for move in self.moves], [list(edit) for edit in self.edits]]

    @classmethod
    def of(cls, plain: Any) -> "Place":
        """The place that `plain` wrote; ValueError for anything else."""
        try:
            draw, index, moves, edits = plain
            return cls(
                int(draw),
                int(index),
                tuple(Move(int(seed), float(part)) for seed, part in moves),
                tuple(tuple(edit) for edit in edits),
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"place: expected [draw, index, moves, edits], got {plain!r}") from error


def draw_key(root: PRNGKeyArray, draw: int) -> PRNGKeyArray:
    """The key of a draw of instances."""
    return jax.random.fold_in(root, 0) if draw == 0 else jax.random.fold_in(jax.random.fold_in(root, 4), draw)


def drawn_places(theorem: Theorem, root: PRNGKeyArray, draw: int) -> list[tuple[Place, Instance]]:
    """All instances of one draw; ValueError where the theorem's own sampler leaves the hypotheses."""
    found = theorem.draw_some(draw_key(root, draw), lambda drawn: drawn)
    return [(Place(draw, index), instance) for index, instance in found]


def instance_at(theorem: Theorem, root: PRNGKeyArray, place: Place) -> Instance | None:
    """The instance at a place; None where there is none within the hypotheses."""
    with moved_draws(place.moves):
        try:
            found = theorem.draw_some(
                draw_key(root, place.draw), lambda drawn: [pair for pair in drawn if pair[0] == place.index]
            )
        except ValueError:
            return None
    return edited(theorem, found[0][1], place.edits) if found else None


def answers_to_moves(theorem: Theorem, root: PRNGKeyArray, place: Place) -> bool:
    """Whether a move changes the numbers of an instance: its sampler draws by `numpy_rng`."""
    still, moved = (instance_at(theorem, root, place.moved(1, part)) for part in (1e-3, 0.5))
    if still is None or moved is None:
        return still is not moved
    numbers = [[np.asarray(x) for x in jax.tree.leaves(one.problem)] for one in (still, moved)]
    return len(numbers[0]) != len(numbers[1]) or any(not np.array_equal(a, b) for a, b in zip(*numbers, strict=True))


__all__ = ["Place", "answers_to_moves", "draw_key", "drawn_places", "instance_at"]
