"""Numbers of deep, nonlinear and residual models that were found by other means, computed again in plain NumPy and SciPy.

What is here has no theorem of the catalogue that prints it: values of two classes behind ReLUs, the rank-two network followed
in its decay, cheaper shares that a forward pass refutes, the modes of linear residual chains, heads of several linear layers,
anchored features moved a little, cross-entropy from a start in Hadamard's basis, and the edges of a complete graph that three
layers tell apart by its triangles.
"""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import hadamard
from scipy.optimize import brentq, minimize, minimize_scalar

from proofs_numeric.errata.relu_chains import forward_value, network_value
from proofs_numeric.nonlinear import map_cells
from proofs_numeric.nonlinear.arcs import arc_cost
from proofs_numeric.nonlinear.low_rank import (
    best_rank_two,
    best_triple,
    coded,
    collapsed,
    objective,
    triangles,
    triple,
    triple_cost,
)


@pytest.mark.parametrize(("depth", "value"), [(3, 0.0791833242), (4, 0.0991798746)])
def test_two_classes_at_a_decay_of_two_hundredths(depth, value):
    assert network_value(collapsed(2, depth), 0.02) == pytest.approx(value, abs=5e-11)
    # The same by its definition: the least of K (1 - z)^2 / (2K) + lambda/2 (L+1) K z^(2/(L+1)), with or without z = 0.
    found: Any = minimize_scalar(
        lambda z: 0.5 * (1 - z) ** 2 + 0.02 * (depth + 1) * z ** (2 / (depth + 1)), bounds=(0.5, 1), method="bounded",
        options={"xatol": 1e-12},
    )  # fmt: skip
    assert found.fun == pytest.approx(value, abs=5e-11)


def brought_down(network, lam):
    """The value at the end of a descent from a network at its best scale, all factors free."""
    factors = network.even()
    scale: Any = minimize_scalar(
        lambda s: objective([s * one for one in factors], lam), bounds=(0.3, 1.5), method="bounded"
    )
    # A descent alone stops at a kink; it is begun anew twice with a little noise.
    end = map_cells.brought_down([scale.x * one for one in factors], lam, np.random.default_rng(0), 3, 800)
    return objective(end, lam)


@pytest.mark.parametrize(
    ("lam", "ratio"), [(0.003, 0.9778), (0.01, 0.9759), (0.03, 0.9700), (0.05, 0.9624), (0.07, 0.9523)]
)
def test_the_network_of_rank_two_followed_in_its_decay(lam, ratio):
    collapse = network_value(collapsed(3, 4), lam)
    assert brought_down(best_rank_two(3, 4), lam) / collapse == pytest.approx(
        ratio, abs=3e-4
    )  # the last digit depends on the noise


def test_zero_takes_over_later_than_from_neural_collapse():
    # Neural collapse costs as much as zero at 0.0701, and the network of rank two is below zero up to 0.0741.
    onset = brentq(lambda lam: network_value(collapsed(3, 4), lam) - 0.5 * (1 - 1e-9), 0.06, 0.08)
    assert onset == pytest.approx(0.0701, abs=5e-5)
    assert brought_down(best_rank_two(3, 4), 0.0740) < 0.5
    assert brought_down(best_rank_two(3, 4), 0.0743) > 0.5 - 1e-9


def test_a_rational_witness_eight_layers_and_a_class_beside():
    assert triple_cost(4, 1.07, 1.09, 0.11, 1.2) == pytest.approx(7.34212, abs=5e-6)
    assert triple(8, *best_triple(8)).cost / collapsed(3, 8).cost == pytest.approx(0.82507, abs=5e-6)
    # Three classes of rank two and one by itself cost R_4 + 5/2: .98387 (noted before as .98466).
    beside = best_rank_two(4, 4)
    assert beside.cost == pytest.approx(7.338696 + 2.5, abs=1e-6)
    ratio = forward_value(beside, 1e-3) / network_value(collapsed(4, 4), 1e-3)
    assert ratio == pytest.approx(0.98388, abs=5e-6)
    # It is that at every small decay, because the value depends on the cost alone.
    assert ratio == pytest.approx(beside.cost / 10, abs=2e-5)


