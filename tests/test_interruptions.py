"""Kills and corruptions of sweeps by the dozen: nothing is lost, nothing computed twice, and no number is wrong."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nctheory.sweeps import StoreError
from tests.test_sweeps import cached, run

AXES = {"decay": [0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "many": [2, 4]}
TILES = 48
CODE = """
import sys
from tests.test_interruptions import AXES, run
found = run(sys.argv[1], AXES, tile=2)
print(found.computed, found.reused, len(found.damaged))
"""


@pytest.fixture(scope="module")
def undisturbed():
    """The arrays of the sweep that nothing happens to."""
    return run(None, AXES, tile=2).arrays


def start(folder, cache):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, text=True, env=os.environ | cached(cache)
    )


def content(folder):
    """Names, bytes and times of all finished tiles."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (folder / "tiles").glob("*.tile")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", [0, *(pytest.param(i, marks=pytest.mark.exhaustive) for i in range(1, 5))])
def test_killed_ten_times_at_random_moments_and_resumed_it_is_the_undisturbed_sweep(
    number, tmp_path, tmp_path_factory, undisturbed
):
    folder, rng, kills, before = tmp_path / "run", random.Random(number), 0, {}
    cache, until_tile = tmp_path_factory.getbasetemp() / "compiled", 8.0
    for kill in range(10):
        process, began = start(folder, cache), time.monotonic()
        if kill % 5 == 4:  # at any moment before there is a new tile, as long as the last one took
            time.sleep(0.9 * until_tile * rng.random())
        else:  # while a tile is computed or written
            while process.poll() is None and len(list((folder / "tiles").glob("*.tile"))) <= len(before):
                time.sleep(0.002)
                assert time.monotonic() - began < 300
            until_tile = time.monotonic() - began
            time.sleep(0.05 * rng.random())  # some tiles long
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        after = content(folder) if (folder / "tiles").exists() else {}
        assert {name: after[name] for name in before} == before  # nothing lost, nothing written again
        before = after
    assert 0 < len(before) < TILES, "the kills fell outside the computation"
    assert kills == 10
    computed, reused, damaged = map(int, start(folder, cache).communicate()[0].split())
    assert (computed, reused, damaged) == (TILES - len(before), 2 * len(before), 0)
    after = content(folder)
    assert {name: after[name] for name in before} == before
    assert not list(folder.rglob(".*.part"))
    resumed = run(folder, AXES, tile=2)
    assert resumed.computed == 0
    for name, column in undisturbed.items():
        np.testing.assert_array_equal(resumed.arrays[name], column)


def flipped(raw, rng):
    place = rng.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(8)]) + raw[place + 1 :]


BYTES = {
    "a bit turned": flipped,
    "cut short": lambda raw, rng: raw[: rng.randrange(len(raw))],
    "a block of zeros": lambda raw, rng: raw[: (at := rng.randrange(len(raw)))] + bytes(64) + raw[at + 64 :],
    "bytes in between": lambda raw, rng: raw[: (at := rng.randrange(len(raw)))] + rng.randbytes(3) + raw[at:],
    "bytes at the end": lambda raw, rng: raw + rng.randbytes(5),
    "other bytes": lambda raw, rng: rng.randbytes(len(raw)),
}
FILES = ["swapped", "of another sweep", "copied over", "a folder", "a broken link", "a pipe"]


def corrupted(folder, other, kind, what, rng):
    """Harm one file of a sweep; the names of the tiles that are harmed."""
    tiles = sorted((folder / "tiles").glob("*.tile"))
    first, second = rng.sample(tiles, 2)
    target = first if what == "tile" else folder / "sweep.json"
    if kind in BYTES:
        target.write_bytes(BYTES[kind](target.read_bytes(), rng))
    elif kind == "swapped":
        one, two = first.read_bytes(), second.read_bytes()
        first.write_bytes(two)
        second.write_bytes(one)
        return {first.name, second.name}
    elif kind == "of another sweep":  # which has the same cells and seeds, of another key
        if what == "manifest":
            shutil.copy(other / "sweep.json", target)
        else:
            shutil.copy(rng.choice(sorted((other / "tiles").glob("*.tile"))), target)
    elif kind == "copied over":
        target.write_bytes(second.read_bytes())
    else:
        target.unlink()
        if kind == "a folder":
            (target / "within").mkdir(parents=True)
        elif kind == "a pipe":
            os.mkfifo(target)
        else:
            target.symlink_to(folder / "nowhere")
    return {first.name} if what == "tile" else set()


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_every_corruption_is_found_and_no_number_is_wrong(tmp_path, undisturbed):
    whole, other, rng, found, refused = tmp_path / "whole", tmp_path / "other", random.Random(1), 0, 0
    run(whole, AXES, tile=2)
    run(other, AXES, tile=2, key=1)
    manifest = json.loads((whole / "sweep.json").read_bytes())
    tile_kinds = [*BYTES] * 5 + FILES * 2
    jobs = [("tile", kind) for kind in tile_kinds]
    jobs += [("manifest", kind) for kind in [*BYTES] * 3 + FILES[1:]]
    for (what, kind), number in zip(jobs, itertools.count()):
        folder = tmp_path / f"harmed {number}"
        shutil.copytree(whole, folder)
        harmed = corrupted(folder, other, kind, what, rng)
        if what == "manifest":
            with_it = _parsed(folder / "sweep.json")
            if with_it == manifest:  # a blank more or less
                continue
            with pytest.raises(StoreError, match=str(folder)):
                run(folder, AXES, tile=2)
            refused += 1
        else:
            again = run(folder, AXES, tile=2)
            assert {line.split(":")[0] for line in again.damaged} == harmed, (kind, again.damaged)
            assert again.computed == len(harmed)
            for name, column in undisturbed.items():
                np.testing.assert_array_equal(again.arrays[name], column)
            found += 1
        shutil.rmtree(folder)
    assert found == len(tile_kinds)
    assert refused >= 12
    print(f"{found} tiles computed again, {refused} manifests refused")


def _parsed(file: Path):
    """What a manifest says; None for what says nothing."""
    try:
        return json.loads(file.read_bytes()) if file.is_file() else None
    except ValueError:
        return None
