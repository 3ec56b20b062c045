"""Problems of one shape that differ in their numbers: one compiled program for all of them."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.engine import Array
from nctheory.problems._base import Problem, expect_problem, shape_of
from nctheory.problems._chain import DeepLinear
from nctheory.problems._difference import difference
from nctheory.problems._own_problem import check_problem

SHORT_LEAF = 16
"""A leaf of at most this many numbers (decays, a loss's parameters, the weights of a few classes) is always in the context:
one program serves whichever of them vary, or none does (conventional)."""


class Family(eqx.Module):
    """A problem with a hole for every number that differs between its members.

    A member is the template with its `context`, a flat vector, put into the holes.
    """

    template: Problem
    varying: tuple[bool, ...] = eqx.field(static=True)
    """For each leaf of the template, whether it is in the context: members differ in it, or it is short."""

    def at(self, context: Float[Array, "C"]) -> Problem:
        """The member with these numbers."""
        leaves, treedef = jax.tree.flatten(self.template)
        # The context holds the varying leaves one after the other, in the order of the template's leaves.
        begin = 0
        for i, varies in enumerate(self.varying):
            if varies:
                leaf = jnp.asarray(leaves[i])
                leaves[i] = context[begin : begin + leaf.size].reshape(leaf.shape).astype(leaf.dtype)
                begin += leaf.size
        return jax.tree.unflatten(treedef, leaves)


def singleton(problem: Problem) -> Family:
    """The family that has one member, whose context is empty, for what is not compiled or compiled within something else."""
    return Family(problem, (False,) * len(jax.tree.leaves(problem)))


def without_counts(problem: Problem) -> Problem:
    """The problem without the class counts that only theorems read: what is solved does not depend on them.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> without_counts(nct.problems.reduce_to_class_means(model)).counts is None
    True
    """
    # A loss with a profile is certified from class counts, and keeps them.
    if (
        type(problem) is DeepLinear and not problem.loss.has_profile and problem.starts is None
    ):  # a law of starts may read them
        return dataclasses.replace(problem, counts=None)
    return problem


def _hint(one: Problem, other: Problem) -> str:
    if not (isinstance(one, DeepLinear) and isinstance(other, DeepLinear)):
        return ""
    if one.targets.shape == other.targets.shape or one.inputs is not None or one.reduced_form:
        return ""
    return "; of other numbers of samples, one column a class has one shape (nct.problems.reduce_to_class_means)"


def as_family(members: Sequence[Problem], *, counts: bool = False) -> tuple[Family, np.ndarray]:
    """The members as a family and their contexts, members x C.

    Chains that differ in class counts alone, one column a class or as many samples in all, are one family: the counts are
    only read by theorems, which are not asked here. With `counts` they are kept where all members have the same.

    Raises ValueError, naming the first field that differs and both its values, where they are of different shapes or kinds
    (see `shape_of`), and where there is none.

    >>> import nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, 0.1))
    >>> family, contexts = as_family([model(0.1), model(0.2)])
    >>> contexts.shape, round(float(family.at(contexts[1]).weight_decay[0]), 6)
    ((2, 18), 0.2)
    """
    if not members:
        raise ValueError("members: expected at least one problem, got none")
    for index, one in enumerate(members):
        expect_problem(one, "problem" if len(members) == 1 else f"members[{index}]")
    check_problem(members[0])
    # Class counts are static, so that they are dropped before forms are compared.
    if not counts or len({shape_of(one) for one in members}) > 1:
        members = [without_counts(one) for one in members]
    form = shape_of(members[0])
    for index, one in enumerate(members):
        if shape_of(one) != form:
            raise ValueError(
                f"members[{index}]: expected a problem that differs from members[0] in its numbers only, with "
                f"{difference(members[0], one)}{_hint(members[0], one)}"
            )
    # Leaf by leaf over the members: what varies or is short goes into the context, all else stays in the template.
    columns = [[np.asarray(x) for x in column] for column in zip(*map(jax.tree.leaves, members), strict=True)]
    varying = tuple(
        column[0].size <= SHORT_LEAF or any(not np.array_equal(x, column[0]) for x in column) for column in columns
    )
    parts = [np.stack([x.ravel() for x in column]) for column, varies in zip(columns, varying, strict=True) if varies]
    contexts = np.concatenate(parts, axis=1) if parts else np.zeros((len(members), 0))
    return Family(members[0], varying), np.asarray(contexts, np.float64)
