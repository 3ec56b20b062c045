"""Theorems that are wrong in a corner of their hypotheses alone, and a search that is to find it.

`python -m benchmarks.mutants --falsify SECONDS` gives each of them to `nct.falsify`, which searches over instances and starts,
and beside that says what a quick run of `verify` makes of it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from benchmarks.mutants._formulas import Slip, swapped
from benchmarks.mutants._kept import fresh, judged, keep
from benchmarks.mutants._slips import DEEP, LOSSES, TAGS, UFM

OFF = 1e-3
"""How far a threshold is moved, and what is wrong in a corner, relatively (conventional: what the issue asks for)."""


class Corner(NamedTuple):
    """A theorem that is wrong in a corner."""

    theorem: str
    what: str
    slip: Slip | None = None
    """Where its formula is changed in place."""
    predict: Callable[..., Any] | None = None
    """What it predicts in the place of its formula."""


class Searched(NamedTuple):
    """What became of a corner."""

    corner: Corner
    verified: str
    """The outcome of a quick run of `verify`."""
    found: str
    """The outcome of the search."""
    trials: int
    seconds: float
    where: str
    """The claim that failed and the instance."""


def two_classes(problem: Any) -> bool:
    """Whether there are two classes."""
    return problem.classes == 2


def one_sample(problem: Any) -> bool:
    """Whether every class has one sample."""
    return problem.counts is not None and set(problem.counts) == {1}


def wrong_where(theorem: str, where: Callable[[Any], bool], by: float = OFF) -> Callable[..., Any]:
    """The theorem's prediction with every number larger by a relative error, on problems in a corner."""
    told = nct.theorems.find_theorem(theorem).predict

    def predict(problem: Any, *more: Any) -> Any:
        found = told(problem, *more)
        return jax.tree.map(lambda x: _larger(x, by), found) if where(problem) else found

    return predict


def _larger(x: Any, by: float) -> Any:
    real = isinstance(x, float) or (hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating))
    return x * (1.0 + by) if real else x


def _slip(theorem: str, module: str, function: str, old: str, new: str) -> Corner:
    return Corner(theorem, f"{function}: {old} -> {new}", Slip(theorem, module, function, old, new))


def _corner(theorem: str, name: str, where: Callable[[Any], bool]) -> Corner:
    return Corner(theorem, f"{OFF:g} off for {name}", predict=wrong_where(theorem, where))


def corners() -> Iterator[Corner]:
    """All of them, thresholds and special cases in turn."""
    yield _slip(
        "ufm-ce-balanced", UFM, "cross_entropy_minimum", "strength < 1.0, 1.0 / jnp", "strength < 0.999, 1.0 / jnp"
    )
    yield _corner("ufm-ce-balanced", "K = 2", two_classes)
    yield _slip("ufm-mse-nobias", UFM, "soft_value", "jnp.minimum(strength, 1.0)", "jnp.minimum(strength, 1.001)")
    yield _corner("ufm-mse-nobias", "n = 1", one_sample)
    yield _slip("ufm-mse-bias", UFM, "squared_error_bias_minimum", "weight > strength", "weight > 0.999 * strength")
    yield _corner("ufm-mse-bias", "K = 2", two_classes)
    yield _slip("ufm-ls", LOSSES, "label_smoothing_minimum", "kappa < 1.0 - alpha", "kappa < 0.999 * (1.0 - alpha)")
    yield _corner("ufm-ls", "n = 1", one_sample)
    yield _slip("deep-mse-linear", DEEP, "chain_minimum", "found.cost < 1.0", "found.cost < 1.001")
    yield _corner("deep-mse-linear", "K = 2", two_classes)
    yield _slip("mlab-pal", TAGS, "_solve", "active = strength < onset", "active = strength < 0.999 * onset")
    yield _corner("tirer-bruna-relu", "n = 1", one_sample)


def searched(corner: Corner, seconds: float, key: int = 0) -> Searched:
    """Search for a counterexample to a wrong theorem for some seconds, after a quick run of `verify`."""
    theorem = nct.theorems.find_theorem(corner.theorem)
    kept = keep(theorem, key)
    with nullcontext() if corner.slip is None else swapped(corner.slip):
        wrong = fresh(theorem, corner.predict or theorem.predict)
        verified = judged(kept, wrong).outcome
        began = time.perf_counter()
        found = nct.falsify(wrong, seconds=seconds, key=key)
        spent = time.perf_counter() - began
    where = ""
    if found.found is not None:
        shown = {name: float(f"{x:.6g}") if isinstance(x, float) else x for name, x in found.found.parameters.items()}
        where = f"{found.found.claim}, {', '.join(f'{name}={x}' for name, x in shown.items())}"
    return Searched(corner, verified, found.outcome, found.trials, spent, where)


def search_all(seconds: float, key: int = 0, named: Sequence[str] = (), most: int | None = None) -> list[Searched]:
    """Search all corners, or those of some theorems, and print a line for each."""
    rows = []
    for corner in [one for one in corners() if not named or one.theorem in named][:most]:
        row = searched(corner, seconds, key)
        rows.append(row)
        print(
            f"  {row.found:<14} {corner.theorem:<18} {corner.what:<90} verify: {row.verified:<13} {row.trials:>3} trials "
            f"{row.seconds:>6.1f} s  {row.where}",
            flush=True,
        )
        jax.clear_caches()
    share = np.mean([row.found == "refuted" for row in rows]) if rows else 0.0
    of_verify = np.mean([row.verified != "holds" for row in rows]) if rows else 0.0
    print(f"{len(rows)} wrong theorems: the search refutes {100 * share:.0f} %, a quick run {100 * of_verify:.0f} %")
    return rows


__all__ = ["OFF", "Corner", "Searched", "corners", "one_sample", "search_all", "searched", "two_classes", "wrong_where"]
