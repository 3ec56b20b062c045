"""The parts of the page about networks, and how they stand together under headings."""

from collections.abc import Sequence
from typing import NamedTuple

from nctheory.report._fitted import Column
from nctheory.report._save import Drawing

OUTCOME_STYLES = {"observed": "holds", "not observed": "refuted", "undecided": "inconclusive"}
"""The class of the page's style that an outcome has: the colours of the terminal."""


class Table(NamedTuple):
    """A table of the page, and what stands above it."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


class Part(NamedTuple):
    """What the page shows of one file: in this order."""

    group: str
    """Parts of one group stand under one heading, with one sentence and one command."""
    title: str
    where: str
    """The folder, where there are several."""
    outcome: str
    style: str
    """The class of the outcome."""
    sentence: str
    command: str
    terms: Sequence[tuple[str, str]]
    lines: Sequence[str]
    tables: Sequence[Table]
    drawing: Drawing | None
    seen: str
    """What the picture shows, in a sentence."""


class Group(NamedTuple):
    """Parts with one heading, that of the first, and their pictures as the page takes them."""

    head: Part
    parts: list[tuple[Part, dict[str, str] | None]]


def grouped(parts: Sequence[tuple[Part, dict[str, str] | None]]) -> list[Group]:
    """Parts under their headings, in the order of the first of each."""
    found: dict[str, Group] = {}
    for part, picture in parts:
        found.setdefault(part.group, Group(part, [])).parts.append((part, picture))
    return list(found.values())


def observed_tally(parts: Sequence[Part]) -> list[tuple[str, str, int]]:
    """How many observations came out as what, with the class of each outcome."""
    outcomes = [part.outcome for part in parts if part.outcome]
    return [(style, name, outcomes.count(name)) for name, style in OUTCOME_STYLES.items() if name in outcomes]
