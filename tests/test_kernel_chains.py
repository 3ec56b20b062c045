"""Chains of three and four factors by the kernels, run by the emulator, against the engine and the closed form."""

import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import _kernel_tables as tables
from nctheory.flow._stages import Stage
from nctheory.kernels import KERNELS, Shape, plan_of, source
from nctheory.kernels import _emulated as emulator
from tests.kernel_problems import (
    assert_same,
    by_kernels,
    ends_as_by_the_engine,
    four_factors,
    kernels_of,
    needs_compiler,
    three_factors,
)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("problem", [three_factors(), four_factors()], ids=["three", "four"])
def test_seeds_of_deeper_chains_end_as_by_the_engine(problem):
    for found in ends_as_by_the_engine(problem):
        assert found.converged.any()
    kernels, shape = kernels_of(problem), tables.kernel_shape(problem)
    assert shape is not None
    assert kernels.shared_bytes == kernels.plan.shared_bytes(shape)
    # No thread reads what another has not yet written, in whatever order they take their turns.
    for order in emulator.ORDERS[1:]:
        assert_same(by_kernels(problem, 2, kernels_of(problem, order)), by_kernels(problem, 2, kernels))


@needs_compiler
@pytest.mark.slow
def test_deeper_chains_reach_the_minimum_of_the_closed_form():
    problem = nct.deep_linear(widths=(2, 2, 2), counts=(2, 2), loss="mse", weight_decay=(0.02,) * 3)
    records = by_kernels(problem, 6, kernels_of(problem))
    assert (np.asarray(records.stage) == Stage.CONVERGED).all()
    best = float(nct.global_minimum(problem).value)
    assert float(np.min(records.value)) == pytest.approx(best, rel=1e-12)
    assert np.all(np.asarray(records.value) >= best * (1.0 - 1e-12))


@needs_compiler
@pytest.mark.slow
def test_a_hessian_without_one_of_its_terms_shows(monkeypatch):
    """Ends are stationary all the same, because the polish needs no Hessian: hand-overs and steps tell."""
    problem = three_factors()
    whole = by_kernels(problem, 4, kernels_of(problem))
    shape = tables.kernel_shape(problem)
    assert shape is not None
    text = source(shape, kernels_of(problem).plan, tables.constants(), tables.tables(), KERNELS)
    term = ": moved[(k - K) * n + r]"
    assert text.count(term) == 1
    monkeypatch.setattr(emulator, "source", lambda *_: text.replace(term, ": 0.0"))
    broken = by_kernels(problem, 4, kernels_of(problem))
    assert np.all(np.asarray(broken.steps) != np.asarray(whole.steps))


def test_what_a_block_shares_grows_with_the_layers():
    shapes = [Shape(10, 16, 100, cross_entropy=True, bias=True, hidden=hidden) for hidden in ((), (16,), (16, 16))]
    needed = [plan_of(shape, 2**18).shared_bytes(shape) for shape in shapes]
    assert needed == sorted(needed)
    assert needed[-1] <= 96 * 2**10  # two blocks on a multiprocessor of an H100
    assert [shape.layer_numbers for shape in shapes] == [160, 16 * 16 + 160, 2 * 16 * 16 + 160]
