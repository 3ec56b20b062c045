"""Many theorems over several processes: most of a run is tracing and compiling, which one process does on one core."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nctheory.engine import Failure, Misuse, described

if TYPE_CHECKING:
    from nctheory.theorems import Verdict

MANY = 6
"""Theorems from which on processes are started; each imports the package anew, in some three seconds (conventional)."""
MAX_PROCESSES = 8
"""Processes at the most: each holds its own compiled programs, one to two GiB of them."""


class Job(NamedTuple):
    """One verification, in terms that another process understands."""

    theorem: str
    file: str | None
    """The theorem's file, where it is not of the catalogue."""
    arguments: dict[str, Any]
    """Of `verify`."""


class Ended(NamedTuple):
    """How a job ended: with a verdict, or with what is to be said."""

    verdict: "Verdict | None"
    error: str = ""
    misuse: bool = False
    trace: str = ""


_channel: Any = None
"""In a worker: where it reports (theorem, finished seeds), None of them at the start of a theorem and -1 at its end."""


def processes(theorems: int) -> int:
    """How many processes verify so many theorems; 1 is this one, as always where an accelerator is shared.

    >>> processes(1)
    1
    """
    import jax

    if theorems < MANY or jax.default_backend() != "cpu":
        return 1
    return min(os.cpu_count() or 1, theorems, MAX_PROCESSES)


def _begin(channel: Any) -> None:
    """A worker: an interruption is the parent's to handle, and a parent that was killed leaves nobody to work for."""
    global _channel
    _channel = channel
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive, daemon=True).start()
    # Another process is writing it; the program is compiled once more.
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache entry", UserWarning)
    from nctheory.engine import configure

    configure()


def _outlive() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(job: Job) -> Ended:
    """One verification in a worker; no exception leaves it, because a traceback does not travel."""
    from threadpoolctl import threadpool_limits

    from nctheory.engine import wrong_arguments
    from nctheory.theorems import find_theorem, load_theorem_file, verify

    try:
        with wrong_arguments(through_files=False), threadpool_limits(1, user_api="blas"):
            if job.file is None:
                theorem = find_theorem(job.theorem)
            else:
                theorem = next(one for one in load_theorem_file(job.file) if one.id == job.theorem)
            _channel.put((job.theorem, None))
            verdict = verify(
                theorem, file=job.file, progress=lambda done: _channel.put((job.theorem, done)), **job.arguments
            )
            _channel.put((job.theorem, -1))
            return Ended(verdict)
    except Misuse as error:
        return Ended(None, str(error), misuse=True)
    except Exception as error:
        return Ended(None, described(error), trace=traceback.format_exc())


@contextlib.contextmanager
def verdicts_of(
    jobs: Sequence[Job],
    workers: int,
    report: Callable[[str, int | None], None],
    save: Callable[["Verdict"], None],
) -> Iterator[Iterator["Verdict"]]:
    """The verdicts in the order of the jobs, each as soon as it is there; `report` hears of progress, from another thread, and
    `save` of each verdict as it is made, before its turn.

    A job that fails ends all with a `Failure` or `Misuse` that says what it says in one process. On leaving, workers that
    are still at it are ended.
    """
    context = multiprocessing.get_context("spawn")
    channel = context.SimpleQueue()
    stopped = object()

    left = threading.Event()

    def listen() -> None:
        while (heard := channel.get()) is not None and not left.is_set():
            report(*heard)

    def kept(future: "concurrent.futures.Future[Ended]") -> None:
        if not future.cancelled() and future.exception() is None and (verdict := future.result().verdict) is not None:
            save(verdict)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    before = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(channel,))
    try:
        futures = [pool.submit(_run, job) for job in jobs]
        for future in futures:
            future.add_done_callback(kept)
        yield (_told(job, future) for job, future in zip(jobs, futures, strict=True))
        stopped = None
    finally:
        if stopped is not None:
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
        pool.shutdown(wait=stopped is None, cancel_futures=True)
        # A worker that was ended while it told of its progress has taken the queue's lock with it: then nothing is sent any
        # more, and the listener ends with the process.
        if stopped is None:
            channel.put(None)
            listener.join(1.0)
        else:
            left.set()


def _told(job: Job, future: "concurrent.futures.Future[Ended]") -> "Verdict":
    """A job's verdict, or the error that it ended with."""
    try:
        ended = future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise Failure(f"a process that verified theorems ended unasked, while {job.theorem} was waited for") from error
    if ended.verdict is not None:
        return ended.verdict
    if ended.misuse:
        raise Misuse(ended.error)
    raise Failure(ended.error) from (RuntimeError(ended.trace) if ended.trace else None)
