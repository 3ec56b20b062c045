"""Collapse metrics as a table and as JSON, with the certified distance of the head where it was asked for."""

import json
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.engine import json_value
from nctheory.measures import NCMetrics
from nctheory.networks import PeeledGap
from nctheory.report._fitted import Column, FittedTable

SCALARS = {
    "nc1": "within-class variability, tr(S_W S_B^+)/K",
    "nc1_rank": "directions that the pseudo-inverse kept",
    "trace_ratio": "tr S_W / tr S_B",
    "nc2": "Gram matrix of the means against the target",
    "nc2_weights": "Gram matrix of the classifier against the target",
    "norm_spread": "spread of the centred means' norms",
    "angle_spread": "mean |cosine + 1/(K-1)| of centred means",
    "nc3": "self-duality: W as it is, means centred",
    "nc3_centred": "self-duality: both centred",
    "nc3_uncentred": "self-duality: neither centred",
    "nc4": "agreement of classifier and nearest mean",
    "nearest_mean_error": "samples nearer to another class's mean",
    "error": "samples that the classifier gets wrong",
    "cdnv": "class-distance normalised variance",
    "directional_cdnv": "the same between two means only",
    "margin": "least margin of any sample",
}
"""The metrics of a layer that are one number, with a word on each."""


def metrics_table(metrics: NCMetrics, gap: PeeledGap | None = None) -> RenderableType:
    """One row a metric, one column a layer; what could not be computed without a classifier is left away.

    >>> import numpy as np, nctheory as nct
    >>> from rich.console import Console
    >>> found = nct.nc_metrics([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 1, 1])
    >>> console = Console(width=80)
    >>> with console.capture() as capture:
    ...     console.print(metrics_table(found))
    >>> "trace_ratio" in capture.get(), "nc4" in capture.get()
    (True, False)
    """
    parts: list[RenderableType] = [Text(count_line(metrics)), FittedTable(*metric_cells(metrics))]
    parts += [Text(line) for line in caution_lines(metrics)]
    if gap is not None:
        parts += [Text(line) for line in gap_lines(gap)]
    return Group(*parts)


def metric_cells(metrics: NCMetrics) -> tuple[list[Column], list[list[str]]]:
    """Columns, one for each layer, and rows, one for each metric."""
    names = metrics.layers or ("value",)
    columns = [Column("metric", number=False), *(Column(name) for name in names)]
    columns.append(Column("what it is", 2, number=False))
    rows = []
    for name, words in SCALARS.items():
        numbers = np.atleast_1d(np.asarray(getattr(metrics, name), float))
        if not np.isnan(numbers).all():
            rows.append([name, *("" if np.isnan(x) else f"{x:.4g}" for x in numbers), words])
    return columns, rows


def count_line(metrics: NCMetrics) -> str:
    """The samples of the first classes."""
    counts = ", ".join(str(int(n)) for n in metrics.counts[:12]) + (", ..." if len(metrics.counts) > 12 else "")
    return f"samples of each class: {counts}"


def caution_lines(metrics: NCMetrics) -> list[str]:
    """Where zeros are no sign of collapse: one sample a class, or class means that are all equal.

    >>> import nctheory as nct
    >>> [line[:18] for line in caution_lines(nct.nc_metrics([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], [0, 1, 1]))]
    ['the class means ar']
    """
    lines = []
    if np.max(metrics.counts) <= 1:
        lines.append("no class has two samples: variability within classes is zero whatever the features are")
    flat = np.atleast_1d(np.asarray(metrics.nc1_rank)) == 0
    if np.any(flat):
        where = [name for name, one in zip(metrics.layers or ("",), flat, strict=True) if one and name]
        inside = f" in {', '.join(where)}" if where else ""
        lines.append(
            f"the class means are equal{inside}: there nc1 is zero because its pseudo-inverse keeps no direction, and this is "
            "no collapse"
        )
    return lines


def gap_lines(gap: PeeledGap) -> list[str]:
    """The certified distance in words, one line a fact."""
    lines = [f"fit {gap.fit:.6g} at |W| |H| = {gap.budget:.6g}"]
    if gap.reason is not None:
        lines.append(f"no certificate: {gap.reason}")
    if gap.efficiency == 0:
        lines.append("efficiency: 0, because features and weights of zero fit no worse than this")
    elif not np.isnan(gap.efficiency):
        lines.append(f"efficiency: at least {gap.efficiency:.4g} of |W| |H| is needed for this fit by any features")
    if np.isfinite(gap.lower_bound):
        source = f"of {gap.theorem}" if gap.theorem is not None else "found by solving"
        lines.append(
            f"objective {gap.value:.6g}, certified lower bound {gap.lower_bound:.6g} (gap {100 * gap.gap:.3g} %), minimum "
            f"{source} {gap.minimum:.6g}"
        )
    return lines


def metrics_json(
    metrics: NCMetrics, gap: PeeledGap | None = None, file: str | None = None, command: str | None = None
) -> str:
    """All metrics, and those of each class, as JSON; null in the place of what is not a finite number.

    `file` and `command` say whose features they are, and how they were measured.

    >>> import nctheory as nct
    >>> found = nct.nc_metrics([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 1, 1])
    >>> json.loads(metrics_json(found))["counts"]
    [1, 2]
    """
    data: dict[str, Any] = {"schema": "nctheory metrics 2", "command": command, "file": file}
    data |= {name: json_value(value) for name, value in zip(NCMetrics._fields, metrics, strict=True)}
    data["peeled_gap"] = None if gap is None else {n: json_value(v) for n, v in zip(gap._fields, gap, strict=True)}
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
