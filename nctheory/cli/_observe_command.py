"""`nctheory observe`: empirical regularities of trained networks, decided by rules that were fixed beforehand."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nctheory.cli._commands import check_file, output_folder, report_console
from nctheory.cli._outputs import Outputs
from nctheory.cli._train_command import SUFFIXES, installed
from nctheory.engine import Misuse, configure, wrong_arguments

if TYPE_CHECKING:
    from nctheory.networks import Observation, Observed

MINUTES = 1.7
"""What an observation takes in full, on average, on one core (measured: 12 CPU minutes for seven)."""


def observe_command(args: argparse.Namespace) -> int:
    """Observe, print the tables, and write what was asked for; 0 whatever was observed."""
    from threadpoolctl import threadpool_limits

    from nctheory.engine import write_atomically
    from nctheory.networks import observe
    from nctheory.report import SeedProgress, observed_json, observed_summary, observed_table

    if args.quick and args.seeds is not None:
        raise Misuse("--quick: expected no --seeds with it, because it takes an eighth of the seeds that were fixed")
    folder = None if args.out is None else output_folder(args.out)
    check_file("json", args.json)
    configure()
    chosen = _chosen(args.observations)
    if len(chosen) > 1 and not args.quick and args.seeds is None:
        print(
            f"{len(chosen)} observations, one after another: some {MINUTES * len(chosen):.0f} minutes", file=sys.stderr
        )
    console, found, outputs = report_console(), [], Outputs()
    with SeedProgress() as progress, threadpool_limits(1, user_api="blas"):
        for one in chosen:
            with wrong_arguments(through_files=False), progress.bar(one.id, None) as advance, installed("observe"):
                found.append(observe(one, seeds=args.seeds, key=args.key, quick=args.quick, progress=advance))
            with progress.paused():
                console.print(observed_table(found[-1]), crop=False)
            if folder is not None:
                _write(one, found[-1], folder, outputs, args.line)
    if len(found) > 1:
        console.print(observed_summary(found), crop=False)
    if args.json is not None:
        told = [observed_json(seen, one, args.line).rstrip() for one, seen in zip(chosen, found, strict=True)]
        with outputs.attempt():
            write_atomically(Path(args.json), "[\n" + ",\n".join(told) + "\n]\n")
    if folder is not None:
        print(f"written: a JSON file and a picture of each observation in {folder}", flush=True)
    outputs.settle()
    return 0


def _chosen(names: list[str]) -> "list[Observation]":
    """The observations of these names or files; without names all of them."""
    from nctheory.networks import find_observation, load_observation_file, observations

    if not names:
        return list(observations().values())
    chosen = []
    for name in names:
        with wrong_arguments():
            if name.endswith(".py") or os.sep in name:
                chosen += load_observation_file(name)
            else:
                chosen.append(find_observation(name))
    return chosen


def _write(observation: "Observation", observed: "Observed", folder: Path, outputs: Outputs, command: str) -> None:
    """The numbers and the picture of one observation."""
    from nctheory.engine import write_atomically
    from nctheory.report import observed_figure, observed_json

    with outputs.attempt():
        write_atomically(folder / f"{observation.id}.observed.json", observed_json(observed, observation, command))
    for suffix in SUFFIXES if observation.panels else ():
        with outputs.attempt():
            observed_figure(observed, folder / f"{observation.id}{suffix}", observation)
