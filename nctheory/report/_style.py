"""The one style of all pictures: colours that the colour-blind tell apart, a paper's sizes, fonts that are embedded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2
"""Widths of a picture in inches: of one column of a paper, and of both."""
TEXT, SMALL = 8.0, 7.0
"""Sizes of text in points: of labels and headings; of ticks and legends."""
FAMILY = "DejaVu Sans"
"""It comes with matplotlib: the same picture on every machine."""
DPI = 300
"""The dots to an inch of a bitmap."""

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
BLACK = "#000000"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""The colours of Okabe and Ito, which readers with any vision of colour tell apart, without yellow, which is lost on white."""
INK, FAINT, UNDECIDED = "0.3", "0.7", "0.85"
"""Greys: of lines that help, of lines in the background, and of what was not decided."""
COLOURS = "viridis"
"""The map of colours: even in perception, and in grey too."""
DASHES: tuple[Any, ...] = ("-", "-.", (0, (3, 1, 1, 1, 1, 1)), ":")
PREDICTED = "--"
"""How lines are dashed, after all colours of the palette; and how predictions are, of which no other line is."""

_SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "nctheory",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "ps.fonttype": 42,
    "font.family": [FAMILY],
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "figure.titlesize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": TEXT,
    "legend.frameon": False,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.2,
    "legend.labelspacing": 0.3,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.6,
    "legend.columnspacing": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.0,
    "image.cmap": COLOURS,
    "hatch.linewidth": 0.4,
}


class Stroke(NamedTuple):
    """How one of several curves is drawn."""

    colour: str
    dashes: Any


def stroke(number: int) -> Stroke:
    """How curve `number` of a panel is drawn: first the colours, then the same colours dashed otherwise.

    >>> stroke(0), stroke(len(PALETTE)).dashes
    (Stroke(colour='#0072b2', dashes='-'), '-.')
    """
    turn, colour = divmod(number, len(PALETTE))
    return Stroke(PALETTE[colour], DASHES[turn % len(DASHES)])


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings for all pictures of the package.

    Those of the program around it count for nothing here, and are as they were afterwards.
    """
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        for name, value in _SETTINGS.items():
            mpl.rcParams[name] = value  # pyright: ignore[reportArgumentType]
        yield
