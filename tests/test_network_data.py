"""Data for networks: read as other readers read them, harder versions with the counts that they say, wrong files by name."""

import gzip
import struct

import numpy as np
import pytest

from nctheory import networks

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 5)), np.repeat(np.arange(3), (6, 4, 2))


def idx_bytes(array, code=0x08):
    return struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    images = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)
    for part, compressed in (("train", False), ("t10k", True)):
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            body = idx_bytes(array)
            (tmp_path / (name + ".gz" * compressed)).write_bytes(gzip.compress(body) if compressed else body)
    return tmp_path, images, labels


def test_idx_folders_are_read_compressed_or_not(folder):
    path, images, labels = folder
    data = networks.idx(path)
    np.testing.assert_array_equal(data.inputs, images / 255.0)
    np.testing.assert_array_equal(data.test_inputs, images / 255.0)
    np.testing.assert_array_equal(data.labels, labels)
    assert (data.classes, data.counts, data.name) == (3, (2, 2, 2), path.name)


@pytest.mark.parametrize("code", [0x08, 0x0B, 0x0C, 0x0D, 0x0E])
def test_every_kind_of_idx_number(code, tmp_path):
    kinds = {0x08: ">u1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
    array = np.arange(6).reshape(2, 3).astype(kinds[code])
    (tmp_path / "x").write_bytes(idx_bytes(array, code))
    found = networks.read_idx(tmp_path / "x")
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "train-images-idx3-ubyte").unlink(), "expected train-images-idx3-ubyte or"),
        (lambda path: (path / "train-labels-idx1-ubyte").write_bytes(b"PNG....."), "expected an IDX file"),
        (lambda path: (path / "train-images-idx3-ubyte").write_bytes(b""), "expected an IDX file"),
        (
            lambda path: (path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((6, 4, 3), "u1"))[:-1]),
            "got 71 bytes",
        ),
        (
            lambda path: (path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((6, 4), "u1"))),
            "inputs: expected images in three axes, got shape .* in .*train-images-idx3-ubyte",
        ),
        (
            lambda path: (path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros((6, 4, 3), "u1"))),
            "labels: expected labels in one axis, got shape .* in .*train-labels-idx1-ubyte",
        ),
        (
            lambda path: (path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((6, 4, 3), ">i2"), 0x0B)),
            "inputs: expected unsigned bytes, as in MNIST, got int16 in .*train-images-idx3-ubyte",
        ),
        (
            lambda path: (path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(5, "u1"))),
            "labels: expected 6, one a row",
        ),
        (lambda path: (path / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bno"), "cannot read"),
    ],
)
def test_wrong_idx_folders_are_named(folder, change, message):
    path, _, _ = folder
    change(path)
    with pytest.raises(ValueError, match=message):
        networks.idx(path)


def test_tables_and_arrays(tmp_path):
    table = np.column_stack([X, Y])
    (tmp_path / "x.csv").write_text("a,b,c,d,e,label\n" + "\n".join(",".join(map(repr, row.tolist())) for row in table))
    np.savez(tmp_path / "x.npz", inputs=X, labels=Y, test_inputs=X[:2], test_labels=Y[:2])
    from_csv, from_npz = networks.csv(tmp_path / "x.csv"), networks.npz(tmp_path / "x.npz")
    for data in (from_csv, from_npz):
        np.testing.assert_array_equal(data.inputs, X)
        np.testing.assert_array_equal(data.labels, Y)
    assert from_csv.test_inputs.shape == (0, 5)
    assert from_npz.test_labels.tolist() == [0, 0]
    (tmp_path / "bad.csv").write_text("1,2,0\n3,x,1\n")
    with pytest.raises(ValueError, match=r"expected numbers in row 2 of .*bad.csv, got '3,x,1'"):
        networks.csv(tmp_path / "bad.csv")
    with pytest.raises(ValueError, match="expected an NPZ file"):
        networks.npz(tmp_path / "x.csv")
    np.savez(tmp_path / "other.npz", inputs=X)
    with pytest.raises(ValueError, match="expected arrays inputs, labels"):
        networks.npz(tmp_path / "other.npz")


