"""What all workers of a Dask cluster share: it is sent again when the last that had it is lost, and not for ever."""

import os
import time

import numpy as np
import pytest

from nctheory.sweeps import ClusterError
from tests.test_dask import ROOT, cluster

distributed = pytest.importorskip("distributed")
_cluster = pytest.importorskip("nctheory.sweeps._cluster")


@pytest.fixture(autouse=True)
def _this_tree(monkeypatch):
    """Workers find the functions of this file by its name."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))


@pytest.mark.slow
def test_what_is_shared_is_sent_again_when_its_last_copy_is_lost():
    """Dask keeps one copy of what was sent to all: with its worker lost, the others get it again, and all is computed."""
    with cluster(2) as (address, _, workers), distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        pids = client.run(os.getpid)
        with _cluster.Cluster(client) as there:
            shared = there.share(np.arange(3.0))
            client.amm.run_once()
            until = time.monotonic() + 60.0
            while len(holders := client.who_has([shared.future])[shared.future.key]) > 1:
                assert time.monotonic() < until
                time.sleep(0.1)
            (last,) = holders
            (worker,) = [one for one in workers if one.pid == pids[last]]
            worker.kill()
            tiles = [Packable(k) for k in range(6)]
            found = {tile.number: outcome for tile, outcome in there.compute(tiles, (shared,), scaled)}
            for number, outcome in found.items():
                np.testing.assert_array_equal(outcome["x"], number * np.arange(3.0))
            assert sorted(found) == list(range(6))


class Packable:
    """A number that is sent as such."""

    def __init__(self, number):
        self.number = number

    def packed(self):
        return self.number


def scaled(number, shared):
    time.sleep(1.0)
    return {"x": number * shared}


def test_what_is_lost_again_and_again_is_an_error(monkeypatch):
    """Who ends the last worker every time is not sent the same for ever; what was finished stays."""
    here = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(**here) as client, _cluster.Cluster(client) as there:
        shared, sent = there.share(np.arange(3.0)), []
        real = there._send

        def send(one):
            real(one)
            sent.append(one.future)
            client.cancel(one.future, force=True)

        monkeypatch.setattr(there, "_send", send)
        client.cancel(shared.future, force=True)
        with pytest.raises(ClusterError, match=r"no worker at .* is left that has what was sent to all of them"):
            list(there.compute([Packable(1)], (shared,), scaled))
        assert len(sent) == _cluster.SENDINGS - 1
