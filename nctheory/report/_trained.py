"""What the layers of trained networks have learned: as a table, and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.engine import shown
from nctheory.measures import NCMetrics
from nctheory.networks import Progress, TrainedNetworks, has_linear_head, linear_head_bounds
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._medians import medians
from nctheory.report._save import save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import FAINT, INK, house_style, stroke

SHOWN = {
    "nc1": "tr(S_W S_B^+)/K",
    "trace_ratio": "tr S_W / tr S_B",
    "nc2": "distance from a simplex",
    "nearest_mean_error": "nearest mean wrong",
}
"""The metrics that are shown by layer, with a word on each."""
Errors = Sequence[float] | np.ndarray | None


@shown()
class TrainedLayers(NamedTuple):
    """How training ended and what the layers have learned: all that table, picture and file say of trained networks."""

    described: str
    """The network in a word."""
    steps: int
    seeds: np.ndarray
    value: np.ndarray
    fit: np.ndarray
    grad_norm: np.ndarray
    error: np.ndarray
    """The share of training samples that each seed gets wrong."""
    test_error: np.ndarray | None
    head_bounds: np.ndarray | None
    """`linear_head_bounds`, where linear layers write the last features."""
    training: NCMetrics
    test: NCMetrics | None

    @property
    def finite(self) -> np.ndarray:
        """The mask of the seeds whose training stayed finite."""
        return np.isfinite(self.value)


def trained_layers(
    trained: TrainedNetworks, metrics: NCMetrics, test: NCMetrics | None = None, test_error: Errors = None
) -> TrainedLayers:
    """The record of trained networks with the metrics of their training samples, and of test samples where there are any.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (4,)), seeds=2, steps=20)
    >>> found = trained_layers(ends, nct.networks.layer_metrics(ends))
    >>> found.described, found.steps, found.head_bounds
    ('3-4-2', 20, None)
    """
    bounded = has_linear_head(trained.network) and trained.finite.any()
    return TrainedLayers(
        trained.network.described, trained.steps, trained.seeds, trained.value, trained.fit, trained.grad_norm, trained.error,
        None if test_error is None else np.asarray(test_error, float),
        linear_head_bounds(trained) if bounded else None, metrics, test,
    )  # fmt: skip


LAYER_COLUMNS = (
    Column("layer", number=False),
    *(Column(name, i, words) for i, (name, words) in enumerate(SHOWN.items())),
)


def layer_rows(metrics: NCMetrics) -> list[list[str]]:
    """One row a layer: medians over the seeds with the least and the largest."""
    return [
        [layer, *(spread(np.asarray(getattr(metrics, name))[:, i]) for name in SHOWN)]
        for i, layer in enumerate(metrics.layers or ())
    ]


def trained_table(trained: TrainedNetworks, metrics: NCMetrics, test_error: Errors = None) -> RenderableType:
    """One row a layer, medians over the seeds with the least and the largest; above it how training ended.

    >>> import nctheory as nct
    >>> from rich.console import Console
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (4,)), seeds=2, steps=20)
    >>> console = Console(width=120)
    >>> with console.capture() as capture:
    ...     console.print(trained_table(ends, nct.networks.layer_metrics(ends)))
    >>> "gradient" in capture.get(), "layer 1" in capture.get()
    (True, True)
    """
    parts: list[RenderableType] = [Text(line) for line in ending_lines(trained, test_error)]
    return Group(
        *parts, FittedTable(LAYER_COLUMNS, layer_rows(metrics)), Text("medians over the seeds [least, largest]")
    )


def training_line(now: Progress) -> str:
    """How far a training is, in one line.

    >>> import numpy as np
    >>> from nctheory.networks import Progress, Seen
    >>> one = np.array([0.25])
    >>> training_line(Progress(100, 2000, Seen(one, one, one, one, one)))
    'step 100 of 2000: objective 0.25 [0.25, 0.25], training error 0.25 [0.25, 0.25], nc1 0.25 [0.25, 0.25]'
    """
    seen = now.seen
    told = (("objective", seen.value), ("training error", seen.error), ("nc1", seen.nc1))
    return f"step {now.steps} of {now.last}: " + ", ".join(f"{name} {spread(numbers)}" for name, numbers in told)


def training_words(now: Progress) -> str:
    """Medians of loss, accuracy on the training set and nc1 over the seeds, in few words.

    >>> import numpy as np
    >>> from nctheory.networks import Progress, Seen
    >>> one = np.array([0.25])
    >>> training_words(Progress(100, 2000, Seen(one, one, one, one, one)))
    'loss 0.25, accuracy 75 %, nc1 0.25'
    """
    known = np.isfinite(now.seen.value)
    if not known.any():
        return "no seed is finite"
    loss, right, nc1 = (np.median(x[known]) for x in (now.seen.fit, 1.0 - now.seen.error, now.seen.nc1))
    return f"loss {loss:.3g}, accuracy {100 * right:.3g} %, nc1 {nc1:.3g}"


def ending_lines(trained: TrainedNetworks | TrainedLayers, test_error: Errors = None) -> list[str]:
    """How training ended, in words."""
    lost = int(np.sum(~trained.finite))
    lines = [
        f"{len(trained.seeds)} seeds, {trained.steps} steps" + (f"; {lost} did not stay finite" if lost else ""),
        f"objective {spread(trained.value)}, fit {spread(trained.fit)}, norm of the gradient {spread(trained.grad_norm)}",
        f"training error {spread(trained.error)}",
    ]
    if test_error is not None:
        lines[-1] += f", test error {spread(np.asarray(test_error, float))}"
    return lines


def spread(numbers: np.ndarray) -> str:
    """A median with the least and the largest number.

    >>> spread(np.array([3.0, 1.0, np.nan, 2.0])), spread(np.array([np.nan]))
    ('2 [1, 3]', 'none')
    """
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return "none"
    return f"{np.median(finite):.3g} [{finite.min():.3g}, {finite.max():.3g}]"


def layers_figure(
    trained: TrainedNetworks, metrics: NCMetrics, path: str | Path, compare: NCMetrics | None = None
) -> Path:
    """One panel for each metric: every seed by layer, and the median; with `compare` (test samples) a second one.

    Where linear layers alone write the last features the bound that fit and balance of the head give on the trace ratio of
    the training samples, `linear_head_bounds`, is marked at the last layer, for every seed. Written atomically; the same
    bytes for the same networks.
    """
    with house_style():
        return save_figure(draw_layers(trained_layers(trained, metrics, compare)), Path(path))


def draw_layers(found: TrainedLayers) -> Any:
    """The figure of `layers_figure`, within the house's style."""
    sets = [("training samples", found.training)] + ([("test samples", found.test)] if found.test is not None else [])
    title = f"{found.described}, {len(found.seeds)} seeds, {found.steps} steps"
    return draw_metrics(sets, title, found.head_bounds)


