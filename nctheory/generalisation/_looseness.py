"""Bounds on few-shot errors held against the exact error, over dimension, shots, classes and noise."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import bisect_numpy, is_finite, shown, untraced, whole_number
from nctheory.generalisation._bounds import cantelli_bound, directional_cdnv_bound, few_shot_bound
from nctheory.generalisation._moments import PopulationMoments
from nctheory.generalisation._round_classes import error_interval, gaussian_moments

Bound = Callable[[PopulationMoments, int | None], Any]
"""A bound on the mean error over the classes, from moments and shots; shots None are known means."""

DIMS = (10, 20, 50, 100, 200)
SHOTS = (1, 5, 20, None)
CLASSES = (2, 10)
NOISES = tuple(float(x) for x in np.geomspace(0.05, 1.0, 24))
"""The default axes of a map (conventional)."""
SCAN = np.geomspace(1e-4, 1e2, 61)
"""Noises between which a crossing is looked for (conventional): ten to a decade. Far beyond these a bound that tends to
guessing is rounded to it."""
HALVINGS = 46
"""Halvings of a bracket of `SCAN` (derived: a factor of 1.26 is narrowed to the rounding of a number)."""
SLIP = 1e-9
"""A bound is below the error where it is so by more than this, relatively (conventional; integrals are known to 1e-11)."""


def one_sided_few_shot(moments: PopulationMoments, shots: int | None) -> Any:
    """`few_shot_bound`, and `cantelli_bound` where the means are known: one-sided, for any distribution."""
    return (cantelli_bound(moments) if shots is None else few_shot_bound(moments, shots)).total


def half_one_sided(moments: PopulationMoments, shots: int | None) -> Any:
    """Half of it, which is enough for round Gaussian classes of one spread (theorem `ncc-exact-fewshot`)."""
    return 0.5 * one_sided_few_shot(moments, shots)


def directional_cdnv(moments: PopulationMoments, shots: int | None) -> Any:
    r"""`directional_cdnv_bound`; where the means are known its limit for many shots, the sum of $4\tilde V$."""
    if shots is None:
        pairs = 4.0 * np.nan_to_num(moments.directional_cdnv)
        return float(np.mean(np.sum(pairs, axis=1)))
    return directional_cdnv_bound(moments, shots).total


BOUNDS: dict[str, Bound] = {
    "one_sided": one_sided_few_shot,
    "half_one_sided": half_one_sided,
    "directional_cdnv": directional_cdnv,
}
"""The bounds of a map, by name."""


@shown("share_vacuous")
class LoosenessMap(NamedTuple):
    """Bounds against the error; axes are bounds x dims x shots x classes x noises, as far as an array has them."""

    bounds: tuple[str, ...]
    dims: np.ndarray
    shots: np.ndarray
    """Infinite where the means are known."""
    classes: np.ndarray
    noises: np.ndarray
    """The spread of a class over the distance between means, s/D."""
    value: np.ndarray
    """The bounds, all five axes."""
    error: np.ndarray
    """The ends of an interval that holds the error: dims x shots x classes x noises x 2."""
    vacuous_from: np.ndarray
    """The least noise at which a bound is that of guessing, 1 - 1/K: bounds x dims x shots x classes; infinite for none up to
    the last of `SCAN`, and 0 where it is so at the first of it."""
    one_from: np.ndarray
    """The least noise at which a bound is 1, likewise."""
    trials: int
    """Trials of a cell whose error is no integral."""
    key: int

    @property
    def looseness(self) -> np.ndarray:
        """Bound over error, all five axes x 2: at least and at most; infinite where the error is too small for a number."""
        ends = self.error[None, ..., ::-1]
        return np.where(ends > 0, self.value[..., None] / np.where(ends > 0, ends, 1.0), np.inf)

    @property
    def vacuous(self) -> np.ndarray:
        """Where a bound says no more than guessing does."""
        return self.value >= (1.0 - 1.0 / np.maximum(self.classes, 1))[None, None, None, :, None]

    @property
    def violated(self) -> np.ndarray:
        """Where a bound lies below the error, and so is none."""
        return self.value < self.error[None, ..., 0] * (1.0 - SLIP)

    @property
    def sharpest(self) -> np.ndarray:
        """The number of the smallest of the bounds that are not violated: dims x shots x classes x noises."""
        return np.argmin(np.where(self.violated, np.inf, self.value), axis=0)

    @property
    def share_vacuous(self) -> np.ndarray:
        """The share of cells in which each bound is vacuous."""
        return np.mean(self.vacuous, axis=(1, 2, 3, 4))


@untraced()
def looseness_map(
    dims: Sequence[int] = DIMS,
    shots: Sequence[int | None] = SHOTS,
    classes: Sequence[int] = CLASSES,
    noises: Sequence[float] = NOISES,
    bounds: Sequence[str | Bound] | None = None,
    *,
    trials: int = 4096,
    key: int = 0,
) -> LoosenessMap:
    r"""How loose bounds on the few-shot error are, and from what noise on they are vacuous, for round Gaussian classes.

    K classes $N(\mu_k,s^2I_p)$ have means at equal distance D, and `noises` are s/D. The error of the nearest of m-shot means
    is exact for two classes and for known means (shots None), and else an interval: between the error P of a pair and (K-1)P,
    narrowed by `trials` trials of each cell. A bound is vacuous from where it reaches $1-\frac1K$; the noise at which it does,
    and that at which it reaches 1, is looked for on a scan from 1e-4 to 1e2 and located there by bisection.

    Args:
        bounds: names of `BOUNDS` (all by default), or functions of `PopulationMoments` and shots that return a bound on the
            mean error over the classes; such a one has the name of its function.

    Raises:
        ValueError: an axis that is empty, has equal values or values out of range; fewer than K - 1 dimensions; a name that
            is not known; a bound that returns no number or a negative one; trials or key below 0.

    >>> found = looseness_map((10,), (5,), (2,), (0.2, 0.5))
    >>> [[round(float(x), 1) for x in row] for row in found.looseness[:, 0, 0, 0, :, 0]]
    [[13.6, 2.8], [6.8, 1.4], [166.2, 193.5]]
    >>> [round(float(x), 4) for x in found.vacuous_from[:, 0, 0, 0]]
    [0.3718, inf, 0.1197]
    """
    tried = _bounds(bounds)
    axes = _axes(dims, shots, classes, noises)
    whole_number("trials", trials, 0)
    whole_number("key", key, 0)
    shape = tuple(map(len, axes))
    value, error = np.empty((len(tried), *shape)), np.empty((*shape, 2))
    crossings = np.empty((2, len(tried), *shape[:3]))
    for i, j, k in itertools.product(*map(range, shape[:3])):
        p, m, number = axes[0][i], axes[1][j], axes[2][k]

        def at(bound: Bound, logs: np.ndarray, p: int = p, m: int | None = m, number: int = number) -> np.ndarray:
            return np.array([_number(bound, gaussian_moments(1.0, p, float(s), number), m) for s in np.exp(logs)])

        error[i, j, k] = [error_interval(s, p, m, number, trials, key) for s in axes[3]]
        for b, bound in enumerate(tried.values()):
            value[b, i, j, k] = at(bound, np.log(axes[3]))
            scanned = at(bound, np.log(SCAN))
            for level, told in ((1.0 - 1.0 / number, crossings[0]), (1.0, crossings[1])):
                told[b, i, j, k] = _crossing(lambda logs, bound=bound, at=at: at(bound, logs), scanned, level)
    asked = np.array([np.inf if m is None else m for m in axes[1]], float)
    names = (np.array(axes[0]), asked, np.array(axes[2]), np.array(axes[3]))
    return LoosenessMap(tuple(tried), *names, value, error, crossings[0], crossings[1], trials, key)


def _crossing(values: Callable[[np.ndarray], np.ndarray], scanned: np.ndarray, level: float) -> float:
    """The least noise at which a bound reaches a level: 0 where it does so at the first of the scan, infinite for none."""
    beyond = np.flatnonzero(scanned >= level)
    if not beyond.size:
        return np.inf
    if beyond[0] == 0:
        return 0.0
    ends = np.log(SCAN[beyond[0] - 1 : beyond[0] + 1])
    first, second = bisect_numpy(lambda logs: values(logs) < level, ends[:1], ends[1:], HALVINGS)
    return float(np.exp(0.5 * (first[0] + second[0])))


def _number(bound: Bound, moments: PopulationMoments, shots: int | None) -> float:
    found = bound(moments, shots)
    name = getattr(bound, "__name__", repr(bound))
    try:
        number = float(found)
    except (TypeError, ValueError):
        raise ValueError(f"bounds: expected a number from {name}, got {found!r}") from None
    if not number >= 0:
        raise ValueError(f"bounds: expected a number of at least 0 from {name}, got {number}")
    return number


def _bounds(bounds: Sequence[str | Bound] | None) -> dict[str, Bound]:
    """The bounds by name."""
    if bounds is None:
        return BOUNDS
    if isinstance(bounds, str) or not isinstance(bounds, Sequence) or not bounds:
        raise ValueError(f"bounds: expected a list of names or functions, got {bounds!r}")
    found: dict[str, Bound] = {}
    for one in bounds:
        name = one if isinstance(one, str) else getattr(one, "__name__", repr(one))
        if isinstance(one, str) and one not in BOUNDS:
            raise ValueError(f"bounds: expected some of {', '.join(BOUNDS)}, or functions, got {one!r}")
        if name in found:
            raise ValueError(f"bounds: expected names that differ, got {name!r} twice")
        found[name] = BOUNDS[one] if isinstance(one, str) else one
    return found


def _axes(
    dims: Sequence[int], shots: Sequence[int | None], classes: Sequence[int], noises: Sequence[float]
) -> tuple[list[int], list[int | None], list[int], list[float]]:
    """The values of all axes, or a ValueError that names the first that is wrong."""
    for name, values in (("dims", dims), ("shots", shots), ("classes", classes), ("noises", noises)):
        if isinstance(values, str) or not hasattr(values, "__len__") or len(values) == 0:
            raise ValueError(f"{name}: expected a list of numbers, got {values!r}")
        if len(set(values)) < len(values):
            raise ValueError(f"{name}: expected values that differ, got {list(values)}")
    for s in noises:
        if not (is_finite(s) and s > 0):
            raise ValueError(f"noises: expected positive numbers, got {s!r}")
    many = [whole_number("classes", one, 2) for one in classes]
    wide = [whole_number("dims", one, max(1, max(many) - 1)) for one in dims]
    return wide, [None if m is None else whole_number("shots", m) for m in shots], many, [float(s) for s in noises]
