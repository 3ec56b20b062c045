"""Full disks, read-only disks, power cuts, and folders of sweeps that somebody else has filled."""

import errno
import hashlib
import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nctheory.cli import main
from nctheory.engine import write_atomically
from nctheory.sweeps import StoreError
from nctheory.sweeps._store import Store
from nctheory.sweeps._tile_file import MAGIC, pack_tile
from tests.test_sweeps import cached, run

ROOT = Path(__file__).parent.parent
NAMESPACE = ("unshare", "--mount", "--map-root-user")
SMALL = {"decay": [0.3], "many": [2]}


def in_own_mounts(script, tmp_path):
    """Run a script of the shell with mounts of its own; skip where that is not allowed."""
    try:
        subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounts need Linux with namespaces for users")
    environment = os.environ | cached(tmp_path.parent / "compiled")
    return subprocess.run(
        [*NAMESPACE, "sh", "-ec", script], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )


def full_disk(disk, room=0):
    """Commands that make a folder a full disk, but for so many KiB."""
    disk.mkdir()
    return f"mount -t tmpfs -o size={256 + room}k none {disk}; head -c 262144 /dev/zero > {disk}/filler; "


def command(*arguments):
    return f"exec {sys.executable} -m nctheory.cli {shlex.join(map(str, arguments))}"


