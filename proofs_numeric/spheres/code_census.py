r"""The critical points of small codes, by index, with their symmetry groups, and whether topology says that all were found.

Run as ``python -m proofs_numeric.spheres.code_census --vectors 6 --dim 3``; with ``--up-to`` one line for each number of
vectors and each dimension up to the given ones.

The energy $f=\sum_{i\ne j}e^{\beta\langle u_i,u_j\rangle}$ is a function on $E_{m,d}$, the space of m x m Gram matrices of
rank at most d with a unit diagonal, which is the product of m spheres modulo O(d). A type whose Gram matrix s relabellings
leave as it is stands for m!/s points of it. Vectors that span s dimensions are left alone by the rotations O(p) of the other
p = d - s, and their directions of negative curvature are $\mathbb R^a\oplus(\mathbb R^p)^k$: a of them within the span, and
the index is a + pk. As c passes the value there, the set of all matrices with $f\le c$ gains, up to homotopy, a cell modulo
O(p), $\mathbb R^a$ times the cone of positive semidefinite k x k matrices of rank at most p. Its Euler characteristic with
compact support is $(-1)^a\sum_{r\le\min(p,k)}(-1)^{r(r+1)/2}\chi(\mathrm{Gr}(r,k))$. Where no critical point is degenerate,
these add up, over all critical Gram matrices, to $\chi(E_{m,d})=\sum_j\binom{m-1}j2^{m-1-j}(-1)^j\chi(E_{j,d-1})$, where
$E_{0,d}$ is one point and $E_{j,1}$ are $2^{j-1}$ points (own form; Morse theory on quotients: Goresky and MacPherson 1988,
number unchecked).

A sum that is right proves no census complete, because what is missing may cancel; one that is wrong proves it incomplete.
"""

import argparse
import functools
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
    within: int
    """a, the index of the same vectors in the space that they span."""
    order: int
    """The number of relabellings that leave the Gram matrix as it is."""
    grams: int
    """The number of different Gram matrices, m! over the order."""
    starts: int
    """The number of starts that ended there; 0 for vectors on a line that none met, which are added."""


class CodeCensus(NamedTuple):
    """The types found, and both sides of the topological sum."""

    vectors: int
    dim: int
    types: tuple[Type, ...]
    unseen: float
    """The estimate of the number of types not found (`CensusResult.unseen`)."""
    found: int
    """The sum of Euler characteristics over the critical Gram matrices that were found."""
    needed: int | None
    """What it must be if all were found; None where one type is degenerate."""

    def line(self) -> str:
        """Return the code's line of the overview."""
        said = "-" if self.needed is None else f"{self.found} of {self.needed}"
        indices = " ".join(str(sum(one.index == k for one in self.types)) for k in range(1 + max(self.indices())))
        return f"| {self.vectors} | {self.dim} | {len(self.types)} | {indices} | {self.unseen:.1f} | {said} |"

    def indices(self) -> list[int]:
        """Return the index of each type."""
        return [one.index for one in self.types]


def code(vectors: int, dim: int, sharpness: float = 1.0) -> nct.problems.UnitVectors:
    """Build the code."""
    return nct.problems.unit_vectors(nct.problems.exponential_energy(vectors=vectors, sharpness=sharpness), dim=dim)