def test_balanced_layers_in_between_look_cheaper_and_are_no_network():
    def cost(x):
        p, q, m = map(float, x)
        values = np.linalg.svd(np.array([[p, q, 0.0], [p, 0.0, q]]), compute_uv=False)
        head = triple_cost(3, p, q, m, 1.0) - np.sqrt(2 * p**2 + q**2) - q
        return 1.5 * np.sum(values ** (2 / 3)) + head

    found: Any = minimize(cost, [1.1, 1.2, 0.1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert found.fun / 7.5 == pytest.approx(0.9743, abs=5e-5)
    p, q, m = map(float, found.x)
    network = triple(4, p, q, m, 1.0)
    left, values, right = np.linalg.svd(network.weights[0] @ network.features, full_matrices=False)
    signs, root = np.sign(np.sum(right, axis=1)), values ** (1 / 3)
    shared = network._replace(
        features=(signs * root)[:, None] * right,
        weights=(np.diag(root), left * (signs * root)[None, :], *network.weights[2:]),
    )
    assert np.min(shared.weights[0] @ shared.features) < -0.5  # negative before a ReLU
    assert np.abs(shared.outputs() - np.eye(3)).max() > 0.05


@pytest.mark.parametrize(
    ("vertices", "ratio", "noted"),
    [(5, 0.923437, 0.967), (6, 0.863550, 0.971), (7, 0.837551, 0.882), (8, 0.822465, 0.947), (10, 0.805306, 1.0)],
)
def test_three_layers_tell_edges_apart_by_triangles(vertices, ratio, noted):
    network = triangles(vertices)
    classes = vertices * (vertices - 1) // 2
    assert np.abs(network.outputs() - np.eye(classes)).max() < 1e-12
    assert network.cost / collapsed(classes, 3).cost == pytest.approx(ratio, abs=1e-6)
    assert ratio < noted  # what descents had reached before, at weak decay
    # By the spectra: the edges at a vertex have 2 (r - 1) and r - 2; the triangles with an edge r - 2, and the adjacency of
    # edges 2 (r - 2), r - 4 and -2. R is the least of a p + q x^2 / 2 + t / (8 x^2 p^2) over sizes p, x > 0.
    nuclear = np.sqrt(2 * (vertices - 1)) + (vertices - 1) * np.sqrt(vertices - 2)
    many = classes * (vertices - 2) / 3 * vertices
    eigenvalues = vertices - 2 + np.array([2 * (vertices - 2), vertices - 4, -2])
    inverse = np.sum(np.array([1, vertices - 1, classes - vertices]) / eigenvalues)
    assert network.cost == pytest.approx(4 * (inverse / 8 * many / 2 * nuclear**2 / 4) ** 0.25, rel=1e-12)
    # With the same features, one direction a class behind them costs more: at ten classes more than neural collapse.
    other = coded("graph", vertices, 3).cost
    assert other > network.cost * 1.01
    assert vertices > 5 or other > collapsed(10, 3).cost * 1.04


def test_the_value_of_ten_classes_and_three_layers_that_was_noted():
    # Noted: .9213 of neural collapse at a decay of 0.003. The triangles of five vertices, all sizes free: p of the vertices, x
    # of the triangles, and the last layer by ridge regression onto the singular values 3, 2 and 1 of what it sees.
    lam, collapse = 0.003, network_value(collapsed(10, 3), 0.003)
    nuclear, singular, many = 4 * np.sqrt(3) + 2 * np.sqrt(2), np.array([3.0, 2.0, 1.0]), np.array([1, 4, 5])

    def cost(sizes):
        p, x = map(float, sizes)
        seen = (2 * p * x * singular) ** 2
        return lam * (p * nuclear + 25 * x**2) + 0.5 * np.sum(many * lam / (10 * lam + seen))

    found: Any = minimize(cost, [0.9, 0.4], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15})
    assert found.fun / collapse == pytest.approx(0.921304, abs=2e-6)
    # The network itself, by a forward pass; a descent over all its factors from there finds nothing below.
    p, x = map(float, found.x)
    network = triangles(5)
    root, hidden = np.sqrt(p), x * network.weights[1]
    seen = np.maximum(hidden @ np.maximum(p * network.weights[0] @ network.features, 0.0), 0.0)
    last = np.linalg.solve(seen @ seen.T + 10 * lam * np.eye(10), seen).T
    factors = [root * network.features, root * network.weights[0], hidden, last]
    assert objective(factors, lam) == pytest.approx(found.fun, rel=1e-9)
    end = map_cells.brought_down(factors, lam, np.random.default_rng(0), 1, 300)
    assert objective(end, lam) > found.fun * (1 - 1e-9)


@pytest.mark.parametrize(
    ("classes", "depth", "noted"),
    [(4, 4, 1.085), (4, 6, 0.870), (4, 8, 0.769), (4, 12, 0.674), (4, 20, 0.601), (5, 6, 0.876), (5, 20, 0.520)],
)
def test_classes_on_an_arc_cost_no_more_than_was_noted(classes, depth, noted):
    # Heads found since are cheaper: .8693 and .6734 of four classes, .8604 and .5163 of five.
    ratio = arc_cost(classes, depth) / collapsed(classes, depth).cost
    assert noted - 0.016 < ratio < noted + 5e-4
    assert ratio > 2 / classes


def root_between(function, low, high):
    """A root, as a number."""
    found: Any = brentq(function, low, high)
    return float(found)


def mode_cost(m, layers):
    """The least of the sum of (x_l - 1)^2 over products m, by all pairs of values x, 1 - x that a critical point may have."""
    symmetric = layers * (m ** (1 / layers) - 1) ** 2
    best = np.inf
    for many in range(1, layers):
        x = np.linspace(0.0, 1.0, 4001)
        heights = x ** (layers - many) * (1 - x) ** many - m
        for i in np.flatnonzero(np.sign(heights[1:]) != np.sign(heights[:-1])):
            at = root_between(lambda y, k=many: y ** (layers - k) * (1 - y) ** k - m, x[i], x[i + 1])
            best = min(best, (layers - many) * (at - 1) ** 2 + many * at**2)
    return symmetric, best


@pytest.mark.parametrize(("layers", "onset"), [(3, 0.14535), (4, 0.09940), (6, 0.0567), (10, 0.0256)])
def test_a_mode_of_a_linear_residual_chain_jumps_from_three_layers_on(layers, onset, rng):
    # Noted before as .14533 and .09938 for three and four layers.
    found = root_between(lambda m: np.subtract(*mode_cost(m, layers)), 0.5 * onset, 1.02 * onset)
    assert found == pytest.approx(onset, abs=5e-5)
    # The two branches exist side by side up to the spinodal, so that the minimiser jumps.
    assert found < ((layers - 1) / layers) ** (layers - 1) / layers
    for m in (0.8 * found, 1.2 * found):

        def cost(x, m=m):
            return np.sum((x - 1) ** 2) + (m / np.prod(x) - 1) ** 2

        ends = [minimize(cost, rng.uniform(0.05, 1.2, size=layers - 1), method="BFGS").fun for _ in range(8)]
        assert min(ends) == pytest.approx(min(mode_cost(m, layers)), rel=1e-6)


def test_a_mode_of_two_residual_layers_moves_continuously():
    for m in (0.05, 0.2, 0.24):
        symmetric, other = mode_cost(m, 2)
        assert other == pytest.approx(1 - 2 * m, abs=1e-12)
        assert other < symmetric
    assert mode_cost(0.26, 2)[1] == np.inf
    assert mode_cost(0.25 - 1e-9, 2)[0] == pytest.approx(0.5, abs=1e-8)  # both costs are 1/2 where they meet


def test_a_head_of_three_linear_layers_is_conditioned_better_than_its_features():
    # A mode of the head on features with singular value s minimises (s w - 1)^2 / 2 + (3/2) lambda w^(2/3).
    spread = np.array([1.0, 2.0, 1.531369**3])
    bound, gaps = 1.531369, []
    for lam in (1e-2, 1e-3, 1e-4):
        w = [root_between(lambda w, s=s, a=lam: s * (s * w - 1) + a * w ** (-1 / 3), 0.5 / s, 1 / s) for s in spread]
        gaps.append(bound - (max(w) / min(w)) ** (1 / 3))
    assert np.all(np.array(gaps) > 0)
    assert np.array(gaps[:-1]) / np.array(gaps[1:]) == pytest.approx([10, 10], rel=0.05)
    assert gaps[-1] < 1e-4  # noted before: 1.531284 against 1.531369, with other features


def test_anchored_features_lose_variability_by_a_factor_and_the_classifier_moves_at_second_order():
    rng = np.random.default_rng(0)
    classes, many, dim, decay, anchor = 3, 4, 5, 0.05, 0.3
    total = classes * many
    targets = np.repeat(np.eye(classes), many, axis=1)
    base = np.repeat(rng.normal(size=(dim, classes)), many, axis=1)

    def within(x):
        return x - np.repeat(x.reshape(dim, classes, many).mean(axis=2), many, axis=1)

    def solved(anchors):
        features = anchors.copy()
        for _ in range(600):
            weights = targets @ features.T @ np.linalg.inv(features @ features.T + total * decay * np.eye(dim))
            system = weights.T @ weights / total + anchor * np.eye(dim)
            features = np.linalg.solve(system, weights.T @ targets / total + anchor * anchors)
        return weights, features

    delta, (still, _) = within(rng.normal(size=(dim, total))), solved(base)
    errors, moves, uniform = [], [], []
    for size in (1e-2, 1e-3):
        weights, features = solved(base + size * delta)
        told = anchor * np.linalg.solve(still.T @ still / total + anchor * np.eye(dim), size * delta)
        errors.append(np.linalg.norm(within(features) - told) / np.linalg.norm(told))
        moves.append(np.linalg.norm(weights - still))
        scale = np.linalg.norm(told) / np.linalg.norm(size * delta)
        uniform.append(np.linalg.norm(within(features) - scale * size * delta) / np.linalg.norm(told))
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.02)
    assert moves[0] / moves[1] == pytest.approx(100, rel=0.02)
    assert min(uniform) > 1e-2  # one factor for all directions is wrong at first order


