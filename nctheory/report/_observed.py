"""What an observation came out as: as tables, as JSON, and as a picture with the controls beside the networks."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.engine import json_value
from nctheory.networks import Observation, Observed, ObservedGroup, ObservedStatistic, Panel, Tally, find_observation
from nctheory.report._fitted import Column, FittedTable
from nctheory.report._lines import literal
from nctheory.report._medians import medians
from nctheory.report._save import save_figure
from nctheory.report._sheet import fit_label, sheet
from nctheory.report._style import FAINT, INK, PREDICTED, house_style, stroke

COLOURS = {"observed": "green", "not observed": "red", "undecided": "yellow"}
STATISTICS = (
    Column("statistic", number=False, narrowest=16),
    Column("outcome", number=False),
    Column("seeds", 1),
    Column("share", 2),
    Column("supports", 4),
    Column("median", 3),
    Column("controls", 5, number=False, wraps=True),
)
GROUPS = (
    Column("group", number=False, narrowest=16),
    Column("finite"),
    Column("|g|", 1),
    Column("|g| / |decay|", 2),
    Column("training error", 3),
)


def observed_table(observed: Observed) -> RenderableType:
    """One row a statistic, one a group of networks, and in words what decided.

    >>> from nctheory.networks import observe
    >>> from rich.console import Console
    >>> console = Console(width=120)
    >>> with console.capture() as capture:
    ...     console.print(observed_table(observe("progressive-collapse", seeds=1)))
    >>> "undecided" in capture.get(), "random features" in capture.get()
    (True, True)
    """
    head = Text.assemble(
        (observed.observation, "bold"), f"  {observed.title}: ", (observed.outcome, f"bold {COLOURS[observed.outcome]}")
    )
    rows = [
        [one.name, Text(one.outcome, style=COLOURS[one.outcome]), *statistic_cells(one)] for one in observed.statistics
    ]
    parts: list[RenderableType] = [head, FittedTable(STATISTICS, rows)]
    parts += [Text(f"  {one.name}: {one.reason}") for one in observed.statistics]
    parts.append(FittedTable(GROUPS, [group_row(one) for one in observed.groups]))
    return Group(*parts, *(Text(line) for line in observed_lines(observed)))


def observed_summary(found: Sequence[Observed]) -> RenderableType:
    """One row a statistic of several observations: outcome, seeds, exact interval of their share, and the controls.

    >>> observed_summary([]) is not None
    True
    """
    rows = [
        [
            one.observation if i == 0 else "",
            part.name,
            Text(part.outcome, style=COLOURS[part.outcome]),
            *statistic_cells(part),
        ]
        for one in found
        for i, part in enumerate(one.statistics)
    ]
    return FittedTable((Column("observation", number=False, narrowest=16), *STATISTICS), rows)


def observed_lines(observed: Observed) -> list[str]:
    """How all was decided, in words, one line a fact."""
    lines = [
        f"{observed.seeds} seeds, each with data of its own; an exact interval at 95 % against {100 * observed.share:g} %; "
        "controls in brackets stand beside for comparison"
    ]
    if observed.seeds != observed.fixed_seeds:
        lines.append(f"{observed.fixed_seeds} seeds were fixed beforehand: another number decides less, or nothing")
    if observed.terminal is not None:
        lines.append(
            f"{int(observed.terminal_seeds.sum())} of {observed.seeds} seeds are terminal: |g| is at most "
            f"{observed.terminal:g} of the gradient of the decay; the others tell nothing"
        )
    return lines


def statistic_cells(one: ObservedStatistic) -> list[str]:
    """The cells behind name and outcome."""
    low, high = one.interval
    sign = "<" if one.supports == "below" else ">"
    middle, *ends = one.effect
    spread = f" [{_number(ends[0])}, {_number(ends[1])}]" if np.all(np.isfinite(ends)) else ""
    beside = ", ".join(_control(name, tally, name in one.against) for name, tally in one.controls.items())
    return [
        _seeds(one.tally),
        f"{_percent(low, np.floor)} to {_percent(high, np.ceil)} %",
        f"{sign} {one.threshold:g}",
        f"{_number(middle)}{spread}",
        beside,
    ]


def _seeds(tally: Tally) -> str:
    """Supporting of all, and how many of them tell nothing."""
    silent = tally.seeds - tally.supporting - tally.contradicting
    return f"{tally.supporting}/{tally.seeds}" + (f" ({silent} silent)" if silent else "")


def _control(name: str, tally: Tally, blocks: bool) -> str:
    text = f"{name} {_seeds(tally)}"
    return text if blocks else f"[{text}]"


def _percent(share: float, rounded: Any) -> str:
    """A share in whole percent, rounded outwards so that the interval remains one."""
    return f"{rounded(100 * share):.0f}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


def group_row(one: ObservedGroup) -> list[str]:
    """Convergence: medians and the largest."""
    cells = [one.name, f"{int(one.finite.sum())}/{len(one.finite)}"]
    for values in (one.grad_norm, one.unrest, one.error):
        finite = values[~np.isnan(values)]
        cells.append(f"{np.median(finite):.2g}, at most {finite.max():.2g}" if finite.size else "-")
    return cells


def observed_json(observed: Observed, observation: Observation | None = None, command: str | None = None) -> str:
    """What was fixed beforehand, and all that was counted and measured, seed by seed, as JSON.

    `observation` is needed where it is not registered. Null stands in the place of what is not a finite number. Raises
    ValueError for an observation that is not known.
    """
    known = observation or find_observation(observed.observation)
    data: dict[str, Any] = {"schema": "nctheory observation 2", "command": command, "observation": observed.observation}
    data |= {"title": observed.title, "outcome": observed.outcome, "seeds": observed.seeds, "key": observed.key}
    data |= {"fixed_seeds": observed.fixed_seeds, "share": observed.share, "terminal": observed.terminal}
    data |= {"sections": dict(known.sections), "sources": [f"{one.citation} ({one.number})" for one in known.sources]}
    data["panels"] = [json_value(dataclasses.asdict(one)) for one in known.panels]
    data["statistics"] = [
        {
            **{
                name: json_value(getattr(one, name))
                for name in ("name", "claim", "supports", "threshold", "outcome", "reason")
            },
            **{name: json_value(getattr(one, name)) for name in ("values", "interval", "effect", "against")},
            **one.tally._asdict(),
            "controls": {name: tally._asdict() for name, tally in one.controls.items()},
        }
        for one in observed.statistics
    ]
    fields = ("name", "grad_norm", "unrest", "error", "finite", "numbers")
    data["groups"] = [{name: json_value(getattr(one, name)) for name in fields} for one in observed.groups]
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def observed_figure(observed: Observed, path: str | Path, observation: Observation | None = None) -> Path:
    """One panel for each of the observation's: every seed, the median, the controls' medians and predictions beside.

    Written atomically; the same bytes for the same numbers. Raises ValueError for an observation that has no panels.
    """
    known = observation or find_observation(observed.observation)
    if not known.panels:
        raise ValueError(f"observation: expected panels of {known.id!r}, got none")
    with house_style():
        return save_figure(draw_observed(observed, known.panels), Path(path))


def draw_observed(observed: Observed, panels: Sequence[Panel]) -> Any:
    """The figure of `observed_figure`, within the house's style."""
    from nctheory.report._ticks import even_axis, value_axis

    page = sheet(len(panels))
    for axes, panel in zip(page.panels, panels, strict=True):
        if panel.places and not panel.joined:
            _marks(page, axes, observed, panel)
            continue
        drawn = []
        for i, group in enumerate(observed.groups):
            values = group.numbers.get(panel.name)
            if values is None or not np.isfinite(values).any():
                continue
            colour, dashes = stroke(i)
            at = np.arange(values.shape[1])
            if i == 0:
                for row in values:
                    axes.plot(at, row, color=colour, lw=0.5, alpha=0.35)
            drawn.append(values)
            _median(axes, values, literal(group.name), color=colour, ls=dashes, lw=1.6 if i == 0 else 1.0)
        for i, name in enumerate(panel.predicted):
            values = observed.groups[0].numbers.get(name)
            if values is not None and np.isfinite(values).any():
                drawn.append(values)
                _median(axes, values, literal(name), color=(INK, FAINT)[i % 2], ls=PREDICTED, marker="sxo"[i % 3])
        axes.plot([], [], color=FAINT, lw=1.0, label="single seeds")
        value_axis(axes.yaxis, drawn)
        if panel.places:
            axes.set_xticks(range(len(panel.places)), [literal(place) for place in panel.places])
        else:
            even_axis(axes.xaxis, np.arange(drawn[0].shape[1] if drawn else 1))
            axes.set_xlabel("layer (0: inputs)")
        fit_label(axes, "y", literal(panel.label))
        page.name(axes)
    return page.finish(literal(f"{observed.title}: {observed.outcome}, {observed.seeds} seeds"))