def take(vectors: int, dim: int, starts: int, sharpness: float = 1.0, key: int = 0) -> CodeCensus:
    """Search for the critical points of one code.

    Codes on a line, which always are critical, are added where no start met them. Raises ValueError, naming the argument, for
    fewer than two vectors or dimensions, more than `MOST_VECTORS` or no starts.

    >>> found = take(3, 2, starts=40)
    >>> [(one.index, one.span, one.order, one.grams) for one in found.types], found.found, found.needed
    ([(0, 2, 6, 1), (1, 1, 2, 3), (2, 1, 6, 1)], 2, 2)
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
            within = index_within(units, span, sharpness) if span < dim else row.index
            types.append(Type(row.index, row.nullity, float(row.value), span, within, order, grams, row.count))
        types += [one for one in on_a_line(problem) if not any(same_line(one, other) for other in types)]
    types.sort(key=lambda one: (one.index, one.value))
    found = sum(one.grams * euler_of(one, dim) for one in types)
    known = not any(one.nullity for one in types)
    return CodeCensus(vectors, dim, tuple(types), result.unseen, found, euler_of_grams(vectors, dim) if known else None)


def on_a_line(problem: nct.problems.UnitVectors) -> list[Type]:
    """Return the codes with k vectors one way and the others the other way, which always are critical and seldom met."""
    vectors, listed = problem.vectors, []
    for back in range(1 + vectors // 2):
        point = np.zeros((vectors, problem.dim))
        point[:, 0] = np.where(np.arange(vectors) < back, -1.0, 1.0)
        report, value = nct.hessian_report(problem, point), float(problem.objective(point))
        grams = math.comb(vectors, back) // (2 if 2 * back == vectors else 1)
        listed.append(Type(report.index, report.nullity, value, 1, 0, math.factorial(vectors) // grams, grams, 0))
    return listed


def same_line(one: Type, other: Type) -> bool:
    """Tell whether two codes on a line are one type: those of other numbers have other groups."""
    return one.span == other.span and one.order == other.order


def index_within(units: np.ndarray, span: int, sharpness: float) -> int:
    """Return the index of unit vectors, one a row, in the space that they span; on a line nothing can be moved."""
    if span == 1:
        return 0
    inside = units @ np.linalg.svd(units)[2][:span].T
    return nct.hessian_report(code(len(units), span, sharpness), inside).index


def euler_of(one: Type, dim: int) -> int:
    r"""Return $(-1)^a\sum_{r\le\min(p,k)}(-1)^{r(r+1)/2}\chi(\mathrm{Gr}(r,k))$ of a critical Gram matrix.

    Raises ValueError where the index outside of the span is no multiple of the number p of dimensions there.
    """
    across = dim - one.span
    copies, left = divmod(one.index - one.within, across) if across else (0, one.index - one.within)
    if left:
        raise ValueError(f"one: expected an index a + {across} k with a = {one.within}, got {one.index}")
    terms = (euler_of_subspaces(r, copies) * (-1) ** (r * (r + 1) // 2) for r in range(min(across, copies) + 1))
    return (-1) ** one.within * sum(terms)


def euler_of_subspaces(rank: int, size: int) -> int:
    """Return the Euler characteristic of the subspaces of a dimension in real space, the binomial of Gauss at -1."""
    return 0 if rank % 2 and size % 2 == 0 else math.comb(size // 2, rank // 2)


@functools.cache
def euler_of_grams(vectors: int, dim: int) -> int:
    r"""Return $\chi(E_{m,d})$, by the height of the others over the first vector and their directions across it.

    >>> [euler_of_grams(m, 2) for m in (2, 3, 4)], [euler_of_grams(m, 3) for m in (3, 4)]
    ([1, 2, 4], [1, 0])
    """
    if vectors == 0:
        return 1
    if dim == 1:
        return 2 ** (vectors - 1)
    others = vectors - 1
    return sum(
        math.comb(others, j) * 2 ** (others - j) * (-1) ** j * euler_of_grams(j, dim - 1) for j in range(vectors)
    )


def lines(census: CodeCensus) -> Iterator[str]:
    """Yield the table of one code."""
    yield "| index | value | vectors span | order of the group | Gram matrices | starts |"
    yield "|---|---|---|---|---|---|"
    for one in census.types:
        degenerate = f" (and {one.nullity} zero)" if one.nullity else ""
        yield f"| {one.index}{degenerate} | {one.value:.8f} | {one.span} | {one.order} | {one.grams} | {one.starts} |"


HEADING = (
    "| vectors | dimension | types | by index 0, 1, … | not met, estimate | sum of Euler characteristics |",
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
