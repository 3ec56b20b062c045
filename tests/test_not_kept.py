"""What is no traced program on the disk: what a key cannot tell, or JAX cannot export."""

import importlib.metadata
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import _code, _traced, fast_compile
from tests.traced_room import files, kept_room


@pytest.fixture
def room(tmp_path, monkeypatch):
    with kept_room(tmp_path, monkeypatch) as module:
        yield module


def test_what_a_function_raises_is_raised(room):
    with pytest.raises(ValueError, match="x: expected another"):
        fast_compile(room.wrong)(jnp.arange(3.0))
    assert files() == []


def test_what_calls_back_and_what_is_a_users_own_is_traced_every_time(room):
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(fast_compile(room.told)(x), 2 * x)
    assert [file.read_bytes() for file in files()] == [_traced.AS_EVER]
    count = len(room.traced)
    fast_compile(room.told)(x)
    assert len(room.traced) == count + 1  # and no more: that it cannot be kept is

    def own(x):
        room.traced.append(x)
        return 3 * x

    for _ in range(2):
        np.testing.assert_array_equal(fast_compile(own)(x), 3 * x)
    assert len(room.traced) == count + 3
    assert len(files()) == 1


def test_what_is_weakly_typed_stays_so(room):
    for _ in range(2):
        assert fast_compile(room.weak)(jnp.arange(3.0)).weak_type
    assert [file.read_bytes() for file in files()] == [_traced.AS_EVER]


def test_what_reads_the_processs_own_state_is_kept_no_more_than_what_is_traced_after_it(room):
    x = jnp.arange(3.0)
    fast_compile(room.squared)(x)
    (before,) = files()
    for _ in range(2):
        np.testing.assert_array_equal(fast_compile(room.stateful)(x), x)
    fast_compile(room.drawn)(jax.random.key(0), x)
    (marked,) = set(files()) - {before}
    assert marked.read_bytes() == _traced.AS_EVER
    count = len(room.traced)
    fast_compile(room.squared)(x)  # what was kept before is read
    assert len(room.traced) == count


def test_an_activation_of_a_users_own_is_traced_every_time(room, monkeypatch):
    """The table of activations is public, and looked up by name while a program is traced."""
    x = jnp.arange(3.0)
    fast_compile(room.activated)(x)
    kept = files()
    for slope in (2.0, 3.0):
        monkeypatch.setitem(nct.problems.ACTIVATIONS, "relu", lambda x, slope=slope: slope * x)
        np.testing.assert_array_equal(fast_compile(room.activated)(x), slope * x)
    assert files() == kept


def test_kinks_belong_to_the_process(room):
    """Which candidates are kinks is known from the problems that were seen: programs that ask for it are not kept."""
    chain = nct.deep_nonlinear(widths=(3, 3, 2), counts=(1, 1), loss="mse", weight_decay=(0.1,) * 3)
    for _ in range(2):  # found, then looked up, where nothing is traced
        assert nct.problems.kinks_of(chain)
        assert not _traced._own
    jax.eval_shape(lambda one: jnp.zeros(len(nct.problems.kinks_of(one))), chain)
    assert _traced._own


def test_an_editors_lock_and_a_missing_version_stop_nothing(room, tmp_path, monkeypatch):
    Path(str(room.__file__)).with_name(".#locked.py").symlink_to("nobody@nowhere")
    monkeypatch.setattr(_code.importlib.metadata, "version", missing)
    _code._digest.cache_clear()
    _code.library_versions.cache_clear()
    _traced.keep_traced_programs(tmp_path / "kept")
    _code.library_versions.cache_clear()
    fast_compile(room.squared)(jnp.arange(3.0))
    assert len(files()) == 1
    assert _code.code_digest().startswith("not installed")


def missing(distribution):
    raise importlib.metadata.PackageNotFoundError(distribution)


def test_what_will_not_be_looked_at_is_traced(room):
    static = {"static_argnames": ("power", "by")}
    found = fast_compile(room.squared, **static)(jnp.arange(3.0), by=Elusive(2.0))
    np.testing.assert_array_equal(found.low, 2.0 * jnp.arange(3.0) ** 2)
    assert files() == []


class Elusive(float):
    """It refuses to say anything of itself."""

    def __getattribute__(self, name):
        if name == "__dict__":
            raise RuntimeError(name)
        return super().__getattribute__(name)


def test_where_nothing_is_compiled_the_function_itself_runs(room):
    with jax.disable_jit():
        found = fast_compile(room.squared)(jnp.arange(3.0))
    assert len(room.traced) == 2  # once for the program, which is made in any case
    np.testing.assert_array_equal(found.low, 3.0 * jnp.arange(3.0) ** 2)