def draw_metrics(sets: Sequence[tuple[str, NCMetrics]], title: str, bounds: np.ndarray | None = None) -> Any:
    """A panel for each metric over the layers, of named sets of samples; within the house's style."""
    from nctheory.report._ticks import even_axis, value_axis

    page = sheet(len(SHOWN))
    layers = sets[0][1].layers or ("",)
    at = np.arange(len(layers))
    for panel, (name, words) in zip(page.panels, SHOWN.items(), strict=True):
        values = []
        for i, (label, found) in enumerate(sets):
            colour, dashes = stroke(i)
            by_seed = np.asarray(getattr(found, name), float)
            values.append(by_seed)
            several = len(by_seed) > 1
            for row in by_seed if several else ():
                panel.plot(at, row, color=colour, lw=0.5, alpha=0.35)
            name_of = f"{label}, median" if several else label
            panel.plot(at, medians(by_seed), color=colour, ls=dashes, lw=1.6, label=name_of)
        if max(map(len, values)) > 1:
            panel.plot([], [], color=FAINT, lw=1.0, label="single seeds")
        if name == "trace_ratio" and bounds is not None:
            at_head = np.full(len(bounds), at[-1])
            panel.plot(
                at_head, bounds, ls="None", marker="_", ms=9.0, color=INK, label="bound by fit and balance of the head"
            )
            values.append(bounds)
        value_axis(panel.yaxis, values)
        even_axis(panel.xaxis, at)
        fit_label(panel, "x", literal(f"layer (0: {layers[0]})"))
        fit_label(panel, "y", literal(words))
        page.name(panel, literal(name))
    return page.finish(literal(title))
