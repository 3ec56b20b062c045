"""Following a boundary with few solves: brackets halved on a few rows, and guessed from their neighbours on the others."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nctheory.engine import shown

Ordered = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows and coordinates of points to the phase there: 1 ordered, 0 not, NaN undecided."""

ROW_STRIDE = 8
"""The distance, in rows, between those on which the whole range is searched."""
MAX_WIDENINGS = 12
DIVISIONS = (0.5, 0.37, 0.63, 0.21, 0.79)
"""The places at which a bracket is divided, as parts of it: the next one is taken if all before were undecided. At the
boundary itself the minimum may be degenerate, and no seed converges."""


@shown()
class Located(NamedTuple):
    """Brackets of the boundary, one for each row; NaN where there is none."""

    low: np.ndarray
    high: np.ndarray
    state: np.ndarray
    """The state of each row: "found", "absent" (one phase at both ends of the range) or "undecided"."""
    phase: np.ndarray
    """The phase on the low side: 1 ordered, 0 not, NaN undecided."""


class _Rows:
    """Brackets under way: the phase differs between `low` and `high`."""

    def __init__(self, count: int, range_: tuple[float, float], ordered: Ordered) -> None:
        self.range, self._ordered = range_, ordered
        self.low, self.high = np.full(count, np.nan), np.full(count, np.nan)
        self.phase = np.full(count, np.nan)
        """The phase at `low`."""
        self.state = np.full(count, "undecided", object)

    def _ask(self, rows: np.ndarray, where: np.ndarray) -> np.ndarray:
        return self._ordered(rows, where) if rows.size else np.zeros(0)

    def open_whole(self, rows: np.ndarray) -> None:
        """Bracket by the ends of the range."""
        low, high = np.full(rows.size, self.range[0]), np.full(rows.size, self.range[1])
        answers = self._ask(np.concatenate([rows, rows]), np.concatenate([low, high]))
        self._enter(rows, low, high, *np.split(answers, 2))

    def open_near(self, rows: np.ndarray, guess: np.ndarray, distance: np.ndarray) -> None:
        """Bracket by a guess plus and minus a distance, which is doubled on the side that fails."""
        lowest, highest = self.range
        # Both ends are asked, within the range; a row on which they agree has the boundary outside them.
        below, above = np.maximum(guess - distance, lowest), np.minimum(guess + distance, highest)
        answers = self._ask(np.concatenate([rows, rows]), np.concatenate([below, above]))
        at_below, at_above = np.split(answers, 2)
        for _ in range(MAX_WIDENINGS):
            same = at_below == at_above
            if not same.any():
                break
            # Which way the boundary lies is told by the nearest located row: there the low side has phase `side`.
            side = self._side(rows[same])
            downward = at_below[same] != side
            # The side that fails moves out by twice the last distance, and the end behind it follows to its place.
            distance = 2.0 * distance
            index = np.flatnonzero(same)
            target = np.where(downward, below[same] - distance[same], above[same] + distance[same])
            stuck = np.where(downward, below[same] <= lowest, above[same] >= highest)
            target = np.clip(target, lowest, highest)[~stuck]
            index, downward = index[~stuck], downward[~stuck]
            # What cannot move any farther, because it is at an end of the range, is searched over the whole range instead.
            if index.size == 0:
                break
            found = self._ask(rows[index], target)
            for i, down, place, answer in zip(index, downward, target, found, strict=True):
                if down:
                    above[i], at_above[i], below[i], at_below[i] = below[i], at_below[i], place, answer
                else:
                    below[i], at_below[i], above[i], at_above[i] = above[i], at_above[i], place, answer
        lost = at_below == at_above  # the guess was no help
        self._enter(rows[~lost], below[~lost], above[~lost], at_below[~lost], at_above[~lost])
        self.open_whole(rows[lost])

    def _side(self, rows: np.ndarray) -> np.ndarray:
        # Of all located rows the nearest one says which phase lies on the low side.
        located = np.flatnonzero(self.state == "found")
        nearest = located[np.argmin(np.abs(located[None, :] - rows[:, None]), axis=1)]
        return self.phase[nearest]

    def _enter(
        self, rows: np.ndarray, low: np.ndarray, high: np.ndarray, at_low: np.ndarray, at_high: np.ndarray
    ) -> None:
        decided = np.isfinite(at_low) & np.isfinite(at_high)
        self.state[rows] = np.where(decided, np.where(at_low != at_high, "found", "absent"), "undecided")
        self.low[rows], self.high[rows], self.phase[rows] = low, high, at_low

    def halve(self, rows: np.ndarray, width: float) -> None:
        """Divide the brackets of these rows, at the first of `DIVISIONS` that is decided, until none is wider than `width`."""
        tried = np.zeros(len(self.state), int)
        while True:
            wide = rows[(self.state[rows] == "found") & (self.high[rows] - self.low[rows] > width)]
            if wide.size == 0:
                return
            # The bracket is divided at its middle, or after undecided answers at the next of the other places.
            place = self.low[wide] + np.take(DIVISIONS, tried[wide]) * (self.high[wide] - self.low[wide])
            answer = self._ask(wide, place)
            undecided = ~np.isfinite(answer)
            tried[wide] = np.where(undecided, tried[wide] + 1, 0)
            self.state[wide[tried[wide] == len(DIVISIONS)]] = "undecided"
            # The end of the same phase moves to the new place; undecided places move neither.
            low_side = answer == self.phase[wide]
            self.low[wide] = np.where(low_side & ~undecided, place, self.low[wide])
            self.high[wide] = np.where(~low_side & ~undecided, place, self.high[wide])


