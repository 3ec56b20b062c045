"""First and second moments of features by class, in one pass over batches of any size, merged without loss."""

from typing import Any

import numpy as np

from nctheory.measures._inputs import as_labels, as_rows, check_classes, check_range

MAX_CLASS_COVARIANCES = 2**25
"""The largest number of entries in the covariances of single classes that are kept unasked (256 MiB)."""


class Moments:
    r"""Counts, means and scatter of the features of each class: all that collapse metrics need but NC4 and margins.

    `Moments(classes).add(features, labels)` takes a batch, N x d with one row a sample and N whole-number labels, and may be
    called again with others; `one + other` are the moments of both, so that shards can be read apart. Any library's
    arrays are taken, of any float or integer dtype; sums are kept in float64 as deviations from running means (Chan,
    Golub, LeVeque 1983), so that an offset of the features costs no digits. `ignore` is a label that marks samples to be left
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

    def add(self, features: Any, labels: Any) -> "Moments":
        """Take a batch in, and return the moments themselves."""
        x = as_rows(features)
        y = as_labels(labels, x.shape[0])
        if self._means is not None and x.shape[1] != self.width:
            raise ValueError(f"features: expected {self.width} columns as in the batches before, got {x.shape[1]}")
        kept = np.arange(y.size) if self.ignore is None else np.flatnonzero(y != self.ignore)
        # The label of samples to be left out need not be one of the classes.
        check_range(np.where(y == self.ignore, 0, y), self.classes)
        check_finite(x, kept)
        # Sorted by class, the samples of each class are one run of rows.
        rows, counts = kept[np.argsort(y[kept], kind="stable")], np.bincount(y[kept], minlength=self.classes)
        means, scatter = self._begun(x.shape[1])
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
        assert one._scatter is not None
        assert other._scatter is not None
        if len(one._scatter) != len(other._scatter):
            raise ValueError("moments: expected both with, or both without, the scatter of each class (per_class=...)")
        one._merge(other.counts, other._means, other._scatter, other._traces)
        return one

    @property
    def width(self) -> int:
        """d."""
        return self.means.shape[1]

    @property
    def samples(self) -> int:
        """N."""
        return int(self.counts.sum())

    @property
    def means(self) -> np.ndarray:
        """Class means, K x d; zero for a class without samples."""
        if self._means is None:
            raise ValueError("moments: expected at least one batch, got none (see Moments.add)")
        return self._means

    @property
    def within(self) -> np.ndarray:
        """The sum over all samples of the outer products of their deviations from their class mean, d x d."""
        _ = self.means
        assert self._scatter is not None
        return self._scatter.sum(axis=0)

    @property
    def scatter(self) -> np.ndarray | None:
        """The same of each class, K x d x d; None where only the sum is kept."""
        _ = self.means
        assert self._scatter is not None
        return self._scatter if len(self._scatter) == self.classes else None

    @property
    def traces(self) -> np.ndarray:
        """The trace of each class's scatter."""
        return self._traces

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
        return new

    def __repr__(self) -> str:
        return f"Moments(classes={self.classes}, samples={self.samples})"


def check_finite(x: np.ndarray, kept: np.ndarray) -> None:
    """ValueError for a row that is not finite, or rows whose sums overflow."""
    if x.size == 0:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        # The largest size of a number, NaN where one is none: no sum is larger than that times the number of rows.
        if np.isfinite(len(x) * np.maximum(float(x.max()), -float(x.min()))):
            return
        some = x[kept]
        bad = kept[~np.all(np.isfinite(some), axis=1)]
        if bad.size:
            raise ValueError(f"features: expected finite numbers; row {int(bad.min())} is not")
        if not np.all(np.isfinite(np.sum(np.abs(some), axis=0, dtype=np.float64))):
            raise ValueError("features: expected finite numbers; their sums overflow")
