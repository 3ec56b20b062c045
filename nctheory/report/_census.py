"""A census as a table, as data, and as the plot of loss against index."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.landscape import CensusResult, Comparison, SaddleConnection
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._save import Drawing, Spot, house_style, save_figure

COLOURS = {"minimum": "#1b6ca8", "strict saddle": "#c8553d", "degenerate": "#8a8a8a"}

SCHEMA_VERSION = 2
STYLE: dict[str, Any] = {"axes.spines.top": False}

KIND_OF_ENTRY = {True: "minimum", False: "strict saddle", None: "saddle"}
"""What a list says of an entry."""


def census_table(census: CensusResult, held: Comparison | None = None) -> FittedTable:
    """One row for each orbit type, by value; with a comparison also what the analytic list says of it."""
    columns = [Column("value"), Column("kind", number=False, wraps=True), Column("rank", 3), Column("index", 1)]
    columns.append(Column("nullity", 4))
    columns += [
        Column("gauge", 8),
        Column("smallest", 5),
        Column("resolution", 7),
        Column("descent", 6),
        Column("starts", 2),
    ]
    if held is not None:
        columns.append(Column("list", number=False, wraps=True))
    rows = []
    said = {} if held is None else {id(m.row): m for m in held.matched}
    for row in census.rows:
        cells = [
            f"{row.value:.8f}",
            row.kind,
            str(row.rank),
            str(row.index),
            str(row.nullity),
            str(row.gauge_dimension),
        ]
        cells += [f"{row.smallest:+.2e}", f"{row.resolution:.0e}", f"{row.descent:.1e}", str(row.count)]
        if held is not None:
            match = said.get(id(row))
            expected = "EXTRA" if match is None else KIND_OF_ENTRY[match.listed.minimum]
            cells.append(expected if match is None or match.agrees else f"{expected}: DISAGREES")
        rows.append(cells)
    return FittedTable(columns, rows)


def census_lines(census: CensusResult, held: Comparison | None = None) -> list[str]:
    """Counts, and the outcome of the comparison."""
    lines = [
        f"{census.critical} of {census.starts} starts ended at a critical point (gradient norm <= {census.tolerance:g}), "
        f"{census.flat} at a gradient-flat point that is none, {census.unfinished} unfinished; "
        f"{len(census.rows)} types, estimated unseen: {census.unseen:.1f}"
    ]
    lines += [f"  value {row.value:.8g}, index {row.index}: {row.caveat}" for row in census.rows if row.caveat]
    if held is not None:
        lines.append(
            f"analytic list: {len(held.matched)} rows matched, {len(held.missing)} entries missing, "
            f"{len(held.extra)} rows extra, {len(held.misjudged)} of another kind than listed"
        )
        lines += [f"  missing: value {one.value:.8f}, rank {one.rank}" for one in held.missing]
    return lines


def census_data(
    census: CensusResult, held: Comparison | None = None, flows: Sequence[SaddleConnection] = (), title: str = ""
) -> dict[str, Any]:
    """Counts, rows (without representatives' parameters) and the descents between them as plain values."""
    rows: list[dict[str, Any]] = [
        {
            "value": row.value,
            "kind": row.kind,
            "rank": row.rank,
            "index": row.index,
            "nullity": row.nullity,
            "gauge_dimension": row.gauge_dimension,
            "smallest": row.smallest if np.isfinite(row.smallest) else None,
            "resolution": row.resolution,
            "descent": row.descent,
            "starts": row.count,
            "grad_norm": row.grad_norm,
            "eigenvalues": row.eigenvalues.tolist(),
        }
        for row in census.rows
    ]
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "census": title,
        "starts": census.starts,
        "critical": census.critical,
        "flat": census.flat,
        "unfinished": census.unfinished,
        "unseen": census.unseen,
        "rows": rows,
    }
    body["descents"] = [
        {"from": one.origin, "side": one.side, "to": one.end if one.end >= 0 else None, "value": one.value}
        for one in flows
    ]
    if held is not None:
        body["list"] = {
            "matched": len(held.matched),
            "missing": [one.value for one in held.missing],
            "extra": [row.value for row in held.extra],
            "misjudged": [match.row.value for match in held.misjudged],
        }
    return body


def census_json(
    census: CensusResult, held: Comparison | None = None, flows: Sequence[SaddleConnection] = (), title: str = ""
) -> str:
    """`census_data` as JSON."""
    return json.dumps(census_data(census, held, flows, title), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def census_figure(
    census: CensusResult, path: str | Path, title: str = "", flows: Sequence[SaddleConnection] = ()
) -> Path:
    """Loss against index, and beside it the spectra of the representatives' Hessians off the gauge.

    Lines lead from each saddle to where its most negative direction descends. The area of a mark grows with the logarithm
    of its starts. Written atomically; the same bytes for the same census.
    """
    with house_style(**STYLE):
        return save_figure(draw_census(census_data(census, flows=flows, title=title)).figure, Path(path))


def draw_census(data: Mapping[str, Any]) -> Drawing:
    """The figure of `census_data`, and what each of its rows says; under `house_style(**STYLE)`."""
    from matplotlib.figure import Figure

    figure, rows = Figure(figsize=(8.2, 3.8), layout="constrained"), data["rows"]
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.4))
    for kind, colour in COLOURS.items():
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        areas = [18 + 14 * np.log(row["starts"]) for row in some]
        left.scatter(
            [r["index"] for r in some], [r["value"] for r in some], s=areas, color=colour, alpha=0.8, lw=0, label=kind
        )
        for row in some:
            spectrum = row["eigenvalues"]
            right.plot(spectrum, np.full(len(spectrum), row["value"]), "|", color=colour, ms=7, mew=0.8)
    for one in data["descents"]:
        if one["to"] is not None:
            ends = rows[one["from"]], rows[one["to"]]
            left.plot([r["index"] for r in ends], [r["value"] for r in ends], color="0.75", lw=0.7, zorder=0)
    right.axvline(0.0, color="0.3", lw=0.8)
    right.set_xscale("symlog", linthresh=1e-2)
    left.set_xlabel("index (negative eigenvalues off the gauge)")
    left.set_ylabel("loss")
    right.set_xlabel("Hessian eigenvalues off the gauge (linear below 0.01)")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(frameon=False, fontsize=8)
    figure.suptitle(data["census"], fontsize=9, x=0.01, ha="left")
    spots = [
        Spot(
            left,
            row["index"],
            row["value"],
            f"{row['kind']}, value {row['value']:.8g}, rank {row['rank']}, index {row['index']}: {row['starts']} starts",
        )
        for row in rows
    ]
    return Drawing(figure, tuple(spots))
