"""Bounds of chains with activations: two classes behind ReLUs, and features that are not negative."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates._activated import linear_chain, nonnegative_norm


def points(problem, rng, count, scale=1.0):
    like = nct.starts(problem, count)
    return jax.tree.map(lambda x: scale * rng.normal(size=x.shape), like)


def best(problem, seeds=48, **options):
    ends = nct.solve(problem, seeds, **options)
    return ends, nct.certify(problem, ends.params)


# The values are those of the closed form of Dang et al. 2024 at three count vectors; the last has a collapsed class.
@pytest.mark.parametrize(
    ("counts", "decay", "value"),
    [((8, 4, 2), 0.02, 0.3958650936269), ((10, 3, 1), 0.05, 0.6889739765649), ((6, 6, 2, 1), 0.08, 1.1953645027531)],
)
def test_non_negative_features_are_certified(counts, decay, value):
    problem = nct.deep_nonlinear(
        widths=(len(counts) + 1, len(counts)),
        counts=counts,
        loss="cross_entropy",
        weight_decay=(decay, decay),
        nonnegative_features=True,
    )
    ends, bound = best(problem, 16)
    assert abs(ends.value.min() - value) < 1e-11
    at = np.argmin(bound.gap)
    assert bound.gap[at] + bound.gap_rounding[at] >= 0
    assert bound.gap[at] < 3e-9 * value
    # Without the sign of the features the minimum is another one, and so is its bound.
    free = nct.deep_linear(
        widths=(len(counts) + 1, len(counts)), counts=counts, loss="cross_entropy", weight_decay=(decay, decay)
    )
    assert nct.solve(free, 8, light=True).value.min() < value - 1e-3
    # At any point whatever the bound lies below the minimum.
    rng = np.random.default_rng(0)
    for scale in (0.0, 0.3, 1.0, 30.0):
        lower = nct.certify(problem, points(problem, rng, 16, scale)).lower_bound
        assert np.all(np.isfinite(lower))
        assert np.all(lower <= value)


@pytest.mark.parametrize("bias", [None, 0.0, 0.1])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_no_end_lies_below_the_bound_for_non_negative_features(loss, bias):
    problem = nct.deep_nonlinear(
        widths=(3, 3), counts=(3, 2, 1), loss=loss, weight_decay=(0.03, 0.06), bias=bias, nonnegative_features=True
    )
    ends, bound = best(problem, 16)
    assert np.all(bound.gap >= -bound.gap_rounding)
    assert np.all(bound.valid)
    # The sign only ever raises the bound.
    behind = nct.problems.ChainParams(ends.params.weights, np.maximum(ends.params.features, 0.0), ends.params.bias)
    assert np.all(bound.lower_bound >= nct.certify(linear_chain(problem), behind).lower_bound - bound.gap_rounding)


def test_the_norm_bounds_every_gram_matrix_of_non_negative_vectors():
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        for _ in range(30):
            matrix = rng.normal(size=(3, 6))
            norm = float(nonnegative_norm(jnp.asarray(matrix)))
            x = rng.exponential(size=(4000, 2, 6)) * (rng.uniform(size=(4000, 2, 6)) < 0.5)
            gram = np.einsum("sdi,sdj->sij", x, x)
            trace = np.trace(gram, axis1=1, axis2=2)
            found = np.einsum("sij,ij->s", gram[trace > 0], matrix.T @ matrix) / trace[trace > 0]
            assert found.max() <= norm**2 <= np.linalg.norm(matrix, 2) ** 2 * (1 + 1e-12)
        # Two opposite columns cannot both be met by non-negative vectors, three orthogonal ones can.
        assert abs(float(nonnegative_norm(jnp.asarray([[1.0, -1.0]]))) - 1.0) < 1e-13
        assert abs(float(nonnegative_norm(jnp.asarray([[1.0, 1.0]]))) - 2**0.5) < 1e-13


@pytest.mark.parametrize(
    ("widths", "counts", "activation", "nonnegative"),
    [
        ((3, 2, 2, 2), (2, 2), "relu", False),
        ((1, 2, 2), (1, 1), "relu", False),
        ((2, 3, 2, 2, 2), (3, 1), "relu", False),
        ((2, 2, 2, 2), (1, 2), ("relu", "identity"), True),
    ],
)
def test_two_classes_lose_nothing_to_relus(widths, counts, activation, nonnegative):
    problem = nct.deep_nonlinear(
        widths=widths,
        counts=counts,
        loss="mse",
        weight_decay=tuple(0.02 * 1.5 ** np.arange(len(widths))),
        activation=activation,
        nonnegative_features=nonnegative,
    )
    ends, bound = best(problem, scale=1.6)
    assert np.all(bound.gap >= -bound.gap_rounding), "a network lies below the bound"
    assert bound.closed(ends.value).any(), bound.reason
    rng = np.random.default_rng(0)
    lower = nct.certify(problem, points(problem, rng, 8, 3.0)).lower_bound
    assert np.allclose(lower, bound.lower_bound[0], rtol=1e-12)


def test_the_lemma_on_two_columns_holds_and_fails_for_three():
    # |sigma(Z)|_* <= |Z|_* for two columns, in 20,000 random matrices; for seven it is false (a cosine's circulant).
    rng = np.random.default_rng(2)
    z = rng.normal(size=(20000, 5, 2)) * np.exp(rng.normal(size=(20000, 5, 1)))
    norm = np.linalg.svd(z, compute_uv=False).sum(axis=1)
    assert np.all(np.linalg.svd(np.maximum(z, 0), compute_uv=False).sum(axis=1) <= norm * (1 + 1e-12))
    circulant = np.cos(2 * np.pi * (np.arange(7)[:, None] - np.arange(7)) / 7)
    assert np.linalg.norm(np.maximum(circulant, 0), "nuc") > np.linalg.norm(circulant, "nuc") + 0.4


def test_what_has_no_bound_says_so():
    def chain(**changes):
        given: dict[str, Any] = dict(widths=(3, 3, 3), counts=(1, 1, 1), loss="mse", weight_decay=(0.1,) * 3) | changes
        problem = nct.deep_nonlinear(**given)
        return nct.certify(problem, nct.starts(problem, 2))

    assert "two classes" in str(chain().reason)
    assert not chain().valid.any()
    two: dict[str, Any] = dict(widths=(2, 2, 2, 2), counts=(1, 1), weight_decay=(0.1,) * 4)
    assert chain(**two).valid.all()
    # A ReLU behind a layer without one, a residual branch, another activation, unknown classes.
    assert not chain(**two, activation=("identity", "relu")).valid.any()
    assert not chain(**two, residual=True).valid.any()
    assert not chain(**two, activation="tanh").valid.any()
    assert not chain(**{**two, "counts": None}, targets=np.eye(2)).valid.any()
    # Without an activation it is the bound of the linear chain.
    numbers: dict[str, Any] = dict(widths=(3, 4, 3), counts=(2, 1, 1), loss="mse", weight_decay=(0.05, 0.1, 0.02))
    linear, same = nct.deep_linear(**numbers), nct.deep_nonlinear(**numbers, activation="identity")
    start = nct.starts(linear, 3)
    assert np.array_equal(nct.certify(linear, start).lower_bound, nct.certify(same, start).lower_bound)
