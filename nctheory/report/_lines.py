"""How wide words are in a picture, and words broken over lines so that they fit."""

import re
from functools import lru_cache

from nctheory.report._style import FAMILY

MAX_LETTERS = 240
"""Letters of a name that are looked at: names come from files too."""
_PARTS = re.compile(r"(?:(?<!\\)\$[^$]*(?<!\\)\$|\S)+")
"""Words, of which formulas are parts."""


def literal(text: object) -> str:
    """A name as it is, for a figure, where dollars would begin a formula.

    >>> literal("norm$2")
    'norm\\\\$2'
    """
    return str(text).replace("$", r"\$")


@lru_cache(4096)
def width_of(text: str, size: float) -> float:
    """The width of one line in points; formulas stand between dollars."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=size, prop=FontProperties(family=FAMILY)).get_extents().width)


def wrapped(text: str, width: float, size: float, most: int = 3) -> str:
    """A text of a picture broken between words, or within those that are too long, into at most so many lines.

    What does not fit even so ends in an ellipsis. Formulas, between dollars, stay whole.
    """
    words = _PARTS.findall(text[:MAX_LETTERS]) + ([] if len(text) <= MAX_LETTERS else ["…"])
    lines: list[str] = []
    line = ""
    for word in words:
        longer = f"{line} {word}" if line else word
        if width_of(longer, size) <= width:
            line = longer
            continue
        lines += [line] if line else []
        *whole, line = _broken(word, width, size)
        lines += whole
    lines += [line] if line else []
    if len(lines) > most:
        last = lines[most - 1]
        while "$" not in last and last and width_of(last + "…", size) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip("\\") + "…"]
    return "\n".join(lines)


def _broken(word: str, width: float, size: float) -> list[str]:
    """A word in pieces that fit; a formula in one."""
    if width_of(word, size) <= width or re.search(r"(?<!\\)\$", word):
        return [word]
    pieces = [""]
    for letter in re.findall(r"\\\$|.", word, re.DOTALL):
        if pieces[-1] and width_of(pieces[-1] + letter, size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
