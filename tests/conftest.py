"""Strict settings for every test: float64 where the engine computes, rank promotion raises."""

import jax
import numpy as np
import pytest

from nctheory._environment import cache_directory
from nctheory._programs import release_programs

jax.config.update("jax_numpy_rank_promotion", "raise")
# Compiling is most of the suite's time; what `nctheory verify` has compiled before is not compiled again.
jax.config.update("jax_compilation_cache_dir", str(cache_directory()))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield
    release_programs()


@pytest.fixture
def rng(request):
    """A generator that differs from test to test and not from run to run."""
    return np.random.default_rng([ord(c) for c in request.node.name])
