"""Ticks whose labels never touch: on logarithmic axes of any length, at given places, at even numbers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axis import Axis as DrawnAxis
from matplotlib.axis import XAxis
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.ticker import Locator as BaseLocator
from matplotlib.transforms import Bbox

from nctheory.report._lines import width_of
from nctheory.report._style import SMALL

MIN_PLAIN, MAX_PLAIN = 1e-3, 1e5
"""Numbers between are written out; others with a power of ten."""
MAX_TICKS = 9
"""The largest number of labelled ticks."""
SPREAD = 1e-9
"""Values that differ by less, relatively, are one value: the axis shows no rounding."""
ROUNDING = 1e-6
Ticks = np.ndarray
Candidates = Callable[[float, float], Iterator[Ticks]]
"""Ticks for an axis from `low` to `high`, the densest first."""


class _Locator(BaseLocator):
    """The first of the candidates whose labels have room."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def __call__(self) -> Ticks:
        """The ticks within the axis as it is now."""
        assert isinstance(self.axis, DrawnAxis)
        low, high = sorted(self.axis.get_view_interval())
        last: Ticks = np.zeros(0)
        for ticks in self._candidates(low, high):
            if ticks.size and _fits(self.axis, ticks):
                return ticks
            last = ticks if ticks.size else last
        return last[last.size // 2 :][:1]  # one label has room where two have none

    def tick_values(self, vmin: float, vmax: float) -> Ticks:
        """The densest ticks."""
        return next(self._candidates(vmin, vmax))


class _Formatter(Formatter):
    """Numbers as a reader would write them."""

    def __call__(self, x: float, pos: object = None) -> str:
        """The label of one tick."""
        return labels([x])[0]

    def format_ticks(self, values: Sequence[float] | Ticks) -> list[str]:
        """The labels of all ticks, alike in form."""
        return labels(values)


def labels(values: Sequence[float] | Ticks) -> list[str]:
    """Numbers alike in form: written out, or with a power of ten where they are very large or small.

    >>> labels([0.02, 0.05, 0.1]), labels([0.0001, 0.01, 1.0])[:2], labels([0.0, 0.25, 0.5])
    (['0.02', '0.05', '0.1'], ['$10^{-4}$', '$10^{-2}$'], ['0.00', '0.25', '0.50'])
    """
    at = np.asarray(values, float)
    sizes = np.abs(at[at != 0])
    least = MIN_PLAIN if sizes.size and _powers(sizes) else 1e-3 * MIN_PLAIN
    if sizes.size and not (MIN_PLAIN <= sizes.max() < MAX_PLAIN and sizes.min() >= least):
        return [_scientific(x) for x in at]
    texts = [np.format_float_positional(float(f"{x:.12g}"), trim="-") for x in at]
    if at.size > 2 and np.allclose(np.diff(at), at[1] - at[0], rtol=1e-6):  # even steps, to as many places
        places = max(len(text.partition(".")[2]) for text in texts)
        texts = [f"{x:.{places}f}" for x in at]
    return [text.replace("-", "\N{MINUS SIGN}") for text in texts]


def _powers(sizes: np.ndarray) -> bool:
    return bool(np.allclose(np.log10(sizes), np.round(np.log10(sizes)), atol=1e-9))


def _scientific(x: float) -> str:
    if x == 0:
        return "0"
    digits, power = f"{abs(x):.10e}".split("e")
    factor = digits.rstrip("0").rstrip(".")
    return f"${'-' if x < 0 else ''}{'' if factor == '1' else factor + '×'}10^{{{int(power)}}}$"


def _fits(axis: Any, ticks: Ticks) -> bool:
    """Whether the labels stand apart by half a letter at least."""
    if ticks.size < 2:
        return True
    to_points = axis.axes.transAxes - axis.axes.get_figure(root=False).dpi_scale_trans
    box = Bbox.unit().transformed(to_points)
    along = isinstance(axis, XAxis)
    length = 72 * (box.width if along else box.height)
    scale = axis.get_transform()
    low, high = (float(scale.transform(np.array([end]))[0]) for end in axis.get_view_interval())
    places = np.array([float(scale.transform(np.array([x]))[0]) for x in ticks])
    order = np.argsort(places)
    distances = np.diff(places[order]) / abs(high - low) * length
    sizes = [width_of(text, SMALL) if along else (1.7 if "$" in text else 1.3) * SMALL for text in labels(ticks)]
    needed = np.array(sizes)[order]
    return bool(np.all(distances >= 0.5 * (needed[1:] + needed[:-1]) + 0.5 * SMALL * along))


def _within(ticks: Ticks, low: float, high: float) -> Ticks:
    slack = 1e-9 * (high - low)
    return ticks[(ticks >= low - slack) & (ticks <= high + slack)]


def _between(ticks: Ticks, low: float, high: float) -> Ticks:
    """As `_within`, of positive numbers of any size."""
    return ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]


