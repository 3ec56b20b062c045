"""What a theorem is to the engine: statement, source, instances, claims, controls."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory._types import Array
from nctheory.flow import Method as SolveMethod
from nctheory.problems import Params, Problem

Kind = Literal["equality", "upper", "lower", "member", "index", "trajectory", "order", "limit"]
Scope = Literal["minimisers", "critical points", "any point", "path"]
PATH_KINDS: tuple[Kind, ...] = ("trajectory", "order", "limit")
KINDS: tuple[Kind, ...] = ("equality", "upper", "lower", "member", "index", *PATH_KINDS)
SCOPES: tuple[Scope, ...] = ("minimisers", "critical points", "any point", "path")
Prediction = Any
Method = SolveMethod | Literal["census", "path"]


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a theorem was published. `number` is the theorem's number there, or "number unchecked".

    `note` says what of it is used, and what of our statement it does not contain.
    """

    citation: str
    number: str
    bibtex: str
    note: str = ""

    def remark(self, note: str) -> "Source":
        """The same publication with a note."""
        return dataclasses.replace(self, note=note)


@dataclasses.dataclass(frozen=True)
class Course:
    """A process in time: the gradient flow, or gradient descent of step size `rate`, observed at `times`.

    Of a descent `times` are numbers of steps. With a `ladder` every seed runs once for each of these multiples of its start.
    """

    times: tuple[float, ...]
    rate: float | None = None
    ladder: tuple[float, ...] = ()
    tolerance: float = 1e-11
    """Of the integrator (see `nctheory.flow`)."""

    def __post_init__(self) -> None:
        if not self.times or self.times[0] < 0 or any(b <= a for a, b in pairwise(self.times)):
            raise ValueError(f"times: expected numbers that increase from 0 or later, got {self.times}")
        if self.rate is not None and any(int(t) != t for t in self.times):
            raise ValueError(f"times: of a descent expected whole numbers of steps, got {self.times}")
        if self.ladder and (len(self.ladder) < 4 or any(b >= a for a, b in pairwise(self.ladder))):
            raise ValueError(f"ladder: expected at least four multiples, from large to small, got {self.ladder}")


@dataclasses.dataclass(frozen=True)
class Instance:
    """One problem within a theorem's hypotheses, with the parameters that a reader wants to see."""

    problem: Problem
    parameters: Mapping[str, float | int | str]
    scale: float | None = None
    """Scale of the starts, where it is not the theorem's."""
    course: Course | None = None
    """Of a theorem about paths: how they are followed."""


