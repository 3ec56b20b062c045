"""The engine on whatever device JAX finds: `python benchmarks/gpu`, with no set-up but JAX and the engine's own needs.

First whether it is right: on the device's own ends, the worst of each road, plain NumPy recomputes the gradient norm and the
value, and holds the value against the closed form. Then how quick: seeds brought to a gradient norm of 1e-10 and certified
per second, with the flow and without, by the kernels of `nctheory.kernels` and by XLA alone, and by XLA with the flow in
float32; the shares of the device's own float64 rate on a large product and of its own rate on a large copy; compile time; peak
memory of XLA. Then where the time goes, by stage. What matters most stands first and is measured first: many seeds, the larger
size, the default road. Each line is printed, and written to `--out`, as it comes. Ends within `--limit` seconds; what there
was no time for is said to be left out, and so is why no kernel could run (they need CuPy: `pip install 'nctheory[gpu]'`).
`--kernel emulate` tries the kernels' source on a CPU, slowly; `--first-run FOLDER` does all there is to do on a new card.
"""

import argparse
import importlib.util
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

NEEDED = ("jax", "equinox", "diffrax", "jaxtyping", "numpy", "scipy", "rich", "matplotlib", "platformdirs")
SIZES = ("small", "middle", "large", "wide")
LIMIT, FIRST_LIMIT = 210.0, 840.0
"""Seconds; with the grace the first is within four minutes, the second within a quarter of an hour."""
GRACE = 20.0
"""Seconds past the limit after which a run in the midst of something is ended."""
CUT_OFF = 3
"""The exit code of a run that its own clock has ended."""


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(prog="python benchmarks/gpu", description=__doc__)
    top.add_argument("--sizes", nargs="+", choices=SIZES, default=["middle", "small"])
    top.add_argument("--seeds", nargs="+", type=int, default=[131_072, 1_024], metavar="N")
    top.add_argument("--decay", type=float, default=5e-4)
    top.add_argument("--kernel", choices=("auto", "off", "emulate"), default="auto")
    top.add_argument(
        "--limit", type=float, metavar="SECONDS", help=f"{LIMIT:.0f} by default, {FIRST_LIMIT:.0f} for the first run"
    )
    top.add_argument(
        "--profile", type=int, default=32_768, metavar="N", help="seeds of the profile by stage, 0 for none"
    )
    top.add_argument("--out", type=Path, metavar="FILE", help="write every result there too, a line of JSON each")
    top.add_argument("--first-run", type=Path, metavar="FOLDER", help="tests, benchmark and survey on a new card")
    return top


def wrong_use(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the arguments, or with what is installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"missing packages: {', '.join(missing)}; pip install {' '.join(missing)}"
    if (
        min(arguments.seeds) < 1
        or not arguments.decay > 0
        or (arguments.limit is not None and not arguments.limit > 0)
        or arguments.profile < 0
    ):
        return "--seeds, --decay and --limit: expected numbers above 0; --profile: at least 0"
    if arguments.out is not None and not arguments.out.absolute().parent.is_dir():
        return f"--out: there is no folder {arguments.out.absolute().parent}"
    return None


def ended_by_the_clock(limit: float) -> threading.Timer:
    """A clock that ends the process past the limit, whatever it is in the midst of: what is done is printed and written."""

    def end() -> None:
        print(f"ended by its own clock, {GRACE:.0f} s past --limit, in the midst of a run", flush=True)
        os._exit(CUT_OFF)

    clock = threading.Timer(limit + GRACE, end)
    clock.daemon = True
    clock.start()
    return clock


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 1 where an end is wrong, 2 where a package is missing or an argument is wrong, 3 if its clock ended it."""
    arguments = parser().parse_args(argv)
    told = wrong_use(arguments)
    if told is not None:
        print(told, file=sys.stderr)
        return 2
    if arguments.limit is None:
        arguments.limit = LIMIT if arguments.first_run is None else FIRST_LIMIT
    clock = ended_by_the_clock(arguments.limit)
    try:
        if arguments.first_run is not None:
            from benchmarks.gpu.first_run import first_run

            return first_run(arguments.first_run, arguments)
        from benchmarks.gpu.jobs import run

        return run(arguments)
    finally:
        clock.cancel()


if __name__ == "__main__":
    sys.exit(main())
