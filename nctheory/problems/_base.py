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

from nctheory.engine import EPS, Array, Scalar, fast_compile, map_in_blocks, when_forgotten
from nctheory.problems._scales import Scales, nearest_scale

Params = Any
"""A pytree of float64 arrays; with a leading seeds axis on every leaf where a batch is meant."""


SCALE_STARTS, START_SCALES = 9, (1.0, 1 / 8, 1 / 64, 1 / 512)
"""The number of starts whose medians are a problem's characteristic scales, and the scales of these starts at which the
gradient is looked at."""


class NoCertificate(ValueError):
    """No lower bound on the global minimum is known for this problem; the message says why."""


class Problem(eqx.Module):
    """An objective over a pytree of parameters.

    Static fields are shapes and kinds; every real hyperparameter is an array leaf, so that one compiled program
    serves a whole grid of them and `jax.vmap` over the problem itself works. A new problem needs `init` and
    `objective`; the other methods have safe defaults.
    """

    keeps_bound = False  # without an annotation, so that it is no field to those who copy `__dataclass_fields__`
    """Whether the bound of the kind that this one is derived from holds, as it stands, for an objective of its own."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        """A random start of the given scale."""

    @abc.abstractmethod
    def objective(self, params: Params) -> Scalar:
        """The value to be minimised."""

    def value_and_grad(self, params: Params) -> tuple[Scalar, Params]:
        """The objective and its gradient; override where a closed form is cheaper than autodiff."""
        return jax.value_and_grad(self.objective)(params)

    def value_terms(self, params: Params) -> Scalar:
        r"""The size of what the objective is computed from: its rounding error is a few $\varepsilon$ times this.

        By default it is $|f|+\sum|\nabla f\cdot y|$: a relative rounding of the value and of every parameter, to first
        order. A problem whose objective is a difference of larger terms, or a function of them, overrides it.
        `value_rounding` makes a tolerance of it.
        """
        value, slope = self.value_and_grad(params)
        products = jax.tree.map(lambda g, y: jnp.sum(jnp.abs(g * y)), slope, params)
        return jnp.abs(value) + sum(jax.tree.leaves(products), jnp.zeros(()))

    def characteristic_scales(self) -> Scales:
        """The units of parameters and gradient, by which tolerances and first steps are measured.

        By default they are medians over a few starts of the root mean squares of their entries and of the gradient's, to the
        nearest power of 16. Far out a polynomial is steeper than where its critical points are, so that the least |g|/t over
        starts of several scales t counts; about a critical point at zero that is what the curvature there makes of a start
        of scale 1. Override it where the problem's data tell, or where the starts are far from what is sought.
        """
        return _scales_of_starts(self)

    def hessian(self, params: Params) -> Float[Array, "P P"]:
        """The Hessian in the order of `ravel`, by products with the columns of I; override where a form is known."""
        vector = ravel_pytree(params)[0]
        # The gradient is linearised once, and its derivative is applied to every unit vector.
        _, product = jax.linearize(lambda y: ravel(self.value_and_grad(unravel(self, y))[1]), vector)
        return map_in_blocks(product, jnp.eye(vector.size))

    def check_domain(self, params: Params, name: str) -> None:
        """Raise ValueError, naming the argument, where points of any leading axes lie outside the objective's domain.

        By default the domain is all of space. It is asked of points whose numbers are known, not of traced ones.
        """

    def velocity(self, params: Params) -> Params:
        r"""The flow's velocity at a point, $-\nabla f$; a flow on a constraint set overrides it by its projection."""
        return jax.tree.map(jnp.negative, self.value_and_grad(params)[1])

    def conservation_defect(self, start: Params, params: Params, time: Scalar) -> Scalar:
        """How far, relatively, what the flow conserves is from its law a `time` after `start`; NaN where none is known."""
        return jnp.asarray(jnp.nan)

    def minibatch(self, key: PRNGKeyArray, batch: int) -> "Problem":
        """The problem on `batch` random samples; NotImplementedError where it is not a sum over samples."""
        raise NotImplementedError(f"{type(self).__name__} has no samples to draw from")

    def invariants(self, params: Params) -> Array | Scalar:
        """The quantities that do not see the gauge and tell two end states apart; by default only the value."""
        return self.objective(params)

    def orbit_invariants(self, params: Params) -> Array | Scalar:
        """What tells critical points apart in a census up to every symmetry, discrete ones too; by default `invariants`."""
        return self.invariants(params)

    def canonical(self, params: Params) -> Params:
        """The point of the symmetry orbit at which a search goes on; by default the point itself.

        Where lengths are a symmetry the gradient falls as they grow, and a search for small gradients has to keep them.
        """
        return params

    def thinned(self, params: Params, key: PRNGKeyArray) -> Params:
        """A point of lower rank, or of more symmetry, made from this one, from which no step of a search leaves it; by default
        the point itself."""
        return params

    def gauge_tangents(self, params: Params) -> Params:
        """The tangent vectors of the symmetry orbit through `params`, stacked on a leading axis; by default none."""
        return jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), params)

    def gauge_penalty(self, params: Params, vector: Params) -> Params:
        r"""A positive semidefinite form applied to a vector: zero across the symmetry orbit, positive along it.

        The solver adds a multiple of it to the Hessian, whose curvature along the orbit has the size and either sign of
        the gradient's. By default it is $\sum_t\langle t,v\rangle t$ over the tangents t; override where that is expensive.
        """
        tangents = self.gauge_tangents(params)
        # The component <t, v> along a tangent is summed over all leaves; the form is then sum_t <t, v> t.
        products = jax.tree.map(lambda t, v: jnp.sum(t * v[None], axis=tuple(range(1, t.ndim))), tangents, vector)
        weights = sum(jax.tree.leaves(products), jnp.zeros(()))
        return jax.tree.map(lambda t: jnp.tensordot(weights, t, axes=1), tangents)

    def lower_bound(self, params: Params) -> Scalar:
        """A lower bound on the global minimum, whatever `params` is; it may use `params` to be tight there.

        Raises NoCertificate, at trace time, where no bound is known. For chains see `nctheory.certificates`.
        """
        raise NoCertificate(f"{type(self).__name__} defines no lower_bound")