def _marks(page: Any, axes: Any, observed: Observed, panel: Panel) -> None:
    """At each place the medians of all groups and of the predictions beside each other, and every seed of the networks."""
    from nctheory.report._ticks import value_axis

    own, none = observed.groups[0].numbers, np.full((1, len(panel.places)), np.nan)
    # Predictions stand first, and the networks next to them.
    rows = [(name, own.get(name, none), INK, "osx^v"[i % 5]) for i, name in enumerate(panel.predicted)]
    first = len(rows)
    rows += [
        (one.name, one.numbers.get(panel.name, none), stroke(i).colour, "D") for i, one in enumerate(observed.groups)
    ]
    for i, (name, values, colour, mark) in enumerate(rows):
        at = np.arange(len(panel.places)) + 0.75 * ((i + 0.5) / len(rows) - 0.5)
        if np.isfinite(values).any():
            _median(axes, values, literal(name), at, color=colour, ls="None", marker=mark, ms=4.0)
        if i == first:
            every = np.broadcast_to(at, values.shape)
            axes.plot(
                every.ravel(), values.ravel(), ls="None", marker="_", ms=6.0, color=colour, alpha=0.5,
                label=f"{literal(name)}, single seeds",
            )  # fmt: skip
    for edge in np.arange(1, len(panel.places)) - 0.5:
        axes.axvline(edge, color=FAINT, lw=0.5, label="_")
    value_axis(axes.yaxis, [values for _, values, *_ in rows if np.isfinite(values).any()])
    axes.set_xticks(range(len(panel.places)), [literal(place) for place in panel.places])
    axes.set_xlim(-0.5, len(panel.places) - 0.5)
    axes.tick_params(axis="x", length=0)
    fit_label(axes, "y", literal(panel.label))
    page.name(axes)


def _median(axes: Any, values: np.ndarray, label: str, at: np.ndarray | None = None, **style: Any) -> None:
    """The median over the seeds, where there is one."""
    axes.plot(np.arange(values.shape[1]) if at is None else at, medians(values), label=label, **style)
