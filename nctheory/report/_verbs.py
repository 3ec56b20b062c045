"""`show` and `plot`: what a result says as text, and as a figure, by the type of the result."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from nctheory.engine import check_folder_exists
from nctheory.falsification import Falsification
from nctheory.generalisation import LoosenessMap
from nctheory.landscape import CensusResult
from nctheory.networks import HeadGaps, LayerBalances, NearestMeanBounds, Observed
from nctheory.phase import Diagram, PhaseDiagram, diagrams, find_diagram
from nctheory.protocols import ProtocolComparison, ProtocolMap
from nctheory.report._along_training import balances_figure, head_gaps_figure
from nctheory.report._census import census_figure, census_lines, census_table
from nctheory.report._dynamics import dynamics_figure, dynamics_table
from nctheory.report._figure import tolerance_figure
from nctheory.report._looseness import looseness_figure, looseness_table
from nctheory.report._nearest_mean import nearest_mean_figure
from nctheory.report._observed import observed_figure, observed_table
from nctheory.report._phase import phase_figure, phase_lines, phase_table
from nctheory.report._protocols import protocol_map_figure, protocol_map_table, protocols_figure, protocols_table
from nctheory.report._sweep import sweep_figure
from nctheory.report._tables import as_text, render_verdict, summary_table
from nctheory.report._text import show_erratum, show_theorem, to_unicode
from nctheory.sweeps import SweepResult
from nctheory.theorems import Dynamics, Erratum, Theorem, Verdict, catalogue, errata, find_theorem

SUFFIXES = (".pdf", ".png", ".svg")
"""Files that a figure can be drawn to."""


def show(result: Any, *, width: int = 120) -> None:
    """Print what a result says: the tables of a verdict, a census, a phase diagram, or the card of a theorem.

    Args:
        result: the identifier of a theorem, an erratum or a diagram; a `Theorem`, `Erratum` or `Diagram`; a `Verdict`, or
            several in a list, as the summary of all; a `CensusResult`, `Dynamics`, `PhaseDiagram`, `Observed`,
            `Falsification`, `ProtocolComparison`, `ProtocolMap` or `LoosenessMap`. Anything else is printed in its own short
            form.
        width: characters of a line; columns for which there is no room are left out and named.

    Raises:
        ValueError: no theorem, erratum or diagram has this identifier.

    >>> show("ufm-ce-balanced")  # doctest: +ELLIPSIS
    ufm-ce-balanced: Cross-entropy, balanced: the simplex ETF
    ...
    """
    print(as_text(render(result), width).rstrip())


@functools.singledispatch
def render(result: Any) -> RenderableType:
    """What `show` prints of a result, for a console of rich."""
    return Text(repr(result))


@render.register
def _(result: str) -> RenderableType:
    if result in errata():
        return render(errata()[result])
    if result not in catalogue() and result in diagrams():
        return render(find_diagram(result))
    return render(find_theorem(result))


@render.register
def _(result: Falsification) -> RenderableType:
    return Text(str(result))


@render.register
def _(result: Theorem) -> RenderableType:
    return Text(show_theorem(result))


@render.register
def _(result: Erratum) -> RenderableType:
    return Text(show_erratum(result))


@render.register
def _(result: Diagram) -> RenderableType:
    lines = [f"{result.id}: {to_unicode(result.title)}", "", to_unicode(result.statement), "", "Hypotheses:"]
    lines += [f"  - {to_unicode(one)}" for one in result.hypotheses]
    lines += ["", "Axes:", *(f"  - {axis.name}" for axis in (result.along, result.across)), "", "Boundaries:"]
    lines += [f"  - {to_unicode(one.name)}" for one in result.boundaries]
    lines += ["", "Sources:", *(f"  {source.citation} ({source.number})" for source in result.sources)]
    return Text("\n".join(lines))


@render.register
def _(result: Verdict) -> RenderableType:
    return render_verdict(result)


@render.register(list | tuple)
def _(result: Sequence[Any]) -> RenderableType:
    if result and all(isinstance(one, Verdict) for one in result):
        return summary_table(result)
    return Text(repr(result))


@render.register
def _(result: CensusResult) -> RenderableType:
    return Group(census_table(result), *map(Text, census_lines(result)))


@render.register
def _(result: Dynamics) -> RenderableType:
    numbers = ", ".join(f"{name} = {value}" for name, value in result.parameters.items())
    return Group(
        Text(f"{result.theorem.id}: {result.theorem.title}"),
        Text(f"instance {result.instance} ({numbers}): {result.outcome}"),
        dynamics_table(result),
        Text(f"{result.sound} of {result.seeds} paths followed and sound; {result.note}"),
    )


@render.register
def _(result: PhaseDiagram) -> RenderableType:
    heading = Text(f"{result.diagram.id}: {result.diagram.title}: {result.outcome}")
    return Group(heading, phase_table(result), *map(Text, phase_lines(result)))


@render.register
def _(result: Observed) -> RenderableType:
    return observed_table(result)


@render.register
def _(result: ProtocolComparison) -> RenderableType:
    return protocols_table(result)


@render.register
def _(result: ProtocolMap) -> RenderableType:
    return protocol_map_table(result)


@render.register
def _(result: LoosenessMap) -> RenderableType:
    return looseness_table(result)


def plot(result: Any, path: str | Path, **options: Any) -> Path:
    """Draw a result to a file and return its path.

    The same result gives the same bytes, and the file is written atomically.

    Args:
        result: a `PhaseDiagram` (order parameters over the grid, predicted and located boundaries), `Dynamics` (observed and
            predicted curves), `SweepResult` (measures over one hyperparameter or two), `CensusResult` (loss against index, and
            spectra), `Observed` (networks beside their controls), a `Verdict` or a list of them (residual over tolerance of
            every claim and control), a `ProtocolComparison` (shares against gradients), a `ProtocolMap` (winners), a
            `LoosenessMap`, `NearestMeanBounds` (errors and bounds by layer), `HeadGaps` (certified gap and efficiency through
            training), or `LayerBalances` (imbalance of layers through training, with its prediction).
        path: a file name that ends in .pdf, .svg or .png.
        options: `measures` of a sweep, a tuple of names; `title` and `flows` of a census; `title` of a comparison.

    Raises:
        ValueError: a result that has no figure, a file name with another ending, or in a folder that does not exist.

    >>> plot(3.0, "figure.pdf")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: result: nothing is drawn of float; expected a CensusResult, Dynamics, Observed, ...
    """
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f"path: expected a file name that ends in {', '.join(SUFFIXES)}, got {str(path)!r}")
    check_folder_exists(path)
    return _drawn(result, Path(path), **options)


@functools.singledispatch
def _drawn(result: Any, path: Path) -> Path:
    """The file of a result's figure."""
    raise ValueError(
        f"result: nothing is drawn of {type(result).__name__}; expected a CensusResult, Dynamics, Observed, HeadGaps, "
        "LayerBalances, LoosenessMap, NearestMeanBounds, PhaseDiagram, ProtocolComparison, ProtocolMap, SweepResult or Verdict"
    )


