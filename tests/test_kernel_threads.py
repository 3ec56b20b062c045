"""The kernels' source with real threads: g++'s sanitizers find no race, no place outside of an array, nothing undefined.

The emulator's fibers show a missing barrier where the order of the threads shows in a number. Here every pair of accesses to
one number without a barrier between them is seen, and an exchange between the lanes of a warp is no barrier, as on a GPU.
"""

import shutil
from functools import partial

import pytest

import nctheory as nct
from nctheory.flow import _kernel_tables as tables
from nctheory.kernels import _emulated as emulator
from nctheory.kernels import source
from tests.kernel_problems import assert_same, by_kernels, four_factors, kernels_of, on_spheres, squares, three_factors
from tests.threaded_emulator import Threaded, works

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")]


def ragged():
    """Three columns a thread, tiles with ragged edges, a decayed bias."""
    return nct.unconstrained_features(
        counts=(4, 4, 4), dim=5, loss="cross_entropy", weight_decay=(0.02, 0.03), bias=0.1
    )


PROBLEMS = {"ragged": ragged, "squares": squares, "three": three_factors} | {
    "four": four_factors, "sphere": partial(on_spheres, "sphere"), "norm": partial(on_spheres, "norm"),
    "fixed": partial(on_spheres, "fixed"),
}  # fmt: skip


def threaded(problem, sanitizer, folder, change=lambda text: text):
    """The kernels of a problem under a sanitizer."""
    if not works(sanitizer, folder):
        pytest.skip(f"g++'s {sanitizer} sanitizer does not work here")
    whole = kernels_of(problem)
    shape = tables.kernel_shape(problem)
    assert shape is not None
    text = source(shape, whole.plan, tables.constants(), tables.tables())
    kernels = Threaded(change(text), sanitizer, folder)
    kernels.plan = whole.plan
    return kernels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_two_threads_touch_a_number_without_a_barrier_between_them(name, folder):
    problem = PROBLEMS[name]()
    kernels = threaded(problem, "thread", folder)
    found = by_kernels(problem, 1, kernels)
    assert set(kernels.launched) >= {"flow", "newton"}
    assert_same(found, by_kernels(problem, 1, kernels_of(problem)))


def test_nor_where_a_block_is_one_warp(monkeypatch, folder):
    monkeypatch.setattr(emulator, "WARP", emulator.THREADS)
    problem = ragged()
    kernels = threaded(problem, "thread", folder)
    assert_same(by_kernels(problem, 1, kernels), by_kernels(problem, 1, kernels_of(problem)))
    assert set(kernels.launched) >= {"flow", "newton", "polish"}


@pytest.mark.parametrize("name", ["three", "norm"])
def test_nothing_lies_outside_of_its_array(name, folder):
    problem = PROBLEMS[name]()
    assert_same(
        by_kernels(problem, 1, threaded(problem, "address", folder)), by_kernels(problem, 1, kernels_of(problem))
    )


GATHER = "  __device__ __forceinline__ void gather(Shared& s) {\n    sync();\n"
SUMS = "  sync();\n#pragma unroll\n  for (int i = 0; i < M; i++) {\n    x[i] = s.sums[i];"


@pytest.mark.parametrize("place", [GATHER, SUMS], ids=["product", "sums"])
def test_a_missing_barrier_is_found(place, folder):
    problem = squares()

    def broken(text):
        assert place in text
        return text.replace(place, place.replace("sync();\n", "\n"))

    with pytest.raises(AssertionError, match="data race"):
        by_kernels(problem, 1, threaded(problem, "thread", folder, broken), method="polish")


def test_a_place_outside_is_found(folder):
    problem = squares()
    place = "s.sums[(thread() / WARP) * MOST_SUMS + i] = x[i]"

    def broken(text):
        assert place in text
        return text.replace(place, place.replace("thread() / WARP", "WARPS + thread() / WARP"))

    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        by_kernels(problem, 1, threaded(problem, "address", folder, broken), method="polish")
