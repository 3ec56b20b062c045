"""Trained networks at their checkpoints, as pictures: certified distances of their heads, and the balance of layers."""

from pathlib import Path
from typing import Any

import numpy as np

from nctheory.networks import HeadGaps, LayerBalances
from nctheory.report._lines import literal
from nctheory.report._save import save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import DASHES, INK, PREDICTED, house_style, stroke

WIDE = 10.0
"""Numbers that span more than this factor stand on a logarithmic axis (conventional)."""


def head_gaps_figure(gaps: HeadGaps, path: str | Path) -> Path:
    """Two panels over the steps of training: gap, to the certified bound and to the least value known, and efficiency.

    Lines are medians over the seeds, bands go from the least to the largest of them. Written atomically; the same bytes for
    the same numbers. Raises ValueError where no seed has a finite number at any checkpoint.
    """
    if not (np.isfinite(gaps.gap).any() or np.isfinite(gaps.efficiency).any()):
        raise ValueError("gaps: expected a seed with a certified gap or efficiency, got none")
    with house_style():
        return save_figure(draw_head_gaps(gaps), Path(path))


def draw_head_gaps(gaps: HeadGaps) -> Any:
    """The figure of `head_gaps_figure`, within the house's style."""
    from nctheory.report._ticks import value_axis

    gap = (("to the certified bound", gaps.gap), ("to the least value known", gaps.gap_to_minimum))
    known = [
        (name, label, [one for one in drawn if np.isfinite(one[1]).any()])
        for name, label, drawn in (
            ("certified gap", "gap / value", gap),
            ("efficiency", "needed norm / spent norm", (("certified lower bound", gaps.efficiency),)),
        )
    ]
    known = [one for one in known if one[2]]  # without a decay there is no gap
    page = sheet(len(known))
    for panel, (name, label, drawn) in zip(page.panels, known, strict=True):
        _band(panel, gaps.steps, *drawn[0])
        for which, values in drawn[1:]:
            _median(panel, gaps.steps, values, f"{which}, median", color=stroke(1).colour, ls=DASHES[1], lw=0.9)
        value_axis(panel.yaxis, [values for _, values in drawn], WIDE)
        steps_axis(panel.xaxis, gaps.steps)
        panel.set_xlabel("steps of training")
        fit_label(panel, "y", label)
        page.name(panel, name)
    by = f", least value by {gaps.theorem}" if gaps.theorem else ""
    return page.finish(literal(f"heads against the unconstrained-feature model: {len(gaps.gap)} seeds{by}"))


def balances_figure(balances: LayerBalances, path: str | Path) -> Path:
    """A panel for each pair of layers, the imbalance over the time of the flow beside its prediction; then the deviations.

    Medians over the seeds, and bands from the least to the largest; deviations of all pairs in one panel, each entry of the
    imbalance against its prediction. Written atomically; the same bytes for the same numbers. Raises ValueError where no seed
    is finite.
    """
    if not np.isfinite(balances.imbalance).any():
        raise ValueError("balances: expected a seed that is finite at some checkpoint, got none")
    with house_style():
        return save_figure(draw_balances(balances), Path(path))


def draw_balances(balances: LayerBalances) -> Any:
    """The figure of `balances_figure`, within the house's style."""
    at, pairs = balances.times, len(balances.pairs)
    page = sheet(pairs + 1)
    for k, panel in enumerate(page.panels[:pairs]):
        seen, told = balances.imbalance[..., k], balances.predicted[..., k]
        _band(panel, at, "imbalance", seen, ls="None", ms=4.0)
        if np.isfinite(told).any():
            _median(panel, at, told, "predicted by the flow, median", color=INK, ls=PREDICTED, lw=1.0)
        _sized(panel, [seen, told], "|D|")
        which = "whole matrix" if balances.whole[k] else "neuron by neuron"
        page.name(panel, literal(f"{balances.pairs[k]}: {which}"))
    last = page.panels[-1]
    off = np.where(balances.deviation > 0, balances.deviation, np.nan)  # at the first checkpoint there is none
    for k, pair in enumerate(balances.pairs):
        if np.isfinite(off[..., k]).any():
            colour, dashes = stroke(k)
            _median(last, at, off[..., k], literal(f"{pair}, median"), color=colour, ls=dashes, marker="o")
    _sized(last, [off], "|D - predicted| / (|A| + |B|)")
    page.name(last, "deviation from the prediction, entry by entry")
    return page.finish(f"balance of neighbouring layers: {len(balances.imbalance)} seeds")


def _sized(panel: Any, drawn: list[np.ndarray], label: str) -> None:
    """The axes of a panel over time."""
    from nctheory.report._ticks import even_axis, value_axis

    value_axis(panel.yaxis, drawn, 2.0)
    even_axis(panel.xaxis)
    panel.set_xlabel("time of the flow: steps x rate")
    fit_label(panel, "y", label)


def steps_axis(axis: Any, steps: np.ndarray) -> None:
    """A horizontal axis of numbers that begin at zero or above: logarithmic where they span decades."""
    from nctheory.report._ticks import even_axis, log_axis, symmetric_axis

    positive = steps[steps > 0]
    if positive.size < 2 or positive.max() <= WIDE * positive.min():
        even_axis(axis)
    elif positive.size == steps.size:
        log_axis(axis)
    else:
        axis.axes.set_xlim(-0.05 * positive.min(), 1.2 * positive.max())
        symmetric_axis(axis, float(positive.min()))


def _band(panel: Any, at: np.ndarray, label: str, values: np.ndarray, **style: Any) -> None:
    """The median over the seeds, and what lies between the least and the largest."""
    colour = stroke(0).colour
    known = np.isfinite(values).any(axis=0)
    low, high = np.nanmin(values[:, known], axis=0), np.nanmax(values[:, known], axis=0)
    panel.fill_between(at[known], low, high, color=colour, alpha=0.25, lw=0.0, label=f"{label}, all seeds")
    _median(panel, at, values, f"{label}, median", **{"color": colour, "lw": 1.6, "marker": "o", **style})


def _median(panel: Any, at: np.ndarray, values: np.ndarray, label: str, **style: Any) -> None:
    """The median over the seeds, at the checkpoints at which one of them is finite."""
    known = np.isfinite(values).any(axis=0)
    panel.plot(at[known], np.nanmedian(values[:, known], axis=0), label=label, **style)


__all__ = ["balances_figure", "draw_balances", "draw_head_gaps", "head_gaps_figure", "steps_axis"]
