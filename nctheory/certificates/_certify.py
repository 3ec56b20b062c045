"""`certify`: a lower bound on the global minimum, and so a gap, for each point of a batch."""

from collections.abc import Sequence
from functools import partial, singledispatch
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._batching import in_few_lengths, map_in_blocks
from nctheory._concrete import not_positive
from nctheory._precision import float64
from nctheory._programs import light_jit
from nctheory._types import Array, Scalar
from nctheory.certificates._convexity import doubtful_convexity, doubtful_profile
from nctheory.certificates._duality import duality_bound
from nctheory.certificates._profile import missing_profile_bound, profile_bound, profile_caveat
from nctheory.certificates._separable import separable_bound
from nctheory.problems import (
    DeepLinear,
    Family,
    LayerPeeled,
    NoCertificate,
    Params,
    Problem,
    SideBySide,
    as_family,
    singleton,
)

GAP_LEVEL = 1e-9
"""A converged seed counts as certified when its relative duality gap is at most this."""


FEW = 4096
"""Points up to which compiling the bounds takes longer than computing them."""


class Bound(NamedTuple):
    """Lower bounds at the points of a batch (or at one point, without the leading axis)."""

    lower_bound: np.ndarray
    """A number no larger than the global minimum; -inf where there is no certificate."""
    gap: np.ndarray
    """Value at the point minus `lower_bound`: at least the distance of the value from the minimum."""
    valid: np.ndarray
    """Whether `lower_bound` is a finite proved bound."""
    reason: str | None
    """Why there is no certificate, or why a gap above zero may persist at a minimiser; None where it closes."""

    def closed(self, value: np.ndarray) -> np.ndarray:
        """Mask of the points, with these objectives, that are proved to lie at the global minimum to `GAP_LEVEL`."""
        return self.valid & gap_closed(self.gap, value)


