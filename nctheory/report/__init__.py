"""How a verdict is shown: tables for the terminal, a figure of margins, the JSON schema."""

from nctheory.report._figure import margin_figure
from nctheory.report._tables import render_verdict, summary_table
from nctheory.report._text import show_theorem, to_unicode

__all__ = ["margin_figure", "render_verdict", "show_theorem", "summary_table", "to_unicode"]
