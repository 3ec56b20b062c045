"""What the page says of trained networks: words, tables, and pictures drawn anew from the numbers of files."""

import json
import re
from collections.abc import Callable
from typing import Any

from nctheory.report._along_training import draw_balances, draw_head_gaps
from nctheory.report._metrics import caution_lines, count_line, gap_lines, metric_cells
from nctheory.report._nearest_mean import draw_nearest_mean
from nctheory.report._network_files import NetworkFile
from nctheory.report._network_parts import OUTCOME_STYLES, Part, Table
from nctheory.report._network_results import (
    balances_of,
    features_of,
    heads_of,
    layers_of,
    nearest_mean_of,
    observed_of,
    transfer_of,
)
from nctheory.report._observed import GROUPS, STATISTICS, draw_observed, group_row, observed_lines, statistic_cells
from nctheory.report._save import Drawing
from nctheory.report._spots import read_off
from nctheory.report._trained import LAYER_COLUMNS, draw_layers, draw_metrics, ending_lines, layer_rows
from nctheory.report._transferred import (
    correlation_cells,
    correlation_line,
    draw_transfer,
    layer_cells,
    transfer_lines,
    tuning_cells,
    tuning_lines,
)

LOSSES = {"mse": "squared error", "cross_entropy": "cross-entropy"}


def part_of(file: NetworkFile) -> Part:
    """What the page shows of a file, within the house's style."""
    return _PARTS[file.kind](file)


def _part(
    file: NetworkFile, title: str, sentence: str, command: str | None, drawing: Any, seen: str, **more: Any
) -> Part:
    """A part with what there is of it, under the heading of its folder and run."""
    run = json.dumps([file.data.get("run"), command, file.data.get("key")], sort_keys=True)
    where = file.folder if file.folder != "." else ""
    drawn = None if drawing is None else Drawing(drawing, read_off(drawing))
    empty: dict[str, Any] = {"where": where, "outcome": "", "style": "", "terms": (), "lines": (), "tables": ()}
    return Part(
        f"{file.folder} {title} {run}", title, sentence=sentence, command=command or "", drawing=drawn, seen=seen,
        **empty | more,
    )  # fmt: skip


def _trained(file: NetworkFile, drawing: Any, seen: str, **more: Any) -> Part:
    """A part of what `nctheory train` wrote."""
    run = file.data["run"]
    title = "Trained networks" if run is None else f"{run['network']} on {run['data']}"
    return _part(file, title, "" if run is None else training_words(run), run and run["command"], drawing, seen, **more)


def training_words(run: dict[str, Any]) -> str:
    """What networks were trained, on what and how, in a sentence."""
    tested = f" and {run['test_samples']} test samples" if run["test_samples"] else ""
    beside = " beside the gradient" if run["decoupled"] else ""
    polish = f", then at most {run['polish']} evaluations of L-BFGS" if run["polish"] is not None else ""
    return (
        f"{run['seeds']} networks {run['network']} on {run['samples']} samples{tested} of {run['data']}, {run['classes']} "
        f"classes: {_loss(run)}, weight decay {run['decay']:g}{beside}; {run['steps']} steps of "
        f"{run['optimiser']} {_batch(run)}, rate {run['rate']:g} ({run['schedule']}){polish}; key {run['key']}."
    )


def _batch(run: dict[str, Any]) -> str:
    return "on all samples" if run["batch"] is None else f"on {run['batch']} samples each"


def _loss(run: dict[str, Any]) -> str:
    return LOSSES.get(run["loss"], str(run["loss"]))


def _layers(file: NetworkFile) -> Part:
    found = layers_of(file.data)
    tables = [
        Table("training samples: medians over the seeds [least, largest]", LAYER_COLUMNS, layer_rows(found.training))
    ]
    if found.test is not None:
        tables.append(Table("test samples", LAYER_COLUMNS, layer_rows(found.test)))
    bound = (
        ""
        if found.head_bounds is None
        else " The dashes at the last layer are the bound that fit and balance of the head give on the trace ratio of the "
        "training samples (theorems linear-head and module-linear-head)."
    )
    seen = f"Collapse by layer: thin lines are single seeds, thick ones medians.{bound}"
    lines = ending_lines(found, found.test_error)
    return _trained(file, draw_layers(found), seen, lines=lines, tables=tables)


def _heads(file: NetworkFile) -> Part:
    seen = (
        "The heads along training against the unconstrained-feature model at the networks' own norms: how far the value is "
        "from a certified lower bound, and the certified share of the spent norm |W||H| that the fit needs."
    )
    return _trained(file, draw_head_gaps(heads_of(file.data)), seen)


def _balance(file: NetworkFile) -> Part:
    seen = (
        "Imbalance of neighbouring layers along training against its law: under gradient flow it falls like exp(-2 decay "
        "time), from the first checkpoint on (theorem network-balance)."
    )
    return _trained(file, draw_balances(balances_of(file.data)), seen)


