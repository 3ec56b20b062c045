r"""The number of local minima of cross-entropy on spheres by temperature, number of classes and dimension: table and picture.

Run as ``python -m proofs_numeric.spheres.minima_count --out sphere-minima.png``.

Random starts are followed along the gradient flow to their ends. These are grouped into types up to rotations and relabelling,
and those count whose Hessian across lengths and rotations is positive definite. What no start reached is not counted: the
numbers are observed, and are lower bounds. Values differ by some $e^{-3\tau/2}$, so that $\tau$ ends at 12.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nctheory as nct
from nctheory.engine import float64, whole_number
from proofs_numeric.spheres.orthoplex import open_spheres

STRENGTHS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0)
"""The tau of the columns (conventional; the fold of three classes in the plane lies at 9.07)."""
MOST = 8
"""The most classes (conventional)."""
DIMS = (2, 3, 4)
SEEDS = 128
"""Starts of each cell (conventional: a basin of a twentieth of them is missed once in seven hundred)."""


HEADING = ("| d | K | " + " | ".join(f"{x:g}" for x in STRENGTHS) + " |", "|---|---|" + "---|" * len(STRENGTHS))


class Cell(NamedTuple):
    """What was seen of K classes in d dimensions at one tau."""

    classes: int
    dim: int
    strength: float
    minima: int
    """The number of types of ends with positive curvature."""
    degenerate: int
    """The number of types of ends with curvature that is not told from zero."""
    best: float
    """The share of starts that ended at the least value."""


@float64
def count(classes: int, dim: int, strength: float, seeds: int = SEEDS, key: int = 0) -> Cell:
    """Count the types of minima that random starts end in.

    Raises ValueError, naming the argument, for numbers that are too small.

    >>> [count(3, 2, tau, seeds=64).minima for tau in (4.0, 10.0)]
    [1, 2]
    """
    for name, value, least in (("classes", classes, 2), ("dim", dim, 2), ("seeds", seeds, 1)):
        whole_number(name, value, least=least)
    if not strength > 0:
        raise ValueError(f"strength: expected a number above 0, got {strength}")
    problem = open_spheres(classes, dim, 1, float(strength))
    ends = nct.solve(problem, seeds=seeds, key=key, light=True)
    rows = nct.landscape.take_census(problem, ends).rows
    kinds = [row.kind for row in rows]
    best = rows[0].count / seeds if rows else 0.0
    return Cell(classes, dim, float(strength), kinds.count("minimum"), kinds.count("degenerate"), best)


def counted(most: int, seeds: int, key: int = 0) -> Iterator[Cell]:
    """Yield all cells: in every dimension the classes from d+1 on, of which a simplex has room."""
    for dim in DIMS:
        for classes in range(dim + 1, most + 1):
            for strength in STRENGTHS:
                yield count(classes, dim, strength, seeds, key)


def table(cells: list[Cell]) -> Iterator[str]:
    """Yield one line for each dimension and number of classes; what is not told from zero is added with a +."""
    yield from HEADING
    for dim, classes in sorted({(one.dim, one.classes) for one in cells}):
        yield row_of([one for one in cells if (one.dim, one.classes) == (dim, classes)])


def row_of(cells: list[Cell]) -> str:
    """Return the line of one number of classes in one dimension."""
    told = [f"{one.minima}+{one.degenerate}" if one.degenerate else str(one.minima) for one in cells]
    return f"| {cells[0].dim} | {cells[0].classes} | " + " | ".join(told) + " |"


def draw(cells: list[Cell], path: Path) -> None:
    """Draw the numbers of minima: a panel for each dimension, tau along, classes across."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import BoundaryNorm

    most = max(one.minima for one in cells)
    norm = BoundaryNorm(np.arange(0.5, max(most, 2) + 1.5), 256)
    figure, panels = plt.subplots(1, len(DIMS), figsize=(9.0, 2.8), layout="constrained", sharey=True)
    step = STRENGTHS[1] - STRENGTHS[0]
    for panel, dim in zip(panels, DIMS, strict=True):
        here = [one for one in cells if one.dim == dim]
        numbers = sorted({one.classes for one in here})
        grid = np.full((len(numbers), len(STRENGTHS)), np.nan)
        for one in here:
            at = numbers.index(one.classes), STRENGTHS.index(one.strength)
            grid[at] = one.minima
            dark = one.minima <= 0.5 * most
            panel.text(one.strength, one.classes, str(one.minima), ha="center", va="center", size=7,
                       color="white" if dark else "black")  # fmt: skip
        extent = (STRENGTHS[0] - step / 2, STRENGTHS[-1] + step / 2, numbers[0] - 0.5, numbers[-1] + 0.5)
        panel.imshow(grid, origin="lower", aspect="auto", extent=extent, norm=norm, cmap="viridis")
        panel.set(title=f"{dim} dimensions", xlabel=r"$\tau$")
    # The axes are shared, so that the panel with the most classes names them.
    panels[0].set_yticks(sorted({one.classes for one in cells}))
    panels[0].set_ylabel("classes K")
    panels[0].set_ylim(DIMS[0] + 0.5, max(one.classes for one in cells) + 0.5)
    figure.suptitle("Kinds of local minima that random starts end in", size=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Count, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=MOST, help="the most classes, at least 5")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--key", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file for the picture")
    given = parser.parse_args()
    for name, least in (("classes", max(DIMS) + 1), ("seeds", 1)):
        if getattr(given, name) < least:
            parser.error(f"argument --{name}: expected at least {least}, got {getattr(given, name)}")
    if given.out is not None and not given.out.parent.is_dir():
        parser.error(f"argument --out: there is no folder {given.out.parent}")
    begun = time.perf_counter()
    print("\n".join(HEADING))
    cells: list[Cell] = []
    for one in counted(given.classes, given.seeds, given.key):
        cells.append(one)
        if one.strength == STRENGTHS[-1]:  # a row is complete
            print(row_of(cells[-len(STRENGTHS) :]), flush=True)
    print(f"\n{given.seeds} starts a cell, {time.perf_counter() - begun:.0f} s.")
    if given.out is not None:
        draw(cells, given.out)


if __name__ == "__main__":
    main()
