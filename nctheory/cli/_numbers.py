"""Numbers of the command line: what they must be, said where they are not."""

import argparse
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """Parser of a whole number of at least `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {value}")
        return value

    return parse


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, separated by commas."""
    return tuple(whole(1)(part) for part in text.split(","))


def classes(text: str) -> tuple[int, ...]:
    """Classes as 0-4 or 0,2,3, or both."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = whole(0)(first)
        found += range(low, whole(low)(last) + 1) if dash else [low]
    return tuple(found)
