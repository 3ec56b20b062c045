r"""The map of deep neural collapse behind ReLUs: where it is the best that is known, and where what is better.

For every number of classes and layers, and decays over three decades, networks are brought down from many starts: the
constructions of this chapter side by side in the best way, the best networks of neighbouring cells with a class more or less,
features of low rank, and random ones. It is a search and no proof of optimality: a cell where nothing was found says how much
was tried. Every network that is reported is evaluated again by a forward pass in plain NumPy.

    python -m proofs_numeric.nonlinear.collapse_map --out FOLDER

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


def explore(classes, depth, relative, known, rng, first):
    """Return the cell: the best of all starts, brought down."""
    lam, value, origin, number = relative * onset_decay(classes, depth), np.inf, "", 0
    best: list[np.ndarray] = []
    for name, start in starts_of(classes, depth, known, rng, first):
        factors = filled(start, classes, depth) if isinstance(start, Network) else start
        if factors is None:
            continue
        number += 1
        long = isinstance(start, Network)
        found = brought_down(factors, lam, rng, *((3, 6000) if long else (2, 2000)))
        reached = objective(found, lam)
        if reached < value * (1 - 1e-9):
            value, origin, best = reached, name, found
    return Cell(
        classes, depth, lam, relative, value, collapse_value(classes, depth, lam), origin, number,
        Network(best[0], tuple(best[1:])),
    )  # fmt: skip


def last_decay(cell, rng):
    """Return the decay, relative to the onset, up to which the network of a cell, followed, costs less than zero."""
    factors, relative = list(cell.network.factors), cell.relative
    step, onset = 0.01, onset_decay(cell.classes, cell.depth)
    while step > 3e-4:
        ahead = brought_down(factors, (relative + step) * onset, rng, rounds=1)
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
                name = f"K{row['classes']}-L{depth}-{row['relative decay']:g}"
                factors = [networks[f"{name}-{i}"] for i in range(depth + 1)]
                best[row["classes"]] = (row["ratio"], Network(factors[0], tuple(factors[1:])), row["from"])
    return {classes: found[1:] for classes, found in best.items()}


def run(out, classes=CLASSES, depths=DEPTHS, seconds=np.inf, begin=()):
    """Explore all cells, twice over so that neighbours start each other, and save what is found after every depth.

    Maps in the folders `begin` are gone on from, without structured and random starts.
    """
    out, began = Path(out), time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    cells, limits = {}, {}
    for depth in depths:
        known = earlier(begin, depth)
        for pass_ in range(2):
            for number in classes:
                rng = np.random.default_rng([number, depth])
                for relative in DECAYS:
                    if time.perf_counter() - began > seconds:
                        return cells, limits
                    cell = explore(
                        number, depth, relative, known, rng, pass_ == 0 and relative >= SEARCHED and not begin
                    )
                    at = (number, depth, relative)
                    if at not in cells or cell.value < cells[at].value:
                        starts = cell.starts + (cells[at].starts if at in cells else 0)
                        cells[at] = cell._replace(starts=starts)
                    else:
                        cells[at] = cells[at]._replace(starts=cells[at].starts + cell.starts)
                    known[number] = (cells[at].network, cells[at].origin)
        for number in classes:
            limits[number, depth] = last_decay(cells[number, depth, DECAYS[0]], np.random.default_rng(0))
            found = [cells[number, depth, relative] for relative in DECAYS]
            shown = ", ".join(f"{cell.value / cell.collapse:.4f}" for cell in found)
            print(
                f"L = {depth}, K = {number}: {shown}; {found[1].origin}; zero {limits[number, depth]:.4f}", flush=True
            )
        save(out, cells, limits)
    return cells, limits


def save(out, cells, limits):
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
    text = json.dumps({"cells": rows, "thresholds": thresholds}, indent=1)
    (out / "map.json.new").write_text(text)
    (out / "map.json.new").replace(out / "map.json")
    arrays = {
        f"K{c.classes}-L{c.depth}-{c.relative:g}-{i}": factor.astype(np.float64)
        for c in cells.values()
        for i, factor in enumerate(c.network.factors)
    }
    np.savez_compressed(out / "networks.new.npz", **arrays)
    (out / "networks.new.npz").replace(out / "networks.npz")


def check(folder):
    """Evaluate every saved network again, and return the largest difference from the table."""
    folder = Path(folder)
    table, networks = json.loads((folder / "map.json").read_text()), np.load(folder / "networks.npz")
    off = 0.0
    for row in table["cells"]:
        name = f"K{row['classes']}-L{row['layers']}-{row['relative decay']:g}"
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
    parser.add_argument("--begin", nargs="+", default=(), help="folders of earlier maps, whose networks are starts")
    parser.add_argument("--picture", help="draw the map to this file")
    options = parser.parse_args(arguments)
    run(options.out, options.classes, options.layers, options.seconds, options.begin)
    if options.picture:
        draw(options.out, options.picture)
    print(f"largest difference of a network evaluated again: {check(options.out):.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