def locate(ordered: Ordered, rows: int, range_: tuple[float, float], width: float) -> Located:
    """The boundary's bracket, no wider than `width`, on each of `rows` rows within a range of coordinates.

    Every `ROW_STRIDE`-th row is searched over the whole range by halving; a row between two located ones begins around the
    mean of theirs. Of several crossings of a row it finds one.
    """
    brackets = _Rows(rows, range_, ordered)
    # A few rows without any knowledge, over the whole range.
    first = np.unique(np.append(np.arange(0, rows, ROW_STRIDE), rows - 1))
    brackets.open_whole(first)
    brackets.halve(first, width)
    done = first
    while done.size < rows:
        # Then the rows in the middle between two that are done, until there is none left.
        left, right = done[:-1], done[1:]
        between = (left + right) // 2
        fresh = (between > left) & (between < right)
        left, right, between = left[fresh], right[fresh], between[fresh]
        both = (brackets.state[left] == "found") & (brackets.state[right] == "found")
        # A located row is known by the middle of its bracket.
        centre = 0.5 * (brackets.low + brackets.high)
        share = (between - left) / (right - left)
        # The guess is linear between the neighbours; it is bracketed by half the width asked for, or more where they differ by
        # much.
        guess = ((1 - share) * centre[left] + share * centre[right])[both]
        step = np.abs(centre[right] - centre[left])[both]
        brackets.open_whole(between[~both])
        brackets.open_near(between[both], guess, np.maximum(0.5 * width, 0.04 * step))
        brackets.halve(between, width)
        done = np.sort(np.concatenate([done, between]))
    # Rows without a boundary have no bracket.
    found = brackets.state == "found"
    low, high = (np.where(found, end, np.nan) for end in (brackets.low, brackets.high))
    return Located(low, high, brackets.state, brackets.phase)


def between_cells(places: np.ndarray, phases: np.ndarray) -> Located:
    """The bracket on each row of a picture: the first two neighbours of different phase; `phases` is rows x `places`.

    >>> between_cells(np.array([4.0, 6.0, 8.0]), np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])).high.tolist()
    [6.0, nan]
    """
    low, high = np.full(len(phases), np.nan), np.full(len(phases), np.nan)
    state = np.full(len(phases), "undecided", object)
    for row, phase in enumerate(phases):
        if np.isnan(phase).any():
            continue
        flips = np.flatnonzero(phase[1:] != phase[:-1])
        state[row] = "found" if flips.size else "absent"
        if flips.size:
            low[row], high[row] = places[flips[0]], places[flips[0] + 1]
    return Located(low, high, state, phases[:, 0])
