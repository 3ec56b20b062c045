"""A problem with kinks, and the same problem with its kinks rounded off."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray

from nctheory.engine import (
    Array,
    Kink,
    Scalar,
    as_array,
    fast_compile,
    find_kinks,
    float64,
    is_traced,
    kink_arguments,
    on_sides,
    read_own_state,
    rounded_kinks,
    sloped_kinks,
    when_forgotten,
    with_even_slopes,
)
from nctheory.problems._base import SCALE_STARTS, Params, Problem, ravel, shape_of, template
from nctheory.problems._scales import Scales, nearest_scale


class RoundedKinks(Problem):
    r"""A problem whose kinks are rounded off over a relative `width` $\varepsilon$: $\max(x,0)$ becomes
    $\frac12(x+\sqrt{x^2+\varepsilon^2u^2})$, with the unit u of its place in the problem.

    Its gradient flow tends, as the width falls, to the flow that slides along kinks. Starts, symmetry and units are those of
    the problem itself. Build it with `rounded`.
    """

    width: Scalar
    """The width of the rounding, in units of what has the kink."""
    problem: Problem
    units: Float[Array, " kinks"]
    """The size of what has each kink, at starts of the problem; zero of what turned out to be none."""

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        return self.problem.init(key, scale)

    def objective(self, params: Params) -> Scalar:
        return rounded_kinks(self.problem.objective, jnp.asarray(self.width * self.units))(params)

    def sloped(self, params: Params) -> tuple[Scalar, Params]:
        """The problem's own value, and its gradient with slopes between those of the two sides next to kinks: an element of
        Clarke's subdifferential where these are met exactly."""
        return jax.value_and_grad(sloped_kinks(self.problem.objective, jnp.asarray(self.width * self.units)))(params)

    def value_terms(self, params: Params) -> Scalar:
        return self.problem.value_terms(params)

    def characteristic_scales(self) -> Scales:
        return self.problem.characteristic_scales()

    def invariants(self, params: Params) -> Array | Scalar:
        return self.problem.invariants(params)

    def minibatch(self, key: PRNGKeyArray, batch: int) -> "RoundedKinks":
        return RoundedKinks(self.width, self.problem.minibatch(key, batch), self.units)

    def gauge_tangents(self, params: Params) -> Params:
        return self.problem.gauge_tangents(params)

    def gauge_penalty(self, params: Params, vector: Params) -> Params:
        return self.problem.gauge_penalty(params, vector)


@float64
def kinks_of(problem: Problem) -> tuple[Kink, ...]:
    """The kinks of a problem's objective, in the order of its program; none where it is smooth.

    Raises UnsupportedKinks, a ValueError, for kinks within a loop or a choice of the objective.

    >>> import nctheory as nct
    >>> chain = dict(widths=(4, 4, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1, 0.1))
    >>> kinks_of(nct.deep_nonlinear(**chain)), kinks_of(nct.deep_linear(**chain))
    ((Kink(kind='max', shape=(4, 2)),), ())
    """
    # The library's losses and energies are smooth, and of its problems those that have no activations.
    parts = (problem, getattr(problem, "loss", None), getattr(problem, "energy", None))
    ours = all(type(one).__module__.startswith("nctheory.") for one in parts if one is not None)
    if ours and not hasattr(problem, "activations") and not type(problem).__module__.startswith("nctheory.networks"):
        return ()
    candidates = _kinks(*shape_of(problem))
    if not candidates:
        return ()
    return tuple(kink for kink, real in zip(candidates, _real(problem, ours), strict=True) if real)


def candidates_of(problem: Problem) -> tuple[tuple[Kink, bool], ...]:
    """What may be a kink in a problem's program, in its order, and whether it is one; `kinks_of` was asked beforehand.

    >>> import nctheory as nct
    >>> candidates_of(nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1)))
    ()
    """
    form = shape_of(problem)
    if form not in _REAL:
        return ()
    read_own_state()
    return tuple(zip(_kinks(*form), _REAL[form], strict=True))


_REAL: dict[Any, tuple[bool, ...]] = {}
"""By the form of a problem, which candidates for kinks the gradient of any of its form saw that was asked."""
_REAL_OF: dict[Any, tuple[bool, ...]] = {}
"""The same of a problem with its numbers, on which it may depend: a weight of zero takes a kink away."""
SEEN = 1e-9
"""A gradient that changes by less than this part of itself with the slope at a place does not see it (conventional)."""


def _real(problem: Problem, ours: bool) -> tuple[bool, ...]:
    """Which candidates are kinks of a problem; of a traced one, which were of any of its form."""
    form, leaves = shape_of(problem), jax.tree.leaves(problem)
    if form in _REAL and (ours or any(is_traced(leaf) for leaf in leaves)):
        read_own_state()
        return _REAL[form]
    key = (form, *(np.asarray(leaf).tobytes() for leaf in leaves))
    if key not in _REAL_OF:
        real = np.array(_changes_slope(problem))
        for sides in _of_one_argument(problem, real):
            if not bool(_jumps(problem, sides)):
                real[[index for index, _ in sides]] = False
        _REAL_OF[key] = tuple(map(bool, real))
        _REAL[form] = tuple(np.logical_or(real, _REAL.get(form, False)).tolist())
    return _REAL_OF[key]


