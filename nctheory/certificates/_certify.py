"""`certify`: a lower bound on the global minimum, and so a gap, for each point of a batch."""

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates._activated import linear_chain, missing_activated, rounded_activated_bound
from nctheory.certificates._bound import GAP_LEVEL, Bound, gap_closed
from nctheory.certificates._caveats import bound_caveat, missing_certificate
from nctheory.certificates._chain_bound import by_tangents, rounded_chain_bound
from nctheory.certificates._convexity import assumed_convexity, doubtful_convexity
from nctheory.certificates._delsarte import problem_bound
from nctheory.certificates._duality import duality_bound
from nctheory.certificates._elliptope import (
    assumed_energy,
    doubtful_energy,
    missing_energy_bound,
    rank_caveat,
    spherical_features_bound,
    unit_vectors_bound,
)
from nctheory.certificates._strongly_convex import fixed_classifier_bound
from nctheory.certificates._two_layers import two_layer_numbers
from nctheory.engine import (
    Array,
    Scalar,
    fast_compile,
    float64,
    in_few_lengths,
    map_in_blocks,
    only_in_float64,
    untraced,
    usual_block,
)
from nctheory.problems import (
    DeepLinear,
    DeepNonlinear,
    Family,
    FixedClassifier,
    NoCertificate,
    Params,
    Problem,
    ProblemSum,
    SphericalFeatures,
    UnitVectors,
    as_family,
    keeps_objective,
    read_points,
    rounding,
    size,
)

__all__ = [
    "GAP_LEVEL",
    "Bound",
    "bound_caveat",
    "certify",
    "certify_many",
    "duality_bound",
    "gap_closed",
    "lower_bound",
]

CONTRADICTION = (
    "at some of these points the lower bound lies above the value, so that one of the two is wrong; `Bound.contradicts` says "
    "where"
)
OPEN_GAP = (
    f"some of these points are not shown to be global minimisers: there the gap is above {GAP_LEVEL:g} of the value and the "
    "rounding, because they are none or have not come close enough to one (a smaller tolerance of solve brings them closer)"
)
POINT_COPIES = 8
"""The bound at one point works on this many times the numbers of a point."""
FAST_COMPILE_POINTS = 4096
"""For at most this many points compiling the bounds takes longer than computing them."""


@only_in_float64
@singledispatch
def lower_bound(problem: Problem, params: Params) -> Scalar:
    """The bound at one point; raises NoCertificate, and ValueError where it is traced in single precision. A user's own
    problem overrides `Problem.lower_bound`, one derived from a kind of ours too: the bound of that kind holds for its own
    objective alone."""
    kind = _kind(problem)
    return problem.lower_bound(params) if kind is None else _BOUNDS[kind](problem, params)[0]


@lower_bound.register
def _(problem: ProblemSum, params: Params) -> Scalar:
    return jnp.sum(jax.vmap(lower_bound)(problem.members, params))


_BOUNDS: dict[type[Problem], Callable[[Any, Any], tuple[Scalar, Scalar]]] = {
    DeepLinear: rounded_chain_bound,
    DeepNonlinear: rounded_activated_bound,
    UnitVectors: unit_vectors_bound,
    SphericalFeatures: spherical_features_bound,
    FixedClassifier: lambda problem, params: (fixed_classifier_bound(problem, params), jnp.zeros(())),
}
"""The bounds of the kinds of problems that have one here, with their rounding."""


def _kind(problem: Problem) -> type[Problem] | None:
    """The kind of problem whose bound here is this one's too: that of the kind's objective, which neither another one nor a
    bound of its own takes the place of; None where there is none."""
    kind = next((one for one in _BOUNDS if isinstance(problem, one)), None)
    own = type(problem).lower_bound is not Problem.lower_bound or lower_bound.dispatch(type(problem)) is not _PLAIN
    if kind is None or own or not (problem.keeps_bound or keeps_objective(problem, kind)):
        return None
    return kind


_PLAIN = lower_bound.dispatch(Problem)
"""What gives the bound of a kind that nobody has registered another one for."""


def _bound_with_rounding(problem: Problem, params: Params) -> tuple[Scalar, Scalar]:
    """`lower_bound`, and its rounding error where that is known; a bound of a user's own is taken as it is."""
    if isinstance(problem, ProblemSum):
        lower, error = jax.vmap(_bound_with_rounding)(problem.members, params)
        return jnp.sum(lower), jnp.sum(error)
    kind = _kind(problem)
    return (lower_bound(problem, params), jnp.zeros(())) if kind is None else _BOUNDS[kind](problem, params)


