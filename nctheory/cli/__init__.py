"""The command line: one function for each command, and the way from arguments to it."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from nctheory.cli._commands import (
    census_command,
    doctor_command,
    errata_command,
    list_command,
    report_command,
    show_command,
)
from nctheory.cli._falsify_command import falsify_command
from nctheory.cli._grid_commands import dynamics_command, phase_command, sweep_command
from nctheory.cli._index_loss_command import index_loss_command
from nctheory.cli._looseness_command import looseness_command
from nctheory.cli._measure_command import measure_command
from nctheory.cli._observe_command import observe_command
from nctheory.cli._parser import parser
from nctheory.cli._protocols_command import protocols_command
from nctheory.cli._train_command import train_command
from nctheory.cli._transfer_command import transfer_command
from nctheory.cli._verify_command import tour_command, verify_command
from nctheory.engine import INTERRUPTED, guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status (argparse itself exits with 2 on wrong use)."""
    args = parser().parse_args(argv)
    args.line = shlex.join(["nctheory", *(sys.argv[1:] if argv is None else argv)])
    return guarded(lambda: _run(args), args.verbose, _kept(args))


def _kept(args: argparse.Namespace) -> str:
    """What an interruption of a command leaves behind, and how to go on."""
    folder = getattr(args, "resume", None)
    if folder is not None:
        return f"finished tiles are kept in {folder}, and the same command goes on from there"
    if args.command in ("tour", "verify") and args.out is not None:
        return f"verdicts finished so far are in {args.out}"
    if args.command == "falsify" and args.out is not None:
        return f"finished trials are kept in {args.out}, and the same command goes on from there"
    return (
        "nothing was kept (--resume DIR would have kept finished tiles)" if args.command in ("phase", "sweep") else ""
    )


def _run(args: argparse.Namespace) -> int:
    """The command that was asked for."""
    match args.command:
        case "tour":
            return tour_command(args)
        case "falsify":
            return falsify_command(args)
        case "list":
            return list_command(args.errata, args.markdown)
        case "errata":
            return errata_command(args)
        case "show":
            return show_command(args.theorem, args.latex)
        case "census":
            return census_command(args)
        case "phase":
            return phase_command(args)
        case "dynamics":
            return dynamics_command(args)
        case "protocols":
            return protocols_command(args)
        case "index-loss":
            return index_loss_command(args)
        case "looseness":
            return looseness_command(args)
        case "sweep":
            return sweep_command(args)
        case "measure":
            return measure_command(args)
        case "train":
            return train_command(args)
        case "transfer":
            return transfer_command(args)
        case "observe":
            return observe_command(args)
        case "report":
            return report_command(args.folder, args.title)
        case "doctor":
            return doctor_command()
        case _:
            return verify_command(args)


def entry() -> None:
    """The command as it is installed: after an interruption nothing is waited for."""
    status = main()
    if status == INTERRUPTED:
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    entry()
