"""Verdicts as tables for the terminal."""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nctheory.theorems import InstanceResult, Verdict

COLOURS = {"holds": "green", "refuted": "red", "inconclusive": "yellow"}


def number(value: float) -> str:
    """Three significant digits; a dash where there is no number."""
    return "-" if not math.isfinite(value) else f"{value:.2g}"


def summary_table(verdicts: Sequence[Verdict]) -> Table:
    """One row a theorem: outcome, counts, margin, power, bound on the failure probability, fidelity."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("theorem", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for heading in ("seeds", "converged", "certified", "supporting", "margin", "power", "p(fail)", "fidelity"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("controls", justify="right", no_wrap=True)
    for v in verdicts:
        refuted = sum(control.refuted for control in v.controls)
        table.add_row(
            v.theorem,
            Text(v.outcome, style=COLOURS[v.outcome]),
            str(v.seeds_run),
            str(v.converged),
            str(v.certified),
            str(v.supporting),
            number(v.worst.margin) if v.worst else "-",
            number(v.power),
            number(v.failure_bound),
            f"{v.fidelity_same}/{v.fidelity_compared}",
            f"{refuted}/{len(v.controls)}",
        )
    return table


def reached_values(row: InstanceResult) -> str:
    """Every value at which converged seeds of an instance ended, with their number."""
    return ", ".join(f"{one.value:.8g}{'*' if one.minimum else ''} ({one.seeds})" for one in row.levels)


def claims_table(verdict: Verdict) -> Table:
    """Claims and controls of one theorem."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("claim or control", no_wrap=True)
    table.add_column("kind")
    for heading in ("instances", "seeds", "violations", "worst margin", "largest tolerance", "power"):
        table.add_column(heading, justify="right")
    for claim in verdict.claims:
        table.add_row(
            claim.name,
            f"{claim.kind}, {claim.scope}",
            str(claim.instances),
            str(claim.checked),
            Text(str(claim.violations), style="red" if claim.violations else ""),
            number(claim.margin),
            number(claim.largest_tolerance),
            number(claim.power),
        )
    table.add_section()
    for control in verdict.controls:
        outcome = "refuted" if control.refuted else "NOT REFUTED"
        table.add_row(
            f"control: {control.name}",
            Text(outcome, style="green" if control.refuted else "red"),
            f"{control.refuted_on}/{control.applicable}",
            "",
            "",
            number(control.margin),
            "",
            "",
        )
    return table


def render_verdict(verdict: Verdict) -> RenderableType:
    """Everything about one verdict that is not in the summary: claims, controls, reasons, worst case."""
    lines: list[RenderableType] = [
        Text.assemble((verdict.theorem, "bold"), f"  {verdict.title}: ", (verdict.outcome, COLOURS[verdict.outcome]))
    ]
    lines += [Text(f"  {reason}", style=COLOURS[verdict.outcome]) for reason in verdict.reasons]
    lines.append(claims_table(verdict))
    several = [row for row in verdict.instances if len(row.levels) > 1]
    if several:
        lines.append(Text("values at which the converged seeds ended (* the minimum)"))
        lines += [Text(f"  instance {row.index}: {reached_values(row)}") for row in several]
        lines.append(Text(""))
    worst = verdict.worst
    if worst is not None:
        word = "counterexample" if worst.margin > 1 else "worst case"
        shown = ", ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in worst.parameters.items())
        lines.append(
            f"{word}: claim [bold]{escape(worst.claim)}[/] at instance {worst.instance}, seed {worst.seed}: "
            f"residual {number(worst.residual)} against tolerance {number(worst.tolerance)} "
            f"(margin {number(worst.margin)})\n  {escape(shown)}"
        )
        # Never broken over lines, so that it can be copied.
        lines.append(Text(f"  reproduce: {worst.command}", no_wrap=True, overflow="ignore"))
    paths = verdict.integrator_note()
    level = f"relative gap <= {verdict.gap_level:g}, gradient norm <= {verdict.gradient_tolerance:g}"
    lines.append(
        f"evidence: {verdict.evidence} ({paths or level}); {verdict.seconds:.1f} s; jax {verdict.environment['jax']} on "
        f"{verdict.environment['device']}, {verdict.environment['precision']}\n"
    )
    return Group(*lines)


def as_text(renderable: RenderableType, width: int = 120) -> str:
    """A renderable as plain text."""
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(renderable, crop=False)
    return capture.get()


def verdict_text(verdict: Verdict) -> str:
    """`render_verdict` as plain text."""
    return as_text(render_verdict(verdict))
