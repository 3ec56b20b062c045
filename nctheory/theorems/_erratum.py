"""Claims of the literature that are false or misprinted, each with what reproduces the counterexample."""

import dataclasses
from collections.abc import Callable
from typing import Literal

from nctheory.engine import Registry, check_identifier, shown
from nctheory.theorems._instance import Source

Ground = Literal["certified", "arithmetic", "sampled"]


@shown()
@dataclasses.dataclass(frozen=True)
class ErratumResult:
    """What reproducing an erratum computed."""

    refuted: bool
    """Whether the claim came out false."""
    ground: Ground
    """"certified": a certificate holds at the counterexample; "arithmetic": formulas evaluated, no optimisation;
    "sampled": the best of many starts, without a certificate."""
    figures: tuple[tuple[str, str], ...]
    """What was computed, line by line: what it is, and its value."""


@shown()
@dataclasses.dataclass(frozen=True)
class Erratum:
    """A claim as published, why it fails, and what reproduces the counterexample.

    `published` is the claim as it was read, or as the catalogue reports it where only that was seen; `convention` maps its
    symbols to ours; `instead` says what is true. `reproduce(seeds, key)` computes the counterexample anew. Raises
    ValueError for an empty part.
    """

    id: str
    title: str
    published: str
    why: str
    instead: str
    convention: str
    sources: tuple[Source, ...]
    reproduce: Callable[[int, int], ErratumResult]
    theorem: str | None = None
    """The theorem of the catalogue that has the right statement."""

    def __post_init__(self) -> None:
        check_identifier("erratum", self.id)
        for name in ("id", "title", "published", "why", "instead", "convention"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: expected a text in erratum {self.id!r}, got an empty one")

    @property
    def command(self) -> str:
        """The command that reproduces it."""
        return f"nctheory errata {self.id}"


_ERRATA = Registry("erratum", Erratum, "nctheory.theorems.register_erratum(Erratum(...))")


def register_erratum(erratum: Erratum) -> Erratum:
    """Add an erratum to the list, and return it; ValueError when its identifier is taken by another.

    >>> import dataclasses
    >>> mine = dataclasses.replace(find_erratum("N19"), id="N1900")
    >>> register_erratum(mine) is find_erratum("N1900")
    True
    """
    return _ERRATA.add(erratum)


def errata() -> dict[str, Erratum]:
    """All errata of the package `proofs_numeric`, and those registered by hand, in the order of their numbers.

    >>> len(errata()) >= 10
    True
    """
    return dict(sorted(_ERRATA.all().items(), key=lambda item: (len(item[0]), item[0])))


def find_erratum(identifier: str) -> Erratum:
    """The erratum of that identifier; ValueError lists the known ones."""
    return _ERRATA.find(identifier)
