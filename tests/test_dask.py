"""Sweeps over Dask: schedulers that do not answer, workers of another version, tiles that raise, and real kills."""

import contextlib
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.sweeps import ClusterError, IncompleteSweep, _places
from nctheory.sweeps._programs import running_code
from nctheory.sweeps._tiles import Tile
from tests.test_sweeps import cached

distributed = pytest.importorskip("distributed")
_cluster = pytest.importorskip("nctheory.sweeps._cluster")
dask = pytest.importorskip("dask")
CommClosedError = pytest.importorskip("distributed.comm").CommClosedError

ROOT = Path(__file__).parent.parent
GRID = {"cell": [0, 1, 2, 3, 4, 5]}
GUILTY = 3


def model(cell):
    """Six cells, one of them in three dimensions, the others in two."""
    decay = 0.05 * (1 + cell)
    return nct.unconstrained_features(
        counts=(2, 2), dim=3 if cell == GUILTY else 2, loss="mse", weight_decay=(decay, decay)
    )


def on_a_worker():
    try:
        return bool(distributed.get_worker())
    except ValueError:
        return False


def measures(harm):
    """One measure, the same program whatever the harm, which a worker suffers that compiles it for three dimensions."""

    def norm(problem, params):
        if params.weights[0].shape[1] == 3 and on_a_worker():
            if harm == "raises":
                raise ArithmeticError("a measure that fails")
            if harm == "kills":
                os._exit(1)
        return jnp.sum(params.weights[0] ** 2)

    return {"norm": norm}


def run(harm="none", folder=None, **options):
    return nct.sweep(model, GRID, measures=measures(harm), seeds=2, folder=folder, tile=2, **options)


@pytest.fixture(autouse=True)
def _compiled_once(tmp_path_factory, monkeypatch):
    for name, value in cached(tmp_path_factory.getbasetemp() / "compiled").items():
        monkeypatch.setenv(name, value)
    # The name under which pytest imports this file, and what is in it, is known to workers by reference.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))


@pytest.fixture
def brief():
    """Dask's time for connections, made short."""
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        yield


@contextlib.contextmanager
def listening():
    """A port that accepts and never answers."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(8)
        yield f"tcp://127.0.0.1:{port.getsockname()[1]}"


@contextlib.contextmanager
def closed():
    """A port where nobody listens."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{port.getsockname()[1]}"


@contextlib.contextmanager
def talking():
    """A port where something else answers."""
    code = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler); "
    code += "print(s.server_port, flush=True); s.serve_forever()"
    with processes() as started:
        server = started(sys.executable, "-c", code, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        yield f"tcp://127.0.0.1:{int(server.stdout.readline())}"


@contextlib.contextmanager
def processes():
    """Starts processes, and ends them."""
    begun = []

    def started(*command, **options):
        begun.append(subprocess.Popen(command, text=True, **options))
        return begun[-1]

    try:
        yield started
    finally:
        for process in begun:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def cluster(workers, tree=ROOT, nanny=False):
    """A scheduler and workers in processes of their own: address, scheduler and the list of workers."""
    with processes() as started, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        dask_ = (sys.executable, "-m", "distributed.cli.dask_scheduler")
        scheduler = started(*dask_, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", **quiet)
        address = f"tcp://127.0.0.1:{port}"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tree), os.environ["PYTHONPATH"]])}
        worker = (sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard")
        worker += () if nanny else ("--no-nanny",)
        yield address, scheduler, [started(*worker, env=environment, cwd=tree, **quiet) for _ in range(workers)]


@pytest.mark.slow
@pytest.mark.parametrize("place", [listening, closed, talking])
@pytest.mark.usefixtures("brief")
def test_a_scheduler_that_does_not_answer_is_an_error_that_names_the_option(place, capsys):
    with place() as address:
        assert main(["sweep", "mse-collapse", "--scheduler", address]) == 4
    said = capsys.readouterr().err
    assert f"client (--scheduler): no Dask scheduler answers at {address} within 1 s" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("address", ["", "nonsense", "tcp://127.0.0.1:x", "foo://127.0.0.1:1"])
@pytest.mark.parametrize("command", ["sweep", "phase"])
def test_what_is_no_address_is_wrong_use(command, address, capsys):
    assert main([command, "mse-collapse", "--scheduler", address]) == 2
    assert "client (--scheduler): expected the address of a Dask scheduler" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected a Dask client or an address, got int"):
        run(client=8786)


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["raises", "kills"])
def test_a_tile_that_fails_is_left_out_and_the_others_finish(harm, tmp_path):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),  # then Dask gives up all tiles of a lost worker
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as workers,
        distributed.Client(workers) as client,
        pytest.raises(IncompleteSweep) as ended,
    ):
        run(harm, tmp_path, client=client)
    error = ended.value
    said = "1 of 6 tiles failed, the others are finished: tile of 2 seeds at cell = 3: "
    assert str(error).startswith(
        said + ("ArithmeticError: a measure that fails" if harm == "raises" else "KilledWorker")
    )
    assert len(error.failed) == 1
    found, bad = error.partial, np.arange(6) == GUILTY
    np.testing.assert_array_equal(found.missing.all(axis=1), bad)
    np.testing.assert_array_equal(found.missing.any(axis=1), bad)
    assert np.isnan(found.arrays["norm"][bad]).all()
    assert not found.certified[bad].any()
    assert found.dataset()["status"].attrs["flag_meanings"].endswith(" missing")
    whole = run()
    np.testing.assert_allclose(found.arrays["value"][~bad], whole.arrays["value"][~bad], rtol=0, atol=1e-13)
    again = run("none", tmp_path)
    assert (again.computed, again.reused) == (1, 10)
    np.testing.assert_array_equal(again.arrays["norm"][~bad], found.arrays["norm"][~bad])
    assert not again.missing.any()


