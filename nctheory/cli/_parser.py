"""The arguments of the command line: one parser for each command, with the words of its help."""

import argparse
from typing import Protocol, runtime_checkable

from nctheory.cli._falsify_command import add_falsify
from nctheory.cli._index_loss_command import add_index_loss
from nctheory.cli._looseness_command import add_looseness
from nctheory.cli._network_arguments import add_networks, add_observations
from nctheory.cli._numbers import whole
from nctheory.cli._protocols_command import add_protocols

BUDGET = 200_000
"""Gradient evaluations per seed."""


class _Version(argparse.Action):
    """Prints the version, which is looked up then only."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from nctheory._version import __version__

        print(f"{parser.prog} {__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(
        prog="nctheory",
        description="Check theorems of neural-collapse theory by computation.",
        epilog="exit status: 0 all hold, 1 some refuted, 2 wrong use, 3 none refuted but some inconclusive, 4 an error (of a "
        "theorem's file, the disk, a device, or a contradiction in the engine: then nothing can be trusted, whatever else was "
        "found), 130 interrupted",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    top.add_argument("--verbose", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_verification(commands)
    add_falsify(commands)
    _add_reading(commands)
    _add_landscape(commands)
    add_protocols(commands)
    add_looseness(commands)
    add_index_loss(commands)
    add_networks(commands)
    add_observations(commands)
    _add_grids(commands)
    return top


@runtime_checkable
class _Commands(Protocol):
    """What `add_subparsers` returns, as far as it is used here."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser: ...


def _add_verification(commands: _Commands) -> None:
    """Add `tour` and `verify`."""
    first = commands.add_parser("tour", help="one theorem of each chapter, quickly verified: where to begin")
    first.set_defaults(seeds=None, quick=True, instance=None, seed=None, budget=BUDGET)
    check = commands.add_parser("verify", help="check theorems (default: all) on many random seeds")
    check.add_argument("theorems", nargs="*", metavar="ID|FILE.py", help="identifiers, or files that register theorems")
    check.add_argument(
        "--seeds", type=whole(1), metavar="N", help="seeds per instance (default: the theorem's, mostly 256)"
    )
    check.add_argument(
        "--quick", action="store_true", help="an eighth of the seeds, on instances of as few shapes as will do"
    )
    check.add_argument("--instance", type=whole(0), metavar="I", help="one instance only")
    check.add_argument("--seed", type=whole(0), metavar="S", help="one seed only: reproduces a worst case")
    check.add_argument("--budget", type=whole(1), default=BUDGET, metavar="B", help="gradient evaluations per seed")
    for one in (first, check):
        one.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
        one.add_argument("--json", metavar="FILE", help="write the verdicts as JSON")
        one.add_argument(
            "--out", metavar="DIR", help="write verdicts and the figure of tolerances (PNG, SVG, PDF) there"
        )
        one.add_argument(
            "--codes", action="store_true",
            help="with --out, also codes of theorems on circles and spheres, which the report draws (some seconds each)",
        )  # fmt: skip
        one.add_argument("-q", "--quiet", action="store_true", help="the summary table only")


def _add_reading(commands: _Commands) -> None:
    """Add what reads and writes without a solve, and `errata`."""
    listing = commands.add_parser("list", help="the theorems of the catalogue")
    listing.add_argument("--errata", action="store_true", help="false or misprinted claims of the literature instead")
    listing.add_argument(
        "--markdown", action="store_true", help="the catalogue with statements and sources, as Markdown"
    )
    metrics = commands.add_parser(
        "measure", help="collapse metrics of a network's features, and its certified distance"
    )
    metrics.add_argument(
        "file",
        metavar="FILE",
        help="FILE.npz with arrays features (N x d, or features/NAME of several layers), labels, weights, bias; or "
        "FILE.csv with one sample a row, the label last",
    )
    metrics.add_argument(
        "--target",
        choices=("simplex_etf", "orthogonal_frame", "minimiser"),
        default="simplex_etf",
        help="what nc2 compares with",
    )
    metrics.add_argument("--ignore", type=int, metavar="LABEL", help="the label that marks samples to be left out")
    metrics.add_argument(
        "--absent", choices=("refuse", "omit"), default="refuse", help="what is done with classes without samples"
    )
    metrics.add_argument(
        "--loss", choices=("cross_entropy", "mse"), help="also the distance of the head from the best free features"
    )
    metrics.add_argument("--decay", type=float, metavar="L", help="the coupled weight decay of the classifier")
    metrics.add_argument("--bias-decay", type=float, metavar="L", help="that of its bias (default: none)")
    metrics.add_argument("--json", metavar="FILE", help="write all metrics as JSON")
    show = commands.add_parser("show", help="statement, hypotheses, claims, controls and source of a theorem")
    show.add_argument("theorem", metavar="ID|FILE.py", help="identifier, or a file that registers a theorem")
    show.add_argument("--latex", action="store_true", help="the statement in LaTeX as well")
    wrong = commands.add_parser("errata", help="compute the counterexamples to false claims anew (default: all)")
    wrong.add_argument("errata", nargs="*", metavar="ID", help="identifiers, as `nctheory list --errata` shows them")
    wrong.add_argument("--seeds", type=whole(1), default=64, metavar="N", help="random starts (default 64)")
    wrong.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
    paper = commands.add_parser("report", help="one page, LaTeX tables and BibTeX of a folder of results")
    paper.add_argument(
        "folder", metavar="DIR", help="what `verify`, `phase`, `train`, `observe` and others wrote with --out"
    )
    paper.add_argument("--title", default="nctheory report", metavar="TEXT", help="title of the page")
    commands.add_parser("doctor", help="devices, versions, float64, compilation cache")


