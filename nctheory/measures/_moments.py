"""First and second moments of features by class, in one pass over batches of any size, merged without loss."""

from typing import Any

import numpy as np

from nctheory.measures._inputs import as_features, as_labels, check_classes, check_range

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
        x = as_features(features)
        y = as_labels(labels, x.shape[0])
        if self._means is not None and x.shape[1] != self.width:
            raise ValueError(f"features: expected {self.width} columns as in the batches before, got {x.shape[1]}")
        kept = np.arange(y.size) if self.ignore is None else np.flatnonzero(y != self.ignore)
        # The label of samples to be left out need not be one of the classes.
        check_range(np.where(y == self.ignore, 0, y), self.classes)
        # Sorted by class, the samples of each class are one block of rows.
        rows = kept[np.argsort(y[kept], kind="stable")]
        x, counts = x[rows], np.bincount(y[kept], minlength=self.classes)  # a copy, which is centred in place below
        means = self._means_of(x, counts, rows)
        per_class = self._keeps_classes(x.shape[1])
        scatter = np.zeros((self.classes if per_class else 1, x.shape[1], x.shape[1]))
        traces, begin = np.zeros(self.classes), 0
        for label in np.flatnonzero(counts):
            block = x[begin : begin + counts[label]]
            begin += counts[label]
            # Squares are summed of deviations from the batch's own class means, so that an offset costs no digits.
            block -= means[label]
            traces[label] = np.vdot(block, block)
            if per_class:
                scatter[label] = block.T @ block
        if not per_class:
            # All rows are deviations by now, so that one product is the sum over the classes.
            scatter[0] = x.T @ x
        self._merge(counts, means, scatter, traces)
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
        # The first batch decides for all, unless `per_class` does.
        if self._scatter is not None:
            return len(self._scatter) == self.classes
        return self.classes * width**2 <= MAX_CLASS_COVARIANCES if self._asked is None else self._asked

    def _means_of(self, x: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Means of the classes in a batch sorted by class, after checking that all is finite."""
        present = np.flatnonzero(counts)
        means = np.zeros((self.classes, x.shape[1]))
        if present.size:
            # `reduceat` adds up the rows from the first of each class to the first of the next.
            begins = np.concatenate([[0], np.cumsum(counts[present])[:-1]])
            means[present] = np.add.reduceat(x, begins, axis=0) / counts[present][:, None]
        # A number that is not finite shows in the mean of its class, so that the rows are searched only where one does.
        if not np.all(np.isfinite(means)):
            bad = rows[~np.all(np.isfinite(x), axis=1)]
            where = f"row {int(bad.min())} is not" if bad.size else "their sums overflow"
            raise ValueError(f"features: expected finite numbers; {where}")
        return means

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
