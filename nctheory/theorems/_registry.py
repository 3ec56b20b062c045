"""The catalogue: theorems by identifier, and theorem files loaded from disk."""

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

from nctheory.theorems._theorem import Theorem


class TheoremFileError(ValueError):
    """A theorem file that cannot be read, does not import, or registers nothing."""


_THEOREMS: dict[str, Theorem] = {}


def register(theorem: Theorem) -> Theorem:
    """Add a theorem to the catalogue under its identifier, and return it.

    Raises ValueError when another theorem holds the identifier already. Registering the same file again (a script
    that is also imported) replaces it.
    """
    if not isinstance(theorem, Theorem):
        raise ValueError(f"theorem: expected a Theorem, got {type(theorem).__name__}")
    known = _THEOREMS.get(theorem.id)
    if known is not None and known.title != theorem.title:
        raise ValueError(f"id: {theorem.id!r} is taken by {known.title!r}")
    _THEOREMS[theorem.id] = theorem
    return theorem


def import_proofs() -> None:
    """Import every file of the package `proofs_numeric`, so that each registers what it holds."""
    import proofs_numeric

    for module in pkgutil.walk_packages(proofs_numeric.__path__, "proofs_numeric."):
        if not module.ispkg and not module.name.endswith(".template"):
            importlib.import_module(module.name)


def catalogue() -> dict[str, Theorem]:
    """All theorems of the package `proofs_numeric`, and those registered by hand, by identifier."""
    import_proofs()
    return dict(_THEOREMS)


def find_theorem(identifier: str) -> Theorem:
    """The theorem of that identifier; ValueError lists the known ones."""
    known = catalogue()
    if identifier not in known:
        raise ValueError(f"theorem: unknown identifier {identifier!r}; known: {', '.join(sorted(known))}")
    return known[identifier]


def load_theorem_file(path: str | Path) -> list[Theorem]:
    """Import a theorem file and return the theorems that it registers.

    Raises TheoremFileError when the file is missing, fails to import, or registers nothing.
    """
    catalogue()  # so that an identifier of the catalogue is not taken unawares
    before = dict(_THEOREMS)
    import_file(path, "theorem file")
    new = [theorem for name, theorem in _THEOREMS.items() if before.get(name) is not theorem]
    if not new:
        raise TheoremFileError(f"theorem file: {path} registers no theorem; call nctheory.register(Theorem(...)) in it")
    return new


def import_file(path: str | Path, what: str) -> None:
    """Import a Python file for what it registers; TheoremFileError, which begins with `what`, when that fails."""
    file = Path(path)
    if not file.is_file():
        raise TheoremFileError(f"{what}: {file} does not exist")
    spec = importlib.util.spec_from_file_location(f"_theorem_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise TheoremFileError(f"{what}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise TheoremFileError(f"{what}: {file} does not import: {type(error).__name__}: {error}") from error
