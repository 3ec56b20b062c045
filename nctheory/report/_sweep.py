"""A sweep as a picture: its measures over one hyperparameter or two."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nctheory.report._save import house_style, literal, save_figure

if TYPE_CHECKING:
    from nctheory.sweeps import SweepResult

HEIGHT = 3.4
ENGINE = ("lower_bound", "gap_rounding", "grad_norm", "status", "steps")
"""Arrays that are drawn only where they are asked for."""
KINDS = (("certified", "o", "#1b6ca8"), ("converged", "o", "#8fb8d8"), ("not converged", "x", "#c8553d"))


def sweep_figure(found: "SweepResult", path: str | Path, measures: tuple[str, ...] | None = None) -> Path:
    """Each measure over the grid of a sweep, a panel each (by default the value and the sweep's own measures).

    Over one hyperparameter every seed is a point, marked as certified at the global minimum, converged, or not. Over two the
    seed of least value that converged is shown by colour, grey where there is none, and dots are cells without a certified
    seed. Written atomically; the same bytes for the same sweep. Raises ValueError for other numbers of hyperparameters, and
    for a measure that is not among the sweep's arrays or is not one number a seed.
    """
    from matplotlib.figure import Figure

    axes = len(found.grid.names)
    if axes not in (1, 2):
        raise ValueError(f"grid: a picture is drawn over one or two hyperparameters, got {axes}: {found.grid.names}")
    numbers = [name for name, column in found.arrays.items() if column.ndim == axes + 1]
    scalar = sorted(numbers, key=lambda name: name != "value")
    chosen = tuple(name for name in scalar if name not in ENGINE) if measures is None else tuple(measures)
    for name in chosen:
        if name not in scalar:
            raise ValueError(f"measures: expected some of {', '.join(scalar)}, got {name!r}")
    with house_style():
        figure = Figure(figsize=(0.4 + 3.9 * len(chosen), HEIGHT), layout="constrained")
        for panel, name in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
            (_over_one if axes == 1 else _over_two)(panel, found, name)
        return save_figure(figure, Path(path))


def _over_one(panel: Any, found: "SweepResult", name: str) -> None:
    """Every seed as a point."""
    at = np.broadcast_to(np.asarray(found.grid.values[0], float)[:, None], found.converged.shape)
    certified, there = found.certified, ~found.missing
    kinds = (certified, found.converged & ~certified, there & ~found.converged)
    for (label, marker, colour), chosen in zip(KINDS, kinds, strict=True):
        if chosen.any():
            panel.plot(
                at[chosen], found.arrays[name][chosen], marker, ms=3, color=colour, mew=0.7, label=label, alpha=0.7
            )
    _spread(panel, "x", found.grid.values[0])
    panel.set_xlabel(literal(found.grid.names[0]))
    panel.set_ylabel(literal(name))
    panel.legend(fontsize=7, loc="best")


def _over_two(panel: Any, found: "SweepResult", name: str) -> None:
    """The seed of least value by colour."""
    value = np.where(found.converged, found.arrays["value"], np.inf)
    best = np.argmin(value, axis=-1)[..., None]
    cells = np.take_along_axis(np.asarray(found.arrays[name], float), best, axis=-1)[..., 0]
    cells = np.where(found.converged.any(axis=-1), cells, np.nan)
    x, y = (np.asarray(values, float) for values in found.grid.values)
    colours = panel.pcolormesh(x, y, cells.T, cmap="viridis", shading="nearest")
    panel.set_facecolor("0.85")  # no seed converged
    panel.figure.colorbar(colours, ax=panel, label=literal(name))
    open_ = ~found.certified.any(axis=-1)
    if open_.any():
        here, there = np.meshgrid(x, y, indexing="ij")
        panel.plot(here[open_], there[open_], "o", ms=2.5, color="white", mec="0.2", mew=0.5, label="none certified")
        panel.legend(fontsize=7, loc="best", frameon=True, framealpha=0.8)
    for which, values, label in zip("xy", found.grid.values, found.grid.names, strict=True):
        _spread(panel, which, values)
        getattr(panel, f"set_{which}label")(literal(label))


def _spread(panel: Any, which: str, values: Any) -> None:
    """Ticks at a few whole numbers; else a logarithmic axis where the values are more even in their logarithms."""
    at = np.asarray(values, float)
    if np.all(at == np.round(at)) and at.size <= 12:  # a few whole numbers
        getattr(panel, f"set_{which}ticks")(at)
    elif at.size > 2 and np.all(at > 0):
        even, log = (np.ptp(np.diff(one)) / np.ptp(one) for one in (np.sort(at), np.log(np.sort(at))))
        getattr(panel, f"set_{which}scale")("log" if log < even else "linear")
