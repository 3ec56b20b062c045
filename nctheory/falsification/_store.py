"""The folder of a search: what identifies it, and one file for each finished trial."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from nctheory.engine import write_atomically
from nctheory.falsification._places import Place
from nctheory.falsification._records import TrialRecord
from nctheory.theorems import Theorem

FORM = 2
"""The version of the files."""


class Store:
    """The folder of a search; None keeps nothing.

    Raises ValueError, naming what differs, where the folder is of another search.
    """

    def __init__(self, folder: str | Path | None, identity: dict[str, Any]) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            return
        (self.folder / "trials").mkdir(parents=True, exist_ok=True)
        named, wanted = self.folder / "search.json", {"form": FORM, **identity}
        if named.exists():
            try:
                found = json.loads(named.read_text())
            except ValueError:
                raise ValueError(f"out: {named} is not the JSON of a search; expected another folder") from None
            differs = [name for name in wanted if not isinstance(found, dict) or found.get(name) != wanted[name]]
            if differs:
                name = differs[0]
                was = found.get(name) if isinstance(found, dict) else found
                raise ValueError(
                    f"out: {self.folder} holds a search with {name} {was!r}, this one has {wanted[name]!r}; take another "
                    "folder, or the same arguments"
                )
        else:
            write_atomically(named, json.dumps(wanted, indent=2) + "\n")

    def _file(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / "trials" / f"{number:06d}.json"

    def load(self, number: int) -> TrialRecord | None:
        """The record of a finished trial; None where there is none that can be read."""
        if self.folder is None or not self._file(number).exists():
            return None
        try:
            return _record(json.loads(self._file(number).read_text()))
        except (ValueError, KeyError, TypeError):
            return None  # a trial that cannot be read is done anew

    def save(self, record: TrialRecord) -> None:
        """Write the record of a finished trial, whole or not at all."""
        if self.folder is not None:
            write_atomically(self._file(record.number), json.dumps(_plain(dataclasses.asdict(record))) + "\n")

    def claim(self, number: int) -> FileLock | None:
        """A trial for this process alone, until it is released; None where another process is at work on it."""
        if self.folder is None:
            return None
        lock = FileLock(self.folder / "trials" / f"{number:06d}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BlockingIOError(number) from None
        return lock


def source_digest(theorem: Theorem) -> str:
    """A digest of the theorem's file: trials of another version of it are not this one's."""
    try:
        return hashlib.sha256(Path(theorem.file).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def _plain(value: Any) -> Any:
    """The value for JSON: what is not finite becomes text."""
    if isinstance(value, Place):
        return value.plain()
    if isinstance(value, dict):
        return {str(name): Place(*one).plain() if name == "place" else _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value.item() if isinstance(value, np.generic) else value


def _record(data: dict[str, Any]) -> TrialRecord:
    """The record that `save` wrote."""
    return TrialRecord(
        **{
            **data,
            "place": Place.of(data["place"]),
            "ratios": {name: float(ratio) for name, ratio in data["ratios"].items()},
            "violated": tuple(data["violated"]),
        }
    )


__all__ = ["Store", "source_digest"]
