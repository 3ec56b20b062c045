"""Where a theorem's prediction is not smooth along a segment of hyperparameters: a threshold, from the formula alone."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.falsification._places import Place, instance_at
from nctheory.theorems import Theorem

STEPS, HALVINGS = 8, 34
"""A segment is looked at in as many steps, and a change of structure on it is located by as many halvings (conventional)."""
ZERO = 1e-7
"""A number of a prediction counts as zero below this part of the largest (conventional)."""
POINTS, ZOOM = 32, 4
"""Steps in which a kink is looked for, and those that are kept around the best place for the next look (conventional)."""
LOOKS = 5
PEAK = 8.0
"""A third difference so many times the median one is taken for a kink (conventional)."""


def located_change(
    theorem: Theorem, root: PRNGKeyArray, place: Place, seed: int, late: Callable[[], bool]
) -> tuple[float, float] | None:
    """Two parts of the way to other draws between which the prediction changes its structure, or has a kink; None if none."""
    found = _changed_structure(theorem, root, place, seed, late)
    return found if found is not None or late() else _kink(theorem, root, place, seed, late)


def _changed_structure(
    theorem: Theorem, root: PRNGKeyArray, place: Place, seed: int, late: Callable[[], bool]
) -> tuple[float, float] | None:
    """Neighbouring parts of the way between which what is discrete of the prediction changes."""

    def structure(part: float) -> Any:
        instance = None if late() else instance_at(theorem, root, place.moved(seed, part))
        return None if instance is None else predicted_structure(theorem, instance.problem)

    parts = np.linspace(0.0, 1.0, STEPS + 1)
    seen = [structure(float(part)) for part in parts]
    at = next((i for i in range(STEPS) if None not in (seen[i], seen[i + 1]) and seen[i] != seen[i + 1]), None)
    if at is None:
        return None
    low, high = float(parts[at]), float(parts[at + 1])
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        now = structure(middle)
        if now is None:
            return None
        low, high = (middle, high) if now == seen[at] else (low, middle)
    return low, high


def _kink(
    theorem: Theorem, root: PRNGKeyArray, place: Place, seed: int, late: Callable[[], bool]
) -> tuple[float, float] | None:
    """The ends of a short part of the way to other draws on which a predicted number has a kink or a jump."""

    def numbers(part: float) -> np.ndarray | None:
        instance = instance_at(theorem, root, place.moved(seed, part))
        return None if instance is None else predicted_numbers(theorem, instance.problem)

    return kink_between(numbers, 0.0, 1.0, late)


def kink_between(
    numbers: Callable[[float], np.ndarray | None], low: float, high: float, late: Callable[[], bool], looks: int = LOOKS
) -> tuple[float, float] | None:
    r"""The ends of a short interval on which one of some numbers has a jump, or a derivative of it; None where there is none.

    With steps h the third differences of a smooth curve are of the size $h^3$, next to a jump of the curve or of its first
    or second derivative of the size 1, h, or $h^2$: the place of the largest is looked at ever more closely.
    """
    for _ in range(looks):
        parts = np.linspace(low, high, POINTS + 1)
        rows = [None if late() else numbers(float(part)) for part in parts]
        told = [row for row in rows if row is not None]
        if len(told) < len(rows) or len({row.shape for row in told}) > 1:
            return None
        curves = np.stack(told)
        sizes = np.maximum(np.max(np.abs(curves), axis=0), 1e-300)
        thirds = np.max(np.abs(np.diff(curves / sizes, 3, axis=0)), axis=1, initial=0.0)
        at = int(np.argmax(thirds))
        if thirds[at] < 1e-13 or thirds[at] < PEAK * np.median(thirds):
            return None
        # The third difference of points at, …, at + 3 is about what lies between them.
        low, high = float(parts[max(0, at - 1)]), float(parts[min(POINTS, at + ZOOM)])
    return low, high


def predicted_numbers(theorem: Theorem, problem: Any) -> np.ndarray | None:
    """The sums of all the leaves of a prediction, and of their squares; None where nothing is predicted."""
    try:
        leaves = [np.asarray(leaf, float) for leaf in jax.tree.leaves(theorem.predict(problem))]
    except (ValueError, TypeError, ArithmeticError):
        return None
    found = np.array([number for leaf in leaves for number in (np.sum(leaf), np.sum(leaf**2))])
    return found if found.size and np.all(np.isfinite(found)) else None


def predicted_structure(theorem: Theorem, problem: Any) -> tuple[Any, ...] | None:
    """What of a prediction is discrete: shapes, truth values, and which numbers vanish; None where nothing is predicted.

    >>> import nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))
    >>> theorem = nct.catalogue()["ufm-mse-nobias"]
    >>> predicted_structure(theorem, model(0.1)) == predicted_structure(theorem, model(0.9))
    False
    """
    try:
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(theorem.predict(problem))]
    except (ValueError, TypeError, ArithmeticError):
        return None
    real = [leaf.astype(float) for leaf in leaves if np.issubdtype(leaf.dtype, np.floating)]
    largest = max((float(np.max(np.abs(np.nan_to_num(leaf)), initial=0.0)) for leaf in real), default=0.0)
    found: list[Any] = []
    for leaf in leaves:
        if np.issubdtype(leaf.dtype, np.floating):
            found.append((leaf.shape, int(np.sum(np.abs(leaf) > ZERO * largest)), int(np.sum(np.isnan(leaf)))))
        elif leaf.dtype.kind in "biu":
            found.append(tuple(leaf.ravel().tolist()))
    return tuple(found)


__all__ = ["kink_between", "located_change", "predicted_numbers", "predicted_structure"]
