"""The lowest end of the spectrum without a dense Hessian, held against the dense one."""

import jax
import numpy as np
import pytest

import nctheory as nct


def ends(problem, scale=1.0):
    return jax.tree.map(lambda x: x[0], nct.solve(problem, seeds=1, scale=scale).params)


@pytest.mark.slow
def test_lowest_eigenvalues_are_the_dense_ones_with_their_multiplicity():
    problem = nct.unconstrained_features(counts=(2, 2, 2), dim=6, loss="mse", weight_decay=(0.05, 0.05))
    at_minimum = ends(problem)
    dense = nct.hessian_report(problem, at_minimum)
    low = nct.certificates.lowest_curvature(problem, at_minimum, count=5)
    assert low.errors.max() < 1e-7 * low.norm
    assert low.eigenvalues == pytest.approx(dense.eigenvalues[:5], abs=2 * low.errors.max() + 1e-10)
    assert (low.index, low.nullity, low.complete) == (dense.index, dense.nullity, True)
    assert low.norm == pytest.approx(dense.largest, rel=1e-2)


@pytest.mark.slow
def test_a_saddle_of_many_negative_directions_makes_the_block_grow():
    """Zero: K d pairs (a, b) with a negative direction each, all of one size where the classes are."""
    problem = nct.unconstrained_features(counts=(2, 2, 2), dim=4, loss="mse", weight_decay=(0.05, 0.05))
    zero = jax.tree.map(lambda x: 0.0 * x, ends(problem))
    dense = nct.hessian_report(problem, zero)
    assert dense.index == 12
    low = nct.certificates.lowest_curvature(problem, zero, count=2)
    assert low.eigenvalues.size == 4  # doubled once; twice would be more than a fifth of the 36 parameters
    assert (low.index, low.complete) == (4, False)
    assert low.eigenvalues == pytest.approx(dense.eigenvalues[:4], abs=1e-6)
    assert np.linalg.norm(low.eigenvectors, axis=0) == pytest.approx(np.ones(4))


@pytest.mark.slow
def test_wrong_use():
    problem = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    with pytest.raises(ValueError, match="count: expected 1 to 2, a fifth of the parameters, got 3"):
        nct.certificates.lowest_curvature(problem, ends(problem), count=3)
    large = nct.unconstrained_features(counts=(20,) * 10, dim=20, loss="mse", weight_decay=(0.01, 0.01))
    with pytest.raises(ValueError, match="limited to 3000 parameters, got 4200; lowest_curvature finds"):
        nct.hessian_report(large, jax.tree.map(np.asarray, large.init(jax.random.key(0), 1.0)))
