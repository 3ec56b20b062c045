"""How results are shown, and where it is defined."""

from ._along_training import balances_figure, head_gaps_figure
from ._animation import animate_features
from ._catalogue import catalogue_page
from ._census import census_data, census_figure, census_json, census_lines, census_table
from ._citation import citation
from ._codes import animate_codes
from ._dynamics import dynamics_data, dynamics_figure, dynamics_json, dynamics_table
from ._figure import tolerance_figure
from ._index_loss import index_loss_figure, index_loss_json, index_loss_table
from ._latex import bibliography, latex_tables
from ._load import Results, load_results
from ._looseness import looseness_figure, looseness_json, looseness_lines, looseness_table
from ._metrics import metrics_json, metrics_table
from ._nearest_mean import nearest_mean_figure
from ._network_files import NetworkFile, layers_json, network_json, read_network_file
from ._observed import observed_figure, observed_json, observed_lines, observed_summary, observed_table
from ._page import html_page, write_report
from ._phase import phase_data, phase_figure, phase_json, phase_lines, phase_table
from ._progress import SeedProgress, TileProgress
from ._protocols import (
    protocol_map_figure,
    protocol_map_table,
    protocols_figure,
    protocols_lines,
    protocols_table,
)
from ._sweep import sweep_figure
from ._tables import render_verdict, summary_table, verdict_text
from ._text import show_erratum, show_erratum_result, show_theorem, to_unicode
from ._trained import TrainedLayers, layers_figure, trained_layers, trained_table, training_line
from ._training_progress import TrainingProgress
from ._transferred import transfer_figure, transfer_json, transfer_table, tuning_table
from ._turning import code_data, code_json, turning_pictures
from ._verbs import plot, render, show

__all__ = [
    "NetworkFile",
    "Results",
    "SeedProgress",
    "TileProgress",
    "TrainedLayers",
    "TrainingProgress",
    "animate_codes",
    "animate_features",
    "balances_figure",
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
    "head_gaps_figure",
    "html_page",
    "index_loss_figure",
    "index_loss_json",
    "index_loss_table",
    "latex_tables",
    "layers_figure",
    "layers_json",
    "load_results",
    "looseness_figure",
    "looseness_json",
    "looseness_lines",
    "looseness_table",
    "metrics_json",
    "metrics_table",
    "nearest_mean_figure",
    "network_json",
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
    "read_network_file",
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
    "trained_layers",
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
