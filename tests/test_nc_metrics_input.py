"""Features, labels and moments of any kind as they come in, and every wrong input by name."""

import re
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from tests.helpers import unchecked_types
from tests.labelled import LABELS


class Tensor:
    """An array that, like PyTorch's, has to be detached from its graph before NumPy may have it."""

    def __init__(self, data, attached=True):
        self.data, self.attached, self.dtype = data, attached, data.dtype

    def detach(self):
        return Tensor(self.data, attached=False)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if self.attached:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self.data, dtype)


@pytest.mark.parametrize(
    "kind",
    [np.float16, np.float32, np.int8, np.uint8, bool, "jax", "bfloat16", "list", "tensor", "transposed"],
)
def test_any_librarys_arrays_are_measured_in_float64(kind, rng):
    h = np.round(8 * rng.normal(size=(24, 5)) + 3)
    cast = {
        "jax": lambda x: jnp.asarray(x, jnp.float32),
        "bfloat16": lambda x: jnp.asarray(x, jnp.bfloat16),
        "list": np.ndarray.tolist,
        "tensor": Tensor,
        "transposed": np.asfortranarray,
    }.get(kind, lambda x: x.astype(kind))
    given = cast(np.abs(h) if kind in (np.uint8, bool) else h)
    exact = np.asarray(given.data if kind == "tensor" else given).astype(np.float64)
    found = nct.nc_metrics(given, LABELS.astype(np.int8))
    expected = nct.nc_metrics(exact, LABELS)
    assert (found.nc1, found.nc2, found.cdnv) == (expected.nc1, expected.nc2, expected.cdnv)


