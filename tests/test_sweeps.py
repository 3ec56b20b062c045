"""Sweeps: the same outcomes as solve and certify cell by cell, and nothing lost to interruptions."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import without_counts
from nctheory.sweeps import StoreError
from nctheory.sweeps._programs import program_digest
from nctheory.sweeps._tile_file import pack_tile, unpack_tile
from nctheory.sweeps._tiles import fingerprint

GRID = {"decay": [0.02, 0.05, 0.3], "many": [2, 4]}
MEASURES = {"norm": lambda problem, params: jnp.sum(params.weights[0] ** 2)}


def imbalanced(decay, many):
    """Two classes of `many` samples and one of one, as class means: one shape whatever the counts."""
    model = nct.unconstrained_features(counts=(many, many, 1), dim=3, loss="mse", weight_decay=(decay, 0.1))
    return nct.problems.reduce_to_class_means(model)


def run(folder=None, grid=GRID, seeds: Any = 4, **options):
    return nct.sweep(imbalanced, grid, measures=MEASURES, seeds=seeds, folder=folder, **options)


def test_cells_are_what_solve_and_certify_give_one_by_one():
    found = run()
    assert found.arrays["value"].shape == (3, 2, 4)
    assert found.certified.all()
    for (i, j), cell in zip(np.ndindex(3, 2), found.grid.cells(), strict=True):
        problem = imbalanced(**cell)
        ensemble = nct.solve(problem, 4)
        np.testing.assert_allclose(found.arrays["value"][i, j], ensemble.value, rtol=0, atol=1e-13)
        np.testing.assert_allclose(
            found.arrays["norm"][i, j], np.sum(ensemble.params.weights[0] ** 2, axis=(1, 2)), rtol=1e-8, atol=1e-12
        )
        bound = nct.certify(problem, ensemble.params).lower_bound
        np.testing.assert_allclose(found.arrays["lower_bound"][i, j], bound, rtol=0, atol=1e-13)


def test_counts_alone_make_no_new_shape():
    one, two = (without_counts(imbalanced(0.1, many)) for many in (2, 9))
    found = nct.solve_many([one, two], 2)
    assert found.value.shape == (2, 2)
    program = program_digest(one, MEASURES)
    assert program == program_digest(two, MEASURES)
    assert fingerprint(one, program) != fingerprint(two, program)
    assert fingerprint(one, program) == fingerprint(without_counts(imbalanced(0.1, 2)), program)


class Bowl(nct.Problem):
    """f = |x - c|^2/2 (1 + power(c)): its static function is code, not a number."""

    centre: Any
    power: Any = eqx.field(static=True)

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return self.power(0.5 * jnp.sum((params - self.centre) ** 2)) + 1.0


@pytest.mark.slow
def test_problems_that_differ_in_code_alone_are_told_apart(tmp_path):
    def model(centre, slope):
        return Bowl(jnp.asarray(centre), lambda x: slope * x)

    axes = {"centre": [0.5, 1.0], "slope": [1.0, 3.0]}
    measures = {"start": lambda problem, params: problem.power(2.0) * 1.0}
    found = nct.sweep(model, axes, measures=measures, seeds=2, folder=tmp_path)
    np.testing.assert_array_equal(found.arrays["start"][..., 0], [[2.0, 6.0], [2.0, 6.0]])
    assert nct.sweep(model, axes, measures=measures, seeds=2, folder=tmp_path).reused == 8
    other = {"start": lambda problem, params: problem.power(3.0) * 1.0}  # another measure under the same name
    again = nct.sweep(model, axes, measures=other, seeds=2, folder=tmp_path)
    assert again.reused == 0
    np.testing.assert_array_equal(again.arrays["start"][..., 0], [[3.0, 9.0], [3.0, 9.0]])


def test_a_member_without_certificate_takes_none_from_the_others():
    class Half(nct.Problem):
        share: Any

        def init(self, key, scale):
            return scale * jax.random.normal(key, (2,), jnp.float64)

        def objective(self, params):
            return 0.5 * jnp.sum(params**2) + 1.0

        def lower_bound(self, params):
            return jnp.where(self.share > 1, 2.0, jnp.where(self.share > 0, 1.0, -jnp.inf))

    found = nct.sweep(lambda share: Half(jnp.asarray(share)), {"share": [0.0, 0.5, 2.0]}, seeds=2)
    assert found.converged.all()
    np.testing.assert_array_equal(found.certified, [[False, False], [True, True], [False, False]])


def test_a_finished_sweep_is_not_computed_again(tmp_path):
    whole = run(tmp_path, tile=4)
    assert (whole.computed, whole.reused) == (6, 0)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "tiles").iterdir()}
    again = run(tmp_path, tile=4)
    assert (again.computed, again.reused) == (0, 24)
    assert files == {file: file.stat().st_mtime_ns for file in (tmp_path / "tiles").iterdir()}
    for name, column in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], column)


def test_another_grid_and_more_seeds_compute_only_what_is_new(tmp_path):
    run(tmp_path)
    wider = run(tmp_path, {"decay": [0.01, 0.02, 0.3], "many": [4]}, tile=4)
    assert (wider.computed, wider.reused) == (1, 8)
    more = run(tmp_path, seeds=[1, 3, 6])
    assert more.reused == 12
    fresh = run(seeds=[1, 3, 6])
    np.testing.assert_allclose(more.arrays["value"], fresh.arrays["value"], rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "foreign"])
def test_a_damaged_tile_is_reported_and_computed_again(tmp_path, harm):
    whole = run(tmp_path, tile=4)
    file = sorted((tmp_path / "tiles").iterdir())[2]
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes({"flip": bytes(raw), "cut": raw[:-9], "empty": b"", "foreign": b"PK\x03\x04"}[harm])
    again = run(tmp_path, tile=4)
    assert again.computed == 1
    assert len(again.damaged) == 1
    assert file.name in again.damaged[0]
    np.testing.assert_array_equal(again.arrays["value"], whole.arrays["value"])
    assert file.with_suffix(".damaged").exists()
    assert run(tmp_path, tile=4).damaged == ()


def test_a_tile_is_its_arrays_and_identity_or_nothing():
    arrays, identity = {"value": np.arange(6.0).reshape(2, 3)}, {"cells": ["a", "b"], "seeds": [0, 1, 2]}
    raw = pack_tile(arrays, identity)
    held, named = unpack_tile(raw)
    np.testing.assert_array_equal(held["value"], arrays["value"])
    assert named == identity
    for begin in range(0, len(raw), 7):
        with pytest.raises(ValueError, match=r"tile|checksum"):
            unpack_tile(raw[:begin] + bytes([raw[begin] ^ 255]) + raw[begin + 1 :])


def cached(folder):
    """Environment variables with which processes share what they compile."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def test_two_sweeps_of_one_folder(tmp_path):
    run(tmp_path, {"decay": [0.3], "many": [2]})
    code = "import sys, time; from nctheory.sweeps._store import Store\nwith Store(sys.argv[1], {}, ()) as s: pass\n"
    code = code.replace("{}", repr(json.loads((tmp_path / "sweep.json").read_text())))
    code = code.replace("pass", "print('open', flush=True); time.sleep(60)")
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="in use by another sweep"):
            run(tmp_path, {"decay": [0.3], "many": [2]})
    finally:
        other.kill()
        other.communicate()
    assert run(tmp_path, {"decay": [0.3], "many": [2]}).computed == 0  # a killed owner leaves no lock behind


