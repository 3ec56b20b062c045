"""Features on their way to the simplex, as an animation."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nctheory.closed_form import global_minimum
from nctheory.engine import check_folder_exists, write_atomically
from nctheory.flow import gradient_flow, starts
from nctheory.problems import unconstrained_features
from nctheory.report._style import BLACK, PALETTE, PREDICTED, house_style


def animate_features(path: str | Path, seed: int = 0, key: int = 0, frames: int = 90) -> Path:
    """Three classes of features in the plane on their way to the simplex, as a GIF, written atomically.

    Unconstrained features under cross-entropy, K = 3, d = 2, ten samples a class, from one random start along the
    gradient flow; the classifier's rows are arrows, the triangle is that of the predicted end.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    target = Path(path)
    if target.suffix != ".gif":
        raise ValueError(f"path: expected a file name that ends in .gif, got {path}")
    check_folder_exists(target)
    model = unconstrained_features(counts=(10,) * 3, dim=2, loss="cross_entropy", weight_decay=(5e-3, 5e-4))
    times = np.concatenate([[0.0], np.geomspace(0.3, 4000.0, frames - 1)])
    way = gradient_flow(model, starts(model, [seed], key), times, observe=_both, tolerance=1e-8, compare=False)
    features, weights = (np.asarray(x)[0] for x in way.values)
    limit = 1.15 * max(np.abs(features).max(), np.abs(weights).max())
    radius = np.sqrt(float(global_minimum(model).gram_features[0, 0]))
    with house_style():
        figure = Figure(figsize=(4.2, 4.9), layout="constrained")
        panel = figure.subplots()
        # The end is known up to a rotation: the triangle stands as the last class mean does.
        mean = features[-1][:, :10].mean(axis=1)
        angles = np.arctan2(mean[1], mean[0]) + 2 * np.pi * np.arange(4) / 3
        panel.plot(radius * np.cos(angles), radius * np.sin(angles), PREDICTED, color=BLACK, lw=0.8, label="predicted")
        dots = [panel.plot([], [], "o", color=PALETTE[k], label=f"features of class {k + 1}")[0] for k in range(3)]
        rows = [
            panel.plot([], [], "-", lw=1.5, color=PALETTE[k], alpha=0.6, label=f"classifier's row {k + 1}")[0]
            for k in range(3)
        ]
        panel.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        panel.legend(loc="upper left", bbox_to_anchor=(0.0, -0.1), ncols=3)

        def draw(i: int) -> list[Any]:
            for k in range(3):
                dots[k].set_data(*features[i][:, 10 * k : 10 * k + 10])
                rows[k].set_data([0.0, weights[i][k, 0]], [0.0, weights[i][k, 1]])
            panel.set_title(f"t = {times[i]:.3g}")
            return [*dots, *rows]

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "features.gif"
            FuncAnimation(figure, draw, frames=frames).save(str(file), writer=PillowWriter(fps=15), dpi=80)
            write_atomically(target, file.read_bytes())
    return target


def _both(problem: Any, params: Any) -> tuple[Any, Any]:
    return params.features, params.weights[0]
