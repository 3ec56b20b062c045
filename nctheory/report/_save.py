"""Figures as files: written atomically, and the same bytes for the same figure."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nctheory.theorems import write_atomically

_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}


@contextmanager
def house_style(**more: Any) -> Iterator[None]:
    """Matplotlib's settings for all figures of the package."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {"svg.hashsalt": "nctheory", "font.size": 9, "axes.spines.right": False, **more}
    with mpl.rc_context(settings):
        yield


def save_figure(figure: Any, target: Path) -> Path:
    """Write a figure in the format of the path's suffix, PNG where it has none; under `house_style`."""
    suffix = target.suffix.lstrip(".") or "png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=150, metadata=_METADATA.get(suffix))
    write_atomically(target, buffer.getvalue())
    return target
