"""A folder of finished tiles: written atomically, each with its checksum, under a lock, for one identity."""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import reprlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from nctheory.engine import synchronise_folder, write_atomically
from nctheory.sweeps._tile_file import check_tile, pack_tile, read_tile, unpack_tile

MANIFEST, LOCK = "sweep.json", ".lock"
_SHORT = reprlib.Repr()
"""What a manifest holds, in a message: a crafted one may hold anything."""
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxdict = _SHORT.maxlist = 20


class StoreError(ValueError):
    """The folder of a sweep cannot be used; the message says why. What it holds is left as it is."""


class Store:
    """The folder, locked while it is open; `identity` is what all its tiles share, `names` are their arrays.

    A folder that cannot be written to, but holds a sweep, is open for reading alone, without a lock: tiles get their
    names when they are whole.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any], names: Sequence[str]) -> None:
        self.folder = Path(folder)
        self.identity = dict(identity)
        self.names = tuple(names)
        self.damaged: list[str] = []
        """Files that did not verify: put aside under another name, or left where the folder is read-only."""
        self.read_only: str | None = None
        """Why the folder cannot be written to."""
        self._read: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {}
        self._lock = FileLock(self.folder / LOCK)

    @property
    def _tiles(self) -> Path:
        return self.folder / "tiles"

    def __enter__(self) -> "Store":
        # The lock is not waited for: a folder in use is an error, and one that cannot be written to may still be read.
        try:
            self._make()
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"folder: {self.folder} is in use by another sweep") from None
        except (OSError, NotImplementedError) as error:  # the latter where a file system has no locks
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            if not self._is_read_only():
                raise StoreError(f"folder: cannot use {self.folder}: {why}") from error
            self.read_only = why
        if self.read_only is None and self._is_read_only():  # where a lock from before can be written, and nothing else
            self.read_only = os.strerror(errno.EACCES)
        try:
            self._agree()
            if self.read_only is None:
                self._tidy()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _make(self) -> None:
        """The folders, where they are not there, on the disk with all above that are new."""
        # The folders that are new, from the innermost one out: each must be on the disk within its parent.
        new = list(itertools.takewhile(lambda folder: not folder.exists(), (self._tiles, *self._tiles.parents)))
        self._tiles.mkdir(parents=True, exist_ok=True)
        for folder in new:
            synchronise_folder(folder.parent)

    def _is_read_only(self) -> bool:
        """Whether a sweep is there that can be read, in a folder where nothing can be written."""
        return (self.folder / MANIFEST).is_file() and not (
            os.access(self.folder, os.W_OK) and os.access(self._tiles, os.W_OK)
        )

    def _tidy(self) -> None:
        """Take away what a run left behind that was killed while it wrote, as far as that can be done."""
        for pattern in (f".{MANIFEST}.*.part", "tiles/.*.tile.*.part"):
            for left_over in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    left_over.unlink()

    def _agree(self) -> None:
        """Write the identity, or compare it with the one that is there."""
        # A folder without a manifest is new, unless it holds tiles, whose identity nobody would know.
        manifest = self.folder / MANIFEST
        try:
            if not stat.S_ISREG(manifest.stat().st_mode):
                raise StoreError(f"folder: {manifest} is not a file")
            held = json.loads(manifest.read_bytes())
        except FileNotFoundError:
            if any(self._tiles.glob("*.tile")):
                raise StoreError(f"folder: {self.folder} holds tiles but no {MANIFEST}; take another folder") from None
            self._write(manifest, (json.dumps(self.identity, indent=2, sort_keys=True) + "\n").encode())
            return
        except StoreError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"folder: {manifest} cannot be read: {error}") from error
        if not isinstance(held, dict):
            raise StoreError(f"folder: {manifest}: expected an object, got {type(held).__name__}")
        # Tiles of another version, key or option are other numbers: they may not be mixed.
        for name in sorted(set(held) | set(self.identity)):
            if held.get(name) != self.identity.get(name):
                raise StoreError(
                    f"folder: {self.folder} holds a sweep with {name if name.isidentifier() else _SHORT.repr(name)} = "
                    f"{_SHORT.repr(held.get(name))}, asked was {_SHORT.repr(self.identity.get(name))}; take another folder"
                )

    def tiles(self) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any]]]:
        """Every tile that verifies; a file that does not is listed in `damaged`, and renamed to `….damaged` where that can be.

        Each is read once, since nobody else writes here.
        """
        for file in sorted(self._tiles.glob("*.tile")):
            if file.name not in self._read:
                try:
                    # A file is believed if its checksum, its form and its name agree; else it is put aside, and computed
                    # again.
                    arrays, identity = unpack_tile(read_tile(file))
                    check_tile(arrays, identity, self.names)
                    # The name is a digest of the sweep's identity and the tile's: under another name it is not what it says.
                    if self._name(identity) != file.name:
                        raise ValueError("it is of another sweep")
                except ValueError as error:
                    self._put_aside(file, str(error))
                    continue
                except OSError as error:
                    if not file.is_symlink():
                        raise StoreError(f"folder: cannot read {file}: {error.strerror or error}") from error
                    self._put_aside(file, "it is a link that leads nowhere")
                    continue
                self._read[file.name] = (arrays, identity)
            yield self._read[file.name]

    def _put_aside(self, file: Path, why: str) -> None:
        """Rename what is no tile, to a name that nothing has."""
        if self.read_only is not None:
            self.damaged.append(f"{file.name}: {why}")
            return
        # The first name is taken that nothing has, not even a broken link.
        names = (file.with_suffix(f".damaged{number or ''}") for number in itertools.count())
        aside = next(name for name in names if not os.path.lexists(name))
        try:
            file.rename(aside)
        except OSError as error:
            raise StoreError(f"folder: {file}: {why}, and cannot be put aside: {error.strerror or error}") from error
        self.damaged.append(f"{file.name}: {why}; kept as {aside.name}, computed again")

    def add(self, arrays: Mapping[str, np.ndarray], identity: Mapping[str, Any]) -> Path:
        """Write one tile; its name is a digest of its identity."""
        file = self._tiles / self._name(identity)
        self._write(file, pack_tile(arrays, identity))
        return file

    def _name(self, identity: Mapping[str, Any]) -> str:
        text = json.dumps({**self.identity, **identity}, sort_keys=True)
        return f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.tile"

    def _write(self, file: Path, raw: bytes) -> None:
        try:
            write_atomically(file, raw)
        except OSError as error:
            raise StoreError(
                f"folder: cannot write {file.name} in {file.parent}: {error.strerror or error}; finished tiles are kept"
            ) from error
