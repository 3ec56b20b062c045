"""The result of a verification, and its JSON form."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from nctheory.theorems._theorem import Source

Outcome = Literal["holds", "refuted", "inconclusive"]
EvidenceLevel = Literal["sampled", "certified"]
SCHEMA_VERSION = 3


@dataclasses.dataclass(frozen=True)
class WorstCase:
    """The seed with the largest residual relative to its tolerance, over all claims and instances."""

    claim: str
    instance: int
    seed: int
    residual: float
    tolerance: float
    margin: float
    """Residual over tolerance: up to 1 supports, above 1 refutes."""
    parameters: dict[str, float | int | str]
    command: str
    """The command that reproduces this case alone."""


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """One claim over all instances."""

    name: str
    statement: str
    kind: str
    scope: str
    instances: int
    """Instances on which the claim was decided."""
    checked: int
    """Seeds on which it was checked."""
    violations: int
    margin: float
    """Largest residual over tolerance."""
    largest_tolerance: float
    power: float
    """Smallest relative error in the prediction that this run would have caught, on its worst instance; NaN where the
    prediction is zero on every instance."""


@dataclasses.dataclass(frozen=True)
class ControlResult:
    """One wrong version of the theorem."""

    name: str
    wrong: str
    refuted: bool
    applicable: int
    """Instances to which the control applies."""
    refuted_on: int
    """Instances on which it was refuted."""
    margin: float
    """Largest residual over tolerance: how far the check is from letting it pass."""


@dataclasses.dataclass(frozen=True)
class ReachedValue:
    """One value at which converged seeds of an instance ended."""

    value: float
    seeds: int
    minimum: bool
    """Whether it is the global minimum, by certificate or, without one, as the best value found."""
    smallest_curvature: float
    """Smallest Hessian eigenvalue off the gauge there; NaN where it was not computed."""


@dataclasses.dataclass(frozen=True)
class InstanceResult:
    """One instance: what was solved and where the seeds ended."""

    index: int
    parameters: dict[str, float | int | str]
    seeds: int
    statuses: dict[str, int]
    certified: int
    supporting: int
    largest_gap: float
    """Largest relative duality gap of a certified seed."""
    smallest_curvature: float
    """Smallest Hessian eigenvalue off the gauge at an end state."""
    index_off_gauge: int
    """Number of negative Hessian eigenvalues there."""
    nullity_off_gauge: int
    gauge_dimension: int
    margin: float
    certificate_note: str | None
    drift: float
    """Of paths: largest relative drift of what the flow conserves, over seeds and times; NaN where nothing is known."""
    dissipation: float
    """Of paths of a flow: largest relative error of the balance of energy; NaN of anything else."""
    levels: tuple[ReachedValue, ...]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one run says of one theorem. `to_json` follows nctheory/report/verdict.schema.json."""

    theorem: str
    title: str
    statement: str
    """The statement in LaTeX, its formulas between dollars."""
    hypotheses: tuple[str, ...]
    sources: tuple[Source, ...]
    outcome: Outcome
    reasons: tuple[str, ...]
    """Why the outcome is not `holds`; empty where it is."""
    evidence: EvidenceLevel
    seeds_per_instance: int
    seeds_run: int
    converged: int
    certified: int
    supporting: int
    failure_bound: float
    """Exact one-sided 95 % upper bound on the probability that a seed does not support the theorem."""
    power: float
    """Smallest relative error in a prediction that would have been caught, on the worst claim and instance."""
    fidelity_same: int
    fidelity_compared: int
    worst: WorstCase | None
    claims: tuple[ClaimResult, ...]
    controls: tuple[ControlResult, ...]
    instances: tuple[InstanceResult, ...]
    key: int | str
    gap_level: float
    gradient_tolerance: float
    environment: dict[str, str]
    seconds: float

    def __str__(self) -> str:
        """Claims, controls, worst case and evidence, as `nctheory verify` prints them."""
        from nctheory.report import verdict_text

        return verdict_text(self)

    def integrator_note(self) -> str | None:
        """What the paths of a theorem about paths keep of what they should conserve; None for other theorems."""
        if not any(claim.scope == "path" for claim in self.claims):
            return None
        return path_note([row.drift for row in self.instances], [row.dissipation for row in self.instances])

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; infinities and NaN become None."""
        return {"schema_version": SCHEMA_VERSION, **_plain(dataclasses.asdict(self))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Verdict":
        """The verdict that `to_dict` wrote; ValueError for anything else.

        What was not finite comes back as infinite where it is a margin, else as NaN.
        """
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version: expected {SCHEMA_VERSION}, got {data.get('schema_version')!r}")
        return _rebuilt(cls, {name: value for name, value in data.items() if name != "schema_version"})

    def to_json(self, path: str | Path | None = None) -> str:
        """JSON text, also written atomically to `path` where one is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            write_atomically(Path(path), text)
        return text


def path_note(drift: Iterable[float], dissipation: Iterable[float]) -> str:
    """In words, the largest drift and the largest error of the balance of energy; NaN is what is not known.

    >>> path_note([1e-13], [2e-11])
    'paths: conserved quantities drift by at most 1.0e-13, the balance of energy is off by at most 2.0e-11, relatively'
    """
    most, off = (max((x for x in some if not math.isnan(x)), default=math.nan) for some in (drift, dissipation))
    if math.isnan(off):
        return "paths of gradient descent, of which nothing is conserved"
    known = "nothing known to be conserved" if math.isnan(most) else f"conserved quantities drift by at most {most:.1e}"
    return f"paths: {known}, the balance of energy is off by at most {off:.1e}, relatively"


_PARTS: dict[str, type] = {
    "sources": Source,
    "worst": WorstCase,
    "claims": ClaimResult,
    "controls": ControlResult,
    "instances": InstanceResult,
    "levels": ReachedValue,
}


def _rebuilt(kind: type, data: Any) -> Any:
    """A dataclass of this module from plain values."""
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(data, dict) or set(data) != names:
        raise ValueError(f"expected an object with the fields {', '.join(sorted(names))} of a {kind.__name__}")
    types, out = {field.name: str(field.type) for field in dataclasses.fields(kind)}, {}
    for name, value in data.items():
        part = _PARTS.get(name)
        if part is not None and isinstance(value, dict):
            out[name] = _rebuilt(part, value)
        elif isinstance(value, list):
            out[name] = tuple(_rebuilt(part, one) if part is not None else one for one in value)
        elif value is None and "float" in types[name]:
            out[name] = math.inf if name == "margin" else math.nan
        else:
            out[name] = value
    return kind(**out)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or none (see `whole_file`)."""
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to, which becomes `path` at the end, and goes where anything fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
