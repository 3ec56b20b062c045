"""What the files of `proofs_numeric`, and users' own, register: theorems, errata, diagrams, each under its identifier."""

import difflib
import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax

from nctheory.engine._reads import reads_noted


class TheoremFileError(ValueError):
    """A theorem or diagram file that cannot be read, does not import, or registers nothing."""


T = TypeVar("T")

_REGISTRIES: list["Registry[Any]"] = []
"""All of them, so that one can say which of the others a thing belongs to."""


class Registry(Generic[T]):
    """Things of one kind by identifier; they have an `id` and a `title`.

    >>> from nctheory.theorems import Erratum
    >>> Registry("erratum", Erratum, "register_erratum").find("nothing")
    Traceback (most recent call last):
    ValueError: erratum: unknown identifier 'nothing'; known: none
    """

    def __init__(self, what: str, kind: type[T], register: str) -> None:
        """`what` names one thing in messages, `kind` is its class, and `register` names the function that registers one."""
        self.what = what
        self._register = register
        self._kind = kind
        self._known: dict[str, T] = {}
        self._modules: dict[str, str] = {}
        """The module of `proofs_numeric` that registered a thing; user's own are not in it."""
        _REGISTRIES.append(self)

    def add(self, one: T) -> T:
        """Register a thing under its identifier, and return it.

        Raises ValueError for another kind of thing, and when another holds the identifier already. Registering the same file
        again (a script that is also imported) replaces what it held.
        """
        if not isinstance(one, self._kind):
            other = next((registry for registry in _REGISTRIES if isinstance(one, registry._kind)), None)
            hint = "" if other is None else f"; it is registered by {other._register}"
            raise ValueError(f"{self.what}: expected {self._kind.__name__}, got {type(one).__name__}{hint}")
        new: Any = one
        known: Any = self._known.get(new.id)
        if known is not None and known.title != new.title:
            raise ValueError(f"id: {self.what} {new.id!r} is taken by {known.title!r}")
        self._known[new.id] = one
        module = _registering_module()
        if module is not None:
            self._modules.setdefault(new.id, module)
        return one

    def all(self) -> dict[str, T]:
        """The things of the package `proofs_numeric`, in the order of its modules, and then those registered by hand."""
        import_proofs()
        # In which order they were registered depends on what was asked for before.
        first = sorted(self._modules.items(), key=lambda item: item[1].split("."))
        return {name: self._known[name] for name, _ in first if name in self._known} | self._known

    def find(self, identifier: str) -> T:
        """The one of that identifier; ValueError lists the known ones."""
        if not isinstance(identifier, str):
            kind = self._kind.__name__
            raise ValueError(f"{self.what}: expected a {kind} or an identifier, got {type(identifier).__name__}")
        import_proofs(naming=identifier)
        known = self._known if identifier in self._known else self.all()
        if identifier not in known:
            # What an identifier begins with is nearer to it than what is spelled alike.
            begun = [name for name in sorted(known) if name.startswith(identifier)]
            near = begun or difflib.get_close_matches(identifier, known, n=3)
            names = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
            if Path(f"{identifier}.py").is_file():
                names = f"did you mean the file {identifier}.py?"
            raise ValueError(f"{self.what}: unknown identifier {identifier!r}; {names}")
        with reads_noted(known[identifier]):  # a verb that has only its name sees no further
            return known[identifier]

    def load(self, path: str | Path) -> list[T]:
        """Import a file and return what it registers.

        Raises TheoremFileError when the file is missing, fails to import, or registers nothing of this kind.
        """
        new, failed = self.load_some(path)
        if failed is not None:
            raise failed
        return new

    def load_some(self, path: str | Path) -> tuple[list[T], TheoremFileError | None]:
        """What a file registers before it ends, or fails, with the error in that case.

        Raises TheoremFileError when there is nothing.
        """
        before, failed = self.all(), None  # so that an identifier of the package is not taken unawares
        try:
            import_file(path, f"{self.what} file")
        except TheoremFileError as error:
            failed = error
        # What is new is told by identity, because a file that is loaded again replaces what it registered.
        new = [one for name, one in self._known.items() if before.get(name) is not one]
        if not new:
            raise failed or TheoremFileError(
                f"{self.what} file: {path} registers no {self.what}; call {self._register} in it"
            )
        return new, failed


@functools.cache
def import_proofs(naming: str | None = None) -> None:
    """Import the files of the package `proofs_numeric`, so that each registers what it holds.

    With `naming` only those are imported in whose text that identifier stands as a string: one of ninety theorems is there a
    second sooner so. The files are read once for an identifier, and run in float64: what one of them computes where it is
    imported, and keeps, is of the precision of verdicts whatever the host program's settings.
    """
    import proofs_numeric

    for folder in proofs_numeric.__path__:
        for file in sorted(Path(folder).rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if parts[-1] in ("__init__", "template") or not all(part.isidentifier() for part in parts):
                continue
            if naming is None or f'"{naming}"' in file.read_text(encoding="utf-8"):
                with jax.enable_x64(True):
                    importlib.import_module(".".join(("proofs_numeric", *parts)))


def _registering_module() -> str | None:
    """The module of `proofs_numeric` that registers something right now, or None."""
    frame = sys._getframe(1)
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("proofs_numeric."):
        frame = frame.f_back
    return None if frame is None else frame.f_globals["__name__"]


def import_file(path: str | Path, what: str) -> None:
    """Import a Python file for what it registers, in float64; TheoremFileError, which begins with `what`, when that fails."""
    file = Path(path)
    if not file.is_file():
        raise TheoremFileError(f"{what}: {file} does not exist")
    spec = importlib.util.spec_from_file_location(f"_theorem_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise TheoremFileError(f"{what}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # A module that runs must be found by its name: dataclasses look their annotations up in it.
    sys.modules[spec.name] = module
    try:
        with jax.enable_x64(True):
            spec.loader.exec_module(module)
    except Exception as error:
        raise TheoremFileError(f"{what}: {file} does not import: {type(error).__name__}: {error}") from error
