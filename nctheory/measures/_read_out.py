"""The second pass: nearest class means, decisions of the classifier and margins, sample by sample."""

from typing import Any

import numpy as np

from nctheory.measures._inputs import as_head, as_labels, as_rows, check_range
from nctheory.measures._moments import Moments, check_finite
from nctheory.measures._units import scale_of

ROWS = 512
"""Rows that are worked on at a time (measured: 2 MiB of 512 features, which a core's cache holds)."""


class ReadOut:
    r"""What a classifier, and the nearest class mean, make of the features whose `Moments` are known.

    `ReadOut(moments, weights, bias).add(features, labels)` takes a batch and may be called again. The classifier's decision is
    the largest entry of $z=Wh+b$, that of the nearest mean the k of least $|h-\mu_k|$ (of classes with samples); of ties
    the first. Raises ValueError, naming the argument, as `Moments` does.

    >>> h, y = [[1.0, 0.0], [0.0, 1.0]], [0, 1]
    >>> seen = ReadOut(Moments(2).add(h, y), weights=[[1.0, 0.0], [0.0, 3.0]]).add(h, y)
    >>> seen.agreement, seen.margin_by_class.tolist()
    (1.0, [1.0, 3.0])
    """

    def __init__(self, moments: Moments, weights: Any = None, bias: Any = None) -> None:
        self._means = moments.means.copy()
        self._absent = moments.counts == 0
        # The mean of the class means stands for the offset that all features have in common.
        self._centre = self._means[~self._absent].mean(axis=0)
        # Squares of the means are taken in units of their size.
        scale = scale_of(float(np.max(np.abs(self._means - self._centre), initial=0.0)))
        self._scale = 1.0 if scale == np.inf else scale
        self._ignore, self.classes = moments.ignore, moments.classes
        self.weights, self.bias = as_head(weights, bias, moments.classes, moments.width)
        self.samples = self._agreeing = self._wrong = self._far = 0
        self.margin_by_class = np.full(self.classes, np.nan if self.weights is None else np.inf)
        """Least margin z_y - max_{j != y} z_j of each class; inf for a class without samples."""

    def add(self, features: Any, labels: Any) -> "ReadOut":
        """Take a batch in, and return the read-out itself."""
        x = as_rows(features)
        y = as_labels(labels, x.shape[0])
        if x.shape[1] != self._means.shape[1]:
            raise ValueError(f"features: expected {self._means.shape[1]} columns, got {x.shape[1]}")
        kept = np.arange(y.size) if self._ignore is None else np.flatnonzero(y != self._ignore)
        check_range(y[kept], self.classes)
        check_finite(x, kept)
        # A few rows at a time are worked on while they lie in the processor's cache.
        for begin in range(0, kept.size, ROWS):
            rows = kept[begin : begin + ROWS]
            # Without marks the rows follow each other, and a slice copies none.
            some = x[rows] if self._ignore is not None else x[begin : begin + ROWS]
            self._take(some.astype(np.float64, copy=False), y[rows])
        return self

    def _take(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take in rows whose labels are in range."""
        # |h - m|^2 up to |h|^2, about the centre of the means: an offset of all features costs no digits.
        means = (self._means - self._centre) * self._scale
        near = x - self._centre
        if self._scale != 1.0:
            near *= self._scale
        distances = np.sum(means**2, axis=1) - 2.0 * (near @ means.T)
        # A class without samples has no mean that a sample could be near.
        distances[:, self._absent] = np.inf
        nearest = np.argmin(distances, axis=1)
        self.samples += y.size
        self._far += int(np.sum(nearest != y))
        if self.weights is None:
            return
        logits = x @ self.weights.T + (0.0 if self.bias is None else self.bias)
        decided = np.argmax(logits, axis=1)
        self._agreeing += int(np.sum(decided == nearest))
        self._wrong += int(np.sum(decided != y))
        rows = np.arange(y.size)
        own = logits[rows, y]
        # With the label's own logit taken out, the largest one left is that of the others.
        logits[rows, y] = -np.inf
        np.minimum.at(self.margin_by_class, y, own - np.max(logits, axis=1))

    @property
    def agreement(self) -> float:
        """NC4: share of the samples on which both decide alike; NaN without weights or samples."""
        return np.nan if self.weights is None or not self.samples else self._agreeing / self.samples

    @property
    def error(self) -> float:
        """Share of the samples that the classifier gets wrong; NaN without weights or samples."""
        return np.nan if self.weights is None or not self.samples else self._wrong / self.samples

    @property
    def nearest_mean_error(self) -> float:
        """Share of the samples whose nearest class mean is not their own; NaN without samples."""
        return self._far / self.samples if self.samples else np.nan
