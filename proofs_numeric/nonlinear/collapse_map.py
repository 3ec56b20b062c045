r"""The map of deep neural collapse behind ReLUs: where it is the best that is known, and where what is better.

For every number of classes and layers, and decays over three decades, networks are brought down from many starts: the
constructions of this chapter side by side in the best way, the best networks of neighbouring cells with a class more or less,
features of low rank, and random ones. It is a search and no proof of optimality: a cell where nothing was found says how much
was tried. Every network that is reported is evaluated again by a forward pass in plain NumPy.

    python -m proofs_numeric.nonlinear.collapse_map --out FOLDER

What is found is saved after every class and depth, and the same command goes on from there.

Balanced classes with one sample each, equal decays of all factors, squared error. Decays are relative to the one at which
neural collapse costs as much as zero.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nctheory as nct
from proofs_numeric.nonlinear.low_rank import Network, objective, strength_at, value_at
from proofs_numeric.nonlinear.map_cells import brought_down, filled, starts_of
from proofs_numeric.nonlinear.map_picture import draw

CLASSES, DEPTHS = range(2, 13), range(2, 9)
DECAYS = (0.95, 0.1, 1e-2, 1e-3)
"""Relative to the onset of neural collapse, over three decades; networks found at one start the next."""
SEARCHED = 0.1
"""Relative decays from here on are searched from all starts, weaker ones from what was found at these."""
LOWER = 1e-6
"""A network lies below neural collapse where its value does by more than this part of it (conventional: above what is left
where the descent stops)."""


class Cell(NamedTuple):
    """What is known of one cell."""

    classes: int
    depth: int
    decay: float
    """The decay of every factor."""
    relative: float
    value: float
    collapse: float
    """The value of neural collapse, or of zero where that is lower."""
    origin: str
    """What the best network was brought down from."""
    starts: int
    network: Network


def onset_decay(classes, depth):
    """Return the decay at which neural collapse costs as much as zero."""
    b = nct.closed_form.onset(depth)
    return float((b / depth) ** (depth / (depth + 1)) / classes)


def collapse_value(classes, depth, lam):
    """Return the value of neural collapse, or 1/2 where zero is lower."""
    return value_at(strength_at(classes * (depth + 1) / 2, depth, lam), depth)


class Budget(NamedTuple):
    """How much is spent on a cell."""

    long: int = 6000
    """Evaluations of a descent from a construction or from a neighbour's network, three of which follow each other."""
    short: int = 2000
    """Those of a descent from a structured or a random start, two of which follow each other."""
    passes: int = 2
    """How often all classes are gone through; from the second time on classes with one more are known too."""


def explore(classes, depth, relative, known, rng, first, budget=Budget()):
    """Return the cell: the best of all starts, brought down."""
    lam, value, origin, number = relative * onset_decay(classes, depth), np.inf, "", 0
    best: list[np.ndarray] = []
    for name, start in starts_of(classes, depth, known, rng, first):
        factors = filled(start, classes, depth) if isinstance(start, Network) else start
        if factors is None:
            continue
        number += 1
        long = isinstance(start, Network)
        found = brought_down(factors, lam, rng, *((3, budget.long) if long else (2, budget.short)))
        reached = objective(found, lam)
        if reached < value * (1 - 1e-9):
            value, origin, best = reached, name, found
    return Cell(
        classes, depth, lam, relative, value, collapse_value(classes, depth, lam), origin, number,
        Network(best[0], tuple(best[1:])),
    )  # fmt: skip


def last_decay(cell, rng, evaluations=2000):
    """Return the decay, relative to the onset, up to which the network of a cell, followed, costs less than zero."""
    factors, relative = list(cell.network.factors), cell.relative
    step, onset = 0.01, onset_decay(cell.classes, cell.depth)
    while step > 3e-4:
        ahead = brought_down(factors, (relative + step) * onset, rng, 1, evaluations)
        if objective(ahead, (relative + step) * onset) < 0.5 - 1e-9:
            factors, relative = ahead, relative + step
        else:
            step /= 2
    return relative


def earlier(folders, depth):
    """Return the best networks, relative to neural collapse, of maps that were saved before, with their names, by classes."""
    best = {}
    for folder in map(Path, folders):
        networks = np.load(folder / "networks.npz")
        for row in json.loads((folder / "map.json").read_text())["cells"]:
            if row["layers"] == depth and row["ratio"] < best.get(row["classes"], (np.inf,))[0]:
                name = name_of(row["classes"], depth, row["relative decay"])
                factors = [networks[f"{name}-{i}"] for i in range(depth + 1)]
                best[row["classes"]] = (row["ratio"], Network(factors[0], tuple(factors[1:])), row["from"])
    return {classes: found[1:] for classes, found in best.items()}


