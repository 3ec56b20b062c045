"""A sweep as a picture: its measures over one hyperparameter or two."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nctheory.report._lines import literal
from nctheory.report._save import save_figure
from nctheory.report._sheet import Sheet, draw_map, fit_label, sheet
from nctheory.report._style import BLACK, BLUE, INK, SKY, VERMILLION, house_style

if TYPE_CHECKING:
    from nctheory.sweeps import SweepResult

FEW = 12
"""The largest number of whole numbers that each have a tick."""
ENGINE = ("lower_bound", "gap_rounding", "grad_norm", "status", "steps")
"""Arrays that are drawn only where they are asked for."""
KINDS = (("certified", "o", BLUE), ("converged", "o", SKY), ("not converged", "x", VERMILLION))


def sweep_figure(found: "SweepResult", path: str | Path, measures: tuple[str, ...] | None = None) -> Path:
    """Each measure over the grid of a sweep, a panel each (by default the value and the sweep's own measures).

    Over one hyperparameter every seed is a point, marked as certified at the global minimum, converged, or not, and a line
    leads along the seeds of least value that converged. Over two the seed of least value that converged is shown by colour,
    grey where there is none, and dots are cells without a certified seed. Written atomically; the same bytes for the same
    sweep. Raises ValueError for other numbers of hyperparameters, and for a measure that is not among the sweep's arrays or
    is not one number a seed.
    """
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
        return save_figure(draw_sweep(found, chosen), Path(path))


def draw_sweep(found: "SweepResult", measures: tuple[str, ...]) -> Any:
    """The figure of some measures of a sweep; under `house_style`."""
    page = sheet(len(measures))
    for panel, name in zip(page.panels, measures, strict=True):
        (_over_one if len(found.grid.names) == 1 else _over_two)(page, panel, found, name)
    return page.finish()


def _over_one(page: Sheet, panel: Any, found: "SweepResult", name: str) -> None:
    """Every seed as a point, and a line along the seeds of least value."""
    from nctheory.report._ticks import even_axis

    values = np.asarray(found.grid.values[0], float)
    at = np.broadcast_to(values[:, None], found.converged.shape)
    order, least = np.argsort(values), _at_least_value(found, name)
    numbers = np.asarray(found.arrays[name], float)
    if np.isfinite(least).sum() > 1:
        panel.plot(values[order], least[order], color=BLACK, lw=0.9, label="seed of least value")
    certified, there = found.certified, ~found.missing
    kinds = (certified, found.converged & ~certified, there & ~found.converged)
    for (label, marker, colour), chosen in zip(KINDS, kinds, strict=True):
        drawn = chosen & np.isfinite(numbers)
        if chosen.any():
            lost = int(chosen.sum() - drawn.sum())
            words = f"{label} ({lost} without a finite number)" if lost else label
            panel.plot(at[drawn], numbers[drawn], marker, color=colour, mew=0.7, label=words, alpha=0.7)
    if found.missing.any():
        panel.plot([], [], " ", label=f"{int(found.missing.sum())} of {found.missing.size} solves are missing")
    _spread(panel, "x", found.grid.values[0])
    even_axis(panel.yaxis)
    fit_label(panel, "x", literal(found.grid.names[0]))
    fit_label(panel, "y", literal(name))
    page.name(panel)


def _over_two(page: Sheet, panel: Any, found: "SweepResult", name: str) -> None:
    """The seed of least value by colour."""
    cells = _at_least_value(found, name)
    x, y = (np.asarray(values, float) for values in found.grid.values)
    more = draw_map(page, panel, [(one, is_logarithmic(one), None) for one in (x, y)], cells, literal(name))
    open_ = ~found.certified.any(axis=-1)
    if open_.any():
        here, there = np.meshgrid(x, y, indexing="ij")
        panel.plot(here[open_], there[open_], "o", ms=2.5, color="white", mec=INK, mew=0.5, label="no seed certified")
    for which, values, label in zip("xy", found.grid.values, found.grid.names, strict=True):
        _spread(panel, which, values)
        fit_label(panel, which, literal(label))
    page.name(panel, more=more)


def _at_least_value(found: "SweepResult", name: str) -> np.ndarray:
    """A measure at the seed of least value that converged, in every cell; NaN where there is none."""
    value = np.where(found.converged, found.arrays["value"], np.inf)
    best = np.argmin(value, axis=-1)[..., None]
    cells = np.take_along_axis(np.asarray(found.arrays[name], float), best, axis=-1)[..., 0]
    return np.where(found.converged.any(axis=-1), cells, np.nan)


def is_logarithmic(values: np.ndarray) -> bool:
    """Whether values are positive, more than two, and more even in their logarithms.

    >>> is_logarithmic(np.array([1.0, 2.0, 4.0])), is_logarithmic(np.array([1.0, 2.0, 3.0]))
    (True, False)
    """
    at = np.sort(np.asarray(values, float))
    if at.size <= 2 or at[0] <= 0:
        return False
    even, log = (np.ptp(np.diff(one)) / np.ptp(one) for one in (at, np.log(at)))
    return bool(log < even)


def _spread(panel: Any, which: str, values: np.ndarray) -> None:
    """Ticks at a few whole numbers; a logarithmic axis where the values are more even in their logarithms."""
    from nctheory.report._ticks import even_axis, log_axis

    axis, at = getattr(panel, f"{which}axis"), np.asarray(values, float)
    few = at if np.all(at == np.round(at)) and at.size <= FEW else None
    if is_logarithmic(at):
        log_axis(axis, few)
    else:
        even_axis(axis, few)
