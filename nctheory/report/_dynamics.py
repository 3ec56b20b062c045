"""Observed against predicted curves: as a picture, as a table, and as data."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.engine import json_value
from nctheory.report._cells import NARROW, number
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import Drawing, Spot, save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import BLACK, BLUE, FAINT, PREDICTED, house_style, stroke
from nctheory.report._text import to_unicode
from nctheory.theorems import Curve, Dynamics

SCHEMA_VERSION = 2
BANDS = (0.05, 0.5, 0.95)
MAX_COMPONENTS = 12
"""The largest number of components of an observable that are drawn one by one; of larger ones only the norm is."""


def dynamics_data(found: Dynamics) -> dict[str, Any]:
    """Quantiles over the seeds of every curve, observed and predicted, as plain values; None for what is not finite."""

    def quantiles(x: np.ndarray) -> list[Any]:
        return json_value(np.nanquantile(x, BANDS, axis=0))

    def curve(one: Curve) -> dict[str, Any]:
        observed, predicted = _components(one.observed), one.predicted
        data = {
            "name": one.claim.name,
            "kind": one.claim.kind,
            "statement": one.claim.statement,
            "logarithmic": bool(getattr(one.claim, "logarithmic", False)),
            "tolerance_ratio": one.tolerance_ratio if np.isfinite(one.tolerance_ratio) else None,
            "deviation": one.deviation if np.isfinite(one.deviation) else None,
            "components": _names(one.observed),
            "observed": quantiles(observed),
        }
        if one.claim.kind == "trajectory":
            data["predicted"] = quantiles(_components(predicted))
        else:
            data["predicted"] = json_value(np.quantile(np.atleast_1d(predicted), BANDS))
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
    from nctheory.report._ticks import even_axis

    page = sheet(len(data["curves"]))
    spots: list[Spot] = []
    for panel, curve in zip(page.panels, data["curves"], strict=True):
        observed = np.array(curve["observed"], float)  # quantiles x times x components, or quantiles x scales
        if curve["kind"] == "order":
            _draw_order(panel, curve, np.array(data["initial_scales"]), observed)
        else:
            times, middle = np.array(data["times"]), observed[1]
            _draw_curves(panel, curve, times, observed)
            _time_axis(panel, times, "steps" if data["descent"] else "time")
            if curve["logarithmic"] and np.nanmin(observed[0], initial=np.inf) > 0:
                _decades(panel, "y", observed)
            else:
                even_axis(panel.yaxis)
            spots += [
                Spot(panel, float(t), float(middle[i, j]), f"{curve['name']}, t = {t:.4g}: {middle[i, j]:.6g} (median)")
                for i, t in enumerate(times) for j in range(middle.shape[1]) if np.isfinite(middle[i, j])
            ]  # fmt: skip
        fit_label(panel, "y", _label(curve["statement"]))
        page.name(panel, literal(curve["name"]))
    shown = ", ".join(f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = {value}"
                      for name, value in data["parameters"].items())  # fmt: skip
    title = literal(f"{data['dynamics']} ({shown}): {data['outcome']}, {data['seeds']} seeds")
    return Drawing(page.finish(title), tuple(spots))


def _draw_curves(panel: Any, curve: Mapping[str, Any], times: np.ndarray, observed: np.ndarray) -> None:
    """Every component: the median of the seeds as a line, their band, and above all of them what is predicted."""
    from matplotlib.collections import LineCollection

    low, middle, high = observed
    names = curve.get("components") or []
    if len(names) != middle.shape[1]:  # data of an earlier version
        names = [f"component {j + 1}" for j in range(middle.shape[1])]
    for j, name in enumerate(names):
        colour, dashes = stroke(j)
        panel.fill_between(times, low[:, j], high[:, j], color=colour, alpha=0.25, lw=0)
        what = "observed, median" if len(names) == 1 else f"{name}, observed"
        panel.plot(times, middle[:, j], color=colour, ls=dashes, lw=1.4, label=literal(what))
    panel.fill_between([], [], [], color=FAINT, lw=0, label="90 % of the seeds")
    predicted = np.array(curve["predicted"], float)
    if curve["kind"] == "limit":
        predicted = np.repeat(predicted[:, None, None], times.size, axis=1)
    lines = [np.stack([times, predicted[1, :, j]], axis=1) for j in range(predicted.shape[2])]
    panel.add_collection(LineCollection(lines, colors=BLACK, linewidths=0.9, linestyles=PREDICTED, label="predicted"))
    panel.autoscale_view()


def _time_axis(panel: Any, times: np.ndarray, label: str) -> None:
    """Logarithmic where times are spread over more than two decades."""
    from nctheory.report._ticks import even_axis, log_axis

    long = times[0] > 0 and times[-1] / times[0] > 200
    (log_axis if long else even_axis)(panel.xaxis)
    panel.set_xlabel(label)


def _decades(panel: Any, which: str, values: np.ndarray) -> None:
    """A logarithmic axis; where all values are nearly one, a little of it around them."""
    from nctheory.report._ticks import log_axis

    log_axis(getattr(panel, f"{which}axis"))
    least, largest = float(np.nanmin(values)), float(np.nanmax(values))
    if largest < least * (1 + 1e-6):
        getattr(panel, f"set_{which}lim")(least / 1.2, largest * 1.2)


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
    low, middle, high = (row.reshape(scales.size, -1)[:, 0] for row in observed)
    order = float(np.array(curve["predicted"], float)[1])
    centre = np.exp(np.mean(np.log(middle)) - order * np.mean(np.log(scales)))
    panel.fill_between(scales, low, high, color=BLUE, alpha=0.25, lw=0, label="90 % of the seeds")
    panel.plot(scales, middle, "o-", color=BLUE, label="observed, median")
    line = centre * scales**order
    panel.plot(scales, line, PREDICTED, color=BLACK, lw=0.9, label=f"predicted: order {order:g}")
    _decades(panel, "x", scales)
    _decades(panel, "y", np.concatenate([low, high, line]))
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


def _names(x: np.ndarray) -> list[str]:
    """What `_components` are called.

    >>> _names(np.zeros((8, 30, 2))), _names(np.zeros((8, 30, 1, 2))), _names(np.zeros((8, 30, 99)))
    (['component 1', 'component 2'], ['entry (1, 1)', 'entry (1, 2)'], ['norm'])
    """
    shape = x.shape[2:]
    if int(np.prod(shape)) > MAX_COMPONENTS:
        return ["norm"]
    if len(shape) <= 1:
        return [f"component {i + 1}" for i in range(int(np.prod(shape)))]
    return [f"entry ({', '.join(str(i + 1) for i in index)})" for index in np.ndindex(shape)]
