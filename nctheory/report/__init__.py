"""How a verdict is shown: tables for the terminal, a figure of margins, the JSON schema."""

from nctheory.report._census import census_figure, census_json, census_lines, census_table
from nctheory.report._figure import margin_figure
from nctheory.report._tables import render_verdict, summary_table
from nctheory.report._text import show_erratum, show_finding, show_theorem, to_unicode

__all__ = [
    "census_figure",
    "census_json",
    "census_lines",
    "census_table",
    "margin_figure",
    "render_verdict",
    "show_erratum",
    "show_finding",
    "show_theorem",
    "summary_table",
    "to_unicode",
]
