"""What trained networks make of other classes: as tables, as a picture and as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.engine import json_value
from nctheory.networks import Transfer, TuningChoices
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import save_figure
from nctheory.report._sheet import Sheet, fit_label, sheet
from nctheory.report._style import FAINT, INK, PREDICTED, house_style, stroke

SIDES = ("source", "target")
METRICS = ("nc1", "trace_ratio", "cdnv")
KINDS = {
    "within": "within networks, across layers",
    "pooled": "layers and networks pooled",
    "partial": "pooled, given depth",
    "within_layer": "across networks, at equal depth",
    "across": "across networks, last layer",
}
"""The rank correlations, with a word on each."""
Cells = tuple[list[Column], list[list[str]]]


def transfer_table(found: Transfer) -> RenderableType:
    """Collapse and probe errors by layer, whether features beat the inputs, and rank correlations with their confounder.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> mixture = nct.networks.gaussian_mixture(counts=(6,) * 4, dim=3, spread=0.1, test=3)
    >>> trunk = nct.networks.train(nct.networks.network_on(mixture.only(0, 1), (4,)), seeds=2, steps=20)
    >>> console = Console(width=160)
    >>> with console.capture() as capture:
    ...     console.print(transfer_table(nct.networks.transfer(trunk, mixture.only(0, 1), mixture.only(2, 3), shots=(2,))))
    >>> "the inputs" in capture.get(), "given depth" in capture.get()
    (True, True)
    """
    lines = [Text(line) for line in transfer_lines(found)]
    return Group(FittedTable(*layer_cells(found)), *lines, Text(), *_correlations(found))


def layer_cells(found: Transfer) -> Cells:
    """Columns, and one row a layer."""
    columns = [Column("layer", number=False), Column("nc1 source"), Column("nc1 target")]
    columns += [Column("trace ratio target", 4), Column("cdnv target", 3)]
    for number in found.shots:
        columns += [Column(f"probe, {number} shots"), Column("against inputs", number=False)]
        columns += [Column(f"nearest mean, {number} shots", 2)]
    rows = []
    for layer, name in enumerate(found.layers):
        row = [name, _middle(found.source.nc1[:, layer]), _middle(found.target.nc1[:, layer])]
        row += [_middle(found.target.trace_ratio[:, layer]), _middle(found.target.cdnv[:, layer])]
        for i in range(len(found.shots)):
            row += [_with_error(found.probe_error[:, i, layer]), found.against_inputs.verdict[i][layer]]
            row.append(_with_error(found.nearest_mean_error[:, i, layer]))
        rows.append(row)
    return columns, rows


def transfer_lines(found: Transfer) -> list[str]:
    """What the table of layers means, and whether features beat the inputs, one line a fact."""
    known = int(np.isfinite(found.probe_error).all(axis=(1, 2, 3)).sum())
    episodes = found.probe_error.shape[-1]
    note = f"medians over {known} seeds; test errors: means over seeds and {episodes} episodes ± standard error"
    lines = [note, *found.words]
    if found.shared:
        lines.append(
            f"source and target overlap: {found.shared} samples of the target are training samples of the source"
        )
    return lines


def _correlations(found: Transfer) -> list[RenderableType]:
    """The rank correlations with the probe's error at the largest number of shots."""
    return [Text(correlation_line(found)), FittedTable(*correlation_cells(found))]


def correlation_line(found: Transfer) -> str:
    """What the table of correlations holds."""
    return (
        f"rank correlations with the error of the probe at {max(found.shots)} shots; positive: the more collapsed transfer "
        "better"
    )


def correlation_cells(found: Transfer) -> Cells:
    """Columns, and one row a metric of source or target."""
    at = int(np.argmax(found.shots))
    columns = [Column("collapse of", number=False), *(Column(words, wraps=True) for words in KINDS.values())]
    rows = []
    for side, of in enumerate(SIDES):
        for metric, name in enumerate(METRICS):
            values = [getattr(found.correlations, kind)[..., side, metric, 0, at].ravel() for kind in KINDS]
            rows.append([f"{of}, {name}", *(_middle(value, signed=True) for value in values)])
    return columns, rows


def tuning_table(found: TuningChoices) -> RenderableType:
    """One row a choice of what is fine-tuned, all at equal cost, with its paired distance from tuning all layers.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> mixture = nct.networks.gaussian_mixture(counts=(6,) * 4, dim=3, spread=0.1, test=3)
    >>> trunk = nct.networks.train(nct.networks.network_on(mixture.only(0, 1), (4,)), seeds=2, steps=20)
    >>> console = Console(width=120)
    >>> with console.capture() as capture:
    ...     console.print(tuning_table(nct.networks.tuning_choices(trunk, mixture.only(2, 3), shots=2, episodes=2, steps=5)))
    >>> "head + inputs" in capture.get(), "gradient evaluations" in capture.get()
    (True, True)
    """
    before, after = tuning_lines(found)
    return Group(Text(before), FittedTable(*tuning_cells(found)), Text(after))


def tuning_cells(found: TuningChoices) -> Cells:
    """Columns, and one row a choice."""
    beside = "all" if "all" in found.names else "layer 1"
    columns = [Column("trained", number=False), Column("weights"), Column("share", 1), Column("test error")]
    columns += [Column(f"less that of {beside}"), Column("fit", 1)]
    apart, spread = found.against(beside)
    rows = []
    for i, name in enumerate(found.names):
        weights = _weights(found, i)
        row = [name, f"{weights:.0f}", f"{100 * weights / found.all_weights:.0f} %", _with_error(found.error[:, i])]
        rows.append([*row, "" if name == beside else f"{apart[i]:+.3f} ± {spread[i]:.3f}", _middle(found.fit[:, i])])
    return columns, rows


