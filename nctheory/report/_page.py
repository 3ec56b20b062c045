"""The report of a folder of results: one page that needs no network, tables in LaTeX, a bibliography."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nctheory.engine import write_atomically
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
from nctheory.report._census import draw_census
from nctheory.report._dynamics import draw_dynamics
from nctheory.report._figure import draw_tolerances
from nctheory.report._latex import bibliography, harmless, latex_tables
from nctheory.report._load import Results, load_results
from nctheory.report._mathml import formula, mathml
from nctheory.report._network_files import NetworkFile
from nctheory.report._network_parts import OUTCOME_STYLES, Part, grouped, observed_tally
from nctheory.report._networks import part_of, placed
from nctheory.report._phase import draw_phase, percent
from nctheory.report._save import Drawing, figure_bytes
from nctheory.report._style import house_style
from nctheory.report._text import to_unicode
from nctheory.report._turning import turning_pictures
from nctheory.report._words import sentences, worst_case
from nctheory.theorems import Verdict

PIXELS = 115
"""The pixels of the page to an inch of a figure."""
_BLANK = {"source": "", "places": "[]", "what": "", "width": "1"}
"""Stands for a picture where a verdict is tried by itself."""
OUTCOMES = ("holds", "refuted", "inconclusive", "engine error")


class Report(NamedTuple):
    """What `write_report` wrote, and what it could not read."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def write_report(folder: str | Path, title: str = "nctheory report") -> Report:
    """Write report.html, report.tex and report.bib into a folder of results (see `load_results`).

    The page holds everything it shows. The files are written atomically, the same bytes for the same results. What cannot be
    shown is left out, and said to be, and the rest is shown. Raises ValueError for a folder that holds no results, and the
    first OSError of a file that cannot be written, when the others are.
    """
    root = Path(folder)
    page, results = _shown_page(load_results(folder), title)
    written = {"report.html": page, "report.tex": latex_tables(results)}
    if results.verdicts:
        written["report.bib"] = bibliography(results.verdicts)
    failed = []
    for name, text in written.items():
        try:
            write_atomically(root / name, text)
        except OSError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    commands = [
        f"{verdict.theorem}: a BibTeX entry with commands of TeX is not in report.bib"
        for verdict in results.verdicts
        if not all(harmless(source.bibtex) for source in verdict.sources)
    ]
    return Report(tuple(root / name for name in written), (*results.left_out, *commands))


def html_page(results: Results, title: str) -> str:
    """The page as text; what cannot be shown is named there."""
    return _shown_page(results, title)[0]


def _shown_page(results: Results, title: str) -> tuple[str, Results]:
    """The page, and the results without those that cannot be shown."""
    page = _Page(title, results.left_out)
    with house_style():
        phases = page.shown("phases", results.phases, "diagram", draw_phase, "phase diagram {}")
        dynamics = page.shown("dynamics", results.dynamics, "dynamics", draw_dynamics, "paths of {}")
        listed = [{"list": None, **one} for one in results.censuses]
        censuses = page.shown("censuses", listed, "census", draw_census, "loss against index")
        networks = page.shown_networks(results.networks)
    parts = [(part, picture) for _, part, picture in networks]
    codes = page.shown_codes(results.codes)
    verdicts = page.shown_verdicts(results.verdicts)
    results = Results(
        tuple(verdicts), tuple(one for one, _ in phases), tuple(one for one, _ in censuses),
        tuple(one for one, _ in dynamics), tuple(page.left_out), tuple(one for one, _ in codes),
        tuple(one for one, *_ in networks),
    )  # fmt: skip
    with house_style():
        tolerances = (
            _picture(draw_tolerances(results.verdicts), "tolerance ratios of claims and controls")
            if results.verdicts
            else None
        )
    text = page.rendered(
        results=results,
        tally=[(outcome, sum(v.outcome == outcome for v in results.verdicts)) for outcome in OUTCOMES],
        observed=observed_tally([part for part, _ in parts]),
        tolerances=tolerances,
        summary=list(zip(results.verdicts, summary_rows(results.verdicts), strict=True)),
        caption=f"{legend(SUMMARY)} {summary_caption(len(results.verdicts))}",
        phases=phases,
        censuses=censuses,
        dynamics=dynamics,
        codes=codes,
        networks=grouped([pair for pair in parts if not pair[0].outcome]),
        observations=grouped([pair for pair in parts if pair[0].outcome]),
        environments=_environments(results),
    )
    return text, results


