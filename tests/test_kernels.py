"""The kernels' source, run by the emulator on a CPU, against the engine: seed for seed and status for status."""

import ctypes
import importlib.util
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import Options, Status, as_key
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.flow._program import Chunk, begun
from nctheory.flow._stages import Stage
from nctheory.kernels import KERNELS, KernelUnavailable, Shape, emulated, plan_of, source
from nctheory.kernels import _emulated as emulator
from nctheory.kernels import _gpu as gpu
from nctheory.problems import as_family, moment_form, size
from nctheory.sweeps._survey import survey_blocks
from tests.emulated_cupy import stand_in

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator compiles the kernels with g++")


def entropy(decay=0.02):
    """Smoothed labels and a free bias; five columns, so that some of the emulator's four threads have two."""
    loss = nct.losses.label_smoothing(0.1)
    return nct.unconstrained_features(counts=(2, 3), dim=2, loss=loss, weight_decay=(decay, decay), bias=0.0)


def squares():
    """Squared error against targets of one's own, no bias."""
    targets = np.array([[0.8, 0.1, 0.3, 0.2], [0.2, 0.7, 0.9, 0.1]])
    return nct.deep_linear(widths=(2, 2), targets=targets, loss="mse", weight_decay=(0.02, 0.03))


def kernels_of(problem, order="forward"):
    shape = tables.kernel_shape(problem)
    assert shape is not None
    return emulated(shape, tables.constants(), tables.tables(), order)


def chunk_of(problem, seeds):
    family, contexts = as_family([problem])
    context = jnp.asarray(np.repeat(contexts, seeds, axis=0))
    return family, Chunk(jnp.arange(seeds), jnp.ones(seeds, bool), context, None)


def by_kernels(problem, seeds, *kernels, **options):
    """The records of seeds by these kernels, a part of the seeds by each."""
    family, chunk = chunk_of(problem, seeds)
    devices = (jax.devices("cpu")[0],) * len(kernels)
    return road._by_kernels(family, as_key(0), chunk, Options(**options).settings(), kernels, devices)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


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
def test_what_the_kernels_get_wrong_is_solved_anew(monkeypatch):
    problem, right = squares(), tables.members

    def mistaken(family, contexts):
        rows, place = right(family, contexts)
        return rows * 1.001, place

    asked = []

    def by_xla(family, key, chunk, settings, **options):
        asked.append(np.asarray(chunk.seeds)[np.asarray(chunk.live)])
        return jax.tree.map(lambda x: jnp.asarray(x) * 0 + 7, begun(family, key, chunk.seeds, chunk.context, settings))

    monkeypatch.setattr(tables, "members", mistaken)
    monkeypatch.setattr(road, "solve_chunk", by_xla)
    family, chunk = chunk_of(problem, 3)
    chunk = chunk._replace(live=jnp.array([True, True, False]))
    settings = Options(method="polish").settings()
    with pytest.warns(RuntimeWarning, match="2 of 2 ends are not what XLA computes"):
        found = road.solve_by_road(
            family, as_key(0), chunk, settings, (jax.devices("cpu")[0],), light=True, kernel="emulate"
        )
    assert asked[0].tolist() == [0, 1]
    assert np.asarray(found.stage).tolist() == [7, 7, int(Stage.POLISH)]


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


class Accelerator:
    """A device as JAX describes one."""

    platform, id, local_hardware_id = "gpu", 3, 0


@needs_compiler
def test_cupy_is_asked_for_what_it_has(monkeypatch):
    problem = squares()
    cupy = stand_in(kernels_of(problem))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    gpu._loaded.cache_clear()
    family, chunk = chunk_of(problem, 5)
    settings = Options(method="polish").settings()
    found = road.solve_by_road(family, as_key(0), chunk, settings, (Accelerator(),), light=True)
    assert_same(found, by_kernels(problem, 5, kernels_of(problem), method="polish"))
    plan = plan_of(Shape(2, 2, 4, cross_entropy=False, bias=False), 2**16)
    bytes_each = plan.shared_bytes(Shape(2, 2, 4, cross_entropy=False, bias=False))
    assert cupy.launches == [(f"{name}_seeds", 5, (32,), bytes_each) for name in ("polish", "newton")]
    assert len(cupy.sources) == 2
    assert all("#define SHARED(s) extern __shared__" in text for text in cupy.sources)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SingleToDoublePrecisionPerfRatio": 64}, "float64 at 1/64 of its speed"),
        ({"MaxSharedMemoryPerBlockOptin": 100}, "K = 2, d = 2 takes .* bytes of shared memory, and the device has 100"),
        ({"compiles": MemoryError("out of memory\nand more")}, r"polish kernel failed \(MemoryError: out of memory\)"),
        (None, "CuPy is not installed .pip install 'nctheory.gpu.'"),
        ({"import": OSError("libcuda.so.1")}, r"does not find the device \(OSError: libcuda.so.1\)"),
    ],
    ids=["slow", "small", "compiler", "missing", "driver"],
)
def test_where_kernels_cannot_run_xla_does_and_says_why(monkeypatch, change, message):
    problem = squares()

    def raises(error):
        raise error

    if change is None:
        monkeypatch.setitem(sys.modules, "cupy", None)
    else:
        error = change.pop("compiles", None)
        driver = change.pop("import", None)
        cupy = stand_in(None, None if error is None else lambda: raises(error), **change)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if driver is not None:
            monkeypatch.setattr(gpu, "_cupy", lambda: raises(driver))
    gpu._loaded.cache_clear()
    family, chunk = chunk_of(problem, 2)
    settings = Options(method="polish").settings()
    by_xla = begun(family, as_key(0), chunk.seeds, chunk.context, settings)
    monkeypatch.setattr(road, "solve_chunk", lambda *_, **__: by_xla)
    with pytest.warns(RuntimeWarning, match=f"kernel: the road of XLA is taken, for .*{message}"):
        found = road.solve_by_road(family, as_key(0), chunk, settings, (Accelerator(),), light=True)
    assert found is by_xla
    # Problems without kernels, and kernels that are not asked for, go by XLA without a word.
    others = [
        (as_family([nct.deep_linear(widths=(2, 2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1,) * 3)])[0], "auto")
    ]
    for one, kernel in [*others, (family, "off")]:
        assert road.solve_by_road(one, as_key(0), chunk, settings, (Accelerator(),), kernel=kernel) is by_xla
    assert road.solve_by_road(family, as_key(0), chunk, settings, (jax.devices("cpu")[0],)) is by_xla


