"""Networks of ReLUs below neural collapse: forward passes in NumPy and in fractions, tables, and where they stop."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from proofs_numeric.errata.relu_chains import forward_value, network_value
from proofs_numeric.nonlinear.low_rank import (
    best_rank_two,
    best_triple,
    bits,
    code_of,
    coded,
    collapsed,
    evenly,
    incidence,
    triple,
    triple_cost,
    value_at,
)
from proofs_numeric.nonlinear.rational_network import collapse_above, rational_cost, rational_network
from proofs_numeric.nonlinear.relu_hexagon import CIRCULANT, HIGHEST, LOWEST


def test_in_fractions_the_network_puts_out_the_identity_and_lies_below_neural_collapse():
    lam, b = 27 * Fraction(1, 12) ** 4, 972 * Fraction(1, 12) ** 5
    # b = L K (N lambda^5)^(1/4), in fractions.
    assert (b / 12) ** 4 == 3 * lam**5
    cost, exact = rational_cost(Fraction(999, 1000), lam)
    assert exact
    assert isinstance(cost, Fraction)
    assert collapse_above(cost, b, 4)
    # Neural collapse itself is not above its own value, and the bound is not far off it.
    told = Fraction(value_at(float(b), 4))
    assert not collapse_above(told * Fraction(1001, 1000), b, 4)
    assert collapse_above(told * Fraction(99, 100), b, 4)
    # The same in floating point, by a forward pass written anew.
    features, weights = rational_network()
    reached = np.array(features, float) * 0.999
    decay = np.sum(reached**2)
    for i, weight in enumerate(weights):
        weight = 0.999 * np.array(weight, float)
        decay += np.sum(weight**2)
        reached = weight @ reached
        reached = np.maximum(reached, 0.0) if i < 3 else reached
    value = np.sum((reached - np.eye(3)) ** 2) / 6 + 0.5 * float(lam) * decay
    assert abs(value - float(cost)) < 1e-15


# The table of costs relative to neural collapse at small decays; three layers are above it.
@pytest.mark.parametrize(
    ("depth", "cost", "ratio"),
    [(3, 6.46206, 1.0770), (4, 7.338696, 0.97849), (5, 8.260861, 0.91787), (6, 9.207314, 0.87689), (12, None, 0.77269)],
)
def test_the_rank_two_family(depth, cost, ratio):
    network = triple(depth, *best_triple(depth))
    assert np.abs(network.outputs() - np.eye(3)).max() < 1e-14
    assert abs(network.cost - triple_cost(depth, *best_triple(depth))) < 1e-12
    assert abs(network.cost / collapsed(3, depth).cost - ratio) < 1e-5 + (ratio > 1) * 5e-5
    if cost is not None:
        assert abs(network.cost - cost) < 5e-6
    # It is least over its family: any other member costs more.
    rng = np.random.default_rng(0)
    for _ in range(50):
        moved = np.array(best_triple(depth)) * np.exp(0.1 * rng.normal(size=4))
        assert triple_cost(depth, *moved.tolist()) > network.cost


def test_depth_alone_decides_from_the_cost_at_three_layers():
    # At tau = 1 the cost is that of three layers plus L - 3: below 3 (L + 1)/2 from L = 4 on.
    p, q, m, _ = best_triple(3)
    three = triple_cost(3, p, q, m, 1.0)
    assert three + 1 < 7.5
    assert three > 6
    for depth in range(4, 30):
        assert triple_cost(depth, p, q, m, 1.0) < 1.5 * (depth + 1)


@pytest.mark.parametrize(
    ("kind", "number", "classes", "depth", "ratio"),
    [
        ("graph", 4, 6, 4, 0.963), ("graph", 5, 10, 4, 0.901), ("graph", 6, 15, 4, 0.857), ("graph", 7, 21, 4, 0.822),
        ("graph", 8, 28, 4, 0.791), ("graph", 10, 45, 4, 0.736), ("graph", 5, 10, 5, 0.817), ("graph", 6, 15, 5, 0.755),
        ("graph", 4, 6, 6, 0.867), ("graph", 6, 15, 6, 0.689), ("bits", 4, 16, 4, 0.975), ("bits", 5, 32, 4, 0.876),
    ],
)  # fmt: skip
def test_the_table_of_codes(kind, number, classes, depth, ratio):
    matrix = incidence(number) if kind == "graph" else bits(number)
    ones = int(matrix[:, 0].sum())
    # The identity behind everything, in whole numbers.
    gram = matrix.T.astype(int) @ matrix.astype(int) - (ones - 1)
    assert np.array_equal(np.maximum(gram, 0), np.eye(classes, dtype=int))
    assert np.linalg.matrix_rank(matrix) == code_of(matrix).many + 1
    network = coded(kind, number, depth)
    assert np.abs(network.outputs() - np.eye(classes)).max() < 1e-12
    assert abs(network.cost / collapsed(classes, depth).cost - ratio) < 7e-4
    # Shared out as in a linear chain its features are negative somewhere, and a forward pass fails.
    assert np.abs(evenly(network).outputs() - np.eye(classes)).max() > 1e-2


def test_the_published_setting_and_blocks():
    # K = 10, L = 4, lambda = 0.004: .08947 against .09918.
    assert abs(forward_value(coded("graph", 5, 4), 0.004) - 0.08947) < 5e-6
    assert abs(network_value(collapsed(10, 4), 0.004) - 0.09918) < 5e-6
    for classes in (4, 5, 6, 7):
        network = best_rank_two(classes, 4)
        assert np.abs(network.outputs() - np.eye(classes)).max() < 1e-14
        assert network.cost < collapsed(classes, 4).cost
        assert abs(forward_value(network, 0.003) - network_value(network, 0.003)) < 1e-14


def hexagon(b):
    def left(log_u):
        u = np.exp(log_u)
        return (1 + 1 / (1 + 4 * u) + 2 / (1 + 3 * u) + 2 / (1 + u)) / 12 + b * np.sqrt(u / 3)

    found: Any = minimize_scalar(left, bounds=(-2, 3), method="bounded", options={"xatol": 1e-12})
    return found.fun


def test_where_the_hexagon_lies_below_neural_collapse():
    lower: Any = brentq(lambda b: hexagon(b) - value_at(b, 2), 0.3, 0.499)
    upper: Any = brentq(lambda b: hexagon(b) - 0.5, 0.5, 0.6)
    assert lower < LOWEST < lower + 2e-5
    assert upper - 2e-5 < HIGHEST < upper
    assert np.linalg.matrix_rank(CIRCULANT) == 2
    singular = np.linalg.svd(np.maximum(CIRCULANT, 0.0), compute_uv=False)
    assert np.allclose(singular**2, [4, 3, 3, 1, 1, 0], atol=1e-12)
