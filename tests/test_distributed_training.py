"""Training on the workers of a Dask cluster: the same numbers as here, resumed here, and workers that fail."""

import importlib
import os
import signal
import time

import jax
import numpy as np
import pytest

from nctheory import networks
from nctheory.cli import main
from nctheory.engine import Failure
from nctheory.networks import _places
from tests.helpers import unchecked_types
from tests.test_dask import ROOT, cluster
from tests.test_sweeps import cached

distributed = pytest.importorskip("distributed")
importlib.import_module("nctheory.sweeps._cluster")

MIXTURE = networks.gaussian_mixture(counts=(5, 5, 5), dim=4, spread=0.3, test=2)
FORM = networks.network_on(MIXTURE, (5, 4), weight_decay=1e-2)
OPTIONS = {"steps": 12, "batch": 4, "optimiser": "adam", "checkpoints": (0, 6)}


@pytest.fixture(scope="module")
def client():
    """A scheduler and two workers, threads of this process."""
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as known:
        yield known


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    jax.tree.map(np.testing.assert_array_equal, one.passed, other.passed)
    np.testing.assert_array_equal(one.value, other.value)


def test_seeds_end_where_they_end_here_and_a_folder_goes_on_from_either(client, tmp_path):
    here = networks.train(FORM, [0, 1, 5], 3, **OPTIONS)
    heard = []
    there = networks.train(FORM, [0, 1, 5], 3, client=client, progress=heard.append, **OPTIONS)
    same(there, here)
    assert heard[-1].steps == 12
    np.testing.assert_array_equal(heard[-1].seen.fit, here.fit)
    networks.train(FORM, [0], 3, folder=tmp_path, client=client, **OPTIONS)
    same(networks.train(FORM, [0, 1, 5], 3, folder=tmp_path, **OPTIONS), here)


def test_a_worker_that_fails_is_an_error_that_names_the_seeds(client, monkeypatch):
    def failing(*arguments):
        raise ArithmeticError("a step that fails")

    monkeypatch.setattr(_places, "advance", failing)
    with pytest.raises(Failure, match=r"client \(--scheduler\): training seeds 0, 1 failed on a worker: .*a step that"):
        networks.train(FORM, 2, client=client, steps=3)


def test_what_cannot_be_sent_is_named(client, tmp_path, capsys):
    optax = pytest.importorskip("optax")
    with pytest.raises(ValueError, match="client: expected a named optimiser with it"):
        networks.train(FORM, 1, steps=2, optimiser=optax.sgd(0.1), client=client)
    with unchecked_types(), pytest.raises(ValueError, match="expected a Dask client or an address, got int"):
        networks.train(FORM, 1, steps=2, client=8786)
    table = tmp_path / "mixture.csv"
    np.savetxt(table, np.column_stack([MIXTURE.inputs, MIXTURE.labels]), delimiter=",")
    assert main(["train", "--data", str(table), "--steps", "2", "--scheduler", "nonsense"]) == 2
    assert "client (--scheduler): expected the address of a Dask scheduler" in capsys.readouterr().err


@pytest.fixture
def compiled_once(tmp_path_factory, monkeypatch):
    """Workers find compiled programs where this process puts them, and this tree."""
    for name, value in cached(tmp_path_factory.getbasetemp() / "compiled").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))


MANY = 34
"""Seeds that two workers share, in three pieces of at most 16."""


@pytest.fixture(scope="module")
def whole():
    """All seeds, trained here."""
    return networks.train(FORM, MANY, 3, **OPTIONS)


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once")
def test_workers_in_processes_of_their_own_and_one_that_is_killed(whole, tmp_path, monkeypatch):
    """The same bits; the seeds of a worker that is killed go to the other, and all that was finished stays with none left."""
    cluster_module = importlib.import_module("nctheory.sweeps._cluster")
    with cluster(2) as (address, _, workers):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            pids = client.run(os.getpid)
        assert os.getpid() not in pids.values()
        assert len(set(pids.values())) == 2
        killed = []

        def kill(now):
            if now.steps >= 6 and not killed:
                killed.append(now.steps)
                workers[0].send_signal(signal.SIGKILL)

        same(networks.train(FORM, MANY, 3, client=address, progress=kill, **OPTIONS), whole)
        assert killed

        def kill_all(now):
            if now.steps == 6:
                monkeypatch.setattr(cluster_module, "WORKER_TIMEOUT", 1.0)
                workers[1].send_signal(signal.SIGKILL)

        with pytest.raises(
            cluster_module.ClusterError, match=r"client \(--scheduler\): no worker at .* (for 1 s|is left)"
        ):
            networks.train(FORM, MANY, 3, client=address, folder=tmp_path, progress=kill_all, **OPTIONS)
    assert len(list(tmp_path.glob("seed-*.state"))) == MANY
    heard = []
    same(networks.train(FORM, MANY, 3, folder=tmp_path, progress=heard.append, **OPTIONS), whole)


def test_seeds_that_were_finished_when_others_failed_are_kept(client, whole, tmp_path, monkeypatch):
    """One piece of seeds fails at every worker; the other two are read from the folder as far as they came."""
    real = _places.advance

    def failing(network, plan, state, seeds, upto, *rest):
        if 16 in seeds and upto > 6:
            time.sleep(1.5)  # the others are finished by then
            raise ArithmeticError("a step that fails")
        return real(network, plan, state, seeds, upto, *rest)

    monkeypatch.setattr(_places, "advance", failing)
    with pytest.raises(Failure, match="training seeds 16, 17"):
        networks.train(FORM, MANY, 3, client=client, folder=tmp_path, **OPTIONS)
    monkeypatch.undo()
    tile = importlib.import_module("nctheory.sweeps")
    reached = {}
    for seed in range(MANY):
        arrays, _ = tile.unpack_tile((tmp_path / f"seed-{seed:06d}.state").read_bytes())
        reached[seed] = max(int(array) for array in arrays.values() if array.dtype == np.int64 and array.ndim == 0)
    assert all(reached[seed] == 6 for seed in range(16, 32))
    assert reached[0] == reached[33] == 7
    same(networks.train(FORM, MANY, 3, folder=tmp_path, **OPTIONS), whole)