def run(out, classes=CLASSES, depths=DEPTHS, seconds=np.inf, begin=(), budget=Budget()):
    """Explore all cells, some times over so that neighbours start each other, and save what is found after every column.

    A column are the decays of one number of classes at one depth. A folder `out` that has a map already is gone on from: its
    columns that are done are not done again. Maps in the folders `begin` give starts, and structured and random ones are left
    out then.
    """
    out, began = Path(out), time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    cells, limits, done = loaded(out)
    for depth in depths:
        known = earlier(begin, depth)
        known |= {k: (c.network, c.origin) for (k, d, _), c in cells.items() if d == depth}
        for pass_ in range(budget.passes):
            for number in classes:
                if done.get((number, depth), 0) > pass_:
                    continue
                if time.perf_counter() - began > seconds:
                    return cells, limits
                rng = np.random.default_rng([number, depth, pass_])
                for relative in DECAYS:
                    first = pass_ == 0 and relative >= SEARCHED and not begin
                    cell = explore(number, depth, relative, known, rng, first, budget)
                    at = (number, depth, relative)
                    kept = cells.get(at, cell._replace(value=np.inf, starts=0))
                    cells[at] = (cell if cell.value < kept.value else kept)._replace(starts=kept.starts + cell.starts)
                    known[number] = (cells[at].network, cells[at].origin)
                if pass_ == budget.passes - 1:
                    strongest = cells[number, depth, DECAYS[0]]
                    limits[number, depth] = last_decay(strongest, np.random.default_rng(0), budget.short)
                done[number, depth] = pass_ + 1
                save(out, cells, limits, done)
                found = [cells[number, depth, relative] for relative in DECAYS]
                shown = ", ".join(f"{cell.value / cell.collapse:.4f}" for cell in found)
                zero = limits.get((number, depth), np.nan)
                print(f"L = {depth}, K = {number}: {shown}; {found[1].origin}; zero {zero:.4f}", flush=True)
    return cells, limits


def loaded(folder):
    """Return the cells, evaluated anew, thresholds and finished passes of the map of a folder; none where there is no map."""
    if not (folder / "map.json").exists():
        return {}, {}, {}
    table, networks = json.loads((folder / "map.json").read_text()), np.load(folder / "networks.npz")
    cells = {}
    for row in table["cells"]:
        classes, depth, relative = row["classes"], row["layers"], row["relative decay"]
        factors = [networks[f"{name_of(classes, depth, relative)}-{i}"] for i in range(depth + 1)]
        cells[classes, depth, relative] = Cell(
            classes, depth, row["decay"], relative, objective(factors, row["decay"]), row["neural collapse"], row["from"],
            row["starts"],
            Network(factors[0], tuple(factors[1:])),
        )  # fmt: skip
    limits = {(row["classes"], row["layers"]): row["zero beyond"] for row in table["thresholds"]}
    done = {(row["classes"], row["layers"]): row["passes"] for row in table.get("done", [])}
    return cells, limits, done


def name_of(classes, depth, relative):
    """Return the name of a cell's network."""
    return f"K{classes}-L{depth}-{relative:g}"


def save(out, cells, limits, done):
    """Write the table as JSON and the networks as NPZ, each to a file beside and then in its place."""
    rows = [
        {
            "classes": c.classes, "layers": c.depth, "relative decay": c.relative, "decay": c.decay, "value": c.value,
            "neural collapse": c.collapse, "ratio": c.value / c.collapse, "below": c.value < c.collapse * (1 - LOWER),
            "from": c.origin, "starts": c.starts,
        }
        for c in cells.values()
    ]  # fmt: skip
    thresholds = [{"classes": k, "layers": d, "zero beyond": one} for (k, d), one in limits.items()]
    passes = [{"classes": k, "layers": d, "passes": one} for (k, d), one in done.items()]
    arrays = {
        f"{name_of(c.classes, c.depth, c.relative)}-{i}": factor.astype(np.float64)
        for c in cells.values()
        for i, factor in enumerate(c.network.factors)
    }
    # The networks come first: a table never speaks of one that is not there.
    np.savez_compressed(out / "networks.new.npz", **arrays)
    (out / "networks.new.npz").replace(out / "networks.npz")
    text = json.dumps({"cells": rows, "thresholds": thresholds, "done": passes}, indent=1)
    (out / "map.json.new").write_text(text)
    (out / "map.json.new").replace(out / "map.json")


def check(folder):
    """Evaluate every saved network again, and return the largest difference from the table."""
    folder = Path(folder)
    table, networks = json.loads((folder / "map.json").read_text()), np.load(folder / "networks.npz")
    off = 0.0
    for row in table["cells"]:
        name = name_of(row["classes"], row["layers"], row["relative decay"])
        factors = [networks[f"{name}-{i}"] for i in range(row["layers"] + 1)]
        off = max(off, abs(objective(factors, row["decay"]) - row["value"]))
    return off


def main(arguments=None):
    """Run the map from the command line."""
    parser = argparse.ArgumentParser(
        description="Explore where deep neural collapse behind ReLUs is the best that is known."
    )
    parser.add_argument("--out", required=True, help="the folder that the table and the networks are written to")
    parser.add_argument("--classes", type=int, nargs="+", default=list(CLASSES))
    parser.add_argument("--layers", type=int, nargs="+", default=list(DEPTHS))
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop after so many")
    for name, told in (("long", "a start from a network"), ("short", "another start"), ("passes", "")):
        what = f"evaluations of a descent from {told}" if told else "how often all classes are gone through"
        parser.add_argument(
            f"--{name}", type=int, default=getattr(Budget(), name), help=f"{what} (default %(default)s)"
        )
    parser.add_argument("--begin", nargs="+", default=(), help="folders of earlier maps, whose networks are starts")
    parser.add_argument("--picture", help="draw the map to this file")
    options = parser.parse_args(arguments)
    budget = Budget(options.long, options.short, options.passes)
    if min(budget) < 1:
        parser.error(f"--long, --short and --passes: expected whole numbers of at least 1, got {tuple(budget)}")
    run(options.out, options.classes, options.layers, options.seconds, options.begin, budget)
    if options.picture:
        draw(options.out, options.picture)
    print(f"largest difference of a network evaluated again: {check(options.out):.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