SWEEP = ("sweep", "mse-collapse", "--axis", "samples=5", "--axis", "decay=0.1,0.2", "--seeds", 2)
OUTPUTS = {
    "netcdf": (*SWEEP, "--netcdf", "{}/x.nc"),
    "parquet": (*SWEEP, "--parquet", "{}/x.parquet"),
    "json": ("verify", ROOT / "proofs_numeric" / "template.py", "--quick", "--json", "{}/x.json"),
    "verdicts": ("verify", ROOT / "proofs_numeric" / "template.py", "--quick", "--out", "{}/out"),
    "phase": ("phase", "mse-collapse", "--grid", 2, "--rows", 2, "--seeds", 2, "--out", "{}/out"),
}
PRINTED = {"netcdf": "certified", "parquet": "certified", "json": "holds", "verdicts": "holds", "phase": "holds"}


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_full_disk_at_an_output_loses_nothing_and_exits_4_with_one_line(output, tmp_path):
    disk, words = tmp_path / "disk", [str(word).format(tmp_path / "disk") for word in OUTPUTS[output]]
    done = in_own_mounts(full_disk(disk) + command(*words), tmp_path)
    assert done.returncode == 4, done.stdout + done.stderr
    assert PRINTED[output] in done.stdout
    said = [line for line in done.stderr.splitlines() if "tiles, " not in line]  # the progress
    assert len(said) == 1, said
    assert said[0].startswith("nctheory: error: cannot write: No space left on device: " + str(disk))
    if output in ("netcdf", "parquet"):  # what cannot be printed is kept elsewhere
        place = next(line for line in done.stdout.splitlines() if line.startswith("written: "))
        assert Path(place.removeprefix("written: ")).stat().st_size > 1000
        assert place.removeprefix("written: ") in said[0]


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_finished_tiles_and_the_sweep_goes_on_elsewhere(tmp_path):
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    many = ("--axis", "samples=5", "--axis", "decay=0.1:0.3:5000", "--seeds", 2)
    words = command("sweep", "mse-collapse", *many, "--resume", disk / "run").removeprefix("exec ")
    script = f"{full_disk(disk, 400)} {words} || status=$?; cp -r {disk}/run {copy}; exit $status"
    done = in_own_mounts(script, tmp_path)
    assert done.returncode == 4, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if "tiles, " not in line]
    assert len(said) == 1, said
    assert "No space left on device; finished tiles are kept" in said[0]
    assert " missing; " in done.stdout
    assert list((copy / "tiles").glob("*.tile"))
    assert not list(copy.rglob("*.part"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_is_full_itself_exits_4_with_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nctheory.cli", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "nctheory: error: No space left on device; --verbose shows the traceback",
    ]


def test_a_file_gets_its_name_when_it_is_on_the_disk_and_the_folder_is_synchronised_after(tmp_path, monkeypatch):
    found, done = run(None, SMALL), []
    fsync, replace = os.fsync, Path.replace

    def synchronise(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append(("folder" if is_folder else "file", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def rename(path, target):
        done.append(("name", path.stat().st_ino))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synchronise)
    monkeypatch.setattr(Path, "replace", rename)
    writes = {
        "plain.txt": lambda path: write_atomically(path, "text"),
        "sweep.nc": found.to_netcdf,
        "sweep.parquet": found.to_parquet,
    }
    for name, write in writes.items():
        done.clear()
        write(tmp_path / name)
        file, folder = (tmp_path / name).stat().st_ino, tmp_path.stat().st_ino
        assert done == [("file", file), ("name", file), ("folder", folder)], name
    done.clear()
    run(tmp_path / "new" / "run", SMALL)
    kinds = [kind for kind, _ in done]
    assert kinds == ["folder"] * 3 + ["file", "name", "folder"] * 2  # folders that are new, the manifest, one tile
    assert {file.name for file in tmp_path.iterdir()} == {*writes, "new"}


def test_nothing_is_written_but_through_the_one_function():
    """Whole files: beside `whole_file` nothing in the package opens a file for writing, or gives one its name."""
    writing = re.compile(r"write_text\(|write_bytes\(|os\.replace\(|os\.rename\(|open\([^)]*[\"'][wax]b?\+?[\"']")
    found = {str(file.relative_to(ROOT)) for file in ROOT.glob("nctheory/**/*.py") if writing.search(file.read_text())}
    assert found == {"nctheory/engine/_files.py"}


def test_a_folder_that_cannot_be_synchronised_is_written_all_the_same_and_a_full_one_is_not(tmp_path, monkeypatch):
    fsync, answers = os.fsync, {"errno": errno.EINVAL}

    def refusing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(answers["errno"], os.strerror(answers["errno"]))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    write_atomically(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    answers["errno"] = errno.EIO
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path / 'file'}'"):
        write_atomically(tmp_path / "file", "more")


@pytest.mark.slow
def test_a_finished_folder_is_read_from_a_read_only_disk(tmp_path):
    tmp_path = tmp_path / "here"
    folder = tmp_path / "run"
    whole = run(folder)
    (folder / "tiles" / ".x.tile.1.part").write_text("left over")
    before = sorted((file, file.stat().st_mtime_ns) for file in folder.rglob("*"))
    code = f"""
import sys
from tests.test_sweeps import GRID, StoreError, run
found = run({str(folder)!r})
print(found.computed, found.reused, found.arrays["value"].tobytes().hex())
try:
    run({str(folder)!r}, seeds=5)
except StoreError as error:
    print(error)
(tile, *_) = __import__("pathlib").Path({str(folder)!r}, "tiles").glob("*.tile")
"""
    (tmp_path / "code.py").write_text(code)
    for lock in (True, False):
        if not lock:
            (folder / ".lock").unlink()
            before = sorted((file, file.stat().st_mtime_ns) for file in folder.rglob("*"))
        script = (
            f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}; {sys.executable} {tmp_path}/code.py"
        )
        done = in_own_mounts(f"export PYTHONPATH={ROOT}; {script}", tmp_path)
        assert done.returncode == 0, done.stderr
        first, second = done.stdout.splitlines()
        assert first == f"0 24 {whole.arrays['value'].tobytes().hex()}"
        assert "tiles are missing in" in second
        assert "cannot be written to: Read-only file system" in second
        assert sorted((file, file.stat().st_mtime_ns) for file in folder.rglob("*")) == before


IDENTITY = {"format": 2, "key": 0, "measures": ["norm"], "nctheory": "0.1"}
NAMES = ("value", "status", "steps", "norm")
TILE = {"cells": ["a", "b"], "seeds": [0, 1, 2]}
ARRAYS = {
    "value": np.zeros((2, 3)),
    "norm": np.ones((2, 3)),
    "status": np.zeros((2, 3), np.int8),
    "steps": np.ones((2, 3), np.int64),
}


def store(folder):
    return Store(folder, IDENTITY, NAMES)


MANIFESTS = {
    "empty": b"",
    "not JSON": b"{",
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
    "a text": b'"text"',
    "not UTF-8": b"\xff\xfe{}",
    "missing keys": b"{}",
    "wrong types": json.dumps({name: [value] for name, value in IDENTITY.items()}).encode(),
    "objects within": json.dumps({name: {"x": value} for name, value in IDENTITY.items()}).encode(),
    "a key more": json.dumps({**IDENTITY, "\x1b[2J more": 1}).encode(),
    "deep": b"[" * 100_000,
    "deep within": b'{"format": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    "a huge number": b'{"format": 1' + b"0" * 100_000 + b"}",
    "an infinite number": json.dumps({**IDENTITY, "key": 1e999}).encode(),
    "NaN": json.dumps({**IDENTITY, "key": float("nan")}).encode(),
    "a long text": json.dumps({**IDENTITY, "nctheory": "x" * 1_000_000}).encode(),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_crafted_manifest_is_refused_with_its_path_in_a_short_line(kind, tmp_path):
    with store(tmp_path) as opened:
        opened.add(ARRAYS, TILE)
    (tmp_path / "sweep.json").write_bytes(MANIFESTS[kind])
    with pytest.raises(StoreError) as refused, store(tmp_path):
        pass
    said = str(refused.value)
    assert str(tmp_path) in said
    assert len(said) < 700
    assert said.isprintable()
    assert len(list((tmp_path / "tiles").iterdir())) == 1  # left as it is


@pytest.mark.parametrize("name", ["sweep.json", ".lock", "tiles"])
@pytest.mark.parametrize("thing", ["folder", "pipe", "loop"])
def test_something_else_in_the_place_of_a_file_is_refused_with_its_path(name, thing, tmp_path):
    place = tmp_path / name
    {"folder": place.mkdir, "pipe": lambda: os.mkfifo(place), "loop": lambda: place.symlink_to(place)}[thing]()
    if (name, thing) in ((".lock", "pipe"), ("tiles", "folder")):  # which can be locked, and which it is
        with store(tmp_path) as opened:
            assert opened.read_only is None
        return
    with pytest.raises(StoreError, match=str(tmp_path)), store(tmp_path):
        pass


def _tile(arrays=None, identity=None):
    return pack_tile({**ARRAYS, **(arrays or {})}, {**TILE, **(identity or {})})


def _crafted(header=None, identity=json.dumps(TILE)):
    """A tile with any text for its identity, and for the header of its values."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        for name, array in {"identity": np.frombuffer(identity.encode(), np.uint8), **ARRAYS}.items():
            body = io.BytesIO()
            np.save(body, array)
            if name == "value" and header is not None:
                body = io.BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
            file.writestr(f"{name}.npy" if name == "identity" else f"array {name}.npy", body.getvalue())
    body = raw.getvalue()
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _without(name):
    return pack_tile({other: array for other, array in ARRAYS.items() if other != name}, TILE)


TILES = {
    "empty": b"",
    "its head alone": _tile()[:89],
    "no archive": b"nctheory tile 1 sha256 " + b"0" * 64 + b"\n",
    "cells that are a number": _tile(identity={"cells": 3}),
    "cells that are numbers": _tile(identity={"cells": [1, 2]}),
    "seeds that are texts": _tile(identity={"seeds": ["0", "1", "2"]}),
    "seeds beyond all bounds": _tile(identity={"seeds": [0, 1, 10**30]}),
    "a negative seed": _tile(identity={"seeds": [-1, 1, 2]}),
    "a seed that is true": _tile(identity={"seeds": [0, True, 2]}),
    "infinite seeds": _tile(identity={"seeds": [0, 1e999, 2]}),
    "another key": _tile(identity={"key": 1}),
    "an identity that is a list": _crafted(identity="[1, 2]"),
    "an identity that is nothing": _crafted(identity="null"),
    "an identity that is too deep": _crafted(identity="[" * 100_000),
    "a missing array": _without("norm"),
    "no status": _without("status"),
    "an array more": _tile({"more": np.zeros((2, 3))}),
    "a wrong shape": _tile({"value": np.zeros((3, 2))}),
    "a number alone": _tile({"value": np.asarray(1.0)}),
    "texts": _tile({"value": np.full((2, 3), "x")}),
    "complex numbers": _tile({"value": np.zeros((2, 3), complex)}),
    "dates": _tile({"value": np.zeros((2, 3), "datetime64[s]")}),
    "a status that is NaN": _tile({"status": np.full((2, 3), np.nan)}),
    "a status that wraps around to converged": _tile({"status": np.full((2, 3), 256)}),
    "a status of what is missing": _tile({"status": np.full((2, 3), -1)}),
    "steps that are no numbers": _tile({"steps": np.full((2, 3), np.inf)}),
    "a pickle": _crafted("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }\n"),
    "an array larger than memory": _crafted("{'descr': '<f8', 'fortran_order': False, 'shape': (10**15, 3), }\n"),
    "an enormous array": _crafted(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**15}, 3), }}\n"),
    "a deep header": _crafted("(" * 3000 + "\n"),
    "a header that is code": _crafted("__import__('os').abort()\n"),
}


@pytest.mark.parametrize("kind", TILES)
def test_a_crafted_tile_is_put_aside_and_named(kind, tmp_path):
    with store(tmp_path) as opened:
        good = opened.add(ARRAYS, TILE)
    good.write_bytes(TILES[kind])
    with store(tmp_path) as opened:
        assert list(opened.tiles()) == []
        (line,) = opened.damaged
    assert line.startswith(f"{good.name}: ")
    assert line.endswith(f"; kept as {good.stem}.damaged, computed again")
    assert line.isprintable()
    assert (tmp_path / "tiles" / f"{good.stem}.damaged").read_bytes() == TILES[kind]


@pytest.mark.parametrize("thing", ["folder", "full folder", "pipe", "loop", "link to nothing", "device"])
def test_a_tile_that_is_no_file_is_put_aside(thing, tmp_path):
    with store(tmp_path) as opened:
        good = opened.add(ARRAYS, TILE)
    for number in range(3):  # once more, where the name for what is put aside is taken
        good.unlink(missing_ok=True)
        if thing == "pipe":
            os.mkfifo(good)
        elif "folder" in thing:
            (good / "within" if thing == "full folder" else good).mkdir(parents=True)
        else:
            good.symlink_to({"loop": good, "link to nothing": tmp_path / "nowhere", "device": "/dev/zero"}[thing])
        with store(tmp_path) as opened:
            assert list(opened.tiles()) == []
            assert opened.damaged[0].startswith(f"{good.name}: ")
            opened.add(ARRAYS, TILE)
        assert os.path.lexists(good.with_suffix(f".damaged{number or ''}"))
        with store(tmp_path) as opened:
            assert len(list(opened.tiles())) == 1


def test_a_link_to_a_tile_is_a_tile(tmp_path):
    with store(tmp_path) as opened:
        good = opened.add(ARRAYS, TILE)
    good.rename(tmp_path / "elsewhere")
    good.symlink_to(tmp_path / "elsewhere")
    with store(tmp_path) as opened:
        assert len(list(opened.tiles())) == 1
        assert opened.damaged == []


def test_what_a_killed_run_left_over_does_not_block_resuming_whatever_it_is(tmp_path):
    whole = run(tmp_path, SMALL)
    (tile,) = (tmp_path / "tiles").iterdir()
    for place in (tmp_path / ".sweep.json.1.part", tile.with_name(f".{tile.name}.1.part")):
        (place / "within").mkdir(parents=True)
    (tile.with_name(f".{tile.name}.2.part")).write_text("half a tile")
    for unwritten in (tile, tmp_path / "sweep.json"):
        unwritten.unlink()
        again = run(tmp_path, SMALL)
        np.testing.assert_array_equal(again.arrays["value"], whole.arrays["value"])
        tile.unlink()
    assert not tile.with_name(f".{tile.name}.2.part").exists()


def test_a_sweep_of_a_crafted_folder_is_wrong_use_on_the_command_line(tmp_path, capsys):
    (tmp_path / "sweep.json").write_bytes(MANIFESTS["deep"])
    assert main([*map(str, SWEEP), "--resume", str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"nctheory: folder: {tmp_path / 'sweep.json'} cannot be read")
    assert len(said.splitlines()) == 1
