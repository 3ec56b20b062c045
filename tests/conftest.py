"""Strict settings for every test: float64 in the engine, no promotion of ranks or types, programs compiled quickly."""

import contextlib
import ctypes
import gc
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from nctheory.engine import RARELY, cache_directory, release_programs
from nctheory.engine._environment import TRACE_ALWAYS
from tests.helpers import LIGHT_FLAGS

# A process a core is at work, whose matrices are small: further threads of a BLAS would only wait for each other. Workers, and
# processes that tests start, read it in the environment.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
threadpool_limits(1, user_api="blas")
# Compiling is most of the suite's time: every program as with `solve(light=True)`, read when the first is compiled. Tests
# of the compiler's other programs start processes with `usual_environment`.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {LIGHT_FLAGS}".strip()
# Tests change constants of the engine, which programs on the disk would keep: every process traces its own.
os.environ[TRACE_ALWAYS] = "1"
os.environ.pop("COLUMNS", None)  # which workers of pytest-xdist have: lines end where a test says so
gc.set_threshold(*RARELY)  # as in the command line
jax.config.update("jax_numpy_rank_promotion", "raise")
# What `nctheory verify` has compiled before is not compiled again.
jax.config.update("jax_compilation_cache_dir", str(cache_directory()))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


MOST_MEMORY = 3 * 2**30
"""Bytes that a worker may hold from one test to the next (conventional: two of them, and what tests start, fit into 16 GB)."""


def release_memory():
    """Drop every compiled program, where the process has grown large, and give back what that frees."""
    with contextlib.suppress(OSError, AttributeError):  # on other systems than Linux with its usual C library
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") > MOST_MEMORY:
            release_programs(0)
            jax.clear_caches()
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="run the tests of many minutes too")


SLOW = frozenset(Path(__file__).with_name("slow_tests.txt").read_text().split())
"""Functions whose tests were measured to be slow, as `pytest -p benchmarks.suite_profile --slow-list FILE` writes them."""


@pytest.hookimpl(tryfirst=True)  # before -m is asked
def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.nodeid.split("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)
    if not config.getoption("--exhaustive"):
        for item in items:
            if item.get_closest_marker("exhaustive"):
                item.add_marker(pytest.mark.skip(reason="takes many minutes; --exhaustive runs it"))


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield
    release_programs()
    release_memory()


@pytest.fixture
def rng(request):
    """A generator that differs from test to test and not from run to run."""
    return np.random.default_rng([ord(c) for c in request.node.name])
