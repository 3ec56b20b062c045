"""A tile as the bytes of a file: what they must be to be believed."""

import hashlib
import io
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.flow import Status

MAGIC = b"nctheory tile 1 sha256 "
_HEAD = len(MAGIC) + 64 + 1


def pack_tile(arrays: Mapping[str, np.ndarray], identity: Mapping[str, Any]) -> bytes:
    """A tile as the bytes of its file: a line with the checksum of the rest, then the arrays and what they are of."""
    buffer = io.BytesIO()
    # The identity travels as bytes within the same archive, so that the checksum covers it.
    described = np.frombuffer(json.dumps(identity, sort_keys=True).encode(), np.uint8)
    np.savez(buffer, **{"identity": described, **{f"array {name}": array for name, array in arrays.items()}})
    body = buffer.getvalue()
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpack_tile(raw: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and identity of a tile; ValueError, saying what is wrong, for bytes that are not one."""
    head, body = raw[:_HEAD], raw[_HEAD:]
    if not head.startswith(MAGIC):
        raise ValueError("it does not begin as a tile does")
    if hashlib.sha256(body).hexdigest().encode() + b"\n" != head[len(MAGIC) :]:
        raise ValueError("its checksum does not match")
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            identity = json.loads(archive["identity"].tobytes())
            arrays = {name.removeprefix("array "): archive[name] for name in archive.files if name != "identity"}
    except Exception as error:  # the checksum is right: whatever fails here, somebody else made this file
        raise ValueError(f"it holds no arrays that can be read ({type(error).__name__})") from error
    if not isinstance(identity, dict):
        raise ValueError(f"expected an object that says what it is of, got {type(identity).__name__}")
    return arrays, identity


def read_tile(file: Path) -> bytes:
    """The bytes of a file that begins as a tile does, else no more than its beginning; ValueError for what is no file."""
    if not stat.S_ISREG(file.stat().st_mode):  # a folder, or a pipe that would be waited for
        raise ValueError("it is not a file")
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
        return head + opened.read() if head.startswith(MAGIC) else head


def check_tile(arrays: Mapping[str, np.ndarray], identity: Mapping[str, Any], names: Sequence[str]) -> None:
    """ValueError where the arrays are not what `compute_tile` gives: one number for each of the tile's cells and seeds."""
    if set(identity) != {"cells", "seeds"}:
        raise ValueError(f"expected its cells and seeds, got {len(identity)} other things")
    cells, seeds = identity["cells"], identity["seeds"]
    if not isinstance(cells, list) or not all(isinstance(cell, str) for cell in cells):
        raise ValueError("expected fingerprints of its cells")
    if not isinstance(seeds, list) or not all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds):
        raise ValueError("expected whole numbers as its seeds")
    if set(arrays) != set(names):
        raise ValueError("expected its results and measures, got arrays of other names")
    # Statuses and steps are whole numbers; all other arrays are floating.
    for name, array in arrays.items():
        kinds = "iu" if name in ("status", "steps") else "f"
        if array.shape != (len(cells), len(seeds)) or array.dtype.kind not in kinds:
            raise ValueError(
                f"expected {len(cells)} x {len(seeds)} numbers as {name}, got {array.dtype} of shape {array.shape}"
            )
    if not np.isin(arrays["status"], list(Status)).all():
        raise ValueError("it has seeds of unknown status")
