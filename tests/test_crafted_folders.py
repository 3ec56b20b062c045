"""Crafted manifests and tiles, things in the place of files, and what a killed run leaves over."""

import hashlib
import io
import json
import os
import zipfile

import numpy as np
import pytest

from nctheory.cli import main
from nctheory.sweeps import StoreError
from nctheory.sweeps._store import Store
from nctheory.sweeps._tile_file import MAGIC, pack_tile
from tests.small_sweeps import SMALL, SWEEP
from tests.test_sweeps import run

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
