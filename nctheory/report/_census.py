"""A census as a table, as data, and as the plot of loss against index."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.landscape import CensusResult, Comparison, SaddleConnection
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._save import Drawing, Spot, save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import BLACK, BLUE, FAINT, INK, VERMILLION, house_style

COLOURS = {"minimum": BLUE, "strict saddle": VERMILLION, "degenerate": BLACK}
POINT = {"minimum": "", "strict saddle": "", "degenerate": " point"}
HEIGHT = 2.9
LINEAR = 0.01
"""Eigenvalues below are drawn to an even scale, larger ones to a logarithmic."""

SCHEMA_VERSION = 2

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
    lines += [census.caveat] if census.caveat else []
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
        "caveat": census.caveat,
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
    with house_style():
        return save_figure(draw_census(census_data(census, flows=flows, title=title)).figure, Path(path))


def draw_census(data: Mapping[str, Any]) -> Drawing:
    """The figure of `census_data`, and what each of its rows says; under `house_style`."""
    from matplotlib.collections import LineCollection

    from nctheory.report._ticks import even_axis, symmetric_axis

    page, rows = sheet(2, HEIGHT), data["rows"]
    left, right = page.panels
    right.sharey(left)
    right.axvline(0.0, color=INK, lw=0.8, label="zero")
    for kind, colour in COLOURS.items():
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        areas = [18 + 14 * np.log(row["starts"]) for row in some]
        left.scatter(
            [r["index"] for r in some], [r["value"] for r in some], s=areas, color=colour, alpha=0.8, lw=0, label=kind
        )
        at = [(x, row["value"]) for row in some for x in row["eigenvalues"]]
        right.plot(
            [x for x, _ in at], [y for _, y in at], "|", color=colour, ms=7, mew=0.8, label=f"of a {kind}{POINT[kind]}"
        )
    ends = [(rows[one["from"]], rows[one["to"]]) for one in data["descents"] if one["to"] is not None]
    if ends:
        lines = [[(row["index"], row["value"]) for row in pair] for pair in ends]
        left.add_collection(
            LineCollection(lines, colors=FAINT, linewidths=0.7, zorder=0, label="descends from the saddle")
        )
    symmetric_axis(right.xaxis, LINEAR)
    even_axis(left.xaxis, np.arange(max((row["index"] for row in rows), default=0) + 1))
    even_axis(left.yaxis)
    fit_label(left, "x", "index (negative eigenvalues off the gauge)")
    fit_label(left, "y", "loss")
    fit_label(right, "x", f"Hessian eigenvalues off the gauge (linear below {LINEAR:g})")
    page.name(left, "critical points found")
    page.name(right, "spectra")
    spots = [
        Spot(
            left,
            row["index"],
            row["value"],
            f"{row['kind']}, value {row['value']:.8g}, rank {row['rank']}, index {row['index']}: {row['starts']} starts",
        )
        for row in rows
    ]
    return Drawing(page.finish(literal(data["census"])), tuple(spots))
