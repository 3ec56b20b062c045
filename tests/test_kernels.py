"""The kernels' source, run by the emulator on a CPU, against the engine: seed for seed and status for status."""

import ctypes
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import Options, Status, as_key
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.flow._stages import Stage
from nctheory.kernels import KERNELS, Plan, Shape, plan_of, source
from nctheory.kernels import _emulated as emulator
from nctheory.kernels import _gpu as gpu
from nctheory.sweeps._survey import survey_blocks
from tests.kernel_problems import assert_same, by_kernels, chunk_of, entropy, kernels_of, needs_compiler, squares


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("problem", [entropy(), squares()], ids=["entropy", "squares"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Status.CONVERGED),
        ({"method": "polish"}, Status.CONVERGED),
        ({"method": "flow", "tolerance": 1e-6}, Status.CONVERGED),
        ({"budget": 90}, Status.BUDGET_SPENT),
        ({"scale": 0.0}, Status.SADDLE),
        ({"scale": 1e160}, Status.DIVERGED),
    ],
    ids=str,
)
def test_seeds_end_as_by_the_engine(problem, options, expected):
    found, same = (nct.solve(problem, 12, light=True, kernel=kernel, **options) for kernel in ("emulate", "off"))
    assert set(found.status) == {expected}
    np.testing.assert_array_equal(found.status, same.status)
    np.testing.assert_array_equal(found.handovers, same.handovers)
    if expected == Status.DIVERGED:
        return
    np.testing.assert_allclose(found.value, same.value, rtol=1e-12 if expected == Status.CONVERGED else 1e-8)
    # By way of a saddle the time hangs on the last digits.
    np.testing.assert_allclose(found.flow_time, same.flow_time, rtol=1e-4 if expected == Status.SADDLE else 1e-8)
    np.testing.assert_allclose(found.peak_grad_norm, same.peak_grad_norm, rtol=1e-12)
    for one, other in zip(jax.tree.leaves(found.params), jax.tree.leaves(same.params), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)
    # The polish's steps double their rounding, so that a few seeds take a step more or less.
    assert np.mean(np.abs(found.steps - same.steps) > 0.02 * same.steps) <= 0.25


@needs_compiler
@pytest.mark.slow
def test_long_valleys_and_newtons_steps_go_the_engines_way():
    """A weak decay: refused hand-overs, the stabilised flow, polishes that Newton's steps finish."""
    problem = entropy(decay=1e-4)
    found, same = (nct.solve(problem, 8, light=True, kernel=kernel) for kernel in ("emulate", "off"))
    assert found.converged.all()
    assert found.handovers.max() >= 3
    np.testing.assert_array_equal(found.handovers, same.handovers)
    np.testing.assert_allclose(found.value, same.value, rtol=1e-12)
    np.testing.assert_allclose(found.flow_time, same.flow_time, rtol=1e-4)


@needs_compiler
@pytest.mark.slow
def test_a_larger_shape_ends_at_the_closed_form_and_threads_may_take_turns_in_any_order(monkeypatch):
    """Tiles with ragged edges, three columns a thread, a decayed bias: no program of XLA's solves it here."""
    problem = nct.unconstrained_features(
        counts=(4, 4, 4), dim=5, loss="cross_entropy", weight_decay=(0.02, 0.03), bias=0.1
    )
    shape = Shape(3, 5, 12, cross_entropy=True, bias=True)
    assert tables.kernel_shape(problem) == shape
    asked = []
    launch = emulator._Emulated.launch
    monkeypatch.setattr(
        emulator._Emulated, "launch", lambda self, name, *rest: asked.append(name) or launch(self, name, *rest)
    )
    first = by_kernels(problem, 6, kernels_of(problem))
    assert (np.asarray(first.stage) == Stage.CONVERGED).all()
    assert set(asked) >= {"flow", "newton", "polish"}
    best = float(nct.global_minimum(problem).value)
    np.testing.assert_allclose(first.value, best, rtol=1e-12)
    for order in emulator.ORDERS[1:]:
        assert_same(by_kernels(problem, 6, kernels_of(problem, order)), first)
    # Two devices, each with half of the seeds; and seeds that wait for nobody.
    assert_same(by_kernels(problem, 6, kernels_of(problem), kernels_of(problem)), first)
    values, norms = road._recomputed(*(x[0] for x in [chunk_of(problem, 1)]), first.point, first.context)
    assert not road.departures(first, np.asarray(values), np.asarray(norms), 1e-10).any()
    assert kernels_of(problem).shared_bytes == kernels_of(problem).plan.shared_bytes(shape)
    # One warp a block, as on a GPU where there are few columns: other barriers, and sums in another order.
    monkeypatch.setattr(emulator, "WARP", emulator.THREADS)
    ends = [by_kernels(problem, 6, kernels_of(problem, order)) for order in emulator.ORDERS[:2]]
    assert_same(*ends)
    np.testing.assert_array_equal(ends[0].stage, first.stage)
    np.testing.assert_allclose(ends[0].value, best, rtol=1e-12)
    np.testing.assert_allclose(ends[0].point, first.point, atol=1e-8)


