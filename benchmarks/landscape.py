"""Critical points found, polished and classified per second, against a loop of SciPy root finding over the starts.

The loop gets the first few of the engine's starts, as many of each kind; both count only points of gradient norm at most
1e-10, distinct types told apart by value. The loop is what one would write: `scipy.optimize.root` with the exact Hessian
(MINPACK's Levenberg-Marquardt), compiled functions, then `numpy.linalg.eigvalsh` of the Hessian at every end. With `--plain`
it is `scipy.optimize.root` as it comes, on the compiled gradient alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import root
from threadpoolctl import threadpool_limits

import nctheory as nct
from benchmarks.machine import describe
from nctheory.landscape._starts import search_starts
from nctheory.problems import size

TOLERANCE = 1e-10
# (widths, counts, starts of the engine, starts of the loop): about 50, 200 and 1,000 parameters.
JOBS = (
    ((3, 3, 3), (4, 3, 3), 6000, 60),
    ((5, 5, 5), (10, 8, 6, 4, 2), 1500, 24),
    ((10, 10, 10), (12, 11, 10, 9, 8, 8, 7, 6, 5, 4), 66, 6),
)


@dataclass
class Rate:
    """One side of one job."""

    critical: int
    types: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Critical points, classified, per second."""
        return self.critical / self.seconds


def problem_of(widths: tuple[int, ...], counts: tuple[int, ...]) -> nct.problems.DeepLinear:
    """A squared-error chain with all directions below their spinodals."""
    decay = (0.02,) * len(widths)
    return nct.deep_linear(widths=widths, counts=counts, loss="mse", weight_decay=decay)


def ours(problem: nct.problems.DeepLinear, starts: int) -> Callable[[int], Rate]:
    """`nct.census`, which also groups the ends by type and classifies each type off the gauge."""

    def run(key: int) -> Rate:
        begin = time.perf_counter()
        found = nct.census(problem, starts, key)
        return Rate(found.critical, len(np.unique(np.round(found.value, 7))), time.perf_counter() - begin)

    return run


def loop(problem: nct.problems.DeepLinear, starts: int, exact: bool) -> Callable[[int], Rate]:
    """SciPy from each start: with the `exact` Hessian, or as it comes, with differences of gradients (MINPACK's hybrid)."""

    def objective(vector: jax.Array) -> jax.Array:
        return jnp.asarray(problem.objective(nct.problems.unravel(problem, vector)))

    value, gradient, hessian = jax.jit(objective), jax.jit(jax.grad(objective)), jax.jit(jax.hessian(objective))

    def run(key: int) -> Rate:
        points = np.asarray(search_starts(problem, jax.random.key(key), jnp.arange(starts), 1))
        begin, values = time.perf_counter(), []
        for point in points:
            if exact:
                end = root(
                    lambda x: np.asarray(gradient(x)),
                    point,
                    jac=lambda x: np.asarray(hessian(x)),
                    method="lm",
                    tol=1e-14,
                )
            else:
                end = root(lambda x: np.asarray(gradient(x)), point, tol=1e-14)
            if np.linalg.norm(np.asarray(gradient(end.x))) <= TOLERANCE:
                np.linalg.eigvalsh(np.asarray(hessian(end.x)))
                values.append(float(value(end.x)))
        return Rate(len(values), len(np.unique(np.round(values, 7))), time.perf_counter() - begin)

    return run


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="a loop without the exact Hessian")
    args = parser.parse_args()
    repeats, exact = args.repeats, not args.plain
    jax.config.update("jax_enable_x64", True)
    print(", ".join(f"{name} {value}" for name, value in describe().items()))
    print(
        "parameters  engine: critical/s  types  of starts | loop: critical/s  types  of starts | ratio (least to most)"
    )
    for widths, counts, starts, few in JOBS:
        problem = problem_of(widths, counts)
        sides = (ours(problem, starts), loop(problem, few, exact))
        rates: tuple[list[Rate], list[Rate]] = ([], [])
        with threadpool_limits(1, user_api="blas"):
            for side in sides:
                side(0)
            for key in range(1, repeats + 1):  # interleaved
                for side, into in zip(sides, rates, strict=True):
                    into.append(side(key))
        a, b = (statistics.median(rate.per_second for rate in side) for side in rates)
        ratios = [x.per_second / max(y.per_second, 1e-12) for x, y in zip(*rates, strict=True)]
        print(
            f"{size(problem):10d} {a:19.4g} {rates[0][-1].types:6d} {rates[0][-1].critical:5d}/{starts:<5d}|"
            f"{b:18.4g} {rates[1][-1].types:6d} {rates[1][-1].critical:5d}/{few:<5d}| {a / b:.3g} "
            f"({min(ratios):.3g} to {max(ratios):.3g})"
        )


if __name__ == "__main__":
    main()