def test_harder_versions_have_the_counts_that_they_say():
    data = networks.gaussian_mixture(counts=(20,) * 5, dim=3, spread=0.1, test=4)
    assert data.counts == (20,) * 5
    assert data.test_inputs.shape == (20, 3)
    tail = data.long_tailed(10.0)
    assert tail.counts == tuple(round(20 * 10.0 ** (-k / 4)) for k in range(5))
    assert tail.test_inputs.shape == (20, 3)
    noisy = data.noisy_labels(0.3, key=1)
    assert np.sum(noisy.labels != data.labels) == 30
    np.testing.assert_array_equal(noisy.inputs, data.inputs)
    np.testing.assert_array_equal(noisy.labels, data.noisy_labels(0.3, key=1).labels)
    some = data.only(3, 1)
    assert some.counts == (20, 20)
    np.testing.assert_array_equal(some.inputs[some.labels == 0], data.inputs[data.labels == 3])
    assert data.take((1, 2, 3, 0, 20)).counts == (1, 2, 3, 0, 20)


def test_mixed_samples_have_the_tags_of_both():
    data = networks.Data(X, Y)
    both = data.multi_label(7, key=3)
    assert both.labels.shape == (19, 3)
    assert both.labels[:12].sum(axis=1).tolist() == [1] * 12
    assert both.labels[12:].sum(axis=1).tolist() == [2] * 7
    for row, tags in zip(both.inputs[12:], both.labels[12:], strict=True):
        pairs = [(i, j) for i in range(12) for j in range(12) if np.allclose(0.5 * (X[i] + X[j]), row)]
        assert any(tags[Y[i]] and tags[Y[j]] and Y[i] != Y[j] for i, j in pairs)
    with pytest.raises(ValueError, match="expected one label a sample, got tags"):
        both.long_tailed(2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.Data(X, Y[:5]), "labels: expected 12, one a row"),
        (
            lambda: networks.Data(np.where(np.arange(12)[:, None] == 4, np.nan, X), Y),
            "finite numbers, got others in sample 4",
        ),
        (lambda: networks.Data(X, np.where(Y == 1, np.inf, Y)), "labels: expected whole numbers"),
        (lambda: networks.Data(X, Y + 0.5), "labels: expected whole numbers"),
        (lambda: networks.Data(X, Y, classes=2), "labels: expected 0 to 1 for 2 classes, got 2 at position 10"),
        (lambda: networks.Data(X, Y - 1), "labels: expected 0 to"),
        (lambda: networks.Data(X, Y, X[:, :4], Y), "test_inputs: expected shape"),
        (lambda: networks.Data(X, Y, X, Y[:3]), "test_labels: expected 12"),
        (lambda: networks.Data(X, Y, X), "test_labels: expected 12"),
        (lambda: networks.Data(X, np.eye(3)[Y], X, Y), "test_labels: expected labels or tags as in the training set"),
        (lambda: networks.Data(X[:, 0], Y), "inputs: expected numbers"),
        (lambda: networks.Data(X, Y).take((7, 0, 0)), "at most 6 samples of class 0, got 7"),
        (lambda: networks.Data(X, Y).only(0, 3), "classes: expected different ones of 0 to 2"),
        (lambda: networks.Data(X, Y).long_tailed(0.5), "ratio"),
        (lambda: networks.Data(X, Y).noisy_labels(1.5), "share"),
        (lambda: networks.gaussian_mixture(counts=(2, 2), dim=3, spread=-1.0), "spread"),
    ],
)
def test_wrong_data_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_digits_are_all_there_in_a_random_order():
    data = networks.digits(key=1)
    assert data.inputs.shape == (1348, 64)
    assert data.test_inputs.shape == (449, 64)
    assert sum(data.counts) == 1348
    assert data.inputs.min() == 0.0
    assert data.inputs.max() == 1.0
    assert len(set(data.labels[:100].tolist())) == 10
    assert data.take((20,) * 10).counts == (20,) * 10
