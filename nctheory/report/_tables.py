"""Verdicts as tables for the terminal, as wide as it is."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nctheory.report._cells import (
    CLAIMS,
    CONTROLS,
    SUMMARY,
    claim_row,
    control_row,
    reached_values,
    summary_caption,
    summary_rows,
    told,
)
from nctheory.report._fitted import FittedTable
from nctheory.report._words import sentences, worst_case
from nctheory.theorems import Verdict

COLOURS = {"holds": "green", "refuted": "red", "inconclusive": "yellow", "engine error": "magenta"}


def summary_table(verdicts: Sequence[Verdict]) -> RenderableType:
    """One row a theorem: outcome, evidence, instances, seeds, both bounds, resolution, worst ratio, controls."""
    rows = [
        [row[0], Text(row[1], style=COLOURS[v.outcome]), *row[2:]]
        for v, row in zip(verdicts, summary_rows(verdicts), strict=True)
    ]
    return Group(FittedTable(SUMMARY, rows), Text(summary_caption(len(verdicts)), style="dim"))


def claims_table(verdict: Verdict) -> RenderableType:
    """The claims of one theorem; columns in which no claim has anything are left away."""
    rows = [claim_row(claim) for claim in verdict.claims]
    shown = told(CLAIMS, rows)
    failing = [column.heading == "violations" for column in CLAIMS]
    cells = [[Text(row[i], style="red" if failing[i] and row[i] != "0" else "") for i in shown] for row in rows]
    return FittedTable([CLAIMS[i] for i in shown], cells)


def controls_table(verdict: Verdict) -> RenderableType:
    """The controls of one theorem: what became of each, and which claims refuted it."""
    rows: list[list[str | Text]] = [list(control_row(control)) for control in verdict.controls]
    for row, control in zip(rows, verdict.controls, strict=True):
        row[1] = Text(str(row[1]), style="green" if control.refuted else "red")
    return FittedTable(CONTROLS, rows)


def render_verdict(verdict: Verdict) -> RenderableType:
    """Everything about one verdict that is not in the summary: reasons, claims, controls, statistics, worst case."""
    colour = COLOURS[verdict.outcome]
    parts: list[RenderableType] = [
        Text.assemble((verdict.theorem, "bold"), f"  {verdict.title}: ", (verdict.outcome, f"bold {colour}"))
    ]
    parts += [_indented(Text(reason, style=colour)) for reason in verdict.reasons]
    if verdict.claims:
        parts.append(claims_table(verdict))
    if verdict.controls:
        parts.append(controls_table(verdict))
    several = [row for row in verdict.instances if len(row.reached) > 1]
    if several:
        parts.append(Text("values at which the converged seeds ended (* the minimum)"))
        parts += [_indented(Text(f"instance {row.index}: {reached_values(row)}")) for row in several]
    parts += [_indented(Text.assemble((f"{one.about}: ", "bold"), one.text)) for one in sentences(verdict)]
    if verdict.worst is not None:
        word, seen, where = worst_case(verdict.worst)
        parts += [_indented(Text.assemble((f"{word}: ", "bold"), seen)), _indented(Text(where))]
        # Never broken over lines, so that it can be copied.
        parts.append(Text(f"  reproduce: {verdict.worst.command}", no_wrap=True, overflow="ignore"))
    return Group(*parts, Text(""))


def _indented(text: Text) -> RenderableType:
    """Text two characters in, on every line."""
    return Padding(text, (0, 0, 0, 2), expand=False)


def as_text(renderable: RenderableType, width: int = 120) -> str:
    """A renderable as plain text."""
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(renderable, crop=False)
    return "\n".join(line.rstrip() for line in capture.get().split("\n"))


def verdict_text(verdict: Verdict) -> str:
    """`render_verdict` as plain text."""
    return as_text(render_verdict(verdict))
