"""What code runs: digests of the package's files, and the versions of the libraries that it computes with."""

import functools
import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

CODE = {".py", ".cu", ".cuh", ".cc", ".h"}
"""The endings of files that compute."""
NOT_CODE = ("report", "cli")
"""Parts of the package that change no result."""
LIBRARIES = (
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "diffrax",
    "equinox",
    "lineax",
    "optimistix",
    "jaxtyping",
    "optax",
    "flax",
)
"""What programs are made with."""

MISSING = "not installed"
"""What is said of a distribution that is not there."""
_READ: dict[Path, tuple[int, int]] = {}
"""The files that a digest was made of: when each was changed last (in nanoseconds) before it was read, and its bytes."""


def code_digest(package: str = "nctheory") -> str:
    """The version of the distribution and, as files in a checkout change without it, a digest of those that compute.

    >>> code_digest() == code_digest(), len(code_digest().split()[1])
    (True, 16)
    """
    return _digest(package)


@functools.cache
def _digest(package: str) -> str:
    # Of the files those that only show results are left out; each enters by its place and its content.
    found = importlib.util.find_spec(package)
    roots = list(found.submodule_search_locations or ()) if found is not None else []
    digest = hashlib.sha256()
    for root in map(Path, roots):
        for file in sorted(one for one in root.rglob("*") if one.suffix in CODE):
            inside = file.relative_to(root)
            if inside.parts[0] not in NOT_CODE and file.is_file():  # an editor's lock is a link to nothing
                _READ[file] = _stamp(file)
                digest.update(f"{inside.as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return f"{version_of('nctheory')} {digest.hexdigest()[:16]}"


def code_stands() -> bool:
    """Whether no file that a digest was made of has changed since: a module that is imported now is what it says.

    >>> code_digest() and code_stands()
    True
    """
    try:
        return all(_stamp(file) == stamp for file, stamp in _READ.items())
    except OSError:
        return False


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


@functools.cache
def library_versions() -> tuple[tuple[str, str], ...]:
    """The versions of `LIBRARIES`, of those that are installed.

    >>> dict(library_versions())["jax"] >= "0.10"
    True
    """
    return tuple((name, found) for name in LIBRARIES if (found := version_of(name)) != MISSING)


def version_of(distribution: str) -> str:
    """The version of a distribution, or `MISSING`.

    >>> version_of("no such distribution")
    'not installed'
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return MISSING