_OF_THE_OBJECTIVE = (
    "objective", "value_and_grad", "logits", "regulariser", "penalty", "product", "lowest", "layers", "_with_bias",
    "factor_pair", "directions", "gram", "labels", "targets", "class_shares",
)  # fmt: skip
"""What a problem's objective and its bound are made of, by the names of methods and properties, of which a kind has some."""


def keeps_objective(problem: Problem, kind: type[Problem]) -> bool:
    """Whether a problem, of a kind or of one derived from it, computes the objective of that kind.

    >>> import nctheory as nct
    >>> class Half(nct.problems.DeepLinear):
    ...     def objective(self, params):
    ...         return super().objective(params) / 2
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> [keeps_objective(one, nct.problems.DeepLinear) for one in (model, Half.of(model))]
    [True, False]
    """
    names = [name for name in _OF_THE_OBJECTIVE if hasattr(kind, name)]
    return all(getattr(type(problem), name, None) is getattr(kind, name) for name in names)


def expect_problem(one: object, name: str = "problem") -> None:
    """Raise ValueError for what is no problem."""
    if not isinstance(one, Problem):
        hint = "; a class, of which an instance is meant" if isinstance(one, type) else ""
        raise ValueError(f"{name}: expected a Problem, got {type(one).__name__}{hint}")


def template(problem: Problem) -> Params:
    """The shapes and dtypes of the parameters, without computing them."""
    return _template(*shape_of(problem))


def shape_of(problem: Problem) -> tuple[Any, tuple[tuple[tuple[int, ...], Any], ...]]:
    """The form of a problem, which is all of it but its numbers: problems of equal shape share their compiled programs."""
    leaves, structure = jax.tree.flatten(problem)
    return structure, tuple((np.shape(x), jnp.result_type(x)) for x in leaves)


@cache
def _template(structure: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> Params:
    def init(*values: Array) -> Params:
        return jax.tree.unflatten(structure, values).init(jax.random.key(0), jnp.float64(1.0))

    with jax.enable_x64(True):  # starts are drawn in float64 whatever the precision of the arithmetic on them
        # The starts are traced on stand-ins for the problem's numbers, and nothing is drawn.
        return jax.eval_shape(init, *(jax.ShapeDtypeStruct(shape, kind) for shape, kind in leaves))


when_forgotten(_template.cache_clear)


def size(problem: Problem) -> int:
    """The number of real parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(template(problem)))


def rounding(problem: Problem, scale: np.ndarray | float) -> Any:
    """The rounding error of a quantity of the given size computed from all parameters."""
    # A size near the subnormal numbers, where rounding is absolute, is raised to where it is relative.
    return 8 * EPS * np.sqrt(size(problem)) * np.maximum(np.abs(scale), np.finfo(np.float64).tiny / EPS**2)


@fast_compile
def _scales_of_starts(problem: Problem) -> Scales:
    def sizes(seed: Array, scale: Array) -> Array:
        point = problem.init(jax.random.fold_in(jax.random.key(0), seed), scale)
        pair = (point, problem.value_and_grad(point)[1])
        return jnp.stack([jnp.sqrt(jnp.mean(ravel_pytree(one)[0] ** 2)) for one in pair])

    # The root mean squares of points and of gradients, medians over the starts, for each scale t; |g|/t is least where the
    # starts are nearest to the critical points.
    scales, seeds = jnp.asarray(START_SCALES, jnp.float64), jnp.arange(SCALE_STARTS)
    seen = jax.vmap(lambda scale: jnp.median(jax.vmap(lambda seed: sizes(seed, scale))(seeds), axis=0))(scales)
    slopes = seen[:, 1] / scales
    slope = jnp.min(jnp.where(slopes > 0, slopes, jnp.inf))  # a slope that is zero or not a number says nothing
    return Scales(nearest_scale(seen[0, 0]), nearest_scale(slope))


def scales_of(problem: Problem) -> Scales:
    """`Problem.characteristic_scales` as plain numbers."""
    return Scales(*map(float, problem.characteristic_scales()))


def ravel(params: Params) -> Float[Array, "P"]:
    """The parameters, one pytree, as a vector.

    >>> import numpy as np
    >>> ravel((np.eye(2), np.array([5.0]))).tolist()
    [1.0, 0.0, 0.0, 1.0, 5.0]
    """
    leaves = jax.tree.leaves(params)
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):  # no program to compile for every shape
        return np.concatenate([np.ravel(leaf) for leaf in leaves])
    return ravel_pytree(params)[0]


def unravel(problem: Problem, vector: Float[Array, "*batch P"]) -> Params:
    """The inverse of `ravel`, by static slices; leading axes are kept.

    >>> import numpy as np
    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=1, loss="mse", weight_decay=(0.05, 0.05))
    >>> unravel(model, np.arange(4.0)).features.tolist()
    [[2.0, 3.0]]
    """
    leaves, treedef = jax.tree.flatten(template(problem))
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1].tolist()
    parts = (np if isinstance(vector, np.ndarray) else jnp).split(vector, cuts, axis=-1)
    shaped = [part.reshape((*vector.shape[:-1], *leaf.shape)) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(treedef, shaped)