def _even(low: float, high: float, whole: bool = False) -> Iterator[Ticks]:
    """Round numbers at even distances, ever fewer."""
    for number in range(MAX_TICKS - 2, 0, -1):
        found = MaxNLocator(nbins=number, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high)
        step = np.min(np.diff(found), initial=np.inf)
        yield _within(np.where(np.abs(found) < ROUNDING * step, 0.0, found), low, high)


def _logarithmic(low: float, high: float) -> Iterator[Ticks]:
    """Powers of ten and round multiples of them; over less than half a decade numbers at even distances."""
    decades = np.log10(high / low)
    powers = np.arange(np.floor(np.log10(low)) - 1, np.ceil(np.log10(high)) + 1)
    if decades < 0.5:
        yield from _even(low, high)
        return
    for factors in ((1, 2, 3, 5), (1, 2, 5), (1, 3)) if decades <= 3 else ():
        dense = _between(np.outer(10.0**powers, factors).ravel(), low, high)
        if 3 <= dense.size <= MAX_TICKS - 2:
            yield dense
    for stride in range(1, powers.size + 1):
        sparse = _between(10.0 ** powers[np.mod(powers, stride) == 0], low, high)
        if 2 <= sparse.size <= MAX_TICKS:
            yield sparse
    if decades < 3:
        yield from _even(low, high)


def log_axis(axis: Any, at: Sequence[float] | np.ndarray | None = None) -> None:
    """A logarithmic axis: labelled ticks that have room, small ones between them without labels.

    Where places are given, and all labels or every second, third … have room there, the ticks are at those.
    """

    def candidates(low: float, high: float) -> Iterator[Ticks]:
        yield from _given(at, low, high)
        yield from _logarithmic(low, high)

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(_Locator(candidates))
    axis.set_major_formatter(_Formatter())
    axis.set_minor_locator(NullLocator() if at is not None else LogLocator(subs=tuple(range(2, 10)), numticks=12))
    axis.set_minor_formatter(NullFormatter())


def even_axis(axis: Any, at: Sequence[float] | np.ndarray | None = None) -> None:
    """An axis even in its numbers; where places are given the ticks are at those, as with `log_axis`."""
    whole = at is not None and bool(np.all(np.asarray(at) == np.round(at)))

    def candidates(low: float, high: float) -> Iterator[Ticks]:
        yield from _given(at, low, high)
        yield from _even(low, high, whole)

    low, high = sorted(axis.get_view_interval())
    size = max(abs(low), abs(high))
    if high - low < SPREAD * size:
        middle = 0.5 * (low + high)
        getattr(axis.axes, f"set_{axis.axis_name}lim")(middle - 0.05 * size, middle + 0.05 * size)
    axis.set_major_locator(_Locator(candidates))
    axis.set_major_formatter(_Formatter())
    axis.set_minor_locator(NullLocator())


def value_axis(axis: Any, drawn: Sequence[np.ndarray], span: float = 10.0) -> None:
    """An axis for what is drawn: logarithmic where all of it is above zero and spans more than this factor, else even."""
    known = [part[np.isfinite(part)] for part in drawn]
    finite = np.concatenate(known) if known else np.zeros(0)
    long = finite.size > 0 and finite.min() > 0 and finite.max() > span * finite.min()
    (log_axis if long else even_axis)(axis)


def _given(at: Sequence[float] | np.ndarray | None, low: float, high: float) -> Iterator[Ticks]:
    """The places given, or every second of them, …, but three or more where there are so many."""
    given = np.sort(np.asarray([] if at is None else at, float))
    for stride in range(1, max(2, given.size // 2)) if given.size else ():
        yield _within(given[::stride], low, high)


def symmetric_axis(axis: Any, threshold: float) -> None:
    """Logarithmic to both sides of zero, even within `threshold` of it."""

    def candidates(low: float, high: float) -> Iterator[Ticks]:
        last = int(np.ceil(np.log10(max(abs(low), abs(high), threshold))))
        powers = np.arange(round(np.log10(threshold)), last + 1)
        for stride in range(1, powers.size + 1):
            one = 10.0 ** powers[::-1][::stride]
            yield _within(np.sort(np.concatenate([-one, [0.0], one])), low, high)
        yield np.array([0.0])

    getattr(axis.axes, f"set_{axis.axis_name}scale")("symlog", linthresh=threshold)
    axis.set_major_locator(_Locator(candidates))
    axis.set_major_formatter(_Formatter())
    axis.set_minor_locator(NullLocator())
