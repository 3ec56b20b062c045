"""What the commands of the command line do; each returns its exit status."""

import argparse
import contextlib
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nctheory.cli._outputs import Outputs
from nctheory.engine import (
    ERROR,
    Misuse,
    NoDevice,
    cache_directory,
    check_writable,
    configure,
    environment,
    wrong_arguments,
)

if TYPE_CHECKING:
    from rich.console import Console

FEW_ERRATA = 3
"""Of more errata it is said beforehand that they take long."""
EXIT = {"holds": 0, "observed": 0, "refuted": 1, "inconclusive": 3, "engine error": ERROR}


def exit_status(outcomes: Iterable[str]) -> int:
    """The exit status of several outcomes.

    An engine error comes before anything else, because then nothing that the engine says can be trusted; after it
    "refuted", then "inconclusive".

    >>> exit_status(["holds", "inconclusive", "refuted"]), exit_status(["refuted", "engine error"]), exit_status([])
    (1, 4, 0)
    """
    codes = {EXIT[outcome] for outcome in outcomes}
    return next((code for code in (4, 1, 3) if code in codes), 0)


def output_folder(name: str) -> Path:
    """The folder of `--out`, made where it is not; Misuse where it cannot be written to."""
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
        check_writable(Path(name))
    except OSError as error:
        raise Misuse(f"--out: cannot write into {name}: {error.strerror or error}") from error
    return Path(name)


FIGURES = (".png", ".svg", ".pdf")
"""How the name of a figure may end."""


def check_file(option: str, name: str | None) -> None:
    """Misuse, before any computation, where the file of an option cannot be written, or is no figure where one is meant."""
    if name is None:
        return
    if Path(name).is_dir():
        raise Misuse(f"--{option}: {name} is a folder; expected a file name")
    if option == "figure" and Path(name).suffix not in FIGURES:
        raise Misuse(f"--figure: expected a file name that ends in {', '.join(FIGURES)}, got {name}")
    try:
        check_writable(Path(name).absolute().parent)
    except OSError as error:
        raise Misuse(f"--{option}: cannot write {name}: {error.strerror or error}") from error


def report_console() -> "Console":
    """Where tables are printed: as wide as the terminal or as COLUMNS says, and elsewhere as the summary needs."""
    from rich.console import Console

    return Console(highlight=False, width=None if _ends_lines() else 140)


def _ends_lines() -> bool:
    """Whether lines of the output have an end, where a terminal breaks them."""
    return sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()


def print_titles(known: Mapping[str, Any]) -> None:
    """Identifiers and titles, one a line; where lines have an end, titles go on below their beginning."""
    from nctheory.report import to_unicode

    longest = max(map(len, known), default=0) + 2
    room = report_console().width if _ends_lines() else sys.maxsize
    beside = room >= longest + 30
    for identifier, one in known.items():
        begin = f"{identifier:<{longest}}" if beside else "  "
        text = [] if beside else [identifier]
        further = " " * len(begin)
        text += textwrap.wrap(
            to_unicode(one.title), room, initial_indent=begin, subsequent_indent=further, break_on_hyphens=False
        )
        print("\n".join(text))


def say_file(what: str, file: Path) -> None:
    """What was written and where, on one line, so that the path can be copied."""
    print(f"{what}: {file}", flush=True)


def selected_theorems(names: Sequence[str]) -> list[tuple]:
    """(theorem, file it came from or None) for each name; without names the whole catalogue."""
    from nctheory.theorems import catalogue, find_theorem, load_theorem_file

    if not names:
        return [(theorem, None) for theorem in catalogue().values()]
    chosen = []
    for name in names:
        with wrong_arguments():
            if name.endswith(".py") or os.sep in name:
                chosen += [(theorem, name) for theorem in load_theorem_file(name)]
            else:
                chosen.append((find_theorem(name), None))
    return chosen


def selected_theorem(name: str) -> Any:
    """The one theorem of an identifier or a file; Misuse where a file registers several."""
    chosen = [theorem for theorem, _ in selected_theorems([name])]
    if len(chosen) > 1:
        raise Misuse(
            f"theorem: expected a file that registers one, got {', '.join(one.id for one in chosen)} in {name}"
        )
    return chosen[0]


def list_command(errata: bool, markdown: bool = False) -> int:
    """Identifiers and titles, or the errata in full, or a page of Markdown."""
    from nctheory.report import catalogue_page, show_erratum
    from nctheory.theorems import catalogue
    from nctheory.theorems import errata as all_errata

    if errata:
        print("\n".join(show_erratum(one) for one in all_errata().values()))
        return 0
    if markdown:
        print(catalogue_page(), end="")
        return 0
    print_titles(catalogue())
    return 0


