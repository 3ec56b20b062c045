r"""The critical points of small codes, by index, with their symmetry groups, and whether topology says that all were found.

Run as ``python -m proofs_numeric.spheres.code_census --vectors 6 --dim 3``; with ``--up-to`` one line for each number of
vectors and each dimension up to the given ones.

The energy $\sum_{i\ne j}e^{\beta\langle u_i,u_j\rangle}$ is a function on the product M of m spheres that rotations leave as
it is. A type whose Gram matrix s relabellings leave as it is stands for m!/s Gram matrices. Each is that of two orbits of
rotations, mirror images, where the vectors span the whole of space, and of one otherwise. With $c_\lambda$ the number of
orbits of index $\lambda$, if no critical orbit is degenerate:

- In the plane the orbits are points of a torus of dimension m-1, and $\sum_\lambda(-1)^\lambda c_\lambda=0$.
- In space let A count the orbits that are no line, and B those that are (k vectors one way, m-k the other), which a circle of
  rotations leaves where they are. By Morse theory in the rational cohomology of $M\times_{SO(3)}ESO(3)$ (Atiyah and Bott 1983,
  number unchecked), $A(t)+\frac{B(t)}{1-t^2}-\frac{(1+t^2)^m}{1-t^4}=(1+t)Q(t)$ with coefficients of Q that are not negative.
  The indices in B are even, because the circle turns the directions off the line. So in high degrees nothing is odd, Q is a
  polynomial, and at $t=-1$ the constant terms agree: $\sum_\lambda(-1)^\lambda a_\lambda=\frac12\sum_\lambda\lambda
  b_\lambda-(m-1)2^{m-2}$ (own form). The $b_\lambda$ are those of codes that are written down, not found.

A sum that is right proves no census complete, because types of both signs may be missing; one that is wrong proves it
incomplete.
"""

import argparse
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

import nctheory as nct
from nctheory.engine import whole_number

SAME = 1e-5
"""Inner products of a critical point that differ by at most this are equal (measured: census points are closer by far)."""
FLAT = 1e-6
"""Singular values of unit vectors up to this are zero (measured, as above)."""
MOST_VECTORS, MOST_DIM = 10, 4
"""The largest codes of the command (conventional: all relabellings of equal vectors, m!, are listed)."""


class Type(NamedTuple):
    """One type of critical code, up to rotations, reflections and relabellings."""

    index: int
    nullity: int
    value: float
    span: int
    """The dimension that the vectors span."""
    order: int
    """The number of relabellings that leave the Gram matrix as it is."""
    grams: int
    """The number of different Gram matrices, m! over the order."""
    starts: int
    """The number of starts that ended there."""


class CodeCensus(NamedTuple):
    """The types found, and both sides of the topological sum."""

    vectors: int
    dim: int
    types: tuple[Type, ...]
    unseen: float
    """The estimate of the number of types not found (`CensusResult.unseen`)."""
    found: int
    """The alternating sum over the orbits that were found and are no line (in the plane: over all)."""
    needed: int | None
    """What it must be if all were found; None in four dimensions or more, or where one type is degenerate."""

    def line(self) -> str:
        """Return the code's line of the overview."""
        said = "-" if self.needed is None else f"{self.found} of {self.needed}"
        indices = " ".join(str(sum(one.index == k for one in self.types)) for k in range(1 + max(self.indices())))
        return f"| {self.vectors} | {self.dim} | {len(self.types)} | {indices} | {self.unseen:.1f} | {said} |"

    def indices(self) -> list[int]:
        """Return the index of each type."""
        return [one.index for one in self.types]


def code(vectors: int, dim: int, sharpness: float = 1.0) -> nct.problems.Problem:
    """Build the code."""
    return nct.problems.unit_vectors(nct.problems.exponential_energy(vectors=vectors, sharpness=sharpness), dim=dim)


