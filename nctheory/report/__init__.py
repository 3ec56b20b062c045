"""How results are shown: tables for the terminal, figures, JSON, the schema of a verdict.

Everything that renders is here, and nothing below imports it: results have no methods that draw. `show`, `plot` and `render`
take any result and choose the table or the figure by its type. Each kind of result has files of its own, with its data in
plain values, its table and its drawing. `write_report` puts the results of a folder on one page that needs no network, and
each of them is first set by itself, so that one which cannot be shown is named and costs no other. What comes from files is
taken for text, never for markup, a command of TeX or code.
"""

from nctheory.report._animation import animate_features
from nctheory.report._catalogue import catalogue_page
from nctheory.report._census import census_data, census_figure, census_json, census_lines, census_table
from nctheory.report._citation import citation
from nctheory.report._codes import animate_codes
from nctheory.report._dynamics import dynamics_data, dynamics_figure, dynamics_json, dynamics_table
from nctheory.report._figure import tolerance_figure
from nctheory.report._latex import bibliography, latex_tables
from nctheory.report._load import Results, load_results
from nctheory.report._metrics import metrics_json, metrics_table
from nctheory.report._observed import observed_figure, observed_json, observed_lines, observed_summary, observed_table
from nctheory.report._page import html_page, write_report
from nctheory.report._phase import phase_data, phase_figure, phase_json, phase_lines, phase_table
from nctheory.report._progress import SeedProgress, TileProgress, TrainingProgress
from nctheory.report._protocols import (
    protocol_map_figure,
    protocol_map_table,
    protocols_figure,
    protocols_lines,
    protocols_table,
)
from nctheory.report._sweep import sweep_figure
from nctheory.report._tables import render_verdict, summary_table, verdict_text
from nctheory.report._text import show_erratum, show_erratum_result, show_theorem, to_unicode
from nctheory.report._trained import layers_figure, trained_table, training_line
from nctheory.report._transferred import transfer_figure, transfer_json, transfer_table, tuning_table
from nctheory.report._turning import code_data, code_json, turning_pictures
from nctheory.report._verbs import plot, render, show

__all__ = [
    "Results",
    "SeedProgress",
    "TileProgress",
    "TrainingProgress",
    "animate_codes",
    "animate_features",
    "bibliography",
    "catalogue_page",
    "census_data",
    "census_figure",
    "census_json",
    "census_lines",
    "census_table",
    "citation",
    "code_data",
    "code_json",
    "dynamics_data",
    "dynamics_figure",
    "dynamics_json",
    "dynamics_table",
    "html_page",
    "latex_tables",
    "layers_figure",
    "load_results",
    "metrics_json",
    "metrics_table",
    "observed_figure",
    "observed_json",
    "observed_lines",
    "observed_summary",
    "observed_table",
    "phase_data",
    "phase_figure",
    "phase_json",
    "phase_lines",
    "phase_table",
    "plot",
    "protocol_map_figure",
    "protocol_map_table",
    "protocols_figure",
    "protocols_lines",
    "protocols_table",
    "render",
    "render_verdict",
    "show",
    "show_erratum",
    "show_erratum_result",
    "show_theorem",
    "summary_table",
    "sweep_figure",
    "to_unicode",
    "tolerance_figure",
    "trained_table",
    "training_line",
    "transfer_figure",
    "transfer_json",
    "transfer_table",
    "tuning_table",
    "turning_pictures",
    "verdict_text",
    "write_report",
]
