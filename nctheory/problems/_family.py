"""Problems of one shape that differ in their numbers: one compiled program for all of them."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory._types import Array
from nctheory.problems._base import Problem, shape_of


class Family(eqx.Module):
    """A problem with a hole for every number that differs between its members.

    A member is the template with its `context`, a flat vector, put into the holes.
    """

    template: Problem
    varying: tuple[bool, ...] = eqx.field(static=True)
    """For each leaf of the template, whether members differ in it."""

    def at(self, context: Float[Array, "C"]) -> Problem:
        """The member with these numbers."""
        leaves, treedef = jax.tree.flatten(self.template)
        begin = 0
        for i, varies in enumerate(self.varying):
            if varies:
                leaf = jnp.asarray(leaves[i])
                leaves[i] = context[begin : begin + leaf.size].reshape(leaf.shape).astype(leaf.dtype)
                begin += leaf.size
        return jax.tree.unflatten(treedef, leaves)


def singleton(problem: Problem) -> Family:
    """The family that has one member, whose context is empty."""
    return Family(problem, (False,) * len(jax.tree.leaves(problem)))


def as_family(members: Sequence[Problem]) -> tuple[Family, np.ndarray]:
    """The members as a family and their contexts, members x C.

    Raises ValueError where they are of different shapes or kinds (see `shape_of`) or there is none.

    >>> import nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, 0.1))
    >>> family, contexts = as_family([model(0.1), model(0.2)])
    >>> contexts.shape, round(float(family.at(contexts[1]).weight_decay[0]), 6)
    ((2, 2), 0.2)
    """
    if not members:
        raise ValueError("members: expected at least one problem, got none")
    if len({shape_of(one) for one in members}) > 1:
        raise ValueError("members: expected problems of one shape and kind")
    columns = [[np.asarray(x) for x in column] for column in zip(*map(jax.tree.leaves, members), strict=True)]
    varying = tuple(any(not np.array_equal(x, column[0]) for x in column) for column in columns)
    parts = [np.stack([x.ravel() for x in column]) for column, varies in zip(columns, varying, strict=True) if varies]
    contexts = np.concatenate(parts, axis=1) if parts else np.zeros((len(members), 0))
    return Family(members[0], varying), np.asarray(contexts, np.float64)
