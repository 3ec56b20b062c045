"""What leaves the compiled solve: class counts, decays, what varies among members; and what a slow polish is spared."""

import jax
import numpy as np
import pytest

import nctheory as nct
from benchmarks.programs import programs
from nctheory.engine import _programs
from nctheory.theorems._run import instance_key
from nctheory.theorems._verify import start_scale
from proofs_numeric import TOUR


def held(function):
    """How many programs of a function there are."""
    return sum(kind[0].__name__ == function for kind in _programs._PROGRAMS)


def ufm(counts, decay=(0.05, 0.04), bias: float | None = 0.1, loss="cross_entropy"):
    return nct.unconstrained_features(counts=counts, dim=3, loss=loss, weight_decay=decay, bias=bias)


@pytest.mark.slow
def test_one_program_for_all_counts_and_decays_of_a_shape():
    solved = nct.solve(ufm((2, 2, 3)), 8, chunk=8, light=True)
    nct.certify(ufm((2, 2, 3)), solved.params)
    nct.starts(ufm((2, 2, 3)), 8)
    programs_before = held("solve_chunk"), held("_bounds"), held("member_starts")
    assert min(programs_before) >= 1
    for counts, decay, bias in (((1, 3, 3), (0.05, 0.04), 0.1), ((5, 1, 1), (0.02, 0.3), 0.7)):
        other = ufm(counts, decay, bias)
        ends = nct.solve(other, 8, chunk=8, light=True)
        assert nct.certify(other, ends.params).closed(ends.value).all()
        alone = nct.solve_many([other], 8, chunk=8, light=True)
        np.testing.assert_array_equal(alone.value[0], ends.value)
        nct.starts(other, 8)
    nct.solve_many([ufm((2, 2, 3)), ufm((2, 2, 3), (0.1, 0.2)), ufm((2, 2, 3), bias=0.3)], 8, chunk=8, light=True)
    assert (held("solve_chunk"), held("_bounds"), held("member_starts")) == programs_before


def test_a_minimiser_at_zero_is_not_approached_until_numbers_underflow():
    found = nct.solve(ufm((2, 2, 3), (2.0, 2.0), None, "mse"), 16, method="polish", light=True)
    assert found.converged.all()
    assert np.ptp(found.value) < 1e-14
    assert found.steps.max() < 200
    smallest = min(
        float(np.min(np.abs(x), initial=1.0, where=np.asarray(x) != 0)) for x in jax.tree.leaves(found.params)
    )
    assert smallest > 1e-60


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1e-2, 1e-4])
def test_next_to_an_onset_the_polish_takes_newton_steps(distance):
    # Zero is the minimiser from K sqrt(n lambda_W lambda_H) = 1 on.
    decay = (1 - distance) / (3 * 2**0.5)
    problem = nct.unconstrained_features(counts=(2, 2, 2), dim=3, loss="mse", weight_decay=(decay, decay))
    found = nct.solve(problem, 16, method="polish", light=True)
    assert found.converged.all()
    assert nct.certify(problem, found.params).closed(found.value).all()
    assert found.steps.max() < 6000


@pytest.mark.slow
def test_a_refused_newton_step_leaves_the_polish_where_it_stands():
    # A minimiser with curvatures of 1e3 and, by rounding, of -1e-11: the probe for saddles refuses Newton's steps.
    theorem, root = nct.theorems.find_theorem("seli-ridge-path"), jax.random.key(0)
    instance = theorem.draw(jax.random.fold_in(root, 0))[10]
    key = instance_key(root, 10)
    found = nct.solve(
        instance.problem, 8, key, method="polish", scale=start_scale(theorem, instance), chunk=8, light=True
    )
    assert found.converged.all()
    assert 600 < found.steps.max() < 3000


@pytest.mark.slow
def test_the_tour_compiles_few_solve_programs():
    seen = set()
    for identifier in TOUR:
        seen |= programs(nct.theorems.find_theorem(identifier))
    assert len(seen) <= len(TOUR) + 1, "a budget: draw the shapes of a theorem from the pool"
