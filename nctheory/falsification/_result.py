"""What a search for a counterexample found, or how much was searched."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from nctheory.engine import json_value, shown
from nctheory.falsification._proposals import Change
from nctheory.falsification._records import TrialRecord

SearchOutcome = Literal["refuted", "nothing found", "engine error"]


def short_note(note: str) -> str:
    """What was evaluated anew, without the numbers that stand beside it.

    >>> short_note("confirmed with 50 digits at instance 0, seed 3: value 1, predicted 2, residual 1"), short_note("")
    ('confirmed with 50 digits at instance 0, seed 3', 'float64')
    """
    return note.split(": ")[0] if note.startswith("confirmed") else note or "float64"


@shown()
class Tightness(NamedTuple):
    """The trial at which a claim came closest to failing."""

    claim: str
    ratio: float
    """Residual over tolerance: above 1 the claim fails."""
    trial: int
    parameters: Mapping[str, Any]


@shown()
@dataclasses.dataclass(frozen=True)
class Counterexample:
    """One violation of one claim, polished, reduced, and saved where a folder was given."""

    theorem: str
    claim: str
    kind: str
    """The kind of the claim."""
    parameters: Mapping[str, Any]
    """The hyperparameters of the smallest instance at which the claim was seen to fail."""
    predicted: float | None
    """The predicted number, where the claim predicts one."""
    value: float
    """The objective at the point; NaN where the violation is one of a path."""
    residual: float
    tolerance: float
    note: str
    """What the evaluation in extended precision said."""
    place: list[Any]
    """Where the instance comes from: draw, index, moves, edits."""
    point: np.ndarray | None
    """The parameters of the network as a vector; None of a path."""
    digits: int | None
    """The significant digits to which the point's numbers could be rounded; None where they were left as they are."""
    command: str
    """The command that finds it again, or checks its file."""
    file: str | None
    """Its JSON file, beside an NPZ file and a test; None where no folder was given."""

    def __str__(self) -> str:
        where = ", ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.parameters.items())
        told = "" if self.predicted is None else f"predicted {self.predicted:.12g}, "
        if self.kind == "global value":
            # Of a prediction that is too small the note has what excludes it.
            _, below, why = self.note.partition("below the ")
            told = f"value {self.value:.12g}, {told}" + (f"{below}{why.split(', ')[0]}, " if below else "")
        return (
            f"claim {self.claim!r} fails at {where}: {told}residual {self.residual:.3g} against a "
            f"tolerance of {self.tolerance:.1g}; {short_note(self.note)}"
            + (f"; the point has {self.digits} digits" if self.digits else "")
            + f"\n    {self.command}"
        )


@shown()
@dataclasses.dataclass(frozen=True)
class Falsification:
    """What a search for a counterexample came to."""

    theorem: str
    outcome: SearchOutcome
    """"refuted", "nothing found", or "engine error", where a certificate contradicts a value: then nothing is known."""
    found: Counterexample | None
    """The violation, where there is one."""
    reason: str
    """What the engine's error was, or constants of single precision that the claim which fails uses; empty otherwise."""
    trials: int
    """Instances solved and judged, those of an earlier run of the same search included."""
    rounds: int
    """Rounds that were begun."""
    starts: Mapping[str, int]
    """Starts by family."""
    optimisers: Mapping[str, int]
    """Starts by the optimiser that brought them down."""
    shapes: int
    """Different shapes of the parameters."""
    tightest: tuple[Tightness, ...]
    """Of each claim the trial at which it came closest to failing."""
    thresholds: int
    """Places where the predicted structure changes that were located."""
    nearest_threshold: float
    """The least relative distance of a trial's numbers from such a place; infinite where there is none."""
    unjudged: int
    """Instances at which the theorem predicts nothing."""
    key: int | str
    """The random key of the search."""
    seconds: float
    """Time of this run."""
    undecided: tuple[str, ...] = ()
    """The claims that no trial could decide, so that nothing was searched for them: one about a threshold that was not
    located, say, or one that applies to no instance that was tried."""

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; what is not finite becomes None, and points are lists."""
        return json_value(dataclasses.asdict(self), named=True)

    def to_json(self) -> str:
        """JSON text of `to_dict`."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def __str__(self) -> str:
        """The outcome, and how much was searched, in a few lines."""
        lines = [f"{self.theorem}: {self.outcome}" + (f": {self.reason}" if self.reason else "")]
        if self.found is not None:
            lines.append(str(self.found))
        total = sum(self.starts.values())
        lines.append(
            f"searched: {self.trials} instances of {self.shapes} shapes, {total} starts, {self.rounds} "
            f"round{'s' if self.rounds > 1 else ''}, {self.seconds:.0f} s, key {self.key}"
        )
        lines.append("starts: " + ", ".join(f"{number} {name}" for name, number in self.starts.items()))
        if self.optimisers:
            told = ", ".join(f"{number} {name}" for name, number in self.optimisers.items())
            lines.append(f"optimisers: {told}")
        for one in self.tightest:
            where = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in one.parameters.items())
            lines.append(f"tightest {one.claim}: residual/tolerance {one.ratio:.2g} at {where}")
        if self.thresholds:
            lines.append(
                f"thresholds: {self.thresholds} located, instances as near as a relative {self.nearest_threshold:.1g}"
            )
        if self.undecided:
            lines.append(f"not searched: no trial decided {', '.join(self.undecided)}")
        if self.unjudged:
            lines.append(f"{self.unjudged} instances at which nothing is predicted")
        return "\n  ".join(lines)


def line_of(record: TrialRecord, seconds: float) -> str:
    """What a trial came to, in one line."""
    where = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in record.parameters.items())
    tight = max(record.ratios.items(), key=lambda pair: pair[1], default=("nothing", 0.0))
    told = record.note or f"tightest {tight[0]} {tight[1]:.2g}"
    total = sum(record.starts.values())
    return f"round {record.round}, trial {record.number} ({where}): {told}; {total} starts, {seconds:.1f} s"


def tightest(records: Sequence[TrialRecord]) -> tuple[Tightness, ...]:
    """Of each claim the record with the largest residual over tolerance."""
    best: dict[str, Tightness] = {}
    for record in records:
        for claim, ratio in record.ratios.items():
            if claim not in best or ratio > best[claim].ratio:
                best[claim] = Tightness(claim, ratio, record.number, record.parameters)
    return tuple(best.values())


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The largest relative difference of the real numbers that are shown; infinite where anything else differs."""
    if set(one) != set(other):
        return np.inf
    away = []
    for name, value in one.items():
        if isinstance(value, float) and isinstance(other[name], float):
            away.append(abs(value - other[name]) / max(abs(other[name]), 1e-300))
        elif value != other[name]:
            return np.inf
    return max(away, default=np.inf)


def nearest(records: Sequence[TrialRecord], changes: Sequence[Change]) -> float:
    """The least relative distance of a trial's numbers from those of a threshold; infinite where none is comparable."""
    least = np.inf
    for change in changes:
        for record in records:
            least = min(least, _distance(record.parameters, change.above))
    return float(least)


__all__ = ["Counterexample", "Falsification", "Tightness", "line_of", "nearest", "tightest"]
