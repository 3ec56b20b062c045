"""LaTeX statements in a terminal."""

import functools
import re
from typing import Any

from nctheory.theorems import Erratum, ErratumResult, Theorem

_RELATIONS = {
    "ge": "≥", "geq": "≥", "le": "≤", "leq": "≤", "ne": "≠", "neq": "≠", "to": "→", "iff": "⇔", "in": "∈", "approx": "≈",
    "propto": "∝", "mapsto": "↦", "succ": "≻", "succeq": "⪰", "preceq": "⪯", "subset": "⊂", "sim": "~",
}  # fmt: skip
"""Set apart by spaces."""
_FUNCTIONS = ("min", "max", "inf", "sup", "log", "exp", "cos", "sin", "tr", "det", "dim", "ker", "arg", "lim")
"""Set apart from a letter that follows."""
_IN_TWO = ("frac", "tfrac", "dfrac", "binom")
"""Of two arguments."""
_OPEN, _CLOSE, _GAP = "\ue000", "\ue001", "\ue002"
"""Stand for braces that are shown, and for a space between two words; of Unicode's private letters."""


@functools.cache
def _converter() -> Any:
    """The library's converter, with fractions, relations and groups as a line of plain text needs them."""
    from pylatexenc import latex2text

    words = latex2text.get_default_latex_context_db().filter_context(exclude_categories=["nonascii-specials"])

    def fraction(node: Any, l2tobj: Any) -> str:
        above, below = (l2tobj.node_arg_to_text(node, k) for k in (0, 1))
        return f"{_bracket(above)}/{_bracket(below)}{_GAP}"

    def choices(node: Any, l2tobj: Any) -> str:
        return f"C({l2tobj.node_arg_to_text(node, 0)},{l2tobj.node_arg_to_text(node, 1)})"

    own = {name: f" {symbol} " for name, symbol in _RELATIONS.items()}
    own |= {name: f"{name}{_GAP}" for name in _FUNCTIONS}
    own |= {"top": "⊤", "{": _OPEN, "}": _CLOSE, "|": "‖", "_": "_", "%": "%%", "#": "#"}
    own |= {",": " ", ";": " ", ":": " ", "!": ""}
    own |= dict.fromkeys(("left", "right", "big", "Big", "displaystyle"), "")
    own |= {name: name for name in ("input", "include")}
    replaced: list[Any] = [latex2text.MacroTextSpec(name, simplify_repl=text) for name, text in own.items()]
    for name in _IN_TWO:
        shown = choices if name == "binom" else fraction
        # The library looks at the names of the arguments, which a decorator hides.
        replaced.append(
            latex2text.MacroTextSpec(name, simplify_repl=lambda node, l2tobj, shown=shown: shown(node, l2tobj))
        )
    words.add_context_category("statements", prepend=True, macros=replaced)
    words.set_unknown_macro_spec(latex2text.MacroTextSpec("", simplify_repl=lambda node: node.macroname))
    return latex2text.LatexNodes2Text(
        latex_context=words, math_mode="text", keep_braced_groups=True, keep_braced_groups_minlen=2
    )


@functools.cache
def _macros() -> Any:
    """The commands that the library reads with their arguments, and those of two that it does not know."""
    from pylatexenc import latexwalker, macrospec

    known = latexwalker.get_default_latex_context_db()
    known.add_context_category("statements", macros=[macrospec.std_macro(name, "{{") for name in _IN_TWO])
    return known


def to_unicode(latex: str) -> str:
    r"""A readable line of plain text for the LaTeX that statements use; what is no LaTeX stays, without its backslashes.

    >>> to_unicode(r"$\sqrt{\lambda_W}\,|Z|_*\ge\frac12$")
    '√(λ_W) |Z|_* ≥ 1/2'
    >>> to_unicode(r"$\min_{WH=Z}|W|$"), to_unicode(r"$\frac\lambda2\gamma\log K$, $\text{its sign}$")
    ('min_(WH=Z)|W|', 'λ/2 γlog K, its sign')
    >>> to_unicode(r"$\lambda_{l+1}\bar h_{ck}^\top$ is 5 % of $\frac1{2N}\{e^{-m_{ci}}\}$")
    'λ_(l+1)h̅_ckᵀ is 5 % of 1/(2N){e^(-m_ci)}'
    >>> to_unicode(r"$\binom r3\binom{n-1}{k}$, $\tfrac t8$")
    'C(r,3)C(n-1,k), t/8'
    >>> to_unicode(r"$\frac{$")
    'frac{'
    """
    try:
        escaped = re.sub(r"(?<!\\)([%&])", r"\\\1", latex)
        text = _converter().latex_to_text(escaped, tolerant_parsing=False, latex_context=_macros())
    except Exception:  # the library has an exception for every mistake, and others for what it does not foresee
        text = latex
    text = re.sub(rf"{_GAP}(?=[^\W\d_])", " ", re.sub(r"[\\$]", "", text)).replace(_GAP, "")
    inner = r"\{([^{}]*)\}"
    while True:  # from the inside out
        shorter = re.sub(rf"([_^]){inner}", lambda found: found[1] + _script(found[1], found[2]), text)
        shorter = shorter if shorter != text else re.sub(inner, r"\1", text)
        if shorter == text:
            break
        text = shorter
    text = text.replace("^(-1)", "⁻¹").replace("^⊤", "ᵀ").replace("^2", "²")
    return re.sub(r"\s+", " ", text.replace(_OPEN, "{").replace(_CLOSE, "}")).strip()


