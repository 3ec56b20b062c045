"""The result of a verification, and its JSON form."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from nctheory.engine import check_folder_exists, json_value, shown, write_atomically
from nctheory.theorems._instance import Source
from nctheory.theorems._results import ClaimResult, ControlResult, InstanceResult, WorstCase

Outcome = Literal["holds", "refuted", "inconclusive", "engine error"]
SCHEMA_VERSION = 4


@shown()
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
    """"holds", "refuted", "inconclusive" or "engine error"."""
    reasons: tuple[str, ...]
    """Why the outcome is not `holds`; empty where it is."""
    evidence: str
    """That of the weakest claim: "sampled", "certified" or "proved"."""
    headline: str
    """The evidence of each claim, in words."""
    method: str
    """How the evidence came about: "solve", "census", "integrate" or "train"."""
    facts: str
    """What was done and to which precision, in words."""
    precision: str
    """The precision of the flow; everything after it is float64."""
    seeds_per_instance: int
    """Seeds that were asked for."""
    seeds_run: int
    """Seeds of all instances."""
    converged: int
    """Seeds that converged."""
    certified: int
    """Seeds that are certified to be at the global minimum."""
    supporting: int
    """Seeds that support the theorem."""
    instances_supporting: int
    """Instances on which at least the share of seeds that is asked for supports the theorem, and no claim fails."""
    formula_bound: float
    """Exact one-sided 95 % upper bound on the probability that an instance, drawn like these, fails the theorem."""
    basin_bound: float
    """The same on the probability that a seed of one instance does not support it, on the worst instance."""
    resolution: float
    """Relative error in a prediction that would have been caught, on the worst equality and instance."""
    fidelity_same: int
    """Seeds that end where a more accurate flow ends, of those compared."""
    fidelity_compared: int
    """Seeds that were followed again by a more accurate flow."""
    worst: WorstCase | None
    """The claim, instance and seed with the largest residual over its tolerance."""
    claims: tuple[ClaimResult, ...]
    controls: tuple[ControlResult, ...]
    instances: tuple[InstanceResult, ...]
    key: int | str
    """The random key of instances and starts."""
    environment: dict[str, str]
    """Versions, platform, device and precision."""
    seconds: float
    """Wall-clock time."""

    def __str__(self) -> str:
        """Outcome, reasons and evidence in a few lines; `nctheory.show` prints the tables."""
        lines = [f"{self.theorem}  {self.title}: {self.outcome}", *self.reasons, f"evidence: {self.headline}"]
        refuted = sum(control.refuted for control in self.controls)
        lines.append(f"controls refuted: {refuted} of {len(self.controls)}")
        return "\n  ".join(lines)

    @property
    def integrator_note(self) -> str | None:
        """What the paths of a theorem about paths keep of what they should conserve; None for other theorems."""
        if self.method != "integrate":
            return None
        return path_note([row.drift for row in self.instances], [row.dissipation for row in self.instances])

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; infinities and NaN become None."""
        return {"schema_version": SCHEMA_VERSION, **json_value(dataclasses.asdict(self))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Verdict":
        """The verdict that `to_dict` wrote; ValueError for anything else.

        What was not finite comes back as infinite where it is a ratio of tolerances, else as NaN.
        """
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version: expected {SCHEMA_VERSION}, got {data.get('schema_version')!r}")
        return _rebuilt(cls, {name: value for name, value in data.items() if name != "schema_version"})

    def to_json(self, path: str | Path | None = None) -> str:
        """JSON text, also written atomically to `path` where one is given; ValueError where its folder does not exist."""
        if path is not None:
            check_folder_exists(path)
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            write_atomically(Path(path), text)
        return text


def path_note(drift: Iterable[float], dissipation: Iterable[float]) -> str:
    """The largest drift and the largest error of the balance of energy, in words; NaN is what is not known.

    >>> path_note([1e-13], [2e-11])
    'paths: conserved quantities drift by at most 1.0e-13, the balance of energy is off by at most 2.0e-11, relatively'
    """
    # What is not known of a row does not count; if nothing is known of any, the note says so.
    most, off = (max((x for x in some if not math.isnan(x)), default=math.nan) for some in (drift, dissipation))
    if math.isnan(off):
        return "paths of gradient descent, of which nothing is conserved"
    known = "nothing known to be conserved" if math.isnan(most) else f"conserved quantities drift by at most {most:.1e}"
    return f"paths: {known}, the balance of energy is off by at most {off:.1e}, relatively"


_INFINITE = ("tolerance_ratio", "largest_tolerance", "high")
"""Numbers that are infinite where they are not finite; all others are NaN."""


def _rebuilt(kind: type, data: Any) -> Any:
    """A dataclass of these modules from plain values; ValueError for anything else."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(data, dict) or set(data) != set(fields):
        raise ValueError(f"expected an object with the fields {', '.join(sorted(fields))} of a {kind.__name__}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, name) for name, value in data.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """One field from its plain value, by its type."""
    parts = typing.get_args(hint)
    # An optional field is None or of its one dataclass; another union holds plain values.
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        hint = next((part for part in parts if dataclasses.is_dataclass(part)), None)
        return value if hint is None else _rebuilt(hint, value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _rebuilt(hint, value)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name}: expected a list, got {type(value).__name__}")
        inner = parts[0]
        return tuple(_value(inner, one, name) for one in value)
    # JSON has no numbers that are not finite: those were written as None, and the name says which they were.
    if value is None and hint is float:
        return math.inf if name in _INFINITE else math.nan
    return value