@pytest.mark.slow
def test_in_an_ordinary_process_numpy_features_are_measured_in_float64():
    """JAX's default, x64 off: with the tolerance of float64 and the arithmetic of float32 NC1 came out as 2.6e13."""
    code = """
import numpy as np, nctheory as nct, jax
m = nct.unconstrained_features(counts=(5,) * 4, dim=8, loss="cross_entropy", weight_decay=(5e-3, 5e-3), bias=None)
y = np.repeat(np.arange(4), 5); H = nct.starts(m, 1).features
assert not jax.config.jax_enable_x64
from nctheory import measures as ms
print(float(ms.within_class_variability(H, y, 4)[0]), nct.nc_metrics(H[0].T, y).nc1)
w = np.random.default_rng(0).normal(size=(2, 8)); c = np.diag([2.0, 1.0])
out = [ms.principal_subspace_error(H, 2), ms.weight_subspace_error(w, H[0]), ms.regression_gram_distance(w, c, 0.1),
       ms.class_means(H, y, 4), ms.distance_to_frame(H[..., :4], np.eye(4)), ms.margin(w @ H[0], y % 2)]
print(*(one.dtype for one in out))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    first, dtypes = run.stdout.strip().splitlines()
    one, other = map(float, first.split())
    assert one == pytest.approx(2.649323, rel=1e-6)
    assert one == pytest.approx(other, rel=1e-12)
    assert dtypes.split() == ["float64"] * 6


def test_marks_and_absent_classes_are_taken_by_name(rng):
    h = rng.normal(size=(24, 5))
    marked = np.where(np.arange(24) % 5 == 0, -100, LABELS)
    kept = marked >= 0
    assert nct.nc_metrics(h, marked, ignore=-100).nc1 == nct.nc_metrics(h[kept], LABELS[kept]).nc1
    few = LABELS != 1
    found = nct.nc_metrics(h[few], LABELS[few], absent="omit")
    relabelled = np.searchsorted([0, 2, 3], LABELS[few])
    expected = nct.nc_metrics(h[few], relabelled)
    assert found.counts.tolist() == [6, 6, 6]
    for name in ("nc1", "nc2", "cdnv", "nearest_mean_error"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


H = np.arange(48.0).reshape(24, 2) ** 1.5
BAD = [
    (dict(labels=LABELS + 1, classes=4), "labels: expected 0 to 3 for 4 classes, got 4 at position 18"),
    (dict(labels=LABELS - 1), "labels: expected 0 to 2 for 3 classes, got -1 at position 0; if -1 marks samples"),
    (dict(labels=np.eye(4)[LABELS]), "labels: expected N whole numbers, one a sample, got shape (24, 4); of a one-hot"),
    (dict(labels=LABELS[:, None]), "labels: expected N whole numbers, one a sample, got shape (24, 1); of a column"),
    (dict(labels=LABELS + 0.5), "labels: expected whole numbers, got 0.5 at position 0"),
    (dict(labels=list("ab" * 12)), "labels: expected real numbers, got an array of <U1"),
    (dict(labels=LABELS[:20]), "labels: expected 24, one a row of the features, got 20"),
    (dict(labels=None), "labels: expected one whole number a sample, got none"),
    (dict(labels=LABELS // 2 * 2), "labels: expected samples of all 3 classes, got none of class 1; absent='omit'"),
    (dict(labels=0 * LABELS), "labels: expected samples of at least two classes, got 1"),
    (dict(features=H.T), "labels: expected 2, one a row of the features, got 24"),
    (dict(features=H[:, 0]), "features: expected N x d, one row a sample, got shape (24,)"),
    (dict(features=H + 1j), "features: expected real numbers, got an array of complex128"),
    (dict(features=np.where(H[5, 1] == H, np.nan, H)), "features: expected finite numbers; row 5 is not"),
    (dict(features=np.where(H[5, 1] == H, np.inf, H)), "features: expected finite numbers; row 5 is not"),
    (dict(labels=np.where(LABELS == 3, np.inf, LABELS)), "labels: expected whole numbers, got inf at position 18"),
    (dict(features=H[:0], labels=LABELS[:0]), "features: expected at least one sample, got none"),
    (dict(weights=np.ones((2, 2))), "labels: expected 0 to 1 for 2 classes, got 2 at position 12"),
    (dict(weights=np.ones((4, 3))), "weights: expected K x d = 4 x 2, got shape (4, 3)"),
    (
        dict(weights=np.ones((2, 4)), classes=4),
        "weights: expected K x d = 4 x 2, got shape (2, 4); it is the transpose",
    ),
    (dict(weights=np.ones((2, 4))), "weights: expected K x d = 4 x 2, got shape (2, 4); it is the transpose"),
    (
        dict(target="minimiser", loss="mse", weight_decay=0.1),
        "weight_decay: expected (lambda_W, lambda_H), got 0.1",
    ),
    (dict(bias=np.ones(4)), "bias: expected weights with it, got none"),
    (dict(weights=np.ones((4, 2)), bias=np.ones(3)), "bias: expected K = 4 numbers, got shape (3,)"),
    (dict(weights=np.full((4, 2), np.nan)), "weights: expected finite numbers"),
    (
        dict(target="etf"),
        "target: expected a Gram matrix or one of simplex_etf, orthogonal_frame, minimiser, got 'etf'",
    ),
    (dict(target=np.eye(3)), "target: expected a Gram matrix of K x K = 4 x 4, got shape (3, 3)"),
    (dict(target=np.triu(np.ones((4, 4)))), "target: expected a symmetric Gram matrix"),
    (dict(target="minimiser"), "target: 'minimiser' needs loss=... and weight_decay=(lambda_W, lambda_H)"),
    (dict(loss="mse"), "target: loss, weight_decay and bias_decay are those of 'minimiser', got 'simplex_etf'"),
    (dict(classes=0), "classes: expected a whole number of at least 1, got 0"),
    (dict(features=nct.Moments(4).add(H, LABELS)), "labels: expected none beside Moments"),
    (dict(features=nct.Moments(4), labels=None), "moments: expected at least one batch, got none"),
    (dict(features={"a": H}, weights={"b": np.ones((4, 2))}), "weights: expected names of layers, got b"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {"features": H, "labels": LABELS, **change}
    with unchecked_types(), pytest.raises(ValueError, match=re.escape(message)):
        nct.nc_metrics(arguments.pop("features"), arguments.pop("labels"), **arguments)


@pytest.mark.parametrize(
    "name", ["within_class_variability", "distance_to_simplex_etf", "class_means", "self_duality_distance"]
)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, "labels: expected 0 to 3 for 4 classes"),
        (np.eye(4)[LABELS], "one-hot"),
        (LABELS // 2 * 2, "got none of class 1"),
        (LABELS[:5], "labels: expected 24, one a row"),
    ],
)
def test_the_batched_measures_check_their_labels(name, labels, message):
    head = (np.ones((4, 2)),) if name == "self_duality_distance" else ()
    with pytest.raises(ValueError, match=message):
        getattr(nct.measures, name)(*head, H.T, labels, 4)
    with pytest.raises(ValueError, match="labels: expected 0 to 3"):
        nct.measures.margin(np.ones((4, 24)), LABELS + 1)


def test_a_sum_with_moments_of_nothing_keeps_the_mark_of_the_first():
    seen = nct.Moments(4).add(H, LABELS)
    both = nct.Moments(4, ignore=-1) + seen
    np.testing.assert_array_equal(both.means, seen.means)
    marked = np.where(LABELS == 3, -1, LABELS)
    assert both.add(H, marked).samples == 24 + 18
    with pytest.raises(ValueError, match="ignore=-1"):
        (seen + nct.Moments(4, ignore=-1)).add(H, marked)


def test_moments_that_do_not_fit_are_refused_and_leave_nothing_behind():
    moments = nct.Moments(4).add(H, LABELS)
    before = moments.means.copy()
    for features, labels, message in (
        (H[:, :1], LABELS, "features: expected 2 columns as in the batches before, got 1"),
        (H * np.nan, LABELS, "features: expected finite numbers"),
        (H, LABELS + 1, "labels: expected 0 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            moments.add(features, labels)
    np.testing.assert_array_equal(moments.means, before)
    assert moments.samples == 24
    with pytest.raises(ValueError, match="moments: expected the same number of classes, got 4 and 3"):
        _ = moments + nct.Moments(3)
    with pytest.raises(ValueError, match="moments: expected features of one width, got 2 and 1"):
        _ = moments + nct.Moments(4).add(H[:, :1], LABELS)
    with pytest.raises(ValueError, match="per_class"):
        _ = moments + nct.Moments(4, per_class=False).add(H, LABELS)
