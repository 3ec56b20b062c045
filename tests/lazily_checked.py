"""beartype's check of types, made when a function is first called: few of all functions are called in any one process."""

import functools

import beartype as at_once


def beartype(function):
    """`beartype.beartype`, postponed to the first call: what it makes of thousands of functions takes seconds.

    What it would say of an annotation that it cannot read it says then, too.
    """
    checked = None

    @functools.wraps(function)
    def lazily(*args, **kwargs):
        nonlocal checked
        if checked is None:
            checked = at_once.beartype(function)
        return checked(*args, **kwargs)

    return lazily