@_drawn.register
def _(result: PhaseDiagram, path: Path) -> Path:
    return phase_figure(result, path)


@_drawn.register
def _(result: Dynamics, path: Path) -> Path:
    return dynamics_figure(result, path)


@_drawn.register
def _(result: SweepResult, path: Path, measures: tuple[str, ...] | None = None) -> Path:
    return sweep_figure(result, path, measures)


@_drawn.register
def _(result: CensusResult, path: Path, title: str = "", flows: Sequence[Any] = ()) -> Path:
    return census_figure(result, path, title, flows)


@_drawn.register
def _(result: Observed, path: Path) -> Path:
    return observed_figure(result, path)


@_drawn.register
def _(result: ProtocolComparison, path: Path, title: str = "") -> Path:
    return protocols_figure(result, path, title)


@_drawn.register
def _(result: ProtocolMap, path: Path) -> Path:
    return protocol_map_figure(result, path)


@_drawn.register
def _(result: NearestMeanBounds, path: Path) -> Path:
    return nearest_mean_figure(result, path)


@_drawn.register
def _(result: HeadGaps, path: Path) -> Path:
    return head_gaps_figure(result, path)


@_drawn.register
def _(result: LayerBalances, path: Path) -> Path:
    return balances_figure(result, path)


@_drawn.register
def _(result: LoosenessMap, path: Path) -> Path:
    return looseness_figure(result, path)


@_drawn.register
def _(result: Verdict, path: Path) -> Path:
    return tolerance_figure([result], path)


@_drawn.register(list | tuple)
def _(result: Sequence[Any], path: Path) -> Path:
    if hasattr(result, "_fields"):  # a named tuple is one result, not several
        return _drawn.dispatch(object)(result, path)
    if not result or not all(isinstance(one, Verdict) for one in result):
        raise ValueError("result: expected a list of verdicts, got one with something else, or an empty one")
    return tolerance_figure(result, path)