def test_a_folder_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use"):
        run(tmp_path / "file", {"decay": [0.3], "many": [2]})
    run(tmp_path / "ours", {"decay": [0.3], "many": [2]})
    for change in ({"key": 1}, {"tolerance": 1e-9}, {"measures": {}}):
        arguments = {"measures": MEASURES, "seeds": 4, "folder": tmp_path / "ours", **change}
        with pytest.raises(
            StoreError, match=f"sweep with {'options' if 'tolerance' in change else next(iter(change))} = "
        ):
            nct.sweep(imbalanced, {"decay": [0.3], "many": [2]}, **arguments)

    (tmp_path / "ours" / "sweep.json").rename(tmp_path / "sweep.json")
    with pytest.raises(StoreError, match=r"holds tiles but no sweep\.json"):
        run(tmp_path / "ours", {"decay": [0.3], "many": [2]})
    run(tmp_path / "theirs", {"decay": [0.3], "many": [2]}, key=1)
    (tmp_path / "sweep.json").rename(tmp_path / "ours" / "sweep.json")
    (theirs,) = (tmp_path / "theirs" / "tiles").iterdir()
    theirs.rename(tmp_path / "ours" / "tiles" / theirs.name)
    kept = run(tmp_path / "ours", {"decay": [0.3], "many": [2]})
    assert kept.reused == 4
    assert "it is of another sweep" in kept.damaged[0]

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(nct.sweeps.IncompleteSweep, match="No space left on device; finished tiles are kept") as stopped:
        run(tmp_path / "ours", {"decay": [0.3, 0.2], "many": [2]})
    assert isinstance(stopped.value.__cause__, StoreError)
    assert stopped.value.partial.converged.all()  # what was computed is known all the same
    assert not list((tmp_path / "ours").rglob(".*.part"))
    monkeypatch.undo()
    assert run(tmp_path / "ours", {"decay": [0.3, 0.2], "many": [2]}).reused == 4