def _add_landscape(commands: _Commands) -> None:
    """Add `census` and `dynamics`."""
    count = commands.add_parser("census", help="critical points of every index of one instance of a theorem")
    count.add_argument("theorem", metavar="ID|FILE.py", help="identifier, or a file that registers a theorem")
    count.add_argument("--instance", type=whole(0), default=0, metavar="I", help="which instance (default 0)")
    count.add_argument("--starts", type=whole(1), default=2000, metavar="N", help="random starts (default 2000)")
    count.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
    count.add_argument("--out", metavar="DIR", help="write census.json and the figure (PNG, SVG, PDF) into a folder")
    moving = commands.add_parser("dynamics", help="curves of a theorem about paths (without a name: the list)")
    moving.add_argument(
        "theorem", nargs="?", metavar="ID|FILE.py", help="a theorem about paths, or a file that registers one"
    )
    moving.add_argument("--instance", type=whole(0), default=0, metavar="I", help="which instance (default 0)")
    moving.add_argument("--seeds", type=whole(1), metavar="N", help="paths (default: the theorem's)")
    moving.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
    moving.add_argument("--out", metavar="DIR", help="write dynamics.json and the figure (PNG, SVG, PDF) into a folder")
    moving.add_argument("--animate", metavar="FILE.gif", help="features of three classes on their way to the simplex")


def _add_grids(commands: _Commands) -> None:
    """Add `phase` and `sweep`."""
    drawn = commands.add_parser("phase", help="phase diagrams, boundaries located (without a name: the list)")
    drawn.add_argument(
        "diagram", nargs="?", metavar="ID|FILE.py[:ID]", help="identifier, or a file that registers diagrams"
    )
    drawn.add_argument("--grid", type=whole(2), default=24, metavar="N", help="cells on each axis of the picture")
    drawn.add_argument("--rows", type=whole(2), default=33, metavar="N", help="rows on which boundaries are located")
    drawn.add_argument("--out", metavar="DIR", help="write phase.json and the figure (PNG, SVG, PDF) into a folder")
    swept = commands.add_parser("sweep", help="the model of a phase diagram over any grid, resumable")
    swept.add_argument("diagram", metavar="ID|FILE.py[:ID]", help="identifier, or a file that registers diagrams")
    swept.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values of one parameter: 0.1,0.2,0.5 or LOW:HIGH:NUMBER (as the diagram spreads that axis)",
    )
    swept.add_argument("--figure", metavar="FILE", help="draw the measures over the grid (PNG, SVG, PDF)")
    swept.add_argument("--netcdf", metavar="FILE", help="write the results as NetCDF")
    swept.add_argument("--parquet", metavar="FILE", help="write the results as Parquet")
    for one in (drawn, swept):
        one.add_argument(
            "--seeds", type=whole(1), metavar="N", help="seeds in every cell (default: the diagram's, mostly 16)"
        )
        one.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
        one.add_argument("--resume", metavar="DIR", help="keep finished tiles in a folder, and go on from those there")
        one.add_argument("--scheduler", metavar="ADDRESS", help="compute on the workers of a Dask scheduler")
