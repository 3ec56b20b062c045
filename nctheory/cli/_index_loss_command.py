"""The command `index-loss`: the critical points of chains and of a spin glass on the same axes."""

import argparse
import sys
from pathlib import Path

from nctheory.cli._commands import check_file, report_console, say_file
from nctheory.cli._outputs import Outputs
from nctheory.engine import Misuse, configure, write_atomically, wrong_arguments


def add_index_loss(commands: argparse._SubParsersAction) -> None:
    """Add `index-loss` to the parser."""
    one = commands.add_parser("index-loss", help="critical points of linear chains beside those of a spin glass")
    one.add_argument("--counts", default="4,3,2,1", metavar="N,N,…", help="samples of the classes (default 4,3,2,1)")
    one.add_argument("--layers", default="1,2", metavar="M,M,…", help="weight layers over free features (default 1,2)")
    one.add_argument("--decay", type=float, default=0.03, metavar="L", help="decay of every factor (default 0.03)")
    one.add_argument("--glass", default="8,3", metavar="N,P", help="spins and degree of the glass (default 8,3)")
    one.add_argument("--disorders", type=int, default=4, metavar="D", help="glasses drawn (default 4)")
    one.add_argument("--starts", type=int, default=300, metavar="S", help="random starts of a census (default 300)")
    one.add_argument("--key", type=int, default=0, metavar="K", help="random key (default 0)")
    one.add_argument("--json", metavar="FILE", help="write all critical points as JSON")
    one.add_argument("--figure", metavar="FILE", help="draw index against loss (PNG, SVG, PDF)")
    one.add_argument("-q", "--quiet", action="store_true", help="no line for each census")


def index_loss_command(args: argparse.Namespace) -> int:
    """Take the censuses, print and write; 0, or 3 where a chain has points that its complete list has not."""
    for option in ("json", "figure"):
        check_file(option, getattr(args, option))
    counts, layers = _whole("counts", args.counts), _whole("layers", args.layers)
    glass = _whole("glass", args.glass)
    if len(glass) != 2 or glass[0] < 2 or glass[1] < 3:
        raise Misuse(f"--glass: expected N,P with N of at least 2 and P of at least 3, got {args.glass!r}")
    if min(counts) < 1 or len(counts) < 2:
        raise Misuse(f"--counts: expected samples of two classes or more, got {args.counts!r}")
    if min(layers) < 1 or len(set(layers)) < len(layers):
        raise Misuse(f"--layers: expected different whole numbers of at least 1, got {args.layers!r}")
    for option in ("disorders", "starts"):
        if getattr(args, option) < 1:
            raise Misuse(f"--{option}: expected at least 1, got {getattr(args, option)}")
    configure()

    from nctheory.landscape import chain_index_loss, glass_index_loss
    from nctheory.problems import deep_linear
    from nctheory.report import index_loss_figure, index_loss_json, index_loss_table

    with wrong_arguments():
        problems = [
            deep_linear(
                widths=(len(counts),) * (one + 1), counts=counts, loss="mse", weight_decay=(args.decay,) * (one + 1)
            )
            for one in layers
        ]
        chains = []
        for number, problem in zip(layers, problems, strict=True):
            name = f"chain, {number} layer{'' if number == 1 else 's'}"
            chains.append(chain_index_loss(problem, args.starts, args.key, name))
            _say(args, f"{name}: {len(chains[-1].value)} types")
        found = glass_index_loss(
            glass[0], glass[1], args.disorders, args.starts, args.key, progress=lambda i: _say(args, f"glass {i}")
        )
    report_console().print(index_loss_table(chains, found, glass[1]))
    outputs = Outputs()
    if args.json is not None:
        with outputs.attempt():
            write_atomically(Path(args.json), index_loss_json(chains, found, glass[1]))
            say_file("written", Path(args.json))
    if args.figure is not None:
        with outputs.attempt():
            say_file("figure", index_loss_figure(chains, found, glass[1], Path(args.figure)))
    outputs.settle()
    return 3 if any(one.extra for one in chains) else 0


def _say(args: argparse.Namespace, line: str) -> None:
    if not args.quiet:
        print(line, file=sys.stderr, flush=True)


def _whole(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise Misuse(f"--{option}: expected whole numbers separated by commas, got {text!r}") from None


__all__ = ["add_index_loss", "index_loss_command"]
