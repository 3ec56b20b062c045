"""Who solves a chunk: kernels where they can, XLA where they cannot or where an end of theirs is wrong."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import Options, as_key
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.flow._program import begun
from nctheory.flow._stages import Stage
from nctheory.kernels import KernelUnavailable, Shape, plan_of
from nctheory.kernels import _emulated as emulator
from nctheory.kernels import _gpu as gpu
from nctheory.problems import as_family, moment_form, size
from tests.emulated_cupy import stand_in
from tests.kernel_problems import Accelerator, assert_same, by_kernels, chunk_of, kernels_of, needs_compiler, squares


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
        (
            {"compiles": RuntimeError("nvrtc: error: invalid value\nand more")},
            r"polish kernel failed .*nvrtc: error: inv",
        ),
        (
            {"array": MemoryError("out of memory")},
            r"copying the seeds to the GPU failed \(MemoryError: out of memory\)",
        ),
        ({"asnumpy": OSError("illegal address")}, r"running the kernels failed \(OSError: illegal address\)"),
        (None, "CuPy is not installed .pip install 'nctheory.gpu.'"),
        ({"import": OSError("libcuda.so.1")}, r"does not find the device \(OSError: libcuda.so.1\)"),
    ],
    ids=["slow", "small", "compiler", "memory", "launch", "missing", "driver"],
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
        asked = {name: change.pop(name) for name in ("array", "asnumpy") if name in change}
        cupy = stand_in(None, None if error is None else lambda: raises(error), **change)
        for name, told in asked.items():
            monkeypatch.setattr(cupy, name, lambda *_, told=told: raises(told))
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
        (as_family([nct.deep_linear(widths=(2,) * 5, counts=(1, 1), loss="mse", weight_decay=(0.1,) * 5)])[0], "auto")
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
        chain(widths=(2,) * 5, weight_decay=(0.1,) * 5),
        chain(**data, weight_decay=(0.1,)),
        chain(**data, widths=(2, 2, 2), weight_decay=(0.1, 0.1)),
        nct.layer_peeled(counts=(2, 2), dim=2, energies=(1.0, 1.0)),
    ]
    assert [tables.kernel_shape(one) for one in without] == [None] * len(without)
    with_bias = nct.unconstrained_features(counts=(2, 3), dim=4, loss="mse", weight_decay=(0.1, 0.1), bias=0.1)
    assert tables.kernel_shape(with_bias) == Shape(2, 4, 5, cross_entropy=False, bias=True)
    means = nct.problems.reduce_to_class_means(with_bias)
    assert tables.kernel_shape(means) == Shape(2, 4, 2, cross_entropy=False, bias=True)
    deep = chain(widths=(5, 4, 3, 2), weight_decay=(0.1, 0.2, 0.3, 0.4))
    shape = Shape(2, 5, 4, cross_entropy=False, bias=False, hidden=(4, 3))
    assert tables.kernel_shape(deep) == shape
    assert shape.numbers == size(deep)
    rows, _ = tables.members(*as_family([deep]))
    assert rows.shape == (1, shape.member_numbers)
    np.testing.assert_array_equal(
        rows[0, -5:], [0.1, 0.2, 0.3, 0.4, 0.0]
    )  # the layers', that of the features, the bias's
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


def test_without_cuda_nothing_new_is_imported(tmp_path):
    """A CuPy that cannot be imported lies on the path, and nothing asks for it: neither the imports nor a solve on a CPU."""
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy is imported')\n")
    code = f"""
import subprocess
import sys
sys.path.insert(0, {str(tmp_path)!r})
import jax
import nctheory as nct
from nctheory.flow import _kernel_road as road
from nctheory.problems import as_family
import nctheory.sweeps._programs, nctheory.sweeps._device_blocks
model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
family, _ = as_family([model])
assert road._kernels_of(family, (jax.devices("cpu")[0],), "auto") == []
nct.starts(model, 2)
found = sorted(name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx", "cuda", "numba", "pynvml"))
print(found, [name for name in sys.modules if name.startswith("benchmarks")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] []"