def errata_command(args: argparse.Namespace) -> int:
    """Reproduce errata; 0 when every claim came out false, 1 when one did not."""
    from threadpoolctl import threadpool_limits

    from nctheory.report import show_erratum_result
    from nctheory.theorems import errata, find_erratum

    configure()
    with wrong_arguments():
        chosen = [find_erratum(name) for name in args.errata] or list(errata().values())
    if len(chosen) > FEW_ERRATA:
        print(f"{len(chosen)} errata, one after another: all of them take many minutes", file=sys.stderr)
    results = []
    with threadpool_limits(1, user_api="blas"):
        for one in chosen:
            results.append(one.reproduce(args.seeds, args.key))
            print(show_erratum_result(one, results[-1]), flush=True)
    return 0 if all(result.refuted for result in results) else 1


def census_command(args: argparse.Namespace) -> int:
    """Census of one instance; 1 when a row is not on the analytic list, or of another kind than listed, else 0."""
    import jax
    from threadpoolctl import threadpool_limits

    from nctheory.closed_form import NoClosedForm, critical_points, data_critical_values
    from nctheory.engine import write_atomically
    from nctheory.landscape import census, compare, saddle_connections
    from nctheory.problems import DeepLinear
    from nctheory.report import census_figure, census_json, census_lines, census_table

    folder = None if args.out is None else output_folder(args.out)
    configure()
    theorem = selected_theorem(args.theorem)
    with wrong_arguments():
        drawn = theorem.draw(jax.random.fold_in(jax.random.key(args.key), 0))
        if args.instance >= len(drawn):
            raise Misuse(f"--instance: expected 0 to {len(drawn) - 1} for {args.theorem}, got {args.instance}")
        problem = drawn[args.instance].problem
        with threadpool_limits(1, user_api="blas"):
            found = census(problem, args.starts, args.key)
            flows = saddle_connections(problem, found)
    held = None
    for analytic in (critical_points, data_critical_values):
        if held is None and isinstance(problem, DeepLinear):
            with contextlib.suppress(NoClosedForm):
                held = compare(found, analytic(problem))
    console = report_console()
    shown = ", ".join(
        f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in drawn[args.instance].parameters.items()
    )
    console.print(f"{args.theorem}, instance {args.instance}: {shown}", markup=False)
    console.print(census_table(found, held))
    for line in census_lines(found, held):
        console.print(line, markup=False)
    if folder is not None:
        outputs = Outputs()
        with outputs.attempt():
            write_atomically(folder / "census.json", census_json(found, held, flows, f"{args.theorem}: {shown}"))
        for suffix in ("png", "svg", "pdf"):
            with outputs.attempt():
                file = census_figure(found, folder / f"census.{suffix}", f"{args.theorem}: {shown}", flows)
                say_file("figure", file)
        outputs.settle()
    return int(held is not None and bool(held.extra or held.misjudged))


def show_command(identifier: str, latex: bool) -> int:
    """One theorem in full."""
    from nctheory.report import show_theorem

    print(show_theorem(selected_theorems([identifier])[0][0], latex))
    return 0


def report_command(folder: str, title: str) -> int:
    """Write the report of a folder; 3 where some file could not be read, else 0."""
    from nctheory.report import write_report

    if Path(folder).is_dir():
        output_folder(folder)
    with wrong_arguments():
        written = write_report(folder, title)
    for file in written.files:
        print(f"written: {file}")
    for line in written.left_out:
        print(f"left out: {line}", file=sys.stderr)
    return EXIT["inconclusive"] if written.left_out else 0


def doctor_command() -> int:
    """Print what a run would use; 0 when float64 arithmetic works, 4 where it does not or JAX finds no device."""
    try:
        folder = configure()
    except NoDevice as error:
        print(f"{'device':<10} NONE: {error}")
        return ERROR
    import jax
    import jax.numpy as jnp

    for name, value in environment().items():
        print(f"{name:<10} {value}")
    print(f"{'cores':<10} {os.cpu_count()}")
    exact = float(jax.jit(lambda x: (1.0 + x) - 1.0)(jnp.asarray(2.0**-50))) == 2.0**-50
    print(f"{'float64':<10} {'works' if exact else 'DOES NOT WORK: verdicts would be meaningless'}")
    if folder is None:
        print(f"{'cache':<10} {cache_directory()} cannot be written; every run compiles afresh")
    else:
        files = [file for file in folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / 2**20
        print(f"{'cache':<10} {folder} ({len(files)} files, {size:.1f} MiB)")
    return 0 if exact else ERROR
