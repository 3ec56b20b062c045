"""What the layers of trained networks have learned: as a table, and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.measures import NCMetrics
from nctheory.networks import Progress, TrainedNetworks, has_linear_head, linear_head_bounds
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
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


def trained_table(
    trained: TrainedNetworks, metrics: NCMetrics, test_error: Sequence[float] | np.ndarray | None = None
) -> RenderableType:
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
    columns = [Column("layer", number=False), *(Column(name, i) for i, name in enumerate(SHOWN))]
    rows = []
    for i, layer in enumerate(metrics.layers or ()):
        rows.append([layer, *(_spread(np.asarray(getattr(metrics, name))[:, i]) for name in SHOWN)])
    parts: list[RenderableType] = [Text(line) for line in _ends(trained, test_error)]
    return Group(*parts, FittedTable(columns, rows), Text("medians over the seeds [least, largest]"))


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
    return f"step {now.steps} of {now.last}: " + ", ".join(f"{name} {_spread(numbers)}" for name, numbers in told)


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


def _ends(trained: TrainedNetworks, test_error: Any) -> list[str]:
    """How training ended, in words."""
    lost = int(np.sum(~trained.finite))
    lines = [
        f"{len(trained.seeds)} seeds, {trained.steps} steps" + (f"; {lost} did not stay finite" if lost else ""),
        f"objective {_spread(trained.value)}, fit {_spread(trained.fit)}, norm of the gradient {_spread(trained.grad_norm)}",
        f"training error {_spread(trained.error)}",
    ]
    if test_error is not None:
        lines[-1] += f", test error {_spread(np.asarray(test_error, float))}"
    return lines


def _spread(numbers: np.ndarray) -> str:
    """A median with the least and the largest number."""
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return "none"
    return f"{np.median(finite):.3g} [{finite.min():.3g}, {finite.max():.3g}]"


def layers_figure(
    trained: TrainedNetworks, metrics: NCMetrics, path: str | Path, compare: NCMetrics | None = None
) -> Path:
    """One panel for each metric: every seed by layer, and the median; with `compare` (test samples) a second one.

    Where the last two layers are linear the bound that fit and balance of the head give on the trace ratio of the training
    samples, `linear_head_bounds`, is marked at the last layer, for every seed. Written atomically; the same bytes for the
    same networks.
    """
    with house_style():
        return save_figure(_draw(trained, metrics, compare), Path(path))


def _draw(trained: TrainedNetworks, metrics: NCMetrics, compare: NCMetrics | None) -> Any:
    from nctheory.report._ticks import even_axis, value_axis

    bounds = linear_head_bounds(trained) if has_linear_head(trained.network) and trained.finite.any() else None
    page = sheet(len(SHOWN))
    at = np.arange(len(metrics.layers or ()))
    sets = [("training samples", metrics)] + ([("test samples", compare)] if compare is not None else [])
    for panel, (name, words) in zip(page.panels, SHOWN.items(), strict=True):
        values = []
        for i, (label, found) in enumerate(sets):
            colour, dashes = stroke(i)
            by_seed = np.asarray(getattr(found, name), float)
            values.append(by_seed)
            for row in by_seed:
                panel.plot(at, row, color=colour, lw=0.5, alpha=0.35)
            with np.errstate(all="ignore"):
                middle = np.nanmedian(by_seed, axis=0)
            panel.plot(at, middle, color=colour, ls=dashes, lw=1.6, label=f"{label}, median")
        panel.plot([], [], color=FAINT, lw=1.0, label="single seeds")
        if name == "trace_ratio" and bounds is not None:
            at_head = np.full(len(bounds), at[-1])
            panel.plot(
                at_head, bounds, ls="None", marker="_", ms=9.0, color=INK, label="bound by fit and balance of the head"
            )
            values.append(bounds)
        value_axis(panel.yaxis, values)
        even_axis(panel.xaxis, at)
        panel.set_xlabel("layer (0: inputs)")
        fit_label(panel, "y", literal(words))
        page.name(panel, literal(name))
    title = f"{trained.network.described}, {len(trained.seeds)} seeds, {trained.steps} steps"
    return page.finish(literal(title))