@dataclasses.dataclass(frozen=True)
class Claim:
    r"""One checkable sentence: `observe(problem, params)` of an end state against `predicted(prediction)`.

    `kind` is "equality" (the Frobenius norm of the difference is the residual), "upper" (observed <= predicted,
    entrywise), "lower", "member": a scalar is one of a predicted list, or "index": critical points at which the scalar (or
    the vector, one row of the list) is on the predicted list have no negative curvature off the gauge, all others some, and
    of those where it is not finite the claim says nothing. `scope` says of which points it
    speaks: certified "minimisers", all converged "critical points", or "any point" (starts and ends of all seeds). With
    `enclosed` the claim is about the global minimum itself, which lies between certificate and value; `observe` is then
    the objective. An observable that is a difference of large terms gives their size as `terms(problem, params)`:
    rounding is taken relative to it.

    Of paths (scope "path") there are three kinds, and their `observe(problem, params, start)` sees the start of the path
    too. "trajectory": the observable at all times against a predicted curve, times x …. "order": a size that vanishes
    as a power of the ladder's rung, at the last time, against the predicted power. "limit": a number that converges as
    `vanishing(time)` does, extrapolated to where that is 0, against the predicted limit.
    """

    name: str
    statement: str
    observe: Callable[..., Array]
    predicted: Callable[[Prediction], Array]
    kind: Kind = "equality"
    scope: Scope = "minimisers"
    enclosed: bool = False
    of_value: bool = False
    """The observable is the objective, whose error at an end state is of second order in the gradient."""
    terms: Callable[[Any, Params], Array] | None = None
    complete: bool = False
    """Of a "member" claim: every entry of the list ought to be found, or the verdict is inconclusive."""
    vanishing: Callable[[np.ndarray], np.ndarray] | Literal["geometric"] | None = None
    """Of a "limit" claim: what the distance from the limit is proportional to, to first order, as a function of time; or
    "geometric", of an exponential whose rate is not known."""
    logarithmic: bool = False
    """Whether a figure of the curve wants a logarithmic axis."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {KINDS}, got {self.kind!r} in claim {self.name!r}")
        if self.scope not in SCOPES:
            raise ValueError(f"scope: expected one of {SCOPES}, got {self.scope!r} in claim {self.name!r}")
        if self.enclosed and (self.kind, self.scope) != ("equality", "minimisers"):
            raise ValueError(f"enclosed: claim {self.name!r} must be an equality about minimisers")
        if self.kind == "index" and self.scope != "critical points":
            raise ValueError(f"scope: claim {self.name!r} of kind 'index' is about critical points, got {self.scope!r}")
        if self.of_value and (self.scope == "any point" or self.enclosed or self.kind == "index"):
            raise ValueError(
                f"of_value: claim {self.name!r} must compare the objective at critical points or minimisers"
            )
        if (self.kind in PATH_KINDS) != (self.scope == "path"):
            raise ValueError(f"scope: 'path' goes with the kinds {PATH_KINDS}, got {self.kind!r}, {self.scope!r}")
        if (self.kind == "limit") != (self.vanishing is not None):
            raise ValueError(f"vanishing: claim {self.name!r} of kind {self.kind!r}; it goes with kind 'limit'")
        if self.complete and self.kind != "member":
            raise ValueError(f"complete: claim {self.name!r} must be of kind 'member', got {self.kind!r}")


def minimum_value(
    predicted: Callable[[Prediction], Array],
    statement: str = r"\min f",
    terms: Callable[[Any, Params], Array] | None = None,
) -> Claim:
    """The claim that the global minimum has the predicted value, held against its certified enclosure.

    `terms(problem, params)` is the size of the terms whose difference the prediction is, where it is one.
    """
    return Claim(
        "value", statement, lambda problem, params: problem.objective(params), predicted, enclosed=True, terms=terms
    )


@dataclasses.dataclass(frozen=True)
class Control:
    """A version of the theorem made wrong on purpose; the same check must refute it.

    `predict` replaces the theorem's prediction on those instances for which `applies` is true. The control is
    refuted when some claim named in `claims` (default: any) fails on some seed that supports the theorem. A control with
    `outside(key)` is held against those instances instead, which lie outside the hypotheses: it is solved there like the
    theorem itself.
    """

    name: str
    wrong: str
    predict: Callable[..., Prediction]
    claims: tuple[str, ...] = ()
    applies: Callable[[Instance], bool] = lambda instance: True
    outside: Callable[[PRNGKeyArray], Sequence[Instance]] | None = None


@dataclasses.dataclass(frozen=True)
class Theorem:
    """A theorem as an executable claim.

    `instances(key)` draws problems over the whole of the hypotheses; `predict(problem)` is the theorem's formula;
    `notation` maps the paper's symbols to ours. Every theorem ships at least one control of its own; the engine adds
    one that is off by ten times the derived tolerance. Raises ValueError where a part is missing.

    Where local minima are part of the theory (three or more factors make zero one) set `several_basins`: then
    a converged seed supports the theorem at whatever critical point it ends, if no claim fails there and some seed of the
    instance is certified at the global minimum. `method` "polish" is for theorems that speak of end states only, "census"
    (see `nctheory.census`) for those that speak of critical points of every index, "path" for those that speak of the way:
    then every instance has a course, every claim the scope "path", and `predict(problem, start, times)` gives what is
    predicted of the path from one start, in JAX.
    """

    id: str
    title: str
    statement: str
    hypotheses: tuple[str, ...]
    notation: str
    sources: tuple[Source, ...]
    instances: Callable[[PRNGKeyArray], Sequence[Instance]]
    predict: Callable[..., Prediction]
    claims: tuple[Claim, ...]
    controls: tuple[Control, ...]
    init_scale: float = 1.0
    several_basins: bool = False
    seeds: int = 256
    """Seeds per instance, where the caller does not say."""
    method: Method = "flow+polish"

    def __post_init__(self) -> None:
        if not self.id or any(c.isspace() for c in self.id):
            raise ValueError(f"id: expected a name without spaces, got {self.id!r}")
        if not self.claims:
            raise ValueError(f"claims: theorem {self.id!r} makes no claim")
        if not self.controls:
            raise ValueError(f"controls: theorem {self.id!r} has no control; a check that cannot fail proves nothing")
        for claim in self.claims:
            if (claim.scope == "path") != (self.method == "path"):
                raise ValueError(
                    f"method: {self.method!r} of theorem {self.id!r} with a claim of scope {claim.scope!r}"
                )
        names = [claim.name for claim in self.claims]
        if len(set(names)) != len(names):
            raise ValueError(f"claims: names must differ, got {names} in theorem {self.id!r}")
        for control in self.controls:
            unknown = set(control.claims) - set(names)
            if unknown:
                raise ValueError(f"claims: control {control.name!r} of {self.id!r} names unknown claims {unknown}")


def generator(key: PRNGKeyArray) -> np.random.Generator:
    """A NumPy generator seeded by a JAX key, for drawing instances.

    >>> import jax
    >>> bool(generator(jax.random.key(0)).integers(10) == generator(jax.random.key(0)).integers(10))
    True
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