def test_a_tile_that_fails_here_is_left_out_as_well(tmp_path, monkeypatch):
    compute = _places.compute_tile

    def failing(tile, *arguments):
        if 3 in tile.problems[0].widths:
            raise ArithmeticError("a tile that fails")
        return compute(tile, *arguments)

    monkeypatch.setattr("nctheory.sweeps._places.compute_tile", failing)
    with pytest.raises(IncompleteSweep, match=r"1 of 6 tiles failed.*a tile that fails \(in .*test_dask\.py") as ended:
        run(folder=tmp_path)
    assert ended.value.partial.computed == 5
    monkeypatch.undo()
    assert run(folder=tmp_path).computed == 1


@pytest.mark.slow
def test_a_worker_with_other_code_is_refused_before_anything_is_sent(tmp_path):
    shutil.copytree(ROOT / "nctheory", tmp_path / "other" / "nctheory")
    with (tmp_path / "other" / "nctheory" / "flow" / "_solve.py").open("a") as file:
        file.write("\n# another solver\n")
    with cluster(1, tree=tmp_path / "other") as (address, _, _):
        with pytest.raises(ClusterError, match=r"workers must run what runs here: nctheory is .* here, .* on tcp://"):
            run(folder=tmp_path / "folder", client=address)
        assert not (tmp_path / "folder").exists()


def test_a_worker_that_comes_late_with_other_code_refuses_its_tile():
    tile = Tile(("a",), (model(0),), (0,))
    for name, version in running_code().items():
        with pytest.raises(ClusterError, match=rf"{name} is another here, {re.escape(version)} on this one"):
            _cluster.on_worker({**running_code(), name: "another"}, tile, 0, {}, {})


@pytest.mark.parametrize("name", ["python", "nctheory", "jax", "jaxlib", "numpy"])
def test_every_version_is_compared(name):
    def versions(**other):
        here = {"python": "3.11.7.final.0", "nctheory": "0.1", "jax": "0.10", "jaxlib": "0.10", "numpy": "2.4", **other}
        return {"host": {}, "packages": here}

    here = _cluster._packages(versions())[""]
    _cluster.refuse_others(here, _cluster._packages({"a": versions(), "b": versions(python="3.11.9.final.0")}))
    for wrong, said in (("4.0.0", "4.0" if name == "python" else "4.0.0"), (None, "missing")):
        if wrong is None and name == "python":
            continue
        others = _cluster._packages({"a": versions(), "b": versions(**{name: wrong})})
        with pytest.raises(ClusterError, match=rf"{name} is {here[name]} here, {said} on b$"):
            _cluster.refuse_others(here, others)


@pytest.mark.slow
def test_a_scheduler_without_workers_and_a_worker_in_its_place(monkeypatch, capsys):
    monkeypatch.setattr(_cluster, "WORKER_TIMEOUT", 2.0)
    with cluster(0) as (address, _, _):
        assert main(["sweep", "mse-collapse", "--scheduler", address]) == 4
    assert f"client (--scheduler): no worker at {address} for 2 s; start some" in capsys.readouterr().err
    with distributed.LocalCluster(n_workers=1, processes=True, dashboard_address=":0") as one:
        worker = one.workers[0].worker_address
        with pytest.raises(ClusterError, match=f"expected a Dask scheduler at {worker}, found a Worker"):
            run(client=worker)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["scheduler", "workers", "answers"])