BAD = [
    ({"grid": {}}, "grid: expected at least one axis"),
    ({"grid": {"decay": []}}, "grid.*decay.*at least one number"),
    ({"grid": {"decay": [0.1, float("nan")], "many": [2]}}, "grid.*decay.*finite numbers, got nan"),
    ({"grid": {"decay": [0.1, 0.2, 0.1], "many": [2]}}, "grid.*0.1 twice"),
    ({"grid": {"decay": np.array(["x"]), "many": [2]}}, "grid.*decay.*expected numbers"),
    ({"grid": {"no name": [1]}}, "grid.*'no name'"),
    ({"grid": {"seed": [1]}}, "grid.*'seed'"),
    ({"grid": {"steps": [1], "many": [2]}}, "grid.*'steps' is taken"),
    ({"seeds": 0}, "seeds"),
    ({"seeds": [1, 1]}, "seeds.*twice"),
    ({"key": -1}, "key"),
    ({"tile": 0}, "tile"),
    ({"measures": {"value": MEASURES["norm"]}}, "measures.*'value'"),
    ({"measures": {"matrix": lambda problem, params: params.weights[0]}}, "measures.*matrix.*one number"),
    ({"rtol": -1.0}, "rtol"),
    ({"colour": 3}, "options.*colour"),
    ({"model": lambda decay, many: 3}, "model: expected a Problem"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_arguments_are_refused_by_name(change, message):
    arguments = {"model": imbalanced, "grid": {"decay": [0.3], "many": [2]}, "seeds": 2, **change}
    with pytest.raises(ValueError, match=message):
        nct.sweep(arguments.pop("model"), arguments.pop("grid"), **arguments)


def test_labelled_arrays_and_their_files(tmp_path):
    xarray, pandas = pytest.importorskip("xarray"), pytest.importorskip("pandas")
    found = run()
    data = found.dataset()
    assert dict(data.sizes) == {"decay": 3, "many": 2, "seed": 4}
    assert float(data["value"].sel(decay=0.05, many=4, seed=2)) == found.arrays["value"][1, 1, 2]
    assert data["status"].attrs["flag_meanings"].split()[0] == "converged"
    with xarray.open_dataset(found.to_netcdf(tmp_path / "sweep.nc")) as again:
        xarray.testing.assert_identical(again.load(), data)
    frame = pandas.read_parquet(found.to_parquet(tmp_path / "sweep.parquet"))
    assert len(frame) == 24
    assert set(frame.columns) == {"decay", "many", "seed", "certified", *found.arrays}
    row = frame[(frame.decay == 0.3) & (frame.many == 2) & (frame.seed == 3)]
    assert row["norm"].item() == found.arrays["norm"][2, 0, 3]
    assert {file.name for file in tmp_path.iterdir()} == {"sweep.nc", "sweep.parquet"}


@pytest.mark.slow
def test_dask_workers_one_of_them_killed(tmp_path, tmp_path_factory, monkeypatch):
    for name, value in cached(tmp_path_factory.mktemp("cache")).items():
        monkeypatch.setenv(name, value)
    distributed = pytest.importorskip("distributed")
    axes, killed = {"decay": [0.02, 0.03, 0.05, 0.1, 0.2, 0.3], "many": [2, 4]}, []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):

        def kill_one(finished, total):
            if finished == 3 and not killed:
                victim = next(iter(cluster.workers.values()))
                killed.append(victim.pid)
                os.kill(victim.pid, signal.SIGKILL)

        found = run(tmp_path, axes, tile=2, client=client, progress=kill_one)
    assert killed
    assert found.computed == 24
    alone = run(None, axes, tile=2)
    np.testing.assert_allclose(found.arrays["value"], alone.arrays["value"], rtol=0, atol=1e-13)
    assert len(list((Path(tmp_path) / "tiles").glob("*.tile"))) == 24
