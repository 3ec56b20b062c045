"""What may be called how, and what counts: identifiers of files and commands, names that are printed, whole numbers."""

import re

import numpy as np

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def check_identifier(what: str, identifier: object) -> None:
    """Raise ValueError for an identifier that is no word of letters, digits, '.', '_' and '-': it names files and is typed.

    >>> check_identifier("theorem", "ufm-ce-balanced")
    >>> check_identifier("theorem", "../../x")
    Traceback (most recent call last):
    ValueError: id: expected up to 80 letters, digits, '.', '_' or '-' for a theorem, a letter or digit first, got '../../x'
    """
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(
            f"id: expected up to 80 letters, digits, '.', '_' or '-' for a {what}, a letter or digit first, got {identifier!r}"
        )


def check_name(what: str, name: object) -> None:
    """Raise ValueError for a name that is empty or holds control characters, which would reach a terminal.

    >>> check_name("claim", "value\\x1b[2J")
    Traceback (most recent call last):
    ValueError: name: expected printable text for a claim, got 'value\\x1b[2J'
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError(f"name: expected printable text for a {what}, got {name!r}")


def is_finite(value: object) -> bool:
    """Whether it is one finite real number, which names, masks, None and arrays of several are not.

    >>> [is_finite(one) for one in (0.5, np.float32(2), np.inf, "a", None, [1.0, 2.0])]
    [True, True, False, False, False, False]
    """
    try:
        number = np.asarray(value)
    except ValueError:  # lists of lists of unequal lengths
        return False
    return number.ndim == 0 and number.dtype.kind in "iuf" and bool(np.isfinite(number))


def check_flag(name: str, value: object) -> None:
    """Raise ValueError for an argument of that name that is neither True nor False.

    >>> check_flag("light", 2)
    Traceback (most recent call last):
    ValueError: light: expected True or False, got 2
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected True or False, got {value!r}")


def whole_number(name: str, value: object, least: int = 1) -> int:
    """The argument of that name as an integer; ValueError where it is no whole number of at least `least`.

    >>> whole_number("dim", 3), whole_number("step", 0, least=0)
    (3, 0)
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    return int(value)
