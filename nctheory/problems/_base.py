"""What the engine needs to know of an optimisation problem."""

import abc
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PRNGKeyArray

from nctheory._batching import map_in_blocks
from nctheory._precision import EPS
from nctheory._types import Array, Scalar

Params = Any
"""A pytree of float64 arrays; with a leading seeds axis on every leaf where a batch is meant."""


class NoCertificate(ValueError):
    """No lower bound on the global minimum is known for this problem; the message says why."""


class Problem(eqx.Module):
    """An objective over a pytree of parameters.

    Static fields are shapes and kinds; every real hyperparameter is an array leaf, so that one compiled program
    serves a whole grid of them and `jax.vmap` over the problem itself works. A new problem needs `init` and
    `objective`; the other methods have safe defaults.
    """

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        """A random start of the given scale."""

    @abc.abstractmethod
    def objective(self, params: Params) -> Scalar:
        """The value to be minimised."""

    def value_and_grad(self, params: Params) -> tuple[Scalar, Params]:
        """Objective and gradient; override where a closed form is cheaper than autodiff."""
        return jax.value_and_grad(self.objective)(params)

    def hessian(self, params: Params) -> Float[Array, "P P"]:
        """Second derivatives in the order of `ravel`, by products with the columns of I; override where a form is known."""
        vector = ravel_pytree(params)[0]
        _, product = jax.linearize(lambda y: ravel(self.value_and_grad(unravel(self, y))[1]), vector)
        return map_in_blocks(product, jnp.eye(vector.size))

    def velocity(self, params: Params) -> Params:
        r"""Where the flow moves a point: $-\nabla f$; a flow on a constraint set overrides it by its projection."""
        return jax.tree.map(jnp.negative, self.value_and_grad(params)[1])

    def conservation_defect(self, start: Params, params: Params, time: Scalar) -> Scalar:
        """How far, relatively, what the flow conserves is from its law a `time` after `start`; NaN where none is known."""
        return jnp.asarray(jnp.nan)

    def minibatch(self, key: PRNGKeyArray, batch: int) -> "Problem":
        """The problem on `batch` random samples; NotImplementedError where it is not a sum over samples."""
        raise NotImplementedError(f"{type(self).__name__} has no samples to draw from")

    def invariants(self, params: Params) -> Array | Scalar:
        """Quantities that do not see the gauge and tell two end states apart; by default only the value."""
        return self.objective(params)

    def gauge_tangents(self, params: Params) -> Params:
        """Tangent vectors of the symmetry orbit through `params`, stacked on a leading axis; by default none."""
        return jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), params)

    def gauge_penalty(self, params: Params, vector: Params) -> Params:
        r"""A positive semidefinite form applied to a vector: zero across the symmetry orbit, positive along it.

        The solver adds a multiple of it to the Hessian, whose curvature along the orbit has the size and either sign of
        the gradient's. By default $\sum_t\langle t,v\rangle t$ over the tangents t; override where that is expensive.
        """
        tangents = self.gauge_tangents(params)
        products = jax.tree.map(lambda t, v: jnp.sum(t * v[None], axis=tuple(range(1, t.ndim))), tangents, vector)
        weights = sum(jax.tree.leaves(products), jnp.zeros(()))
        return jax.tree.map(lambda t: jnp.tensordot(weights, t, axes=1), tangents)

    def lower_bound(self, params: Params) -> Scalar:
        """A lower bound on the global minimum, whatever `params` is; it may use `params` to be tight there.

        Raises NoCertificate, at trace time, where no bound is known. For chains see `nctheory.certificates`.
        """
        raise NoCertificate(f"{type(self).__name__} defines no lower_bound")


def template(problem: Problem) -> Params:
    """Shapes and dtypes of the parameters, without computing them."""
    return _template(*shape_of(problem))


def shape_of(problem: Problem) -> tuple[Any, tuple[tuple[tuple[int, ...], Any], ...]]:
    """All of a problem but its numbers: problems of equal shape share their compiled programs."""
    leaves, structure = jax.tree.flatten(problem)
    return structure, tuple((np.shape(x), jnp.result_type(x)) for x in leaves)


@cache
def _template(structure: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> Params:
    def init(*values: Array) -> Params:
        return jax.tree.unflatten(structure, values).init(jax.random.key(0), jnp.float64(1.0))

    with jax.enable_x64(True):  # starts are drawn in float64 whatever the precision of the arithmetic on them
        return jax.eval_shape(init, *(jax.ShapeDtypeStruct(shape, kind) for shape, kind in leaves))


def size(problem: Problem) -> int:
    """Number of real parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(template(problem)))


def rounding(problem: Problem, scale: np.ndarray | float) -> Any:
    """Rounding error of a quantity of the given size computed from all parameters."""
    return 8 * EPS * np.sqrt(size(problem)) * (np.abs(scale) + EPS)


def ravel(params: Params) -> Float[Array, "P"]:
    """One parameter pytree as a vector."""
    leaves = jax.tree.leaves(params)
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):  # no program to compile for every shape
        return np.concatenate([np.ravel(leaf) for leaf in leaves])
    return ravel_pytree(params)[0]


def unravel(problem: Problem, vector: Float[Array, "*batch P"]) -> Params:
    """Inverse of `ravel`, by static slices; leading axes are kept."""
    leaves, treedef = jax.tree.flatten(template(problem))
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1].tolist()
    parts = (np if isinstance(vector, np.ndarray) else jnp).split(vector, cuts, axis=-1)
    shaped = [part.reshape(*vector.shape[:-1], *leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(treedef, shaped)