def test_only_the_chains_that_the_kernels_compute_have_them():
    class Mine(nct.Loss):
        name = "mse"

        def value(self, logits, targets):
            return jnp.sum((logits - targets) ** 2, axis=0)

    def chain(**changed):
        given = {"widths": (2, 2), "counts": (2, 2), "loss": "mse", "weight_decay": (0.1, 0.1)} | changed
        return nct.deep_linear(**given)

    data = {"inputs": np.eye(2), "targets": np.eye(2), "counts": None}
    without = [
        chain(loss=Mine()),
        chain(loss=nct.losses.focal(2.0)),
        chain(widths=(2, 2, 2), weight_decay=(0.1,) * 3),
        chain(**data, weight_decay=(0.1,)),
        chain(**data, widths=(2, 2, 2), weight_decay=(0.1, 0.1)),
        nct.layer_peeled(counts=(2, 2), dim=2, energies=(1.0, 1.0)),
    ]
    assert [tables.kernel_shape(one) for one in without] == [None] * len(without)
    with_bias = nct.unconstrained_features(counts=(2, 3), dim=4, loss="mse", weight_decay=(0.1, 0.1), bias=0.1)
    assert tables.kernel_shape(with_bias) == Shape(2, 4, 5, cross_entropy=False, bias=True)
    means = nct.problems.reduce_to_class_means(with_bias)
    assert tables.kernel_shape(means) == Shape(2, 4, 2, cross_entropy=False, bias=True)
    assert tables.kernel_shape(moment_form(chain(counts=(6, 6), bias=0.1))) is None


def test_members_have_their_own_numbers_in_the_kernels_order():
    one, other = (
        nct.unconstrained_features(counts=(1, 2), dim=2, loss="mse", weight_decay=(decay, 0.2), bias=0.3)
        for decay in (0.1, 0.4)
    )
    family, contexts = as_family([one, other])
    rows, place = tables.members(family, contexts[[1, 0, 1]])
    assert rows[place][:, -3:].tolist() == [[0.4, 0.2, 0.3], [0.1, 0.2, 0.3], [0.4, 0.2, 0.3]]
    np.testing.assert_array_equal(rows[0, :-3], [1, 0, 0, 0, 1, 1, *[1 / 3] * 3, *[1] * 3])
    directions = tables.directions(size(one))
    np.testing.assert_allclose(np.linalg.norm(directions[1]), 1.0)


@needs_compiler
def test_wrong_use_is_told_before_anything_is_computed():
    with pytest.raises(ValueError, match="kernel: expected 'auto', 'off' or 'emulate', got 'fast'"):
        nct.solve(squares(), 1, kernel="fast")
    with pytest.raises(ValueError, match="order: expected one of forward, backward, shuffled, got 'up'"):
        kernels_of(squares(), "up")
    with pytest.raises(KernelUnavailable, match="more numbers than 32 threads"):
        plan_of(Shape(2000, 2000, 4, cross_entropy=False, bias=False), 2**40, threads=32)
    assert "cupy" not in sys.modules


def test_the_emulator_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(emulator.shutil, "which", lambda name: None)
    with pytest.raises(KernelUnavailable, match=r"needs g\+\+, and there is none"):
        emulator._compiled("no such program")


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
@pytest.mark.parametrize("name", KERNELS)
def test_the_compiler_of_the_real_device_takes_the_source(name):
    library = ctypes.CDLL(str(nvrtc()))
    shape = Shape(4, 8, 20, cross_entropy=True, bias=True)
    text = gpu.gpu_source(shape, plan_of(shape, 2**16), tables.constants(), tables.tables(), name)
    program = ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None) == 0
    flags = [b"--gpu-architecture=sm_90", *(flag.encode() for flag in gpu.FLAGS)]
    assert library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags)) == 0


def test_the_benchmark_says_what_part_of_the_device_is_used():
    command = importlib.import_module("benchmarks.gpu.__main__")
    row = command.Row("small", 1000, "flow, kernels", 2.0, 0.5, 100.0, "-", "")
    # Three products of 4 x 8 x 20 for each of 100 gradients of 1000 seeds, in half a second.
    assert command.share_of_peak(row, 1e12) == pytest.approx(6 * 4 * 8 * 20 * 100 * 1000 / 0.5 / 1e12)
    assert command.shown_row(row, 1e12)[-2] == "0.1%"
    assert {options["kernel"] for options in command.ROADS.values()} == {"auto", "off"}