class _Page:
    """The template of the page, with which each result is first set by itself: a file may hold anything."""

    def __init__(self, title: str, left_out: Sequence[str]) -> None:
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
            outcomes=OUTCOME_STYLES,
        )
        environment.filters.update(claim_row=claim_row, instance_row=instance_row)
        self._script, self._template = _script(environment), environment.get_template("report.html.jinja")
        self._title = title
        self.left_out = list(left_out)
        """What could not be shown, and why, in words."""

    def rendered(self, **parts: Any) -> str:
        """The page with some of its parts, and nothing in the place of the others."""
        empty: dict[str, Any] = {
            "phases": [],
            "censuses": [],
            "dynamics": [],
            "codes": [],
            "networks": [],
            "observations": [],
            "observed": [],
            "tolerances": None,
            "summary": [],
        }
        none = Results((), (), (), (), ())
        given = {"results": none, "tally": [], "caption": "", "environments": [], "summary_columns": SUMMARY, **empty}
        return self._template.render(
            **(given | parts), title=self._title, percent=percent, script=self._script,
            digest=base64.b64encode(hashlib.sha256(self._script.encode()).digest()).decode(),
        )  # fmt: skip

    def shown(self, kind: str, found: Sequence[Any], name: str, draw: Callable[[Any], Drawing], what: str) -> list[Any]:
        """Those that can be drawn and set by themselves, with their pictures."""
        kept = []
        for one in found:
            try:
                pair = one, _picture(draw(one), what.format(one[name]))
                self.rendered(**{kind: [pair]})
                latex_tables(Results((), (), (), (), ())._replace(**{kind: (one,)}))
                kept.append(pair)
            except Exception as error:
                text = str(one.get(name))[:80] if isinstance(one, dict) else ""
                self.left_out.append(f"{kind} {text!r}: cannot be shown ({type(error).__name__}: {str(error)[:200]})")
        return kept

    def shown_codes(self, found: Sequence[Any]) -> list[Any]:
        """The codes that can be drawn and set by themselves, with their turning pictures."""
        kept = []
        for one in found:
            try:
                pair = one, turning_pictures(one)
                self.rendered(codes=[pair])
                kept.append(pair)
            except Exception as error:
                self.left_out.append(f"codes: cannot be shown ({type(error).__name__}: {str(error)[:200]})")
        return kept

    def shown_networks(self, found: Sequence[NetworkFile]) -> list[tuple[NetworkFile, Part, dict[str, str] | None]]:
        """The files of networks that can be drawn and set by themselves, with their pictures, in the order of the page."""
        kept = []
        for one in sorted(found, key=placed):
            try:
                part = part_of(one)
                pair = part, None if part.drawing is None else _picture(part.drawing, part.seen)
                self.rendered(networks=grouped([pair]))
                latex_tables(Results((), (), (), (), (), networks=(one,)))
                kept.append((one, *pair))
            except Exception as error:
                where = f"{one.folder}/{one.kind}"[:80]
                self.left_out.append(
                    f"networks {where!r}: cannot be shown ({type(error).__name__}: {str(error)[:200]})"
                )
        return kept

    def shown_verdicts(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """The verdicts that can be drawn and set by themselves."""
        kept = []
        for verdict in verdicts:
            try:
                with house_style():
                    draw_tolerances([verdict])
                only = Results((verdict,), (), (), (), ())
                self.rendered(results=only, summary=[(verdict, summary_rows([verdict])[0])], tolerances=_BLANK)
                latex_tables(only)
                kept.append(verdict)
            except Exception as error:
                why = f"{type(error).__name__}: {str(error)[:200]}"
                self.left_out.append(f"{verdict.theorem!r}: cannot be shown ({why})")
        return kept


def _script(environment: Any) -> str:
    """What the page runs, which its security policy names by its digest: nothing else can run there."""
    return environment.loader.get_source(environment, "report.js")[0]


def _picture(drawing: Drawing, what: str) -> dict[str, str]:
    """A drawing as the page needs it: the picture itself, and what its places say."""
    places = drawing.places()
    drawing.figure.set_layout_engine("none")  # its places are where they were told to be, and are not sought again
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
