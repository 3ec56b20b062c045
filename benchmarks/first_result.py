"""Seconds from pressing return to the first result of `nctheory verify`, and to its end, as a terminal shows them.

`python -m benchmarks.first_result [THEOREM …] [--repeats R]` runs the command in a pseudo-terminal and reads its progress bar:
the first result is there when the bar counts its first seeds. One run begins with an empty compilation cache, `--repeats`
more with what that left.
"""

import argparse
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import describe

COUNTED = re.compile(rb"([1-9]\d*)/\d+\D{0,20}seeds")
"""How the bar says that some seeds are finished."""


def run(command: list[str]) -> tuple[float, float]:
    """Seconds to the first counted seeds, and to the end; RuntimeError if the command fails or counts none."""
    first, shown = None, b""
    began = time.perf_counter()
    terminal, inner = pty.openpty()
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not part:
            break
        shown = (shown + part)[-8192:]
        if first is None and COUNTED.search(re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown)):
            first = time.perf_counter() - began
    os.close(terminal)
    status = process.wait()
    if status != 0 or first is None:
        raise RuntimeError(f"{' '.join(command)}: exit status {status}, first result {first}; {shown[-500:]!r}")
    return first, time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_result", description=__doc__)
    parser.add_argument("theorems", nargs="*", default=["ufm-ce-balanced"], metavar="THEOREM")
    parser.add_argument("--repeats", type=int, default=5, help="runs with a full cache (default 5)")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats: expected at least 1, got {args.repeats}")
    print(", ".join(f"{name} {value}" for name, value in describe().items()))
    print("| theorem | first result, empty cache | end | first result, full cache | end |\n|---|---|---|---|---|")
    for theorem in args.theorems:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
            command = [sys.executable, "-m", "nctheory.cli", "verify", theorem]
            cold = run(command)
            firsts, ends = zip(*(run(command) for _ in range(args.repeats)), strict=True)
        spread = f"{statistics.median(firsts):.1f} s ({min(firsts):.1f} to {max(firsts):.1f})"
        print(f"| `{theorem}` | {cold[0]:.1f} s | {cold[1]:.0f} s | {spread} | {statistics.median(ends):.0f} s |")


if __name__ == "__main__":
    main()
