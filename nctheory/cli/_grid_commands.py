"""The commands that compute over grids: phase diagrams and sweeps."""

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nctheory.cli._commands import (
    EXIT,
    check_file,
    output_folder,
    print_titles,
    report_console,
    say_file,
    selected_theorem,
)
from nctheory.cli._outputs import Outputs
from nctheory.engine import Failure, Misuse, check_writable, configure, wrong_arguments

if TYPE_CHECKING:
    import numpy as np

    from nctheory.phase import Diagram
    from nctheory.sweeps import SweepResult


def phase_command(args: argparse.Namespace) -> int:
    """One phase diagram, or the list of them; the exit status says how its boundaries compare."""
    from threadpoolctl import threadpool_limits

    from nctheory.engine import write_atomically
    from nctheory.phase import diagrams, phase_diagram
    from nctheory.report import TileProgress, phase_figure, phase_json, phase_lines, phase_table

    if args.diagram is None:
        print_titles(diagrams())
        return 0
    folder = None if args.out is None else output_folder(args.out)
    configure()
    with wrong_arguments():
        diagram = _diagram(args.diagram)
        with TileProgress() as progress, threadpool_limits(1, user_api="blas"):
            found = phase_diagram(
                diagram,
                grid=args.grid,
                rows=args.rows,
                seeds=args.seeds,
                key=args.key,
                folder=args.resume,
                client=args.scheduler,
                progress=progress,
            )
    console = report_console()
    console.print(f"{diagram.id}: {diagram.title}", markup=False)
    if found.located or found.loops:
        console.print(phase_table(found))
    else:
        console.print(f"{found.outcome}: no boundary is predicted or located, the measures are drawn")
    for line in phase_lines(found):
        console.print(line, markup=False)
    if folder is not None:
        outputs = Outputs()
        with outputs.attempt():
            write_atomically(folder / "phase.json", phase_json(found))
        for suffix in ("png", "svg", "pdf"):
            with outputs.attempt():
                say_file("figure", phase_figure(found, folder / f"phase.{suffix}"))
        outputs.settle()
    return EXIT[found.outcome]


def dynamics_command(args: argparse.Namespace) -> int:
    """Curves of one theorem about paths, or the list of them; the exit status says how they compare."""
    from threadpoolctl import threadpool_limits

    from nctheory.engine import write_atomically
    from nctheory.report import animate_features, dynamics_figure, dynamics_json, dynamics_table
    from nctheory.theorems import catalogue, dynamics

    folder = None if args.out is None else output_folder(args.out)
    configure()
    try:
        if args.animate is not None:
            check_writable(Path(args.animate).absolute().parent)
            with threadpool_limits(1, user_api="blas"):
                print(f"animation: {animate_features(args.animate, key=args.key)}")
        if args.theorem is None:
            if args.animate is None:
                print_titles({name: one for name, one in catalogue().items() if one.method.name == "integrate"})
            return 0
        with threadpool_limits(1, user_api="blas"):
            found = dynamics(selected_theorem(args.theorem), args.instance, args.seeds, args.key)
    except (ValueError, OSError) as error:
        raise Misuse(str(error)) from error
    console = report_console()
    shown = ", ".join(f"{name} = {value}" for name, value in found.parameters.items())
    console.print(f"{found.theorem.id}: {found.theorem.title}", markup=False)
    console.print(f"instance {found.instance} ({shown}): {found.outcome}", markup=False)
    console.print(dynamics_table(found))
    console.print(f"{found.sound} of {found.seeds} paths followed and sound; {found.note}", markup=False)
    if folder is not None:
        outputs = Outputs()
        with outputs.attempt():
            write_atomically(folder / "dynamics.json", dynamics_json(found))
        for suffix in ("png", "svg", "pdf"):
            with outputs.attempt():
                say_file("figure", dynamics_figure(found, folder / f"dynamics.{suffix}"))
        outputs.settle()
    return EXIT[found.outcome]


