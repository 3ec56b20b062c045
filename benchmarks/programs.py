"""How many solve programs a verification of the whole catalogue compiles, counted from the shapes without compiling any.

`python -m benchmarks.programs [--key K] [--full]` draws the instances of every theorem, those of a quick run unless `--full`,
and counts the distinct programs that end states, censuses and paths ask for: two instances share one if they differ in their
numbers, or their class counts, alone.
"""

import argparse
from collections import Counter
from functools import partial

import jax

import nctheory as nct
from nctheory.problems import as_family, shape_of
from nctheory.theorems._verify import covering_instances


def programs(theorem: nct.Theorem, key: int = 0, quick: bool = True) -> set[object]:
    """What tells apart the programs that the end states, critical points or paths of a theorem ask for."""
    pick = partial(covering_instances, theorem) if quick else list
    chosen = theorem.draw_some(jax.random.fold_in(jax.random.key(key), 0), pick)
    families = [as_family([one.problem])[0] for _, one in chosen]
    return {(theorem.method.name.split()[0], shape_of(one.template), one.varying) for one in families}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.programs", description=__doc__)
    parser.add_argument("--key", type=int, default=0, help="of the instances (default 0)")
    parser.add_argument("--full", action="store_true", help="all instances, not those of a quick run")
    args = parser.parse_args()
    seen: Counter[object] = Counter()
    print("| theorem | method | programs | of them new |\n|---|---|---|---|")
    for theorem in nct.catalogue().values():
        found = programs(theorem, args.key, not args.full)
        new = sum(one not in seen for one in found)
        seen.update(found)
        print(f"| {theorem.id} | {theorem.method.name} | {len(found)} | {new} |", flush=True)
    print(f"\n{len(seen)} distinct programs, {seen.total() - len(seen)} shared between theorems")


if __name__ == "__main__":
    main()
