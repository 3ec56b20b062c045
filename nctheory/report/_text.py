"""LaTeX statements in a terminal."""

import re

from nctheory.theorems import Erratum, ErratumResult, Theorem

_SYMBOLS = {
    r"\lambda": "λ", r"\kappa": "κ", r"\phi": "φ", r"\top": "T", r"\min": "min", r"\log": "log", r"\infty": "∞",
    r"\ge": "≥", r"\le": "≤", r"\to": "→", r"\otimes": "⊗", r"\sum": "Σ", r"\bar H": "H̄", r"\bar Z": "Z̄",
    r"\eta": "η", r"\mu": "μ", r"\delta": "δ", r"\nabla": "∇", r"\in": "∈", r"\iff": "⇔", r"\dot W": "Ẇ", r"\bar h": "h̄",
    r"\cdots": "…", r"\times": "×", r"\dagger": "+", r"\mathrm": "", r"\,": " ", r"\quad": "  ", r"\ne": "≠",
}  # fmt: skip
_GROUP = r"(?:\{([^{}]*)\}|(\w))"


def to_unicode(latex: str) -> str:
    r"""A readable line of plain text for the LaTeX that statements use; not a TeX parser.

    >>> to_unicode(r"$\sqrt{\lambda_W}\,|Z|_*\ge\frac12$")
    '√(λ_W) |Z|_* ≥ 1/2'
    >>> to_unicode(r"$\min_{WH=Z}|W|$")
    'min_(WH=Z) |W|'
    """
    text = latex.replace("\n", " ")
    for _ in range(3):  # nested fractions and roots, from the inside out
        text = re.sub(
            r"\\[td]?frac\s*" + _GROUP + r"\s*" + _GROUP,
            lambda m: f"{_bracket(m[1] or m[2])}/{_bracket(m[3] or m[4])}",
            text,
        )
        text = re.sub(r"\\sqrt\s*" + _GROUP, lambda m: f"√({m[1] or m[2]})", text)
    for command in sorted(_SYMBOLS, key=len, reverse=True):
        ending = r"(?![a-zA-Z])" if command[-1].isalpha() else ""
        symbol = _SYMBOLS[command]
        spaced = f" {symbol} " if symbol and symbol in "≥≤→≠∈⇔" else symbol
        text = re.sub(re.escape(command) + ending, lambda m, s=spaced: s, text)
    text = text.replace("$", "").replace("^{-1}", "⁻¹").replace("^T", "ᵀ").replace("^2", "²")
    text = re.sub(r"_\{([^{}]*[^{}\w][^{}]*)\}", r"_(\1) ", text)  # a subscript of more than a word
    text = re.sub(r"\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()


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