def sweep_command(args: argparse.Namespace) -> int:
    """A diagram's model over a grid; 0 when every seed converged, else 3."""
    from threadpoolctl import threadpool_limits

    from nctheory.report import TileProgress, sweep_figure
    from nctheory.sweeps import IncompleteSweep, sweep

    _check_files(args)
    configure()
    stopped = None
    with wrong_arguments():
        diagram = _diagram(args.diagram)
        grid = {axis.name: axis.points(16) for axis in (diagram.along, diagram.across)}
        for text in args.axis:
            name, values = _axis(text, {axis.name: axis for axis in (diagram.along, diagram.across)})
            grid[name] = values
        try:
            with TileProgress() as progress, threadpool_limits(1, user_api="blas"):
                found = sweep(
                    diagram.model,
                    grid,
                    measures=diagram.measures,
                    seeds=diagram.seeds if args.seeds is None else args.seeds,
                    key=args.key,
                    folder=args.resume,
                    client=args.scheduler,
                    progress=progress,
                    scale=diagram.scale,
                    method=diagram.method,
                )
        except IncompleteSweep as error:
            found, stopped = error.partial, error
    _say_sweep(found, () if stopped is None else stopped.failed)
    outputs = Outputs()
    writers = (
        (args.figure, partial(sweep_figure, found)),
        (args.netcdf, found.to_netcdf),
        (args.parquet, found.to_parquet),
    )
    for file, write in writers:
        if file and (place := outputs.rescue(Path(file), write)):
            say_file("written", place)
    kept = (
        ""
        if args.resume is None
        else f"finished tiles are kept in {args.resume}, and the same command goes on from there"
    )
    if stopped is not None:
        raise Failure("; ".join(part for part in (str(stopped), outputs.said, kept) if part)) from stopped
    outputs.settle(kept or "with --resume DIR finished tiles are kept")
    return 0 if found.converged.all() else EXIT["inconclusive"]


def _check_files(args: argparse.Namespace) -> None:
    """Refuse a file that could not be written, before anything is computed."""
    libraries = {"figure": (), "netcdf": ("xarray", "h5netcdf"), "parquet": ("xarray", "pyarrow")}
    for name, needed in libraries.items():
        file = getattr(args, name)
        if file is not None:
            check_file(name, file)
            for library in needed:
                if importlib.util.find_spec(library) is None:
                    raise Misuse(f"--{name}: needs {library} (pip install 'nctheory[data]')")


def _say_sweep(found: "SweepResult", failed: Sequence[str]) -> None:
    """Print what was damaged or left out, and how many solves there are."""
    console = report_console()
    for line in found.damaged:
        console.print(f"damaged: {line}", markup=False)
    for line in failed:
        console.print(f"left out: {line}", markup=False)
    solves, converged, missing = found.converged.size, int(found.converged.sum()), int(found.missing.sum())
    console.print(
        f"{solves - missing} solves, {converged} converged, {int(found.certified.sum())} certified"
        f"{f', {missing} missing' if missing else ''}; {found.computed} tiles computed, {found.reused} solves taken from the "
        "folder",
        markup=False,
    )


def _diagram(identifier: str) -> "Diagram":
    """The diagram named; what its file leaves out is said."""
    from nctheory.phase import find_diagram

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = find_diagram(identifier)
    for one in told:
        print(f"warning: {one.message}", file=sys.stderr)
    return found


def _axis(text: str, axes: dict[str, Any]) -> tuple[str, "np.ndarray"]:
    """NAME=a,b,c or NAME=LOW:HIGH:NUMBER."""
    import numpy as np

    name, _, values = text.partition("=")
    if name not in axes:
        raise Misuse(f"--axis: expected one of {', '.join(axes)} and '=', got {text!r}")
    try:
        if ":" in values:
            low, high, number = values.split(":")
            if int(number) < 1:
                raise ValueError
            ends = axes[name].forth(np.array([float(low), float(high)]))
            return name, axes[name].back(np.linspace(ends[0], ends[1], int(number)))
        return name, np.array([float(x) for x in values.split(",")])
    except ValueError:
        raise Misuse(f"--axis: expected numbers a,b,c or LOW:HIGH:NUMBER for {name}, got {values!r}") from None
