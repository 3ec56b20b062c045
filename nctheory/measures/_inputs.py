"""Features and labels as they come from any framework, checked and as NumPy arrays in float64."""

from typing import Any

import numpy as np


def as_numpy(name: str, values: Any) -> np.ndarray:
    """A NumPy array of any library's array or of nested lists; a PyTorch tensor is taken off its graph and to the host.

    Raises ValueError, naming the argument, for what is no array of real numbers.

    >>> as_numpy("features", [[1, 2]]).shape
    (1, 2)
    """
    # A PyTorch tensor, which alone has `detach`, may belong to a graph and lie on another device.
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):  # NumPy has no such type
            values = values.float()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as failed:
        raise ValueError(f"{name}: expected an array of numbers, got {type(values).__name__} ({failed})") from None
    if "float" in array.dtype.name and array.dtype.kind == "V":  # bfloat16 and narrower, of JAX
        array = array.astype(np.float32)
    # Complex numbers, strings, records and dates are no real numbers.
    if array.dtype == object or array.dtype.kind in "cSUVMm":
        hint = "; numpy.unique(names, return_inverse=True) numbers names" if array.dtype.kind in "SU" else ""
        raise ValueError(f"{name}: expected real numbers, got an array of {array.dtype}{hint}")
    return array


def as_features(values: Any, name: str = "features") -> np.ndarray:
    """N x d, samples first, in float64 (a copy is made only where the dtype changes)."""
    return as_rows(values, name).astype(np.float64, copy=False)


def as_rows(values: Any, name: str = "features") -> np.ndarray:
    """N x d, samples first, in float64 or as they come in float32, for what converts a few rows at a time."""
    array = as_numpy(name, values)
    check_rows(array, name)
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def check_rows(array: np.ndarray, name: str = "features") -> None:
    """ValueError for what is not N x d."""
    if array.ndim != 2:
        raise ValueError(
            f"{name}: expected N x d, one row a sample, got shape {array.shape}; of feature maps give the pooled or "
            "flattened vectors"
        )
    if array.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one dimension, got shape {array.shape}")


def as_labels(values: Any, samples: int | None = None, name: str = "labels") -> np.ndarray:
    """N whole numbers; floats are taken where they are whole."""
    array = as_numpy(name, values)
    # The usual slips are labels as one column or row, and labels as a one-hot matrix.
    if array.ndim == 2 and 1 in array.shape:
        hint = f"; of a column or row give {name}.reshape(-1)"
    elif array.ndim == 2:
        hint = f"; of a one-hot matrix give {name}.argmax(1)"
    else:
        hint = ""
    if array.ndim != 1:
        raise ValueError(f"{name}: expected N whole numbers, one a sample, got shape {array.shape}{hint}")
    if samples is not None and array.shape[0] != samples:
        raise ValueError(f"{name}: expected {samples}, one a row of the features, got {array.shape[0]}")
    # NaN is no whole number either, because it differs from its own rounding.
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.round(array))
        if not np.all(whole):
            bad = int(np.flatnonzero(~whole)[0])
            raise ValueError(f"{name}: expected whole numbers, got {array[bad]} at position {bad}")
    elif array.dtype.kind not in "iub":
        raise ValueError(f"{name}: expected whole numbers, got {array.dtype}")
    return array.astype(np.int64)


def check_range(labels: np.ndarray, classes: int, name: str = "labels") -> None:
    """ValueError for a label outside 0..K-1, with where it is and how marks of unlabelled samples are left out."""
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        at = int(outside[0])
        mark = f"; if {labels[at]} marks samples without a label, say ignore={labels[at]}" if labels[at] < 0 else ""
        raise ValueError(
            f"{name}: expected 0 to {classes - 1} for {classes} classes, got {labels[at]} at position {at}{mark}"
        )


def read_labels(
    labels: Any, samples: int | None = None, classes: int | None = None, *, name: str = "labels"
) -> np.ndarray:
    """N whole numbers in 0..K-1 from any library's array of any dtype, as int64.

    N is `samples` and K `classes`, each of which may be left open. Raises ValueError, naming the argument, for another shape
    or length, numbers that are not whole (NaN and infinity among them), and labels out of range.

    >>> read_labels([0.0, 2.0], classes=3).tolist()
    [0, 2]
    """
    found = as_labels(labels, samples, name)
    check_range(found, int(found.max(initial=0)) + 1 if classes is None else check_classes(classes), name)
    return found


def check_classes(classes: Any) -> int:
    """The number of classes, at least one."""
    if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 1:
        raise ValueError(f"classes: expected a whole number of at least 1, got {classes!r}")
    return int(classes)


def as_head(weights: Any, bias: Any, classes: int, width: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """W, K x d, and b, K, in float64; None where there is none."""
    if weights is None:
        if bias is not None:
            raise ValueError("bias: expected weights with it, got none")
        return None, None
    w = as_numpy("weights", weights).astype(np.float64)
    if w.shape != (classes, width):
        # The usual slip is W as d x K, as some frameworks keep it.
        turned = "; it is the transpose of that" if w.shape == (width, classes) and width != classes else ""
        raise ValueError(f"weights: expected K x d = {classes} x {width}, got shape {w.shape}{turned}")
    if not np.all(np.isfinite(w)):
        raise ValueError("weights: expected finite numbers")
    if bias is None:
        return w, None
    b = as_numpy("bias", bias).astype(np.float64)
    if b.shape != (classes,):
        raise ValueError(f"bias: expected K = {classes} numbers, got shape {b.shape}")
    if not np.all(np.isfinite(b)):
        raise ValueError("bias: expected finite numbers")
    return w, b


def read_head(
    features: Any, labels: Any, weights: Any, bias: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Features N x d, labels N, weights K x d and a bias of K numbers or None, checked, in float64 and whole numbers.

    Any library's arrays are taken. Raises ValueError, naming the argument, for shapes that do not fit, numbers that are not
    finite, labels outside 0..K-1 and a class without samples.

    >>> x, y, w, b = read_head([[1, 0], [0, 2]], [0.0, 1.0], [[1, 0], [0, 1]])
    >>> x.dtype.name, y.tolist(), w.shape, b
    ('float64', [0, 1], (2, 2), None)
    """
    x = as_features(features)
    bad = np.argwhere(~np.isfinite(x))
    if bad.size:
        raise ValueError(f"features: expected finite numbers, got {x[tuple(bad[0])]} in row {bad[0][0]}")
    y = as_labels(labels, x.shape[0])
    if weights is None or as_numpy("weights", weights).ndim != 2:
        raise ValueError("weights: expected K x d, one row a class")
    # The rows of W say how many classes there are.
    classes = as_numpy("weights", weights).shape[0]
    w, b = as_head(weights, bias, classes, x.shape[1])
    check_range(y, classes)
    missing = np.flatnonzero(np.bincount(y, minlength=classes) == 0)
    if missing.size:
        raise ValueError(f"labels: expected samples of all {classes} classes, got none of class {missing[0]}")
    return x, y, np.asarray(w), b
