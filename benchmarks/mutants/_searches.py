"""The wrong theorems of the mutation tests given to a search for a counterexample, beside what a quick run makes of them.

`python -m benchmarks.mutants --search SECONDS --out FILE` takes of each the slips in its formula, its moved thresholds,
its padded lists and its first numbers, and of each original one more search, which must find nothing. The file has a line
for each search; the same command goes on after the last one.
"""

import importlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import jax

import nctheory as nct
from benchmarks.json_lines import append_line, read_lines
from benchmarks.mutants._families import Mutant, of_theorem
from benchmarks.mutants._formulas import Slip, of_slips
from benchmarks.mutants._kept import Kept, Outcome, keep
from benchmarks.mutants._slips import SLIPS

NUMBERS = 2
"""Mutants of a theorem that move one of its numbers, so many at the most (conventional: they are all alike)."""
ORIGINAL = "original"
"""The family of a theorem as it is."""


def searched_mutants(kept: Kept) -> Iterator[Mutant]:
    """Those that are wrong theorems, without the equivalent ones; the original first."""
    original: Any = lambda: nullcontext(kept.theorem)  # noqa: E731
    yield Mutant(kept.theorem.id, ORIGINAL, "as it is", lambda: Outcome("holds", ""), None, original)
    numbers = 0
    for one in of_theorem(kept):
        if one.equivalent is not None or one.family not in ("number", "threshold", "list padded"):
            continue
        numbers += one.family == "number"
        if one.family != "number" or numbers <= NUMBERS:
            yield one
    # A slip in a jitted function has all programs compiled anew, and comes last.
    yield from (one for one in of_slips(kept, sorted(SLIPS, key=_jitted)) if one.equivalent is None)


def _jitted(slip: Slip) -> bool:
    """Whether the slip is in a jitted function."""
    return hasattr(getattr(importlib.import_module(slip.module), slip.function or "", None), "clear_cache")


def search_mutant(mutant: Mutant, seconds: float, key: int = 0) -> dict[str, Any]:
    """What a quick run of `verify` makes of a wrong theorem, and what a search of so many seconds does."""
    assert mutant.wrong is not None
    verified = mutant.judge()
    row: dict[str, Any] = {
        "theorem": mutant.theorem, "family": mutant.family, "what": mutant.what, "verify": verified.outcome,
        "why": verified.why, "trials": 0, "claim": "", "where": {},
    }  # fmt: skip
    began = time.perf_counter()
    wrong: AbstractContextManager[nct.Theorem] = mutant.wrong()
    try:
        with wrong as theorem:
            found = nct.falsify(theorem, seconds=seconds, key=key, seeds=8)
    except (ValueError, ArithmeticError, TypeError) as error:  # a formula that is wrong may be no formula at all
        return {**row, "search": "error", "why_not": f"{type(error).__name__}: {error}", "seconds": 0.0}
    row |= {"search": found.outcome, "trials": found.trials, "seconds": time.perf_counter() - began}
    row |= {"undecided": list(found.undecided)}
    if found.found is not None:
        row |= {"claim": found.found.claim, "where": {name: str(x) for name, x in found.found.parameters.items()}}
    return row


def search_mutants(
    seconds: float, named: Sequence[str] = (), key: int = 0, out: str | Path | None = None, limit: float = float("inf")
) -> list[dict[str, Any]]:
    """Search all of them, theorem by theorem, and print a line for each; theorems that are finished in `out` are left."""
    rows = read_lines(out)
    finished = {row["theorem"] for row in rows if row.get("finished")}
    rows = [row for row in rows if not row.get("finished")]
    done = {(row["theorem"], row["family"], row["what"]) for row in rows}
    began = time.perf_counter()

    def late() -> bool:
        return time.perf_counter() - began > limit

    by_slips = Counter(slip.theorem for slip in SLIPS)
    for identifier in named or tuple(name for name, _ in by_slips.most_common()):
        if identifier in finished or late():
            continue
        for mutant in searched_mutants(keep(nct.theorems.find_theorem(identifier), key)):
            if (mutant.theorem, mutant.family, mutant.what) in done or late():
                continue
            row = search_mutant(mutant, seconds, key)
            rows.append(row)
            append_line(out, row)
            print(
                f"  {row['search']:<14} {row['theorem']:<24} {row['family']:<12} {row['what']:<72} verify: {row['verify']:<13}"
                f" {row['trials']:>3} trials {row['seconds']:>5.1f} s  {row['claim'] or ' '.join(row.get('undecided', ()))}",
                flush=True,
            )
        if not late():
            append_line(out, {"theorem": identifier, "finished": True})
        jax.clear_caches()
    print(table(rows))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """By family how many wrong theorems `verify` refutes, how many the search, both, and neither.

    Those that `verify` finds inconclusive, because a claim no longer sees what it must, it does not refute.

    >>> print(table([{"family": "formula", "verify": "refuted", "search": "refuted"}]))
    family          wrong   verify   search     both  neither
    formula             1        1        1        1        0
    all                 1        1        1        1        0
    """
    lines = [f"{'family':<12}" + "".join(f"{name:>9}" for name in ("wrong", "verify", "search", "both", "neither"))]
    wrong = [row for row in rows if row["family"] != ORIGINAL]
    for family in [*dict.fromkeys(row["family"] for row in wrong), "all"]:
        some = [row for row in wrong if family in ("all", row["family"])]
        by_verify = [row["verify"] in ("refuted", "error") for row in some]
        by_search = [row["search"] in ("refuted", "error") for row in some]
        both = sum(a and b for a, b in zip(by_verify, by_search, strict=True))
        neither = sum(not (a or b) for a, b in zip(by_verify, by_search, strict=True))
        lines.append(
            f"{family:<12}" + "".join(f"{x:>9}" for x in (len(some), sum(by_verify), sum(by_search), both, neither))
        )
    originals = [row for row in rows if row["family"] == ORIGINAL]
    if originals:
        alarms = [row["theorem"] for row in originals if row["search"] != "nothing found"]
        lines.append(
            f"{len(originals)} right theorems: {len(alarms)} refuted" + (f" ({', '.join(alarms)})" if alarms else "")
        )
    return "\n".join(lines)


__all__ = ["search_mutant", "search_mutants", "searched_mutants", "table"]