def _nearest(file: NetworkFile) -> Part:
    found = nearest_mean_of(file.data)
    seen = (
        f"Errors of the nearest class mean by layer, with the test set as the population. Bounds from moments of the "
        f"population, which are a theorem, are exceeded in {found.violations} cases; those from moments of the training set, "
        f"of which no theorem speaks, in {found.plug_in_violations} (crosses)."
    )
    return _trained(file, draw_nearest_mean(found), seen)


def _moved(file: NetworkFile) -> Part:
    found, tuned = transfer_of(file.data)
    run = file.data["run"]
    tables = [Table("", *layer_cells(found)), Table(correlation_line(found), *correlation_cells(found))]
    for one in tuned:
        before, after = tuning_lines(one)
        tables.append(Table(f"{before}; {after}", *tuning_cells(one)))
    sentence = "" if run is None else (
        f"{run['seeds']} networks {run['network']}, trained on {run['source_samples']} samples of {run['data']}, classes "
        f"{run['source']}, are moved to classes {run['target']}: {run['target_samples']} samples to draw shots from, "
        f"{run['test_samples']} for test. {_loss(run).capitalize()}, weight decay "
        f"{run['decay']:g}; {run['steps']} steps of {run['optimiser']} {_batch(run)}, rate {run['rate']:g}; key "
        f"{run['key']}."
    )  # fmt: skip
    seen = (
        "Test errors of probes by layer, dashed those of the inputs themselves; and accuracy of fine-tuning against the "
        "number of weights that it trains, with standard errors."
    )
    title = "Transfer" if run is None else f"Transfer on {run['data']}"
    drawing = draw_transfer(found, tuned)
    return _part(
        file, title, sentence, run and run["command"], drawing, seen, lines=transfer_lines(found), tables=tables
    )


def _features(file: NetworkFile) -> Part:
    found, gap = features_of(file.data)
    name = file.data["file"]
    lines = [count_line(found), *caution_lines(found), *([] if gap is None else gap_lines(gap))]
    drawing = None
    if found.layers is not None and len(found.layers) > 1:
        # One network is one seed.
        lifted = {name: getattr(found, name)[None] for name in found._fields if name not in ("counts", "layers")}
        drawing = draw_metrics([("samples", found._replace(**lifted))], "collapse by layer")
    title = "Features" if name is None else f"Features of {name}"
    seen = "Collapse by layer."
    table = Table("", *metric_cells(found))
    return _part(file, title, "", file.data["command"], drawing, seen, lines=lines, tables=[table])


def _observation(file: NetworkFile) -> Part:
    data = file.data
    found, panels = observed_of(data)
    if found.outcome != data["outcome"]:
        raise ValueError(f"outcome: expected {found.outcome!r} of these statistics, got {data['outcome']!r}")
    rows = [[one.name, one.outcome, *statistic_cells(one)] for one in found.statistics]
    tables = [Table("", STATISTICS, rows), Table("convergence", GROUPS, [group_row(one) for one in found.groups])]
    lines = [
        *(f"{one.name}, claimed: {one.claim}; {one.reason}." for one in found.statistics),
        *observed_lines(found),
    ]
    drawing = draw_observed(found, panels) if panels else None
    seen = "The networks beside their controls: thin lines and small marks are single seeds, the others medians."
    return _part(
        file, f"{found.observation}: {found.title}", "", data["command"], drawing, seen, outcome=found.outcome,
        style=OUTCOME_STYLES[found.outcome], terms=_terms(data["sections"], data["sources"]), lines=lines, tables=tables,
        where="",
    )  # fmt: skip


def _terms(sections: dict[str, str], sources: list[str]) -> list[tuple[str, str]]:
    """What was fixed beforehand by its heading, each point of a list by itself, and the sources."""
    found = []
    for name, text in sections.items():
        # The claim's heading says in brackets whose it is.
        head, whose = re.fullmatch(r"(.*?)((?: \(.*\))?)", name, flags=re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
        points = [part.strip() for part in re.split(r"^- ", text, flags=re.MULTILINE) if part.strip()]
        found += [(head if i == 0 else "", f"{point}{whose}") for i, point in enumerate(points)]
    return found + [("Sources" if i == 0 else "", one) for i, one in enumerate(sources)]


_PARTS: dict[str, Callable[[NetworkFile], Part]] = {
    "layers": _layers,
    "heads": _heads,
    "balance": _balance,
    "nearest-mean": _nearest,
    "transfer": _moved,
    "features": _features,
    "observation": _observation,
}


def placed(file: NetworkFile) -> tuple[int, str, int]:
    """What the parts of a page are ordered by: trainings by their folder, then transfer, features, and observations."""
    kinds = list(_PARTS)
    number = kinds.index(file.kind)
    return max(0, number - kinds.index("transfer") + 1), file.folder, number
