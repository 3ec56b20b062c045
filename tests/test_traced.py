"""Traced programs on the disk: the same results, read where nothing differs, made anew where anything does or is broken."""

import json
import os
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from nctheory.engine import _traced, fast_compile
from nctheory.engine._environment import TRACE_ALWAYS
from tests.traced_room import ROOM, files, kept_room, same


@pytest.fixture
def room(tmp_path, monkeypatch):
    with kept_room(tmp_path, monkeypatch) as module:
        yield module


def test_what_was_traced_once_is_read_by_the_next(room):
    x = jnp.arange(3.0)
    first = fast_compile(room.squared)(x)
    assert len(room.traced) == 1
    assert len(files()) == 1
    same(fast_compile(room.squared)(x), first)
    assert len(room.traced) == 1
    folder, _traced._FOLDER = _traced._FOLDER, None
    same(fast_compile(room.squared)(x), first)
    assert len(room.traced) == 2
    _traced._FOLDER = folder
    key = jax.random.key(3)
    same(fast_compile(room.drawn)(key, x), fast_compile(room.drawn)(key, x))
    assert len(room.traced) == 3


def test_whatever_a_program_depends_on_makes_another(room):
    static = {"static_argnames": ("power", "by")}
    x = jnp.arange(3.0)
    calls = [
        lambda: fast_compile(room.squared, **static)(x),
        lambda: fast_compile(room.squared, **static)(x, power=3),
        lambda: fast_compile(room.squared, **static)(x, by=2.0),
        lambda: fast_compile(room.squared, **static)(x, by=3),
        lambda: fast_compile(room.squared)(x, by=jnp.asarray(2.0)),
        lambda: fast_compile(room.squared)(x, by=jnp.ones(3)),
        lambda: fast_compile(room.squared)(jnp.arange(4.0)),
        lambda: fast_compile(room.squared)(x.astype(jnp.float32), by=jnp.float32(1)),
    ]
    found = [call() for call in calls]
    assert len(files()) == len(calls)
    with jax.default_matmul_precision("float32"):
        calls[0]()
    with jax.numpy_dtype_promotion("standard"):
        calls[0]()
    assert len(files()) == len(calls) + 2
    count = len(room.traced)
    for call, was in zip(calls, found, strict=True):
        same(call(), was)
    assert len(room.traced) == count


def test_other_code_has_a_folder_of_its_own_and_three_stay(room, tmp_path):
    kept = tmp_path / "kept"
    (kept / "a model of somebody's").mkdir()
    seen = [_traced._FOLDER]
    for k in range(4):
        Path(str(room.__file__)).with_name(f"more{k}.py").write_text(f"x = {k}")
        before = _traced.code_digest
        _traced.code_digest = lambda k=k: f"version {k}"
        try:
            _traced.keep_traced_programs(kept)
        finally:
            _traced.code_digest = before
        assert _traced._FOLDER is not None
        assert _traced._FOLDER not in seen
        seen.append(_traced._FOLDER)
        os.utime(_traced._FOLDER, (k + 1e9, k + 1e9))
    assert len(list(kept.iterdir())) == _traced.KEPT_VERSIONS + 1
    assert (kept / "a model of somebody's").is_dir()


@pytest.mark.parametrize("harm", ["empty", "cut", "noise", "other", "folder", "fewer", "shape"])
def test_a_file_that_cannot_be_read_is_made_anew(room, harm):
    x = jnp.arange(3.0)
    first = fast_compile(room.squared)(x)
    (file,) = files()
    whole = file.read_bytes()
    program, _ = pickle.loads(zlib.decompress(whole))
    longer = zlib.compress(pickle.dumps((exported(), (0,))))
    broken = {
        "empty": b"",
        "cut": whole[:-40],
        "noise": b"\x00" * 100,
        "other": whole[:-5] + b"12345",
        "fewer": zlib.compress(pickle.dumps((program, (0,)))),
        "shape": longer,
    }
    file.unlink()
    if harm == "folder":
        file.mkdir()
    else:
        file.write_bytes(broken[harm])
    same(fast_compile(room.squared)(x), first)
    assert len(room.traced) == 2
    if harm != "folder":
        assert file.read_bytes() == whole


def exported():
    """A program of arguments of another shape."""
    return bytes(jax.export.export(jax.jit(lambda x: x))(jax.ShapeDtypeStruct((4,), jnp.float64)).serialize())


