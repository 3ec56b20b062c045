"""Several problems of one shape as one problem, so that a claim may compare their minimisers."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, Scalar, float64, stacked
from nctheory.problems._base import Params, Problem, template
from nctheory.problems._difference import difference
from nctheory.problems._scales import Scales


class ProblemSum(Problem):
    """The sum of problems that share no parameters; every leaf of the parameters has the members as its leading axis.

    It is built by `problem_sum`. Its minimisers are the tuples of the members' minimisers, and its symmetry is theirs.
    """

    members: Problem
    """The members stacked: one pytree whose array leaves have them as leading axis."""
    number: int = eqx.field(static=True)
    """The number of members."""

    def member(self, index: int) -> Problem:
        """One of the problems."""
        return jax.tree.map(lambda leaf: leaf[index], self.members)

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        keys = jax.random.split(key, self.number)
        return jax.vmap(lambda problem, one: problem.init(one, scale))(self.members, keys)

    def characteristic_scales(self) -> Scales:
        """The largest of the members'."""
        return Scales(*map(jnp.max, jax.vmap(lambda problem: problem.characteristic_scales())(self.members)))

    def objective(self, params: Params) -> Scalar:
        return jnp.sum(jax.vmap(lambda problem, point: problem.objective(point))(self.members, params))

    def value_and_grad(self, params: Params) -> tuple[Scalar, Params]:
        values, gradients = jax.vmap(lambda problem, point: problem.value_and_grad(point))(self.members, params)
        return jnp.sum(values), gradients

    def value_terms(self, params: Params) -> Scalar:
        """The sum of the members'."""
        return jnp.sum(jax.vmap(lambda problem, point: problem.value_terms(point))(self.members, params))

    def invariants(self, params: Params) -> Array | Scalar:
        """The members' invariants, stacked."""
        return jax.vmap(lambda problem, point: problem.invariants(point))(self.members, params)

    def check_domain(self, params: Params, name: str) -> None:
        """That of every member, on the axis before its own."""
        if type(self.members).check_domain is Problem.check_domain:
            return
        axes = jax.tree.map(lambda leaf: leaf.ndim, template(self.member(0)))
        for index in range(self.number):
            own = jax.tree.map(lambda x, n, at=index: np.asarray(x).take(at, axis=-1 - n), params, axes)
            self.member(index).check_domain(own, f"{name}, member {index}")

    def orbit_invariants(self, params: Params) -> Array | Scalar:
        """The members' own, stacked."""
        return jax.vmap(lambda problem, point: problem.orbit_invariants(point))(self.members, params)

    def canonical(self, params: Params) -> Params:
        return jax.vmap(lambda problem, point: problem.canonical(point))(self.members, params)

    def thinned(self, params: Params, key: PRNGKeyArray) -> Params:
        keys = jax.random.split(key, self.number)
        return jax.vmap(lambda problem, point, one: problem.thinned(point, one))(self.members, params, keys)

    def gauge_tangents(self, params: Params) -> Params:
        """The members' tangents, each zero outside its own member."""
        own = jax.vmap(lambda problem, point: problem.gauge_tangents(point))(self.members, params)
        select = jnp.eye(self.number)

        def spread(leaf: Array) -> Array:
            # Tangent t of member b becomes a tangent of the sum, with a members' axis c on which it is zero but at c = b.
            wide = jnp.einsum("bt...,bc->btc...", leaf, select)
            return wide.reshape(-1, *wide.shape[2:])

        return jax.tree.map(spread, own)

    def gauge_penalty(self, params: Params, vector: Params) -> Params:
        return jax.vmap(lambda problem, point, v: problem.gauge_penalty(point, v))(self.members, params, vector)


@float64
def problem_sum(problems: Sequence[Problem]) -> ProblemSum:
    """Several problems of equal shape as one: the objective is the sum, the parameters are stacked on a leading axis.

    The problems may differ in their real hyperparameters only. Raises ValueError for none, or for problems of different
    type, static fields or shapes.

    >>> import nctheory as nct
    >>> decays = (0.1, 0.01)
    >>> models = [nct.unconstrained_features(counts=(2, 1), dim=2, loss="mse", weight_decay=(a, a)) for a in decays]
    >>> both = problem_sum(models)
    >>> ends = nct.solve(both, seeds=3)
    >>> bool(nct.certify(both, ends.params).closed(ends.value).all()), ends.params.weights[0].shape
    (True, (3, 2, 2, 2))
    """
    members = list(problems)
    if not members:
        raise ValueError("problems: expected at least one, got none")
    # Types and static fields are in the structure of a problem, and shapes in its leaves.
    first = jax.tree.structure(members[0])
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(members[0])]
    for index, problem in enumerate(members[1:], start=1):
        if jax.tree.structure(problem) != first:
            told = difference(members[0], problem)
            raise ValueError(f"problems[{index}]: expected the type and static fields of problems[0], with {told}")
        found = [np.shape(leaf) for leaf in jax.tree.leaves(problem)]
        if found != shapes:
            raise ValueError(f"problems[{index}]: expected the shapes {shapes} of problems[0], got {found}")
    joined = jax.tree.map(lambda *leaves: stacked(leaves), *members)
    return ProblemSum(members=joined, number=len(members))
