"""What was checked and observed, for a paper: tables in LaTeX and the publications in BibTeX."""

import re
from collections.abc import Iterable, Sequence

from nctheory.report._cells import SUMMARY, legend, summary_caption, summary_rows
from nctheory.report._load import Results
from nctheory.report._network_results import observed_of
from nctheory.report._observed import STATISTICS, statistic_cells
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


def latex_cell(text: str) -> str:
    r"""A cell of a table as LaTeX sets it.

    >>> latex_cell("3.1e-12 (0.001)"), latex_cell("14 %"), latex_cell("-")
    ('$3.1\\times10^{-12}$ (0.001)', '14\\,\\%', '--')
    """
    if text == "-":
        return "--"
    exact = escape(text).replace(r" \%", r"\,\%")
    return re.sub(r"\b(\d+(?:\.\d+)?)e([+-]\d+)", lambda m: f"${m[1]}\\times10^{{{int(m[2])}}}$", exact)


def citation_key(source: Source) -> str | None:
    """The key of a BibTeX entry, or None where there is no entry."""
    found = re.match(r"\s*@\w+\{\s*([\w:./+-]+)\s*,", source.bibtex)
    return found[1] if found else None


_ACCENTS = frozenset("o O ss ae AE oe OE aa AA l L i j u v H c k d b t r".split())  # noqa: SIM905
_SET = frozenset("emph textit textbf textsc url mathrm mathbb mathcal ell sigma alpha beta lambda infty".split())  # noqa: SIM905


def harmless(bibtex: str) -> bool:
    r"""Whether an entry holds no command of TeX but accents, letters and fonts: what a file says must not run in a paper.

    >>> harmless(r"@article{a, title={\'Etale {\o}}}"), harmless(r"@article{a, note={\input{/etc/passwd}}}")
    (True, False)
    """
    return all(name in _ACCENTS | _SET for name in re.findall(r"\\([a-zA-Z]+)", bibtex)) and "^^" not in bibtex


def bibliography(verdicts: Iterable[Verdict]) -> str:
    """The BibTeX entries of all publications that were checked, each once, by key; none that would run a command of TeX."""
    sources = [source for v in verdicts for source in v.sources if harmless(source.bibtex)]
    entries = {citation_key(source): source.bibtex.strip() for source in sources}
    return "\n\n".join(entry for key, entry in sorted(entries.items(), key=lambda e: str(e[0])) if key) + "\n"


def latex_tables(results: Results) -> str:
    r"""Tables of verdicts, boundaries and observations, to be \input; they need the package booktabs and the BibTeX file."""
    parts = ["% Written by nctheory report. Needs \\usepackage{booktabs} and the entries of report.bib."]
    if results.verdicts:
        cells = summary_rows(results.verdicts)
        rows = [_verdict_row(verdict, row) for verdict, row in zip(results.verdicts, cells, strict=True)]
        told = escape(f"{legend(SUMMARY)} {summary_caption(len(rows))}").replace(r" \%", r"\,\%")
        caption = f"Theorems checked by computation. {told}"
        columns = "".join("r" if one.number else "l" for one in SUMMARY)
        parts.append(_table(columns, [one.heading for one in SUMMARY], rows, caption, "tab:nctheory-verdicts"))
    if results.phases:
        rows = [row for phase in results.phases for row in _boundary_rows(phase)]
        heads = ("diagram", "boundary", "rows", "largest distance", "tolerance", "outcome")
        caption = (
            "Boundaries located by computation: largest distance from the prediction, relative to it, over the rows on "
            "which the boundary was found."
        )
        parts.append(_table("llrrrl", heads, rows, caption, "tab:nctheory-boundaries"))
    observed = [observed_of(one.data)[0] for one in results.networks if one.kind == "observation"]
    if observed:
        rows = [
            tuple(map(latex_cell, (one.observation, part.name, part.outcome, *statistic_cells(part)[:-1])))
            for one in observed
            for part in one.statistics
        ]
        heads = ("observation", *(column.heading for column in STATISTICS[:-1]))
        caption = (
            "Observations, each decided by a rule that was fixed beforehand: seeds that support a statistic, and the exact "
            "interval at 95\\,\\% of their share; the median with its bootstrap interval."
        )
        parts.append(_table("lllrrrr", heads, rows, caption, "tab:nctheory-observations"))
    return "\n\n".join(parts) + "\n"


def _verdict_row(verdict: Verdict, cells: Sequence[str]) -> tuple[str, ...]:
    keys = [key for key in map(citation_key, filter(lambda one: harmless(one.bibtex), verdict.sources)) if key]
    cited = f"~\\cite{{{','.join(keys)}}}" if keys else ""
    name, *others = map(latex_cell, cells)
    return (name + cited, *others)


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
                "--" if one["outcome"] == "observed" else percent([one["tolerance"]]).replace("%", r"\,\%"),
                escape(one["outcome"]),
            )
        )
    return rows


def _table(columns: str, heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    body = [" & ".join(row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
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
