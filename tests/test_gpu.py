"""On a CUDA device, and only there: the kernels, compiled by NVRTC, against the engine on the host.

`pytest -n0 -m gpu tests/test_gpu.py` is the first thing to run on a new card. A warning is an error here, so that a road that
falls back to XLA fails its test and says why.
"""

import importlib.util
import warnings

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.kernels import KERNELS, on_gpu
from tests.kernel_problems import entropy, four_factors, squares, three_factors


def cards():
    """The CUDA devices that JAX finds."""
    return [device for device in jax.devices() if device.platform in ("gpu", "cuda")]


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cards(), reason="JAX finds no CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="needs CuPy: pip install 'nctheory[gpu]'"),
]
LARGER = {"counts": (10,) * 10, "dim": 16, "loss": "cross_entropy", "weight_decay": (5e-4, 5e-4), "bias": 0.0}
"""The size of the benchmark: several warps a block, ragged tiles."""


def on_both(problem, seeds, **options):
    """The same seeds by the kernels on the card and by XLA on the host."""
    found = nct.solve(problem, seeds, devices=cards()[:1], **options)
    return found, nct.solve(problem, seeds, devices=jax.devices("cpu")[:1], kernel="off", **options)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_compiles_for_this_card_and_fits_it(name):
    shape = tables.kernel_shape(nct.unconstrained_features(**LARGER))
    assert shape is not None
    kernels = on_gpu(shape, tables.constants(), tables.tables(), cards()[0].local_hardware_id)
    with kernels._at_work("compiling"):
        compiled = kernels._kernel(name)
        assert compiled.num_regs <= 255
        assert compiled.max_threads_per_block >= kernels.plan.threads


@pytest.mark.parametrize(
    "problem", [entropy(), squares(), three_factors(), four_factors()], ids=["entropy", "squares", "three", "four"]
)
@pytest.mark.parametrize("options", [{}, {"method": "polish"}, {"budget": 90}, {"scale": 0.0}], ids=str)
def test_seeds_end_as_by_the_engine_on_the_host(problem, options):
    found, same = on_both(problem, 64, **options)
    np.testing.assert_array_equal(found.status, same.status)
    np.testing.assert_array_equal(found.handovers, same.handovers)
    np.testing.assert_allclose(found.value, same.value, rtol=1e-8 if same.caveat else 1e-12)
    for one, other in zip(jax.tree.leaves(found.params), jax.tree.leaves(same.params), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)


@pytest.mark.parametrize("method", ["flow+polish", "polish"])
def test_the_benchmarks_size_ends_as_by_the_engine_on_the_host(method):
    found, same = on_both(nct.unconstrained_features(**LARGER), 64, method=method)
    np.testing.assert_array_equal(found.status, same.status)
    np.testing.assert_allclose(found.value, same.value, rtol=1e-12)
    assert np.mean(found.handovers != same.handovers) <= 1 / 16  # the card's exp and log have other last digits


def test_an_end_does_not_depend_on_how_many_seeds_run_beside_it():
    problem = entropy()
    few, many = (nct.solve(problem, seeds, devices=cards()[:1]) for seeds in (8, 4096))
    np.testing.assert_array_equal(few.value, many.value[:8])
    np.testing.assert_array_equal(few.steps, many.steps[:8])
    assert many.converged.all()


def test_a_survey_certifies_what_the_kernels_solve():
    outcome = nct.survey(entropy(), 4096, devices=cards()[:1], block=1024)
    assert outcome.certified.all()
    assert sum(number for name, number in outcome.counts().items() if name != "certified") == 4096


def test_all_cards_make_of_the_seeds_what_one_makes():
    if len(cards()) == 1:
        pytest.skip("there is one card")
    every, one = (nct.solve(entropy(), 256, devices=some) for some in (cards(), cards()[:1]))
    np.testing.assert_array_equal(every.value, one.value)


def test_xla_agrees_with_the_kernels_ends_and_says_so_by_saying_nothing(monkeypatch):
    """No end departs from what XLA computes there, by far: the look has room for rounding, and for no more."""
    seen = []
    departures = road.departures

    def watched(records, values, norms, tolerance):
        seen.append(float(np.max(np.abs(values - np.asarray(records.value)) / np.abs(values))))
        return departures(records, values, norms, tolerance)

    monkeypatch.setattr(road, "departures", watched)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nct.solve(entropy(), 1024, devices=cards()[:1])
    assert max(seen) <= 1e-13
