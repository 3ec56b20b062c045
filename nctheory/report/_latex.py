"""What was checked, for a paper: tables in LaTeX and the publications in BibTeX."""

import re
from collections.abc import Iterable, Sequence

from nctheory.report._load import Results
from nctheory.report._phase import percent
from nctheory.theorems import Source, Verdict

_SPECIAL = {c: "\\" + c for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def escape(text: str) -> str:
    r"""Plain text for LaTeX.

    >>> escape("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return "".join(_SPECIAL.get(c, c) for c in text)


def scientific(number: float) -> str:
    r"""Two significant digits, in LaTeX.

    >>> scientific(3.1e-12), scientific(0.25), scientific(float("nan"))
    ('$3.1\\times10^{-12}$', '$0.25$', '--')
    """
    if number != number:
        return "--"
    if number in (float("inf"), -float("inf")):
        return r"$\infty$"
    mantissa, _, exponent = f"{number:.2g}".partition("e")
    return f"${mantissa}\\times10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"


def citation_key(source: Source) -> str | None:
    """The key of a BibTeX entry, or None where there is no entry."""
    found = re.match(r"\s*@\w+\{\s*([^,\s]+)\s*,", source.bibtex)
    return found[1] if found else None


def bibliography(verdicts: Iterable[Verdict]) -> str:
    """The BibTeX entries of all publications that were checked, each once, by key."""
    entries = {citation_key(source): source.bibtex.strip() for v in verdicts for source in v.sources}
    return "\n\n".join(entry for key, entry in sorted(entries.items(), key=lambda e: str(e[0])) if key) + "\n"


def latex_tables(results: Results) -> str:
    r"""Tables of verdicts and of located boundaries, to be \input; they need the package booktabs and the BibTeX file."""
    parts = ["% Written by nctheory report. Needs \\usepackage{booktabs} and the entries of report.bib."]
    if results.verdicts:
        rows = [_verdict_row(verdict) for verdict in results.verdicts]
        heads = ("theorem", "outcome", "seeds", "supporting", "margin", "power", r"$p_{95}$", "controls")
        caption = (
            "Theorems checked by computation. Margin: largest residual over its derived tolerance; power: smallest relative "
            "error in a prediction that would have been caught; $p_{95}$: upper bound, at 95\\,\\%, on the probability that "
            "a seed does not support the theorem; controls: wrong versions of the theorem that the same check refuted."
        )
        parts.append(_table("llrrrrrr", heads, rows, caption, "tab:nctheory-verdicts"))
    if results.phases:
        rows = [row for phase in results.phases for row in _boundary_rows(phase)]
        heads = ("diagram", "boundary", "rows", "largest distance", "tolerance", "outcome")
        caption = (
            "Boundaries located by computation: largest distance from the prediction, relative to it, over the rows on "
            "which the boundary was found."
        )
        parts.append(_table("llrrrl", heads, rows, caption, "tab:nctheory-boundaries"))
    return "\n\n".join(parts) + "\n"


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    keys = [key for key in map(citation_key, verdict.sources) if key]
    cited = f"~\\cite{{{','.join(keys)}}}" if keys else ""
    refuted = sum(control.refuted for control in verdict.controls)
    return (
        escape(verdict.theorem) + cited,
        verdict.outcome,
        str(verdict.seeds_run),
        str(verdict.supporting),
        scientific(verdict.worst.margin) if verdict.worst else "--",
        scientific(verdict.power),
        scientific(verdict.failure_bound),
        f"{refuted}/{len(verdict.controls)}",
    )


def _boundary_rows(phase: dict) -> list[tuple[str, ...]]:
    rows = []
    for one in phase["boundaries"]:
        distances = [x for x in one["distance"] if x is not None]
        rows.append(
            (
                escape(phase["diagram"]),
                escape(one["name"]),
                str(len(distances)),
                percent(distances).replace("%", r"\,\%").replace("-", "--"),
                f"{one['tolerance']:.2%}".replace("%", r"\,\%"),
                one["outcome"],
            )
        )
    return rows


def _table(columns: str, heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    body = [" & ".join(row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            f"\\caption{{{caption}}}",
            f"\\label{{{label}}}",
            r"\end{table}",
        ]
    )
