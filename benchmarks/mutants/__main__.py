"""`python -m benchmarks.mutants`: which wrong versions of theorems and engine the judge lets pass."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import jax

import nctheory as nct
from benchmarks.mutants._corners import search_all
from benchmarks.mutants._engine import of_engine
from benchmarks.mutants._families import Mutant, of_theorem
from benchmarks.mutants._formulas import of_slips
from benchmarks.mutants._kept import Kept, judged, keep
from benchmarks.mutants._searches import search_mutants
from benchmarks.mutants._slips import SLIPS
from nctheory.engine import cache_directory, configure, keep_traced_programs

QUICK = ("ufm-ce-balanced", "ufm-mse-nobias", "kawaguchi", "saxe-2layer")
"""One theorem of each method, for the quick form."""
SCORE = 0.98
"""Share of the mutants that are not equivalent which must be killed."""
CORNERS = 0.5
"""Share of the theorems wrong in a corner that a search must refute (conventional)."""


def mutants_of(kept: Kept) -> Iterator[Mutant]:
    """All mutants of one theorem."""
    yield from of_theorem(kept)
    yield from of_slips(kept, SLIPS)


def run(identifiers: Sequence[str], key: int = 0, engine: bool = True, verbose: bool = True) -> Counter[str]:
    """Judge all mutants of some theorems (and of the engine), print those that are not killed, and count."""
    tally: Counter[str] = Counter()
    for identifier in identifiers:
        began = time.perf_counter()
        kept = keep(nct.theorems.find_theorem(identifier), key)
        gathered = time.perf_counter() - began
        unchanged = judged(kept, kept.theorem)
        if unchanged.outcome != "holds":
            print(f"{identifier}: the original is {unchanged.outcome}: {unchanged.why}", flush=True)
            tally["original does not hold"] += 1
            continue
        tally += _count(mutants_of(kept), verbose)
        jax.clear_caches()
        print(
            f"{identifier}: {gathered:.1f} s evidence, {time.perf_counter() - began - gathered:.1f} s mutants",
            flush=True,
        )
    if engine:
        tally += _count(of_engine(), verbose)
    return tally


def _count(mutants: Iterator[Mutant], verbose: bool) -> Counter[str]:
    tally: Counter[str] = Counter()
    for mutant in mutants:
        with jax.enable_x64(True):
            outcome = mutant.judge()
        killed = outcome.outcome != "holds"
        verdict = "killed" if killed else "equivalent" if mutant.equivalent else "SURVIVED"
        tally[verdict] += 1
        tally[f"{mutant.family}: {verdict}"] += 1
        if verbose or verdict == "SURVIVED":
            why = mutant.equivalent if verdict == "equivalent" else f"{outcome.outcome}: {outcome.why}"
            print(f"  {verdict:<10} {mutant.theorem:<24} {mutant.family:<12} {mutant.what:<60} {why}", flush=True)
    return tally


def score(tally: Counter[str]) -> float:
    """Share of the mutants that are not equivalent which were killed."""
    return tally["killed"] / max(tally["killed"] + tally["SURVIVED"], 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where the score is reached and every original holds, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("theorems", nargs="*", metavar="ID", help="theorems (default: the whole catalogue)")
    parser.add_argument("--quick", action="store_true", help="one theorem of each method, and the engine")
    parser.add_argument("--key", type=int, default=0, help="key of the instances (default 0)")
    parser.add_argument("--no-engine", action="store_true", help="leave the mutants of the engine out")
    parser.add_argument("--falsify", type=float, metavar="SECONDS", help="search theorems that are wrong in a corner")
    parser.add_argument("--most", type=int, help="with --falsify: so many of them")
    parser.add_argument("--search", type=float, metavar="SECONDS", help="search the wrong theorems of the mutants")
    parser.add_argument(
        "--out", metavar="FILE", help="with --search: a line for each, from which the same command goes on"
    )
    parser.add_argument(
        "--limit", type=float, default=float("inf"), help="with --search: begin nothing after so many seconds"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print survivors only")
    chosen = parser.parse_args(arguments)
    configure()
    keep_traced_programs(None)  # mutants change the package itself, which the keys of kept programs do not see
    jax.config.update("jax_compilation_cache_dir", str(cache_directory()))
    if chosen.falsify is not None:
        with jax.enable_x64(True):
            rows = search_all(chosen.falsify, chosen.key, chosen.theorems, chosen.most)
        return 0 if sum(row.found == "refuted" for row in rows) >= CORNERS * len(rows) else 1
    if chosen.search is not None:
        with jax.enable_x64(True):
            found = search_mutants(chosen.search, chosen.theorems, chosen.key, chosen.out, chosen.limit)
        return 0 if all(row["search"] != "nothing found" for row in found if row["verify"] == "refuted") else 1
    named = chosen.theorems or (QUICK if chosen.quick else sorted(nct.catalogue()))
    began = time.perf_counter()
    with jax.enable_x64(True):
        tally = run(named, chosen.key, engine=not chosen.no_engine, verbose=not chosen.quiet)
    families = sorted({name.split(":")[0] for name in tally if ":" in name})
    print(f"\n{'family':<14}{'killed':>8}{'survived':>10}{'equivalent':>12}")
    for family in families:
        numbers = [tally[f"{family}: {word}"] for word in ("killed", "SURVIVED", "equivalent")]
        print(f"{family:<14}{numbers[0]:>8}{numbers[1]:>10}{numbers[2]:>12}")
    total = tally["killed"] + tally["SURVIVED"] + tally["equivalent"]
    print(
        f"{total} mutants: {tally['killed']} killed, {tally['SURVIVED']} survived, {tally['equivalent']} equivalent; score "
        f"{100 * score(tally):.1f} % in {time.perf_counter() - began:.0f} s"
    )
    return 0 if score(tally) >= SCORE and not tally["original does not hold"] else 1


if __name__ == "__main__":
    sys.exit(main())
