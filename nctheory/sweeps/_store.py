"""A folder of finished tiles: written atomically, each with its checksum, under a lock, for one identity."""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from nctheory.theorems import write_atomically

MAGIC = b"nctheory tile 1 sha256 "
MANIFEST, LOCK = "sweep.json", ".lock"


class StoreError(ValueError):
    """The folder of a sweep cannot be used; the message says why. What it holds is left as it is."""


def pack_tile(arrays: Mapping[str, np.ndarray], identity: Mapping[str, Any]) -> bytes:
    """A tile as the bytes of its file: a line with the checksum of the rest, then the arrays and what they are of."""
    buffer = io.BytesIO()
    described = np.frombuffer(json.dumps(identity, sort_keys=True).encode(), np.uint8)
    np.savez(buffer, **{"identity": described, **{f"array {name}": array for name, array in arrays.items()}})
    body = buffer.getvalue()
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpack_tile(raw: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and identity of a tile; ValueError, saying what is wrong, for bytes that are not one."""
    head, _, body = raw.partition(b"\n")
    if not head.startswith(MAGIC):
        raise ValueError("it does not begin as a tile does")
    if hashlib.sha256(body).hexdigest().encode() != head[len(MAGIC) :]:
        raise ValueError("its checksum does not match")
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        identity = json.loads(archive["identity"].tobytes())
        arrays = {name.removeprefix("array "): archive[name] for name in archive.files if name != "identity"}
    return arrays, identity


class Store:
    """The folder, locked while it is open; `identity` is what all its tiles share."""

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.identity = dict(identity)
        self.damaged: list[str] = []
        """Files that did not verify, put aside under another name."""
        self._read: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {}
        self._lock = FileLock(self.folder / LOCK)

    def __enter__(self) -> "Store":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "tiles").mkdir(exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"folder: {self.folder} is in use by another sweep") from None
        except OSError as error:
            raise StoreError(f"folder: cannot use {self.folder}: {error.strerror or error}") from error
        try:
            self._agree()
            for pattern in (f".{MANIFEST}.*.part", "tiles/.*.tile.*.part"):  # of a run that was killed while it wrote
                for left_over in self.folder.glob(pattern):
                    left_over.unlink(missing_ok=True)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _agree(self) -> None:
        """Write the identity, or compare it with the one that is there."""
        manifest = self.folder / MANIFEST
        try:
            held = json.loads(manifest.read_text())
        except FileNotFoundError:
            if any((self.folder / "tiles").glob("*.tile")):
                raise StoreError(f"folder: {self.folder} holds tiles but no {MANIFEST}; take another folder") from None
            self._write(manifest, (json.dumps(self.identity, indent=2, sort_keys=True) + "\n").encode())
            return
        except (OSError, ValueError) as error:
            raise StoreError(f"folder: {manifest} cannot be read: {error}") from error
        for name in sorted(set(held) | set(self.identity)):
            if held.get(name) != self.identity.get(name):
                raise StoreError(
                    f"folder: {self.folder} holds a sweep with {name} = {held.get(name)!r}, asked was "
                    f"{self.identity.get(name)!r}; take another folder"
                )

    def tiles(self) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any]]]:
        """Every tile that verifies; a file that does not is renamed to `….damaged` and listed in `damaged`.

        Each is read once, since nobody else writes here.
        """
        for file in sorted((self.folder / "tiles").glob("*.tile")):
            if file.name in self._read:
                yield self._read[file.name]
                continue
            try:
                try:
                    arrays, identity = unpack_tile(file.read_bytes())
                    if self._name(identity) != file.name:
                        raise ValueError("it is of another sweep")
                except (ValueError, KeyError, EOFError) as error:
                    aside = file.with_suffix(".damaged")
                    file.replace(aside)
                    self.damaged.append(f"{file.name}: {error}; kept as {aside.name}, computed again")
                    continue
            except OSError as error:
                raise StoreError(f"folder: cannot read {file}: {error.strerror or error}") from error
            self._read[file.name] = (arrays, identity)
            yield arrays, identity

    def add(self, arrays: Mapping[str, np.ndarray], identity: Mapping[str, Any]) -> Path:
        """Write one tile; its name is a digest of its identity."""
        file = self.folder / "tiles" / self._name(identity)
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
