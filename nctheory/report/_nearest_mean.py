"""Errors of the nearest class mean by layer, against the bounds on them: as a picture."""

from pathlib import Path
from typing import Any

import numpy as np

from nctheory.networks import NearestMeanBounds
from nctheory.report._lines import literal
from nctheory.report._medians import medians
from nctheory.report._save import save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import FAINT, INK, PREDICTED, house_style, stroke


def nearest_mean_figure(bounds: NearestMeanBounds, path: str | Path) -> Path:
    """A panel for the means of the population, and one for each number of shots: errors and bounds, medians over the seeds.

    The bound with the moments of the training set, which is no theorem, has a cross at every layer and seed at which the
    error exceeds it. Written atomically; the same bytes for the same bounds. Raises ValueError where no seed is finite.
    """
    if not np.isfinite(bounds.error).any():
        raise ValueError("bounds: expected a seed whose training stayed finite, got none")
    with house_style():
        return save_figure(draw_nearest_mean(bounds), Path(path))


def draw_nearest_mean(bounds: NearestMeanBounds) -> Any:
    """The figure of `nearest_mean_figure`, within the house's style."""
    from nctheory.report._ticks import even_axis, value_axis

    at = np.arange(len(bounds.layers))
    known = [("means of all samples", bounds.error, bounds.bound, bounds.plug_in, bounds.error)]
    for i, shots in enumerate(bounds.shots):
        name = f"means of {shots} sample{'' if shots == 1 else 's'}"
        error, bound, plug_in = (
            part[..., i] for part in (bounds.few_shot_error, bounds.few_shot, bounds.few_shot_plug_in)
        )
        known.append((name, error, bound, plug_in, bounds.low[..., i]))
    page = sheet(len(known))
    for panel, (name, error, bound, plug_in, least) in zip(page.panels, known, strict=True):
        drawn = (("error", error), ("bound, moments of the population", bound), ("bound, moments of training", plug_in))
        for i, (label, values) in enumerate(drawn):
            colour, dashes = stroke(i)
            for row in values:
                panel.plot(at, row, color=colour, lw=0.5, alpha=0.35)
            panel.plot(at, medians(values), color=colour, ls=dashes, lw=1.6, label=label)
        panel.plot([], [], color=FAINT, lw=1.0, label="single seeds")
        seeds, layers = np.nonzero(least > plug_in)
        panel.plot(at[layers], plug_in[seeds, layers], "x", color=stroke(2)[0], ms=6, label="exceeded by the error")
        panel.axhline(bounds.guessing, color=INK, lw=0.8, ls=PREDICTED, label="guessing")
        value_axis(panel.yaxis, [values for _, values in drawn], 0.0)
        even_axis(panel.xaxis, at)
        panel.set_xlabel("layer (0: inputs)")
        fit_label(panel, "y", "error of the nearest mean")
        page.name(panel, literal(name))
    return page.finish(f"nearest class mean: {len(bounds.error)} seeds")


__all__ = ["draw_nearest_mean", "nearest_mean_figure"]
