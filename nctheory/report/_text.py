"""LaTeX statements in a terminal."""

import re
import unicodedata

from nctheory.theorems import Erratum, ErratumResult, Theorem

_SYMBOLS = {
    "top": "T", "infty": "∞", "ge": "≥", "le": "≤", "geq": "≥", "leq": "≤", "to": "→", "otimes": "⊗", "sum": "Σ", "prod": "∏",
    "int": "∫", "nabla": "∇", "in": "∈", "iff": "⇔", "cdots": "…", "dots": "…", "ldots": "…", "times": "×", "cdot": "·",
    "dagger": "+", "ne": "≠", "neq": "≠", "pm": "±", "sim": "~", "approx": "≈", "ell": "ℓ", "odot": "⊙", "mapsto": "↦",
    "propto": "∝", "succ": "≻", "succeq": "⪰", "preceq": "⪯", "langle": "⟨", "rangle": "⟩", "lceil": "⌈", "rceil": "⌉",
    "lfloor": "⌊", "rfloor": "⌋", "parallel": "∥", "perp": "⊥", "subset": "⊂", "cup": "∪", "cap": "∩", "partial": "∂",
    "circ": "∘", "oplus": "⊕", "forall": "∀", "exists": "∃", "quad": "  ", "qquad": "  ", ",": " ", ";": " ", ":": " ",
    "!": "", "|": "‖", "\\": " ", " ": " ", "{": "\0", "}": "\1", "%": "%", "&": "&", "_": "_", "#": "#",
    "left": "", "right": "", "big": "", "Big": "", "displaystyle": "", "mathbb": "", "mathrm": "", "mathbf": "", "mathcal": "",
    "text": "", "textit": "", "operatorname": "",
    "varepsilon": "ε", "varphi": "φ", "lambda": "λ", "Lambda": "Λ",
}  # fmt: skip
"""Commands by what stands for them; Greek letters by their names, and all others by themselves."""
_RELATIONS = "≥≤→≠∈⇔≈∝↦≻⪰⪯⊂"
_ACCENTS = {"bar": "\u0304", "hat": "\u0302", "dot": "\u0307", "tilde": "\u0303"}
_GROUP = r"(?:\{([^{}]*)\}|(\w))"


def to_unicode(latex: str) -> str:
    r"""A readable line of plain text for the LaTeX that statements use; not a TeX parser.

    >>> to_unicode(r"$\sqrt{\lambda_W}\,|Z|_*\ge\frac12$")
    '√(λ_W) |Z|_* ≥ 1/2'
    >>> to_unicode(r"$\min_{WH=Z}|W|$"), to_unicode(r"$\frac\lambda2\gamma\log K$, $\text{its sign}$")
    ('min_(WH=Z) |W|', 'λ/2γlog K, its sign')
    """
    text = re.sub(r"\\([a-zA-Z]+|[^a-zA-Z])", _symbol, latex.replace("\n", " "))
    for name, mark in _ACCENTS.items():
        text = re.sub(rf"\\{name}\s*" + _GROUP, lambda m, mark=mark: (m[1] or m[2]).strip() + mark, text)
    for _ in range(3):  # nested fractions and roots, from the inside out
        text = re.sub(
            r"\\[td]?frac\s*" + _GROUP + r"\s*" + _GROUP,
            lambda m: f"{_bracket(m[1] or m[2])}/{_bracket(m[3] or m[4])}",
            text,
        )
        text = re.sub(r"\\sqrt\s*" + _GROUP, lambda m: f"√({m[1] or m[2]})", text)
    text = text.replace("\\", "").replace("$", "").replace("^{-1}", "⁻¹").replace("^T", "ᵀ").replace("^2", "²")
    text = re.sub(r"_\{([^{}]*[^{}\w][^{}]*)\}", r"_(\1) ", text)  # a subscript of more than a word
    text = re.sub(r"\^\{([^{}]*[^{}\w*][^{}]*)\}", r"^(\1)", text)
    for _ in range(3):
        text = re.sub(r"\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\s+", " ", text.replace("\0", "{").replace("\1", "}")).strip()


def _symbol(command: re.Match[str]) -> str:
    """What stands for a command; those with arguments stay, for what is done to these."""
    name = command[1]
    if name in _ACCENTS or name in ("frac", "tfrac", "dfrac", "sqrt"):
        return command[0]
    if name in _SYMBOLS:
        symbol = _SYMBOLS[name]
        return f" {symbol} " if symbol and symbol in _RELATIONS else symbol
    case = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name}")
    except KeyError:
        return name


def _bracket(inner: str) -> str:
    inner = inner.strip()
    return inner if re.fullmatch(r"\\?\w+(_\w+)?", inner) else f"({inner})"


def show_theorem(theorem: Theorem) -> str:
    """Statement, hypotheses, notation, claims, controls and sources of a theorem, as plain text."""
    lines = [f"{theorem.id}: {theorem.title}", "", to_unicode(theorem.statement), "", "LaTeX:", theorem.statement, ""]
    lines += ["Hypotheses:", *(f"  - {h.text}" for h in theorem.hypotheses), "", f"Notation: {theorem.notation}", ""]
    lines += ["Claims:"]
    lines += [f"  - {c.name} ({c.description}): {to_unicode(c.statement)}" for c in theorem.claims]
    lines += ["", "Controls, wrong versions of the theorem that the same check must refute:"]
    lines += [f"  - {c.name}: {c.wrong}" for c in theorem.controls]
    lines += ["", "Each claim's own wrong version, which it must refute too:"]
    lines += [f"  - {c.name}: {c.wrong_version}{f' ({c.because})' if c.because else ''}" for c in theorem.claims]
    lines += ["", f"How: {theorem.method.facts()}", "", "Sources:"]
    for source in theorem.sources:
        note = f" {source.note}" if source.note else ""
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
