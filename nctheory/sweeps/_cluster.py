"""A Dask cluster: found within a time, with workers that run the same code, and any of which may be lost."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from nctheory.sweeps._programs import running_code
from nctheory.sweeps._scheduler import ARGUMENT, answer_within, check_address, reach
from nctheory.sweeps._tiles import compute_tile
from nctheory.sweeps._workers import ClusterError, Outcome, Workers

TILES_PER_WORKER = 4
"""Tiles that are handed to the cluster for each worker, so that none waits and results do not pile up."""
WORKER_TIMEOUT = 60.0
"""Seconds within which there must be a worker, at the beginning and whenever all are gone."""
ANSWER_TIMEOUT = 60.0
"""Seconds within which the scheduler, and at the beginning the workers, must answer a question."""
POLL_INTERVAL = 2.0
"""Seconds without a finished tile after which to see whether the cluster is still there."""
SENDINGS = 4
"""Times in turn, without a finished tile between, that what all workers share is sent: as often as Dask tries a tile."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a scheduler has to say good-bye."""
COMPARED_PACKAGES = ("python", "nctheory", "jax", "jaxlib", "numpy")


class Shared:
    """A value that all workers were sent; `future` stands for it there."""

    def __init__(self, value: Any) -> None:
        self.value, self.future = value, None


class _Forgotten(Exception):
    """The scheduler has cancelled tiles: no worker is left that has what they share."""


