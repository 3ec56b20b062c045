"""Structures that pair classes: their values, and the prices between which they cost less than neural collapse and zero."""

import numpy as np
import pytest

import nctheory as nct
from proofs_numeric.deep import deep_ce_pairs, pairs


def objective(logits, depth, price):
    """Mean cross-entropy of the class-mean logits and the price of their singular values."""
    fit = np.mean(np.log(np.sum(np.exp(logits - np.diag(logits)[None, :]), axis=0)))
    return fit + price * np.sum(np.linalg.svd(logits, compute_uv=False) ** (2 / (depth + 1)))


@pytest.mark.parametrize(("classes", "depth"), [(3, 2), (4, 2), (5, 2), (5, 3), (7, 2)])
def test_the_values_are_those_of_the_logits(classes, depth):
    price = 0.9 * pairs.ends_of_use(classes, depth)[1]
    for make in (pairs.pairs, pairs.better):
        shape = make(classes, depth, price)
        # A singular value of 1e-16 has the cube root of 1e-32.
        assert abs(shape.value - objective(shape.logits, depth, price)) < 1e-8


@pytest.mark.parametrize("classes", range(3, 13))
def test_pairs_outlast_neural_collapse_for_three_classes_and_more(classes):
    for depth in range(2, 9):
        collapse, paired = pairs.ends_of_use(classes, depth)
        assert collapse < paired
        bound = 2 ** (1 - 2 / (depth + 1)) * (classes - 1) / classes
        assert paired / collapse > bound
        assert (bound >= 1) == (classes >= 5 or (classes == 4 and depth >= 3) or depth >= 4)


def test_two_classes_and_one_layer_are_left_out():
    for classes, depth in ((2, 2), (2, 5)):
        collapse, paired = pairs.ends_of_use(classes, depth)
        # For two classes both are the same matrices, at other scales.
        assert abs(paired / collapse - 1) < 1e-9
    collapse, paired = pairs.ends_of_use(3, 1)
    assert paired <= collapse * (1 + 1e-3)


def test_the_ends_are_where_the_values_say():
    for classes, depth in ((3, 2), (4, 2), (5, 2)):
        collapse, paired = pairs.ends_of_use(classes, depth)
        assert abs(pairs.collapse_value(classes, depth, collapse) / np.log(classes) - 1) < 1e-9
        assert abs(pairs.pairs(classes, depth, paired).value / np.log(classes) - 1) < 1e-9
        cross = pairs.crossing(classes, depth)
        values = pairs.better(classes, depth, cross).value, pairs.collapse_value(classes, depth, cross)
        assert abs(values[0] / values[1] - 1) < 1e-9
        assert cross < collapse
    assert [round(pairs.crossing(*sizes), 6) for sizes in ((3, 2), (4, 2), (5, 2))] == [0.260226, 0.017641, 0.000185]
    assert pairs.crossing(6, 2) == pairs.crossing(4, 3) == 0.0


def test_five_classes_and_two_layers_as_a_search_found_them():
    price = 1.5 * 3e-3
    ratio = pairs.better(5, 2, price).value / pairs.collapse_value(5, 2, price)
    assert round(ratio, 3) == 0.990
    assert np.linalg.matrix_rank(pairs.better(5, 2, price).logits, tol=1e-8) == 3


@pytest.mark.slow
def test_the_best_of_many_starts_is_the_pair_within_the_window():
    for decay, better in ((0.17, "collapse"), (0.18, "pairs")):
        problem = pairs.paired_chain(3, 2, 1, (decay,) * 3)
        told = deep_ce_pairs.predict(problem)
        best = nct.solve(problem, seeds=48, scale=1.3, light=True).value.min()
        assert abs(best / float(getattr(told, better)) - 1) < 1e-9
