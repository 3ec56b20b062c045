"""Files that are written whole or not at all, and that are still there after a power cut."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What file systems answer that cannot synchronise a folder."""


def check_folder_exists(path: str | os.PathLike[str]) -> None:
    """ValueError for a file name in a folder that does not exist, before anything is computed for the file.

    >>> check_folder_exists("no such folder/figure.pdf")
    Traceback (most recent call last):
    ...
    ValueError: path: expected a file in a folder that exists, got 'no such folder/figure.pdf'
    """
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"path: expected a file in a folder that exists, got {str(path)!r}")


def write_atomically(path: Path, content: str | bytes, durable: bool = True) -> None:
    """Write a whole file or none (see `whole_file`)."""
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path, durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def whole_file(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary name beside `path` to write to, which becomes `path` at the end, and goes where anything fails.

    The name is taken by nothing else. The file's content is on the disk before it gets its name, and the name is on the disk
    when this ends, unless it need not be `durable`: then a power cut may leave an empty file. An OSError names `path`,
    whatever file or folder it is about.
    """
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}.part")
    try:
        yield temporary
        if durable:
            _synchronise(temporary)
        temporary.replace(path)
        if durable:
            synchronise_folder(path.parent)
    except OSError as error:
        # An OSError without a number does not come from the system, and is handed on as it is.
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # the error that led here is the one to hear of
            temporary.unlink(missing_ok=True)


def synchronise_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, so that a power cut takes none back."""
    if os.name == "nt":  # where folders cannot be opened, and names are journalled
        return
    try:
        _synchronise(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _synchronise(path: Path) -> None:
    # Windows synchronises only what is open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
