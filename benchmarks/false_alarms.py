"""How often theorems whose claims are statistical are refuted, or left undecided, though they are true.

Such a theorem holds the means of random trials against a law. Its test, the level of every band (`LEVEL` of
`proofs_numeric.statistics.experiments`) and the relative error that a claim must be able to see (its resolution, which a wrong
version of the claim is moved by) stand in its file before any trial is drawn. This command runs the theorems at many keys. A
run that does not come out as "holds" is a false alarm: its reasons are printed, and the exit status is 1.

    python -m benchmarks.false_alarms [ID …] [--keys N] [--quick] [--minutes M] [--out DIR] [--list]

With `--out` every run is kept as a line of `false_alarms.jsonl` as soon as it has ended, and a later call goes on from there.
The runs of the first key come first, then those of the theorems that took least time.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

import nctheory as nct
from benchmarks.json_lines import append_line, read_lines
from benchmarks.tables import markdown
from nctheory.engine import configure
from proofs_numeric.statistics.experiments import LEVEL, Experiment

KEYS = 20
"""The keys of a run over the catalogue (conventional, as the standard of statistical claims asks)."""


class Alarm(NamedTuple):
    """How one verification ended."""

    theorem: str
    key: int
    quick: bool
    outcome: str
    ratio: float
    """The largest residual over its tolerance."""
    seconds: float
    reasons: list[str]

    @property
    def false(self) -> bool:
        """Whether a theorem that is true did not come out as such."""
        return self.outcome != "holds"


def first_instances(theorem: nct.Theorem, key: int = 0) -> list[nct.Instance]:
    """The instances of a theorem at a key."""
    with jax.enable_x64(True):
        return list(theorem.draw(jax.random.fold_in(jax.random.key(key), 0)))


def statistical_theorems(only: Iterable[str] = ()) -> dict[str, nct.Theorem]:
    """The theorems that hold records of random trials against a law, by identifier.

    Their problems are experiments, whose only point is the record itself: no step is taken from it.

    Raises ValueError for an unknown identifier, or one whose claims are not statistical.
    """
    asked = list(only)
    named = [nct.theorems.find_theorem(one) for one in asked] or list(nct.catalogue().values())
    found = {
        theorem.id: theorem
        for theorem in named
        if getattr(theorem.method, "steps", None) == (0,)
        and all(isinstance(one.problem, Experiment) for one in first_instances(theorem))
    }
    other = [one for one in asked if one not in found]
    if other:
        raise ValueError(f"theorems: expected ones with statistical claims, got {', '.join(other)}")
    return found


def bands(theorem: nct.Theorem) -> int:
    """The number of means of all records of a full run, at each of which a band may fail."""
    with jax.enable_x64(True):
        records = [jax.eval_shape(one.problem.init, jax.random.key(0), 1.0) for one in first_instances(theorem)]
    return theorem.seeds * sum(math.prod(record.mean.shape) for record in records)


def read(path: Path | None) -> list[Alarm]:
    """The runs kept in a file, none where there is no file; a line of another form is left out."""
    return [Alarm(**line) for line in read_lines(path) if set(line) == set(Alarm._fields)]


def order(names: Sequence[str], keys: int, done: Iterable[Alarm]) -> Iterator[tuple[str, int]]:
    """What is left to run: the first key of every theorem, then all keys of the theorems that take least time."""
    runs = {(one.theorem, one.key): one.seconds for one in done}
    yield from ((name, 0) for name in names if (name, 0) not in runs)
    seconds = dict.fromkeys(names, 0.0) | {name: time for (name, key), time in sorted(runs.items()) if key == 0}
    for name in sorted(names, key=lambda name: seconds[name]):
        yield from ((name, key) for key in range(1, keys) if (name, key) not in runs)


def run_one(theorem: nct.Theorem, key: int, quick: bool) -> Alarm:
    """Verify one theorem at one key."""
    verdict = nct.verify(theorem, key=key, quick=quick)
    ratio = max((one.tolerance_ratio for one in verdict.claims), default=math.nan)
    return Alarm(theorem.id, key, quick, verdict.outcome, ratio, verdict.seconds, list(verdict.reasons))


def table(alarms: Sequence[Alarm]) -> str:
    """One line for each theorem, and one for all: runs, false alarms with a bound on their rate, ratio and time."""
    rows = []
    names = sorted({one.theorem for one in alarms})
    for name in [*names, "all"]:
        own = [one for one in alarms if name in ("all", one.theorem)]
        counts = [sum(one.outcome == word for one in own) for word in ("refuted", "inconclusive", "engine error")]
        bound = nct.theorems.failure_bound(sum(one.false for one in own), len(own))
        ratio = max((one.ratio for one in own), default=math.nan)
        times = sum(one.seconds for one in own)
        rows.append([name, str(len(own)), *map(str, counts), f"{100 * bound:.1f} %", f"{ratio:.2g}", f"{times:.0f}"])
    headings = ("theorem", "runs", "refuted", "inconclusive", "engine error", "rate below", "ratio", "seconds")
    return markdown(headings, rows)


def listed(theorems: dict[str, nct.Theorem]) -> str:
    """The theorems, the number of their bands and, of all, the probability that one of them fails."""
    counts = {name: bands(theorem) for name, theorem in theorems.items()}
    total = sum(counts.values())
    rows = [[name, str(theorems[name].seeds), str(count)] for name, count in counts.items()]
    return (
        markdown(("theorem", "seeds", "bands"), rows)
        + f"\n{total} bands of level {LEVEL:g} in a full run of each: one fails with a probability of at most "
        + f"{total * LEVEL:.1g} (bands by the central limit theorem: for large records).\n"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.false_alarms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("theorems", nargs="*", metavar="ID", help="theorems (default: all that are statistical)")
    parser.add_argument("--keys", type=int, default=KEYS, metavar="N", help=f"keys 0 to N - 1 (default {KEYS})")
    parser.add_argument("--quick", action="store_true", help="quick runs: fewer instances, an eighth of the records")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="M", help="start no run after so long")
    parser.add_argument("--out", metavar="DIR", help="a folder to keep the runs in, and to go on from")
    parser.add_argument("--list", action="store_true", help="name the theorems and count their bands, and run nothing")
    chosen = parser.parse_args(arguments)
    if chosen.keys < 1:
        parser.error(f"--keys: expected at least 1, got {chosen.keys}")
    if not chosen.minutes > 0:
        parser.error(f"--minutes: expected a positive number, got {chosen.minutes}")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every run holds, 1 where one does not, 2 for wrong use."""
    chosen = parse(arguments)
    configure()
    try:
        theorems = statistical_theorems(chosen.theorems)
    except ValueError as error:
        print(f"benchmarks.false_alarms: {error}", file=sys.stderr)
        return 2
    if chosen.list:
        print(listed(theorems))
        return 0
    kept = None if chosen.out is None else Path(chosen.out) / "false_alarms.jsonl"
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
    wanted: Any = {(name, key) for name in theorems for key in range(chosen.keys)}
    done = [one for one in read(kept) if one.quick == chosen.quick and (one.theorem, one.key) in wanted]
    began = time.monotonic()
    while time.monotonic() - began < 60.0 * chosen.minutes:
        step = next(order(list(theorems), chosen.keys, done), None)
        if step is None:
            break
        done.append(run_one(theorems[step[0]], step[1], chosen.quick))
        print(f"{step[0]} at key {step[1]}: {done[-1].outcome}, {done[-1].seconds:.0f} s", file=sys.stderr, flush=True)
        for reason in done[-1].reasons:
            print(f"  {reason}", file=sys.stderr, flush=True)
        if kept is not None:
            append_line(kept, done[-1]._asdict())
    print(table(done))
    missing = len(wanted) - len(done)
    if missing:
        print(f"{missing} of {len(wanted)} runs are left.")
    return 1 if any(one.false for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
