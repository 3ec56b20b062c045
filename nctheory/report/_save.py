"""Figures as files: written atomically, and the same bytes for the same figure."""

import io
from pathlib import Path
from typing import Any, NamedTuple

from nctheory.engine import write_atomically
from nctheory.report._style import DPI

_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}


class Spot(NamedTuple):
    """A place in a figure, and what it says to a reader who points at it."""

    axes: Any
    x: float
    y: float
    text: str


class Drawing(NamedTuple):
    """A figure that says more than it shows."""

    figure: Any
    spots: tuple[Spot, ...] = ()

    def places(self) -> list[tuple[float, float, str]]:
        """The spots as fractions of the figure's width and height, from its upper left corner."""
        self.figure.draw_without_rendering()  # the layout is not known before
        width, height = self.figure.bbox.size
        out = []
        for spot in self.spots:
            x, y = spot.axes.transData.transform((spot.x, spot.y))
            out.append((round(float(x / width), 4), round(float(1.0 - y / height), 4), spot.text))
        return out


def figure_bytes(figure: Any, suffix: str, **options: Any) -> bytes:
    """A figure in a format, with further options of `savefig`; under `house_style`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=DPI, metadata=_METADATA.get(suffix), **options)
    return buffer.getvalue()


def save_figure(figure: Any, target: Path) -> Path:
    """Write a figure in the format of the path's suffix, PNG where it has none; under `house_style`."""
    write_atomically(target, figure_bytes(figure, target.suffix.lstrip(".") or "png"))
    return target
