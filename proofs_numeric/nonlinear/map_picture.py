"""The picture of the map: what is best known relative to neural collapse, and where zero takes over."""

import json
from pathlib import Path

import numpy as np

WEAK = 0.01
"""The relative decay whose cells are drawn."""


def tables(folder):
    """Return classes, layers, the ratio of the best network to neural collapse, and the decay of zero, rows the layers."""
    table = json.loads((Path(folder) / "map.json").read_text())
    classes = sorted({row["classes"] for row in table["cells"]})
    layers = sorted({row["layers"] for row in table["cells"]})
    ratio, zero = np.full((2, len(layers), len(classes)), np.nan)
    for row in table["cells"]:
        if row["relative decay"] == WEAK:
            ratio[layers.index(row["layers"]), classes.index(row["classes"])] = row["ratio"]
    for row in table["thresholds"]:
        zero[layers.index(row["layers"]), classes.index(row["classes"])] = row["zero beyond"]
    return classes, layers, ratio, zero


def draw(folder, path):
    """Draw both tables side by side, each cell with its number."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    classes, layers, ratio, zero = tables(folder)
    panels = (
        (ratio, f"best known / neural collapse, at {WEAK:g} of the onset", "viridis", 3),
        (zero, "decay beyond which zero is best, of the linear chain's", "viridis_r", 3),
    )
    figure, axes = plt.subplots(1, 2, figsize=(12, 0.42 * len(layers) + 1.4), layout="constrained")
    for axis, (values, title, colours, digits) in zip(axes, panels, strict=True):
        axis.imshow(values, cmap=colours, aspect="auto", origin="lower")
        axis.set_xticks(range(len(classes)), classes)
        axis.set_yticks(range(len(layers)), layers)
        axis.set_xlabel("classes K")
        axis.set_ylabel("layers L")
        axis.set_title(title, fontsize=10)
        low, high = np.nanmin(values), np.nanmax(values)
        for (i, j), value in np.ndenumerate(values):
            dark = (value - low) / max(high - low, 1e-9) < 0.5
            white = dark if colours == "viridis" else not dark
            axis.text(j, i, f"{value:.{digits}f}", ha="center", va="center", fontsize=7, color="w" if white else "k")
    figure.savefig(path, dpi=150)
    plt.close(figure)