class Cluster(Workers):
    """The workers of a Dask scheduler; `client` is a `distributed.Client`, a Dask cluster, or the scheduler's address.

    Raises ValueError for what is none of these, and `ClusterError` from the `with` statement on.
    """

    def __init__(self, client: Any) -> None:
        if isinstance(client, str):
            check_address(client)
        elif not isinstance(client, Client) and not hasattr(client, "scheduler_address"):
            raise ValueError(f"{ARGUMENT}: expected a Dask client or an address, got {type(client).__name__}")
        self._given: Any = client
        self._client: Any = None
        self._deserted_since: float | None = None
        self._code: dict[str, str] = {}

    @property
    def code(self) -> dict[str, str]:
        """What the workers run."""
        return self._code

    def __enter__(self) -> "Cluster":
        # A client of the user's is used as it is, and not closed; one made here is.
        self._own = not isinstance(self._given, Client)
        if self._own:
            address = self._given if isinstance(self._given, str) else self._given.scheduler_address
            reach(address)
            self._client = Client(self._given, set_as_default=False)
        else:
            self._client = self._given
        try:
            if self._client.status != "running":
                raise ClusterError(f"{ARGUMENT}: the Dask client is {self._client.status}, expected a running one")
            self._code = self._compared()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._own:
            with contextlib.suppress(TimeoutError):  # of a scheduler that does not answer any more
                self._client.close(timeout=CLOSE_TIMEOUT)

    @property
    def _address(self) -> str:
        return self._client.scheduler.address if self._client.scheduler is not None else "the scheduler"

    def _compared(self) -> dict[str, str]:
        """What the workers run (see `running_code`), once they have turned out to run what runs here.

        The device may be another than here, and must be the same for all.
        """
        try:
            # Dask's own time-out is not relied on: twice its length is the limit for an answer.
            answer_within(2 * WORKER_TIMEOUT, lambda: self._client.wait_for_workers(1, timeout=WORKER_TIMEOUT))
        except TimeoutError:
            raise self._deserted() from None
        versions = self._asked(lambda: self._client.get_versions(packages=list(COMPARED_PACKAGES[1:])))
        here, there = (_packages(versions[side]) for side in ("client", "workers"))
        refuse_others(here[""], there)
        # Every worker says what it runs; all must agree with this process, and with each other in their device.
        codes = self._asked(lambda: self._client.run(running_code, on_error="return"))
        for worker, code in codes.items():
            if isinstance(code, Exception):
                raise ClusterError(f"{ARGUMENT}: worker {worker} cannot say what it runs: {code!r}")
        first = next(iter(codes.values()))
        refuse_others({**running_code(), "device": first["device"]}, codes)
        return first

    def _deserted(self) -> ClusterError:
        return ClusterError(
            f"{ARGUMENT}: no worker at {self._address} for {WORKER_TIMEOUT:g} s; start some with `dask worker "
            f"{self._address}`"
        )

    def share(self, value: Any) -> Shared:
        """Send a value to all workers once; what is returned stands for it among the arguments of `compute`.

        Dask keeps one copy of it only, of which it makes others where they are used; `compute` sends it again when the
        worker that has the last one is lost.
        """
        shared = Shared(value)
        self._send(shared)
        return shared

    def _send(self, shared: Shared) -> None:
        shared.future = self._asked(lambda: self._client.scatter(shared.value, broadcast=True, hash=False))

    def _send_again(self, arguments: tuple[Any, ...]) -> None:
        """Send what is shared to the workers that are left, once there are some; ClusterError where none come."""
        while not self._number():
            self._check_workers()
            time.sleep(min(1.0, POLL_INTERVAL))
        self._deserted_since = None
        for shared in (one for one in arguments if isinstance(one, Shared)):
            with contextlib.suppress(OSError):  # of a worker that is lost as well: its tiles are cancelled once more
                self._send(shared)

    def compute(
        self, tiles: Sequence[Any], arguments: tuple[Any, ...], task: Callable[..., Any] = compute_tile
    ) -> Iterator[tuple[Any, Outcome]]:
        """Each tile with its outcome, as it is finished; or of another `task` its pieces, which can be `packed` like a tile.

        When a worker is lost, its tiles go to others. Dask gives up all tiles that were often with workers when those were
        lost, whichever of them was the reason; so these are tried again, each with nothing else on the cluster.
        """
        suspects = []
        for tile, outcome in self._computed(tiles, arguments, task):
            if isinstance(outcome, KilledWorker) and len(tiles) > 1:
                suspects.append(tile)
            else:
                yield tile, outcome
        for tile in suspects:
            yield from self._computed([tile], arguments, task)

    def _computed(
        self, tiles: Sequence[Any], arguments: tuple[Any, ...], task: Callable[..., Any]
    ) -> Iterator[tuple[Any, Outcome]]:
        # A few tiles for each worker are under way; the next are sent as others are finished.
        waiting, running, sendings = list(reversed(tiles)), {}, 1
        while waiting or running:
            while waiting and len(running) < TILES_PER_WORKER * max(1, self._number()):
                tile = waiting.pop()
                given = (one.future if isinstance(one, Shared) else one for one in arguments)
                # The arrays travel as NumPy's, which a worker can unpack on whatever device it has.
                future = self._client.submit(on_worker, self._code, tile.packed(), *given, task=task, pure=False)
                running[future.key] = (future, tile)
            try:
                for future in self._finished([future for future, _ in running.values()]):
                    outcome = self._outcome(future)
                    _, tile = running.pop(future.key)
                    sendings = 1
                    yield tile, outcome
            except _Forgotten as error:
                if sendings == SENDINGS or not any(isinstance(one, Shared) for one in arguments):
                    raise self._unshared() from error
                sendings += 1
                # What is finished is kept; all else is computed anew, with what is sent again.
                kept = {key: pair for key, pair in running.items() if pair[0].status in ("finished", "error")}
                waiting += [tile for key, (_, tile) in reversed(running.items()) if key not in kept]
                running = kept
                self._send_again(arguments)

    def _outcome(self, future: Future) -> Outcome:
        """What a finished future holds, fetched from its worker by way of the scheduler."""
        while True:
            try:
                return future.result(timeout=POLL_INTERVAL)
            except CancelledError as error:
                raise self._cancelled() from error
            except Exception as error:
                if (
                    future.status == "error"
                ):  # the tile's own; what cannot be imported there is the cause of Dask's error
                    return error.__cause__ if isinstance(error.__cause__, ImportError) else error
                if not isinstance(error, OSError):  # what cannot be read here
                    return error
                if not isinstance(error, TimeoutError):
                    raise self._lost() from error
                self._check_workers()  # a tile whose worker is lost before it is fetched is computed by another, if any

    def _finished(self, futures: list[Future]) -> list[Future]:
        """Those of some futures that are finished, at least one."""
        while True:
            try:
                with self._client.as_current():
                    wait(futures, timeout=POLL_INTERVAL, return_when="FIRST_COMPLETED")
            except TimeoutError:
                self._check_workers()
            except CancelledError as error:
                raise self._cancelled() from error
            done = [future for future in futures if future.status != "pending"]
            if any(future.cancelled() for future in done) or self._client.status != "running":
                raise self._cancelled()
            if done:
                self._deserted_since = None
                return done

    def _check_workers(self) -> None:
        """Raise `ClusterError` once there was no worker for `WORKER_TIMEOUT`, counted from the first look that found none."""
        now = time.monotonic()
        self._deserted_since = None if self._number() else (self._deserted_since or now)
        if self._deserted_since is not None and now - self._deserted_since > WORKER_TIMEOUT:
            raise self._deserted()

    def _number(self) -> int:
        """How many workers there are now."""
        try:
            return len(self._asked(lambda: self._client.scheduler_info(n_workers=-1))["workers"])
        except OSError as error:
            raise self._lost() from error

    def _asked(self, question: Callable[[], Any]) -> Any:
        """The answer of the cluster; `ClusterError` where none comes within `ANSWER_TIMEOUT`.

        Dask itself waits for ever for a scheduler, or worker, that is stopped or cut off and still holds its connections.
        """
        try:
            return answer_within(ANSWER_TIMEOUT, question)
        except TimeoutError:
            if self._client.status != "running":
                raise self._lost() from None
            raise ClusterError(f"{ARGUMENT}: no answer from {self._address} for {ANSWER_TIMEOUT:g} s") from None

    def _cancelled(self) -> ClusterError | _Forgotten:
        """Why tiles are cancelled: the scheduler was lost, or it has lost all workers that had what was shared with them."""
        return _Forgotten() if self._client.status == "running" else self._lost()

    def _unshared(self) -> ClusterError:
        return ClusterError(f"{ARGUMENT}: no worker at {self._address} is left that has what was sent to all of them")

    def _lost(self) -> ClusterError:
        return ClusterError(f"{ARGUMENT}: the connection to {self._address} was lost")


