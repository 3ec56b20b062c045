"""LaTeX as MathML that holds nothing but MathML: what a statement of a file says is never markup of the page."""

import re
from xml.etree import ElementTree

from markupsafe import Markup, escape

from nctheory.report._text import to_unicode

SPACE = "http://www.w3.org/1998/Math/MathML"
ELEMENTS = frozenset({
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "ms", "msub", "msup", "msubsup", "munder", "mover", "munderover",
    "mfrac", "msqrt", "mroot", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose", "mmultiscripts",
    "mprescripts", "none",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "display", "mathvariant", "stretchy", "fence", "form", "separator", "lspace", "rspace", "accent", "accentunder",
    "columnalign", "rowalign", "rowspacing", "columnspacing", "columnlines", "rowlines", "linethickness", "displaystyle",
    "scriptlevel", "movablelimits", "minsize", "maxsize", "largeop", "symmetric", "width", "height", "depth", "voffset",
    "notation", "open", "close", "separators",
})  # fmt: skip
_VALUE = re.compile(r"[\w\s.,%+()\[\]{}|/-]*")
MAX_FORMULA_LENGTH = 4000
"""Characters of a formula that is converted; the rest of the page's mathematics is far below."""


def formula_mathml(latex: str) -> Markup | None:
    """One formula, without dollars; None for what is no formula, and for one with any element or attribute not of the lists.

    >>> str(formula_mathml("a<b"))[:5], formula_mathml(r"\\text{<script>x</script>}"), formula_mathml("a_b_c")
    ('<math', None, None)
    """
    from latex2mathml.converter import convert

    if len(latex) > MAX_FORMULA_LENGTH:
        return None
    try:
        tree = ElementTree.fromstring(convert(latex))
    except Exception:  # the converter has an exception for every mistake, and others for what it does not foresee
        return None
    for one in tree.iter():
        name = str(one.tag).removeprefix(f"{{{SPACE}}}")
        if name not in ELEMENTS or not str(one.tag).startswith(f"{{{SPACE}}}"):
            return None
        if any(key not in ATTRIBUTES or not _VALUE.fullmatch(value) for key, value in one.attrib.items()):
            return None
        one.tag = name
    tree.set("xmlns", SPACE)
    return Markup(ElementTree.tostring(tree, encoding="unicode", short_empty_elements=False))


def mathml(text: str) -> Markup:
    """Text with LaTeX formulas between dollars as HTML with MathML; what is no formula is shown as text.

    >>> "<math" in mathml("if $a<b$, then"), mathml("1 < 2"), mathml("$a_b_c$")
    (True, Markup('1 &lt; 2'), Markup('a_b_c'))
    """
    shown = Markup("")
    for i, part in enumerate(re.split(r"\$([^$]+)\$", text)):
        found = formula_mathml(part) if i % 2 else None
        shown += found if found is not None else escape(to_unicode(part) if i % 2 else part)
    return shown


def formula(statement: str) -> Markup:
    """What a claim states, which is a formula in LaTeX unless it has words in it.

    >>> "<math" in formula(r"W^\\top W"), formula("no seed at zero")
    (True, Markup('no seed at zero'))
    """
    bare = re.sub(r"\\(?:text|mathrm|operatorname)\{[^}]*\}|_\{[^}]*\}|\\[a-zA-Z]+", " ", statement)
    words = re.search(r"[a-z]{4,}", bare)
    return mathml(statement if "$" in statement else f"${statement}$") if not words else escape(to_unicode(statement))