def test_what_is_finished_is_kept_when_the_cluster_is_lost(lost, tmp_path, monkeypatch):
    monkeypatch.setattr(_cluster, "WORKER_TIMEOUT", 120.0)  # a worker takes its time to start
    with cluster(1) as (address, scheduler, workers):

        def lose(finished, total):
            if finished == 2:
                for limit in limits[lost]:
                    monkeypatch.setattr(_cluster, limit, 2.0)
                (workers[0] if lost == "workers" else scheduler).send_signal(signals[lost])

        # Only the limit that is to end it: a scheduler that is there may take its time to answer on a busy machine.
        limits = {"workers": ("WORKER_TIMEOUT",)} | dict.fromkeys(
            ("scheduler", "answers"), ("ANSWER_TIMEOUT", "CLOSE_TIMEOUT")
        )
        signals = {"scheduler": signal.SIGKILL, "workers": signal.SIGKILL, "answers": signal.SIGSTOP}
        said = {
            "scheduler": "the connection to .* was lost",
            "workers": "no worker at .* for 2 s",
            "answers": "no answer from tcp://.* for 2 s",
        }[lost]
        with pytest.raises(IncompleteSweep, match=rf"client \(--scheduler\): {said}.* of 6 tiles were comp") as ended:
            run(folder=tmp_path, client=address, progress=lose)
    computed = ended.value.partial.computed  # tiles that were on their way when it happened may have come
    assert 2 <= computed < 6, str(ended.value)
    assert int(ended.value.partial.missing.sum()) == 12 - 2 * computed
    assert run(folder=tmp_path).reused == 2 * computed


class Fetched(distributed.Future):
    """A future whose result cannot be had: how that is said, and what the client knows of it."""

    status = None

    def __init__(self, error, status):
        self.error, self.status = error, status

    def __del__(self):
        pass

    def result(self, timeout=None):
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "client", "workers", "said"),
    [
        # The worker was lost between the end of a tile and its fetching; what was finished is waiting again.
        (TimeoutError(), "pending", "running", 0, "no worker at tcp://a for 0 s"),
        (TimeoutError(), "finished", "running", 0, "no worker at tcp://a for 0 s"),
        (CommClosedError("reset by peer"), "finished", "connecting", 1, "the connection to tcp://a was lost"),
        (CommClosedError("reset by peer"), "finished", "running", 1, "the connection to tcp://a was lost"),
        # The scheduler was lost while it was asked for its workers.
        (TimeoutError(), "finished", "connecting", None, "the connection to tcp://a was lost"),
        (TimeoutError(), "finished", "running", None, "no answer from tcp://a for 0.1 s"),
    ],
)
def test_a_loss_before_a_finished_tile_is_fetched_is_neither_a_wait_nor_a_tile_that_fails(
    error, status, client, workers, said, monkeypatch
):
    class Client:
        scheduler = type("Scheduler", (), {"address": "tcp://a"})()
        status = client

        def scheduler_info(self, n_workers):
            if workers is None:
                time.sleep(1.0)
            return {"workers": dict.fromkeys(range(workers or 0))}

    monkeypatch.setattr(_cluster, "WORKER_TIMEOUT", 0.0)
    monkeypatch.setattr(_cluster, "ANSWER_TIMEOUT", 0.1)
    lost = _cluster.Cluster("tcp://127.0.0.1:1")
    lost._client = Client()
    with pytest.raises(ClusterError, match=re.escape(said)):
        lost._outcome(Fetched(error, status))


@pytest.mark.parametrize("error", [TimeoutError("of a tile"), CommClosedError("of a tile"), KeyError("a")])
def test_what_a_tile_raises_is_its_own(error):
    assert _cluster.Cluster("tcp://127.0.0.1:1")._outcome(Fetched(error, "error")) is error


@pytest.mark.slow
def test_a_worker_that_is_stopped_from_the_beginning_is_not_waited_for(monkeypatch):
    with cluster(1) as (address, _, workers):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=120)
        workers[0].send_signal(signal.SIGSTOP)
        monkeypatch.setattr(_cluster, "ANSWER_TIMEOUT", 2.0)
        monkeypatch.setattr(_cluster, "CLOSE_TIMEOUT", 2.0)
        with pytest.raises(ClusterError, match=r"client \(--scheduler\): no answer from tcp://.* for 2 s"):
            run(client=address)


@pytest.mark.slow
def test_what_workers_cannot_import_is_named(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def norm(problem, params):\n    return params.weights[0][0, 0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.import_module("only_here").norm
    with cluster(1) as (address, _, _), pytest.raises(IncompleteSweep, match="No module named 'only_here'"):
        nct.sweep(model, GRID, measures={"norm": found}, seeds=2, client=address)
