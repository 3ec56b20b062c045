"""The jobs: problems of the field, each to be brought from many random starts to a certified minimum."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from nctheory.certificates import GAP_LEVEL

TOLERANCE = 1e-10
"""Gradient norm at which every peer is asked to stop."""
GAP = GAP_LEVEL
"""Relative duality gap up to which an end state counts as a certified minimum."""
KEY = 0

LossName = Literal["cross_entropy", "mse"]
SHORT: dict[LossName, str] = {"cross_entropy": "ce", "mse": "mse"}


@dataclass(frozen=True)
class Job:
    """A balanced linear chain with free features; without `hidden` widths, the unconstrained-feature model."""

    loss: LossName
    classes: int
    dim: int
    per_class: int
    decay: float
    """The decay of every factor; a bias, where there is one, is free."""
    hidden: tuple[int, ...] = ()
    """Widths between the features and the logits."""
    bias: bool = False
    theorem: str | None = None
    """The theorem of the catalogue that covers it."""
    seeds: int = 4096
    """Most seeds of one timing."""
    lanes: int = 32
    """Seeds in a batch that runs in lockstep: what fits in the cache, and 1 where the batched product is the slower one."""
    rows: int = 64
    """Seeds in a batch whose finished seeds leave it."""
    tuned: int = 128
    """Seeds on all of which the descents' step is tuned; they are timed on no others."""

    @property
    def name(self) -> str:
        """Short name, unique."""
        depth = f"chain{len(self.hidden) + 1}-" if self.hidden else ""
        decay = f"{self.decay:.0e}".replace("e-0", "e-")
        return f"{depth}{SHORT[self.loss]}-K{self.classes}-d{self.dim}-n{self.per_class}-{decay}"

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, …, d_L), with d_L = K."""
        return (self.dim, *self.hidden, self.classes)

    @property
    def samples(self) -> int:
        """N = K n."""
        return self.classes * self.per_class

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of W_1, …, W_L, H and, where there is one, b as a column; the order of the flat vector."""
        layers = tuple(zip(self.widths[1:], self.widths[:-1], strict=True))
        column = ((self.classes, 1),) if self.bias else ()
        return (*layers, (self.dim, self.samples), *column)

    @property
    def parameters(self) -> int:
        """Number of real parameters P."""
        return sum(rows * cols for rows, cols in self.shapes)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of one gradient: three products a layer."""
        return sum(3 * 2 * rows * cols * self.samples for rows, cols in self.shapes[: len(self.widths) - 1])


@functools.cache
def problem_of(job: Job) -> nct.problems.DeepLinear:
    """The job as a problem of the engine."""
    return nct.deep_linear(
        widths=job.widths,
        counts=(job.per_class,) * job.classes,
        loss=job.loss,
        weight_decay=(job.decay,) * len(job.widths),
        bias=0.0 if job.bias else None,
    )


@functools.lru_cache(maxsize=16)
def starts(job: Job, seeds: int) -> np.ndarray:
    """The engine's own starts of the first seeds, as flat vectors (seeds x P). Treat as read-only."""
    problem = problem_of(job)

    @jax.jit
    def draw(numbers: jax.Array) -> jax.Array:
        key = jax.random.key(KEY)
        return jax.vmap(
            lambda seed: jnp.asarray(nct.problems.ravel(problem.init(jax.random.fold_in(key, seed), jnp.ones(()))))
        )(numbers)

    with jax.enable_x64(True):
        points = np.array(draw(jnp.arange(seeds)))
    points.flags.writeable = False
    return points


SIZES = (
    # K, d, n, most seeds, lanes, rows, tuned
    (4, 8, 5, 8192, 64, 256, 1024),
    (10, 16, 10, 2048, 32, 64, 256),
    (10, 64, 50, 128, 1, 16, 16),
    (100, 128, 5, 8, 1, 2, 2),
)
DECAYS = (5e-3, 5e-4)


def _all() -> tuple[Job, ...]:
    jobs: list[Job] = []
    for classes, dim, n, seeds, lanes, rows, tuned in SIZES:
        for decay in DECAYS:
            plain = Job(
                "mse",
                classes,
                dim,
                n,
                decay,
                theorem="ufm-mse-nobias",
                seeds=seeds,
                lanes=lanes,
                rows=rows,
                tuned=tuned,
            )
            jobs += [replace(plain, loss="cross_entropy", bias=True, theorem="ufm-ce-balanced"), plain]
    jobs.append(Job("mse", 4, 8, 5, 4e-3, hidden=(8, 8, 8), theorem="deep-mse-linear", seeds=2048, lanes=64))
    return tuple(jobs)


JOBS = _all()
DEFAULT = tuple(job.name for job in JOBS if (job.classes, job.decay) != (100, 5e-3))
"""Names of the jobs of an ordinary run: the rest take long and have their minimum at zero."""
QUICK = ("ce-K4-d8-n5-5e-3",)
"""Names of the jobs of a smoke run."""


def select(patterns: Sequence[str], jobs: Sequence[Job] = JOBS) -> tuple[Job, ...]:
    """Jobs whose name contains one of the patterns.

    >>> [job.name for job in select(["chain"])]
    ['chain4-mse-K4-d8-n5-4e-3']
    """
    return tuple(job for job in jobs if any(p.lower() in job.name.lower() for p in patterns))