def _has_free_direction(problem: DeepLinear) -> bool:
    """Whether a bias or a factor has no decay, so that the dual point has to meet a condition exactly."""
    free_bias = problem.bias_decay is not None and not np.any(np.asarray(problem.bias_decay))
    return free_bias or not np.all(np.asarray(problem.weight_decay))


def _members(problem: Problem) -> list[Problem]:
    """The problems whose bounds add up to this one's: itself, unless several stand side by side."""
    if not isinstance(problem, ProblemSum):
        return [problem]
    return [part for index in range(problem.number) for part in _members(problem.member(index))]


@fast_compile
def _bounds(family: Family, points: tuple[Array, Params]) -> tuple[Array, ...]:
    def one(item: tuple[Array, Params]) -> tuple[Scalar, ...]:
        context, point = item
        problem = family.at(context)
        lower, error = _bound_with_rounding(problem, point)
        terms, at_origin = problem.value_terms(point), problem.value_terms(jax.tree.map(jnp.zeros_like, point))
        # See `Bound.rounding`.
        terms = jnp.maximum(terms, jnp.where((lower <= 0.0) & jnp.isfinite(at_origin), at_origin, 0.0))
        return lower, problem.objective(point), terms, error

    numbers = POINT_COPIES * size(family.template)
    if isinstance(family.template, DeepNonlinear):
        numbers = max(numbers, two_layer_numbers(family.template))
    return map_in_blocks(one, points, usual_block(numbers))


@untraced("for many members there is `certify_many`")
@float64
def certify(problem: Problem, params: Params) -> Bound:
    r"""Bound the global minimum from below at every point of a batch.

    `params` has a leading seeds axis on every leaf. The bound uses no theorem's formula: two-factor chains with a
    convex loss get the dual of the nuclear-norm program (any counts, any bias), squared-error chains of any depth the
    separable scalar bound, two classes behind ReLUs that of the linear chain, features behind a ReLU a tighter dual, networks
    of two layers on given inputs that of a convex program (any number of outputs, a bias at the output or none, as many inputs
    as have few enough patterns of signs), and unit vectors and features of fixed length an eigenvalue (that of the
    semidefinite program over their Gram matrix), or, of codes under an exponential energy,
    that of a linear program in Gegenbauer polynomials where it is larger; decayed features before a given classifier have a
    strongly convex problem, with a minimum no less than the value less the gradient's square over twice the decay. A user's
    own loss needs no conjugate; that it is convex is tested and not proved, which `assumes` says. It holds at **any** point,
    converged or not, zero or huge; at a global minimiser the gap closes, unless `reason` says otherwise; it is not None
    wherever a gap is open. Where nothing
    is known (three or more factors with cross-entropy, say) `valid` is False, `lower_bound` is -inf and `reason` says why.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> bound = nct.certify(model, nct.solve(model, seeds=3).params)
    >>> bool((bound.gap < 1e-12).all()), bound.reason
    (True, None)
    """
    (seeds,), params = read_points(problem, params)
    family, contexts = as_family([problem])
    return _certify(family, [problem], np.repeat(contexts, seeds, axis=0), params)


@untraced()
@float64
def certify_many(members: Sequence[Problem], params: Params) -> Bound:
    """`certify` for problems that differ only in their numbers; leading axes members x seeds, one compiled program.

    `reason` is the first that any member gives. Raises ValueError for members of different shapes, or parameters whose
    leading axis is not theirs.

    >>> import nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))
    >>> members = [model(0.1), model(0.2)]
    >>> bound = certify_many(members, nct.solve_many(members, seeds=3).params)
    >>> bound.gap.shape, bool((bound.gap < 1e-12).all())
    ((2, 3), True)
    """
    family, contexts = as_family(members)
    shape, params = read_points(members[0], params, ("members", "seeds"))
    if shape[0] != len(members):
        raise ValueError(f"params: expected leading axes {len(members)} members x seeds, got {shape[0]} x {shape[1]}")
    flat = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *np.shape(x)[2:]), params)
    bound = _certify(family, members, np.repeat(contexts, shape[1], axis=0), flat)
    lower, gap, valid, error = (np.reshape(x, shape) for x in (*bound[:3], np.asarray(bound.rounding)))
    return Bound(lower, gap, valid, bound.reason, error, bound.assumes)


