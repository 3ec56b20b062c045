"""What a theorem says, read from the docstring of its file: one source for `show`, the report and the LaTeX."""

import dataclasses
import inspect
import re

from nctheory.engine import shown

REQUIRED = ("Problem", "Theorem", "Hypotheses", "Notation", "Why", "Checked", "Refuted by", "Example")
"""The sections of a docstring, in their order."""


@shown()
@dataclasses.dataclass(frozen=True)
class Description:
    """What a theorem says, by section; formulas are LaTeX between dollars."""

    title: str
    words: str
    """What the theorem says to a reader who has not seen a formula of it yet."""
    problem: str
    statement: str
    number: str
    """What stands in brackets behind "Theorem": where it is to be found in its source."""
    hypotheses: tuple[str, ...]
    notation: str
    why: str
    """A sketch of the proof."""
    checked: str
    """What is checked, and how without the theorem's formula."""
    refuted: str
    """What would refute it."""
    example: str
    """A short session of Python with what it prints."""


def described(docstring: str | None, where: str) -> Description:
    r"""A docstring's description of a theorem.

    It begins with the title, a full stop at its end, and some sentences in words. A section is a line that ends in a colon
    and starts at the margin, and the indented lines below it; the sections of `REQUIRED` are all
    there, in that order. The section
    "Theorem" may say in brackets where the theorem stands. Hypotheses are a list, one a line that begins with a hyphen.

    Raises ValueError for a docstring without one of them, or with an empty one, naming the section and `where`.

    >>> text = '''Ridge regression.
    ...
    ... A decay shrinks least squares.
    ...
    ... Problem:
    ...     $|WX-Y|^2+\\lambda|W|^2$
    ... Theorem (Hoerl and Kennard 1970, number unchecked):
    ...     $W=YX^\\top(XX^\\top+\\lambda I)^{-1}$ is the minimiser.
    ... Hypotheses:
    ...     - lambda > 0
    ... Notation:
    ...     As here.
    ... Why:
    ...     The gradient vanishes there, and the problem is convex.
    ... Checked:
    ...     Value and weights, against a certificate.
    ... Refuted by:
    ...     A lower value.
    ... Example:
    ...     >>> 1 + 1
    ...     2
    ... '''
    >>> found = described(text, "ridge.py")
    >>> found.title, found.number, found.hypotheses
    ('Ridge regression', 'Hoerl and Kennard 1970, number unchecked', ('lambda > 0',))
    >>> described(text.replace("Notation:", "Symbols:"), "ridge.py")
    Traceback (most recent call last):
    ...
    ValueError: docstring: ridge.py: expected a section 'Notation', got Problem, Theorem, Hypotheses, Symbols, Why, ...
    """
    if not docstring or not docstring.strip():
        raise ValueError(f"docstring: {where}: expected a description of the theorem, got none")
    # The text splits at lines that begin at the margin, end in a colon and have indented lines below them.
    head, *rest = re.split(r"^(\S[^\n]*):[ ]*\n(?=[ \t]+\S)", inspect.cleandoc(docstring) + "\n", flags=re.MULTILINE)
    names, sections = _sections(rest, where)
    title, _, words = head.strip().partition("\n")
    if not words.strip():
        raise ValueError(f"docstring: {where}: expected some sentences between the title and the sections")
    # What stands before the first hyphen must be nothing, and there must be something behind it.
    items = [re.sub(r"\s+", " ", one).strip() for one in re.split(r"^- ", sections["Hypotheses"], flags=re.MULTILINE)]
    if items[0] or len(items) < 2:
        raise ValueError(f"docstring: {where}: section 'Hypotheses': expected lines that begin with a hyphen")
    return Description(
        title=title.strip().removesuffix("."),
        words=words.strip(),
        problem=sections["Problem"],
        statement=sections["Theorem"],
        number=names["Theorem"],
        hypotheses=tuple(items[1:]),
        notation=re.sub(r"\s+", " ", sections["Notation"]),
        why=sections["Why"],
        checked=sections["Checked"],
        refuted=sections["Refuted by"],
        example=sections["Example"],
    )


def _sections(parts: list[str], where: str) -> tuple[dict[str, str], dict[str, str]]:
    """What stands in brackets behind the names of the sections, and their texts."""
    # A heading is a name and perhaps, in brackets, where the theorem is to be found.
    headings = [re.fullmatch(r"([^(]+?)(?: \((.*)\))?", heading) for heading in parts[::2]]
    names = {found[1]: found[2] or "" for found in headings if found}
    texts = {found[1]: inspect.cleandoc(text) for found, text in zip(headings, parts[1::2], strict=True) if found}
    for name in REQUIRED:
        if name not in texts:
            got = ", ".join(texts) or "none"
            raise ValueError(f"docstring: {where}: expected a section {name!r}, got {got}")
        if not texts[name].strip():
            raise ValueError(f"docstring: {where}: section {name!r} is empty")
    unknown = [name for name in texts if name not in REQUIRED]
    if unknown:
        raise ValueError(f"docstring: {where}: unknown section {unknown[0]!r}; expected {', '.join(REQUIRED)}")
    order = [name for name in REQUIRED if name in texts]
    if order != list(texts):
        raise ValueError(
            f"docstring: {where}: expected the sections in the order {', '.join(order)}, got {', '.join(texts)}"
        )
    return names, texts
