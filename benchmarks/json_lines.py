"""Results as lines of JSON in a file: each is there before the next is begun, and a killed run loses nothing finished."""

import json
from pathlib import Path
from typing import Any


def read_lines(path: str | Path | None) -> list[dict[str, Any]]:
    """The lines of a file, none where there is no file; one that was cut off when a run was killed is left out.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "found.jsonl"
    ...     append_line(file, {"seeds": 1})
    ...     _ = file.write_text(file.read_text() + '{"seeds": ')
    ...     append_line(file, {"seeds": 3})
    ...     read_lines(file)
    [{'seeds': 1}, {'seeds': 3}]
    """
    kept = []
    for line in Path(path).read_text().splitlines() if path is not None and Path(path).exists() else ():
        try:
            kept.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return kept


def append_line(path: str | Path | None, found: dict[str, Any]) -> None:
    """Add a line to a file, on a line of its own also where the last one was cut off; nothing without a file."""
    if path is None:
        return
    file = Path(path)
    cut = file.exists() and file.stat().st_size > 0 and not file.read_bytes().endswith(b"\n")
    with file.open("a") as kept:
        kept.write(("\n" if cut else "") + json.dumps(found, default=float) + "\n")