def test_a_folder_that_takes_no_files_keeps_nothing(room, tmp_path, monkeypatch):
    monkeypatch.setattr(_traced, "write_atomically", refusing)
    x = jnp.arange(3.0)
    same(fast_compile(room.squared)(x), fast_compile(room.squared)(x))
    assert len(room.traced) == 2
    assert files() == []
    (tmp_path / "a file").write_text("")
    _traced.keep_traced_programs(tmp_path / "a file")
    assert _traced._FOLDER is None
    fast_compile(room.squared)(x)


def refusing(path, content, durable):
    raise PermissionError(13, "no", str(path))


def test_a_file_that_was_changed_under_a_running_process_ends_the_keeping(room):
    """Modules that are imported from now on are of other code than the folder is for."""
    file = Path(str(room.__file__))
    fast_compile(room.squared)(jnp.arange(3.0))
    folder, kept = Path(str(_traced._FOLDER)), files()
    file.write_text(ROOM + "\nmore = 1\n")
    fast_compile(room.squared)(jnp.arange(4.0))
    assert sorted(folder.iterdir()) == kept
    fast_compile(room.squared)(jnp.arange(3.0))
    assert room.traced == [(3,), (4,), (3,)]


BITS = """
import sys
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
import nctheory as nct
from nctheory.engine import _programs, _traced

sizes = {"counts": (2, 2, 2), "loss": "cross_entropy"}
sphere = nct.problems.supervised_contrastive(counts=(2, 2), temperature=0.5)
problems = [
    nct.unconstrained_features(dim=3, weight_decay=(0.03, 0.05), bias=0.1, **sizes),
    nct.deep_linear(widths=(3, 3, 3), weight_decay=(0.1,) * 3, **(sizes | {"loss": "mse"})),
    nct.problems.unit_vectors(sphere, dim=3),
]

def found():
    _programs._PROGRAMS.clear()
    ends = [nct.solve(problem, seeds=3, key=1) for problem in problems]
    bounds = [nct.certify(problem, end.params) for problem, end in zip(problems[:2], ends)]
    return jax.tree.leaves([ends, bounds])

direct = found()
_traced.keep_traced_programs(__import__("pathlib").Path(sys.argv[1]))
made = found()
names = sorted(one.name.split("-")[0] for one in _traced._FOLDER.iterdir())
assert names.count("solve_chunk") == 3, names
before = {one.name: one.stat().st_mtime_ns for one in _traced._FOLDER.iterdir()}
read = found()
assert before == {one.name: one.stat().st_mtime_ns for one in _traced._FOLDER.iterdir()}
for x, y, z in zip(direct, made, read, strict=True):
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(y, z)
print(len(direct), "arrays,", len(names), "programs")
"""


@pytest.mark.slow
def test_seeds_end_at_the_same_bits(tmp_path):
    """Traced, made for the disk and read from it: in a process of its own, in which nothing checks annotations."""
    found = subprocess.run(
        [sys.executable, "-c", BITS, str(tmp_path / "kept")],
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parent.parent), "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "xla")},
        text=True,
        capture_output=True,
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[0]) > 20


@pytest.mark.slow
def test_a_second_process_traces_nothing_and_says_the_same(tmp_path):
    """`nctheory verify` as a user runs it: twice with its own folder, and once with every program traced anew."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    environment.pop(TRACE_ALWAYS, None)
    kept = tmp_path / "cache" / "nctheory" / "xla" / "nctheory-traced"
    told = []
    for name, more in (("first", {}), ("second", {}), ("traced", {TRACE_ALWAYS: "1"})):
        command = [
            "-m",
            "nctheory.cli",
            "verify",
            "ufm-mse-nobias",
            "--quick",
            "--json",
            str(tmp_path / f"{name}.json"),
        ]
        subprocess.run([sys.executable, *command], env=environment | more, check=True, capture_output=True, timeout=500)
        told.append({file: file.stat().st_mtime_ns for file in kept.rglob("*") if file.is_file()})
    assert told[0]
    assert told[0] == told[1] == told[2]
    first, second, traced = (
        without_clocks(json.loads((tmp_path / f"{name}.json").read_text())) for name in ("first", "second", "traced")
    )
    assert first == second == traced


def without_clocks(said):
    """What was said, without the seconds that it took."""
    if isinstance(said, dict):
        return {name: without_clocks(one) for name, one in said.items() if "seconds" not in name and name != "date"}
    return [without_clocks(one) for one in said] if isinstance(said, list) else said