def gap_closed(gap: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Whether a gap is at most `GAP_LEVEL` relative to the value.

    A bound that far above a value is wrong, and proves nothing either.

    >>> import numpy as np
    >>> gap_closed(np.array([1e-12, 1e-3, -1e-3]), np.array([0.5, 0.5, 0.5])).tolist()
    [True, False, False]
    """
    return np.abs(gap) <= GAP_LEVEL * np.abs(value)


@singledispatch
def lower_bound(problem: Problem, params: Params) -> Scalar:
    """The bound at one point; raises NoCertificate. A user's own problem overrides `Problem.lower_bound`."""
    return problem.lower_bound(params)


@lower_bound.register
def _(problem: DeepLinear, params: Params) -> Scalar:
    reason = missing_certificate(problem)
    if reason is not None:
        raise NoCertificate(reason)
    if _by_profile(problem):
        return profile_bound(problem)
    bounds = []
    if problem.factors <= 2 and problem.loss.has_conjugate:
        bounds.append(duality_bound(problem, params))
    if problem.loss.name == "mse":
        bounds.append(separable_bound(problem))
    return jnp.max(jnp.stack(bounds))


@lower_bound.register
def _(problem: SideBySide, params: Params) -> Scalar:
    return jnp.sum(jax.vmap(lower_bound)(problem.members, params))


def missing_certificate(problem: DeepLinear) -> str | None:
    """Why this kind of chain has no certificate at all, or None."""
    if _by_profile(problem):
        return missing_profile_bound(problem) or doubtful_profile(problem)
    if problem.factors <= 2:
        if problem.loss.has_conjugate:
            return doubtful_convexity(problem)
        return f"the loss {problem.loss.name} defines no convex conjugate"
    if problem.loss.name != "mse":
        return (
            f"{problem.factors} factors with {problem.loss.name}: the product's penalty is a Schatten quasi-norm, "
            "which is not convex, and duality does not apply"
        )
    if problem.inputs is not None and problem.bias_decay is not None:
        return "given inputs with a bias and three or more factors are not covered by the separable bound"
    return None


def _by_profile(problem: DeepLinear) -> bool:
    """Whether the loss is one that duality does not cover but a profile does."""
    return problem.loss.has_profile and not problem.loss.has_conjugate


@singledispatch
def bound_caveat(problem: Problem) -> str | None:
    """Why a positive gap may persist at a minimiser, or None where theory closes it."""
    return None


@bound_caveat.register
def _(problem: DeepLinear) -> str | None:
    narrow, needed = min(problem.widths[:-1]), problem.classes
    if _by_profile(problem):
        return profile_caveat(problem) if narrow >= needed - 1 else _too_narrow(narrow, needed - 1)
    separable = problem.loss.name == "mse" and (problem.bias_decay is None or not_positive(problem.bias_decay))
    if problem.inputs is not None:
        if separable and problem.bias_decay is None and all(not_positive(decay) for decay in problem.weight_decay):
            return None
        if problem.factors > 2:
            return "inputs that are not white (X X^T not a multiple of I) leave no finite bound"
        return None if problem.factors == 1 or narrow >= needed else _too_narrow(narrow, needed)
    if separable:
        return None
    if problem.factors > 2:
        return "the bias is decayed, which the separable bound leaves out"
    if problem.loss.shift_invariant or (problem.bias_decay is not None and not_positive(problem.bias_decay)):
        needed -= 1
    return None if narrow >= needed else _too_narrow(narrow, needed)


@bound_caveat.register
def _(problem: LayerPeeled) -> str | None:
    needed = problem.classes - 1
    return None if problem.dim >= needed else _too_narrow(problem.dim, needed)


@bound_caveat.register
def _(problem: SideBySide) -> str | None:
    caveats = (bound_caveat(problem.member(index)) for index in range(problem.number))
    return next((caveat for caveat in caveats if caveat is not None), None)


def _too_narrow(width: int, needed: int) -> str:
    return (
        f"width {width} is below {needed}, the rank that the convex program may need: its minimum is still a lower "
        "bound, but it may lie strictly below the chain's, so a gap above zero decides nothing"
    )


def _members(problem: Problem) -> list[Problem]:
    """The problems whose bounds add up to this one's: itself, unless several stand side by side."""
    if not isinstance(problem, SideBySide):
        return [problem]
    return [part for index in range(problem.number) for part in _members(problem.member(index))]


@partial(light_jit, static_argnames="bound_of")
def _bounds(family: Family, points: tuple[Array, Params], bound_of) -> tuple[Array, Array]:
    def one(item: tuple[Array, Params]) -> tuple[Scalar, Scalar]:
        context, point = item
        problem = family.at(context)
        return bound_of(problem, point), problem.objective(point)

    return map_in_blocks(one, points)


@float64
def certify(problem: Problem, params: Params) -> Bound:
    r"""Bound the global minimum from below at every point of a batch.

    `params` has a leading seeds axis on every leaf. The bound uses no theorem's formula: two-factor chains with a
    convex loss get the dual of the nuclear-norm program (any counts, any bias), squared-error chains of any depth the
    separable scalar bound. It holds at **any** point, converged or not, zero or huge; at a global minimiser the
    gap closes, unless `reason` says otherwise. Where nothing is known (three or more factors with cross-entropy, say)
    `valid` is False, `lower_bound` is -inf and `reason` says why.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> bound = nct.certify(model, nct.solve(model, seeds=3).params)
    >>> bool((bound.gap < 1e-12).all()), bound.reason
    (True, None)
    """
    leading = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if len(leading) != 1 or leading == {()}:
        raise ValueError(f"params: expected one leading seeds axis on every leaf, got leading shapes {leading}")
    seeds = leading.pop()[0]
    return _certify(singleton(problem), [problem], np.zeros((seeds, 0)), params)


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
    leading = {np.shape(leaf)[:2] for leaf in jax.tree.leaves(params)}
    if len(leading) != 1 or (shape := leading.pop())[:1] != (len(members),) or len(shape) != 2:
        raise ValueError(f"params: expected leading axes {len(members)} members x seeds, got {leading or shape}")
    family, contexts = as_family(members)
    flat = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *np.shape(x)[2:]), params)
    bound = _certify(family, members, np.repeat(contexts, shape[1], axis=0), flat)
    lower, gap, valid = (x.reshape(shape) for x in bound[:3])
    return Bound(lower, gap, valid, bound.reason)


def _certify(family: Family, members: Sequence[Problem], contexts: np.ndarray, params: Params) -> Bound:
    """Bounds at points of members of a family, point by point."""
    # Asked here, where the problems' numbers are known.
    without = [next((reason for part in _members(member) if (reason := _missing(part))), None) for member in members]
    try:
        if all(without):
            raise NoCertificate(without[0])
        light = len(contexts) <= FEW
        lower, value = in_few_lengths(
            lambda points: _bounds(family, points, lower_bound, light=light), (contexts, params)
        )
    except NoCertificate as missing:
        minus = np.full(len(contexts), -np.inf)
        return Bound(minus, -minus, np.zeros(len(contexts), bool), str(missing))
    lower = np.where(
        np.repeat([reason is not None for reason in without], len(contexts) // len(members)), -np.inf, lower
    )
    gap = value - lower
    gap = np.where(np.isnan(gap), np.inf, gap)
    caveat = next((reason for reason in (*without, *map(bound_caveat, members)) if reason is not None), None)
    return Bound(lower, gap, np.isfinite(lower), caveat)


def _missing(problem: Problem) -> str | None:
    """Why a chain of ours has no certificate; a subclass with a bound of its own is left alone."""
    ours = lower_bound.dispatch(type(problem)) is lower_bound.dispatch(DeepLinear)
    return missing_certificate(problem) if ours and isinstance(problem, DeepLinear) else None
