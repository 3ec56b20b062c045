"""What is asked of a run, checked before anything is computed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import traced_hint, whole_number
from nctheory.problems import Params, Problem, read_points, size, template
from nctheory.sampling._schemes import KINDS, SPLITTINGS, Numbers, Scheme
from nctheory.sampling._stability import check_step

MAX_MOMENTS = 2**26
"""The largest number of entries of all covariances (conventional: half a GB)."""


class Asked(NamedTuple):
    """A run as the program takes it."""

    scheme: Scheme
    numbers: Numbers
    """Hyperparameters, with an axis of chains."""
    starts: np.ndarray
    chains: np.ndarray
    """The numbers of the chains."""
    recorded: np.ndarray
    waits: np.ndarray
    lags: np.ndarray
    counted: tuple[np.ndarray, np.ndarray] | None


def per_chain(name: str, value: Any, chains: int, least: float, open_end: bool) -> np.ndarray:
    """A hyperparameter as an array over chains; ValueError where it is out of range or of another shape."""
    array = np.asarray(value, np.float64)
    if array.shape not in ((), (chains,)):
        raise ValueError(f"{name}: expected one number or one for each of {chains} chains, got shape {array.shape}")
    if not np.all(np.isfinite(array)) or np.any(array <= least if open_end else array < least):
        said = "above" if open_end else "of at least"
        raise ValueError(f"{name}: expected finite numbers {said} {least:g}, got {_shown(array)}")
    return np.broadcast_to(array, (chains,))


def _shown(array: np.ndarray) -> str:
    return f"{float(array):g}" if array.ndim == 0 else f"numbers from {array.min():g} to {array.max():g}"


def times(name: str, given: Sequence[int] | np.ndarray, last: int) -> np.ndarray:
    """Numbers of steps that increase, from 0 to at most `last`; ValueError otherwise."""
    array = np.asarray(given)
    if array.ndim == 1 and array.size == 0:
        return np.zeros(0, np.int64)
    whole = array.ndim == 1 and np.issubdtype(array.dtype, np.integer)
    if not whole or array[0] < 0 or np.any(np.diff(array) <= 0) or array[-1] > last:
        raise ValueError(f"{name}: expected whole numbers that increase, between 0 and {last}, got {given!r}")
    return array.astype(np.int64)


def noise_root(noise: Any, parameters: int) -> np.ndarray:
    """A root of the covariance of gradient noise, P x P or a diagonal of P; ValueError where it is no covariance."""
    covariance = np.asarray(noise, np.float64)
    if covariance.shape not in ((parameters,), (parameters, parameters)) or not np.all(np.isfinite(covariance)):
        raise ValueError(
            f"noise: expected a finite covariance, {parameters} x {parameters} or a diagonal, got shape {covariance.shape}"
        )
    extent = max(float(np.max(np.abs(covariance))), np.finfo(float).tiny)
    if covariance.ndim == 1:
        if np.any(covariance < 0):
            raise ValueError(f"noise: expected variances of at least 0, got {covariance.min():g}")
        return np.sqrt(covariance)
    if np.max(np.abs(covariance - covariance.T)) > 1e-12 * extent:
        raise ValueError("noise: expected a symmetric matrix")
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    if values[0] < -1e-12 * parameters * extent:
        raise ValueError(f"noise: expected a positive semidefinite matrix, got the eigenvalue {values[0]:g}")
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def read_arguments(
    problem: Problem, params: Params, steps: int, step_size: Any, kind: str, temperature: Any, friction: Any, splitting: str,
    batch: int | None, noise: Any, at: Any, waits: Any, lags: Any, count: tuple[int, int] | None, covariance: bool,
    numbers: Any,
) -> Asked:  # fmt: skip
    """All arguments of a run; ValueError, naming the argument, for what is out of range or does not belong to the kind."""
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    last = whole_number("steps", steps)
    (chains,), params = read_points(problem, params)
    size_of = size(problem)
    starts = _flat(params, chains)
    own = np.arange(chains) if numbers is None else np.asarray(numbers)
    if own.shape != (chains,) or not np.issubdtype(own.dtype, np.integer) or own.min() < 0 or own.max() >= 2**32:
        raise ValueError(f"numbers: expected {chains} whole numbers from 0 to 2^32 - 1, got {numbers!r}")
    sizes = per_chain("step_size", step_size, chains, 0.0, True)
    scheme = Scheme(kind, _splitting(kind, splitting), _batch(kind, batch))  # pyright: ignore[reportArgumentType]
    hyper = Numbers(
        sizes, _temperature(kind, temperature, chains), _friction(kind, friction, chains),
        _root(kind, noise, batch, size_of),
    )  # fmt: skip
    recorded = times("at", [last] if at is None else at, last)
    if recorded.size == 0:
        raise ValueError("at: expected at least one number of steps, got none")
    waiting, lagging = times("waits", waits, last), times("lags", lags, last)
    if (waiting.size == 0) != (lagging.size == 0):
        raise ValueError("waits, lags: expected both or none")
    if waiting.size and waiting[-1] + lagging[-1] > last:
        raise ValueError(f"lags: expected the last wait and lag within {last} steps, got {waiting[-1]} + {lagging[-1]}")
    if covariance and recorded.size * size_of**2 > MAX_MOMENTS:
        raise ValueError(
            f"covariance: expected False for {recorded.size} recorded steps of {size_of} parameters, whose covariances have "
            f"more than {MAX_MOMENTS} entries"
        )
    counted = None
    if count is not None:
        first, every = count
        counted = np.asarray(whole_number("count", first, 0)), np.asarray(whole_number("count", every))
    finite = np.flatnonzero(np.isfinite(starts).all(axis=1))
    if finite.size:
        check_step(problem, starts[finite[0]], kind, float(sizes.max()))
    return Asked(scheme, hyper, starts, own, recorded, waiting, lagging, counted)


def check_observe(problem: Problem, observe: Any) -> None:
    """Raise ValueError for an `observe` that cannot be evaluated on the problem and one point."""
    import jax  # here: this file needs nothing else of it

    try:
        jax.eval_shape(observe, problem, template(problem))
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        raise ValueError(
            f"observe: expected a function of the problem and one point, observe(problem, params), got one that cannot be "
            f"evaluated: {type(error).__name__}: {str(error).splitlines()[0]}{traced_hint(error)}"
        ) from error


def _flat(params: Params, chains: int) -> np.ndarray:
    import jax  # here: this file needs nothing else of it

    return np.concatenate([x.reshape(chains, -1) for x in jax.tree.leaves(params)], axis=1)


def _splitting(kind: str, splitting: str) -> str:
    if splitting not in SPLITTINGS:
        raise ValueError(f"splitting: expected one of {', '.join(SPLITTINGS)}, got {splitting!r}")
    return splitting if kind == "underdamped" else SPLITTINGS[0]


def _batch(kind: str, batch: int | None) -> int | None:
    if batch is None:
        return None
    if kind not in ("overdamped", "sgd"):
        raise ValueError(f"batch: expected None for {kind} chains, got {batch!r}")
    return whole_number("batch", batch)


def _temperature(kind: str, temperature: Any, chains: int) -> np.ndarray:
    if kind == "sgd":
        if temperature is not None:
            raise ValueError(f"temperature: expected None for sgd, whose noise is the gradient's, got {temperature!r}")
        return np.zeros(chains)
    return per_chain("temperature", 1.0 if temperature is None else temperature, chains, 0.0, kind == "mala")


def _friction(kind: str, friction: Any, chains: int) -> np.ndarray:
    if kind != "underdamped":
        if friction is not None:
            raise ValueError(f"friction: expected None for {kind} chains, got {friction!r}")
        return np.ones(chains)
    if friction is None:
        raise ValueError("friction: expected a positive number for underdamped chains, got None")
    return per_chain("friction", friction, chains, 0.0, True)


def _root(kind: str, noise: Any, batch: int | None, parameters: int) -> np.ndarray:
    if noise is None:
        if kind == "sgd" and batch is None:
            raise ValueError("noise: expected a covariance for sgd without minibatches, got None")
        return np.zeros(())
    if kind not in ("overdamped", "sgd"):
        raise ValueError(f"noise: expected None for {kind} chains, got {type(noise).__name__}")
    return noise_root(noise, parameters)
