"""The command `falsify`: a search for a counterexample, and the check of one that was saved."""

import argparse
import math
import sys
from pathlib import Path

from nctheory.cli._commands import check_file, output_folder, selected_theorems
from nctheory.cli._outputs import Outputs
from nctheory.engine import ERROR, Misuse, configure, write_atomically, wrong_arguments


def add_falsify(commands: argparse._SubParsersAction) -> None:
    """Add `falsify` to the parser."""
    search = commands.add_parser("falsify", help="search for a counterexample to a theorem")
    search.add_argument(
        "theorem", nargs="?", metavar="ID|FILE.py", help="identifier, or a file that registers a theorem"
    )
    search.add_argument("--seconds", type=float, default=60.0, metavar="S", help="budget (default 60)")
    search.add_argument("--key", type=int, default=0, metavar="K", help="random key (default 0)")
    search.add_argument("--seeds", type=int, default=32, metavar="N", help="random starts of a trial (default 32)")
    search.add_argument("--trials", type=int, metavar="N", help="stop after as many instances")
    search.add_argument("--out", metavar="DIR", help="keep finished trials and what is found; the same command goes on")
    search.add_argument("--json", metavar="FILE", help="write what was searched and found as JSON")
    search.add_argument("--check", metavar="FILE", help="check a counterexample that was saved, and search for nothing")
    search.add_argument("-q", "--quiet", action="store_true", help="no line for each trial")


def falsify_command(args: argparse.Namespace) -> int:
    """Search, print and save; 1 where the theorem is refuted, 0 where nothing was found, 4 for an engine's error."""
    from nctheory.falsification import falsify

    if args.check is not None:
        return _check(args)
    if args.theorem is None:
        raise Misuse("theorem: expected an identifier or a file, got none (`nctheory list` names the catalogue)")
    if not (math.isfinite(args.seconds) and args.seconds > 0):
        raise Misuse(f"--seconds: expected a positive number, got {args.seconds:g}")
    if args.key < 0:
        raise Misuse(f"--key: expected at least 0, got {args.key}")
    folder = None if args.out is None else output_folder(args.out)
    check_file("json", args.json)
    configure()
    chosen = selected_theorems([args.theorem])
    outcomes, outputs = [], Outputs()
    for theorem, file in chosen:
        with wrong_arguments(through_files=False):
            mine = folder if folder is None or len(chosen) == 1 else folder / theorem.id
            found = falsify(
                theorem, args.seconds, args.key, seeds=args.seeds, trials=args.trials, out=mine, file=file,
                progress=None if args.quiet else lambda line: print(line, file=sys.stderr, flush=True),
            )  # fmt: skip
        print(found, flush=True)
        outcomes.append(found)
    if args.json is not None:
        body = ",\n".join(one.to_json().rstrip() for one in outcomes)
        with outputs.attempt():
            write_atomically(Path(args.json), f"[\n{body}\n]\n")
    outputs.settle()
    told = {one.outcome for one in outcomes}
    return ERROR if "engine error" in told else int("refuted" in told)


def _check(args: argparse.Namespace) -> int:
    """Check a saved counterexample; 1 where the claim fails at it, as it says, else 0."""
    from nctheory.falsification import check_counterexample, read_counterexample, short_note

    configure()
    theorem = None
    with wrong_arguments():
        if args.theorem is not None:
            named = read_counterexample(args.check)[0]["theorem"]
            given = [one for one, _ in selected_theorems([args.theorem])]
            theorem = next((one for one in given if one.id == named), given[0])
        found = check_counterexample(args.check, theorem)
    told = "" if found.predicted is None else f", predicted {found.predicted:.15g}"
    if found.violated:
        print(
            f"{found.theorem}: claim {found.claim!r} fails: value {found.value:.15g}{told}, residual {found.residual:.3g} "
            f"against a tolerance of {found.tolerance:.1g}; {short_note(found.note)}"
        )
        return 1
    print(f"{found.theorem}: claim {found.claim!r} does not fail at this point{told}")
    return 0


__all__ = ["add_falsify", "falsify_command"]
