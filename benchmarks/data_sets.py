"""Many random data sets: is every critical value of a linear network on the list, and every label what the Hessian says?

    python -m benchmarks.data_sets --sets 40 --starts 48

Widths up to 6, three layers. A row of a census disagrees when its value is not listed, when a point that ought to be a strict
saddle has no negative curvature beyond the resolution, or one that ought to have none has some. It is undecided when a
rank that the label needs, or the sign of its smallest curvature, is in doubt.
"""

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

import nctheory as nct
from nctheory.theorems import UNCLEAR
from proofs_numeric.landscape.data_chains import data_instance

SHAPES = ((3, 2, 2, 3), (4, 3, 3, 4), (5, 2, 4, 3), (6, 4, 5, 4), (6, 6, 6, 6))


def judge(problem: Any, starts: int, key: int) -> dict[str, int]:
    """Counts over the rows and over the ends of one census."""
    census = nct.census(problem, starts, key)
    listed = nct.closed_form.data_critical_values(problem)
    held = nct.landscape.compare(census, listed)
    counts = {"starts": starts, "critical": census.critical, "rows": len(census.rows), "extra": len(held.extra)}
    counts |= {"disagree": 0, "undecided": 0, "undecided ends": 0, "missing": len(held.missing)}
    for match in held.matched:
        row, one = match.row, match.listed
        blocks = float(nct.closed_form.pivot_blocks(problem, jax.tree.map(jnp.asarray, row.params)))
        negative = row.index > 0
        unclear = row.resolution < -row.smallest <= UNCLEAR * row.resolution
        if one.minimum is None and (np.isnan(blocks) or (blocks >= 1 and unclear)):
            counts["undecided"] += 1
            counts["undecided ends"] += row.count
        else:
            strict = blocks < 1 if one.minimum is None else not one.minimum
            counts["disagree"] += int(strict != negative)
    return counts


def main() -> None:
    """Print one line for each shape, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=40, help="data sets of each shape (default 40)")
    parser.add_argument("--starts", type=int, default=48, help="starts of each census (default 48)")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    total: dict[str, int] = {}
    for widths in SHAPES:
        rng, begin, sums = np.random.default_rng(7), time.perf_counter(), dict[str, int]()
        for _ in range(arguments.sets):
            problem = data_instance(rng, widths, widths[0] + 3).problem
            with threadpool_limits(1, user_api="blas"):
                found = judge(problem, arguments.starts, 0)
            sums = {name: sums.get(name, 0) + count for name, count in found.items()}
        total = {name: total.get(name, 0) + count for name, count in sums.items()}
        print(widths, sums, f"{time.perf_counter() - begin:.0f} s", flush=True)
    print("all", total)


if __name__ == "__main__":
    main()
