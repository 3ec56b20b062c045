"""Observed against predicted curves: as a picture, as a table, and as data; and features on their way as an animation."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.closed_form import global_minimum
from nctheory.engine import write_atomically
from nctheory.flow import gradient_flow, starts
from nctheory.problems import unconstrained_features
from nctheory.report._cells import NARROW, number
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._save import Drawing, Spot, house_style, literal, save_figure
from nctheory.report._text import to_unicode
from nctheory.theorems import Curve, Dynamics

SCHEMA_VERSION = 2
BANDS = (0.05, 0.5, 0.95)
MAX_COMPONENTS = 12
"""The largest number of components of an observable that are drawn one by one; of larger ones only the norm is."""


def dynamics_data(found: Dynamics) -> dict[str, Any]:
    """Quantiles over the seeds of every curve, observed and predicted, as plain values; None for what is not finite."""

    def quantiles(x: np.ndarray) -> list[Any]:
        return _plain(np.nanquantile(x, BANDS, axis=0))

    def curve(one: Curve) -> dict[str, Any]:
        observed, predicted = _components(one.observed), one.predicted
        data = {
            "name": one.claim.name,
            "kind": one.claim.kind,
            "statement": one.claim.statement,
            "logarithmic": bool(getattr(one.claim, "logarithmic", False)),
            "tolerance_ratio": one.tolerance_ratio if np.isfinite(one.tolerance_ratio) else None,
            "deviation": one.deviation if np.isfinite(one.deviation) else None,
            "observed": quantiles(observed),
        }
        if one.claim.kind == "trajectory":
            data["predicted"] = quantiles(_components(predicted))
        else:
            data["predicted"] = _plain(np.quantile(np.atleast_1d(predicted), BANDS))
        return data

    return {
        "schema_version": SCHEMA_VERSION,
        "dynamics": found.theorem.id,
        "title": found.theorem.title,
        "instance": found.instance,
        "parameters": found.parameters,
        "outcome": found.outcome,
        "seeds": found.seeds,
        "sound": found.sound,
        "note": found.note,
        "descent": found.spec.rate is not None,
        "times": list(found.spec.times),
        "initial_scales": list(found.spec.initial_scales),
        "curves": [curve(one) for one in found.curves],
    }


def dynamics_json(found: Dynamics) -> str:
    """`dynamics_data` as JSON."""
    return json.dumps(dynamics_data(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def dynamics_figure(found: Dynamics, path: str | Path) -> Path:
    """One panel for each claim: the observed median and 90 % band of the seeds, the predicted median dashed.

    Written atomically; the same bytes for the same curves.
    """
    with house_style():
        return save_figure(draw_dynamics(dynamics_data(found)).figure, Path(path))


def draw_dynamics(data: Mapping[str, Any]) -> Drawing:
    """The figure of `dynamics_data`; under `house_style`."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    curves = data["curves"]
    figure = Figure(figsize=(0.4 + 3.9 * len(curves), 3.5), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    spots: list[Spot] = []
    for panel, curve in zip(panels, curves, strict=True):
        observed = np.array(curve["observed"], float)  # quantiles x times x components, or quantiles x scales
        if curve["kind"] == "order":
            _draw_order(panel, curve, np.array(data["initial_scales"]), observed)
        else:
            times = np.array(data["times"])
            low, middle, high = observed
            colours = colormaps["viridis"](np.linspace(0.0, 0.85, middle.shape[1]))
            predicted = np.array(curve["predicted"], float)
            if curve["kind"] == "limit":
                predicted = np.repeat(predicted[:, None, None], times.size, axis=1)
            for j, colour in enumerate(colours):
                panel.fill_between(times, low[:, j], high[:, j], color=colour, alpha=0.25, lw=0)
                panel.plot(times, middle[:, j], color=colour, lw=1.4, label="observed" if j == 0 else None)
            for j in range(predicted.shape[2]):
                panel.plot(
                    times, predicted[1, :, j], "--", color="black", lw=0.9, label="predicted" if j == 0 else None
                )
            if times[0] > 0 and times[-1] / times[0] > 200:
                panel.set_xscale("log")
            if curve["logarithmic"] and np.nanmin(low) > 0:
                panel.set_yscale("log")
            panel.set_xlabel("steps" if data["descent"] else "time")
            spots += [
                Spot(panel, float(t), float(middle[i, j]), f"{curve['name']}, t = {t:.4g}: {middle[i, j]:.6g} (median)")
                for i, t in enumerate(times) for j in range(middle.shape[1]) if np.isfinite(middle[i, j])
            ]  # fmt: skip
        panel.set_ylabel(_label(curve["statement"]))
        panel.set_title(literal(curve["name"]), fontsize=9)
        panel.legend(fontsize=7, loc="best")
    shown = ", ".join(f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = {value}"
                      for name, value in data["parameters"].items())  # fmt: skip
    figure.suptitle(
        literal(f"{data['dynamics']} ({shown}): {data['outcome']}, {data['seeds']} seeds"),
        fontsize=9,
        x=0.01,
        ha="left",
    )
    return Drawing(figure, tuple(spots))


def _label(statement: str) -> str:
    """A formula as matplotlib sets it, or as plain text where it cannot."""
    from matplotlib.mathtext import MathTextParser

    try:
        formula = f"${statement}$".replace(r"\top", r"\mathsf{T}")
        formula = re.sub(r"\\sqrt\s*(\w)", r"\\sqrt{\1}", formula)
        MathTextParser("path").parse(formula)
    except ValueError:
        return to_unicode(statement)
    return formula


def _draw_order(panel: Any, curve: Mapping[str, Any], scales: np.ndarray, observed: np.ndarray) -> None:
    """Size against scale of the start, both logarithmic, and a line of the predicted slope through the middle."""
    from matplotlib.ticker import NullFormatter

    low, middle, high = (row.reshape(scales.size, -1)[:, 0] for row in observed)
    order = float(np.array(curve["predicted"], float)[1])
    centre = np.exp(np.mean(np.log(middle)) - order * np.mean(np.log(scales)))
    panel.fill_between(scales, low, high, color="C0", alpha=0.25, lw=0)
    panel.plot(scales, middle, "o-", color="C0", ms=3, lw=1.2, label="observed")
    panel.plot(scales, centre * scales**order, "--", color="black", lw=0.9, label=f"predicted: order {order:g}")
    panel.set_xscale("log")
    panel.set_yscale("log")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("scale of the start")


def dynamics_table(found: Dynamics) -> FittedTable:
    """One row for each claim: how far the curves are from the prediction, and against what tolerance."""
    columns = (
        Column("claim", number=False, narrowest=NARROW),
        Column("kind", 3, number=False),
        Column("largest relative deviation", 2),
        Column("worst ratio"),
    )
    rows = [
        (one.claim.name, one.claim.kind, number(one.deviation), number(one.tolerance_ratio)) for one in found.curves
    ]
    return FittedTable(columns, rows)


def _components(x: np.ndarray) -> np.ndarray:
    """Seeds x times x a few components; of more than `MAX_COMPONENTS` the norm."""
    flat = x.reshape(*x.shape[:2], -1)
    return flat if flat.shape[2] <= MAX_COMPONENTS else np.linalg.norm(flat, axis=2)[:, :, None]


def _plain(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return [_plain(row) for row in x]
    return float(x) if np.isfinite(x) else None


def animate_features(path: str | Path, seed: int = 0, key: int = 0, frames: int = 90) -> Path:
    """Three classes of features in the plane on their way to the simplex, as a GIF, written atomically.

    Unconstrained features under cross-entropy, K = 3, d = 2, ten samples a class, from one random start along the
    gradient flow; the classifier's rows are arrows, the triangle is that of the predicted end.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    target = Path(path)
    if target.suffix != ".gif":
        raise ValueError(f"path: expected a file name that ends in .gif, got {path}")
    model = unconstrained_features(counts=(10,) * 3, dim=2, loss="cross_entropy", weight_decay=(5e-3, 5e-4))
    times = np.concatenate([[0.0], np.geomspace(0.3, 4000.0, frames - 1)])
    way = gradient_flow(model, starts(model, [seed], key), times, observe=_both, tolerance=1e-8, compare=False)
    features, weights = (np.asarray(x)[0] for x in way.values)
    limit = 1.15 * max(np.abs(features).max(), np.abs(weights).max())
    radius = np.sqrt(float(global_minimum(model).gram_features[0, 0]))
    with house_style():
        figure = Figure(figsize=(4.2, 4.2), layout="constrained")
        panel = figure.subplots()
        # The end is known up to a rotation: the triangle stands as the last class mean does.
        mean = features[-1][:, :10].mean(axis=1)
        angles = np.arctan2(mean[1], mean[0]) + 2 * np.pi * np.arange(4) / 3
        panel.plot(radius * np.cos(angles), radius * np.sin(angles), "--", color="black", lw=0.8, label="predicted")
        dots = [panel.plot([], [], "o", ms=3, color=f"C{k}")[0] for k in range(3)]
        rows = [panel.plot([], [], "-", lw=1.5, color=f"C{k}", alpha=0.6)[0] for k in range(3)]
        panel.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        panel.legend(fontsize=7, loc="upper right")

        def draw(i: int) -> list[Any]:
            for k in range(3):
                dots[k].set_data(*features[i][:, 10 * k : 10 * k + 10])
                rows[k].set_data([0.0, weights[i][k, 0]], [0.0, weights[i][k, 1]])
            panel.set_title(f"t = {times[i]:.3g}", fontsize=9)
            return [*dots, *rows]

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "features.gif"
            FuncAnimation(figure, draw, frames=frames).save(str(file), writer=PillowWriter(fps=15), dpi=80)
            write_atomically(target, file.read_bytes())
    return target


def _both(problem: Any, params: Any) -> tuple[Any, Any]:
    return params.features, params.weights[0]
