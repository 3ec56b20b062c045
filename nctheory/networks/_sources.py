"""Where data come from: files of images, tables and arrays, the digits of scikit-learn, Gaussian mixtures."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nctheory.engine import is_finite, whole_number
from nctheory.networks._data import Data

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The element types of an IDX file by their code."""
MNIST_FILES = {
    "inputs": "train-images-idx3-ubyte",
    "labels": "train-labels-idx1-ubyte",
    "test_inputs": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
"""The files of MNIST and of Fashion-MNIST, compressed or not."""


def idx(folder: str | Path, name: str | None = None) -> Data:
    """MNIST, Fashion-MNIST or data in their form: four IDX files in a folder, compressed or not; pixels from 0 to 1.

    Raises ValueError, naming the file, for one that is missing, of another kind, or shorter than it says.
    """
    files = {part: _there(Path(folder), file) for part, file in MNIST_FILES.items()}
    parts = {part: read_idx(file) for part, file in files.items()}
    for part, found in parts.items():
        axes = 3 if part.endswith("inputs") else 1
        if found.ndim != axes:
            wanted = "images in three axes" if axes == 3 else "labels in one axis"
            raise ValueError(f"{part}: expected {wanted}, got shape {found.shape} in {files[part]}")
        # Of numbers of another type it is not known what white is.
        if found.dtype != np.uint8:
            raise ValueError(f"{part}: expected unsigned bytes, as in MNIST, got {found.dtype} in {files[part]}")
        if axes == 3:
            parts[part] = found / 255.0
    return Data(**parts, classes=0, name=name or Path(folder).name)


def _there(folder: Path, file: str) -> Path:
    for one in (folder / file, folder / f"{file}.gz"):
        if one.is_file():
            return one
    raise ValueError(f"folder: expected {file} or {file}.gz in {folder}, got neither")


def read_idx(file: str | Path) -> np.ndarray:
    """The array of one IDX file, compressed where its name ends in .gz.

    Raises ValueError, naming the file, where it is no IDX file or its length is not what its head says.
    """
    path = Path(file)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ValueError(f"file: cannot read {path} ({error})") from error
    # The head is two zero bytes, the element type, the number of axes, and each axis's length in four bytes.
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"file: expected an IDX file, got something else in {path}")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    dtype = np.dtype(IDX_TYPES[data[2]])
    body = data[4 + 4 * data[3] :]
    if len(body) != dtype.itemsize * int(np.prod(shape)):
        raise ValueError(f"file: expected {shape} numbers of {dtype}, got {len(body)} bytes in {path}")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def npz(file: str | Path) -> Data:
    """Arrays inputs and labels, and where there are any test_inputs and test_labels, of an NPZ file.

    Raises ValueError, naming the file or the array.
    """
    try:
        with np.load(file, allow_pickle=False) as held:
            parts = {name: held[name] for name in held.files}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"file: expected an NPZ file of plain arrays, got {file} ({type(error).__name__})") from error
    known = {"inputs", "labels", "test_inputs", "test_labels"}
    if not {"inputs", "labels"} <= set(parts) <= known:
        raise ValueError(f"file: expected arrays inputs, labels (test_inputs, test_labels), got {', '.join(parts)}")
    return Data(**parts, name=Path(file).stem)


def csv(file: str | Path, label: int = -1) -> Data:
    """Numbers separated by commas, one sample a row, the label in one column (the last); a line of names may come first.

    Raises ValueError, naming the file and the row, and for a column of labels that are no whole numbers.
    """
    inputs, labels = read_csv(file, label)
    return Data(inputs, labels, name=Path(file).stem)