def on_worker(
    code: Mapping[str, str], tile: Any, *arguments: Any, task: Callable[..., Any] = compute_tile
) -> dict[str, Any]:
    """A tile, on a worker that runs the given code; `ClusterError` on another one, which may have come late."""
    refuse_others(code, {"this one": running_code()})
    return task(tile, *arguments)


def refuse_others(here: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> None:
    """Raise `ClusterError` where workers differ from what is expected, naming what and on which."""
    for name, expected in here.items():
        others = {worker: code.get(name) for worker, code in workers.items() if code.get(name) != expected}
        if others:
            some = ", ".join(f"{found or 'missing'} on {worker}" for worker, found in list(others.items())[:3])
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            raise ClusterError(
                f"{ARGUMENT}: workers must run what runs here: {name} is {expected or 'missing'} here, {some}{more}"
            )


def _packages(versions: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Versions of `COMPARED_PACKAGES`, of Python the first two numbers, by worker; of a single process under the name ""."""
    # A single process gives one dictionary, the workers one each.
    found = {"": versions} if "packages" in versions else versions
    packages = {worker: one["packages"] for worker, one in found.items()}
    return {
        worker: {
            name: ".".join(one[name].split(".")[:2]) if name == "python" else one.get(name)
            for name in COMPARED_PACKAGES
        }
        for worker, one in packages.items()
    }
