"""Few-shot samples, probes of their features and the variability that chooses a layer, against longer roads."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

import nctheory as nct
from nctheory import networks
from tests.helpers import unchecked_types


def labelled(rng, samples=(5, 7, 4), dim=6, scale=1.0):
    y = np.repeat(np.arange(len(samples)), samples)
    return scale * (rng.normal(size=(len(samples), dim))[y] + rng.normal(size=(len(y), dim))), y


def test_a_probe_is_the_ridge_regression_of_scikit_learn():
    rng = np.random.default_rng(0)
    (x, y), (test, asked) = labelled(rng), labelled(rng, (40, 40, 40))
    total = np.sum((x - x.mean(axis=0)) ** 2)
    for strength in (1e-4, 0.03, 2.0):
        ours = networks.linear_probe(x, y, test, asked, strength=strength)
        theirs = Ridge(alpha=strength * total).fit(x, np.eye(3)[y])
        assert ours.error == np.mean(theirs.predict(test).argmax(axis=1) != asked)
    chosen = networks.linear_probe(x, y, test, asked)
    grid = 10.0 ** np.arange(1.0, -6.5, -0.5)
    by_them = RidgeCV(alphas=grid * total).fit(x, np.eye(3)[y])
    assert chosen.strength * total == pytest.approx(by_them.alpha_)
    assert by_them.best_score_ is not None
    assert chosen.left_out == pytest.approx(-by_them.best_score_, rel=1e-8)


@pytest.mark.parametrize("dim", [3, 40])
def test_samples_are_left_out_as_by_fitting_again(dim):
    x, y = labelled(np.random.default_rng(dim), dim=dim)
    found = networks.linear_probe(x, y, x, y)
    alpha, squares = found.strength * np.sum((x - x.mean(axis=0)) ** 2), []
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        model = Ridge(alpha=alpha).fit(x[others], np.eye(3)[y[others]])
        squares.append((model.predict(x[i : i + 1])[0] - np.eye(3)[y[i]]) ** 2)
    assert found.left_out == pytest.approx(np.mean(squares), rel=1e-7)


def test_neither_offset_nor_scale_nor_useless_columns_matter_to_a_probe():
    rng = np.random.default_rng(1)
    (x, y), (test, asked) = labelled(rng), labelled(rng, (30, 30, 30))
    first = networks.linear_probe(x, y, test, asked)
    other = networks.linear_probe(1e-3 * x + 5.0, y, 1e-3 * test + 5.0, asked)
    wider = networks.linear_probe(*(np.pad(x, ((0, 0), (0, 3))), y, np.pad(test, ((0, 0), (0, 3))), asked))
    assert (other.error, other.strength) == (first.error, first.strength) == (wider.error, wider.strength)
    several = networks.linear_probe({"a": x, "b": 0 * x}, y, {"a": test, "b": 0 * test}, asked)
    assert several.layers == ("a", "b")
    assert several.error.tolist() == [first.error, pytest.approx(2 / 3)], (
        "of features that are all alike nothing is read"
    )
    alone = networks.linear_probe(x[[0, 5, 12]], [0, 1, 2], test, asked)
    assert (alone.strength, np.isnan(alone.left_out)) == (0.01, True)


def test_episodes_are_paired():
    """An episode is the same among more episodes, and its shots are among more shots; classes have equally many."""
    labels = np.random.default_rng(2).integers(0, 4, 80)
    rows = networks.few_shots(labels, 5, episodes=6, key=3)
    assert np.array_equal(networks.few_shots(labels, 5, episodes=2, key=3), rows[:2])
    assert np.array_equal(
        networks.few_shots(labels, 2, episodes=6, key=3), rows.reshape(6, 4, 5)[:, :, :2].reshape(6, -1)
    )
    assert np.array_equal(labels[rows], np.tile(np.repeat(np.arange(4), 5), (6, 1)))
    assert all(len(set(row)) == 20 for row in rows.tolist())
    assert not np.array_equal(networks.few_shots(labels, 5, episodes=6, key=4), rows)
    assert len({tuple(row) for row in rows.tolist()}) == 6


def test_the_variability_of_few_shots_is_that_of_leaving_out_by_hand():
    x, y = labelled(np.random.default_rng(4), (2, 5, 3), dim=8)
    terms = []
    for k, j in itertools.permutations(range(3), 2):
        margins = []
        for i in np.flatnonzero(y == k):
            others = (y == k) & (np.arange(len(y)) != i)
            near, far = x[others].mean(axis=0), x[y == j].mean(axis=0)
            margins.append(np.sum((x[i] - far) ** 2) - np.sum((x[i] - near) ** 2))
        mean, spread = np.mean(margins), np.var(margins, ddof=1)
        terms.append(spread / (spread + mean**2) if mean > 0 else 1.0)
    assert 0.1 < np.mean(terms) < 0.9, "an instance between the extremes"
    assert networks.few_shot_variability(x, y) == pytest.approx(np.mean(terms), rel=1e-10)
    assert networks.few_shot_variability(1e3 * x - 7.0, y) == pytest.approx(np.mean(terms), rel=1e-8)


def test_with_many_samples_the_variability_is_directional_cdnv_and_bounds_the_nearest_mean():
    """V/M^2 -> 4 u^T S u/|d|^2: with noise across the means alone, which total variances count, it is small."""
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], 4000)
    x = np.where(y[:, None] == 0, 0.5, -0.5) * np.eye(12)[:1] + rng.normal(size=(8000, 12)) * ([0.3] + [1.0] * 11)
    metrics, found = nct.nc_metrics(x, y), networks.few_shot_variability(x, y)
    ratio = 4.0 * float(metrics.directional_cdnv)
    assert found == pytest.approx(ratio / (1.0 + ratio), rel=0.02)
    assert metrics.cdnv > 10, "whose total variance is large"
    assert metrics.nearest_mean_error < found < 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: networks.linear_probe([[0.0], [1.0]], [0, 2], [[0.0]], [0]), "labels: expected samples of every class"),
        (lambda: networks.linear_probe([[0.0], [1.0]], [0, 1], [[0.0]], [2]), "test_labels: expected 0 to 1"),
        (lambda: networks.linear_probe([[0.0], [1.0]], [0, 1], [[0.0, 1.0]], [1]), "test_features: expected 1 columns"),
        (lambda: networks.linear_probe([[0.0], [np.nan]], [0, 1], [[0.0]], [1]), "features: expected finite numbers"),
        (lambda: networks.linear_probe([[0.0], [1.0]], [0, 1], [[0.0]], [1], strength=0.0), "strength: expected a positive"),
        (lambda: networks.few_shot_variability([[0.0], [1.0], [2.0]], [0, 0, 1]), "labels: expected two samples or more"),
        (lambda: networks.few_shots([0, 1, -1], 1), "labels: expected 0 to"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(call, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        call()