def take(vectors: int, dim: int, starts: int, sharpness: float = 1.0, key: int = 0) -> CodeCensus:
    """Search for the critical points of one code.

    Raises ValueError, naming the argument, for fewer than two vectors or dimensions, more than `MOST_VECTORS` or no starts.

    >>> found = take(3, 2, starts=40)
    >>> [(one.index, one.span, one.order, one.grams) for one in found.types], found.found, found.needed
    ([(0, 2, 6, 1), (1, 1, 2, 3), (2, 1, 6, 1)], 0, 0)
    """
    whole_number("vectors", vectors, least=2)
    if vectors > MOST_VECTORS:
        raise ValueError(f"vectors: expected at most {MOST_VECTORS}, got {vectors}")
    problem = code(vectors, dim, sharpness)
    result = nct.census(problem, starts=starts, key=key)
    types = []
    with jax.enable_x64(True):
        for row in result.rows:
            units = np.asarray(problem.directions(row.params))
            span = int(np.sum(np.linalg.svd(units, compute_uv=False) > FLAT))
            order = nct.landscape.relabellings(units @ units.T, SAME, most=math.factorial(vectors))
            grams = math.factorial(vectors) // order
            types.append(Type(row.index, row.nullity, float(row.value), span, order, grams, row.count))
    types.sort(key=lambda one: (one.index, one.value))
    return CodeCensus(vectors, dim, tuple(types), result.unseen, *sums(types, problem))


def sums(types: list[Type], problem: nct.problems.Problem) -> tuple[int, int | None]:
    """Return the alternating sum over the types found, and what it must be, or None where that is not known."""
    vectors, dim = problem.vectors, problem.dim
    counted = [one for one in types if dim == 2 or one.span > 1]
    found = sum((-1) ** one.index * one.grams * (2 if one.span == dim else 1) for one in counted)
    if dim > 3 or any(one.nullity for one in types):
        return found, None
    if dim == 2:
        return found, 0
    lines = [(number, index) for number, index, nullity in on_a_line(problem) if nullity == 0]
    if len(lines) < 1 + vectors // 2:
        return found, None
    return found, sum(number * index for number, index in lines) // 2 - (vectors - 1) * 2**vectors // 4


def on_a_line(problem: nct.problems.Problem) -> list[tuple[int, int, int]]:
    """Return, of codes with k vectors one way and the others the other way, how many there are, the index and the nullity."""
    vectors, listed = problem.vectors, []
    for back in range(1 + vectors // 2):
        point = np.zeros((vectors, problem.dim))
        point[:, 0] = np.where(np.arange(vectors) < back, -1.0, 1.0)
        report = nct.hessian_report(problem, point)
        number = math.comb(vectors, back) // (2 if 2 * back == vectors else 1)
        listed.append((number, report.index, report.nullity))
    return listed


def lines(census: CodeCensus) -> Iterator[str]:
    """Yield the table of one code."""
    yield "| index | value | vectors span | order of the group | Gram matrices | starts |"
    yield "|---|---|---|---|---|---|"
    for one in census.types:
        degenerate = f" (and {one.nullity} zero)" if one.nullity else ""
        yield f"| {one.index}{degenerate} | {one.value:.8f} | {one.span} | {one.order} | {one.grams} | {one.starts} |"


HEADING = (
    "| vectors | dimension | types | by index 0, 1, … | not met, estimate | alternating sum |",
    "|---|---|---|---|---|---|",
)


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=6, help="m")
    parser.add_argument("--dim", type=int, default=3, help="d")
    parser.add_argument("--starts", type=int, default=2000)
    parser.add_argument("--sharpness", type=float, default=1.0, help="beta")
    parser.add_argument("--key", type=int, default=0)
    parser.add_argument(
        "--up-to", action="store_true", help="all numbers of vectors from 3, and dimensions from 2, up to these"
    )
    given = parser.parse_args()
    for name, least, most in (("vectors", 2, MOST_VECTORS), ("dim", 2, MOST_DIM), ("starts", 1, None)):
        told = getattr(given, name)
        if told < least or (most is not None and told > most):
            parser.error(
                f"argument --{name}: expected at least {least}{f' and at most {most}' if most else ''}, got {told}"
            )
    if not given.sharpness > 0:
        parser.error(f"argument --sharpness: expected a number above 0, got {given.sharpness}")
    begun = time.perf_counter()
    if given.up_to:
        print("\n".join(HEADING))
        for vectors in range(3, given.vectors + 1):
            for dim in range(2, min(given.dim, vectors - 1) + 1):
                print(take(vectors, dim, given.starts, given.sharpness, given.key).line(), flush=True)
    else:
        census = take(given.vectors, given.dim, given.starts, given.sharpness, given.key)
        print("\n".join([*lines(census), "", *HEADING, census.line()]))
    print(f"\n{given.starts} starts each, {time.perf_counter() - begun:.0f} s.")


if __name__ == "__main__":
    main()
