"""The command `verify`."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nctheory._commands import exit_status, output_folder, report_console, say_file, selected_theorems
from nctheory._environment import check_writable, configure
from nctheory._failures import Misuse, wrong_arguments
from nctheory._outputs import Outputs

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


def verify_command(args: argparse.Namespace) -> int:
    """Run verifications with a progress bar, print tables, write files; the exit status says how they ended."""
    from threadpoolctl import threadpool_limits

    from nctheory.report import SeedProgress, render_verdict, summary_table, tolerance_figure
    from nctheory.theorems import Theorem, Verdict, VerifyOptions, verify, write_atomically

    _outputs(args)
    if args.seed is not None and args.instance is None:
        raise Misuse("--seed: needs --instance as well, because every instance has its own seeds")
    if args.instance is not None and len(args.theorems) != 1:
        raise Misuse("--instance: needs exactly one theorem")
    configure()  # before anything compiles: JAX decides once whether its cache is in use
    chosen = selected_theorems(args.theorems)
    seeds = args.seeds if args.seed is None else [args.seed]
    console = report_console()
    workers = min(os.cpu_count() or 1, len(chosen))
    options = VerifyOptions(budget=args.budget, workers=1 if workers > 1 else None)
    if args.quick:
        options = options._replace(fidelity_seeds=4)

    def run(theorem: Theorem, file: str | None) -> Verdict:
        total = _planned_seeds(theorem, args) if progress.shown else None
        with progress.bar(theorem.id, total) as advance:
            verdict = verify(
                theorem,
                seeds,
                args.key,
                instance=args.instance,
                quick=args.quick,
                options=options,
                progress=advance,
                file=file,
            )
        if args.out is not None:
            with outputs.attempt():
                verdict.to_json(Path(args.out) / f"{theorem.id}.json")
        return verdict

    verdicts, outputs = [], Outputs()
    with (
        wrong_arguments(through_files=False),
        SeedProgress() as progress,
        threadpool_limits(1, user_api="blas"),
        _pool(workers) as pool,
    ):
        # In the order asked for, each as soon as it is there.
        for verdict in pool.map(lambda job: run(*job), chosen):
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
        with outputs.attempt():
            file = tolerance_figure(verdicts, Path(args.out) / "tolerances.png")
            say_file("figure", file)
    outputs.settle()
    return exit_status(verdict.outcome for verdict in verdicts)


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
    return None if args.quick else each * len(theorem.instances(jax.random.fold_in(jax.random.key(args.key), 0)))


def _outputs(args: argparse.Namespace) -> None:
    """Fail before any computation when an output cannot be written."""
    if args.out is not None:
        output_folder(args.out)
    if args.json is not None:
        file = Path(args.json)
        if file.is_dir():
            raise Misuse(f"--json: {file} is a folder; expected a file name")
        try:
            check_writable(file.absolute().parent)
        except OSError as error:
            raise Misuse(f"--json: cannot write {file}: {error.strerror or error}") from error
