"""Training on the workers of a Dask cluster: the same numbers as here, resumed here, and workers that fail."""

import importlib

import jax
import numpy as np
import pytest

from nctheory import networks
from nctheory.cli import main
from nctheory.engine import Failure
from nctheory.networks import _places
from tests.helpers import unchecked_types

distributed = pytest.importorskip("distributed")
importlib.import_module("nctheory.sweeps._cluster")

MIXTURE = networks.gaussian_mixture(counts=(5, 5, 5), dim=4, spread=0.3, test=2)
FORM = networks.network_on(MIXTURE, (5, 4), weight_decay=1e-2)
OPTIONS = {"steps": 12, "batch": 4, "optimiser": "adam", "checkpoints": (0, 6)}


@pytest.fixture(scope="module")
def client():
    """A scheduler and two workers, threads of this process."""
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as known:
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