def _of_one_argument(problem: Problem, real: np.ndarray) -> list[tuple[tuple[int, int], ...]]:
    """The candidates that have the same argument up to its sign, two of them or more, each with that sign."""
    arguments = [np.asarray(x) for x in _arguments(problem)]
    groups: list[list[tuple[int, int]]] = []
    for index in np.flatnonzero(real).tolist():
        one = arguments[index]
        for group in groups:
            like = arguments[group[0][0]]
            if like.shape == one.shape and (np.array_equal(one, like) or np.array_equal(one, -like)):
                group.append((index, 1 if np.array_equal(one, like) else -1))
                break
        else:
            groups.append([(index, 1)])
    return [tuple(group) for group in groups if len(group) > 1]


@fast_compile
def _arguments(problem: Problem) -> list[Array]:
    return kink_arguments(problem.objective)(problem.init(jax.random.key(0), 1.0))


@partial(fast_compile, static_argnames="sides")
def _jumps(problem: Problem, sides: tuple[tuple[int, int], ...]) -> Bool[Array, ""]:
    """Whether the gradient jumps where some candidates that have one argument are met."""

    def jump(seed: Array) -> Array:
        point = problem.init(jax.random.fold_in(jax.random.key(0), seed), 1.0)
        both = [{index: way * sign for index, sign in sides} for way in (1, -1)]
        right, left = (ravel(jax.grad(on_sides(problem.objective, one))(point)) for one in both)
        return jnp.linalg.norm(right - left) > SEEN * jnp.linalg.norm(right)

    return jnp.any(jax.vmap(jump)(jnp.arange(SCALE_STARTS)))


@fast_compile
def _changes_slope(problem: Problem) -> Bool[Array, " kinks"]:
    """Whether the gradient at starts depends on the slope that is taken at each candidate."""
    count = len(_kinks(*shape_of(problem)))

    def ratios(seed: Array) -> Array:
        point = problem.init(jax.random.fold_in(jax.random.key(0), seed), 1.0)
        slope = ravel(jax.grad(problem.objective)(point))
        others = [ravel(jax.grad(with_even_slopes(problem.objective, i))(point)) for i in range(count)]
        return jnp.stack([jnp.linalg.norm(one - slope) for one in others]) > SEEN * jnp.linalg.norm(slope)

    return jnp.any(jax.vmap(ratios)(jnp.arange(SCALE_STARTS)), axis=0)


@cache
def _kinks(structure: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> tuple[Kink, ...]:
    numbers = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in leaves]
    start = template(jax.tree.unflatten(structure, numbers))
    found: list[Kink] = []

    def look(values: list[Array], point: Params) -> None:
        # Only what depends on the parameters has a kink that matters.
        found.extend(find_kinks(jax.tree.unflatten(structure, values).objective, point))

    jax.eval_shape(look, numbers, start)
    return tuple(found)


for _drop in (_kinks.cache_clear, _REAL.clear, _REAL_OF.clear):
    when_forgotten(_drop)


@float64
def rounded(problem: Problem, width: Scalar) -> RoundedKinks:
    """The problem with its kinks rounded off over a relative width, above 0.

    Raises ValueError, naming the argument, for a width that is not finite and positive, or a problem without kinks, and
    UnsupportedKinks, a ValueError, for kinks within a loop or a choice of the objective.

    >>> import nctheory as nct
    >>> chain = nct.deep_nonlinear(widths=(4, 4, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1, 0.1))
    >>> smooth = rounded(chain, 1e-2)
    >>> start = nct.starts(chain, 1)
    >>> import jax
    >>> with jax.enable_x64(True):
    ...     point = jax.tree.map(lambda x: x[0], start)
    ...     near = bool(abs(smooth.objective(point) - chain.objective(point)) < 1e-3)
    >>> near
    True
    """
    given = as_array(width)
    if given.shape != () or not (is_traced(given) or (np.isfinite(given) and given > 0)):
        raise ValueError(f"width: expected a finite positive number, got {width!r}")
    if not kinks_of(problem):
        raise ValueError(f"problem: {type(problem).__name__} has no kinks; it is smooth as it is")
    return RoundedKinks(given, problem, units_of_kinks(problem))


@float64
def units_of_kinks(problem: Problem) -> Float[np.ndarray, " kinks"]:
    """The size of what has each kink: the median over starts of its root mean square, to the nearest power of 2; zero of a
    candidate that is none.

    >>> import nctheory as nct
    >>> units_of_kinks(nct.deep_nonlinear(widths=(4, 4, 2), counts=(1, 1), loss="mse", weight_decay=(0.1,) * 3)).shape
    (1,)
    """
    kinks_of(problem)
    return np.where(np.array(_REAL[shape_of(problem)]), np.asarray(_sizes(problem)), 0.0)


@fast_compile
def _sizes(problem: Problem) -> Float[Array, " kinks"]:
    arguments = kink_arguments(problem.objective)

    def sizes(seed: Array) -> Array:
        point = problem.init(jax.random.fold_in(jax.random.key(0), seed), 1.0)
        return jnp.stack([jnp.sqrt(jnp.mean(x**2)) for x in arguments(point)])

    seen = jnp.median(jax.vmap(sizes)(jnp.arange(SCALE_STARTS)), axis=0)
    return jax.vmap(lambda one: jnp.asarray(nearest_scale(one, bits=1)))(seen)
