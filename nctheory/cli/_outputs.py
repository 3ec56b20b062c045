"""What a command writes: a file that fails keeps nothing else from being printed or written, and is said at the end."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from nctheory.engine import Failure, described


class Outputs:
    """Attempts to write files; `settle` raises `Failure`, with one line, where any of them failed."""

    def __init__(self) -> None:
        self._failed: list[str] = []

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Within it an OSError is kept for the end."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            self._failed.append(described(error))

    def rescue(self, file: Path, write: Callable[[Path], Path]) -> Path | None:
        """Write a file that holds what cannot be printed: elsewhere where that fails, and where, or None if nowhere."""
        try:
            return write(file)
        except OSError as error:
            said = described(error)
        try:
            found = write(Path(tempfile.mkdtemp(prefix="nctheory-")) / file.name)
        except OSError:
            self._failed.append(said)
            return None
        self._failed.append(f"{said}, so that it is {found}")
        return found

    @property
    def said(self) -> str:
        """What could not be written, in one line; empty where everything was."""
        more = f" (and {len(self._failed) - 1} more files)" if len(self._failed) > 1 else ""
        return f"cannot write: {self._failed[0]}{more}" if self._failed else ""

    def settle(self, kept: str = "what was computed is printed above") -> None:
        """Raise `Failure` where something could not be written, saying what, and what is `kept` all the same."""
        if self._failed:
            raise Failure(f"{self.said}; {kept}")