def _certify(family: Family, members: Sequence[Problem], contexts: np.ndarray, params: Params) -> Bound:
    """The bounds at points of members of a family, point by point."""
    # Why a member has no certificate is asked here and not in the compiled program, because here its numbers are known.
    without = [next((reason for part in _members(member) if (reason := _missing(part))), None) for member in members]
    try:
        if all(without):
            raise NoCertificate(without[0])
        light = len(contexts) <= FAST_COMPILE_POINTS
        lower, value, terms, error = in_few_lengths(
            lambda points: _bounds(family, points, light=light), (contexts, params)
        )
    except NoCertificate as missing:
        minus = np.full(len(contexts), -np.inf)
        return Bound(minus, -minus, np.zeros(len(contexts), bool), str(missing), np.full(len(contexts), np.nan))
    lower, error = _or_of_the_problem(members, lower, error)
    lower = np.where(
        np.repeat([reason is not None for reason in without], len(contexts) // len(members)), -np.inf, lower
    )
    gap = value - lower
    gap = np.where(np.isnan(gap), np.inf, gap)
    caveats = (bound_caveat(member) for member in members if _kind(member) or not isinstance(member, tuple(_BOUNDS)))
    caveat = next((reason for reason in (*without, *caveats) if reason is not None), None)
    parts = _chains(members[0])
    losses = [
        *parts,
        *(
            part
            for part in _members(members[0])
            if isinstance(part, SphericalFeatures | FixedClassifier) and _kind(part)
        ),
    ]
    energies = map(assumed_energy, filter(_kind, _members(members[0])))
    told = (*map(assumed_convexity, losses), *energies)
    assumes = next((words for words in told if words is not None), None)
    if assumes is not None and any(by_tangents(part) and _has_free_direction(part) for part in parts):
        assumes += (
            "; what a free bias or a zero decay leaves of the dual's conditions is estimated, by Newton's decrement"
        )
    bound = Bound(lower, gap, np.isfinite(lower), caveat, rounding(members[0], terms) + error, assumes)
    if bound.contradicts(value).any():
        return bound._replace(reason=CONTRADICTION)
    if caveat is not None or bound.closed(value).all():
        return bound
    narrow = next((words for part in _members(members[0]) if (words := rank_caveat(part)) is not None), None)
    if narrow is not None:
        return bound._replace(reason=narrow)
    tangents = next((part.loss.name for part in parts if part.factors <= 2 and by_tangents(part)), None)
    at_kinks = (
        f" (the bound of {tangents} is by tangents of the loss, which close no gap at a kink)" if tangents else ""
    )
    return bound._replace(reason=OPEN_GAP + at_kinks)


def _or_of_the_problem(members: Sequence[Problem], lower: Array, error: Array) -> tuple[np.ndarray, np.ndarray]:
    """The bounds at the points of members, or where it is larger the one that a member has whatever the point."""
    own = [problem_bound(member) if _kind(member) else None for member in members]
    lowest = np.repeat([-np.inf if one is None else one.lower_bound for one in own], len(lower) // len(members))
    rounded = np.repeat([0.0 if one is None else one.rounding for one in own], len(lower) // len(members))
    better = lowest > np.asarray(lower)
    return np.where(better, lowest, lower), np.where(better, rounded, error)


def _missing(problem: Problem) -> str | None:
    """Why a problem of a kind of ours has no certificate; one with an objective or a bound of its own is left alone."""
    kind = _kind(problem)
    if isinstance(problem, DeepNonlinear) and kind:
        return missing_activated(problem)
    if isinstance(problem, UnitVectors) and kind:
        return missing_energy_bound(problem) or doubtful_energy(problem)
    if isinstance(problem, SphericalFeatures | FixedClassifier) and kind:
        return doubtful_convexity(problem)
    return missing_certificate(problem) if isinstance(problem, DeepLinear) and kind else None


def _chains(problem: Problem) -> list[DeepLinear]:
    """The linear chains whose bounds a problem's are made of."""
    ours = [part for part in _members(problem) if _kind(part)]
    chains = [linear_chain(part) if isinstance(part, DeepNonlinear) else part for part in ours]
    return [part for part in chains if isinstance(part, DeepLinear)]
