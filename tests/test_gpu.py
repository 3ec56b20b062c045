"""On a CUDA device, and only there: the kernels, compiled by NVRTC, against the engine on the host.

`pytest -n0 -m gpu tests/test_gpu.py` is the first thing to run on a new card. A warning is an error here, so that a road that
falls back to XLA fails its test and says why.
"""

import importlib.util
import os
import pickle
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.kernels import KERNELS, on_gpu
from tests.kernel_problems import entropy, four_factors, on_spheres, squares, three_factors


def cards():
    """The CUDA devices that JAX finds."""
    return [device for device in jax.devices() if device.platform in ("gpu", "cuda")]


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cards(), reason="JAX finds no CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="needs CuPy: pip install 'nctheory[gpu]'"),
]
ROOT = Path(__file__).resolve().parents[1]
LARGER: dict[str, Any] = {
    "counts": (10,) * 10,
    "dim": 16,
    "loss": "cross_entropy",
    "weight_decay": (5e-4, 5e-4),
    "bias": 0.0,
}
"""The size of the benchmark: several warps a block, ragged tiles."""


PROBLEMS = {"entropy": entropy, "squares": squares, "three": three_factors, "four": four_factors} | {
    kind: partial(on_spheres, kind) for kind in ("sphere", "decay")
}
OPTIONS: dict[str, dict[str, Any]] = {
    "flow": {}, "polish": {"method": "polish"}, "budget": {"budget": 90}, "zero": {"scale": 0.0},
}  # fmt: skip


def larger():
    """The problem of the benchmark's size."""
    return nct.unconstrained_features(**LARGER)


def ends(problem, **options):
    """What is compared of 64 seeds; of points on spheres the logits, because lengths are free."""
    found = nct.solve(problem, 64, **options)
    points = found.params
    if isinstance(problem, nct.problems.SphericalFeatures):
        with jax.enable_x64(True):
            points = [np.asarray(problem.logits(jax.tree.map(lambda x, i=i: x[i], points))) for i in range(64)]
    return found.status, found.handovers, found.value, jax.tree.leaves(points)


def host_ends():
    """The ends by XLA on a CPU, of all that is asked of the card."""
    asked = {(one, way): (make(), OPTIONS[way]) for one, make in PROBLEMS.items() for way in OPTIONS}
    asked |= {("larger", way): (larger(), OPTIONS[way]) for way in ("flow", "polish")}
    return {name: ends(problem, kernel="off", light=True, **options) for name, (problem, options) in asked.items()}


@pytest.fixture(scope="module")
def on_host(tmp_path_factory):
    """`host_ends` of another process, whose only device is the CPU."""
    path = tmp_path_factory.mktemp("host") / "ends.pickle"
    code = "import pickle, sys; from tests.test_gpu import host_ends; pickle.dump(host_ends(), open(sys.argv[1], 'wb'))"
    subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, check=True
    )
    return pickle.loads(path.read_bytes())


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_compiles_for_this_card_and_fits_it(name):
    shape = tables.kernel_shape(larger())
    assert shape is not None
    kernels = on_gpu(shape, tables.constants(), tables.tables(), cards()[0].local_hardware_id)
    with kernels._at_work("compiling"):
        compiled = kernels._kernel(name)
        assert compiled.num_regs <= 255
        assert compiled.max_threads_per_block >= kernels.plan.threads


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("way", OPTIONS)
def test_seeds_end_as_by_the_engine_on_the_host(name, way, on_host):
    status, handovers, value, params = ends(PROBLEMS[name](), devices=cards()[:1], **OPTIONS[way])
    same = on_host[name, way]
    np.testing.assert_array_equal(status, same[0])
    np.testing.assert_array_equal(handovers, same[1])
    np.testing.assert_allclose(value, same[2], rtol=1e-8 if way in ("budget", "zero") else 1e-12)
    # Where the minimum is flat in some direction the ends of longer chains are not as near each other as their values.
    for one, other in zip(params, same[3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8 if name in ("entropy", "squares") else 1e-4)


@pytest.mark.parametrize("way", ["flow", "polish"])
def test_the_benchmarks_size_ends_as_by_the_engine_on_the_host(way, on_host):
    status, handovers, value, _ = ends(larger(), devices=cards()[:1], **OPTIONS[way])
    same = on_host["larger", way]
    np.testing.assert_array_equal(status, same[0])
    np.testing.assert_allclose(value, same[2], rtol=1e-12)
    assert np.mean(handovers != same[1]) <= 1 / 16  # the card's exp and log have other last digits


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
