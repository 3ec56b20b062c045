"""The peers: one file each, all behind one small protocol, all from the same starts to the same stopping rule.

A file defines `PEERS`; a file whose library is not installed is left out.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.jobs import Job


class Ends(NamedTuple):
    """Where a run ended."""

    points: np.ndarray | None
    """End points of all seeds as flat vectors; None where the peer gives only the optimum's value."""
    evaluations: float | None = None
    """Gradient evaluations per seed, the mean; None where unknown."""
    value: float | None = None
    """The optimum's value, from peers that find no points."""
    refuted: bool = False
    """Whether a claim of the theorem was violated, for peers that hold claims."""


Run = Callable[[int], Ends]
"""Bring the first so many seeds to their end."""


class Prepared(NamedTuple):
    """A peer made ready for one job."""

    run: Run
    probe: Callable[[], object] | None = None
    """One gradient (of one batch), to tune the libraries' number of threads on; None to leave that alone."""


@dataclass(frozen=True)
class Peer:
    """One way to do the work."""

    name: str
    prepare: Callable[[Job], Prepared]
    """Whatever comes before the clock runs: tuning, building functions. Compilation happens in the first run."""
    batch: Callable[[Job], int] = lambda job: 1
    """Seeds are run in multiples of this."""
    most: Callable[[Job], int | None] = lambda job: None
    """Most seeds of one run, where the peer has a limit of its own."""
    unfit: Callable[[Job], str | None] = lambda job: None
    """Why the peer cannot do a job, or None."""
    compiles: bool = False
    several: bool = True
    """False for a peer that runs once, whatever the number of seeds."""


REFERENCE = "ours: polish"
"""Ratios are to this peer."""
FILES = (
    "ours",
    "numpy_batched",
    "torch_loop",
    "torch_batched",
    "scipy_lbfgs",
    "optax_lbfgs",
    "optimistix_bfgs",
    "diffrax_flow",
    "cvxpy_nuclear",
)


def load_peers() -> tuple[list[Peer], list[str]]:
    """All peers whose libraries are installed, and the libraries that are missing."""
    peers: list[Peer] = []
    missing: list[str] = []
    for file in FILES:
        try:
            peers += importlib.import_module(f"benchmarks.peers.{file}").PEERS
        except ModuleNotFoundError as error:
            missing.append(error.name or file)
    return peers, missing


__all__ = ["REFERENCE", "Ends", "Peer", "Prepared", "Run", "load_peers"]
