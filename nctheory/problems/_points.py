"""Points of a problem as they come from a caller: held against its template, and read in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.engine import Array, as_array, fast_compile, float64, holds_traced, in_few_lengths, map_in_blocks
from nctheory.problems._base import Params, Problem, expect_problem, rounding, template


def check_points(
    problem: Problem, params: Params, axes: tuple[str, ...] = ("seeds",), name: str = "params"
) -> tuple[int, ...]:
    """The leading axes of points of this problem, which have the names `axes`; () for a single point.

    Every leaf is held against the problem's own template: a point without its seeds axis has leaves whose first axes may well
    be of one length by chance, and its rows would be read as points. Raises ValueError, naming the leaf, for other shapes and
    for what are no real numbers, and where points lie outside the domain (`Problem.check_domain`).

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> points = nct.starts(model, 3)
    >>> check_points(model, points), check_points(model, jax.tree.map(lambda x: x[0], points), ())
    ((3,), ())
    """
    expect_problem(problem)
    wanted, structure = jax.tree.flatten(template(problem))
    found = jax.tree_util.tree_leaves_with_path(params)
    if len(found) != len(wanted):
        raise ValueError(
            f"{name}: expected the parameters of {type(problem).__name__}, {len(wanted)} arrays, got {len(found)} "
            f"({type(params).__name__})"
        )
    leading: tuple[int, ...] | None = None
    for (path, leaf), like in zip(found, wanted, strict=True):
        shape, own, what = np.shape(leaf), tuple(like.shape), jax.tree_util.keystr(path) or "an array"
        # The last axes of a leaf are those of one point, and all axes before them count points.
        before = shape[: len(shape) - len(own)]
        if shape[len(before) :] != own or len(before) != len(axes) or leading not in (None, before):
            asked = ", ".join((*(axes if leading is None else map(str, leading)), *map(str, own)))
            # The usual slips are one point where several are meant, and several where one is meant.
            hint = ""
            if axes == ("seeds",) and shape == own:
                hint = "; a single point x is passed as jax.tree.map(lambda leaf: leaf[None], x)"
            elif axes == () and shape[1:] == own:
                hint = "; the first of several points x is jax.tree.map(lambda leaf: leaf[0], x)"
            raise ValueError(f"{name}: expected {what} of shape ({asked}), got {shape}{hint}")
        kind = leaf.dtype if isinstance(leaf, jax.Array) else np.asarray(leaf).dtype
        if not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
            raise ValueError(f"{name}: expected {what} of real numbers, got {kind}")
        leading = before
    if not holds_traced(params):
        problem.check_domain(jax.tree.unflatten(structure, jax.tree.leaves(params)), name)
    return () if leading is None else leading


def read_points(
    problem: Problem, params: Params, axes: tuple[str, ...] = ("seeds",), name: str = "params"
) -> tuple[tuple[int, ...], Params]:
    """The leading axes of at least one point of this problem, and the points in float64, as the problem itself makes them.

    What is computed at points of single precision is wrong in the seventh digit, and whole numbers have no derivative.
    Raises ValueError as `check_points` does, and where there is no point.

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> points = nct.starts(model, 3)
    >>> count, read = read_points(model, (points.weights[0].astype("float32"), points.features))
    >>> count, type(read).__name__, read.weights[0].dtype.name
    ((3,), 'ChainParams', 'float64')
    """
    leading = check_points(problem, params, axes, name)
    if 0 in leading:
        raise ValueError(f"{name}: expected at least one point, got none")
    return leading, jax.tree.unflatten(jax.tree.structure(template(problem)), map(as_array, jax.tree.leaves(params)))


def read_point(problem: Problem, params: Params, name: str = "params") -> Params:
    """One finite point of this problem in float64; raises ValueError for what is not finite, too.

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> read_point(model, (np.zeros((2, 2), int), np.full((2, 4), np.inf)))
    Traceback (most recent call last):
    ...
    ValueError: params: expected finite numbers, got inf in .features
    """
    _, point = read_points(problem, params, (), name)
    for path, leaf in jax.tree_util.tree_leaves_with_path(point):
        bad = leaf[~np.isfinite(leaf)]
        if bad.size:
            raise ValueError(
                f"{name}: expected finite numbers, got {bad[0]} in {jax.tree_util.keystr(path) or 'an array'}"
            )
    return point


@fast_compile
def _value_terms(problem: Problem, points: Params) -> Array:
    return map_in_blocks(problem.value_terms, points)


@float64
def value_rounding(problem: Problem, params: Params) -> Float[np.ndarray, " S"]:
    r"""The rounding error of the objective at every point of a batch: $8\varepsilon\sqrt P$ times `problem.value_terms`.

    `params` has a leading seeds axis on every leaf; P is the number of parameters, and the root of it stands for the sums,
    whose errors are of either sign. A value that is a difference of larger terms is known to no better than this, however
    small it is itself: every comparison of values needs it beside a relative tolerance.

    Raises ValueError, naming the leaf, for what is not points of this problem, or no point.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=1, loss="cross_entropy", weight_decay=(5e-4, 5e-4))
    >>> ends = nct.solve(model, seeds=2)
    >>> error = value_rounding(model, ends.params)
    >>> bool((ends.value < 1e-2).all() and (error > 1e-15).all() and (error < 1e-14).all())
    True
    """
    _, params = read_points(problem, params)
    return rounding(problem, in_few_lengths(lambda points: _value_terms(problem, points), params))
