"""The command `protocols`: searches for the global minimum held against restarts of equal cost."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nctheory.cli._commands import check_file, report_console, say_file, selected_theorem
from nctheory.cli._outputs import Outputs
from nctheory.engine import Misuse, configure, write_atomically, wrong_arguments

if TYPE_CHECKING:
    from nctheory.protocols import ProtocolComparison, ProtocolMap


def add_protocols(commands: argparse._SubParsersAction) -> None:
    """Add `protocols` to the parser."""
    one = commands.add_parser("protocols", help="protocols of exploration against restarts of equal cost")
    one.add_argument(
        "theorem", nargs="?", metavar="ID|FILE.py", help="a theorem, or a file that registers one (not with --map)"
    )
    one.add_argument(
        "--instance", type=int, metavar="I", help="which instance (default: the deepest with a certificate)"
    )
    one.add_argument(
        "--protocols", metavar="A,B,…", help="names, restarts_N among them (default: all; `--list` names them)"
    )
    one.add_argument("--list", action="store_true", help="the names of the protocols, and nothing else")
    one.add_argument("--budget", type=int, metavar="B", help="gradients of a seed (default 2000, with --map 1000)")
    one.add_argument("--seeds", type=int, default=64, metavar="N", help="seeds of a protocol (default 64)")
    one.add_argument(
        "--checkpoints", type=int, default=5, metavar="N", help="numbers of gradients looked at (default 5)"
    )
    one.add_argument(
        "--scale", type=float, metavar="S", help="scale of the starts (default: the theorem's, of a map 0.7)"
    )
    one.add_argument("--key", type=int, default=0, metavar="K", help="random key (default 0)")
    one.add_argument("--map", choices=("linear", "relu"), help="who wins over depth and decay of chains of two classes")
    one.add_argument("--depths", default="2,3,4", metavar="L,L,…", help="weight layers of the map (default 2,3,4)")
    one.add_argument(
        "--strengths",
        default="0.5,0.7,0.9,0.97",
        metavar="B,B,…",
        help="its decays, in onsets (default 0.5,0.7,0.9,0.97)",
    )
    one.add_argument("--json", metavar="FILE", help="write all numbers as JSON")
    one.add_argument("--csv", metavar="FILE", help="write one row a protocol and checkpoint, or cell")
    one.add_argument("--figure", metavar="FILE", help="draw shares against gradients, or the map (PNG, SVG, PDF)")
    one.add_argument("-q", "--quiet", action="store_true", help="no line for each part")


def protocols_command(args: argparse.Namespace) -> int:
    """Compare, print and write; 0 whoever wins."""
    from nctheory.protocols import PROTOCOLS

    if args.list:
        for name, make in PROTOCOLS.items():
            print(f"{name:<22}{(getattr(make, '__doc__', None) or '').splitlines()[0]}")
        return 0
    if (args.theorem is None) == (args.map is None):
        raise Misuse("theorem: expected an identifier or a file, or --map linear or relu, and not both")
    for option in ("json", "csv", "figure"):
        check_file(option, getattr(args, option))
    chosen = None if args.protocols is None else args.protocols.split(",")
    configure()
    return _compare(args, chosen) if args.map is None else _map(args, chosen)


def _compare(args: argparse.Namespace, chosen: list[str] | None) -> int:
    from threadpoolctl import threadpool_limits

    from nctheory.protocols import compare_protocols, protocol_instance
    from nctheory.report import protocols_figure, protocols_table

    budget = 2000 if args.budget is None else args.budget
    theorem = selected_theorem(args.theorem)
    with wrong_arguments(), threadpool_limits(1, user_api="blas"):
        number, instance = protocol_instance(theorem, args.instance, args.key)
        shown = ", ".join(
            f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in instance.parameters.items()
        )
        found = compare_protocols(
            instance,
            chosen,
            budget,
            args.seeds,
            args.key,
            checkpoints=args.checkpoints,
            scale=args.scale,
            progress=_progress(args),
        )
    title = f"{theorem.id}, instance {number}"
    console = report_console()
    console.print(f"{title}: {shown}", markup=False)
    console.print(protocols_table(found))
    return _write(args, found, partial(protocols_figure, found, title=title))


def _map(args: argparse.Namespace, chosen: list[str] | None) -> int:
    from threadpoolctl import threadpool_limits

    from nctheory.protocols import START, protocol_map
    from nctheory.report import protocol_map_figure, protocol_map_table

    budget = 1000 if args.budget is None else args.budget
    depths, strengths = _numbers("depths", args.depths, int), _numbers("strengths", args.strengths, float)
    scale = START if args.scale is None else args.scale
    with wrong_arguments(), threadpool_limits(1, user_api="blas"):
        found = protocol_map(
            depths,
            strengths,
            chosen,
            budget,
            args.seeds,
            args.key,
            kind=args.map,
            scale=scale,
            progress=_progress(args),
        )
    report_console().print(protocol_map_table(found))
    return _write(args, found, partial(protocol_map_figure, found))


def _progress(args: argparse.Namespace) -> Callable[[str], None] | None:
    """Lines beside the results, unless they are not wanted."""
    return None if args.quiet else lambda line: print(line, file=sys.stderr, flush=True)


def _numbers(option: str, text: str, kind: type) -> list:
    """Numbers separated by commas."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise Misuse(f"--{option}: expected numbers separated by commas, got {text!r}") from None


def _write(args: argparse.Namespace, found: "ProtocolComparison | ProtocolMap", draw: partial) -> int:
    """The files that were asked for."""
    outputs = Outputs()
    for name, text in ((args.json, found.to_json), (args.csv, found.to_csv)):
        if name is not None:
            with outputs.attempt():
                write_atomically(Path(name), text())
                say_file("written", Path(name))
    if args.figure is not None:
        with outputs.attempt():
            say_file("figure", draw(Path(args.figure)))
    outputs.settle()
    return 0


__all__ = ["add_protocols", "protocols_command"]
