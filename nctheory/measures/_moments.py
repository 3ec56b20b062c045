"""First and second moments of features by class, in one pass over batches of any size, merged without loss."""

from typing import Any, NamedTuple

import numpy as np

from nctheory.measures._inputs import as_labels, as_rows, check_classes, check_range
from nctheory.measures._units import scale_of

MAX_CLASS_COVARIANCES = 2**25
"""The largest number of entries in the covariances of single classes that are kept unasked (256 MiB)."""


class Held(NamedTuple):
    """Moments of features times a power of two."""

    means: np.ndarray
    """K x d."""
    scatter: np.ndarray
    """K x d x d, or 1 x d x d where only the sum is kept."""
    traces: np.ndarray
    """The trace of each class's scatter."""


class Moments:
    r"""Counts, means and scatter of the features of each class: all that collapse metrics need but NC4 and margins.

    `Moments(classes).add(features, labels)` takes a batch, N x d with one row a sample and N whole-number labels, and may be
    called again with others; `one + other` are the moments of both, so that shards can be read apart. Any library's
    arrays are taken, of any float or integer dtype; sums are kept in float64 as deviations from running means (Chan,
    Golub, LeVeque 1983), so that an offset of the features costs no digits, and of tiny and huge features in units of their
    size, so that no metric of them under- or overflows. `ignore` is a label that marks samples to be left
    out. The scatter of each class is kept by itself, K d^2 numbers, unless that is more than 2^25 or `per_class` says
    otherwise; without it the metrics that need it (directional CDNV, NC1 by class) are NaN.

    Raises ValueError, naming the argument, for shapes that do not fit, for labels outside 0..K-1 and for rows that are not
    finite; a batch that is refused leaves nothing behind.

    >>> moments = Moments(2).add([[1.0, 0.0], [3.0, 0.0]], [0, 0]).add([[0.0, 1.0]], [1])
    >>> moments.counts.tolist(), moments.means.tolist(), moments.within.tolist()
    ([2, 1], [[2.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self, classes: int, *, ignore: int | None = None, per_class: bool | None = None) -> None:
        self.classes = check_classes(classes)
        self.ignore = ignore
        self.counts = np.zeros(self.classes, np.int64)
        self._asked = per_class
        self._means: np.ndarray | None = None
        self._scatter: np.ndarray | None = None
        """K x d x d, or 1 x d x d where only the sum is kept."""
        self._traces = np.zeros(self.classes)
        self._scale = np.inf
        """What is held is of the features times this power of two; infinite as long as they are zero."""

    def add(self, features: Any, labels: Any) -> "Moments":
        """Take a batch in, and return the moments themselves."""
        x = as_rows(features)
        y = as_labels(labels, x.shape[0])
        if self._means is not None and x.shape[1] != self.width:
            raise ValueError(f"features: expected {self.width} columns as in the batches before, got {x.shape[1]}")
        kept = np.arange(y.size) if self.ignore is None else np.flatnonzero(y != self.ignore)
        # The label of samples to be left out need not be one of the classes.
        check_range(np.where(y == self.ignore, 0, y), self.classes)
        scale = scale_of(check_finite(x, kept))
        # Sorted by class, the samples of each class are one run of rows.
        rows, counts = kept[np.argsort(y[kept], kind="stable")], np.bincount(y[kept], minlength=self.classes)
        means, scatter = self._begun(x.shape[1])
        self._rescale(scale)
        # Chan, Golub, LeVeque: S = S_a + S_b + n_a n_b / (n_a + n_b) (m_b - m_a)(m_b - m_a)^T, class by class, with a for what
        # is held and b for the batch. The last term is that of one more row, sqrt(weight) times the step m_b - m_a.
        share = counts / np.maximum(self.counts + counts, 1)
        weight = self.counts * share
        per_class, present = len(scatter) == self.classes, np.flatnonzero(counts)
        # A class is worked on while it lies in the processor's cache; where only the sum is kept, all in one product.
        most = int(counts.max(initial=0)) if per_class else rows.size
        deviations = np.empty((most + (1 if per_class else present.size), x.shape[1]))
        begin = end = 0
        for label in present:
            number, first = int(counts[label]), 0 if per_class else end
            block = deviations[first : first + number]
            block[:] = x[rows[begin : begin + number]]
            if self._scale not in (1.0, np.inf):
                block *= self._scale
            mean = np.add.reduce(block, axis=0) / number
            # Squares are summed of deviations from the batch's own class means, so that an offset costs no digits.
            block -= mean
            step = mean - means[label]
            self._traces[label] += np.vdot(block, block) + weight[label] * np.vdot(step, step)
            begin, end = begin + number, first + number + 1
            deviations[end - 1] = np.sqrt(weight[label]) * step
            if per_class:
                scatter[label] += deviations[:end].T @ deviations[:end]
            # The mean of both is m_a + n_b/(n_a + n_b) (m_b - m_a), which for a new class is m_b.
            means[label] += share[label] * step
        if not per_class:
            scatter[0] += deviations[:end].T @ deviations[:end]
        self.counts = self.counts + counts
        return self

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both; ValueError where they are of different classes or widths."""
        if not isinstance(other, Moments):
            return NotImplemented
        if other.classes != self.classes:
            raise ValueError(f"moments: expected the same number of classes, got {self.classes} and {other.classes}")
        # Where one side has seen no batch, the moments of both are those of the other; the settings stay those of the first.
        if self._means is None or other._means is None:
            one = (self if other._means is None else other)._copy()
            one.ignore = self.ignore
            return one
        if other.width != self.width:
            raise ValueError(f"moments: expected features of one width, got {self.width} and {other.width}")
        one = self._copy()
        if len(one.in_unit().scatter) != len(other.in_unit().scatter):
            raise ValueError("moments: expected both with, or both without, the scatter of each class (per_class=...)")
        # The unit of both is the larger one, so that nothing overflows.
        one._rescale(other._scale)
        if one._scale < other._scale:
            other = other._copy()
            other._rescale(one._scale)
        one._merge(other.counts, *other.in_unit())
        return one

    @property
    def width(self) -> int:
        """d."""
        return self.in_unit().means.shape[1]

    @property
    def samples(self) -> int:
        """N."""
        return int(self.counts.sum())

    @property
    def means(self) -> np.ndarray:
        """Class means, K x d; zero for a class without samples."""
        return self._in_features(self.in_unit().means, 1)

    @property
    def within(self) -> np.ndarray:
        """The sum over all samples of the outer products of their deviations from their class mean, d x d."""
        return self._in_features(self.in_unit().scatter.sum(axis=0), 2)

    @property
    def scatter(self) -> np.ndarray | None:
        """The same of each class, K x d x d; None where only the sum is kept."""
        scatter = self.in_unit().scatter
        return self._in_features(scatter, 2) if len(scatter) == self.classes else None

    @property
    def traces(self) -> np.ndarray:
        """The trace of each class's scatter."""
        return self._in_features(self._traces, 2)

    def in_unit(self) -> Held:
        """The moments of the features times a power of two, which no metric depends on; 1 for features of ordinary size."""
        if self._means is None or self._scatter is None:
            raise ValueError("moments: expected at least one batch, got none (see Moments.add)")
        return Held(self._means, self._scatter, self._traces)

    def _in_features(self, held: np.ndarray, power: int) -> np.ndarray:
        """What is held in the unit of the features, of which it has a power; it may be zero or infinite there."""
        if self._scale in (1.0, np.inf):
            return held
        with np.errstate(over="ignore"):
            for _ in range(power):
                held = held / self._scale
        return held

    def _rescale(self, scale: float) -> None:
        """Hold all in a unit that is at least that of `scale`."""
        if scale >= self._scale:
            return
        # As long as all is zero it has no unit.
        ratio = 0.0 if self._scale == np.inf else scale / self._scale
        self._scale = scale
        if self._means is not None and self._scatter is not None:
            self._means *= ratio
            self._scatter *= ratio
            self._scatter *= ratio
            self._traces *= ratio
            self._traces *= ratio

    def _keeps_classes(self, width: int) -> bool:
        # The width, which the first batch tells, decides unless `per_class` does.
        return self.classes * width**2 <= MAX_CLASS_COVARIANCES if self._asked is None else self._asked

    def _begun(self, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Means and scatter that are held, which the first batch begins with zeros."""
        if self._means is None or self._scatter is None:
            self._means = np.zeros((self.classes, width))
            self._scatter = np.zeros((self.classes if self._keeps_classes(width) else 1, width, width))
        return self._means, self._scatter

    def _merge(self, counts: np.ndarray, means: np.ndarray, scatter: np.ndarray, traces: np.ndarray) -> None:
        """Chan, Golub, LeVeque: S = S_a + S_b + n_a n_b / (n_a + n_b) (m_a - m_b)(m_a - m_b)^T, class by class."""
        if self._means is None or self._scatter is None:
            self.counts, self._means, self._scatter, self._traces = (
                np.array(one) for one in (self.counts + counts, means, scatter, traces)
            )
            return
        # With a for what is held and b for what comes in, step is m_b - m_a, share n_b/(n_a + n_b) and weight n_a share.
        both = self.counts + counts
        step = np.where((counts > 0)[:, None], means - self._means, 0.0)
        share = counts / np.maximum(both, 1)
        weight = self.counts * share
        if len(self._scatter) == self.classes:
            for label in np.flatnonzero(counts):
                self._scatter[label] += scatter[label] + weight[label] * np.outer(step[label], step[label])
        else:
            self._scatter[0] += scatter[0] + (step * weight[:, None]).T @ step
        self._traces += traces + weight * np.sum(step**2, axis=1)
        # The mean of both is m_a + n_b/(n_a + n_b) (m_b - m_a), which for a new class is m_b.
        self._means += share[:, None] * step
        self.counts = both

    def _copy(self) -> "Moments":
        new = Moments(self.classes, ignore=self.ignore, per_class=self._asked)
        if self._means is not None and self._scatter is not None:
            new._merge(self.counts, self._means, self._scatter, self._traces)
            new._scale = self._scale
        return new

    def __repr__(self) -> str:
        return f"Moments(classes={self.classes}, samples={self.samples})"


def check_finite(x: np.ndarray, kept: np.ndarray) -> float:
    """The largest size of a number in the rows `kept`; ValueError for one that is not finite, or rows whose sums overflow."""
    if kept.size == 0 or x.size == 0:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        # It is NaN where one is none, and no sum is larger than that times the number of rows.
        if kept.size == len(x):
            largest = np.maximum(float(x.max()), -float(x.min()))
        else:
            largest = float(np.maximum(x.max(axis=1), -x.min(axis=1))[kept].max())
        if np.isfinite(len(x) * largest):
            return float(largest)
        some = x[kept]
        bad = kept[~np.all(np.isfinite(some), axis=1)]
        if bad.size:
            raise ValueError(f"features: expected finite numbers; row {int(bad.min())} is not")
        if not np.all(np.isfinite(np.sum(np.abs(some), axis=0, dtype=np.float64))):
            raise ValueError("features: expected finite numbers; their sums overflow")
        return float(largest)
