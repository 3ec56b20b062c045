"""The report of a folder of results: one page that needs no network, tables in LaTeX, a bibliography."""

import base64
import json
import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup, escape

from nctheory.report._cells import (
    CLAIMS,
    CONTROLS,
    INSTANCES,
    SUMMARY,
    claim_row,
    control_row,
    instance_row,
    legend,
    parameters,
    summary_caption,
    summary_rows,
    told,
)
from nctheory.report._census import STYLE, draw_census
from nctheory.report._dynamics import draw_dynamics
from nctheory.report._figure import draw_tolerances
from nctheory.report._latex import bibliography, latex_tables
from nctheory.report._load import Results, load_results
from nctheory.report._phase import draw_phase, percent
from nctheory.report._save import Drawing, figure_bytes, house_style
from nctheory.report._text import to_unicode
from nctheory.report._words import sentences, worst_case
from nctheory.theorems import write_atomically

PIXELS = 115
"""Of the page to an inch of a figure."""
OUTCOMES = ("holds", "refuted", "inconclusive", "engine error")


class Report(NamedTuple):
    """What `write_report` wrote, and what it could not read."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def write_report(folder: str | Path, title: str = "nctheory report") -> Report:
    """Write report.html, report.tex and report.bib into a folder of results (see `load_results`).

    The page holds everything it shows. The files are written atomically, the same bytes for the same results. Raises
    ValueError for a folder that holds no results.
    """
    root, results = Path(folder), load_results(folder)
    written = {"report.html": html_page(results, title), "report.tex": latex_tables(results)}
    if results.verdicts:
        written["report.bib"] = bibliography(results.verdicts)
    for name, text in written.items():
        write_atomically(root / name, text)
    return Report(tuple(root / name for name in written), results.left_out)


def html_page(results: Results, title: str) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nctheory.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals.update(
        claim_columns=CLAIMS,
        control_columns=CONTROLS,
        instance_columns=INSTANCES,
        control_row=control_row,
        parameters=parameters,
        told=told,
        sentences=sentences,
        worst_case=worst_case,
        mathml=mathml,
        formula=formula,
        unicode=to_unicode,
    )
    environment.filters.update(claim_row=claim_row, instance_row=instance_row)
    page = environment.get_template("report.html.jinja")
    with house_style():
        tolerances = (
            _picture(draw_tolerances(results.verdicts), "tolerance ratios of claims and controls")
            if results.verdicts
            else None
        )
        phases = [(phase, _picture(draw_phase(phase), f"phase diagram {phase['diagram']}")) for phase in results.phases]
        dynamics = [(one, _picture(draw_dynamics(one), f"paths of {one['dynamics']}")) for one in results.dynamics]
    with house_style(**STYLE):
        censuses = [
            ({"list": None, **one}, _picture(draw_census(one), "loss against index")) for one in results.censuses
        ]
    return page.render(
        title=title,
        results=results,
        tally=[(outcome, sum(v.outcome == outcome for v in results.verdicts)) for outcome in OUTCOMES],
        tolerances=tolerances,
        summary_columns=SUMMARY,
        summary=list(zip(results.verdicts, summary_rows(results.verdicts), strict=True)),
        caption=f"{legend(SUMMARY)} {summary_caption(len(results.verdicts))}",
        phases=phases,
        censuses=censuses,
        dynamics=dynamics,
        environments=_environments(results),
        percent=percent,
    )


def mathml(text: str) -> Markup:
    """Text with LaTeX formulas between dollars as HTML with MathML.

    >>> "<math" in mathml("if $a<b$, then"), mathml("1 < 2")
    (True, Markup('1 &lt; 2'))
    """
    from latex2mathml.converter import convert

    parts = re.split(r"\$([^$]+)\$", text)
    return Markup("").join(Markup(convert(part)) if i % 2 else escape(part) for i, part in enumerate(parts))


def formula(statement: str) -> Markup:
    """What a claim states, which is a formula in LaTeX unless it has words in it.

    >>> "<math" in formula(r"W^\\top W"), formula("no seed at zero")
    (True, Markup('no seed at zero'))
    """
    bare = re.sub(r"\\(?:text|mathrm|operatorname)\{[^}]*\}|_\{[^}]*\}|\\[a-zA-Z]+", " ", statement)
    words = re.search(r"[a-z]{4,}", bare)
    return mathml(statement if "$" in statement else f"${statement}$") if not words else escape(to_unicode(statement))


def _picture(drawing: Drawing, what: str) -> dict[str, str]:
    """A drawing as the page needs it: the picture itself, and what its places say."""
    places = drawing.places()
    data = base64.b64encode(figure_bytes(drawing.figure, "svg", facecolor="none")).decode()
    return {
        "source": f"data:image/svg+xml;base64,{data}",
        "places": json.dumps(places, ensure_ascii=False, separators=(",", ":")),
        "what": what,
        "width": str(int(PIXELS * drawing.figure.get_figwidth())),
    }


def _environments(results: Results) -> list[tuple[dict[str, str], list[str]]]:
    """Every environment in which something was verified, and what."""
    found: dict[str, tuple[dict[str, str], list[str]]] = {}
    for verdict in results.verdicts:
        found.setdefault(json.dumps(verdict.environment), (verdict.environment, []))[1].append(verdict.theorem)
    return list(found.values())
