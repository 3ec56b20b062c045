"""Codes on the sphere, turning, as an animation."""

import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nctheory.engine import check_folder_exists, write_atomically
from nctheory.report._style import BLACK, PALETTE, house_style

NEAREST = 1e-3
"""Pairs within this of the largest inner product of their vector are joined by an edge."""
TILT = np.radians(20.0)
"""How far the axis of the turn leans towards the reader."""


def animate_codes(
    codes: Sequence[Float[np.ndarray, "m 3"]],
    path: str | Path,
    titles: Sequence[str] | None = None,
    frames: int = 60,
) -> Path:
    """Codes in three dimensions side by side, turning once about an axis, as a GIF, written atomically.

    `codes` are m x 3 arrays of unit vectors; every vector is joined to those that are nearest to it, and what is behind the
    sphere is paler. What lies on the circle of x and y turns in the plane of the picture. Raises ValueError, naming the
    argument, for codes of another shape, as many titles as there are no codes, fewer than two frames, or a file name that does
    not end in .gif.

    >>> import numpy as np, tempfile
    >>> octahedron = np.concatenate([np.eye(3), -np.eye(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate_codes([octahedron], f"{folder}/code.gif", ["octahedron"], frames=3).name
    'code.gif'
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    target = Path(path)
    if target.suffix != ".gif":
        raise ValueError(f"path: expected a file name that ends in .gif, got {path}")
    if frames < 2:
        raise ValueError(f"frames: expected at least 2, got {frames}")
    arrays = [np.asarray(code, float) for code in codes]
    if not arrays:
        raise ValueError("codes: expected at least one, got none")
    for place, code in enumerate(arrays):
        if code.ndim != 2 or code.shape[1] != 3 or not np.allclose(np.linalg.norm(code, axis=1), 1.0, atol=1e-6):
            raise ValueError(f"codes[{place}]: expected unit vectors, m x 3, got shape {code.shape}")
    names = [""] * len(arrays) if titles is None else list(titles)
    if len(names) != len(arrays):
        raise ValueError(f"titles: expected one for each of {len(arrays)} codes, got {len(names)}")
    check_folder_exists(target)
    with house_style():
        figure = Figure(figsize=(2.1 * len(arrays), 2.4), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, len(arrays)))
        drawn = [_panel(panel, code, name) for panel, code, name in zip(panels, arrays, names, strict=True)]

        def draw(i: int) -> list[Any]:
            return [one for move in drawn for one in move(2 * np.pi * i / frames)]

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "codes.gif"
            FuncAnimation(figure, draw, frames=frames).save(str(file), writer=PillowWriter(fps=20), dpi=80)
            write_atomically(target, file.read_bytes())
    return target


def nearest_pairs(code: Float[np.ndarray, "m 3"]) -> list[tuple[int, int]]:
    """The pairs of vectors of which one is nearest to the other; equal vectors have no edge."""
    gram = code @ code.T
    np.fill_diagonal(gram, -np.inf)
    apart = np.where(gram < 1.0 - NEAREST, gram, -np.inf)
    best = apart.max(axis=1)
    near = (apart >= best[:, None] - NEAREST) & np.isfinite(apart)
    return [(i, j) for i, j in combinations(range(len(code)), 2) if near[i, j] or near[j, i]]


def _panel(panel: Any, code: Float[np.ndarray, "m 3"], name: str) -> Any:
    """Set up one sphere, and return what draws it at an angle."""
    angle = np.linspace(0.0, 2 * np.pi, 200)
    panel.plot(np.cos(angle), np.sin(angle), color=BLACK, lw=0.6)
    panel.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal", title=name)
    panel.set_axis_off()
    pairs = nearest_pairs(code)
    edges = [panel.plot([], [], "-", color=PALETTE[0], lw=1.2)[0] for _ in pairs]
    dots = [panel.plot([], [], "o", color=PALETTE[1], ms=5)[0] for _ in code]
    lean = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])

    flat = not np.any(code[:, 2])

    def move(turn: float) -> list[Any]:
        # About the vertical axis by the angle, then towards the reader: x to the right, y up, z out of the page.
        about = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        within = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        seen = code @ (within if flat else lean @ about).T
        for dot, (x, y, depth) in zip(dots, seen, strict=True):
            dot.set_data([x], [y])
            dot.set_alpha(0.25 + 0.75 * (1 + depth) / 2)
        for edge, (i, j) in zip(edges, pairs, strict=True):
            edge.set_data(*seen[[i, j], :2].T)
            edge.set_alpha(0.2 + 0.6 * (2 + seen[i, 2] + seen[j, 2]) / 4)
        return [*dots, *edges]

    return move
