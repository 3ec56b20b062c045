"""The command `looseness`: bounds on few-shot errors against the exact error, and where they are vacuous."""

import argparse
from pathlib import Path

from nctheory.cli._commands import check_file, report_console, say_file
from nctheory.cli._outputs import Outputs
from nctheory.engine import Misuse, configure, write_atomically, wrong_arguments

KNOWN = "known"
"""The word for means that are known, in the place of a number of shots."""


def add_looseness(commands: argparse._SubParsersAction) -> None:
    """Add `looseness` to the parser."""
    one = commands.add_parser("looseness", help="bounds on few-shot errors against the exact error, as a diagram")
    one.add_argument("--bounds", metavar="A,B,…", help="names of bounds (default: all; a wrong name lists them)")
    one.add_argument("--dims", metavar="P,P,…", help="dimensions (default 10,20,50,100,200)")
    one.add_argument("--shots", metavar="M,M,…", help=f"samples of a class, or '{KNOWN}' (default 1,5,20,{KNOWN})")
    one.add_argument("--classes", metavar="K,K,…", help="numbers of classes (default 2,10)")
    one.add_argument(
        "--noises", metavar="S,S,…|LOW:HIGH:NUMBER", help="spread over distance of means (default 0.05:1:24)"
    )
    one.add_argument(
        "--trials", type=int, default=4096, metavar="N", help="trials of a cell of more classes (default 4096)"
    )
    one.add_argument("--key", type=int, default=0, metavar="K", help="random key (default 0)")
    one.add_argument("--json", metavar="FILE", help="write all numbers as JSON")
    one.add_argument("--figure", metavar="FILE", help="draw looseness and boundaries (PNG, SVG, PDF)")


def looseness_command(args: argparse.Namespace) -> int:
    """Compute, print and write; 0 however loose they are."""
    for option in ("json", "figure"):
        check_file(option, getattr(args, option))
    asked = {name: _whole(name, getattr(args, name)) for name in ("dims", "shots", "classes")}
    asked["noises"] = _noises(args.noises)
    asked["bounds"] = None if args.bounds is None else args.bounds.split(",")
    configure()

    from nctheory.generalisation import looseness_map
    from nctheory.report import looseness_figure, looseness_json, looseness_table

    with wrong_arguments():
        given = {name: values for name, values in asked.items() if values is not None}
        found = looseness_map(**given, trials=args.trials, key=args.key)
    report_console().print(looseness_table(found))
    outputs = Outputs()
    if args.json is not None:
        with outputs.attempt():
            write_atomically(Path(args.json), looseness_json(found))
            say_file("written", Path(args.json))
    if args.figure is not None:
        with outputs.attempt():
            say_file("figure", looseness_figure(found, Path(args.figure)))
    outputs.settle()
    return 0


def _whole(option: str, text: str | None) -> list | None:
    """Whole numbers separated by commas; of shots also the word for known means."""
    if text is None:
        return None
    try:
        return [None if option == "shots" and part == KNOWN else int(part) for part in text.split(",")]
    except ValueError:
        also = f", or '{KNOWN}'" if option == "shots" else ""
        raise Misuse(f"--{option}: expected whole numbers separated by commas{also}, got {text!r}") from None


def _noises(text: str | None) -> list[float] | None:
    """Numbers separated by commas, or LOW:HIGH:NUMBER at even ratios."""
    if text is None:
        return None
    import numpy as np

    try:
        if ":" in text:
            low, high, number = text.split(":")
            if not (0 < float(low) < float(high) < float("inf") and int(number) > 1):
                raise ValueError
            return np.geomspace(float(low), float(high), int(number)).tolist()
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise Misuse(
            f"--noises: expected positive numbers separated by commas, or LOW:HIGH:NUMBER, got {text!r}"
        ) from None


__all__ = ["add_looseness", "looseness_command"]