@pytest.mark.parametrize(("classes", "factors"), [(8, 2), (4, 3)])
def test_cross_entropy_from_a_start_in_hadamards_basis(classes, factors):
    characters = hadamard(classes).astype(float)
    rng = np.random.default_rng(1)
    start = rng.uniform(0.05, 0.3, size=classes)

    def end(basis):
        def flow(_, flat):
            some = flat.reshape(factors, classes, classes)
            before, after = [np.eye(classes)], [np.eye(classes)]
            for one in some:
                before.append(before[-1] @ one)
            for one in some[::-1]:
                after.append(one @ after[-1])
            logits = before[-1]
            shares = np.exp(logits - logits.max(axis=0))
            slope = (np.eye(classes) - shares / shares.sum(axis=0)) / classes
            parts = [before[i].T @ slope @ after[factors - 1 - i].T for i in range(factors)]
            return np.stack(parts).ravel()

        begun = np.stack([(basis * start ** (1 / factors)) @ basis.T] * factors).ravel()
        found = solve_ivp(flow, (0, 60), begun, method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
        turned = basis.T @ np.linalg.multi_dot(found.reshape(factors, classes, classes)) @ basis
        return np.diag(turned), turned - np.diag(np.diag(turned))

    def modes(_, sizes):
        logits = characters @ sizes / classes
        shares = np.exp(logits - logits.max())
        seen = characters @ shares / shares.sum()
        return factors / classes * sizes ** (2 - 2 / factors) * (1 - seen)

    told = solve_ivp(modes, (0, 60), start, method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    sizes, off = end(characters / np.sqrt(classes))
    assert np.abs(sizes - told).max() < 1e-9
    assert np.abs(off).max() < 1e-12
    other = np.linalg.qr(rng.normal(size=(classes, classes)))[0]
    assert np.abs(end(other)[1]).max() > 0.1
