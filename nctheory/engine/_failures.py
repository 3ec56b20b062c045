"""How the command line ends when something fails: one line that says what and where, and an exit status of its own.

1 means refuted, and nothing else; 2 is wrong use, found before anything is computed; 4 an error: of a theorem's file, the
disk, a device or the engine. Whoever reads from a pipe may leave it (141), and Ctrl-C is 130, as shells have it.
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

WRONG_USE, ERROR, INTERRUPTED, PIPE_CLOSED = 2, 4, 130, 141
_OURS = Path(__file__).parents[1]
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a disk that is full or broken: no use of the command is right then."""
_LIBRARIES = ("site-packages", "dist-packages", f"{os.sep}lib{os.sep}python", "<frozen", "<string>")


class Failure(RuntimeError):
    """What keeps a command from its end through no fault of its code; the message tells a user all of it."""


class Misuse(Exception):
    """Wrong use of the command line; the message is for the user."""


@contextlib.contextmanager
def wrong_arguments(through_files: bool = True) -> Iterator[None]:
    """Within it a ValueError that the package raises is wrong use; one from a theorem's or a user's own file remains an error.

    `through_files` says whether values that the package refuses while such a file runs may be the user's arguments.
    """
    try:
        yield
    except ValueError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK:
            # A full or broken disk behind the error is nobody's wrong use.
            raise Failure(str(error)) from error
        # An error through a user's file is that file's own, unless the package raised it on a value that may be an argument.
        innermost = traceback.extract_tb(error.__traceback__)[-1].filename
        if users_place(error) and not (through_files and Path(innermost).is_relative_to(_OURS)):
            raise
        if ": " not in str(error):
            # What the package refuses it names, before a colon; a message without one is NumPy's, of an error of ours.
            raise
        raise Misuse(str(error)) from error


def guarded(command: Callable[[], int], verbose: bool = False, kept: str = "") -> int:
    """The exit status of a command, whatever happens to it.

    `kept` says what an interruption leaves behind. With `verbose` the traceback of an error, or of what refused
    an argument, is printed as well.
    """
    if hasattr(sys.stdout, "reconfigure"):
        for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a letter shows a question mark in its place
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        status = command()
        sys.stdout.flush()
    except Misuse as error:
        if verbose and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        _say(str(error))
        return WRONG_USE
    except BrokenPipeError:
        _give_up_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        _say(f"interrupted{f'; {kept}' if kept else ''}")
        return INTERRUPTED
    except Exception as error:
        if verbose:
            traceback.print_exception(error)
        _say(f"error: {described(error)}{'' if verbose else '; --verbose shows the traceback'}")
        try:
            sys.stdout.flush()
        except OSError:  # the output itself goes to a full disk
            _give_up_output()
        return ERROR
    return status


def _give_up_output() -> None:
    """Let what is still to be printed go nowhere: Python flushes once more at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(f"nctheory: {line}", file=sys.stderr, flush=True)


def described(error: BaseException) -> str:
    """An error in one line: what it is and, where a theorem's or a user's file was running, in which line of it.

    >>> described(OSError(28, "No space left on device", "out/x.json"))
    'No space left on device: out/x.json'
    >>> described(ValueError("shapes differ"))
    'ValueError: shapes differ'
    """
    lines = str(error).strip().splitlines()
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": {error.filename}" if error.filename else "")
    elif isinstance(error, Failure):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        text += traced_hint(error)
    place = users_place(error)
    return f"{text} (in {place})" if place else text


def traced_hint(error: BaseException) -> str:
    """What to do about an error of a function of the user's that JAX follows, and that is not written for it; else "".

    >>> traced_hint(ValueError("shapes differ"))
    ''
    """
    # By their names: the command line must not import JAX for a message.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "TracerArrayConversionError" in kinds:
        return "; JAX follows this function: write it with jax.numpy in the place of NumPy"
    if "ConcretizationTypeError" in kinds:
        return (
            "; JAX follows this function, where numbers are not known: branch by jax.numpy.where, and declare a field that is "
            "a shape or a kind as equinox.field(static=True)"
        )
    return ""


def users_place(error: BaseException) -> str | None:
    """File and line of the innermost frame that is neither the library's nor the package's: a theorem's or a user's file."""
    found = None
    # A traceback lists the outermost frame first, so that the last one found is the innermost.
    for frame in traceback.extract_tb(error.__traceback__):
        path = frame.filename
        if Path(path).is_relative_to(_OURS) or any(part in path for part in _LIBRARIES) or not Path(path).is_file():
            continue
        found = f"{path}, line {frame.lineno}"
    return found
