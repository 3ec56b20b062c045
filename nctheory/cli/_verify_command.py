"""The commands `verify` and `tour`."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nctheory.cli._commands import (
    check_file,
    exit_status,
    output_folder,
    report_console,
    say_file,
    selected_theorems,
)
from nctheory.cli._outputs import Outputs
from nctheory.engine import Misuse, configure, wrong_arguments

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from nctheory.report import SeedProgress
    from nctheory.theorems import Theorem, Verdict


QUICK_WORK, FULL_WORK = 25.0, 112.0
"""Seconds of one core that a theorem takes on average from an empty cache, quick and in full (measured: 18:26 and 78:30 CPU
minutes for 42)."""


def tour_command(args: argparse.Namespace) -> int:
    """A quick verification of one theorem of each chapter, and what to do next."""
    from proofs_numeric import TOUR

    args.theorems = TOUR
    status = verify_command(args)
    print(f"One theorem of each of the {len(TOUR)} chapters. `nctheory list` names them all, `nctheory show ID` tells")
    print("one in full, and `nctheory verify --quick` verifies the whole catalogue.")
    return status


def verify_command(args: argparse.Namespace) -> int:
    """Run verifications with a progress bar, print tables, write files; the exit status says how they ended."""
    from threadpoolctl import threadpool_limits

    from nctheory.engine import write_atomically
    from nctheory.report import SeedProgress, render_verdict, summary_table, tolerance_figure
    from nctheory.theorems import VerifyOptions

    _outputs(args)
    if args.seed is not None and args.instance is None:
        raise Misuse("--seed: needs --instance as well, because every instance has its own seeds")
    if args.codes and args.out is None:
        raise Misuse("--codes: needs --out as well, the folder that they are written into")
    if args.instance is not None and len(args.theorems) != 1:
        raise Misuse("--instance: needs exactly one theorem")
    configure()  # before anything compiles: JAX decides once whether its cache is in use
    chosen = selected_theorems(args.theorems)
    seeds = args.seeds if args.seed is None else [args.seed]
    console = report_console()
    if not args.quiet and seeds is None:
        announce(len(chosen), args.quick)
    workers = min(os.cpu_count() or 1, len(chosen))
    options = VerifyOptions(budget=args.budget, workers=1 if workers > 1 else None)
    if args.quick:
        options = options._replace(fidelity_seeds=4)

    arguments = {
        "seeds": seeds,
        "key": args.key,
        "instance": args.instance,
        "quick": args.quick,
        "options": options,
    }
    verdicts, outputs = [], Outputs()

    def save(verdict: "Verdict") -> None:
        if args.out is not None:
            with outputs.attempt():
                verdict.to_json(Path(args.out) / f"{verdict.theorem}.json")

    with (
        wrong_arguments(through_files=False),
        SeedProgress() as progress,
        threadpool_limits(1, user_api="blas"),
        _verdicts(chosen, arguments, progress, lambda theorem: _planned_seeds(theorem, args), save) as arriving,
    ):
        # In the order asked for, each as soon as it is there.
        for verdict in arriving:
            verdicts.append(verdict)
            if not args.quiet or verdict.outcome != "holds":
                with progress.paused():
                    console.print(render_verdict(verdict), crop=False)
    console.print(summary_table(verdicts))
    if args.json is not None:
        body = ",\n".join(verdict.to_json().rstrip() for verdict in verdicts)
        with outputs.attempt():
            write_atomically(Path(args.json), f"[\n{body}\n]\n")
    if args.out is not None:
        for suffix in ("png", "svg", "pdf"):
            with outputs.attempt():
                say_file("figure", tolerance_figure(verdicts, Path(args.out) / f"tolerances.{suffix}"))
    if args.codes:
        failed = {verdict.theorem for verdict in verdicts if verdict.outcome == "engine error"}
        for theorem, _ in chosen:
            if theorem.id not in failed:
                with outputs.attempt():
                    _write_codes(theorem, args)
    outputs.settle()
    return exit_status(verdict.outcome for verdict in verdicts)


def _write_codes(theorem: "Theorem", args: argparse.Namespace) -> None:
    """Write the codes of a theorem about vectors on circles or spheres, for the report to draw."""
    import jax

    from nctheory.engine import write_atomically
    from nctheory.report import code_data, code_json

    data = code_data(theorem, jax.random.key(args.key))
    if data is not None:
        file = Path(args.out) / f"{theorem.id}.codes.json"
        write_atomically(file, code_json(data))
        say_file("codes", file)


def announce(theorems: int, quick: bool) -> None:
    """Say on standard error how long many theorems are going to take."""
    from nctheory.cli._verify_pool import MANY, processes

    if theorems >= MANY:
        at_a_time = processes(theorems)
        minutes = (QUICK_WORK if quick else FULL_WORK) * theorems / at_a_time / 60
        print(
            f"{theorems} theorems, {at_a_time} at a time: some {minutes:.0f} minutes, less with what was compiled before",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _verdicts(
    chosen: list[tuple["Theorem", str | None]],
    arguments: dict[str, Any],
    progress: "SeedProgress",
    planned: Callable[["Theorem"], int | None],
    save: Callable[["Verdict"], None],
) -> Iterator[Iterator["Verdict"]]:
    """The verdicts in order, each saved as soon as it is there: of one or few theorems in this process, of many in several."""
    from nctheory.cli._verify_pool import Job, processes, verdicts_of
    from nctheory.theorems import verify

    workers = processes(len(chosen))
    if workers > 1:
        jobs = [Job(theorem.id, file, arguments) for theorem, file in chosen]
        totals = {theorem.id: planned(theorem) if progress.shown else None for theorem, _ in chosen}
        with (
            contextlib.ExitStack() as bars,
            verdicts_of(jobs, workers, progress.listener(bars, totals), save) as arriving,
        ):
            yield arriving
        return

    def run(theorem: "Theorem", file: str | None) -> "Verdict":
        with progress.bar(theorem.id, planned(theorem) if progress.shown else None) as advance:
            verdict = verify(theorem, progress=advance, file=file, **arguments)
        save(verdict)
        return verdict

    with _pool(min(os.cpu_count() or 1, len(chosen))) as pool:
        yield pool.map(lambda job: run(*job), chosen)


@contextlib.contextmanager
def _pool(workers: int) -> Iterator["ThreadPoolExecutor"]:
    """Threads that are not waited for when something fails, or the user has had enough."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _planned_seeds(theorem: Any, args: argparse.Namespace) -> int | None:
    """Seeds that a verification is going to run, for its progress bar; None where the engine decides."""
    import jax

    if args.seed is not None:
        return 1
    each = theorem.seeds if args.seeds is None else args.seeds
    if args.instance is not None:
        return each
    if args.quick:
        return None
    drawn: list[Any] = []

    def first(numbered: list[Any]) -> list[Any]:
        drawn.extend(numbered)
        return numbered[:1]  # the others' hypotheses are looked at when their turn comes

    theorem.draw_some(jax.random.fold_in(jax.random.key(args.key), 0), first)
    return each * len(drawn)


def _outputs(args: argparse.Namespace) -> None:
    """Fail before any computation when an output cannot be written."""
    if args.out is not None:
        output_folder(args.out)
    check_file("json", args.json)
