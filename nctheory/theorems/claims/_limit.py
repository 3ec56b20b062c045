"""Claims about where a number tends to."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, final

import numpy as np

from nctheory.theorems._evidence import Trajectories
from nctheory.theorems._thresholds import MAX_CHANGE_RATIO, MAX_GEOMETRIC_RATIO, MAX_PATH_TOLERANCE, SAFETY
from nctheory.theorems.claims._base import Check, moved_both_ways
from nctheory.theorems.claims._paths import PathClaim, followed, noise_of, of_paths, restricted_to

ENDS = 3
"""Ends from which an exponential limit is extrapolated. Two would do if there were one exponential; where there are two, the
curve may cross its limit, and the change from one end to the next vanishes there (derived)."""


@final
@dataclasses.dataclass(frozen=True)
class Limit(PathClaim):
    """A number converges, as `vanishing(time)` does to 0, to the predicted limit.

    `vanishing` is what the distance from the limit is proportional to, to first order, as a function of time; or "geometric",
    of an exponential whose rate is not known. The tolerance is twice the change of the limit when the extrapolation has
    one order less, or begins from an earlier end (the largest of these), and what the errors of the single observations make
    of it. Seeds whose limit is not known to a tenth are left out, and support nothing; so are those that do not yet
    approach a limit as `vanishing` does, because they linger near a saddle and may leave it for another one.
    """

    kind: ClassVar[str] = "limit"

    vanishing: Callable[[np.ndarray], np.ndarray] | Literal["geometric"] = dataclasses.field(kw_only=True)

    def check(self, evidence: Trajectories, predicted: np.ndarray) -> Check:
        path = followed(self, evidence, predicted)
        # The limit is extrapolated from each curve, with what that may be off, and compared with the predicted number.
        noise, times = noise_of(evidence, path), np.asarray(evidence.spec.times, float)
        extrapolate: Any = self._geometric if self.vanishing == "geometric" else self._powers
        found, spread = extrapolate(times, path.observed, noise)
        if path.predicted.shape not in (found.shape, ()):
            raise ValueError(
                f"predicted: claim {self.name!r} expects one number a path, predicted has {path.predicted.shape[1:]}"
            )
        # Where the prediction is zero, errors are relative to the largest size of the curve.
        told = float(np.max(np.abs(path.predicted), initial=0.0))
        scale = told or float(np.max(path.size, initial=0.0))
        largest = told if told > 0 else np.max(path.size, axis=1, initial=0.0)
        check, coarsest = of_paths(evidence, path, np.abs(found - path.predicted)[:, None], spread[:, None], scale)
        return restricted_to(check, coarsest <= MAX_PATH_TOLERANCE * largest, evidence)

    def wrong(self, evidence: Trajectories, predicted: np.ndarray, scale: float) -> list[np.ndarray]:
        return moved_both_ways(predicted, self.resolution * scale)

    def _powers(self, times: np.ndarray, curve: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The polynomial in `vanishing` through four ends, at 0, and how far that may be off, per seed."""
        vanishing: Any = self.vanishing
        x = np.asarray(vanishing(times), float)
        # Points at which what vanishes is once, twice, …, sixteen times as large as at the end.
        chosen = [int(np.argmin(np.abs(np.log(x / (2.0**k * x[-1]))))) for k in range(5)]
        if len(set(chosen)) < 5:
            raise ValueError(
                f"times: claim {self.name!r} wants to see where 16 times the distance is left, got {times}"
            )

        def extrapolated(points: list[int]) -> tuple[np.ndarray, np.ndarray]:
            # The polynomial through the points x_i has at 0 the value sum_i c(x_i) prod_j x_j/(x_j - x_i), j other than i.
            at = x[points]
            weights = np.array([np.prod([b / (b - a) for b in np.delete(at, i)]) for i, a in enumerate(at)])
            return curve[:, points] @ weights, noise[:, points] @ np.abs(weights)

        # The last four ends give the limit; the last three, and four that end one sooner, how far it may be off.
        (found, error), (less, _), (sooner, _) = (extrapolated(chosen[a:b]) for a, b in ((0, 4), (0, 3), (1, 5)))
        # Where the distance is a x + b x^2, the change from 2x to x is half of that from 4x to 2x, to first order.
        change, blur = np.abs(np.diff(curve[:, chosen])), noise[:, chosen[:-1]] + noise[:, chosen[1:]]
        approaches = np.all(change[:, :-1] <= MAX_CHANGE_RATIO * change[:, 1:] + blur[:, :-1], axis=1)
        spread = SAFETY * np.maximum(np.abs(found - less), np.abs(found - sooner)) + error
        return found, np.where(approaches, spread, np.inf)

    def _geometric(self, times: np.ndarray, curve: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Aitken's extrapolation of a curve whose distance from its limit is, in the end, one exponential."""
        if times.size < ENDS + 2 or not np.allclose(np.diff(times)[-ENDS - 1 :], times[-1] - times[-2], rtol=1e-9):
            raise ValueError(f"times: claim {self.name!r} needs {ENDS + 2} evenly spaced times at the end, got {times}")

        # Changes from one end to the next, and their noise; a ratio of noise may be anything.
        change, blur = np.diff(curve), noise[:, 1:] + noise[:, :-1]
        told = np.abs(change) > 2.0 * blur
        before_it = np.where(told[:, :-1], change[:, :-1], 1.0)
        ratios = np.where(told[:, :-1], np.where(told[:, 1:], change[:, 1:] / before_it, 0.0), np.nan)
        # |d(c/b)| <= (|dc| + |c/b| |db|) / |b|; of a change within its noise, as that of a path that has just arrived, all.
        inside = np.where(told[:, 1:], 0.0, np.abs(change[:, 1:]))
        doubts = (blur[:, 1:] + inside + np.abs(ratios) * blur[:, :-1]) / np.maximum(
            np.abs(before_it) - blur[:, :-1], 0.0
        )

        def limit(end: int) -> tuple[np.ndarray, np.ndarray]:
            # Of the ratios up to this end the last one whose divisor stands out from noise counts; without any, the ratio is
            # 0 with a doubt of 1.
            known, seeds = np.isfinite(ratios[:, : end - 1]), np.arange(len(curve))
            last = known.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
            some = known.any(axis=1)
            ratio, doubt = (
                np.where(some, one[seeds, last], nothing) for one, nothing in ((ratios, 0.0), (doubts, 1.0))
            )
            # A change that beyond doubt does not shrink is no approach to a limit.
            lingers = told[seeds, end - 1] & (np.abs(ratio) - doubt >= MAX_GEOMETRIC_RATIO)
            most = np.clip(np.abs(ratio) + doubt, 0.0, MAX_GEOMETRIC_RATIO)
            ratio = np.clip(ratio, -MAX_GEOMETRIC_RATIO, MAX_GEOMETRIC_RATIO)
            # The limit is c + (c - b) r / (1 - r). Where the last change is not told from noise it is at most three times
            # that, and what is left of the way comes to as much.
            still, more = told[seeds, end - 1], most / (1.0 - most)
            step = np.where(still, change[:, end - 1], 0.0)
            error = np.where(still, 1.0, 3.0) * blur[:, end - 1] * more + np.abs(step) * doubt / (1.0 - most) ** 2
            return curve[:, end] + step * ratio / (1.0 - ratio), np.where(lingers, np.inf, noise[:, end] + error)

        # The limit is that of the last end; its doubt is twice the largest distance from those of earlier ends, and from the
        # curve.
        (last, error), *before = (limit(end) for end in range(times.size - 1, times.size - 1 - ENDS, -1))
        moved = [np.abs(last - sooner) for sooner, _ in before]
        return last, SAFETY * np.max([*moved, np.abs(last - curve[:, -1])], axis=0) + error