def tuning_lines(found: TuningChoices) -> tuple[str, str]:
    """What stands above and below the table of choices."""
    chosen, numbers = np.unique(found.layer[found.layer > 0].astype(int), return_counts=True)
    told = ", ".join(f"layer {layer} in {number}" for layer, number in zip(chosen, numbers, strict=True))
    return (
        f"fine-tuning on {found.shots} shots, {found.steps} gradient evaluations each; 'nc' chose {told}",
        "± standard error over seeds and episodes, and not over test sets",
    )


def _weights(found: TuningChoices, choice: int) -> float:
    """The mean number of trained weights over the networks that tell something."""
    numbers = found.trained_weights[:, choice]
    return float(np.mean(numbers[numbers > 0]))


def _middle(numbers: np.ndarray, signed: bool = False) -> str:
    """A median with the least and the largest number, where there are several."""
    known = numbers[~np.isnan(numbers)]
    form = "+.2f" if signed else ".3g"
    if known.size == 0:
        return "none"
    if known.size == 1 or known.min() == known.max():
        return f"{known[0]:{form}}"
    return f"{np.median(known):{form}} [{known.min():{form}}, {known.max():{form}}]"


def _with_error(errors: np.ndarray) -> str:
    """The mean over seeds and episodes, with its standard error: over seeds and over episodes, squares added."""
    known = errors[np.isfinite(errors).all(axis=1)]
    if known.size == 0:
        return "none"
    return f"{known.mean():.3f} ± {_standard_error(known):.3f}"


def _standard_error(known: np.ndarray) -> float:
    squares = 0.0
    for axis in (0, 1):
        if known.shape[axis] > 1:
            squares += float(np.var(known.mean(axis=1 - axis), ddof=1)) / known.shape[axis]
    return squares**0.5


def transfer_json(found: Transfer, tuned: Sequence[TuningChoices] = (), run: Mapping[str, Any] | None = None) -> str:
    """All numbers as JSON, with what was trained and moved (`run`); null in the place of what is not a finite number."""
    data = {"schema": "nctheory transfer 2", "run": run, **found._asdict(), "fine_tuning": list(tuned)}
    return json.dumps(json_value(data, named=True), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def transfer_figure(found: Transfer, tuned: Sequence[TuningChoices], path: str | Path) -> Path:
    """Errors of probes by layer with the line of the inputs, and for each number of shots accuracy against trained weights.

    Written atomically; the same bytes for the same results.
    """
    with house_style():
        return save_figure(draw_transfer(found, tuned), Path(path))


def draw_transfer(found: Transfer, tuned: Sequence[TuningChoices]) -> Any:
    """The figure of `transfer_figure`, within the house's style."""
    page = sheet(1 + len(tuned))
    _draw_layers(page, page.panels[0], found)
    for panel, one in zip(page.panels[1:], tuned, strict=True):
        _draw_choices(page, panel, one)
    episodes = found.probe_error.shape[-1]
    return page.finish(literal(f"transfer: {len(found.seeds)} seeds, {episodes} episodes of shots"))


def _draw_layers(page: Sheet, panel: Any, found: Transfer) -> None:
    from nctheory.report._ticks import even_axis

    at = np.arange(len(found.layers))
    known = np.isfinite(found.probe_error).all(axis=(1, 2, 3))
    for i, number in enumerate(found.shots):
        colour, _ = stroke(i)
        by_seed = found.probe_error[known, i].mean(axis=-1)
        for row in by_seed:
            panel.plot(at, row, color=colour, lw=0.5, alpha=0.35)
        panel.plot(at, by_seed.mean(axis=0), color=colour, lw=1.6, marker="o", label=f"probe, {number} shots")
        panel.axhline(by_seed[:, 0].mean(), color=colour, lw=0.8, ls=PREDICTED)
    panel.plot([], [], color=FAINT, lw=1.0, label="single seeds")
    panel.plot([], [], color=INK, lw=0.8, ls=PREDICTED, label="probe of the inputs")
    even_axis(panel.yaxis)
    even_axis(panel.xaxis, at)
    panel.set_xlabel("layer (0: inputs)")
    fit_label(panel, "y", "test error on target classes")
    page.name(panel)


def _draw_choices(page: Sheet, panel: Any, found: TuningChoices) -> None:
    """Mean accuracies with standard errors over the weights that were trained, by kind of choice."""
    from nctheory.report._ticks import even_axis, log_axis

    kinds = {"head": "head", "layer": "one layer", "all": "all", "nc": "nc", "from": "from scratch"}
    for number, (kind, words) in enumerate(kinds.items()):
        for skip, marker in ((False, "o"), (True, "^")):
            rows = [i for i, name in enumerate(found.names) if name.split()[0] == kind and ("+" in name) == skip]
            if not rows:
                continue
            weights = [_weights(found, i) for i in rows]
            known = [found.error[np.isfinite(found.error[:, i]).all(axis=1), i] for i in rows]
            label = f"{words} + {'inputs' if kind == 'head' else 'skip'}" if skip else words
            panel.errorbar(
                weights, [1.0 - errors.mean() for errors in known], [_standard_error(errors) for errors in known], ls="none",
                marker=marker, color=stroke(number).colour, ms=6 if kind == "nc" else 4, mfc="none" if kind == "nc" else None,
                elinewidth=0.8, label=label, zorder=3 if kind == "nc" else 2,
            )  # fmt: skip
    log_axis(panel.xaxis)
    even_axis(panel.yaxis)
    panel.set_xlabel("trained weights")
    fit_label(panel, "y", "test accuracy")
    page.name(panel, literal(f"fine-tuning on {found.shots} shots"))
