"""Seconds from pressing return to the first result of the command line, and to its end, as a terminal shows them.

`python -m benchmarks.first_result [THEOREM …] [--repeats R] [--tour] [--quick] [--against REVISION]` runs `nctheory verify
THEOREM` in a pseudo-terminal and reads what it prints: the first result is there when the progress bar counts its first
seeds, the first verdict when a theorem's outcome is printed. One run begins with an empty compilation cache, `--repeats` more
with what that left. `--tour` adds `nctheory tour`, `--quick` `nctheory verify --quick`, each once from an empty cache and once
from a full one. What importing costs, and `nctheory --help`, is measured in any case, beside `import jax`. With `--against`
each row is measured at another revision of this repository too, in the same run (one without a tour is asked for
`verify --quick`).
"""

import argparse
import contextlib
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parents[1]
COUNTED = re.compile(rb"([1-9]\d*)/\d+\D{0,20}seeds")
"""How the bar says that some seeds are finished."""
JUDGED = re.compile(rb": (holds|refuted|inconclusive|observed)\b")
"""How a theorem's outcome is printed."""
IMPORTS = {
    "`import jax`": ["-c", "import jax, jax.numpy"],
    "`import nctheory`": ["-c", "import nctheory"],
    "`import nctheory`, its solver used": ["-c", "import nctheory; nctheory.solve"],
    "`nctheory --help`": ["-m", "nctheory.cli", "--help"],
}


class Seen(NamedTuple):
    """Seconds from the start of a command; None for what it did not show."""

    counted: float | None
    judged: float | None
    end: float


def watch(command: Sequence[str], folder: Path | None = None) -> Seen:
    """What a terminal shows of a command; RuntimeError if it fails."""
    counted = judged = None
    shown = b""
    began = time.perf_counter()
    terminal, inner = pty.openpty()
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, cwd=folder)
    os.close(inner)
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not part:
            break
        shown = (shown + part)[-8192:]
        plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown)
        now = time.perf_counter() - began
        counted = now if counted is None and COUNTED.search(plain) else counted
        judged = now if judged is None and JUDGED.search(plain) else judged
    os.close(terminal)
    status = process.wait()
    if status != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {status}; {shown[-500:]!r}")
    return Seen(counted, judged, time.perf_counter() - began)


def run(command: list[str]) -> tuple[float, float]:
    """Seconds to the first counted seeds, and to the end; RuntimeError if the command fails or counts none."""
    seen = watch(command)
    if seen.counted is None:
        raise RuntimeError(f"{' '.join(command)}: exit status 0, first result None")
    return seen.counted, seen.end


@contextlib.contextmanager
def tree(revision: str | None) -> Iterator[Path]:
    """A folder with the sources of a revision; this one's without."""
    if revision is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def has_tour(folder: Path) -> bool:
    """Whether the command line of a revision has a tour."""
    return any("def tour_command" in file.read_text() for file in (folder / "nctheory").rglob("*.py"))


def row(folder: Path, arguments: Sequence[str], repeats: int) -> tuple[Seen, list[Seen]]:
    """A command from an empty cache, and `repeats` times from what that left."""
    os.environ["PYTHONPATH"] = str(folder)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
        command = [sys.executable, "-P", "-m", "nctheory.cli", *arguments]
        return watch(command, folder), [watch(command, folder) for _ in range(repeats)]


def median(found: Sequence[float | None]) -> str:
    """The median with its range, in seconds."""
    known = [one for one in found if one is not None]
    if not known:
        return "-"
    spread = f" ({min(known):.1f} to {max(known):.1f})" if len(known) > 1 else ""
    return f"{statistics.median(known):.1f} s{spread}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_result", description=__doc__)
    parser.add_argument("theorems", nargs="*", default=["ufm-ce-balanced"], metavar="THEOREM")
    parser.add_argument("--repeats", type=int, default=5, help="runs with a full cache (default 5)")
    parser.add_argument("--tour", action="store_true", help="`nctheory tour` too")
    parser.add_argument("--quick", action="store_true", help="`nctheory verify --quick` too")
    parser.add_argument("--against", metavar="REVISION", help="measure another revision too")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats: expected at least 1, got {args.repeats}")
    # As Python does unless told otherwise, and as a user's installation has it, byte code is kept from the first run on.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(", ".join(f"{name} {value}" for name, value in describe().items()))
    revisions = [None] if args.against is None else [args.against, None]
    rows = [(["verify", theorem], args.repeats) for theorem in args.theorems]
    rows += [(["tour"], 1)] * args.tour + [(["verify", "--quick"], 1)] * args.quick
    print("| what | revision | first counted seeds | first verdict | end | the same, full cache | | |")
    print("|---|---|---|---|---|---|---|---|")
    with contextlib.ExitStack() as trees:
        folders = {revision or "this": trees.enter_context(tree(revision)) for revision in revisions}
        for arguments, repeats in rows:
            for name, folder in folders.items():
                known = arguments != ["tour"] or has_tour(folder)
                asked = arguments if known else ["verify", "--quick"]
                cold, warm = row(folder, asked, repeats)
                cells = [median([one]) for one in cold] + [median(column) for column in zip(*warm, strict=True)]
                print(f"| `nctheory {' '.join(asked)}` | {name} | {' | '.join(cells)} |", flush=True)
        print("| what | revision | |\n|---|---|---|")
        for what, arguments in IMPORTS.items():
            for name, folder in folders.items():
                os.environ["PYTHONPATH"] = str(folder)
                ends = [watch([sys.executable, "-P", *arguments], folder).end for _ in range(args.repeats + 1)][1:]
                print(f"| {what} | {name} | {median(ends)} |", flush=True)


if __name__ == "__main__":
    main()
