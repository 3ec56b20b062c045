"""Structures of deep linear chains without decay: their costs, their order by depth, and the ball around the simplex."""

import jax
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from proofs_numeric.deep import ladder


def cost(logits, power, rank):
    return float(np.sum(np.linalg.svd(logits, compute_uv=False)[:rank] ** power))


def margins(logits):
    gaps = np.diag(logits)[None, :] - logits
    return gaps[~np.eye(len(logits), dtype=bool)]


@pytest.mark.parametrize("classes", [4, 6, 8, 10, 14])
def test_costs_and_crossings_are_those_of_the_matrices(classes):
    three = ladder.rungs(classes)
    for one in three:
        assert margins(one.logits).min() == pytest.approx(1.0, abs=1e-12)
        assert np.linalg.matrix_rank(one.logits) == one.rank
    for power in (2.0, 1.0, 2 / 3, 0.1):
        costs = [cost(one.logits, power, one.rank) for one in three]
        np.testing.assert_allclose(costs, ladder.formula(classes, power), rtol=1e-12)
    for place, (low, high) in zip(ladder.crossings(classes), ((0, 1), (1, 2)), strict=False):
        found = scipy.optimize.brentq(
            lambda f, a=three[low], b=three[high]: cost(a.logits, 2 / f, a.rank) - cost(b.logits, 2 / f, b.rank), 1, 50
        )
        assert place == pytest.approx(found, rel=1e-10)


def test_where_the_order_changes():
    assert ladder.crossings(6) == pytest.approx([2.7138, 5.4190], abs=1e-4)
    assert ladder.crossings(4) == pytest.approx([3.4190], abs=1e-4)


@pytest.mark.parametrize("classes", [3, 4, 6])
def test_within_the_ball_nothing_costs_less_than_the_simplex_and_the_bound_is_met_to_first_order(classes, rng):
    radius = 1 / np.sqrt(classes * (classes - 1))
    simplex = np.eye(classes) - 1 / classes
    for part in (1e-3, 0.3, 1.0):
        for draw in range(20):
            with jax.enable_x64(True):
                near = np.asarray(ladder.nearby(classes, rng.normal(size=(classes, classes)) ** 3, part))
            if draw < classes:  # the direction in which the trace grows least: one column, and all rows but one
                column = np.append(np.ones(classes - 1), 1.0 - classes)
                near = simplex + part * radius**2 * np.outer(column, np.eye(classes)[draw]) * (draw < classes - 1)
            assert margins(near).min() > 1 - 1e-12
            away = np.linalg.norm(near - simplex)
            assert away <= part * radius * (1 + 1e-9)
            for power in (1.0, 0.5, 0.05):
                excess = power / (classes - 1) * (away * radius - away**2)
                assert cost(near, power, classes - 1) >= (classes - 1) * np.exp(excess) * (1 - 1e-13)
    # The control: with twice the slope the bound fails in the direction in which the trace grows least.
    column = np.append(np.ones(classes - 1), 1.0 - classes)
    near = simplex + 1e-3 * radius**2 * np.outer(column, np.eye(classes)[0])
    away = np.linalg.norm(near - simplex)
    assert cost(near, 0.5, classes - 1) < (classes - 1) * np.exp(0.5 / (classes - 1) * (2 * away * radius - away**2))


def reweighted(logits, power, smoothing, steps):
    """Iteratively reweighted least squares with margins at least one: sum_i (s_i^2 + e^2)^(q/2), e by `smoothing(step)`."""
    classes = len(logits)
    for step in range(steps):
        values, vectors = np.linalg.eigh(logits @ logits.T)
        inverse = vectors @ np.diag((np.maximum(values, 0) + smoothing(step) ** 2) ** (1 - power / 2)) @ vectors.T
        columns = []
        for k in range(classes):
            # The least z^T W z with z_k - z_j >= 1 is that of non-negative multipliers.
            rows = np.delete(np.eye(classes)[k] - np.eye(classes), k, axis=0)
            root = np.linalg.cholesky(rows @ inverse @ rows.T)
            dual, _ = scipy.optimize.nnls(root.T, np.linalg.solve(root, np.ones(classes - 1)))
            columns.append(inverse @ rows.T @ dual)
        logits = np.stack(columns, axis=1)
    return logits / margins(logits).min()


def test_reweighted_least_squares_ends_at_the_simplex_if_its_smoothing_starts_large_and_seldom_otherwise(rng):
    starts = rng.normal(size=(8, 4, 4))
    # With four factors pairs cost 2.83 and the simplex 3.
    slow = [cost(reweighted(z, 0.5, lambda step: max(0.8**step, 1e-4), 60), 0.5, 3) for z in starts]
    assert slow == pytest.approx([3.0] * 8, abs=2e-3)
    fast = [cost(reweighted(z, 0.5, lambda step: 1e-3, 60), 0.5, 3) for z in starts]
    assert sum(abs(one - 3.0) < 2e-3 for one in fast) < 4
    assert min(fast) > 2.0 * 2**0.5 - 1e-6


@pytest.mark.slow
def test_the_flow_with_a_weak_decay_ends_at_pairs_and_not_at_the_simplex():
    """Six classes and three factors, next above the depth at which pairs become cheaper: 64 of 64 starts ended at pairs."""
    chain = nct.deep_linear(widths=(6,) * 3, counts=(1,) * 6, loss="cross_entropy", weight_decay=(1e-3,) * 3)
    ends = nct.solve(chain, 12, scale=1.3, light=True)
    paired, collapsed = (float(f(chain).value) for f in (nct.closed_form.low_rank, nct.closed_form.deep_collapse))
    assert paired < collapsed
    assert np.sum(np.abs(ends.value - paired) < 1e-8 * paired) >= 9
    assert not np.any(np.abs(ends.value - collapsed) < 1e-8 * collapsed)
