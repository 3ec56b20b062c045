"""The catalogue: theorems by identifier, and theorem files loaded from disk."""

from pathlib import Path

from nctheory.engine import Registry
from nctheory.theorems._theorem import Theorem

_THEOREMS = Registry("theorem", Theorem, "nctheory.register(Theorem(...))")


def register(theorem: Theorem) -> Theorem:
    """Add a theorem to the catalogue under its identifier, and return it.

    Raises ValueError when another theorem holds the identifier already. Registering the same file again (a script
    that is also imported) replaces it.

    >>> import dataclasses
    >>> mine = dataclasses.replace(find_theorem("ufm-ce-balanced"), id="mine-again")
    >>> register(mine) is find_theorem("mine-again")
    True
    """
    return _THEOREMS.add(theorem)


def catalogue() -> dict[str, Theorem]:
    """All theorems of the package `proofs_numeric`, and those registered by hand, by identifier.

    >>> "ufm-ce-balanced" in catalogue()
    True
    """
    return _THEOREMS.all()


def find_theorem(identifier: str) -> Theorem:
    """The theorem of that identifier; ValueError lists the known ones.

    >>> find_theorem("ufm-ce-balanced").title
    'Cross-entropy, balanced: the simplex ETF'
    """
    return _THEOREMS.find(identifier)


def load_theorem_file(path: str | Path) -> list[Theorem]:
    """Import a theorem file and return the theorems that it registers.

    Raises TheoremFileError when the file is missing, fails to import, or registers nothing.

    >>> import proofs_numeric.template
    >>> [theorem.id for theorem in load_theorem_file(proofs_numeric.template.__file__)]
    ['ridge-regression']
    """
    return _THEOREMS.load(path)