@needs_compiler
@pytest.mark.slow
def test_a_missing_barrier_shows(monkeypatch):
    problem, texts = squares(), {name: emulator.text_of(name) for name in ("chain.cuh", "polish.cu")}
    whole = by_kernels(problem, 2, kernels_of(problem), method="polish")

    def broken(name, before, after):
        assert before in texts[name]
        changed = source(*arguments, KERNELS).replace(before, after)
        monkeypatch.setattr(emulator, "source", lambda *_: changed)

    shape = Shape(2, 2, 4, cross_entropy=False, bias=False)
    arguments = (shape, kernels_of(problem).plan, tables.constants(), tables.tables())
    gather = "  __device__ __forceinline__ void gather(Shared& s) {\n    sync();\n"
    broken("chain.cuh", gather, gather.replace("    sync();\n", ""))
    ends = [by_kernels(problem, 2, kernels_of(problem, order), method="polish") for order in emulator.ORDERS[:2]]
    assert any(not np.array_equal(one.point, whole.point) for one in ends)
    # A barrier that only some of the threads come to would never let them go.
    broken("polish.cu", "  put_back(r);\n", "  if (thread() == 0) sync();\n  put_back(r);\n")
    with pytest.raises(RuntimeError, match="different barriers of the polish kernel"):
        by_kernels(problem, 2, kernels_of(problem), method="polish")


@needs_compiler
@pytest.mark.slow
def test_members_points_and_surveys_go_by_kernels_too():
    members = [entropy(0.02), entropy(0.05)]
    found, same = (nct.solve_many(members, 6, light=True, kernel=kernel) for kernel in ("emulate", "off"))
    assert found.converged.all()
    np.testing.assert_allclose(found.value, same.value, rtol=1e-12)
    assert found.value.max(axis=1).tolist() == sorted(found.value.max(axis=1))
    ends = nct.solve_from(members[0], nct.starts(members[0], 3), light=True, kernel="emulate")
    np.testing.assert_allclose(ends.value, same.value[0, :3], rtol=1e-12)
    # A survey as on an accelerator, where records stay on the device from block to block.
    seen = survey_blocks(members[0], np.arange(12), as_key(0), 3, 6, Options(light=True, kernel="emulate"), "gpu")
    assert seen.certified.all()
    np.testing.assert_array_equal(seen.value[:6], found.value[0])
    assert len(seen.worst.seeds) == 3


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.1])
def test_neighbours_share_the_sums_of_a_product_in_any_way(monkeypatch, bias):
    """More neighbours than numbers, as many, and fewer, with numbers that do not share out evenly."""
    problem = nct.unconstrained_features(counts=(6, 6), dim=2, loss="mse", weight_decay=(0.02, 0.03), bias=bias)
    ends = []
    for tile_k, tile_d, slices in [(1, 1, 1), (2, 2, 4), (1, 2, 4), (1, 1, 2), (2, 1, 2), (1, 1, 8), (2, 2, 8)]:
        threads = 4 // (tile_k * tile_d) * slices
        plan = Plan(threads, max(slices, 2), tile_k, tile_d, slices)
        monkeypatch.setattr(emulator, "plan_of", lambda *_, plan=plan, **__: plan)
        ends.append(by_kernels(problem, 2, kernels_of(problem), method="polish"))
    for one in ends[1:]:
        np.testing.assert_array_equal(one.stage, ends[0].stage)
        np.testing.assert_allclose(one.value, ends[0].value, rtol=1e-12)
        np.testing.assert_allclose(one.point, ends[0].point, atol=1e-8)


@needs_compiler
def test_the_kernels_exponential():
    """Within an ulp of e^x, where a softmax asks for it: at x <= 0."""
    shape = Shape(2, 2, 4, cross_entropy=True, bias=False)
    plan = plan_of(shape, emulator.MEMORY, warp=emulator.WARP, threads=emulator.THREADS)
    text = source(shape, plan, tables.constants(), tables.tables())
    asked = 'extern "C" double asked(double x) { return falling_exp(x); }'
    library = ctypes.CDLL(str(emulator._compiled(text, asked)))
    library.asked.restype, library.asked.argtypes = ctypes.c_double, [ctypes.c_double]
    x = -np.concatenate([np.linspace(0, 708, 20_001), np.logspace(-20, 2, 2_001)])
    # The library's own e^x is within an ulp too.
    np.testing.assert_array_max_ulp(np.array([library.asked(one) for one in x]), np.exp(x), 2)
    assert library.asked(0.0) == 1.0
    assert library.asked(-1e3) == library.asked(-np.inf) == library.asked(-708.0) < 1e-300
    assert np.isnan(library.asked(np.nan))


def nvrtc():
    """NVIDIA's run-time compiler, which needs no device, where it is installed."""
    try:
        found = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        found = None
    places = [] if found is None else [Path(one) / "lib" for one in found.submodule_search_locations or ()]
    return next((library for place in places for library in sorted(place.glob("libnvrtc.so*"))), None)


@pytest.mark.slow
@pytest.mark.skipif(nvrtc() is None, reason="needs NVIDIA's compiler: pip install nvidia-cuda-nvrtc-cu12")
@pytest.mark.parametrize(("name", "spheres"), [*((name, "") for name in KERNELS), ("newton", "sphere")])
def test_the_compiler_of_the_real_device_takes_the_source(name, spheres):
    library = ctypes.CDLL(str(nvrtc()))
    shape = Shape(4, 8, 20, cross_entropy=True, bias=not spheres, spheres=spheres)
    text = gpu.gpu_source(shape, plan_of(shape, 2**16), tables.constants(), tables.tables(), name)
    program = ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None) == 0
    flags = [b"--gpu-architecture=sm_90", *(flag.encode() for flag in gpu.FLAGS)]
    assert library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags)) == 0
