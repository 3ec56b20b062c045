"""Full disks, read-only disks, power cuts, and folders of sweeps that somebody else has filled."""

import errno
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nctheory.engine import write_atomically
from tests.small_sweeps import SMALL, SWEEP
from tests.test_sweeps import cached, run

ROOT = Path(__file__).parent.parent
NAMESPACE = ("unshare", "--mount", "--map-root-user")


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


@pytest.mark.slow
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
