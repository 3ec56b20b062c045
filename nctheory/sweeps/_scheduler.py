"""A Dask scheduler: whether a text is the address of one, whether one is there, and calls that it may never answer."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed.comm import parse_host_port
from distributed.comm.addressing import parse_address
from distributed.comm.registry import get_backend
from distributed.core import connect
from distributed.security import Security

from nctheory.sweeps._workers import ClusterError

ARGUMENT = "client (--scheduler)"
"""What users call it: in Python and on the command line."""


def answer_within(seconds: float, question: Callable[[], Any]) -> Any:
    """What a call that may block for ever returns or raises; TimeoutError where it takes longer than that.

    >>> answer_within(1.0, lambda: 2)
    2
    """
    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()  # one that still waits does not keep the process
    return answer.result(seconds)


def check_address(address: str) -> None:
    """Raise ValueError for what is no address."""
    try:
        scheme, place = parse_address(address)
        get_backend(scheme)
        if scheme != "inproc":
            parse_host_port(place)
    except ValueError as error:
        raise ValueError(
            f"{ARGUMENT}: expected the address of a Dask scheduler, such as tcp://host:8786, got {address!r}: {error}"
        ) from None


def reach(address: str) -> None:
    """Raise `ClusterError` where no scheduler answers within Dask's time-out for connections.

    `Client` itself waits for ever for a port that accepts and says nothing.
    """
    seconds = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect", "30s"))

    async def ask() -> Any:
        comm = await connect(address, timeout=seconds, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own in this one
            answer = thread.submit(lambda: asyncio.run(asyncio.wait_for(ask(), seconds))).result()
    except Exception as error:
        why = f": {error.__cause__ or error}".removesuffix(": ").removesuffix(": TimeoutError()")
        raise ClusterError(f"{ARGUMENT}: no Dask scheduler answers at {address} within {seconds:g} s{why}") from error
    kind = answer.get("type") if isinstance(answer, dict) else type(answer).__name__
    if kind != "Scheduler":
        raise ClusterError(f"{ARGUMENT}: expected a Dask scheduler at {address}, found a {kind}")
