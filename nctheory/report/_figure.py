"""The figure of a verification: margins of claims on one side of the line, of controls on the other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nctheory.report._save import Drawing, Spot, house_style, save_figure
from nctheory.theorems import Verdict

FLOOR = 1e-3
MOST_PANELS = 6
HOLD, CONTROL, BROKEN = "#1b6ca8", "#c8553d", "#000000"


def margin_figure(verdicts: Sequence[Verdict], path: str | Path) -> Path:
    """Draw residual over tolerance for every claim (worst seed) and every control, one panel a theorem, or one row a theorem
    where there are more than a few.

    Left of 1 a prediction is held up by every seed; right of 1 at least one seed refutes it. Power and counts stand in
    the panel's title. The format follows the suffix of `path`; the file is written atomically and is the same, byte
    for byte, for the same verdicts.
    """
    with house_style():
        return save_figure(draw_margins(verdicts).figure, Path(path))


def draw_margins(verdicts: Sequence[Verdict]) -> Drawing:
    """The figure of margins, and what each of its marks says; under `house_style`."""
    from matplotlib.figure import Figure

    largest = max((c.margin for v in verdicts for c in v.controls if np.isfinite(c.margin)), default=1e3)
    if len(verdicts) > MOST_PANELS:
        figure = Figure(figsize=(8.2, 0.26 * len(verdicts) + 1.0), layout="constrained")
        axes = [figure.subplots()]
        spots = _rows(axes[0], verdicts)
    else:
        heights = [len(v.claims) + len(v.controls) + 2.2 for v in verdicts]
        figure = Figure(figsize=(8.2, 0.205 * sum(heights) + 0.9), layout="constrained")
        axes = list(figure.subplots(len(verdicts), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
        spots = [spot for axis, verdict in zip(axes, verdicts, strict=True) for spot in _panel(axis, verdict)]
    most = 10 * max(largest, 10.0)
    for axis in axes:
        axis.set_xlim(FLOOR, most)
    axes[-1].set_xlabel("residual / derived tolerance, worst seed   (left of the line: supported; right: refuted)")
    return Drawing(figure, tuple(spot._replace(x=min(spot.x, most)) for spot in spots))


def _rows(axis, verdicts: Sequence[Verdict]) -> list[Spot]:
    """All claims and controls of a theorem in one row."""
    spots = []
    for y, verdict in enumerate(verdicts):
        for name, margin, _, control in _marks(verdict):
            what = "control" if control else "claim"
            spots.append(Spot(axis, max(margin, FLOOR), y, f"{verdict.theorem}, {what} {name}: margin {margin:.3g}"))
        for claim in verdict.claims:
            colour = HOLD if claim.violations == 0 else BROKEN
            axis.plot(max(claim.margin, FLOOR), y, "o", color=colour, ms=4.5, alpha=0.8, mew=0, clip_on=False)
        for control in verdict.controls:
            colour = CONTROL if control.refuted else BROKEN
            axis.plot(max(control.margin, FLOOR), y, "s", color=colour, ms=4, alpha=0.8, mew=0, clip_on=False)
        axis.axhline(y, color="0.9", lw=0.6, zorder=0)
    axis.axvline(1.0, color="0.3", lw=1)
    names = [v.theorem if v.outcome == "holds" else f"{v.theorem}: {v.outcome}" for v in verdicts]
    axis.set_yticks(range(len(verdicts)), names)
    axis.set_ylim(len(verdicts) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.spines["top"].set_visible(False)
    axis.plot([], [], "o", color=HOLD, ms=4.5, label="claim")
    axis.plot([], [], "s", color=CONTROL, ms=4, label="control (a wrong theorem)")
    seeds, support = sum(v.seeds_run for v in verdicts), sum(v.supporting for v in verdicts)
    axis.set_title(f"{len(verdicts)} theorems, {support:,} of {seeds:,} seeds support them", loc="left", fontsize=9)
    axis.legend(loc="upper right", bbox_to_anchor=(1.0, 1.0 + 0.9 / len(verdicts)), ncols=2, frameon=False, fontsize=8)
    return spots


def _marks(verdict: Verdict) -> list[tuple[str, float, bool, bool]]:
    """(name, margin, as it ought to be, is a control) of all claims and controls."""
    claims = [(claim.name, claim.margin, claim.violations == 0, False) for claim in verdict.claims]
    return claims + [(control.name, control.margin, control.refuted, True) for control in verdict.controls]


def _panel(axis, verdict: Verdict) -> list[Spot]:
    rows = _marks(verdict)
    for y, (_, margin, right, control) in enumerate(rows):
        colour = (CONTROL if control else HOLD) if right else BROKEN
        axis.plot([FLOOR, max(margin, FLOOR)], [y, y], color=colour, lw=1, alpha=0.35)
        axis.plot(max(margin, FLOOR), y, "s" if control else "o", color=colour, ms=5, clip_on=False)
    axis.axvline(1.0, color="0.3", lw=1)
    axis.set_yticks(range(len(rows)), [f"control: {name}" if control else name for name, _, _, control in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.spines["top"].set_visible(False)
    axis.set_title(
        f"{verdict.theorem}: {verdict.outcome}. {verdict.supporting} of {verdict.seeds_run} seeds support it, on "
        f"{len(verdict.instances)} instances; power {verdict.power:.1g}",
        loc="left",
        fontsize=9,
        fontweight="bold",
    )
    return [
        Spot(axis, max(margin, FLOOR), y, f"{name}: margin {margin:.3g}") for y, (name, margin, *_) in enumerate(rows)
    ]
