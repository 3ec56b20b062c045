"""What a theorem is to the engine: statement, source, hypotheses, instances, claims, controls, and how it is examined."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
from jaxtyping import PRNGKeyArray

from nctheory.engine import check_identifier, check_name, in_float64, shown
from nctheory.problems import Problem, rounding
from nctheory.theorems._docstring import Description, described
from nctheory.theorems._draws import numpy_rng
from nctheory.theorems._evidence import Evidence
from nctheory.theorems._instance import Hypothesis, Instance, Source, TrajectorySpec
from nctheory.theorems._methods import Solve
from nctheory.theorems._run import Run
from nctheory.theorems.claims import Claim


@runtime_checkable
class Method(Protocol):
    """How the evidence of an instance comes about: `Solve`, `Census` or `Integrate`."""

    few_seeds_are_light: ClassVar[bool]
    """Whether the number of seeds alone decides how programs are compiled."""

    @property
    def name(self) -> str:
        """The method in words."""
        ...

    def accepts(self, claim: Claim, theorem: str) -> None:
        """Raise ValueError for a claim of which its evidence cannot speak."""
        ...

    def gather(self, claims: tuple[Claim, ...], instance: Instance, run: Run) -> Evidence:
        """The evidence of one instance, before any prediction is looked at."""
        ...

    def facts(self) -> str:
        """What is done and to which precision, in words."""
        ...


@dataclasses.dataclass(frozen=True)
class Control:
    """A version of the theorem made wrong on purpose; the same check must refute it.

    `predict` replaces the theorem's prediction on those instances for which `applies` is true; `versions` are claims that
    replace the theorem's claims of their names, for what no prediction can make wrong (a quantity that vanishes, say). The
    control is refuted when some claim named in `claims` (default: any) fails on some seed that could support the theorem. A
    control with `outside(key)` is held against those instances instead, which lie outside the hypotheses: it is solved there
    like the theorem itself. Raises ValueError for a control that changes nothing.
    """

    name: str
    wrong: str
    predict: Callable[..., Any] | None = None
    claims: tuple[str, ...] = ()
    applies: Callable[[Instance], bool] = lambda instance: True
    outside: Callable[[PRNGKeyArray], Sequence[Instance]] | None = None
    versions: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        check_name("control", self.name)
        if self.predict is None and not self.versions and self.outside is None:
            raise ValueError(
                f"predict: control {self.name!r} changes neither the prediction, nor a claim, nor the instances"
            )
        if self.versions and not self.claims:
            object.__setattr__(self, "claims", tuple(version.name for version in self.versions))
        if self.predict is not None:
            object.__setattr__(self, "predict", in_float64(self.predict))

    def version_of(self, claim: Claim) -> Claim:
        """The claim as this control has it."""
        return next((version for version in self.versions if version.name == claim.name), claim)


@shown()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Theorem:
    """A theorem as an executable claim.

    Title, statement, the words of the hypotheses and notation are read from `docstring`, that of the theorem's file (its form:
    `described`); a theorem that is made by a program may give them one by one instead.

    `instances(key)` draws problems over the whole of the `hypotheses`, each of which is evaluated on every instance;
    `predict(problem)` is the theorem's formula; `notation` maps the paper's symbols to ours. Every claim is refuted by at
    least one control. `method` says how the evidence comes about: `Solve(...)` for end states, `Census()` for critical
    points of every index, `Train(...)` for points that training passes, `Integrate()` for paths (every instance then has a
    `TrajectorySpec`, and `predict(problem, start, times)` gives, in JAX, what is predicted of the path from one start).

    Where local minima are part of the theory (three or more factors make zero one) set `several_basins`: then a converged
    seed supports the theorem at whatever critical point it ends, if no claim fails there and some seed of the instance is
    certified at the global minimum. Raises ValueError where a part is missing.
    """

    id: str
    docstring: str | None = None
    title: str = ""
    statement: str = ""
    hypotheses: tuple[Hypothesis | Callable[[Any], bool], ...]
    """Predicates of an instance. With a docstring they stand in the order of its list, which has their words."""
    notation: str = ""
    sources: tuple[Source, ...]
    instances: Callable[[PRNGKeyArray], Sequence[Instance]]
    predict: Callable[..., Any]
    claims: tuple[Claim, ...]
    controls: tuple[Control, ...]
    init_scale: float = 1.0
    """Scale of the starts."""
    several_basins: bool = False
    seeds: int = 256
    """Seeds per instance, where the caller does not say."""
    method: Method = dataclasses.field(default_factory=Solve)
    description: Description | None = None
    """All that the docstring says, by section."""

    def __post_init__(self) -> None:
        check_identifier("theorem", self.id)
        # Whoever asks for instances and predictions gets them as `verify` does, whatever the settings of the process.
        for name in ("instances", "predict"):
            object.__setattr__(self, name, in_float64(getattr(self, name)))
        if self.docstring is not None:
            self._read(self.docstring)
        if not self.claims:
            raise ValueError(f"claims: theorem {self.id!r} makes no claim")
        if not self.controls:
            raise ValueError(f"controls: theorem {self.id!r} has no control; a check that cannot fail proves nothing")
        if not hasattr(self.method, "gather"):
            raise ValueError(
                f"method: expected Solve(...), Census(...), Integrate(...) or Train(...) in theorem {self.id!r}, got "
                f"{self.method!r}"
            )
        for hypothesis in self.hypotheses:
            if not isinstance(hypothesis, Hypothesis):
                raise ValueError(
                    f"hypotheses: expected Hypothesis(text, test) in theorem {self.id!r}, got {hypothesis!r}"
                )
        names = [claim.name for claim in self.claims]
        if len(set(names)) != len(names):
            raise ValueError(f"claims: names must differ, got {names} in theorem {self.id!r}")
        for control in self.controls:
            unknown = sorted({*control.claims, *(version.name for version in control.versions)} - set(names))
            if unknown:
                raise ValueError(f"claims: control {control.name!r} of {self.id!r} names unknown claims {unknown}")
        # The method must give evidence that each claim can speak of, and some control must be able to refute it.
        for claim in self.claims:
            self.method.accepts(claim, self.id)
            if not any(claim.name in control.claims or not control.claims for control in self.controls):
                raise ValueError(
                    f"controls: claim {claim.name!r} of theorem {self.id!r} has no control, in {self.file}; a claim that "
                    "no wrong version fails says nothing"
                )

    def _read(self, docstring: str) -> None:
        """Take title, statement, words of the hypotheses and notation from the docstring."""
        where = f"theorem {self.id!r} in {self.file}"
        said = described(docstring, where)
        for name in ("title", "statement", "notation"):
            given, read = getattr(self, name), getattr(said, name)
            if given not in ("", read):
                raise ValueError(f"{name}: {where}: expected none beside a docstring, got {given!r}")
            object.__setattr__(self, name, read)
        # The docstring has the words of the hypotheses and the file their predicates, in the same order.
        if len(self.hypotheses) != len(said.hypotheses):
            raise ValueError(
                f"hypotheses: {where}: the docstring lists {len(said.hypotheses)}, expected as many predicates, got "
                f"{len(self.hypotheses)}"
            )
        tests = [one.test if isinstance(one, Hypothesis) else one for one in self.hypotheses]
        for one, test, words in zip(self.hypotheses, tests, said.hypotheses, strict=True):
            if not callable(test):
                raise ValueError(
                    f"hypotheses: {where}: expected a predicate of an instance for {words!r}, got {test!r}"
                )
            if isinstance(one, Hypothesis) and one.text != words:
                raise ValueError(f"hypotheses: {where}: the docstring says {words!r}, the predicate {one.text!r}")
        object.__setattr__(self, "hypotheses", tuple(map(Hypothesis, said.hypotheses, tests)))
        object.__setattr__(self, "description", said)
        object.__setattr__(self, "docstring", None)  # it is read: `dataclasses.replace` may change what was read

    @property
    def file(self) -> str:
        """The file that the theorem's instances are defined in."""
        try:
            return inspect.getsourcefile(inspect.unwrap(self.instances)) or "?"
        except TypeError:
            return "?"

    @property
    def observed_claims(self) -> tuple[Claim, ...]:
        """The claims, and the versions of them that controls have."""
        versions = (version for control in self.controls for version in control.versions)
        return tuple(dict.fromkeys((*self.claims, *versions)))

    def draw(self, key: PRNGKeyArray) -> list[Instance]:
        """The instances that a key draws, each checked against every hypothesis.

        Raises ValueError, with the file and the hypothesis, for what is no instance or outside the hypotheses, none at all,
        or a claim whose resolution is finer than float64 can tell on it.
        """
        return [instance for _, instance in self.draw_some(key, lambda drawn: drawn)]

    def draw_some(
        self, key: PRNGKeyArray, pick: Callable[[list[tuple[int, Instance]]], list[tuple[int, Instance]]]
    ) -> list[tuple[int, Instance]]:
        """Those that `pick` takes of the numbered instances that a key draws; these alone are held against the hypotheses.

        Raises ValueError as `draw` does.
        """
        with jax.enable_x64(True):
            made = self._evaluated("instances", "instances(key)", lambda: self.instances(key))
            if not isinstance(made, Iterable):
                raise ValueError(
                    f"instances: expected a list of Instance(problem, parameters), got {type(made).__name__} of theorem "
                    f"{self.id!r}, in {self.file}"
                )
            drawn = list(enumerate(self._evaluated("instances", "instances(key)", lambda: list(made))))
            if not drawn:
                raise ValueError(f"instances: theorem {self.id!r} draws none, in {self.file}")
            for number, one in drawn:
                if not isinstance(one, Instance):
                    raise ValueError(
                        f"instances: expected Instance(problem, parameters), got {type(one).__name__} at {number} of theorem "
                        f"{self.id!r}, in {self.file}"
                    )
            # If picking fails, a hypothesis that is not met is the likelier reason, and told first.
            try:
                picked = pick(drawn)
            except Exception:
                self._check(drawn)  # which may say why
                raise
            self._check(picked)
        return picked

    def _check(self, drawn: Sequence[tuple[int, Instance]]) -> None:
        for number, instance in drawn:
            for hypothesis in self.hypotheses:
                what = f"{hypothesis.text!r} on instance {number}"
                if not self._evaluated("hypotheses", what, lambda h=hypothesis, i=instance: h.holds(i)):
                    shown = ", ".join(f"{name}={value}" for name, value in instance.parameters.items())
                    raise ValueError(
                        f"hypotheses: instance {number} of theorem {self.id!r} ({shown}) is not within "
                        f"{hypothesis.text!r}, in {self.file}"
                    )
            self._check_resolutions(instance.problem)

    def _evaluated(self, part: str, what: str, call: Callable[[], Any]) -> Any:
        """What a function of the theorem file returns; an error in it becomes a ValueError that names the file."""
        try:
            return call()
        except Exception as error:
            raise ValueError(
                f"{part}: {what} of theorem {self.id!r} cannot be evaluated: {type(error).__name__}: {error}; in {self.file}"
            ) from error

    def _check_resolutions(self, problem: Problem) -> None:
        # No error below the rounding of the problem can be asked to be seen.
        finest = float(rounding(problem, 1.0))
        for claim in self.claims:
            if claim.resolution < finest:
                raise ValueError(
                    f"resolution: claim {claim.name!r} of theorem {self.id!r} asks to see a relative {claim.resolution:g}, "
                    f"below the rounding of its problem in float64, {finest:.1e}; in {self.file}"
                )


__all__ = ["Control", "Hypothesis", "Instance", "Method", "Source", "Theorem", "TrajectorySpec", "numpy_rng"]
