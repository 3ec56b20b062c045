"""`langevin`: thousands of chains of a stochastic process on an objective at once."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import float64, in_float64, untraced
from nctheory.flow import as_key
from nctheory.problems import Params, Problem, size, unravel
from nctheory.sampling._arguments import Asked, check_observe, read_arguments
from nctheory.sampling._chains import Chains
from nctheory.sampling._noise import chain_words
from nctheory.sampling._program import Chain, Observe, Running, chain_block
from nctheory.sampling._schemes import Numbers
from nctheory.sampling._statistics import merged, moments_of

LANE_NUMBERS = 2**15
"""The parameters of all chains that a CPU advances side by side (measured: a step costs 8 ns a parameter from here on, and
twice as much for a quarter of them)."""
MAX_LANES = 1024
"""The most chains side by side on a CPU (conventional)."""
MAX_EXTENT = 1e100
"""A chain with a number beyond is lost as one that is not finite is (conventional: squares still have room)."""
WHOLE = 16
"""The number of chains side by side is a multiple of it (measured: of odd numbers the products are slower by a fifth)."""
MAX_NUMBERS = 2**24
"""The parameters of all chains side by side on an accelerator (conventional)."""


@untraced("`nct.sampling.follow_chain` can be traced")
@float64
def langevin(
    problem: Problem,
    params: Params,
    steps: int,
    step_size: float | np.ndarray,
    *,
    kind: str = "overdamped",
    temperature: float | np.ndarray | None = None,
    friction: float | np.ndarray | None = None,
    splitting: str = "BAOAB",
    batch: int | None = None,
    noise: Any = None,
    observe: Observe | None = None,
    at: Sequence[int] | np.ndarray | None = None,
    waits: Sequence[int] | np.ndarray = (),
    lags: Sequence[int] | np.ndarray = (),
    count: tuple[int, int] | None = None,
    covariance: bool = True,
    key: int | PRNGKeyArray = 0,
    numbers: Sequence[int] | np.ndarray | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    light: bool = False,
) -> Chains:
    r"""Run a chain from each of `params` (leading axis chains): `steps` steps of a stochastic process on the objective f.

    With $\eta$ `step_size`, T `temperature` (1 by default), $\gamma$ `friction` and standard normal $\xi$, `kind` is

    - "overdamped": $x\leftarrow x-\eta\nabla f(x)+\sqrt{2\eta T}\,\xi$, the unadjusted Langevin algorithm; with `batch` the
      gradient is that of so many samples (`Problem.minibatch`), with `noise` it has a normal noise of that covariance besides:
      stochastic gradient Langevin dynamics;
    - "mala": the same step as a proposal, accepted by the rule of Metropolis and Hastings, so that $e^{-f/T}$ is stationary;
    - "underdamped": a `splitting` of $dx=p\,dt$, $dp=-(\nabla f+\gamma p)dt+\sqrt{2\gamma T}\,dW$ into drift A, kick B and
      thermostat O, "BAOAB" (Leimkuhler and Matthews 2013), "ABOBA", "OBABO" or "OABAO", $\eta$ being the time of a step; the
      momenta begin in equilibrium;
    - "sgd": $x\leftarrow x-\eta(\nabla f(x)+C^{1/2}\xi)$ with C `noise` (P x P, or a diagonal), or with the noise of
      minibatches of `batch` samples, or with both.

    The three numbers may differ from chain to chain (arrays over chains). Recorded are `observe(problem, params)` (by default
    the parameters) and the moments of the parameters over chains after `at` steps (by default at the end; with
    `covariance=False` variances alone); the two-time displacement and correlation of x at `waits` and `lags` after them; with
    `count=(b, e)` the mean and variance of what is observed over the steps b + e, b + 2e, … of each chain. Chain i has the
    random numbers of `key` and `numbers[i]` (by default i), and on a CPU its path is the same to the last bit whatever other
    chains are run. A chain that stops being finite (below 1e100) is lost (`Chains.lost`) and changes no other.

    Raises ValueError, naming the argument, for what is out of range or does not belong to the kind, and on a quadratic for a
    step size at which it diverges.

    >>> import nctheory as nct
    >>> form = nct.problems.quadratic([1.0, 4.0])
    >>> chains = langevin(form, nct.starts(form, 4096), 100, 0.25, temperature=0.5)
    >>> chains.counts()
    {'followed': 4096, 'lost': 0}
    >>> bool(np.allclose(np.diag(chains.moments.covariance[0]), [0.5 / (1 - 0.125), 0.5 / (4 - 2)], rtol=0.1))
    True
    """
    root_key = as_key(key)
    asked = read_arguments(
        problem, params, steps, step_size, kind, temperature, friction, splitting, batch, noise, at, waits, lags, count,
        covariance, numbers,
    )  # fmt: skip
    if observe is not None:
        check_observe(problem, observe)
    watch = whole_point if observe is None else observe
    stops, lanes = _stops(asked, steps), lane_count(size(problem), len(asked.starts), jax.default_backend())
    words = np.asarray(chain_words(root_key, asked.chains))

    def pieces() -> Iterator[np.ndarray]:
        for begin in range(0, len(asked.starts), lanes):
            yield np.minimum(np.arange(begin, begin + lanes), len(asked.starts) - 1)

    @in_float64  # settings of JAX are those of a thread
    def run(index: np.ndarray) -> tuple[Any, ...]:
        sizes, heat, friction, root = map(np.asarray, asked.numbers)
        own = Numbers(sizes[index], heat[index], friction[index], root)  # pyright: ignore[reportArgumentType]
        found = chain_block(
            problem, own, words[index], asked.starts[index], stops, asked.counted, scheme=asked.scheme,
            observe=watch, light=light,
        )  # fmt: skip
        wide = int(min(lanes, len(asked.starts) - index[0]))
        found = jax.tree.map(lambda x: np.asarray(x)[:wide], found)
        if progress is not None:
            progress(wide)
        return _reduced(found, stops, asked, covariance)

    several = workers or (os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1)
    with ThreadPoolExecutor(max(1, several)) as pool:
        parts = list(pool.map(run, pieces()))
    moments = reduce(merged, (part[1] for part in parts))
    (end, momenta, lost_at, values, running, displacement, correlation, accepted) = jax.tree.map(
        lambda *xs: np.concatenate(xs), *(part[0] for part in parts)
    )
    means, variances = (None, None) if running is None else _running(running)
    return Chains(
        numbers=asked.chains, steps=asked.recorded, values=values, params=unravel(problem, end), momenta=momenta,
        lost_at=lost_at, moments=moments, running_mean=means, running_variance=variances, waits=asked.waits,
        lags=asked.lags, displacement=displacement, correlation=correlation,
        acceptance=None if accepted is None else accepted / steps,
    )  # fmt: skip


def whole_point(problem: Problem, params: Params) -> Params:
    """Observe all parameters."""
    return params


def lane_count(parameters: int, chains: int, platform: str) -> int:
    """How many chains are advanced side by side; on a CPU the number depends on the problem alone, so that a path does.

    >>> lane_count(100, 10_000, "cpu"), lane_count(100, 3, "cpu"), lane_count(2, 3, "cpu")
    (320, 320, 1024)
    """
    if platform == "cpu":
        most = int(np.clip(LANE_NUMBERS // parameters, 2, MAX_LANES))
        return most - most % WHOLE if most > WHOLE else most
    return max(1, min(MAX_NUMBERS // parameters, 1 << (chains - 1).bit_length()))


def _stops(asked: Asked, steps: int) -> np.ndarray:
    """All steps after which a point is needed."""
    later = (asked.waits[:, None] + asked.lags[None, :]).ravel()
    return np.unique(np.concatenate([asked.recorded, asked.waits, later, [steps]])).astype(np.int64)


def _reduced(found: Chain, stops: np.ndarray, asked: Asked, covariance: bool) -> tuple[Any, ...]:
    """What is kept of a block: of single chains, and the moments over those that were followed."""
    points, state = np.asarray(found.points), found.state
    finite = np.all(np.abs(points) < MAX_EXTENT, axis=2)  # false of what is not a number
    lost_at = np.where(np.all(finite, axis=1), -1, stops[np.argmin(finite, axis=1)])
    kept, waiting = np.searchsorted(stops, asked.recorded), np.searchsorted(stops, asked.waits)
    later = np.searchsorted(stops, asked.waits[:, None] + asked.lags[None, :])
    displacement = correlation = None
    if asked.waits.size:
        here, there = points[:, waiting, None], points[:, later]
        with np.errstate(all="ignore"):  # of lost chains
            displacement, correlation = np.sum((there - here) ** 2, axis=-1), np.sum(there * here, axis=-1)
    moments = moments_of(points[lost_at < 0][:, kept], covariance)
    values = jax.tree.map(lambda x: x[:, kept], found.values)
    momenta = state.momentum if asked.scheme.kind == "underdamped" else None
    accepted = state.accepted if asked.scheme.kind == "mala" else None
    return (points[:, -1], momenta, lost_at, values, found.running, displacement, correlation, accepted), moments


def _running(running: Running) -> tuple[Any, Any]:
    """Mean and variance of the counted steps of each chain; NaN of too few."""

    def over(least: int, x: np.ndarray) -> np.ndarray:
        left = (running.count - least).reshape(-1, *[1] * (x.ndim - 1))
        return np.where(left > 0, x / np.maximum(left, 1), np.nan)

    count = running.count
    means = jax.tree.map(lambda x: np.where(count.reshape(-1, *[1] * (x.ndim - 1)) > 0, x, np.nan), running.mean)
    return means, jax.tree.map(lambda x: over(1, x), running.squares)