def read_csv(file: str | Path, label: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """The inputs, N x d, and the labels of a file that `csv` reads; raises ValueError as that does."""
    rows = [line.split(",") for line in Path(file).read_text().splitlines() if line.strip()]
    try:
        [float(cell) for cell in rows[0]]
    except (ValueError, IndexError):
        rows = rows[1:]
    numbers = []
    for number, row in enumerate(rows):
        try:
            numbers.append([float(cell) for cell in row])
        except ValueError:
            raise ValueError(
                f"file: expected numbers in row {number + 1} of {file}, got {','.join(row)[:40]!r}"
            ) from None
    if not numbers or len({len(row) for row in numbers}) > 1 or len(numbers[0]) < 2:
        raise ValueError(f"file: expected rows of one length, at least two numbers each, in {file}")
    table = np.array(numbers)
    labels = table[:, label]
    if np.any(labels != np.round(labels)):
        at = int(np.flatnonzero(labels != np.round(labels))[0])
        where = "the last column" if label == -1 else f"column {label}"
        raise ValueError(
            f"file: expected whole numbers, the labels, in {where} of {file}, got {labels[at]:g} in sample {at}"
        )
    return np.delete(table, label, axis=1), labels


def digits(*, key: int = 0, test_share: float = 0.25) -> Data:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn brings along, from 0 to 1, in a random order by `key`.

    Raises ImportError where scikit-learn is not installed (`pip install 'nctheory[networks]'`).
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install 'nctheory[networks]'") from error

    inputs, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    order = np.random.default_rng(whole_number("key", key, least=0)).permutation(len(labels))
    cut = round((1.0 - test_share) * len(labels))
    train, test = order[:cut], order[cut:]
    pixels = inputs / 16.0
    return Data(pixels[train], labels[train], pixels[test], labels[test], 10, "digits")


def gaussian_mixture(
    *, counts: Sequence[int], dim: int, spread: float, key: int = 0, test: int = 0, means: np.ndarray | None = None
) -> Data:
    r"""Samples $\mu_k+\sigma\epsilon$, $\sigma$ = `spread`: means of expected length 1 are drawn unless given, K x dim.

    `test` is the number of test samples of each class.
    """
    rng = np.random.default_rng(whole_number("key", key, least=0))
    classes = len(counts)
    centres = rng.normal(size=(classes, dim)) / np.sqrt(dim) if means is None else np.asarray(means, float)
    if centres.shape != (classes, dim):
        raise ValueError(f"means: expected K x dim = {classes} x {dim}, got shape {centres.shape}")
    if not (is_finite(spread) and spread >= 0):
        raise ValueError(f"spread: expected a finite number of at least 0, got {spread}")

    def draw(sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(classes), sizes)
        return centres[labels] + spread * rng.normal(size=(len(labels), dim)), labels

    return Data(*draw(counts), *draw((test,) * classes), classes, "gaussian mixture")


def markov_sequences(
    *, counts: Sequence[int], vocabulary: int, length: int, strength: float = 2.0, key: int = 0, test: int = 0
) -> Data:
    r"""Sequences of whole numbers below `vocabulary`, each class from a Markov chain of its own.

    The transition probabilities of class k are $P_{ab}\propto e^{s\,g_{kab}}$ with standard normal $g_{kab}$ and s =
    `strength`; at 0 all classes are alike. The first token is uniform. `test` is the number of test samples of each class.
    Raises ValueError, naming the argument, for fewer than two tokens or positions.

    >>> data = markov_sequences(counts=(3, 3), vocabulary=5, length=8)
    >>> data.inputs.shape, bool((data.inputs < 5).all())
    ((6, 8), True)
    """
    for name, number in (("vocabulary", vocabulary), ("length", length)):
        if number < 2:
            raise ValueError(f"{name}: expected at least 2, got {number}")
    if not (is_finite(strength) and strength >= 0):
        raise ValueError(f"strength: expected a finite number of at least 0, got {strength}")
    rng = np.random.default_rng(whole_number("key", key, least=0))
    classes = len(counts)
    weights = np.exp(strength * rng.normal(size=(classes, vocabulary, vocabulary)))
    upto = np.cumsum(weights / weights.sum(axis=-1, keepdims=True), axis=-1)

    def draw(sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(classes), sizes)
        tokens = np.empty((len(labels), length), np.int64)
        tokens[:, 0] = rng.integers(0, vocabulary, len(labels))
        for at in range(1, length):
            # The next token is that in whose share of (0, 1) a uniform number falls.
            shares = upto[labels, tokens[:, at - 1]]
            tokens[:, at] = np.minimum((rng.random(len(labels))[:, None] > shares).sum(axis=1), vocabulary - 1)
        return tokens.astype(float), labels

    return Data(*draw(counts), *draw((test,) * classes), classes, "Markov sequences")
