"""Data to train networks on: checked arrays with labels or tags, and harder versions of them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from nctheory.engine import is_finite, shown, whole_number
from nctheory.measures import as_numpy, read_labels


@shown()
@dataclasses.dataclass(frozen=True)
class Data:
    """Inputs N x (any shape) with one label each, or N x K tags of 0 and 1, and the same for a test set, which may be empty.

    Inputs are float64. Raises ValueError, naming the argument, for lengths that differ, numbers that are not finite, and
    labels that are no whole numbers in 0..K-1.

    >>> small = Data(np.eye(4), np.array([0, 0, 1, 1]))
    >>> small.classes, small.counts, small.test_inputs.shape
    (2, (2, 2), (0, 4))
    """

    inputs: np.ndarray
    labels: np.ndarray
    test_inputs: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    test_labels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    classes: int = 0
    """K; by default the largest label plus one, or the number of columns of the tags."""
    name: str = "data"

    def __post_init__(self) -> None:
        inputs = read_samples("inputs", self.inputs)
        tested = np.size(self.test_labels) > 0 or np.size(self.test_inputs) > 0
        test_inputs = read_samples("test_inputs", self.test_inputs) if tested else inputs[:0]
        if test_inputs.shape[1:] != inputs.shape[1:]:
            raise ValueError(f"test_inputs: expected shape {inputs.shape[1:]} a sample, got {test_inputs.shape[1:]}")
        labels = _labels("labels", self.labels, len(inputs), self.classes)
        classes = self.classes or (labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1)
        test_labels = _labels("test_labels", self.test_labels, len(test_inputs), classes) if tested else labels[:0]
        if test_labels.ndim != labels.ndim:
            raise ValueError("test_labels: expected labels or tags as in the training set, got the other")
        found = (inputs, labels, test_inputs, test_labels, classes)
        for field, value in zip(dataclasses.fields(self), found, strict=False):
            object.__setattr__(self, field.name, value)

    @property
    def counts(self) -> tuple[int, ...]:
        """Training samples of each class; a sample with several tags counts for each of them."""
        tagged = self.labels if self.labels.ndim == 2 else np.eye(self.classes)[self.labels]
        return tuple(int(n) for n in tagged.sum(axis=0))

    def take(self, counts: Sequence[int]) -> "Data":
        """The first n_k training samples of each class k, in their order; the test set stays.

        Raises ValueError where there are fewer samples of a class, or the samples have several tags.
        """
        kept = []
        for label, (wanted, there) in enumerate(zip(counts, self._one_label().counts, strict=True)):
            if not 0 <= wanted <= there:
                raise ValueError(f"counts: expected at most {there} samples of class {label}, got {wanted}")
            kept.append(np.flatnonzero(self.labels == label)[:wanted])
        rows = np.sort(np.concatenate(kept))
        return dataclasses.replace(self, inputs=self.inputs[rows], labels=self.labels[rows])

    def only(self, *classes: int) -> "Data":
        """The samples of these classes, which become 0, 1, … in the order given, in both sets."""
        self._one_label()
        outside = [k for k in classes if not 0 <= k < self.classes]
        if outside or not classes or len(set(classes)) < len(classes):
            raise ValueError(f"classes: expected different ones of 0 to {self.classes - 1}, got {classes}")
        new = np.full(self.classes, -1)
        new[list(classes)] = np.arange(len(classes))
        train, test = new[self.labels], new[self.test_labels]
        return Data(
            self.inputs[train >= 0], train[train >= 0], self.test_inputs[test >= 0], test[test >= 0], len(classes), self.name
        )  # fmt: skip

    def shaped(self, *shape: int) -> "Data":
        """The same samples as arrays of another shape with as many numbers; ValueError, naming `shape`, for another number.

        >>> Data(np.eye(4), np.array([0, 0, 1, 1])).shaped(2, 2).inputs.shape
        (4, 2, 2)
        """
        if int(np.prod(shape)) != int(np.prod(self.inputs.shape[1:])):
            raise ValueError(f"shape: expected as many numbers as {self.inputs.shape[1:]}, got {shape}")
        parts = {name: getattr(self, name).reshape(-1, *shape) for name in ("inputs", "test_inputs")}
        return dataclasses.replace(self, **parts)

    def long_tailed(self, ratio: float) -> "Data":
        r"""Class counts that fall geometrically, $n_k=n_{\min}\,R^{-k/(K-1)}$ rounded, at least 1, with R = `ratio` >= 1."""
        if not (is_finite(ratio) and ratio >= 1):
            raise ValueError(f"ratio: expected a finite number of at least 1, got {ratio}")
        least = min(self._one_label().counts)
        falls = ratio ** (-np.arange(self.classes) / max(self.classes - 1, 1))
        return self.take([max(1, round(least * fall)) for fall in falls])

    def noisy_labels(self, share: float, key: int = 0) -> "Data":
        """A share of the training labels, the same number rounded in every run, replaced by another class at random."""
        if not 0 <= share <= 1:
            raise ValueError(f"share: expected a number from 0 to 1, got {share}")
        rng, labels = np.random.default_rng(whole_number("key", key, least=0)), self._one_label().labels.copy()
        wrong = rng.permutation(len(labels))[: round(share * len(labels))]
        labels[wrong] = (labels[wrong] + rng.integers(1, max(self.classes, 2), len(wrong))) % self.classes
        return dataclasses.replace(self, labels=labels)

    def permuted_labels(self, key: int = 0) -> "Data":
        """The same labels, or tags, in a random order, in both sets: counts stay, and inputs say nothing of them any more."""
        rng = np.random.default_rng(whole_number("key", key, least=0))
        train, test = (rng.permutation(part, axis=0) for part in (self.labels, self.test_labels))
        return dataclasses.replace(self, labels=train, test_labels=test)

    def multi_label(self, pairs: int, key: int = 0) -> "Data":
        """The training set with `pairs` further samples of two tags each: means of two inputs of different classes.

        Single samples keep one tag. The test set keeps its samples, with one tag each.
        """
        if pairs < 0 or self.classes < 2:
            raise ValueError(f"pairs: expected a number of at least 0 and two classes or more, got {pairs}")
        rng, tags = np.random.default_rng(whole_number("key", key, least=0)), np.eye(self.classes, dtype=np.int64)
        labels = self._one_label().labels
        first = rng.integers(0, len(labels), pairs)
        second = np.array([rng.choice(np.flatnonzero(labels != labels[i])) for i in first], dtype=np.int64)
        mixed = 0.5 * (self.inputs[first] + self.inputs[second])
        both = tags[labels[first]] + tags[labels[second]]
        return Data(
            np.concatenate([self.inputs, mixed]), np.concatenate([tags[labels], both]), self.test_inputs,
            tags[self.test_labels], self.classes, self.name,
        )  # fmt: skip

    def _one_label(self) -> "Data":
        if self.labels.ndim != 1:
            raise ValueError("labels: expected one label a sample, got tags")
        return self


def read_samples(name: str, values: Any) -> np.ndarray:
    """N x (shape of a sample) in float64; ValueError, naming the argument, for other shapes and for NaN or infinity."""
    array = as_numpy(name, values)
    if array.ndim < 2 or len(array) == 0:
        raise ValueError(f"{name}: expected numbers, N x (shape of a sample), got {array.dtype} of shape {array.shape}")
    array = array.astype(np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if bad.size:
        raise ValueError(f"{name}: expected finite numbers, got others in sample {bad[0]}")
    return array


def _labels(name: str, values: Any, samples: int, classes: int) -> np.ndarray:
    """One label a sample, or tags of 0 and 1 in as many columns as there are classes."""
    array = as_numpy(name, values)
    if array.ndim != 2:
        return read_labels(array, samples, classes or None, name=name)
    if len(array) != samples:
        raise ValueError(f"{name}: expected {samples}, one a sample, got shape {array.shape}")
    if classes and array.shape[1] != classes:
        raise ValueError(f"{name}: expected {classes} columns of tags, got {array.shape[1]}")
    flat = read_labels(array.reshape(-1), name=name)
    outside = np.flatnonzero(flat > 1)
    if outside.size:
        at = int(outside[0])
        raise ValueError(f"{name}: expected tags of 0 and 1, got {flat[at]} in sample {at // array.shape[1]}")
    return flat.reshape(array.shape)