def _script(kind: str, inner: str) -> str:
    """What stands below or above: in brackets unless it is one word."""
    bare = re.fullmatch(r"\w+" if kind == "_" else r"[\w*]", inner)
    return inner if bare else f"({inner.strip()})"


def _bracket(inner: str) -> str:
    """A number or a letter with its index as it is, the rest in brackets."""
    inner = inner.replace(_GAP, "").strip()
    return inner if re.fullmatch(r"\d+|[^\W\d_](_\w+)?", inner) else f"({inner})"


def show_theorem(theorem: Theorem, latex: bool = False) -> str:
    """Statement, hypotheses, notation, claims, controls and sources of a theorem, as plain text.

    With `latex` the statement is given in LaTeX as well.
    """
    lines = [f"{theorem.id}: {to_unicode(theorem.title)}", ""]
    said = theorem.description
    if said is not None:
        lines += [said.words, ""]
        lines += ["Problem:", to_unicode(said.problem), ""] if said.problem else []
        lines += [f"Theorem{f' ({said.number})' if said.number else ''}:"]
    lines += [to_unicode(theorem.statement), ""]
    lines += ["LaTeX:", theorem.statement, ""] if latex else []
    lines += ["Hypotheses:", *(f"  - {to_unicode(h.text)}" for h in theorem.hypotheses), ""]
    lines += [f"Notation: {to_unicode(theorem.notation)}", ""]
    if said is not None:
        parts = (("Why", said.why), ("Checked", said.checked), ("Refuted by", said.refuted))
        lines += [line for name, text in parts if text for line in (f"{name}: {to_unicode(text)}", "")]
        parts = said.example.split("\n\n")  # words between the blocks of code
        lines += ["Example:", *(one if ">>> " in one else to_unicode(one) for one in parts), ""] if said.example else []
    lines += ["Claims:"]
    lines += [f"  - {c.name} ({c.description}): {to_unicode(c.statement)}" for c in theorem.claims]
    lines += ["", "Controls, wrong versions of the theorem that the same check must refute:"]
    lines += [f"  - {c.name}: {to_unicode(c.wrong)}" for c in theorem.controls]
    lines += ["", "Each claim's own wrong version, which it must refute too:"]
    lines += [f"  - {c.name}: {c.wrong_version}{f' ({c.because})' if c.because else ''}" for c in theorem.claims]
    lines += ["", f"How: {theorem.method.facts()}", "", "Sources:" if theorem.sources else "Sources: none is given"]
    for source in theorem.sources:
        note = f" {to_unicode(source.note)}" if source.note else ""
        lines += [f"  {source.citation} ({source.number}){note}", "", source.bibtex, ""]
    return "\n".join(lines)


def show_erratum(erratum: Erratum) -> str:
    """A false claim as published, why it fails, what is true, and the command that reproduces it, as plain text."""
    lines = [f"{erratum.id}: {erratum.title}"]
    parts = (
        ("published", erratum.published),
        ("fails", erratum.why),
        ("instead", erratum.instead + (f" (theorem {erratum.theorem})" if erratum.theorem else "")),
        ("convention", erratum.convention),
    )
    lines += [f"  {name + ':':<11} {to_unicode(text)}" for name, text in parts]
    for source in erratum.sources:
        lines.append(f"  {'source:':<11} {source.citation} ({source.number}){' ' + source.note if source.note else ''}")
    return "\n".join([*lines, f"  {'reproduce:':<11} {erratum.command}", ""])


def show_erratum_result(erratum: Erratum, result: ErratumResult) -> str:
    """What reproducing an erratum computed, as plain text."""
    outcome = "false" if result.refuted else "NOT REFUTED"
    width = max((len(name) for name, _ in result.figures), default=0)
    lines = [f"{erratum.id}: {erratum.title}", f"  the claim is {outcome} ({result.ground})"]
    return "\n".join([*lines, *(f"  {name:<{width}}  {value}" for name, value in result.figures), ""])
